//! The real program: what was acknowledged survives, and it behaves as a service should.

use crate::support::*;
use headframe_guard::client::{self, Error};
use headframe_guard::rules::Rule;
use headframe_guard::{Client, Signer};
use headframe_market::{Action, B256, JobId, Role, SegmentNo};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn the_whole_way_through_the_socket() {
    let home = Home::new(Role::Operator);
    let signer = home.spawn();
    let identity = client::identify(signer.socket()).unwrap();
    assert_eq!((identity.address, identity.role), (rig_key().address(), Role::Operator));
    assert!(!home.path("guard.db").exists(), "the database is made by the first Hello");
    let client = home.client();
    assert_eq!(client.identity(), identity);
    for seq in 0..3 {
        let signature = client.sign_receipt(ask(JOB, seq)).unwrap();
        assert_eq!(ask(JOB, seq).receipt.signer(&domain(), &signature), Some(identity.address));
    }
    let signed = client.sign_transaction(send(claim(JOB, 0, 3), 0)).unwrap();
    check_transaction(&signed, &claim(JOB, 0, 3), identity.address);
    let bond = client.sign_transaction(send(Action::Bond { amount: 1000 * 10u128.pow(18), nth: 0 }, 1)).unwrap();
    check_transaction(&bond, &Action::Bond { amount: 1000 * 10u128.pow(18), nth: 0 }, identity.address);
    let evidence = client.receipts(JOB, SegmentNo(0), 4096).unwrap();
    assert_eq!(evidence.len(), 3);
    assert_eq!(evidence[2].leaf, ask(JOB, 2).receipt.leaf());
    let jobs = client.jobs().unwrap();
    assert_eq!((jobs[0].claimed, jobs[0].unclaimed), (3, 0));
    let report = client.sign_report("headframe-bench 0.1", B256::repeat_byte(1)).unwrap();
    let hash = headframe_market::typed_data::bench_report_hash("headframe-bench 0.1", B256::repeat_byte(1));
    assert_eq!(report.recover_address_from_prehash(&hash).unwrap(), identity.address);
    let status = client.status().unwrap();
    assert!(status.healthy && status.database_open);
    assert_eq!((status.segments, status.claims, status.nonces), (3, 1, 2));
    let refused = client.sign_transaction(send(claim(JOB, 0, 3), 2)).unwrap_err();
    assert!(matches!(refused, Error::Refused { rule: Rule::DoubleClaim, .. }), "{refused}");
    assert_eq!(signer.stop().unwrap().code(), Some(0), "it ends with the process that started it");
    assert!(!home.path("signer.sock").exists());
}

fn check_transaction(
    signed: &headframe_guard::protocol::SignedTransaction,
    action: &Action,
    from: headframe_market::Address,
) {
    use alloy_consensus::{Transaction, transaction::SignerRecoverable};
    use alloy_eips::eip2718::Decodable2718;
    let decoded = alloy_consensus::TxEnvelope::decode_2718_exact(&signed.raw).unwrap();
    let call = action.call(&addresses());
    assert!(decoded.is_eip1559());
    assert_eq!(decoded.recover_signer().unwrap(), from);
    assert_eq!(*decoded.tx_hash(), signed.hash);
    assert_eq!((decoded.to(), decoded.input(), decoded.chain_id()), (Some(call.to), &call.input, Some(31337)));
}

/// As with a journal that hangs: the pipe is full after 64 KiB, and this says four times as much.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let home = Home::new(Role::Operator);
    let mut child = home.command(&[]).spawn().unwrap();
    client::identify(&home.arguments.socket).unwrap();
    let client = home.client();
    client.sign_receipt(ask(JOB, 0)).unwrap();
    let mut other = ask(JOB, 0);
    other.receipt.out_root = B256::ZERO;
    for _ in 0..1500 {
        let refused = client.sign_receipt(other.clone()).unwrap_err();
        assert!(matches!(refused, Error::Refused { rule: Rule::Equivocation, .. }), "{refused}");
    }
    client.sign_receipt(ask(JOB, 1)).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(exit_code(|| child.try_wait()), 0, "nor does it keep it from ending");
    let mut log = Vec::new();
    std::io::Read::read_to_end(&mut child.stderr.take().unwrap(), &mut log).unwrap();
    // A line that does not fit whole is not begun.
    assert!(log.len() > 60_000, "the pipe was never full: {} bytes", log.len());
}

