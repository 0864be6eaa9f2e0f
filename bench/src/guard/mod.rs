//! `headframe-bench guard`: how fast the slashing protection checks and records, the disk synchronised for each commit.
//!
//! Two figures are of the database alone, with the client's signatures checked: how long one statement takes when a few are asked
//! for at once, and how many statements a second it takes when many are. With the signer's program also those of the whole way:
//! socket, database and the rig's own signature.

mod asks;

use crate::figures::{self, Head, Versions};
use crate::machine::{self, Machine, Meter};
use crate::options::GuardOptions;
use crate::progress::Progress;
use anyhow::{Context as _, Result, bail};
use asks::Asked;
use headframe_guard::client::Client;
use headframe_guard::keys::{self, Cost, Format, Key, Password, Source};
use headframe_guard::protocol::Hello;
use headframe_guard::rules::Pinned;
use headframe_guard::spawn::{Arguments, Signer};
use headframe_guard::store::Store;
use headframe_market::{Addresses, B256, Role};
use serde::Serialize;
use std::path::Path;

/// What the design asks for: a statement takes at most so many milliseconds in 99 of 100 cases when few ask.
const WANTED_P99_MS: f64 = 25.0;
/// And so many are recorded in a second when many ask.
const WANTED_RATE: f64 = 10_000.0;
/// The key that signs here: known to all, and worth nothing.
const KEY: [u8; 32] = [0x11; 32];

/// Everything that was found, as it is stored.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    receipts: u64,
    results: Vec<Asked>,
    /// Of a few at once, against [`WANTED_P99_MS`].
    p99_ms: f64,
    wanted_p99_ms: f64,
    /// Of many at once, against [`WANTED_RATE`].
    receipts_per_s: f64,
    wanted_receipts_per_s: f64,
    as_wanted: bool,
    /// Database and journal.
    bytes_per_receipt: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_rss_kib: Option<u64>,
    others_cores: f64,
    notes: Vec<String>,
}

/// Measures, prints, stores where asked; an error when a figure is not as wanted.
pub(crate) fn run(options: &GuardOptions) -> Result<()> {
    let progress = Progress::new();
    let machine = Machine::here();
    let folder = match &options.folder {
        Some(on) => tempfile::Builder::new().prefix("headframe-bench-").tempdir_in(on),
        None => tempfile::Builder::new().prefix("headframe-bench-").tempdir(),
    };
    let folder = folder.context("make a folder for the database; --folder names another place")?;
    let (few, many) = (options.receipts.div_ceil(10), options.receipts);
    let hello =
        Hello { chain_id: 31337, genesis: B256::ZERO, addresses: Addresses::default(), claims_on_chain: vec![] };
    let meter = Meter::start();
    let (mut results, bytes) = alone(folder.path(), &hello, few, many, &progress)?;
    let (p99_ms, receipts_per_s) = (results[0].p99_ms, results[1].per_second);
    let mut signer_rss_kib = None;
    if let Some(program) = &options.signer {
        let (more, rss) = whole(program, folder.path(), hello, few, many / 2, &progress)?;
        results.extend(more);
        signer_rss_kib = rss;
    }
    let others_cores = meter.cost(meter.wall(), 0.0).others_cores;
    let (tool, versions) = (crate::TOOL.to_owned(), Versions::new(Path::new(""), &[]));
    let report = Report {
        head: Head { tool, created_unix: machine::unix_time(), machine, versions, clip: None, ladder: Vec::new() },
        receipts: many,
        results,
        p99_ms,
        wanted_p99_ms: WANTED_P99_MS,
        receipts_per_s,
        wanted_receipts_per_s: WANTED_RATE,
        as_wanted: p99_ms <= WANTED_P99_MS && receipts_per_s >= WANTED_RATE,
        bytes_per_receipt: bytes / (few + many),
        signer_rss_kib,
        others_cores,
        notes: notes(others_cores),
    };
    progress.done();
    print(&report);
    figures::store(options.json.as_deref(), &report)?;
    match report.as_wanted {
        true => Ok(()),
        false => {
            bail!("the guard is slower here than wanted: what synchronises this disk, and what else uses the machine?")
        }
    }
}

