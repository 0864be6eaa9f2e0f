//! `headframe guard rebuild` and `guard forget` as a person runs them, against providers that say what a test wants.
#![allow(clippy::unwrap_used)]

use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use axum::{Json, Router, extract::State, routing::post};
use headframe_contracts::{Deployment, IJobMarket, JobMarket, StakeRegistry};
use headframe_guard::rules::Pinned;
use headframe_guard::store::Store;
use headframe_market::machine::JobState;
use headframe_market::{Addresses, JobId, Role, Segment, SegmentNo};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const ME: Address = Address::repeat_byte(5);
const MARKET: Address = Address::repeat_byte(0x33);
const GENESIS: B256 = B256::repeat_byte(7);

/// What a provider shows of the key: its jobs with their states, its transactions, and those that wait.
#[derive(Clone, Default)]
struct Shown {
    jobs: BTreeMap<u64, JobState>,
    nonce: u64,
    pending: u64,
}

type Provider = Arc<Mutex<Shown>>;

/// A provider that shows `shown`, and its address.
async fn provider(shown: Shown) -> (Provider, String) {
    let provider: Provider = Arc::new(Mutex::new(shown));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/", post(answer)).with_state(provider.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (provider, url)
}

async fn answer(State(provider): State<Provider>, body: axum::body::Bytes) -> Json<Value> {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let shown = provider.lock().unwrap().clone();
    let params = &asked["params"];
    let result = match asked["method"].as_str().unwrap() {
        "eth_chainId" => json!("0x7a69"),
        "eth_getBlockByNumber" if params[0] == "0x0" => block(0),
        "eth_getBlockByNumber" => block(9),
        "eth_getTransactionCount" if params[1] == "pending" => json!(format!("{:#x}", shown.nonce + shown.pending)),
        "eth_getTransactionCount" => json!(format!("{:#x}", shown.nonce)),
        "eth_getLogs" => shown.jobs.keys().map(|id| opened(*id)).collect(),
        "eth_call" => {
            let input: alloy::primitives::Bytes = serde_json::from_value(params[0]["input"].clone()).unwrap();
            let output = match JobMarket::jobCall::abi_decode(&input) {
                Ok(asked) => job(shown.jobs.get(&asked.jobId).copied()).abi_encode(),
                Err(_) => {
                    StakeRegistry::activeSetCall::abi_decode(&input).unwrap();
                    Address::ZERO.abi_encode() // of the contracts here only the market counts
                }
            };
            json!(alloy::primitives::Bytes::from(output))
        }
        other => panic!("asked for {other}"),
    };
    Json(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }))
}

fn block(number: u64) -> Value {
    let hash = if number == 0 { GENESIS } else { B256::repeat_byte(8) };
    json!({ "number": format!("{number:#x}"), "hash": hash, "parentHash": GENESIS, "timestamp": "0x64", "baseFeePerGas": "0x1" })
}

fn opened(id: u64) -> Value {
    let log = JobMarket::JobOpened {
        jobId: id,
        client: ME,
        profile: B256::ZERO,
        door: 0,
        maxPrice: Default::default(),
        deadline: Default::default(),
        escrow: U256::ZERO,
        order: B256::ZERO,
    };
    let data = log.encode_log_data();
    json!({ "address": MARKET, "topics": data.topics(), "data": data.data, "blockNumber": "0x1", "blockHash": B256::repeat_byte(8),
            "transactionHash": B256::from(U256::from(id)), "transactionIndex": "0x0", "logIndex": format!("{id:#x}"), "removed": false })
}

fn job(state: Option<JobState>) -> IJobMarket::Job {
    let number = match state {
        None => 0,
        Some(JobState::Active) => 3,
        Some(JobState::Closed) => 5,
        Some(other) => panic!("{other:?}"),
    };
    assert_eq!(JobState::of(number), state.unwrap_or(JobState::None));
    IJobMarket::Job {
        client: ME,
        state: number,
        door: 0,
        k: 1,
        deadline: Default::default(),
        startUntil: Default::default(),
        drainUntil: Default::default(),
        operator: Address::ZERO,
        price: Default::default(),
        maxPrice: Default::default(),
        escrow: 0,
        reserved: 0,
        profile: B256::ZERO,
        seedTip: B256::ZERO,
        order: Default::default(),
        nextSeq: 0,
        openClaims: 0,
        released: false,
    }
}

fn addresses() -> Addresses {
    Addresses { market: MARKET, ..Addresses::default() }
}

fn pinned() -> Pinned {
    Pinned { chain_id: 31337, genesis: GENESIS, addresses: addresses(), address: ME, role: Role::Client }
}

/// A folder with a configuration that names these providers.
fn home(urls: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let zero = Address::ZERO;
    let deployment = Deployment {
        token: zero,
        registry: zero,
        router: zero,
        profiles: zero,
        market: MARKET,
        book: zero,
        challenges: zero,
        game: zero,
        jury: zero,
        rewards: zero,
        votes: zero,
        governor: zero,
        timelock: zero,
        guardian: zero,
        chain_id: 31337,
        block: 0,
    };
    std::fs::write(folder.path().join("deployment.json"), serde_json::to_vec(&deployment).unwrap()).unwrap();
    let config = format!("[chain]\nrpc = {urls:?}\ndeployment = \"deployment.json\"\n");
    std::fs::write(folder.path().join("headframe.toml"), config).unwrap();
    folder
}

