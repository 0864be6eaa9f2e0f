//! A key that another program keeps, behind the same rules: a stub speaks as Web3Signer does, well and badly.

use crate::support::*;
use headframe_guard::keys::{Remote, RemoteError};
use headframe_guard::protocol::{Request, Response};
use headframe_guard::rules::Rule;
use headframe_guard::server::{Config, Guard};
use headframe_guard::store::Store;
use headframe_market::{Address, Role, Signature, U256};
use k256::ecdsa::SigningKey;
use k256::ecdsa::hazmat::SignPrimitive;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What the stub does when it is asked for a signature.
#[derive(Clone, Copy, Debug)]
enum Stub {
    Signs,
    /// With the other of the two values for s.
    SignsHigh,
    SignsWith(u8),
    Status(u16),
    Says(&'static str),
    Hangs,
    /// Closes the connection at once, the first time; then signs.
    ClosesOnce,
}

/// A stand-in for Web3Signer with the rig's key, which never signs the same way twice.
struct StubWeb3Signer {
    url: String,
    does: Arc<Mutex<Stub>>,
    /// What it was asked to sign.
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl StubWeb3Signer {
    fn on_loopback() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(url, move || listener.accept().map(|(stream, _)| stream))
    }

    fn on_socket(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self::serve(format!("unix:{}", path.display()), move || listener.accept().map(|(stream, _)| stream))
    }

    fn serve<S: Read + Write + Send + 'static>(
        url: String,
        accept: impl Fn() -> std::io::Result<S> + Send + 'static,
    ) -> Self {
        let does = Arc::new(Mutex::new(Stub::Signs));
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let (acts, hears) = (Arc::clone(&does), Arc::clone(&asked));
        std::thread::spawn(move || {
            while let Ok(stream) = accept() {
                let (acts, hears) = (Arc::clone(&acts), Arc::clone(&hears));
                // One that goes away in the middle is no concern of the stub's.
                std::thread::spawn(move || drop(Self::answer(stream, &acts, &hears)));
            }
        });
        Self { url, does, asked }
    }

