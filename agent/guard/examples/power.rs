//! The load and the check of `./run test guard-power`, which cuts the power of the signer's disk.
//!
//! `power load FOLDER DATABASE SIGNER ROUND` runs the real signer on DATABASE and asks for receipts, transactions and claims
//! until it fails, because its disk is gone. What was acknowledged is appended to FOLDER/acknowledged, on another disk.
//! `power check FOLDER DATABASE SIGNER ROUND [all|blind]` opens what the disk held when the power went and compares: prints one
//! line of JSON. With `all` every statement is put to the signer again, else those of ROUND and a sample of the others. With
//! `blind` the signer is told of a chain that shows nothing of its key.
//!
//! What is asked follows from its numbers alone, so that whoever knows the acknowledged numbers knows the statements.

use anyhow::Context;
use headframe_guard::client::{Client, Error};
use headframe_guard::keys::{self, Cost, Format, Password, Source};
use headframe_guard::protocol::{Hello, ReceiptRequest, SeenClaim, Sight, SignedTransaction, TransactionRequest};
use headframe_guard::rules::{NotSafe, Rule};
use headframe_guard::spawn::{Arguments, Signer, SpawnError};
use headframe_guard::store::Store;
use headframe_market::merkle::SumTree;
use headframe_market::typed_data::Domain;
use headframe_market::{
    Action, Address, Addresses, B256, Bytes, JobId, Receipt, Role, Segment, SegmentNo, Signature, U256, Units, Wei,
};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Lanes that ask for receipts, each for a job of its own; one more sends transactions.
const LANES: u64 = 5;
/// Every fourth transaction is the claim of a job of its own, with this many segments.
const CLAIMED: u32 = 2;
/// Jobs that the check makes to see that signing goes on.
const MORE: u64 = 1 << 40;

/// What the signer answered, as it is kept outside its disk.
#[derive(Clone, Serialize, Deserialize)]
enum Acknowledged {
    Receipt { round: u64, job: u64, seq: u64, signature: Bytes },
    Transaction { round: u64, nonce: u64, signed: SignedTransaction },
}

/// What is left of it.
#[derive(Default, Serialize)]
struct Report {
    acknowledged: usize,
    /// Not in the database any more.
    lost: usize,
    first_lost: Option<String>,
    /// Why the guard signs nothing more, if it noticed something, and who did: the `file`'s check, the signer's `start`, or
    /// the `chain`, when the signer was told that it shows all acknowledged transactions.
    refused: Option<(&'static str, String)>,
    /// Acknowledged statements that were asked for again, and those of them whose opposite was signed.
    asked: usize,
    contradicted: usize,
    /// Signed after the cut.
    more: u64,
    /// Length of the audit chain.
    entries: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, folder, database, program, round, how @ ..] = arguments.as_slice() else {
        anyhow::bail!("load|check FOLDER DATABASE SIGNER ROUND [all|blind]");
    };
    let how = how.first().map(String::as_str);
    let home = Home::new(Path::new(folder), Path::new(database), Path::new(program), how == Some("blind"))?;
    let round = round.parse()?;
    match what.as_str() {
        "load" => home.load(round),
        "check" => {
            println!("{}", serde_json::to_string(&home.check(round, how == Some("all"))?)?);
            Ok(())
        }
        other => anyhow::bail!("load or check, not {other}"),
    }
}

/// Job and segment of each, as SQL has them.
type Receipts = BTreeSet<(i64, i64)>;

struct Home {
    folder: PathBuf,
    program: PathBuf,
    arguments: Arguments,
    known: Vec<Acknowledged>,
    blind: bool,
}

impl Home {
    fn new(folder: &Path, database: &Path, program: &Path, blind: bool) -> anyhow::Result<Self> {
        let file = |name: &str| folder.join(name);
        let (password_file, hex, keystore) = (file("password"), file("hex"), file("rig.json"));
        if !keystore.exists() {
            std::fs::write(&password_file, "p")?;
            std::fs::write(&hex, "11".repeat(32))?;
            let password = Password::File(password_file.clone());
            let made = keys::import(folder, Some("rig"), &Source::Hex(hex), &password, Format::V3, Cost::Light)?;
            anyhow::ensure!(made.path == keystore, "the keystore is {}", made.path.display());
        }
        let text = std::fs::read_to_string(file("acknowledged")).unwrap_or_default();
        let known = text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("acknowledged")?;
        let arguments = Arguments {
            keystore,
            password_file,
            database: database.into(),
            socket: file("socket"),
            role: Role::Operator,
            max_fee: None,
            owner: None,
        };
        Ok(Self { folder: folder.into(), program: program.into(), arguments, known, blind })
    }

