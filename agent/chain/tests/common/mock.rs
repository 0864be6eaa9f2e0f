//! A chain and a pool small enough to be told exactly how to misbehave.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // each test binary uses its own part

use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{B256, Bytes, keccak256};
use axum::{
    Router, body::Bytes as Body, extract::State as Ctx, http::StatusCode, response::IntoResponse, routing::post,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// How the mock answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// Honest, after so long.
    Slow(Duration),
    /// Takes the request and never answers.
    Hanging,
    /// Answers this text, whatever was asked.
    Says(u16, &'static str),
}

/// Changes an answer: method, parameters and what an honest provider says.
pub type Twist = Box<dyn Fn(&str, &Value, Value) -> Value + Send>;

pub struct Chain {
    pub manner: Manner,
    /// Another provider of the same chain asks that chain.
    of: Option<Arc<Mutex<Chain>>>,
    /// What this provider makes of each answer.
    pub twist: Option<Twist>,
    pub chain_id: u64,
    pub genesis: B256,
    pub head: u64,
    /// Block 0's timestamp; each block is a second later.
    pub clock: u64,
    /// The height that "finalized" stands for; unknown without one.
    pub finalized: Option<u64>,
    /// From which height on another branch is the chain.
    branches: BTreeMap<u64, u64>,
    forks: u64,
    pub logs: Vec<Value>,
    pub codes: BTreeMap<String, &'static str>,
    pub base_fee: u128,
    /// Includes nothing that tips less than this.
    pub wants: u128,
    pool: BTreeMap<u64, (B256, u128, u128)>,
    mined: BTreeMap<u64, (B256, u64)>,
    reverted: BTreeSet<B256>,
    /// Replacements refused for raising too little.
    pub underpriced: u32,
    pub accepted: u32,
    pub requests: u32,
    open: u32,
    pub most_open: u32,
}

#[derive(Clone)]
pub struct Mock {
    pub chain: Arc<Mutex<Chain>>,
    pub url: String,
}

struct Open(Mock);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.chain.lock().unwrap().open -= 1;
    }
}

impl Mock {
    pub async fn start(chain_id: u64) -> Self {
        Self::serve(chain_id, None).await
    }

    /// Another provider of this one's chain.
    pub async fn beside(&self) -> Self {
        Self::serve(self.get(|chain| chain.chain_id), Some(self.chain.clone())).await
    }

    async fn serve(chain_id: u64, of: Option<Arc<Mutex<Chain>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let chain = Chain {
            manner: Manner::Honest,
            of,
            twist: None,
            chain_id,
            genesis: B256::repeat_byte(7),
            head: 1,
            clock: 0,
            finalized: None,
            branches: BTreeMap::new(),
            forks: 0,
            logs: Vec::new(),
            codes: BTreeMap::new(),
            base_fee: 1_000,
            wants: 0,
            pool: BTreeMap::new(),
            mined: BTreeMap::new(),
            reverted: BTreeSet::new(),
            underpriced: 0,
            accepted: 0,
            requests: 0,
            open: 0,
            most_open: 0,
        };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mock = Self { chain: Arc::new(Mutex::new(chain)), url };
        let app = Router::new().route("/", post(Self::answer)).with_state(mock.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        mock
    }

    pub fn set(&self, f: impl FnOnce(&mut Chain)) {
        f(&mut self.chain.lock().unwrap());
    }

    pub fn twist(&self, twist: impl Fn(&str, &Value, Value) -> Value + Send + 'static) {
        self.set(|chain| chain.twist = Some(Box::new(twist)));
    }

    pub fn get<T>(&self, f: impl FnOnce(&Chain) -> T) -> T {
        f(&self.chain.lock().unwrap())
    }

    async fn answer(Ctx(mock): Ctx<Self>, body: Body) -> impl IntoResponse {
        let manner = {
            let mut chain = mock.chain.lock().unwrap();
            chain.requests += 1;
            chain.open += 1;
            chain.most_open = chain.most_open.max(chain.open);
            chain.manner.clone()
        };
        let _open = Open(mock.clone());
        match manner {
            Manner::Honest => {}
            Manner::Slow(wait) => tokio::time::sleep(wait).await,
            Manner::Hanging => std::future::pending().await,
            Manner::Says(status, text) => return (StatusCode::from_u16(status).unwrap(), text.to_owned()),
        }
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (method, params) = (body["method"].as_str().unwrap(), &body["params"]);
        let outcome = {
            let mut chain = mock.chain.lock().unwrap();
            let outcome = match chain.of.clone() {
                Some(of) => {
                    let mut shared = of.lock().unwrap();
                    shared.respond(method, params)
                }
                None => chain.respond(method, params),
            };
            outcome.map(|answer| match &chain.twist {
                Some(twist) => twist(method, params, answer),
                None => answer,
            })
        };
        let answer = match outcome {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": body["id"], "result": result }),
            Err(message) => {
                json!({ "jsonrpc": "2.0", "id": body["id"], "error": { "code": -32000, "message": message } })
            }
        };
        (StatusCode::OK, answer.to_string())
    }
}

impl Chain {
    /// A new block with whatever pays enough, in the order of nonces.
    pub fn mine(&mut self) {
        self.head += 1;
        while let Some(&(hash, max_fee, tip)) = self.pool.get(&(self.mined.len() as u64)) {
            if max_fee < self.base_fee + self.wants || tip < self.wants {
                return;
            }
            let nonce = self.mined.len() as u64;
            self.pool.remove(&nonce);
            self.mined.insert(nonce, (hash, self.head));
        }
    }