/// Exit code, standard output and standard error; nobody is at a terminal.
async fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
    command.args(["guard", arguments[0], "--database", "guard.db", "--config", "headframe.toml"]).args(&arguments[1..]);
    command.current_dir(folder).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn order(job: u64, seq: u64) -> Segment {
    let seq = SegmentNo(seq);
    Segment { job: JobId(job), seq, src_root: B256::repeat_byte(1), src_bytes: 9, duration_ms: 2000 }
}

#[tokio::test]
async fn a_lost_database_is_rebuilt_from_what_two_providers_show_and_signs_nothing_for_an_old_job() {
    let past = Shown { jobs: [(7, JobState::Closed), (9, JobState::Active)].into(), nonce: 5, pending: 0 };
    // One provider hides a job: what only one shows counts all the same.
    let hiding = Shown { jobs: [(7, JobState::Closed)].into(), ..past.clone() };
    let ((one, first), (two, second)) = (provider(past).await, provider(hiding).await);
    let me = ME.to_string();
    let anew = ["rebuild", "--only-signer-of", &me, "--role", "client", "--json"];

    let alone = home(&[&first]);
    let (code, _, error) = run(alone.path(), &anew).await;
    assert_eq!((code, error.contains("--own-node")), (78, true), "{error}");

    let home = home(&[&first, &second]);
    let database = home.path().join("guard.db");
    two.lock().unwrap().nonce = 4;
    let (code, _, error) = run(home.path(), &anew).await;
    assert_eq!((code, error.contains("differ on the account's nonce")), (1, true), "{error}");
    two.lock().unwrap().nonce = 5;
    one.lock().unwrap().pending = 1;
    let (code, _, error) = run(home.path(), &anew).await;
    assert_eq!((code, error.contains("1 transactions of")), (1, true), "{error}");
    assert!(!database.exists(), "nothing is made of what is not sure");
    one.lock().unwrap().pending = 0;

    let (code, out, error) = run(home.path(), &anew).await;
    assert_eq!(code, 0, "{error}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told, json!({ "closed_jobs": [7, 9], "nonce_floor": 5, "receipts": 0 }));
    let (code, _, error) = run(home.path(), &anew).await;
    assert_eq!((code, error.contains("is there: move it away first")), (1, true), "{error}");

    let store = Store::open(&database, ME, Role::Client).unwrap().unwrap();
    for job in [7, 9] {
        let refused = store.permit_order(order(job, 0)).unwrap_err().to_string();
        assert!(refused.contains("G12"), "{refused}");
    }
    let _ = store.permit_order(order(10, 0)).expect("new jobs go on");
}

#[tokio::test]
async fn an_export_gives_a_rebuilt_database_its_records_back() {
    let shown = Shown { jobs: [(7, JobState::Active)].into(), nonce: 5, pending: 0 };
    let (_kept, url) = provider(shown).await;
    let home = home(&[&url]);
    {
        let store = Store::create(&home.path().join("guard.db"), pinned()).unwrap();
        let _ = store.permit_order(order(7, 0)).unwrap();
        let document = serde_json::to_vec(&store.export().unwrap()).unwrap();
        std::fs::write(home.path().join("export.json"), document).unwrap();
    }
    std::fs::rename(home.path().join("guard.db"), home.path().join("lost.db")).unwrap();
    let me = ME.to_string();
    let anew =
        ["rebuild", "--only-signer-of", &me, "--role", "client", "--own-node", "--from", "export.json", "--json"];
    let (code, out, error) = run(home.path(), &anew).await;
    assert_eq!(code, 0, "{error}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["receipts"], &told["closed_jobs"]), (&json!(1), &json!([7])), "{told}");
}

#[tokio::test]
async fn only_jobs_that_are_over_are_forgotten_and_never_unasked() {
    let shown = Shown { jobs: [(7, JobState::Closed), (9, JobState::Active)].into(), nonce: 0, pending: 0 };
    let (_kept, url) = provider(shown).await;
    let home = home(&[&url]);
    {
        let store = Store::create(&home.path().join("guard.db"), pinned()).unwrap();
        for (job, seq) in [(7, 0), (7, 1), (9, 0)] {
            let _ = store.permit_order(order(job, seq)).unwrap();
        }
    }
    let records = |json: String| serde_json::from_str::<Value>(&json).unwrap();
    let (code, _, error) = run(home.path(), &["forget"]).await;
    assert_eq!((code, error.contains("nobody is there to be asked")), (1, true), "{error}");
    let (code, out, error) = run(home.path(), &["forget", "--dry-run", "--json"]).await;
    assert_eq!(code, 0, "{error}");
    assert_eq!(records(out), json!({ "deleted": false, "jobs": [{ "job": 7, "records": 2 }] }));
    let (code, out, error) = run(home.path(), &["forget", "--yes", "--json"]).await;
    assert_eq!(code, 0, "{error}");
    assert_eq!(records(out), json!({ "deleted": true, "jobs": [{ "job": 7, "records": 2 }] }));
    let (_, out, _) = run(home.path(), &["forget", "--yes"]).await;
    assert_eq!(out, "no job with records is over\n");
    let store = Store::open(&home.path().join("guard.db"), ME, Role::Client).unwrap().unwrap();
    let _ = store.permit_order(order(9, 1)).expect("the other goes on");
    assert!(store.permit_order(order(7, 2)).is_err());
}
