//! A rig, its client and their statements.

use headframe_guard::client::Client;
use headframe_guard::keys::{self, Cost, Format, Key, Password, Signing};
use headframe_guard::protocol::{Hello, ReceiptRequest, Sight, TransactionRequest};
use headframe_guard::rules::{Means, NotSafe, Pinned, Rule};
use headframe_guard::spawn::{Arguments, Signer};
use headframe_guard::store::Store;
use headframe_market::merkle::SumTree;
use headframe_market::typed_data::Domain;
use headframe_market::{
    Action, Address, Addresses, B256, Bid, Bytes, JobId, Price, Receipt, Role, Segment, SegmentNo, Signature,
    Timestamp, U256,
};
use headframe_market::{Units, Wei};
use k256::ecdsa::SigningKey;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const JOB: JobId = JobId(7);
pub(crate) const CAP: Wei = Wei(100_000_000_000_000_000);
pub(crate) const RICH: Means = Means { balance: Wei(10u128.pow(18)), open_claims: 0 };

pub(crate) fn rig_key() -> Key {
    Key::from_bytes(&[0x11; 32]).unwrap()
}

pub(crate) fn secret(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

pub(crate) fn client_address() -> Address {
    Address::from_public_key(secret(0x22).verifying_key())
}

/// An offer of the rig's key.
pub(crate) fn offer() -> Bid {
    Bid {
        order: B256::repeat_byte(3),
        operator: rig_key().address(),
        price: Price::new(5).unwrap(),
        expiry: Timestamp(100),
        nonce: U256::MAX,
    }
}

pub(crate) fn addresses() -> Addresses {
    let at = Address::repeat_byte;
    Addresses {
        token: at(1),
        registry: at(2),
        market: at(3),
        book: at(4),
        profiles: at(5),
        router: at(6),
        rewards: at(7),
        active_set: at(8),
    }
}

pub(crate) fn hello(claims_on_chain: &[(JobId, u64)]) -> Hello {
    let claims_on_chain = claims_on_chain.iter().map(|(job, next)| (*job, SegmentNo(*next))).collect();
    Hello { chain_id: 31337, genesis: B256::repeat_byte(9), addresses: addresses(), claims_on_chain }
}

/// The chain as a signer likes it: `nonce` transactions so far, coin enough, no claims.
pub(crate) fn sight(nonce: u64) -> Sight {
    Sight { nonce, balance: RICH.balance, open_claims: 0, claims: vec![] }
}

pub(crate) fn pinned(role: Role) -> Pinned {
    let Hello { chain_id, genesis, addresses, .. } = hello(&[]);
    Pinned { chain_id, genesis, addresses, address: rig_key().address(), role }
}

pub(crate) fn domain() -> Domain {
    pinned(Role::Operator).domain()
}

pub(crate) fn order(job: JobId, seq: u64) -> Segment {
    let src_root = B256::from(headframe_market::U256::from(seq + 1));
    Segment { job, seq: SegmentNo(seq), src_root, src_bytes: 900_000 + seq, duration_ms: 2000 }
}

pub(crate) fn sign_order(by: &SigningKey, order: &Segment) -> Bytes {
    let hash = order.signing_hash(&domain());
    let signature = Signature::from(by.sign_prehash_recoverable(hash.as_slice()).unwrap());
    Bytes::copy_from_slice(&signature.as_bytes())
}

/// The request for a receipt that the rules have nothing against.
pub(crate) fn ask(job: JobId, seq: u64) -> ReceiptRequest {
    let order = order(job, seq);
    let receipt = Receipt {
        job,
        seq: order.seq,
        src_root: order.src_root,
        out_root: B256::repeat_byte(5),
        units: Units(1000 + seq),
        out_bytes: 700_000,
    };
    ReceiptRequest { order_signature: sign_order(&secret(0x22), &order), order, client: client_address(), receipt }
}

/// The honest claim of segments that [`ask`] made.
pub(crate) fn claim(job: JobId, first: u64, count: u32) -> Action {
    let leaves: Vec<_> = (first..first + u64::from(count)).map(|seq| ask(job, seq).receipt.leaf()).collect();
    let root = SumTree::new(&leaves).unwrap().root();
    Action::Claim { job, first: SegmentNo(first), count, root: root.hash, units: Units(root.sum) }
}

pub(crate) fn send(action: Action, nonce: u64) -> TransactionRequest {
    TransactionRequest {
        action,
        nonce,
        gas_limit: 500_000,
        max_fee_per_gas: Wei(20_000_000_000),
        max_priority_fee_per_gas: Wei(1_000_000_000),
    }
}

#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, NotSafe>, expected: Rule) -> String {
    match outcome {
        Err(NotSafe::Refused { rule, reason }) => {
            assert_eq!(rule, expected, "{reason}");
            reason
        }
        other => panic!("expected a refusal by {expected}, got {other:?}"),
    }
}

