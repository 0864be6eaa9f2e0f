//! Requests of players, path and `Range` apart by a NUL: never the server's fault, never a byte of another file, and a
//! part is the part that was asked for.
#![no_main]

use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use headframe_media::origin::{Origin, Publication, Settings, Variant};
use headframe_media::serve::http::router;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// What the one segment holds: each byte says where it lies.
const SEGMENT: [u8; 200] = {
    let mut bytes = [0; 200];
    let mut at = 0;
    while at < 200 {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

struct Site {
    _folder: tempfile::TempDir,
    router: Router,
    runtime: Runtime,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "secret").expect("a file beside the origin");
    let origin = Origin::open(folder.path().join("origin"), Settings::default()).expect("an origin");
    let stream = "s".parse().expect("a name");
    let variant =
        Variant { name: "v".into(), width: 2, height: 2, bitrate: 1, codecs: "avc1.640014".into(), fps: None };
    origin.declare(&stream, vec![variant]).expect("declared");
    let files = vec![("v".into(), Bytes::from_static(&SEGMENT))];
    let publication =
        Publication { number: 0, first_pts: 0, duration: 90_000, discontinuity: false, captured_at: None, files };
    origin.publish(&stream, publication).expect("published");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    Site { _folder: folder, router: router(origin.into()), runtime }
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (path, range) = (parts.next().unwrap_or_default(), parts.next());
    let mut request = Request::builder().uri(path);
    if let Some(range) = range {
        request = request.header(header::RANGE, range);
    }
    // A request that HTTP itself forbids never gets here.
    let Ok(request) = request.body(Body::empty()) else { return };
    let is_segment = request.uri().path() == "/hls/s/v/0.ts";
    SITE.runtime.block_on(async {
        let Ok(response) = SITE.router.clone().oneshot(request).await;
        let status = response.status();
        assert!(!status.is_server_error(), "{status}");
        let said = response.headers().get(header::CONTENT_RANGE).cloned();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        assert!(!body.windows(6).any(|window| window == b"secret") || !is_segment);
        assert_ne!(&body[..], b"secret");
        if is_segment && status == StatusCode::OK {
            assert_eq!(body, SEGMENT[..]);
        }
        if status == StatusCode::PARTIAL_CONTENT {
            let from = usize::from(*body.first().expect("a part has bytes"));
            assert_eq!(body, SEGMENT[from..from + body.len()]);
            let said = said.expect("where the part lies");
            assert_eq!(said, format!("bytes {from}-{}/{}", from + body.len() - 1, SEGMENT.len()));
        }
    });
});
