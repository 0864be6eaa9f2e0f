//! Receipts per second through the real signer and its socket, the disk synchronised for each commit, and the memory it
//! takes: `cargo run --release -p headframe-guard --example throughput -- PROGRAM FOLDER [THREADS] [SECONDS]`.
//!
//! FOLDER decides which disk is measured; it must not exist yet.

use anyhow::Context;
use headframe_guard::client::Client;
use headframe_guard::keys::{self, Cost, Password, Source};
use headframe_guard::protocol::{Hello, ReceiptRequest};
use headframe_guard::spawn::{Arguments, Signer};
use headframe_market::{Address, Addresses, B256, Bytes, JobId, Receipt, Role, Segment, SegmentNo, Signature, Units};
use std::path::Path;
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, folder, more @ ..] = arguments.as_slice() else {
        anyhow::bail!("PROGRAM FOLDER [THREADS] [SECONDS]")
    };
    let number = |at: usize, default| more.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let (threads, seconds) = (number(0, 8)?, number(1, 5)?);
    let folder = Path::new(folder);
    std::fs::create_dir(folder).context("FOLDER must be new")?;
    let (password, hex) = (folder.join("password"), folder.join("hex"));
    std::fs::write(&password, "p")?;
    std::fs::write(&hex, "11".repeat(32))?;
    let source = Source::Hex(hex);
    let key = keys::import(folder, Some("key"), &source, &Password::File(password.clone()), Cost::Light)?;
    let signer = Signer::spawn(
        Path::new(program),
        &Arguments {
            keystore: key.path,
            password_file: password,
            database: folder.join("guard.db"),
            socket: folder.join("socket"),
            role: Role::Operator,
            max_fee: None,
        },
    )?;
    let addresses = Addresses::default();
    let hello = Hello { chain_id: 31337, genesis: B256::ZERO, addresses, claims_on_chain: vec![] };
    let client = Client::connect(signer.socket(), hello)?;
    let limit = Duration::from_secs(seconds);
    let begun = Instant::now();
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let lane = |job: u64| {
            let client = &client;
            scope.spawn(move || {
                let mut took = Vec::new();
                for seq in 0.. {
                    let ask = request(job, seq);
                    let asked = Instant::now();
                    client.sign_receipt(ask)?;
                    took.push(asked.elapsed());
                    if begun.elapsed() > limit {
                        break;
                    }
                }
                anyhow::Ok(took)
            })
        };
        let lanes: Vec<_> = (0..threads).map(lane).collect();
        lanes.into_iter().flat_map(|lane| lane.join().ok()).collect::<anyhow::Result<Vec<_>>>()
    })?
    .concat();
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    println!("{threads} threads: {rate:.0} receipts/s, p50 {:.1} ms, p99 {:.1} ms", at(50), at(99));
    let status = std::fs::read_to_string(format!("/proc/{}/status", signer.pid()))?;
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")) {
        println!("signer {line}");
    }
    let bytes =
        std::fs::metadata(folder.join("guard.db"))?.len() + std::fs::metadata(folder.join("guard.db-wal"))?.len();
    println!("database and journal: {bytes} bytes for {} receipts", took.len());
    Ok(())
}

/// One honest receipt, its order signed by a client key known to all.
fn request(job: u64, seq: u64) -> ReceiptRequest {
    let secret = k256::ecdsa::SigningKey::from_slice(&[0x22; 32]).expect("a constant in range");
    let (job, seq, src_root) = (JobId(job), SegmentNo(seq), B256::repeat_byte(1));
    let order = Segment { job, seq, src_root, src_bytes: 1, duration_ms: 2000 };
    let domain = headframe_market::typed_data::Domain { chain_id: 31337, market: Address::ZERO };
    let hash = order.signing_hash(&domain);
    let signature = secret.sign_prehash_recoverable(hash.as_slice()).expect("a hash is signed");
    let order_signature = Bytes::copy_from_slice(&Signature::from(signature).as_bytes());
    let receipt = Receipt { job, seq, src_root, out_root: B256::ZERO, units: Units(1), out_bytes: 1 };
    ReceiptRequest { order, order_signature, client: Address::from_public_key(secret.verifying_key()), receipt }
}
