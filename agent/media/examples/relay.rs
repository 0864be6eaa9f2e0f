//! RTMP in, HLS out, nothing transcoded: to try the protocols of this crate by hand.
//!
//! `cargo run -p headframe-media --example relay -- 720p 360p` prints where to publish and where to watch. The names stand
//! in for a ladder: each of them lists the source as it came.

use std::error::Error;
use std::sync::Arc;

use headframe_media::ingest::rtmp::{Config, Grant, PublishRequest, Refusal, serve};
use headframe_media::ingest::{IngestEvent, SourceSegment};
use headframe_media::origin::{Origin, Publication, Settings, Variant};
use headframe_media::serve::http::router;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names.push("source".into());
    }
    let dir = std::env::temp_dir().join(format!("headframe-relay-{}", std::process::id()));
    let origin = Arc::new(Origin::open(&dir, Settings::default())?);
    let rtmp = TcpListener::bind("127.0.0.1:0").await?;
    let http = TcpListener::bind("127.0.0.1:0").await?;
    println!("publish to  rtmp://{}/live/secret", rtmp.local_addr()?);
    println!("watch at    http://{}/watch/stage", http.local_addr()?);

    let known = origin.clone();
    let auth = move |request: &PublishRequest<'_>| match (request.key, "stage".parse()) {
        ("secret", Ok(stream)) => Ok(Grant { resume: known.resume(&stream), stream }),
        _ => Err(Refusal::UnknownKey),
    };
    let (sink, mut events) = mpsc::channel(16);
    let stop = CancellationToken::new();
    tokio::spawn(serve(rtmp, Config::default(), Arc::new(auth), sink, stop.clone()));
    let app = router(origin.clone());
    tokio::spawn(async move { axum::serve(http, app).await });
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            Some(event) = events.recv() => take(&origin, &names, event)?,
        }
    }
    stop.cancel();
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn take(origin: &Origin, names: &[String], event: IngestEvent) -> Result<(), Box<dyn Error>> {
    match event {
        IngestEvent::Started { stream, picture, number, .. } => {
            let variant = |name: &String| Variant {
                name: name.clone(),
                width: picture.width,
                // Players merge renditions of equal size, so a name like `360p` is taken at its word.
                height: name.trim_end_matches('p').parse().unwrap_or(picture.height),
                bitrate: 2_000_000,
                codecs: format!("{},mp4a.40.2", picture.codec),
                fps: None,
            };
            origin.declare(&stream, names.iter().map(variant).collect())?;
            origin.expect(&stream, number)?;
        }
        IngestEvent::Segment(SourceSegment { stream, number, bytes, first_pts, duration, discontinuity, .. }) => {
            let files = names.iter().map(|name| (name.clone(), bytes.clone())).collect();
            let segment = Publication { number, first_pts, duration, discontinuity, captured_at: None, files };
            println!("{:?}", origin.publish(&stream, segment)?);
        }
        other => println!("{other:?}"),
    }
    Ok(())
}
