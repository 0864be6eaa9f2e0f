//! How fast the guard checks and records, the disk synchronised for each commit:
//! `cargo run --release -p headframe-guard --example throughput -- FOLDER [PROGRAM] [COUNT]`.
//!
//! FOLDER decides which disk is measured; it must not exist yet. Two figures are of the database alone, with the client's
//! signatures checked: how long one statement takes when a few are asked for at once, and how many statements a second
//! it takes when many are. With PROGRAM, the path of headframe-signer, also those of the whole way: socket, database and
//! the rig's own signature. All orders are signed by a client key known to all, before the clock runs.

use anyhow::Context;
use headframe_guard::client::Client;
use headframe_guard::keys::{self, Cost, Key, Password, Source};
use headframe_guard::protocol::{Hello, ReceiptRequest};
use headframe_guard::rules::Pinned;
use headframe_guard::spawn::{Arguments, Signer};
use headframe_guard::store::Store;
use headframe_market::{Address, Addresses, B256, Bytes, JobId, Receipt, Role, Segment, SegmentNo, Signature, Units};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the design asks for: a statement's p99, and statements a second.
const WANTED: (f64, f64) = (25.0, 10_000.0);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, more @ ..] = arguments.as_slice() else { anyhow::bail!("FOLDER [PROGRAM] [COUNT]") };
    let count = more.get(1).map_or(Ok(40_000), |text| text.parse::<u64>())?;
    let folder = Path::new(folder);
    std::fs::create_dir(folder).context("FOLDER must be new")?;

    let key = Key::from_bytes(&[0x11; 32])?;
    let hello =
        Hello { chain_id: 31337, genesis: B256::ZERO, addresses: Addresses::default(), claims_on_chain: vec![] };
    let Hello { chain_id, genesis, addresses, .. } = hello;
    let pinned = Pinned { chain_id, genesis, addresses, address: key.address(), role: Role::Operator };
    let store = Store::create(&folder.join("alone.db"), pinned)?;
    let permit = |ask| store.permit_receipt(ask).map(drop).map_err(anyhow::Error::from);
    let few = measure("database, 8 at once", 8, signed(0, count / 10), permit)?;
    let many = measure("database, 512 at once", 512, signed(1, count), permit)?;
    let (p99, rate) = (few.p99, many.rate);
    println!("check and record: p99 {p99:.1} ms (wanted: at most {} ms)", WANTED.0);
    println!("group commit: {rate:.0} receipts a second (wanted: at least {})", WANTED.1);
    let verdict = if p99 <= WANTED.0 && rate >= WANTED.1 { "both as wanted" } else { "NOT as wanted" };
    println!("{verdict}, on {} processors", std::thread::available_parallelism()?);
    let bytes: u64 = ["alone.db", "alone.db-wal"]
        .iter()
        .map(|name| Ok(std::fs::metadata(folder.join(name))?.len()))
        .sum::<std::io::Result<u64>>()?;
    println!("database and journal: {} bytes a receipt", bytes / (count + count / 10));

    let Some(program) = more.first() else { return Ok(()) };
    let (password, hex) = (folder.join("password"), folder.join("hex"));
    std::fs::write(&password, "p")?;
    std::fs::write(&hex, "11".repeat(32))?;
    let made = keys::import(folder, Some("key"), &Source::Hex(hex), &Password::File(password.clone()), Cost::Light)?;
    let arguments = Arguments {
        keystore: made.path,
        password_file: password,
        database: folder.join("guard.db"),
        socket: folder.join("socket"),
        role: Role::Operator,
        max_fee: None,
        owner: None,
    };
    let signer = Signer::spawn(Path::new(program), &arguments)?;
    let client = Client::connect(signer.socket(), hello)?;
    let sign = |ask| client.sign_receipt(ask).map(drop).map_err(anyhow::Error::from);
    measure("signer, 8 at once", 8, signed(2, count / 10), sign)?;
    measure("signer, 60 at once", 60, signed(3, count / 2), sign)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", signer.pid()))?;
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")) {
        println!("signer {line}");
    }
    Ok(())
}

struct Measured {
    rate: f64,
    p99: f64,
}

/// `threads` ask, each again as soon as it is answered, until all of `asks` are through.
fn measure(
    what: &str,
    threads: usize,
    asks: Vec<ReceiptRequest>,
    ask: impl Fn(ReceiptRequest) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Measured> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let lane = || {
        let mut took = Vec::new();
        while let Some(one) = asks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = one.clone();
            let asked = Instant::now();
            ask(one)?;
            took.push(asked.elapsed());
        }
        anyhow::Ok(took)
    };
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..threads).map(|_| scope.spawn(lane)).collect();
        let joined =
            |lane: std::thread::ScopedJoinHandle<'_, _>| lane.join().map_err(|_| anyhow::anyhow!("a thread died"))?;
        lanes.into_iter().map(joined).collect::<anyhow::Result<Vec<_>>>()
    })?
    .concat();
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    println!("{what}: {} receipts, {rate:.0} a second, p50 {:.1} ms, p99 {:.1} ms", took.len(), at(50), at(99));
    Ok(Measured { rate, p99: at(99) })
}

/// Requests for `count` segments of a job, signed by the client on all processors.
fn signed(job: u64, count: u64) -> Vec<ReceiptRequest> {
    let lanes = std::thread::available_parallelism().map_or(1, |lanes| lanes.get() as u64);
    std::thread::scope(|scope| {
        let lane = |first: u64| {
            scope.spawn(move || (first..count).step_by(lanes as usize).map(|seq| request(job, seq)).collect())
        };
        let lanes: Vec<std::thread::ScopedJoinHandle<'_, Vec<ReceiptRequest>>> = (0..lanes).map(lane).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_default()).collect()
    })
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
