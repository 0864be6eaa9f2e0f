//! A disk that fails, and one that is slow, beneath the real program.

use crate::support::*;
use headframe_guard::client::{self, Client, Error};
use headframe_guard::rules::Rule;
use headframe_guard::store::Store;
use headframe_market::{Action, B256, ClaimId, Role};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the disk does with a synchronisation.
#[derive(Clone, Copy)]
enum Manner {
    Well = 0,
    Fails = 1,
    Slow = 2,
}

/// `disk.c` between a signer and its disk.
struct Disk {
    state: std::fs::File,
}

impl Disk {
    fn beneath(home: &Home) -> (Self, Child) {
        let (library, state) = (home.path("disk.so"), home.path("disk"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard/disk.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(made.expect("this test needs a C compiler").success());
        std::fs::write(&state, [0; 16]).unwrap();
        let mut command = home.command(&[]);
        let child = command.env("LD_PRELOAD", library).env("HEADFRAME_TEST_DISK", &state).spawn().unwrap();
        client::identify(&home.arguments.socket).unwrap();
        (Self { state: std::fs::OpenOptions::new().read(true).write(true).open(state).unwrap() }, child)
    }

    fn set(&self, manner: Manner) {
        self.state.write_all_at(&(manner as u64).to_ne_bytes(), 0).unwrap();
    }

    fn synchronisations(&self) -> u64 {
        let mut count = [0; 8];
        self.state.read_exact_at(&mut count, 8).unwrap();
        u64::from_ne_bytes(count)
    }
}

/// The kernel reports a failed write-back once and may then drop the pages: what a second fsync says means nothing.
#[test]
fn a_failed_fsync_ends_it_with_79_and_is_not_tried_again() {
    let home = Home::new(Role::Operator);
    let (disk, mut child) = Disk::beneath(&home);
    let client = home.client().with_patience(Duration::ZERO);
    for seq in 0..3 {
        client.sign_receipt(ask(JOB, seq)).unwrap();
    }
    let before = disk.synchronisations();
    assert!(before >= 3, "the library is not in use: {before}");
    disk.set(Manner::Fails);
    let reason = match client.sign_receipt(ask(JOB, 3)) {
        Err(Error::Unsafe { reason }) => reason,
        other => panic!("expected Unsafe, got {other:?}"),
    };
    assert!(reason.contains("the disk of the guard database fails") && reason.contains("smartctl"), "{reason}");
    let after = client.sign_receipt(ask(JOB, 0));
    assert!(matches!(after, Err(Error::Unsafe { .. } | Error::Unavailable { .. })), "{after:?}");
    assert_eq!(exit_code(|| child.try_wait()), 79);
    assert_eq!(disk.synchronisations(), before + 1, "it was tried again");
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.contains("unsafe to run, nothing more is signed"), "{log}");

    // With the disk mended, everything that was acknowledged is there.
    let store = Store::inspect(&home.path("guard.db")).unwrap().unwrap();
    assert!((3..=4).contains(&store.counts().segments), "{:?}", store.counts());
    drop(store);
    let _signer = home.spawn();
    for seq in 0..4 {
        home.client().sign_receipt(ask(JOB, seq)).unwrap();
    }
}

#[test]
fn a_slow_disk_makes_commits_larger_and_loses_nothing() {
    const LANES: u64 = 32;
    let home = Home::new(Role::Operator);
    let (disk, mut child) = Disk::beneath(&home);
    let client = Client::connect(&home.arguments.socket, hello(&[])).unwrap();
    client.see(&sight(0)).unwrap();
    disk.set(Manner::Slow);
    let (before, next) = (disk.synchronisations(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let seq @ 0..128 = next.fetch_add(1, Ordering::Relaxed) {
                    client.sign_receipt(ask(JOB, seq)).unwrap();
                }
            });
        }
    });
    let commits = disk.synchronisations() - before;
    assert!(commits <= 32, "{commits} synchronisations for 128 receipts of {LANES} who ask at once");
    // What has a deadline waits for at most the commit that is on its way and its own.
    let begun = std::time::Instant::now();
    client.sign_transaction(send(claim(JOB, 0, 128), 0)).unwrap();
    println!("{commits} synchronisations, then a claim in {:?}", begun.elapsed());
    disk.set(Manner::Well);
    child.kill().unwrap();
    child.wait().unwrap();
    let store = Store::inspect(&home.path("guard.db")).unwrap().unwrap();
    assert_eq!((store.counts().segments, store.counts().claims), (128, 1));
}

