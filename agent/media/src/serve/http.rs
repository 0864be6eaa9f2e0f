//! HLS over HTTP, and a page to watch it on.
//!
//! | path | what |
//! | --- | --- |
//! | `/hls/` | the streams, as JSON |
//! | `/hls/ID/status.json` | one stream; `ready` is false before it has begun |
//! | `/hls/ID/master.m3u8` | its renditions |
//! | `/hls/ID/RENDITION/index.m3u8` | one rendition |
//! | `/hls/ID/RENDITION/N.ts` | a segment: immutable, with `ETag` and `Range` |
//! | `/watch/ID` | the player page, `/player/…` what it needs |
//!
//! Everything is public and may be cached and embedded by anybody; there are no cookies and no absolute URLs, so any CDN
//! can stand in front. Reads names as [`StreamId`]s before they come near a path.

use std::io::SeekFrom;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use tracing::warn;

use crate::id::StreamId;
use crate::origin::{Origin, Playlist, SegmentFile};

const PAGE: &str = include_str!("watch.html");
const PAGE_CSS: &str = include_str!("watch.css");
const PAGE_JS: &str = include_str!("watch.js");
/// Empty when the build found none; the page then uses the browser's own HLS.
const HLS_JS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hls.min.js"));

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const FOREVER: &str = "public, max-age=31536000, immutable";
const SHORT: &str = "public, max-age=1";
const READ_CHUNK: usize = 64 * 1024;

/// The page loads nothing from elsewhere; hls.js runs a worker and feeds the video element from blobs.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                           media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'";

/// Whether hls.js has been built in.
pub fn has_hls_js() -> bool {
    !HLS_JS.is_empty()
}

/// All routes of this module.
pub fn router(origin: Arc<Origin>) -> Router {
    Router::new()
        .route("/hls", get(|| async { Redirect::permanent("/hls/") }))
        .route("/hls/", get(streams))
        .route("/hls/{stream}/{file}", get(stream_file))
        .route("/hls/{stream}/{rendition}/{file}", get(rendition_file))
        .route("/watch/{stream}", get(page))
        .route("/player/{file}", get(player_file))
        .fallback(|| async { missing("there is nothing at this address") })
        .layer(middleware::from_fn(cross_origin))
        .with_state(origin)
}

/// Lets pages of other sites play, and answers their preflight requests.
async fn cross_origin(request: Request, next: Next) -> Response {
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Range, If-None-Match, Cache-Control"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Content-Length, Content-Range, ETag, Date"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("timing-allow-origin"), "*"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn streams(State(origin): State<Arc<Origin>>) -> Response {
    let list = serde_json::json!({ "streams": origin.status() });
    respond("application/json", "no-cache", list.to_string())
}

async fn stream_file(State(origin): State<Arc<Origin>>, Path((stream, file)): Path<(String, String)>) -> Response {
    let Ok(stream) = stream.parse::<StreamId>() else { return missing("this is not a stream") };
    match file.as_str() {
        "master.m3u8" => playlist(origin.master(&stream)),
        "status.json" => match origin.stream_status(&stream) {
            Some(status) => respond("application/json", "no-cache", serde_json::json!(status).to_string()),
            // A page that waits for its stream asks this every second: no error, and no complaint in the browser's log.
            None => {
                let unknown = serde_json::json!({ "id": stream, "ready": false, "ended": false, "segments": 0 });
                respond("application/json", "no-cache", unknown.to_string())
            }
        },
        _ => missing("a stream has a master.m3u8 and a status.json"),
    }
}

async fn rendition_file(
    State(origin): State<Arc<Origin>>,
    Path((stream, rendition, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let Ok(stream) = stream.parse::<StreamId>() else { return missing("this is not a stream") };
    if file == "index.m3u8" {
        return playlist(origin.media(&stream, &rendition));
    }
    // One spelling for each number: `007.ts` would be another URL for the same bytes to a cache.
    let number = file.strip_suffix(".ts").filter(|text| *text == "0" || !text.starts_with(['0', '+']));
    let file = number.and_then(|text| text.parse().ok()).and_then(|number| origin.segment(&stream, &rendition, number));
    match file {
        Some(file) => segment(&file, &headers).await,
        None => missing("this segment is not there yet or not there any more"),
    }
}

fn playlist(playlist: Option<Playlist>) -> Response {
    match playlist {
        Some(playlist) => respond(PLAYLIST, if playlist.ended { "public, max-age=10" } else { SHORT }, playlist.text),
        None => missing("this stream has not started"),
    }
}

async fn segment(file: &SegmentFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", file.sha256.get(..32).unwrap_or(&file.sha256));
    let builder = Response::builder()
        .header(header::CONTENT_TYPE, "video/mp2t")
        .header(header::CACHE_CONTROL, FOREVER)
        .header(header::ETAG, &tag)
        .header(header::ACCEPT_RANGES, "bytes");
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let same =
        |list: &str| list.split(',').any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag);
    if text(header::IF_NONE_MATCH).is_some_and(same) {
        return finish(builder.status(StatusCode::NOT_MODIFIED), Body::empty());
    }
    // A range of another version of the file would be of no use; ours has one version, but the client's need not be it.
    let wanted = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|version| version == tag));
    let (status, range) = match wanted.map(|range| parse_range(range, file.bytes)) {
        Some(Ranges::One(first, last)) => (StatusCode::PARTIAL_CONTENT, first..last + 1),
        Some(Ranges::Unsatisfiable) => {
            let builder = builder.header(header::CONTENT_RANGE, format!("bytes */{}", file.bytes));
            return finish(builder.status(StatusCode::RANGE_NOT_SATISFIABLE), Body::empty());
        }
        Some(Ranges::Ignore) | None => (StatusCode::OK, 0..file.bytes),
    };
    let length = range.end - range.start;
    let opened = async {
        let mut open = tokio::fs::File::open(&file.path).await?;
        open.seek(SeekFrom::Start(range.start)).await?;
        std::io::Result::Ok(open)
    };
    let open = match opened.await {
        Ok(open) => open,
        Err(error) => {
            warn!(path = %file.path.display(), %error, "a listed segment cannot be read");
            return missing("this segment is not there any more");
        }
    };
    let mut builder = builder.status(status).header(header::CONTENT_LENGTH, length);
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, file.bytes);
        builder = builder.header(header::CONTENT_RANGE, text);
    }
    // Streamed in small pieces: a reader that stalls costs one piece of memory, not a segment.
    finish(builder, Body::from_stream(ReaderStream::with_capacity(open.take(length), READ_CHUNK)))
}