/// A store in a folder of its own.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) key: Key,
}

impl Rig {
    pub(crate) fn new(role: Role) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::create(&folder.path().join("guard.db"), pinned(role)).unwrap();
        Self { folder, store, key: rig_key() }
    }

    /// With receipts for the first `count` segments of [`JOB`].
    pub(crate) fn with_receipts(count: u64) -> Self {
        let rig = Self::new(Role::Operator);
        for seq in 0..count {
            rig.receipt(ask(JOB, seq)).unwrap();
        }
        rig
    }

    pub(crate) fn receipt(&self, ask: ReceiptRequest) -> Result<Signature, NotSafe> {
        Ok(self.key.sign_receipt(self.store.permit_receipt(ask)?).unwrap())
    }

    pub(crate) fn transaction(&self, action: Action, nonce: u64) -> Result<Bytes, NotSafe> {
        Ok(self
            .key
            .sign_transaction(self.store.permit_transaction(&send(action, nonce), CAP, Some(RICH))?)
            .unwrap()
            .raw)
    }

    /// Closes and opens the database.
    pub(crate) fn reopened(self) -> Self {
        let Self { folder, store, key } = self;
        let (path, role) = (store.path().to_owned(), store.pinned().role);
        drop(store);
        let store = Store::open(&path, key.address(), role).unwrap().unwrap();
        Self { folder, store, key }
    }
}

/// A folder with a keystore, for the real program.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
    pub(crate) arguments: Arguments,
}

impl Home {
    pub(crate) fn new(role: Role) -> Self {
        let folder = TempDir::new().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("password"), "correct horse\n").unwrap();
        std::fs::write(file("hex"), "11".repeat(32)).unwrap();
        let password = Password::File(file("password"));
        let source = keys::Source::Hex(file("hex"));
        let made = keys::import(&file("keys"), Some("rig"), &source, &password, Format::V3, Cost::Light).unwrap();
        let arguments = Arguments {
            keystore: made.path,
            password_file: file("password"),
            database: file("guard.db"),
            socket: file("signer.sock"),
            role,
            max_fee: None,
            owner: None,
        };
        Self { folder, arguments }
    }

    pub(crate) fn spawn(&self) -> Signer {
        Signer::spawn(&program(), &self.arguments).unwrap()
    }

    /// Introduced to a running signer, which has been told of an account without transactions.
    pub(crate) fn client(&self) -> Client {
        let client = Client::connect(&self.arguments.socket, hello(&[])).unwrap();
        client.see(&sight(0)).unwrap();
        client
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program run by hand, with its log captured, and without waiting for it.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let Arguments { keystore, password_file, database, socket, .. } = &self.arguments;
        let mut command = Command::new(program());
        command.args(["--role", "operator", "--keystore"]).arg(keystore).arg("--password-file").arg(password_file);
        command.arg("--database").arg(database).arg("--socket").arg(socket).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Its exit code and log, when it does not come up.
    pub(crate) fn refuses(&self, more: &[&str]) -> (i32, String) {
        let output = self.command(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub(crate) fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_headframe-signer")).into()
}

/// The exit code of a child that is about to end.
pub(crate) fn exit_code(mut poll: impl FnMut() -> std::io::Result<Option<std::process::ExitStatus>>) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(status) = poll().unwrap() {
            return status.code().unwrap_or(-1);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the signer did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn kill_9(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}