/// libfaketime (Debian: faketime) shows the signer another time.
#[test]
fn a_wrong_clock_changes_no_verdict() {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let Some(library) = found.find(|path| path.exists()) else {
        println!("skipped: libfaketime is not there (Debian: faketime)");
        return;
    };
    let home = Home::new(Role::Operator);
    let mut signatures = Vec::new();
    for (nth, clock) in ["+3650d", "-3650d", "2001-01-01 00:00:00"].into_iter().enumerate() {
        let mut command = home.command(&[]);
        command.env("LD_PRELOAD", &library).env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let mut child = command.spawn().unwrap();
        client::identify(&home.arguments.socket).unwrap();
        let client = home.client();
        signatures.push(client.sign_receipt(ask(JOB, nth as u64)).unwrap());
        for (seq, signature) in signatures.iter().enumerate() {
            assert_eq!(client.sign_receipt(ask(JOB, seq as u64)).unwrap(), *signature, "{clock}");
        }
        let mut other = ask(JOB, 0);
        other.receipt.out_root = B256::ZERO;
        let refused = client.sign_receipt(other).unwrap_err();
        assert!(matches!(refused, Error::Refused { rule: Rule::Equivocation, .. }), "{clock}: {refused}");
        drop(client);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let db = rusqlite::Connection::open(home.path("guard.db")).unwrap();
    let years: Vec<i64> = db
        .prepare("SELECT CAST(strftime('%Y', created, 'unixepoch') AS INTEGER) FROM segment ORDER BY seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(years[0] > years[1] + 15 && years[2] == 2001, "the clock was right, so this shows nothing: {years:?}");
}

#[test]
fn pages_of_receipts_and_jobs_are_put_together() {
    let home = Home::new(Role::Client);
    let signer = home.spawn();
    let client = Client::connect(signer.socket(), hello(&[])).unwrap();
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let job @ 0..1030 = next.fetch_add(1, Ordering::Relaxed) {
                    client.sign_segment(order(JobId(job), 0)).unwrap();
                }
            });
        }
    });
    let jobs = client.jobs().unwrap();
    assert_eq!(jobs.len(), 1030);
    assert!(jobs.iter().zip(0..).all(|(one, job)| one.job == JobId(job) && one.unclaimed == 1));
    let error = client.receipts(JOB, SegmentNo(0), 4097).unwrap_err();
    assert!(matches!(error, Error::Refused { rule: Rule::Request, .. }), "{error}");
}

/// What the signer acknowledged before it was killed.
#[derive(Default)]
struct Acknowledged {
    receipts: Vec<(JobId, u64, headframe_market::Signature)>,
    transactions: Vec<(u64, headframe_guard::protocol::SignedTransaction)>,
}

/// `HEADFRAME_KILLS=200` is what `./run test guard-kill` does.
#[test]
fn kill_9_loses_nothing_acknowledged() {
    use rand::Rng;
    let kills: u64 = std::env::var("HEADFRAME_KILLS").map_or(8, |text| text.parse().unwrap());
    let home = Home::new(Role::Operator);
    let all = Mutex::new(Acknowledged::default());
    let bond = |nonce: u64| send(Action::Bond { amount: u128::from(nonce), nth: 0 }, nonce);
    let mut idle = 0;
    for round in 0..kills {
        let signer = home.spawn();
        let client = home.client().with_patience(Duration::ZERO);
        let dead = AtomicBool::new(false);
        let before = all.lock().unwrap().receipts.len();
        // From before the first acknowledgement to hundreds after it.
        let moment = Duration::from_micros(rand::rng().random_range(0..80_000));
        std::thread::scope(|scope| {
            for lane in 0..6u64 {
                let (client, all, dead) = (&client, &all, &dead);
                scope.spawn(move || {
                    let job = JobId(round * 6 + lane);
                    for seq in 0.. {
                        if dead.load(Ordering::Acquire) {
                            return;
                        }
                        if lane == 0 {
                            let nonce = round * 100_000 + seq;
                            if let Ok(signed) = client.sign_transaction(bond(nonce)) {
                                all.lock().unwrap().transactions.push((nonce, signed));
                            }
                        } else if let Ok(signature) = client.sign_receipt(ask(job, seq)) {
                            all.lock().unwrap().receipts.push((job, seq, signature));
                        }
                    }
                });
            }
            std::thread::sleep(moment);
            kill_9(signer.pid());
            dead.store(true, Ordering::Release);
        });
        idle += u64::from(all.lock().unwrap().receipts.len() == before);
    }
    let Acknowledged { receipts, transactions } = all.into_inner().unwrap();
    println!(
        "{kills} kills, {idle} of them before the first receipt; acknowledged: {} receipts, {} transactions",
        receipts.len(),
        transactions.len()
    );
    assert!(idle < kills && !transactions.is_empty(), "nothing was under load");
    let signer = home.spawn();
    let client = home.client();
    // Many at once share their commits.
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some((job, seq, signature)) = receipts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut other = ask(*job, *seq);
                    other.receipt.out_bytes += 1;
                    let refused = client.sign_receipt(other);
                    let lost = format!("receipt {seq} of job {job} was acknowledged and is lost");
                    assert!(
                        matches!(refused, Err(Error::Refused { rule: Rule::Equivocation, .. })),
                        "{lost}: {refused:?}"
                    );
                    assert_eq!(client.sign_receipt(ask(*job, *seq)).unwrap(), *signature);
                }
            });
        }
    });
    for (nonce, signed) in &transactions {
        let other = client.sign_transaction(send(Action::WithdrawStake { nth: 0 }, *nonce));
        assert!(
            matches!(other, Err(Error::Refused { rule: Rule::NonceReuse, .. })),
            "nonce {nonce} is lost: {other:?}"
        );
        assert_eq!(client.sign_transaction(bond(*nonce)).unwrap(), *signed);
    }
    assert_eq!(signer.stop().unwrap().code(), Some(0));
    let store = headframe_guard::store::Store::inspect(&home.path("guard.db")).unwrap().unwrap();
    let head = store.audit().unwrap().unwrap();
    assert!(head.entries >= (receipts.len() + transactions.len()) as u64);
    assert_eq!(store.generation().unwrap(), kills + 1, "one for each start");
}