    fn answer(stream: impl Read + Write, does: &Mutex<Stub>, asked: &Mutex<Vec<Vec<u8>>>) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut first, mut length) = (String::new(), 0);
        stream.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let public = crate::support::rig_key().public();
        let key = alloy_primitives::hex::encode_prefixed(&public[1..]);
        let (status, text) = if first.starts_with("GET /api/v1/eth1/publicKeys HTTP/1") {
            let other = secret(0x33).verifying_key().to_encoded_point(false);
            (200, format!(r#"["{}","{key}"]"#, alloy_primitives::hex::encode_prefixed(&other.as_bytes()[1..])))
        } else if first.starts_with(&format!("POST /api/v1/eth1/sign/{key} HTTP/1")) {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let data = alloy_primitives::hex::decode(body["data"].as_str().unwrap()).unwrap();
            let times = {
                let mut asked = asked.lock().unwrap();
                asked.push(data.clone());
                asked.len()
            };
            let does = *does.lock().unwrap();
            match does {
                Stub::Signs => (200, sign(&secret(0x11), &data, times, false)),
                Stub::SignsHigh => (200, sign(&secret(0x11), &data, times, true)),
                Stub::SignsWith(byte) => (200, sign(&secret(byte), &data, times, false)),
                Stub::Status(status) => (status, String::new()),
                Stub::Says(text) => (200, text.into()),
                Stub::Hangs => {
                    std::thread::sleep(Duration::from_secs(20));
                    return Ok(());
                }
                Stub::ClosesOnce if times == 1 => return Ok(()),
                Stub::ClosesOnce => (200, sign(&secret(0x11), &data, times, false)),
            }
        } else {
            (404, String::new())
        };
        let length = text.len();
        write!(stream.get_mut(), "HTTP/1.1 {status} Stub\r\nContent-Length: {length}\r\n\r\n{text}")
    }

    fn does(&self, what: Stub) {
        *self.does.lock().unwrap() = what;
    }

    fn times(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Keccak-256 of the data signed, each time with another nonce of the curve.
fn sign(key: &SigningKey, data: &[u8], times: usize, high: bool) -> String {
    let hash = alloy_primitives::keccak256(data);
    let salt = times.to_be_bytes();
    let signed = key.as_nonzero_scalar().try_sign_prehashed_rfc6979::<sha2::Sha256>(&hash.0.into(), &salt).unwrap();
    let signature = Signature::from((signed.0, signed.1.unwrap()));
    let low = signature.normalize_s().unwrap_or(signature);
    // SEC 2, section 2.4.1.
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().unwrap();
    let chosen = if high { Signature::new(low.r(), order - low.s(), !low.v()) } else { low };
    alloy_primitives::hex::encode_prefixed(chosen.as_bytes())
}

/// A guard whose key the stub keeps, met and told of an account without transactions.
struct Remoted {
    stub: StubWeb3Signer,
    guard: Guard,
    session: Option<Arc<Store>>,
    _folder: TempDir,
}

impl Remoted {
    fn new() -> Self {
        Self::at(StubWeb3Signer::on_loopback(), TempDir::new().unwrap(), Role::Operator)
    }

    fn at(stub: StubWeb3Signer, folder: TempDir, role: Role) -> Self {
        let remote = Remote::find(&stub.url, rig_key().address()).unwrap().with_patience(Duration::from_millis(300));
        let config = Config {
            key: Box::new(remote),
            role,
            database: folder.path().join("guard.db"),
            max_fee: CAP,
            owner: None,
            ballast: false,
        };
        let mut new = Self { stub, guard: Guard::open(config).unwrap(), session: None, _folder: folder };
        assert!(matches!(new.ask(Request::Hello(hello(&[]))), Response::Identity(_)));
        assert_eq!(new.ask(Request::See(sight(0))), Response::Seen);
        new
    }

    fn ask(&mut self, request: Request) -> Response {
        self.guard.answer(&mut self.session, request)
    }

    fn receipt(&mut self, seq: u64) -> Response {
        self.ask(Request::SignReceipt(ask(JOB, seq)))
    }

    /// It failed with this word, with the statement on record.
    #[track_caller]
    fn fails(&mut self, seq: u64, word: &str) {
        match self.receipt(seq) {
            Response::Failed { reason } => assert!(reason.contains(word), "{reason}"),
            other => panic!("expected a failure, got {other:?}"),
        }
        let mut other = ask(JOB, seq);
        other.receipt.out_bytes += 1;
        let refused = self.ask(Request::SignReceipt(other));
        assert!(matches!(refused, Response::Refused { rule: Rule::Equivocation, .. }), "{refused:?}");
    }
}

#[track_caller]
fn signature(response: Response) -> Signature {
    match response {
        Response::Signature(raw) => Signature::from_raw(&raw).unwrap(),
        other => panic!("expected a signature, got {other:?}"),
    }
}

#[test]
fn every_kind_of_statement_is_signed_as_a_key_in_memory_would() {
    let mut rig = Remoted::new();
    let own = rig_key().address();
    let receipt = ask(JOB, 0).receipt;
    assert_eq!(receipt.signer(&domain(), &signature(rig.receipt(0))), Some(own));
    let bid = offer();
    assert_eq!(bid.signer(&domain(), &signature(rig.ask(Request::SignBid(bid.clone())))), Some(own));
    let report = Request::SignReport { tool: "tool".into(), report_sha256: receipt.out_root };
    let hash = headframe_market::typed_data::bench_report_hash("tool", receipt.out_root);
    assert_eq!(signature(rig.ask(report)).recover_address_from_prehash(&hash).unwrap(), own);
    let action = claim(JOB, 0, 1);
    let Response::Transaction(signed) = rig.ask(Request::SignTransaction(send(action.clone(), 0))) else {
        panic!("no transaction")
    };
    use alloy_consensus::transaction::SignerRecoverable;
    use alloy_eips::Decodable2718;
    let transaction = alloy_consensus::TxEnvelope::decode_2718_exact(&signed.raw).unwrap();
    assert_eq!((transaction.recover_signer().unwrap(), transaction.tx_hash()), (own, &signed.hash));
    // What it was given is what is hashed, never a hash.
    let asked = rig.stub.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().map(|data| &data[..2]).filter(|start| *start == [0x19, 0x01]).count(), 3);
    assert!(asked.iter().take(3).all(|data| data.len() == 66), "{asked:?}");
    assert_eq!(asked[3][0], 2, "EIP-1559");

    let stub = StubWeb3Signer::on_loopback();
    let mut client = Remoted::at(stub, TempDir::new().unwrap(), Role::Client);
    let order = order(JOB, 3);
    assert_eq!(order.signer(&domain(), &signature(client.ask(Request::SignSegment(order.clone())))), Some(own));
}

#[test]
fn it_is_reached_over_a_unix_socket_too() {
    let folder = TempDir::new().unwrap();
    let stub = StubWeb3Signer::on_socket(&folder.path().join("web3signer.sock"));
    let mut rig = Remoted::at(stub, folder, Role::Operator);
    let signed = signature(rig.receipt(0));
    assert_eq!(ask(JOB, 0).receipt.signer(&domain(), &signed), Some(rig_key().address()));
}

#[test]
fn the_same_content_may_have_another_signature_and_no_other_content_any() {
    let mut rig = Remoted::new();
    let (first, again) = (signature(rig.receipt(0)), signature(rig.receipt(0)));
    assert_ne!(first, again, "the stub is not deterministic");
    for one in [first, again] {
        assert_eq!(ask(JOB, 0).receipt.signer(&domain(), &one), Some(rig_key().address()));
    }
    let mut other = ask(JOB, 0);
    other.receipt.out_bytes += 1;
    let times = rig.stub.times();
    let refused = rig.ask(Request::SignReceipt(other));
    assert!(matches!(refused, Response::Refused { rule: Rule::Equivocation, .. }), "{refused:?}");
    let unknown = rig.ask(Request::SignTransaction(send(claim(JOB, 0, 2), 0)));
    assert!(matches!(unknown, Response::Refused { .. }), "{unknown:?}");
    assert_eq!(rig.stub.times(), times, "what is refused never gets to the key");
}

#[test]
fn a_high_s_becomes_the_low_one_that_contracts_take() {
    let mut rig = Remoted::new();
    rig.stub.does(Stub::SignsHigh);
    let signed = signature(rig.receipt(0));
    assert_eq!(signed.normalize_s(), None);
    assert_eq!(ask(JOB, 0).receipt.signer(&domain(), &signed), Some(rig_key().address()));
}

#[test]
fn another_keys_signature_never_leaves_and_the_record_stands() {
    let mut rig = Remoted::new();
    rig.stub.does(Stub::SignsWith(0x33));
    rig.fails(0, &secret_address(0x33).to_string());
    assert_eq!(rig.stub.times(), 1, "asking again would not help");
    for text in ["", "0x", "no signature", "{}", r#""0x00""#] {
        rig.stub.does(Stub::Says(text));
        rig.fails(0, "no signature of 65 bytes");
    }
    rig.stub.does(Stub::Signs);
    assert_eq!(ask(JOB, 0).receipt.signer(&domain(), &signature(rig.receipt(0))), Some(rig_key().address()));
}

fn secret_address(byte: u8) -> Address {
    Address::from_public_key(secret(byte).verifying_key())
}

#[test]
fn what_fails_on_its_side_is_tried_once_more() {
    let mut rig = Remoted::new();
    rig.stub.does(Stub::ClosesOnce);
    signature(rig.receipt(0));
    assert_eq!(rig.stub.times(), 2);
    rig.stub.does(Stub::Status(500));
    rig.fails(1, "HTTP status 500");
    assert_eq!(rig.stub.times(), 4);
    rig.stub.does(Stub::Status(404));
    rig.fails(2, "HTTP status 404");
    assert_eq!(rig.stub.times(), 5, "a key that it does not have will not be there in a moment");
    rig.stub.does(Stub::Signs);
    for seq in [1, 2] {
        signature(rig.receipt(seq));
    }
}

#[test]
fn a_signer_that_hangs_costs_two_patiences_and_the_record_stands() {
    let mut rig = Remoted::new();
    rig.receipt(0);
    rig.stub.does(Stub::Hangs);
    let begun = Instant::now();
    rig.fails(1, "no answer in time");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(5), "{took:?}");
    let Response::Failed { .. } = rig.ask(Request::SignTransaction(send(claim(JOB, 0, 2), 0))) else {
        panic!("a claim without a signature is no answer")
    };
    // The nonce and the claim are taken by what was recorded.
    let refused = rig.ask(Request::SignTransaction(send(claim(JOB, 0, 1), 0)));
    assert!(matches!(refused, Response::Refused { rule: Rule::NonceReuse, .. }), "{refused:?}");
    rig.stub.does(Stub::Signs);
    signature(rig.receipt(1));
    assert!(matches!(rig.ask(Request::SignTransaction(send(claim(JOB, 0, 2), 0))), Response::Transaction(_)));
}

