//! What the tests of this crate share: a real anvil, a proxy that breaks chosen calls, and a signer for tests only.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // each test binary uses its own part

pub mod mock;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, TxKind, U256};
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use axum::{Json, Router, extract::State as Ctx, http::StatusCode, response::IntoResponse, routing::post};
use headframe_chain::outbox::Settings;
use headframe_chain::provider::Settings as RpcSettings;
use headframe_chain::{
    Head, Intent, Outbox, OutboxError, Rpc, SignError, Signed, State, TxFields, TxSigner, Watcher, watcher,
};
use headframe_market::{Action, Addresses};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const MARKET: Address = Address::repeat_byte(0x33);
pub const LONG: Duration = Duration::from_secs(20);

/// A development chain of our own on a free port, ended with the test.
pub struct Anvil {
    child: Child,
    pub url: String,
    http: reqwest::Client,
}

impl Anvil {
    /// `None`, with one line said, where there is no anvil.
    pub fn start(args: &[&str]) -> Option<Self> {
        let beside = "../../contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(beside);
        let program = std::env::var_os("HEADFRAME_ANVIL").map_or(installed, PathBuf::from);
        if !program.exists() {
            static SAID: std::sync::Once = std::sync::Once::new();
            SAID.call_once(|| eprintln!("skipped: no anvil at {}; set HEADFRAME_ANVIL", program.display()));
            return None;
        }
        let mut child = Command::new(program).args(["--port", "0"]).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.find_map(|line| line.unwrap().strip_prefix("Listening on ").map(|at| format!("http://{at}")));
        let url = url.expect("anvil says where it listens");
        std::thread::spawn(move || lines.for_each(drop)); // a full pipe would stop it
        Some(Self { child, url, http: reqwest::Client::builder().no_proxy().build().unwrap() })
    }

    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer: Value = self.http.post(&self.url).json(&body).send().await.unwrap().json().await.unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub async fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Blocks that go on for ever.
pub async fn keep_mining(anvil: &Anvil, every: Duration) {
    loop {
        anvil.mine(1).await;
        tokio::time::sleep(every).await;
    }
}

/// What a [`Proxy`] does to one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is lost.
    Lost,
    /// The request arrives, the answer is lost.
    AnswerLost,
}

/// Stands between the node and a provider and breaks what it is told to.
#[derive(Clone)]
pub struct Proxy {
    target: String,
    http: reqwest::Client,
    faults: Arc<Mutex<BTreeMap<&'static str, Fault>>>,
    pub url: String,
}

impl Proxy {
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            target: target.into(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            faults: Arc::default(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let app = Router::new().route("/", post(Self::pass)).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        proxy
    }

    pub fn set(&self, method: &'static str, fault: Fault) {
        self.faults.lock().unwrap().insert(method, fault);
    }

    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    async fn pass(Ctx(proxy): Ctx<Self>, Json(body): Json<Value>) -> impl IntoResponse {
        let fault = proxy.faults.lock().unwrap().get(body["method"].as_str().unwrap()).copied();
        if fault == Some(Fault::Lost) {
            return (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null));
        }
        let answer = proxy.http.post(&proxy.target).json(&body).send().await.unwrap().json().await.unwrap();
        match fault {
            Some(_) => (StatusCode::BAD_GATEWAY, Json(Value::Null)),
            None => (StatusCode::OK, Json(answer)),
        }
    }
}

/// How the [`TestSigner`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Willing,
    /// Down before it signs.
    Down,
    /// Signs, but its answer is lost.
    Mute,
    Refusing,
    Halted,
}

/// Signs with a fixed development key. For tests only: it checks no rule but one, that a nonce belongs to one action
/// for ever.
pub struct TestSigner {
    pub key: PrivateKeySigner,
    at: Addresses,
    pub mood: Mutex<Mood>,
    /// For each nonce the key of its action and how many different transactions were signed.
    pub signed: Mutex<BTreeMap<u64, (String, Vec<Signed>)>>,
}

impl TestSigner {
    /// One of anvil's funded accounts, 0 to 9.
    pub fn new(account: usize) -> Arc<Self> {
        Self::at(account, addresses())
    }

    /// The same for other contracts.
    pub fn at(account: usize, at: Addresses) -> Arc<Self> {
        const KEYS: [&str; 2] = [
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
            "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        ];
        let key = KEYS[account].parse().unwrap();
        Arc::new(Self { key, at, mood: Mutex::new(Mood::Willing), signed: Mutex::default() })
    }

    pub fn mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

pub fn addresses() -> Addresses {
    let at = Address::repeat_byte;
    Addresses {
        token: at(0x11),
        registry: at(0x22),
        market: MARKET,
        book: at(0x33),
        profiles: at(0x44),
        router: at(0x55),
        rewards: at(0x66),
        active_set: at(0x77),
    }
}

impl TxSigner for TestSigner {
    fn address(&self) -> Address {
        self.key.address()
    }

    fn sign(&self, action: &Action, tx: &TxFields) -> Result<Signed, SignError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Down => return Err(SignError::Unavailable("down for a test".into())),
            Mood::Refusing => return Err(SignError::Refused("not today".into())),
            Mood::Halted => return Err(SignError::Unsafe("not ever".into())),
            Mood::Willing | Mood::Mute => {}
        }
        let call = action.call(&self.at);
        let unsigned = TxEip1559 {
            chain_id: tx.chain_id,
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: tx.max_fee,
            max_priority_fee_per_gas: tx.max_priority,
            to: TxKind::Call(call.to),
            value: U256::from(call.value.0),
            access_list: Default::default(),
            input: call.input,
        };
        let signature = self.key.sign_hash_sync(&unsigned.signature_hash()).unwrap();
        let envelope = TxEnvelope::from(unsigned.into_signed(signature));
        let signed = Signed { raw: envelope.encoded_2718().into(), hash: *envelope.tx_hash() };
        let mut all = self.signed.lock().unwrap();
        let (key, list) = all.entry(tx.nonce).or_insert_with(|| (action.key(), vec![]));
        assert_eq!(*key, action.key(), "nonce {} signed for two actions", tx.nonce);
        if !list.contains(&signed) {
            list.push(signed.clone());
        }
        if mood == Mood::Mute { Err(SignError::Unavailable("answer lost for a test".into())) } else { Ok(signed) }
    }
}