    /// Until nothing is answered any more. The disk may go at any point, so no failure of the signer is one of this program.
    fn load(&self, round: u64) -> anyhow::Result<()> {
        let signer = match Signer::spawn(&self.program, &self.arguments) {
            Ok(signer) => signer,
            Err(SpawnError::Ended { status, .. }) => {
                eprintln!("no signer: {status}");
                return Ok(());
            }
            Err(other) => return Err(other.into()),
        };
        println!("{}", signer.pid()); // who cuts the power ends it
        let client = match Client::connect(signer.socket(), self.hello()) {
            Ok(client) => client.with_patience(Duration::ZERO),
            Err(error) => {
                eprintln!("no answer: {error}");
                return Ok(());
            }
        };
        if let Err(error) = client.see(&self.sight()) {
            eprintln!("not seen: {error}");
            return Ok(());
        }
        let log = Mutex::new(OpenOptions::new().create(true).append(true).open(self.folder.join("acknowledged"))?);
        let dead = AtomicBool::new(false);
        let first = self.transactions().count() as u64;
        std::thread::scope(|scope| {
            for lane in 0..=LANES {
                let (client, log, dead) = (&client, &log, &dead);
                scope.spawn(move || {
                    let job = JobId(round * (LANES + 1) + lane);
                    for number in if lane == 0 { first.. } else { 0.. } {
                        let done = match lane {
                            0 => send(client, log, round, number),
                            _ => receive(client, log, round, job, number),
                        };
                        if let Err(error) = done {
                            dead.store(true, Ordering::Release);
                            eprintln!("lane {lane} ends at {number}: {error}");
                        }
                        if dead.load(Ordering::Acquire) {
                            return;
                        }
                    }
                });
            }
        });
        Ok(())
    }

