//! The routes, called without a socket.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use headframe_media::origin::{Origin, Publication, Settings, Variant};
use headframe_media::serve::http::{has_hls_js, router};
use headframe_media::{StreamId, lint};
use tower::ServiceExt;

struct Site {
    _dir: tempfile::TempDir,
    origin: Arc<Origin>,
    id: StreamId,
}

fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let origin = Arc::new(Origin::open(dir.path(), Settings::default()).unwrap());
    Site { _dir: dir, origin, id: "stage".parse().unwrap() }
}

impl Site {
    fn publish(&self, numbers: std::ops::Range<u64>) {
        let codecs = "avc1.64001f".into();
        let variant = Variant { name: "720p".into(), width: 1280, height: 720, bitrate: 3_000_000, codecs, fps: None };
        self.origin.declare(&self.id, vec![variant]).unwrap();
        for number in numbers {
            let data: Bytes = (0..1000).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
            let (first_pts, duration) = (number as i64 * 180_000, 180_000);
            let files = vec![("720p".into(), data)];
            let one = Publication { number, first_pts, duration, discontinuity: false, captured_at: None, files };
            self.origin.publish(&self.id, one).unwrap();
        }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let request = headers
            .iter()
            .fold(Request::builder().method(method).uri(path), |r, (name, value)| r.header(*name, *value));
        let response = router(self.origin.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.headers["access-control-allow-origin"], "*", "{path}");
        (parts.status, parts.headers, to_bytes(body, 1 << 20).await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, Bytes) {
        self.ask(Method::GET, path, &[]).await
    }
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn playlists_and_segments_have_their_types_and_lifetimes() {
    let site = site();
    assert_eq!(site.get("/hls/stage/master.m3u8").await.0, StatusCode::NOT_FOUND);
    site.publish(0..3);
    let (status, headers, body) = site.get("/hls/stage/master.m3u8").await;
    assert_eq!(
        (status, &headers["content-type"], &headers["cache-control"]),
        (StatusCode::OK, &"application/vnd.apple.mpegurl".parse().unwrap(), &"public, max-age=1".parse().unwrap())
    );
    assert_eq!(lint::master(text(&body)), []);
    let (_, headers, body) = site.get("/hls/stage/720p/index.m3u8").await;
    assert_eq!(headers["content-type"], "application/vnd.apple.mpegurl");
    assert_eq!(lint::media(text(&body)), []);
    let (status, headers, body) = site.get("/hls/stage/720p/2.ts").await;
    assert_eq!((status, body.len(), &headers["content-length"]), (StatusCode::OK, 1000, &"1000".parse().unwrap()));
    assert_eq!(headers["content-type"], "video/mp2t");
    assert!(headers["cache-control"].to_str().unwrap().contains("immutable"));
    let (status, headers, body) = site.ask(Method::HEAD, "/hls/stage/720p/2.ts", &[]).await;
    assert_eq!((status, &headers["content-length"], body.len()), (StatusCode::OK, &"1000".parse().unwrap(), 0));
}

#[tokio::test]
async fn ranges_tags_and_preflights_work() {
    let site = site();
    site.publish(0..1);
    let path = "/hls/stage/720p/0.ts";
    let (status, headers, body) = site.ask(Method::GET, path, &[("range", "bytes=10-19")]).await;
    assert_eq!(
        (status, &body[..], &headers["content-range"]),
        (StatusCode::PARTIAL_CONTENT, &(10..20).collect::<Vec<u8>>()[..], &"bytes 10-19/1000".parse().unwrap())
    );
    let (status, headers, _) = site.ask(Method::GET, path, &[("range", "bytes=1000-")]).await;
    assert_eq!(
        (status, &headers["content-range"]),
        (StatusCode::RANGE_NOT_SATISFIABLE, &"bytes */1000".parse().unwrap())
    );
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(site.ask(Method::GET, path, &[("if-none-match", &tag)]).await.0, StatusCode::NOT_MODIFIED);
    assert_eq!(site.ask(Method::GET, path, &[("if-none-match", "\"other\"")]).await.0, StatusCode::OK);
    let stale = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
    assert_eq!(site.ask(Method::GET, path, &stale).await.2.len(), 1000);
    let asked = [("origin", "https://else.where"), ("access-control-request-method", "GET")];
    let (status, headers, _) = site.ask(Method::OPTIONS, path, &asked).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("Range"));
    assert_eq!(site.ask(Method::POST, path, &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn nothing_outside_the_streams_can_be_reached() {
    let site = site();
    site.publish(0..1);
    for path in [
        "/hls/stage/720p/1.ts",
        "/hls/stage/720p/00.ts",
        "/hls/stage/720p/+0.ts",
        "/hls/stage/720p/18446744073709551616.ts",
        "/hls/stage/480p/0.ts",
        "/hls/stage/..%2f720p/0.ts",
        "/hls/..%2fstage/720p/0.ts",
        "/hls/%2e%2e/720p/index.m3u8",
        "/hls/stage/720p/..%2f..%2findex.json",
        "/hls/stage/index.json",
        "/hls/stage",
        "/watch/%3Cscript%3E",
        "/watch/..%2fstage",
        "/player/../Cargo.toml",
        "/etc/passwd",
    ] {
        let (status, _, body) = site.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {}", text(&body));
        assert!(!text(&body).contains("script"), "{path}");
    }
}

#[tokio::test]
async fn the_list_of_streams_tells_their_state() {
    let site = site();
    assert_eq!(text(&site.get("/hls/").await.2), r#"{"streams":[]}"#);
    let early = site.get("/hls/stage/status.json").await.2;
    assert_eq!(text(&early), r#"{"ended":false,"id":"stage","ready":false,"segments":0}"#);
    site.publish(0..2);
    site.origin.end(&site.id).unwrap();
    let (_, headers, body) = site.get("/hls/").await;
    let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let stream = &list["streams"][0];
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(
        (stream["id"].as_str(), stream["ready"].as_bool(), stream["ended"].as_bool(), stream["segments"].as_u64()),
        (Some("stage"), Some(true), Some(true), Some(2))
    );
    let one: serde_json::Value = serde_json::from_slice(&site.get("/hls/stage/status.json").await.2).unwrap();
    assert_eq!(&one, stream);
}

#[tokio::test]
async fn the_watch_page_is_there_before_the_stream_is() {
    let site = site();
    let (status, headers, body) = site.get("/watch/not-yet").await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    for part in ["../player/watch.js", "../player/watch.css", "../player/hls.js"] {
        assert!(text(&body).contains(part));
        let (status, headers, body) = site.get(&part[2..]).await;
        if part.ends_with("hls.js") && !has_hls_js() {
            assert_eq!(status, StatusCode::NOT_FOUND);
        } else {
            assert!(
                status == StatusCode::OK
                    && !body.is_empty()
                    && headers["content-type"].to_str().unwrap().starts_with("text/")
            );
        }
    }
}