#[derive(Debug, PartialEq, Eq)]
enum Ranges {
    /// First and last byte.
    One(u64, u64),
    Unsatisfiable,
    /// Not understood, or several at once: RFC 9110 section 14.2 lets a server send the whole then.
    Ignore,
}

fn parse_range(header: &str, length: u64) -> Ranges {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Ranges::Ignore;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= length && (last.is_empty() || last.parse::<u64>().is_ok()) => Ranges::Unsatisfiable,
        (Ok(first), Ok(last)) if first <= last => Ranges::One(first, last.min(length - 1)),
        (Ok(first), Err(_)) if last.is_empty() => Ranges::One(first, length - 1),
        (Err(_), Ok(0)) if first.is_empty() => Ranges::Unsatisfiable,
        (Err(_), Ok(tail)) if first.is_empty() => Ranges::One(length.saturating_sub(tail), length - 1),
        _ => Ranges::Ignore,
    }
}

async fn page(Path(stream): Path<String>) -> Response {
    if stream.parse::<StreamId>().is_err() {
        return missing("this is not a stream");
    }
    // The page is the same for every stream; its script takes the name from the address.
    let mut response = respond("text/html; charset=utf-8", "no-cache", PAGE);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn player_file(Path(file): Path<String>) -> Response {
    match file.as_str() {
        "watch.js" => respond("text/javascript; charset=utf-8", "no-cache", PAGE_JS),
        "watch.css" => respond("text/css; charset=utf-8", "no-cache", PAGE_CSS),
        "hls.js" if has_hls_js() => respond("text/javascript; charset=utf-8", "public, max-age=3600", HLS_JS),
        "hls.js" => missing("this server was built without hls.js"),
        _ => missing("there is nothing at this address"),
    }
}

fn respond(kind: &'static str, cache: &'static str, body: impl Into<Body>) -> Response {
    let builder = Response::builder().header(header::CONTENT_TYPE, kind).header(header::CACHE_CONTROL, cache);
    finish(builder, body.into())
}

fn missing(what: &'static str) -> Response {
    let mut response = respond("text/plain; charset=utf-8", SHORT, format!("{what}\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn finish(builder: axum::http::response::Builder, body: Body) -> Response {
    // Every header above is made of constants, numbers and hexadecimal digits.
    builder.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (header, range) in [
            ("bytes=0-0", Ranges::One(0, 0)),
            ("bytes=10-", Ranges::One(10, 99)),
            ("bytes=90-500", Ranges::One(90, 99)),
            ("bytes=-5", Ranges::One(95, 99)),
            ("bytes=-500", Ranges::One(0, 99)),
            ("bytes=100-", Ranges::Unsatisfiable),
            ("bytes=200-300", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=9-1", Ranges::Ignore),
            ("bytes=0-1,5-6", Ranges::Ignore),
            ("bytes=a-b", Ranges::Ignore),
            ("items=0-1", Ranges::Ignore),
            ("bytes=-", Ranges::Ignore),
        ] {
            assert_eq!(parse_range(header, 100), range, "{header}");
        }
    }
}
