//! A whole publisher's connection after its handshake: the server ends it, tells of it in pairs, and passes on no more
//! than came in. The first byte says how far the connection has got: before `connect`, or publishing.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use headframe_media::ingest::IngestEvent;
use headframe_media::ingest::rtmp::{Authorize, Config, Grant, PublishRequest, Refusal, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// `connect`, `createStream` and `publish` of a known key, as chunks.
const PUBLISH: &[u8] = b"\x03\0\0\0\0\0\x25\x14\0\0\0\0\
    \x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\0\x09\
    \x03\0\0\0\0\0\x19\x14\0\0\0\0\x02\0\x0ccreateStream\0\x40\0\0\0\0\0\0\0\x05\
    \x03\0\0\0\0\0\x26\x14\x01\0\0\0\x02\0\x07publish\0\x40\x08\0\0\0\0\0\0\x05\x02\0\x03key\x02\0\x04live\x05";

struct Server {
    runtime: Runtime,
    address: std::net::SocketAddr,
    events: mpsc::Receiver<IngestEvent>,
}

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(start().expect("a server on loopback"));
}

fn start() -> std::io::Result<Server> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (sink, events) = mpsc::channel(4096);
    let auth = |request: &PublishRequest<'_>| match request.key {
        "key" => Ok(Grant { stream: "stage".parse().map_err(|_| Refusal::UnknownKey)?, resume: None }),
        _ => Err(Refusal::UnknownKey),
    };
    let auth: Arc<dyn Authorize> = Arc::new(auth);
    runtime.spawn(serve(listener, Config::default(), auth, sink, CancellationToken::new()));
    Ok(Server { runtime, address, events })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let before: &[u8] = if first & 1 == 0 { &[] } else { PUBLISH };
    SERVER.with_borrow_mut(|server| {
        let Server { runtime, address, events } = server;
        runtime.block_on(async {
            let talk = async {
                let mut socket = TcpStream::connect(*address).await?;
                let hello = [&[3][..], &[0; 2 * 1536], before, data].concat();
                // The server may have had enough before all is written.
                let _ = socket.write_all(&hello).await;
                let _ = socket.shutdown().await;
                let _ = socket.read_to_end(&mut Vec::new()).await;
                std::io::Result::Ok(())
            };
            tokio::time::timeout(Duration::from_secs(20), talk).await.expect("an end").expect("a connection");
            let (mut started, mut bytes) = (false, 0);
            loop {
                match events.recv().await.expect("the server runs") {
                    IngestEvent::Started { .. } => assert!(!std::mem::replace(&mut started, true)),
                    IngestEvent::Segment(segment) => bytes += segment.bytes.len(),
                    IngestEvent::Degraded { .. } => assert!(started),
                    IngestEvent::Ended { .. } => break assert!(started),
                    IngestEvent::Rejected { .. } => break assert!(!started),
                }
            }
            assert!(bytes <= 64 * (data.len() + 4096) + data.len() * data.len());
        });
    });
});