/// The database by itself, and how large it and its journal have become.
fn alone(folder: &Path, hello: &Hello, few: u64, many: u64, progress: &Progress) -> Result<(Vec<Asked>, u64)> {
    let Hello { chain_id, genesis, addresses, .. } = *hello;
    let address = Key::from_bytes(&KEY)?.address();
    let pinned = Pinned { chain_id, genesis, addresses, address, role: Role::Operator };
    let store = Store::create(&folder.join("alone.db"), pinned)?;
    let permit = |ask| store.permit_receipt(ask).map(drop).map_err(anyhow::Error::from);
    let results = vec![
        asks::measure("database", 8, asks::signed(0, few), progress, permit)?,
        asks::measure("database", 512, asks::signed(1, many), progress, permit)?,
    ];
    Ok((results, size(folder)?)) // before it is closed, which takes the journal away
}

fn size(folder: &Path) -> Result<u64> {
    let sizes = ["alone.db", "alone.db-wal"].iter().map(|name| Ok(std::fs::metadata(folder.join(name))?.len()));
    sizes.sum::<std::io::Result<u64>>().context("the database's size")
}

/// The signer's program, asked over its socket, and the memory that it took at most.
fn whole(
    program: &Path,
    folder: &Path,
    hello: Hello,
    few: u64,
    many: u64,
    progress: &Progress,
) -> Result<(Vec<Asked>, Option<u64>)> {
    let (password, hex) = (folder.join("password"), folder.join("hex"));
    std::fs::write(&password, "p")?;
    std::fs::write(&hex, "11".repeat(32))?;
    let made = keys::import(
        folder,
        Some("key"),
        &Source::Hex(hex),
        &Password::File(password.clone()),
        Format::V3,
        Cost::Light,
    )?;
    let arguments = Arguments {
        keystore: made.path,
        password_file: password,
        database: folder.join("guard.db"),
        socket: folder.join("socket"),
        role: Role::Operator,
        max_fee: None,
        owner: None,
    };
    let signer = Signer::spawn(program, &arguments)?;
    let client = Client::connect(signer.socket(), hello)?;
    let sign = |ask| client.sign_receipt(ask).map(drop).map_err(anyhow::Error::from);
    let results = vec![
        asks::measure("signer", 8, asks::signed(2, few), progress, sign)?,
        asks::measure("signer", 60, asks::signed(3, many), progress, sign)?,
    ];
    let status = std::fs::read_to_string(format!("/proc/{}/status", signer.pid()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
    Ok((results, peak))
}

fn notes(others_cores: f64) -> Vec<String> {
    let mut notes = vec![
        "every statement is on the disk before it is answered; the clients' signatures are made before the clock runs"
            .to_owned(),
    ];
    notes.extend(figures::circumstances(others_cores));
    notes
}

fn print(report: &Report) {
    println!("{}", report.head.lines());
    println!("\n{:<10}{:>9}{:>10}{:>12}{:>10}{:>10}", "", "at once", "receipts", "a second", "p50 ms", "p99 ms");
    for r in &report.results {
        println!(
            "{:<10}{:>9}{:>10}{:>12.0}{:>10.1}{:>10.1}",
            r.of, r.at_once, r.receipts, r.per_second, r.p50_ms, r.p99_ms
        );
    }
    println!("\ncheck and record: p99 {:.1} ms, wanted at most {WANTED_P99_MS} ms", report.p99_ms);
    println!("group commit: {:.0} receipts a second, wanted at least {WANTED_RATE}", report.receipts_per_s);
    println!("database and journal: {} bytes a receipt", report.bytes_per_receipt);
    if let Some(kib) = report.signer_rss_kib {
        println!("signer: {} MiB at most", kib / 1024);
    }
    println!("{}", if report.as_wanted { "both as wanted" } else { "NOT as wanted" });
    report.notes.iter().for_each(|note| println!("note: {note}"));
}