/// A small disk in memory, in a mount namespace of the test's own. As root; elsewhere it is skipped and says so.
#[test]
fn a_full_disk_takes_proofs_and_no_claims_until_there_is_room() {
    const INSIDE: &str = "HEADFRAME_OWN_DISK";
    let Some(disk) = std::env::var_os(INSIDE) else {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "mount -t tmpfs -o size=160m disk \"$0\" || { echo cannot mount; exit 0; }; exec \"$@\" --nocapture";
        let test = "disk::a_full_disk_takes_proofs_and_no_claims_until_there_is_room";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(folder.path()).arg(std::env::current_exe().unwrap());
        let output = command.args(["--exact", test]).env(INSIDE, folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        if !said.contains("running 1 test") {
            println!("skipped: needs root: {said}");
            return;
        }
        assert!(output.status.success(), "{said}");
        return;
    };
    let mut home = Home::new(Role::Operator);
    home.arguments.database = Path::new(&disk).join("guard.db");
    let filler = Path::new(&disk).join("filler");
    let signer = home.spawn();
    let client = home.client().with_patience(Duration::ZERO);
    for seq in 0..12 {
        client.sign_receipt(ask(JOB, seq)).unwrap();
    }
    client.sign_transaction(send(claim(JOB, 0, 4), 0)).unwrap();
    let fill = || {
        let mut rest = std::fs::File::create(&filler).unwrap();
        while rest.write_all(&[1; 4096]).is_ok() {}
    };
    let seal = |nth: u64| Action::Seal { claim: ClaimId(nth), header: vec![1; 600].into(), preimage: B256::ZERO };
    fill();
    let refused = |outcome: Result<_, Error>| match outcome {
        Err(Error::Refused { rule, reason }) => {
            assert!(rule == Rule::Reserve && reason.contains("disk"), "{rule}: {reason}")
        }
        other => panic!("expected a refusal, got {other:?}"),
    };
    // The journal has room for some more; then nothing but proofs has.
    let mut nonce = 1;
    while client.sign_transaction(send(Action::Withdraw { nth: nonce }, nonce)).is_ok() {
        nonce += 1;
        assert!(nonce < 100_000, "the disk is never full");
    }
    refused(client.sign_transaction(send(Action::Withdraw { nth: nonce }, nonce)));
    refused(client.sign_transaction(send(claim(JOB, 4, 4), nonce)));
    let unavailable = client.sign_receipt(ask(JOB, 12)).unwrap_err().to_string();
    assert!(unavailable.contains("disk of the guard database is full"), "{unavailable}");
    for nth in 0..200 {
        client.sign_transaction(send(seal(nth), nonce + nth)).unwrap();
    }
    assert!(!Path::new(&disk).join("guard.db.ballast").exists(), "it was not needed");
    refused(client.sign_transaction(send(claim(JOB, 4, 4), nonce + 200)));

    std::fs::remove_file(&filler).unwrap();
    client.sign_transaction(send(claim(JOB, 4, 4), nonce + 200)).unwrap();
    client.sign_receipt(ask(JOB, 12)).unwrap();
    assert!(Path::new(&disk).join("guard.db.ballast").exists());

    // It starts on a full disk, too.
    fill();
    drop((client, signer));
    let _signer = home.spawn();
    let client = Client::connect(&home.arguments.socket, hello(&[])).unwrap();
    client.sign_transaction(send(seal(200), nonce + 201)).unwrap();
}