#[test]
fn only_a_signer_on_this_machine_that_has_the_key_will_do() {
    let stub = StubWeb3Signer::on_loopback();
    let own = rig_key().address();
    assert!(Remote::find(&stub.url, own).is_ok());
    assert_eq!(stub.times(), 0, "nothing is signed for finding it");
    let missing = Remote::find(&stub.url, client_address()).unwrap_err();
    assert!(matches!(missing, RemoteError::NoKey { keys: 2, .. }), "{missing}");
    for url in ["http://10.1.2.3:9000", "https://127.0.0.1:9000", "http://example.org:9000", "unix:relative"] {
        assert!(matches!(Remote::find(url, own), Err(RemoteError::Place(_))), "{url}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Remote::find(&format!("http://{closed}"), own).unwrap_err();
    assert!(matches!(nobody, RemoteError::Unavailable { .. }), "{nobody}");
    let folder = TempDir::new().unwrap();
    let nobody = Remote::find(&format!("unix:{}", folder.path().join("none").display()), own).unwrap_err();
    assert!(matches!(nobody, RemoteError::Unavailable { .. }), "{nobody}");
}

/// The real program with its flags, and without any key of its own.
#[test]
fn the_program_signs_with_a_key_that_it_does_not_have() {
    let home = Home::new(Role::Operator);
    let stub = StubWeb3Signer::on_loopback();
    std::fs::remove_file(&home.arguments.keystore).unwrap();
    let own = rig_key().address().to_string();
    let database: PathBuf = home.path("guard.db");
    let start = |url: &str, address: &str| {
        let mut command = std::process::Command::new(program());
        command.args(["--role", "operator", "--remote-signer", url, "--address", address, "--database"]);
        command.arg(&database).arg("--socket").arg(&home.arguments.socket);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut child = start(&stub.url, &own);
    let client = home.client();
    assert_eq!(client.identity().address, rig_key().address());
    let signed = client.sign_receipt(ask(JOB, 0)).unwrap();
    assert_eq!(ask(JOB, 0).receipt.signer(&domain(), &signed), Some(rig_key().address()));
    terminate(&child);
    assert_eq!(exit_code(|| child.try_wait()), 0);

    let ends = |url: &str, address: &str| {
        let output = start(url, address).wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, log) = ends(&stub.url, &client_address().to_string());
    assert!(code == 78 && log.contains("has no key"), "{code}: {log}");
    let (code, log) = ends("http://192.0.2.1:9000", &own);
    assert!(code == 78 && log.contains("tunnel"), "{code}: {log}");
    // Not up yet: systemd starts the signer again.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, log) = ends(&format!("http://{closed}"), &own);
    assert!(code == 1 && log.contains("cannot be asked"), "{code}: {log}");
}