/// Fast enough for tests, otherwise as in life.
pub fn rpc_settings() -> RpcSettings {
    RpcSettings {
        timeout: Duration::from_millis(500),
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(100),
        patience: Duration::from_millis(150),
        aside_min: Duration::from_millis(300),
        // Longer than the outbox rests after a round that failed: else it may find the liar back each time.
        aside_max: Duration::from_secs(10),
        ..RpcSettings::default()
    }
}

pub fn settings() -> Settings {
    Settings { poll: Duration::from_millis(30), ..Settings::new(addresses()) }
}

/// Waits until `holds` does.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, looking).await.is_ok(), "waited in vain until {what}");
}

/// A watcher and an outbox as a node has them.
pub struct Node {
    pub outbox: Outbox,
    pub head: watch::Receiver<Head>,
    pub worker: JoinHandle<Result<(), OutboxError>>,
    pub rpc: Rpc,
    watcher: JoinHandle<()>,
}

impl Node {
    pub async fn start(dir: &Path, url: &str, signer: &Arc<TestSigner>, settings: Settings) -> Self {
        Self::start_on(dir, &[url.to_owned()], signer, settings).await
    }

    pub async fn start_on(dir: &Path, urls: &[String], signer: &Arc<TestSigner>, settings: Settings) -> Self {
        let rpc = Rpc::connect_with(urls, None, rpc_settings()).await.unwrap();
        let all = rpc.clone();
        let poll = Duration::from_millis(30);
        let (watcher, head) = Watcher::new(rpc.clone(), watcher::Settings { poll, ..Default::default() });
        let watcher = tokio::spawn(async move { drop(watcher.run(CancellationToken::new()).await) });
        let path = dir.join("outbox.sqlite");
        let (outbox, worker) = Outbox::open(&path, rpc, head.clone(), signer.clone(), settings).await.unwrap();
        let worker = tokio::spawn(worker.run(CancellationToken::new()));
        Self { outbox, head, worker, rpc: all, watcher }
    }

    /// Ends it without a word, as a crash does.
    pub async fn crash(self) {
        self.worker.abort();
        self.watcher.abort();
        let _ = self.worker.await;
        let _ = self.watcher.await;
    }

    /// Waits until the intent is in one of `states`.
    pub async fn reach(&self, key: &str, states: &[State]) -> Intent {
        let looking = async {
            loop {
                let intent = self.outbox.status(key).await.unwrap().unwrap();
                if states.contains(&intent.state) {
                    return intent;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(LONG, looking).await;
        match found {
            Ok(intent) => intent,
            Err(_) => panic!("{key} is {:?}", self.outbox.status(key).await),
        }
    }

    /// Waits until the watcher has seen the height.
    pub async fn see(&mut self, number: u64) {
        let seen = self.head.wait_for(|head| head.number.0 >= number);
        tokio::time::timeout(LONG, seen).await.unwrap().unwrap();
    }
}

pub fn withdraw(nth: u64) -> Action {
    Action::Withdraw { nth }
}

fn decoded(signed: &Signed) -> TxEnvelope {
    alloy::eips::eip2718::Decodable2718::decode_2718(&mut signed.raw.as_ref()).unwrap()
}

pub fn max_fee(signed: &Signed) -> u128 {
    alloy::consensus::Transaction::max_fee_per_gas(&decoded(signed))
}

pub fn gas_limit(signed: &Signed) -> u64 {
    alloy::consensus::Transaction::gas_limit(&decoded(signed))
}

/// A proof, with the deadline that its caller gives it.
pub fn answer(claim: u64) -> Action {
    let operator = Address::ZERO;
    Action::Answer { claim: headframe_market::ClaimId(claim), operator, openings: vec![], secrets: vec![] }
}

pub fn start_job(job: u64) -> Action {
    Action::StartJob { job: headframe_market::JobId(job) }
}

pub fn settle(claim: u64) -> Action {
    Action::Settle { claim: headframe_market::ClaimId(claim) }
}

pub async fn nonce(anvil: &Anvil, of: Address) -> u64 {
    let text = anvil.ask("eth_getTransactionCount", json!([of, "latest"])).await;
    u64::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}
