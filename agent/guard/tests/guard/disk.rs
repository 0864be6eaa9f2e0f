//! A disk that fails, and one that is slow, beneath the real program.

use crate::support::*;
use headframe_guard::client::{self, Client, Error};
use headframe_guard::rules::Rule;
use headframe_guard::server::MAX_CLIENTS;
use headframe_guard::store::Store;
use headframe_market::{Action, B256, ClaimId, Role};
use rustix::thread::{Pid, gettid};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

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

    /// From here on each synchronisation fails.
    fn fail(&self) {
        self.state.write_all_at(&1u64.to_ne_bytes(), 0).unwrap();
    }

    /// Synchronisations wait until this is dropped.
    fn hold(&self) -> Held<'_> {
        self.state.lock().unwrap();
        Held(self)
    }

    fn synchronisations(&self) -> u64 {
        let mut count = [0; 8];
        self.state.read_exact_at(&mut count, 8).unwrap();
        u64::from_ne_bytes(count)
    }
}

struct Held<'a>(&'a Disk);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state.unlock().unwrap();
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
    disk.fail();
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

/// How often a thread has slept, while it sleeps.
fn asleep(thread: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(thread.join("status")).ok()?;
    let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let slept = value("voluntary_ctxt_switches:")?.parse().ok()?;
    value("State:")?.starts_with('S').then_some(slept)
}

/// Until all threads of the signer and those of this process which ask it wait for something at once: none was awake between
/// two looks at all of them.
fn all_wait(signer: &Child, lanes: &[Pid]) {
    let lanes = lanes.iter().map(|lane| PathBuf::from(format!("/proc/self/task/{}", lane.as_raw_nonzero())));
    let lanes: Vec<_> = lanes.collect();
    let look = || {
        let signers = std::fs::read_dir(format!("/proc/{}/task", signer.id())).unwrap();
        let mut threads: Vec<_> = signers.map(|thread| thread.unwrap().path()).chain(lanes.clone()).collect();
        threads.sort();
        threads.into_iter().map(|thread| Some((asleep(&thread)?, thread))).collect::<Option<Vec<_>>>()
    };
    while look().is_none_or(|all| look() != Some(all)) {
        assert!(lanes.iter().all(|lane| lane.exists()), "one that asked has its answer before the disk has the record");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Receipts of as many who ask while the disk is held, then let go: how many synchronisations they took.
fn sign_at_once(client: &Client, disk: &Disk, signer: &Child, seqs: Range<u64>) -> u64 {
    let before = disk.synchronisations();
    std::thread::scope(|scope| {
        let held = disk.hold();
        let (begun, lanes) = mpsc::channel();
        for seq in seqs.clone() {
            let begun = begun.clone();
            scope.spawn(move || {
                begun.send(gettid()).unwrap();
                client.sign_receipt(ask(JOB, seq)).unwrap();
            });
        }
        let lanes: Vec<Pid> = seqs.map(|_| lanes.recv().unwrap()).collect();
        all_wait(signer, &lanes);
        drop(held);
    });
    disk.synchronisations() - before
}

#[test]
fn a_slow_disk_makes_commits_larger_and_loses_nothing() {
    const LANES: u64 = 32;
    let home = Home::new(Role::Operator);
    let (disk, mut child) = Disk::beneath(&home);
    let client = home.client();
    // In the first round they are introduced, and that waits for a commit. Then come 128 receipts.
    for round in 0..5 {
        let commits = sign_at_once(&client, &disk, &child, round * LANES..(round + 1) * LANES);
        assert!(round == 0 || commits == 2, "one receipt, then all others at once, not {commits} commits in {round}");
    }
    client.sign_transaction(send(claim(JOB, 0, 160), 0)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let store = Store::inspect(&home.path("guard.db")).unwrap().unwrap();
    assert_eq!((store.counts().segments, store.counts().claims), (160, 1));
}

#[test]
fn more_who_ask_at_once_than_a_signer_has_connections_wait_for_each_other() {
    let home = Home::new(Role::Operator);
    let (disk, mut child) = Disk::beneath(&home);
    let client = home.client();
    sign_at_once(&client, &disk, &child, 0..MAX_CLIENTS as u64 + 16);
    assert!(client.status().unwrap().healthy);
    child.kill().unwrap();
    child.wait().unwrap();
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