#[test]
fn kill_9_between_record_and_answer_claims_nothing_twice() {
    let home = Home::new(Role::Operator);
    let signer = home.spawn();
    let client = home.client();
    for seq in 0..4 {
        client.sign_receipt(ask(JOB, seq)).unwrap();
    }
    let request = headframe_guard::protocol::Request::SignTransaction(send(claim(JOB, 0, 4), 0));
    let mut stream = std::os::unix::net::UnixStream::connect(signer.socket()).unwrap();
    headframe_guard::protocol::write_frame(&mut stream, &headframe_guard::protocol::Request::Hello(hello(&[])))
        .unwrap();
    headframe_guard::protocol::write_frame(&mut stream, &request).unwrap();
    kill_9(signer.pid()); // the answer, if any, is never read
    drop(signer);
    let signer = home.spawn();
    // Whether or not the record was made, this nonce may have the claim, and then no other nonce has it.
    let signed = client.sign_transaction(send(claim(JOB, 0, 4), 0)).unwrap();
    assert_eq!(client.sign_transaction(send(claim(JOB, 0, 4), 0)).unwrap(), signed);
    let twice = client.sign_transaction(send(claim(JOB, 0, 4), 1)).unwrap_err();
    assert!(matches!(twice, Error::Refused { rule: Rule::DoubleClaim, .. }), "{twice}");
    drop(signer);
}

#[test]
fn a_client_finds_the_restarted_signer() {
    let home = Home::new(Role::Operator);
    let signer = home.spawn();
    let client = Client::connect(signer.socket(), hello(&[])).unwrap();
    let signature = client.sign_receipt(ask(JOB, 0)).unwrap();
    kill_9(signer.pid());
    drop(signer);
    assert!(home.path("signer.sock").exists(), "a killed signer leaves its socket behind");
    let again = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.sign_receipt(ask(JOB, 0)));
        let signer = home.spawn();
        (waiting.join().unwrap(), signer)
    });
    assert_eq!(again.0.unwrap(), signature);
    let _: Signer = again.1;
}

#[test]
fn the_wrong_role_is_refused() {
    let home = Home::new(Role::Client);
    let signer = home.spawn();
    let client = Client::connect(signer.socket(), hello(&[])).unwrap();
    let is_role = |error: Error| matches!(error, Error::Refused { rule: Rule::Role, .. });
    assert!(is_role(client.sign_receipt(ask(JOB, 0)).unwrap_err()));
    assert!(is_role(client.sign_bid(offer()).unwrap_err()));
    assert!(is_role(client.sign_transaction(send(Action::StartJob { job: JOB }, 0)).unwrap_err()));
    client.sign_segment(order(JOB, 0)).unwrap();
    client.sign_transaction(send(Action::CloseJob { job: JOB }, 0)).unwrap();
}

#[test]
fn sigterm_ends_it_cleanly_and_it_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new(Role::Operator);
    let mut child = home.command(&["--log-json"]).spawn().unwrap();
    let client = Client::connect(&home.arguments.socket, hello(&[])).unwrap();
    client.sign_receipt(ask(JOB, 0)).unwrap();
    let mode = std::fs::metadata(&home.arguments.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    terminate(&child);
    assert_eq!(exit_code(|| child.try_wait()), 0);
    assert!(!home.arguments.socket.exists());
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.lines().count() >= 3);
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

#[test]
fn help_teaches_and_wrong_configuration_is_exit_78() {
    let home = Home::new(Role::Operator);
    let help = home.command(&["--help"]).output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for word in ["--keystore", "HEADFRAME_SIGNER_DATABASE", "79", "never run two signers"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    std::fs::write(home.path("password"), "wrong\n").unwrap();
    let (code, log) = home.refuses(&[]);
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("password does not open"), "{log}");
    let ended = Signer::spawn(&program(), &home.arguments).unwrap_err();
    assert_eq!(ended.exit_code(), 78);
    std::fs::write(home.path("password"), "correct horse\n").unwrap();
    std::fs::write(&home.arguments.socket, "a file").unwrap();
    assert_eq!(home.refuses(&[]).0, 78);
    assert!(home.arguments.socket.exists(), "what is no socket is not removed");
}