    fn check(&self, round: u64, all: bool) -> anyhow::Result<Report> {
        let mut report = Report { acknowledged: self.known.len(), ..Report::default() };
        let sound = match Store::inspect(&self.arguments.database) {
            Ok(Some(store)) => store.audit().and_then(|chain| chain.map(drop).map_err(NotSafe::Unsafe)),
            other => other.map(drop),
        };
        let (receipts, nonces) = self.on_record().unwrap_or_default(); // unreadable: all is lost
        for one in &self.known {
            let (kept, name) = match one {
                Acknowledged::Receipt { job, seq, .. } => {
                    (receipts.contains(&(job.cast_signed(), seq.cast_signed())), format!("receipt {seq} of job {job}"))
                }
                Acknowledged::Transaction { nonce, .. } => {
                    (nonces.contains(&nonce.cast_signed()), format!("transaction {nonce}"))
                }
            };
            if !kept {
                report.lost += 1;
                report.first_lost.get_or_insert(name);
            }
        }
        if let Err(reason) = sound {
            report.refused = Some(("file", reason.to_string()));
            return Ok(report);
        }
        let signer = match Signer::spawn(&self.program, &self.arguments) {
            Ok(signer) => signer,
            Err(ended) => {
                report.refused = Some(("start", ended.to_string()));
                return Ok(report);
            }
        };
        let client = Client::connect(signer.socket(), self.hello())
            .and_then(|client| client.see(&self.sight()).map(|()| client.with_patience(Duration::ZERO)));
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                report.refused = Some(("chain", error.to_string()));
                return Ok(report);
            }
        };
        self.ask_again(&client, round, all, &mut report)?;
        if report.contradicted > 0 {
            return Ok(report); // what is asked for now may be the opposite of that
        }
        for seq in 0..3 {
            client.sign_receipt(ask(JobId(MORE + round), seq)).context("after the cut")?;
            report.more += 1;
        }
        let next = self.transactions().count() as u64;
        // The next nonce may be on record, unanswered: then it has this very call.
        for seq in (0..u64::from(CLAIMED)).filter(|_| is_claim(next)) {
            client.sign_receipt(ask(claimed_job(next), seq)).context("after the cut")?;
        }
        client.sign_transaction(transaction(next)?).context("after the cut")?;
        report.more += 1;
        let ended = signer.stop()?;
        anyhow::ensure!(ended.code() == Some(0), "the signer ends with {ended}");
        let store = Store::inspect(&self.arguments.database)?.context("the database is gone")?;
        match store.audit()? {
            Ok(head) => report.entries = head.entries,
            Err(reason) => report.refused = Some(("file", reason)),
        }
        Ok(report)
    }

    /// The same request has the same answer, and its opposite none.
    fn ask_again(&self, client: &Client, round: u64, all: bool, report: &mut Report) -> anyhow::Result<()> {
        let (now, before): (Vec<_>, Vec<_>) = self.known.iter().partition(|one| match one {
            Acknowledged::Receipt { round: of, .. } | Acknowledged::Transaction { round: of, .. } => *of == round,
        });
        let stride = if all { 1 } else { before.len() / 200 + 1 };
        let asked: Vec<_> = now.into_iter().chain(before.into_iter().step_by(stride)).collect();
        report.asked = asked.len();
        let next = AtomicUsize::new(0);
        let lane = || {
            let mut contradicted = 0;
            while let Some(one) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                contradicted += usize::from(!holds(client, one)?);
            }
            anyhow::Ok(contradicted)
        };
        report.contradicted = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..16).map(|_| scope.spawn(lane)).collect();
            lanes
                .into_iter()
                .map(|lane| lane.join().map_err(|_| anyhow::anyhow!("a thread died"))?)
                .sum::<Result<_, _>>()
        })?;
        Ok(())
    }

    /// Receipts by job and segment, and nonces, whatever the guard thinks of the file.
    fn on_record(&self) -> rusqlite::Result<(Receipts, BTreeSet<i64>)> {
        let db = Connection::open_with_flags(&self.arguments.database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let mut receipts = db.prepare("SELECT job, seq FROM segment")?;
        let mut nonces = db.prepare("SELECT n FROM nonce")?;
        let receipts = receipts.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let nonces = nonces.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok((receipts, nonces))
    }

    fn transactions(&self) -> impl Iterator<Item = u64> {
        self.known.iter().filter_map(|one| match one {
            Acknowledged::Transaction { nonce, .. } => Some(*nonce),
            Acknowledged::Receipt { .. } => None,
        })
    }

    /// The chain has taken every acknowledged transaction, or nothing.
    fn hello(&self) -> Hello {
        let mut jobs = BTreeMap::new();
        for one in &self.known {
            if let Acknowledged::Receipt { job, .. } = one {
                jobs.entry(JobId(*job)).or_insert(SegmentNo(0));
            }
        }
        for nonce in self.transactions().filter(|nonce| is_claim(*nonce)) {
            jobs.insert(claimed_job(nonce), SegmentNo(u64::from(CLAIMED)));
        }
        if self.blind {
            jobs.clear();
        }
        let Domain { chain_id, .. } = domain();
        Hello { chain_id, genesis: B256::ZERO, addresses: addresses(), claims_on_chain: jobs.into_iter().collect() }
    }

    fn sight(&self) -> Sight {
        let claims = self.transactions().filter_map(|nonce| match transaction(nonce).ok()?.action {
            Action::Claim { job, first, count, root, .. } => Some(SeenClaim { job, first, count, root }),
            _ => None,
        });
        let nothing = Sight { nonce: 0, balance: Wei(10u128.pow(30)), open_claims: 0, claims: Vec::new() };
        if self.blind {
            return nothing;
        }
        let nonce = self.transactions().max().map_or(0, |last| last + 1);
        Sight { nonce, claims: claims.collect(), ..nothing }
    }
}

fn receive(client: &Client, log: &Mutex<File>, round: u64, job: JobId, seq: u64) -> anyhow::Result<()> {
    let signature = Bytes::copy_from_slice(&client.sign_receipt(ask(job, seq))?.as_bytes());
    note(log, &Acknowledged::Receipt { round, job: job.0, seq, signature })
}

fn send(client: &Client, log: &Mutex<File>, round: u64, nonce: u64) -> anyhow::Result<()> {
    if is_claim(nonce) {
        for seq in 0..u64::from(CLAIMED) {
            receive(client, log, round, claimed_job(nonce), seq)?;
        }
    }
    let signed = client.sign_transaction(transaction(nonce)?)?;
    note(log, &Acknowledged::Transaction { round, nonce, signed })
}