    /// Replaces the newest `depth` blocks by empty ones.
    pub fn reorganise(&mut self, depth: u64) {
        let first = self.head + 1 - depth;
        self.branches.retain(|from, _| *from < first);
        self.forks += 1;
        self.branches.insert(first, self.forks);
        self.mined.retain(|_, (_, block)| *block < first);
    }

    /// Replaces the newest `depth` blocks by others, in which the same was tried and reverted.
    pub fn reorganise_to_reverts(&mut self, depth: u64) {
        let mined = self.mined.clone();
        self.reorganise(depth);
        let first = self.head + 1 - depth;
        self.reverted.extend(mined.values().filter(|(_, block)| *block >= first).map(|(hash, _)| *hash));
        self.mined = mined;
    }

    /// Somebody else's transaction under this account's next nonce is mined.
    pub fn mine_foreign(&mut self) {
        let nonce = self.mined.len() as u64;
        self.head += 1;
        self.pool.remove(&nonce);
        self.mined.insert(nonce, (B256::repeat_byte(0xfe), self.head));
    }

    /// How many transactions wait to be mined.
    pub fn waiting(&self) -> usize {
        self.pool.len()
    }

    /// How many transactions the account has made.
    pub fn transactions(&self) -> usize {
        self.mined.len()
    }

    pub fn hash(&self, number: u64) -> B256 {
        let branch = self.branches.range(..=number).next_back().map_or(0, |(_, branch)| *branch);
        if number == 0 { self.genesis } else { keccak256([number.to_be_bytes(), branch.to_be_bytes()].concat()) }
    }

    pub fn block(&self, number: u64) -> Value {
        let hash = |number: u64| self.hash(number);
        if number > self.head {
            return Value::Null;
        }
        json!({ "number": hex(number), "hash": hash(number), "parentHash": hash(number.saturating_sub(1)),
            "timestamp": hex(self.clock + number), "baseFeePerGas": format!("{:#x}", self.base_fee) })
    }

    fn respond(&mut self, method: &str, params: &Value) -> Result<Value, &'static str> {
        Ok(match method {
            "eth_chainId" => hex(self.chain_id),
            "eth_getBlockByNumber" => match params[0].as_str().unwrap() {
                "latest" => self.block(self.head),
                "finalized" => match self.finalized {
                    Some(number) => self.block(number),
                    None => return Err("unknown block"),
                },
                number => self.block(u64::from_str_radix(&number[2..], 16).unwrap()),
            },
            "eth_getTransactionCount" if params[1] == "pending" => hex((self.mined.len() + self.pool.len()) as u64),
            "eth_getTransactionCount" => hex(self.mined.len() as u64),
            "eth_getLogs" => json!(self.logs),
            "eth_call" => json!("0x"),
            "eth_getCode" => json!(self.codes.get(params[0].as_str().unwrap()).copied().unwrap_or("0x")),
            "eth_estimateGas" => json!("0x5208"),
            "eth_maxPriorityFeePerGas" => json!("0x64"),
            "eth_sendRawTransaction" => return self.accept(&params[0]),
            "eth_getTransactionByHash" => {
                let all = self.pool.values().map(|&(hash, ..)| hash).chain(self.mined.values().map(|&(hash, _)| hash));
                all.map(|hash| json!(hash)).find(|hash| *hash == params[0]).unwrap_or_default()
            }
            "eth_getTransactionReceipt" => {
                let found = self.mined.values().find(|(hash, _)| json!(hash) == params[0]);
                found.map_or(Value::Null, |(hash, block)| {
                    json!({ "transactionHash": hash, "blockNumber": hex(*block), "blockHash": self.block(*block)["hash"],
                        "status": hex((!self.reverted.contains(hash)).into()), "gasUsed": "0x5208", "effectiveGasPrice": "0x3e8" })
                })
            }
            other => panic!("the mock does not know {other}"),
        })
    }

    /// As geth's pool: a replacement must raise both fields by a tenth.
    fn accept(&mut self, raw: &Value) -> Result<Value, &'static str> {
        let raw: Bytes = raw.as_str().unwrap().parse().unwrap();
        let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
        let (nonce, hash) = (transaction.nonce(), *transaction.tx_hash());
        let (max_fee, tip) = (transaction.max_fee_per_gas(), transaction.max_priority_fee_per_gas().unwrap());
        if nonce < self.mined.len() as u64 {
            return Err("nonce too low");
        }
        if let Some(&(old, old_fee, old_tip)) = self.pool.get(&nonce) {
            if old == hash {
                return Err("already known");
            }
            if max_fee * 10 < old_fee * 11 || tip * 10 < old_tip * 11 {
                self.underpriced += 1;
                return Err("replacement transaction underpriced");
            }
        }
        self.pool.insert(nonce, (hash, max_fee, tip));
        self.accepted += 1;
        Ok(json!(hash))
    }
}

pub fn hex(number: u64) -> Value {
    json!(format!("{number:#x}"))
}