fn note(log: &Mutex<File>, one: &Acknowledged) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(one)?;
    line.push(b'\n');
    Ok(log.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)?)
}

/// Whether `one` still binds: its opposite is refused for the right reason, and it has the answer that it had.
fn holds(client: &Client, one: &Acknowledged) -> anyhow::Result<bool> {
    match one {
        Acknowledged::Receipt { job, seq, signature, .. } => {
            let mut other = ask(JobId(*job), *seq);
            other.receipt.out_bytes += 1;
            let refused = refused_by(client.sign_receipt(other), &[Rule::Equivocation])?;
            Ok(refused && client.sign_receipt(ask(JobId(*job), *seq))?.as_bytes()[..] == signature[..])
        }
        Acknowledged::Transaction { nonce, signed, .. } => {
            let mine = transaction(*nonce)?;
            let other = TransactionRequest { action: Action::WithdrawStake { nth: 0 }, ..mine.clone() };
            let mut refused = refused_by(client.sign_transaction(other), &[Rule::NonceReuse])?;
            if is_claim(*nonce) {
                // The same range under a nonce that nothing has: the second claim of one piece of work.
                let twice = TransactionRequest { nonce: MORE + nonce, ..mine.clone() };
                refused &= refused_by(client.sign_transaction(twice), &[Rule::DoubleClaim])?;
            }
            Ok(refused && client.sign_transaction(mine)? == *signed)
        }
    }
}

/// `false` when it was signed or refused for another reason; an error when there was no answer.
fn refused_by<T>(answer: Result<T, Error>, rules: &[Rule]) -> anyhow::Result<bool> {
    match answer {
        Ok(_) => Ok(false),
        Err(Error::Refused { rule, .. }) => Ok(rules.contains(&rule)),
        Err(other) => Err(other.into()),
    }
}

fn is_claim(nonce: u64) -> bool {
    nonce % 4 == 3
}

fn claimed_job(nonce: u64) -> JobId {
    JobId((1 << 32) + nonce)
}

/// The transaction with this nonce: a claim or a bond.
fn transaction(nonce: u64) -> anyhow::Result<TransactionRequest> {
    let action = if is_claim(nonce) {
        let job = claimed_job(nonce);
        let leaves: Vec<_> = (0..u64::from(CLAIMED)).map(|seq| ask(job, seq).receipt.leaf()).collect();
        let root = SumTree::new(&leaves).context("too many leaves")?.root();
        Action::Claim { job, first: SegmentNo(0), count: CLAIMED, root: root.hash, units: Units(root.sum) }
    } else {
        Action::Bond { amount: u128::from(nonce), nth: 0 }
    };
    let (max_fee_per_gas, max_priority_fee_per_gas) = (Wei(20_000_000_000), Wei(1_000_000_000));
    Ok(TransactionRequest { action, nonce, gas_limit: 500_000, max_fee_per_gas, max_priority_fee_per_gas })
}

/// The contracts, wherever they may be.
fn addresses() -> Addresses {
    let [token, registry, market, book, profiles, router] = [1, 2, 3, 4, 5, 6].map(Address::repeat_byte);
    Addresses { token, registry, market, book, profiles, router, ..Addresses::default() }
}

fn domain() -> Domain {
    Domain { chain_id: 31337, market: addresses().market }
}

/// One honest receipt, its order signed by a client key known to all.
fn ask(job: JobId, seq: u64) -> ReceiptRequest {
    let secret = k256::ecdsa::SigningKey::from_slice(&[0x22; 32]).expect("a constant in range");
    let src_root = B256::from(U256::from(seq + 1));
    let order = Segment { job, seq: SegmentNo(seq), src_root, src_bytes: 900_000, duration_ms: 2000 };
    let signature =
        secret.sign_prehash_recoverable(order.signing_hash(&domain()).as_slice()).expect("a hash is signed");
    let order_signature = Bytes::copy_from_slice(&Signature::from(signature).as_bytes());
    let out_root = B256::repeat_byte(5);
    let receipt = Receipt { job, seq: order.seq, src_root, out_root, units: Units(1000 + seq), out_bytes: 700_000 };
    ReceiptRequest { order, order_signature, client: Address::from_public_key(secret.verifying_key()), receipt }
}
