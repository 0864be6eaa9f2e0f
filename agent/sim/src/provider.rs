//! JSON-RPC providers of the simulated chain: each as slow, as dead or as dishonest as the scenario has it.

use crate::abi::{self, hex, hex_bytes};
use crate::chain::{self, Chain, Mined, Tx, View};
use crate::dice::Dice;
use crate::scenario::{GWEI, Lie};
use crate::world::World;
use alloy::primitives::{B256, Bytes, keccak256};
use futures::FutureExt;
use futures::future::BoxFuture;
use headframe_chain::provider::{Lost, Transport};
use headframe_guard::protocol::SeenClaim;
use headframe_market::machine::ClaimState;
use headframe_market::{JobId, SegmentNo};
use serde_json::Value;
use std::time::Duration;

/// How a provider is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody listens.
    Down,
    /// Takes requests and answers none.
    Hangs,
    /// HTTP 429.
    Limits,
    /// Something else than JSON.
    Garbage,
    /// An error of HTTP.
    Broken,
    /// Seconds for each answer.
    Slow,
}

impl Trouble {
    pub(crate) const ALL: [Self; 6] = [Self::Down, Self::Hangs, Self::Limits, Self::Garbage, Self::Broken, Self::Slow];
}

/// One provider's condition, in milliseconds of the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    pub(crate) trouble: Option<(Trouble, u64)>,
    /// Since when it lies, and until when, and about what.
    pub(crate) lies: Option<(u64, u64, Vec<Lie>)>,
    /// Since when it has been well and honest.
    pub(crate) well_since: u64,
}

impl Condition {
    pub(crate) fn settle(&mut self, now: u64) {
        if self.trouble.is_some_and(|(_, until)| now >= until) {
            self.trouble = None;
            self.well_since = now;
        }
        if self.lies.as_ref().is_some_and(|(_, until, _)| now >= *until) {
            self.lies = None;
            self.well_since = now;
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.trouble.is_none() && self.lies.is_none()
    }
}

/// The way to provider `at`.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) world: World,
    pub(crate) at: usize,
}

type Answer = Result<(u16, Vec<u8>), Lost>;

impl Transport for Way {
    fn exchange<'a>(&'a self, body: &'a Value, _max_body: usize) -> BoxFuture<'a, Answer> {
        self.answer(body).boxed()
    }
}

impl Way {
    async fn answer(&self, body: &Value) -> Answer {
        let (delay, trouble, answer_lost) = {
            let mut inner = self.world.lock();
            let method = body["method"].as_str().unwrap_or_default().to_owned();
            let at = self.at;
            inner.note(true, format_args!("rpc {at} {method}"));
            let trouble = inner.providers[at].trouble.map(|(trouble, _)| trouble);
            let delay = inner.network.range(5, 80);
            (delay, trouble, inner.network.permille(3))
        };
        let nothing = |why: &str| Err(Lost::OnTheWay(why.into()));
        match trouble {
            Some(Trouble::Down) => return nothing("connection refused"),
            Some(Trouble::Hangs) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                return nothing("reset");
            }
            Some(Trouble::Limits) => return Ok((429, Vec::new())),
            Some(Trouble::Garbage) => return Ok((200, b"<html>be right back</html>".to_vec())),
            Some(Trouble::Broken) => return Ok((503, Vec::new())),
            Some(Trouble::Slow) => tokio::time::sleep(Duration::from_millis(1500 + delay * 20)).await,
            None => tokio::time::sleep(Duration::from_millis(delay)).await,
        }
        let text = {
            let mut inner = self.world.lock();
            let id = &body["id"];
            match respond(&mut inner, self.at, body) {
                Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
                Err((code, message)) => {
                    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#)
                }
            }
        };
        if answer_lost {
            return nothing("reset by peer");
        }
        Ok((200, text.into_bytes()))
    }
}

type Said = Result<String, (i64, String)>;

fn respond(inner: &mut crate::world::Inner, at: usize, body: &Value) -> Said {
    let (method, params) = (body["method"].as_str().unwrap_or_default(), &body["params"]);
    let lies = inner.providers[at].lies.as_ref().map(|(since, _, lies)| (*since, lies.clone()));
    let lying = |lie: Lie| lies.as_ref().is_some_and(|(_, lies)| lies.contains(&lie));
    let mut told: Option<Lie> = None;
    let mut head = inner.chain.head();
    if lying(Lie::StaleHead) {
        head = head.saturating_sub(inner.stale_by);
        told = Some(Lie::StaleHead);
    }
    let said = {
        let mut lie = |lie: Lie| {
            let lies = lying(lie);
            if lies {
                told = Some(lie);
            }
            lies
        };
        speak(&mut inner.chain, &mut inner.liar, head, method, params, &mut lie)
    };
    if let Some(lie) = told {
        inner.trace.count("lies told");
        inner.trace.count(&format!("lie: {lie:?}"));
    }
    if method == "eth_sendRawTransaction" {
        let word = said.as_ref().map_or_else(|(_, why)| why.as_str(), |_| "taken");
        let word = word.to_owned();
        inner.note(false, format_args!("provider {at}: transaction {word}"));
    }
    said
}

fn speak(
    chain: &mut Chain,
    dice: &mut Dice,
    head: u64,
    method: &str,
    params: &Value,
    lie: &mut dyn FnMut(Lie) -> bool,
) -> Said {
    let null = || Ok("null".to_owned());
    let reverts = |why: &str| Err((3, format!("execution reverted: {why}")));
    let text = |at: usize| params[at].as_str().unwrap_or_default();
    let hash = |at: usize| text(at).parse::<B256>().unwrap_or_default();
    match method {
        "eth_chainId" => Ok(hex(chain::CHAIN_ID.into())),
        "eth_getCode" => Ok("\"0x01\"".into()),
        "eth_getBlockByNumber" | "debug_getRawHeader" => {
            let number = match text(0) {
                "latest" if method == "eth_getBlockByNumber" && lie(Lie::InventedHead) => {
                    return Ok(invented(chain, dice, head).to_string());
                }
                "latest" => head,
                "finalized" => chain.finalized().min(head),
                number => number.strip_prefix("0x").and_then(|n| u64::from_str_radix(n, 16).ok()).unwrap_or(u64::MAX),
            };
            if number > head {
                return null();
            }
            let Some(block) = chain.block(number) else { return null() };
            if number > 0 && text(0).starts_with("0x") && lie(Lie::WrongHeaders) {
                return Ok(forged(&block.json).to_string());
            }
            Ok(if method == "debug_getRawHeader" { hex_bytes(&block.rlp) } else { block.json.to_string() })
        }
        "eth_getTransactionCount" => {
            let Some(block) = chain.block(head) else { return null() };
            let mined = block.state.nonce;
            let waiting = (mined..).take_while(|nonce| chain.pool.contains_key(nonce)).count() as u64;
            let more = u64::from(lie(Lie::WrongNonces));
            let pending = if params[1] == "pending" { waiting } else { 0 };
            Ok(hex((mined + pending + more).into()))
        }
        "eth_getBalance" => {
            let balance = chain.block(head).map_or(0, |block| block.state.balance);
            Ok(hex(if lie(Lie::WrongMoney) { if dice.permille(500) { 0 } else { balance * 1000 } } else { balance }))
        }
        "eth_maxPriorityFeePerGas" => Ok(hex(if lie(Lie::WrongMoney) { 900 * GWEI } else { GWEI / 10 })),
        "eth_getLogs" => Ok(events(chain, dice, head, &params[0], lie)),
        "eth_getTransactionByHash" => {
            let known = chain.block(head).is_some_and(|block| block.state.receipts.contains_key(&hash(0)))
                || chain.pool.values().any(|tx| tx.hash == hash(0));
            if known && !lie(Lie::HiddenReceipts) { Ok(format!("\"{}\"", hash(0))) } else { null() }
        }
        "eth_getTransactionReceipt" => {
            if lie(Lie::HiddenReceipts) {
                return null();
            }
            if let Some(tx) = chain.pool.values().find(|tx| tx.hash == hash(0))
                && let Some(block) = chain.block(head)
                && lie(Lie::FakeReceipts)
            {
                let success = dice.permille(500);
                let mined = Mined { block: head, success, gas: 21_000, price: tx.max_fee };
                return Ok(chain::receipt_json(tx.hash, &mined, block.hash));
            }
            chain.receipt(head, hash(0)).map_or_else(null, Ok)
        }
        "eth_sendRawTransaction" => {
            let Ok(raw) = text(0).parse::<Bytes>() else { return Err((-32602, "not bytes".into())) };
            if lie(Lie::Swallows) {
                return Ok(format!("\"{}\"", keccak256(&raw)));
            }
            let Some(tx) = Tx::read(&chain.at, &raw) else { return Err((-32000, "rlp: not a transaction".into())) };
            chain.accept(tx).map(|hash| format!("\"{hash}\"")).map_err(|why| (-32000, why.into()))
        }
        "eth_call" | "eth_estimateGas" => {
            let call = &params[0];
            let field = |name: &str| call[name].as_str().unwrap_or_default();
            let input: Bytes = field("input").parse().unwrap_or_default();
            if call.get("from").is_none() {
                let mut view = chain.view(head);
                if let Some(view) = view.as_mut().filter(|_| lie(Lie::WrongViews)) {
                    twist(dice, view);
                }
                return Ok(hex_bytes(&serde_json::to_vec(&view).unwrap_or_default()));
            }
            let to = field("to").parse().unwrap_or_default();
            let Some(deed) = abi::read(&chain.at, to, &input) else { return reverts("no such function") };
            if lie(Lie::WrongEstimates) {
                return if dice.permille(500) { reverts("as I say") } else { Ok(hex(1 << 50)) };
            }
            let number = params[1].as_str().and_then(|n| n.strip_prefix("0x"));
            let number = number.and_then(|n| u64::from_str_radix(n, 16).ok()).unwrap_or(head);
            match chain.rehearse(number, &deed) {
                Err(why) => reverts(why.name()),
                Ok(()) if method == "eth_call" => Ok("\"0x\"".into()),
                Ok(()) => Ok(hex(deed.gas().into())),
            }
        }
        _ => Err((-32601, "the method does not exist".into())),
    }
}

/// A block that is not there, some blocks ahead.
fn invented(chain: &Chain, dice: &mut Dice, head: u64) -> std::sync::Arc<str> {
    let time = chain.block(head).map_or(0, |block| block.time);
    let header = alloy::consensus::Header {
        number: head + dice.range(1, 6),
        timestamp: time + 60,
        mix_hash: chain::random(dice),
        base_fee_per_gas: Some(1),
        ..Default::default()
    };
    chain::header_json(header)
}

/// The same header with another random number and the hash that belongs to that.
fn forged(json: &str) -> std::sync::Arc<str> {
    let Ok(header) = serde_json::from_str::<alloy::rpc::types::Header>(json) else { return json.into() };
    chain::header_json(alloy::consensus::Header { mix_hash: B256::repeat_byte(0x66), ..header.inner })
}

fn events(chain: &Chain, dice: &mut Dice, head: u64, filter: &Value, lie: &mut dyn FnMut(Lie) -> bool) -> String {
    let bound = |name: &str| {
        let text = filter[name].as_str().and_then(|n| n.strip_prefix("0x"));
        text.and_then(|n| u64::from_str_radix(n, 16).ok())
    };
    let (from, to) = (bound("fromBlock").unwrap_or(0), bound("toBlock").unwrap_or(head).min(head));
    let Some(tip) = chain.block(head) else { return "[]".into() };
    let mut all = Vec::new();
    for (number, transaction, claim) in &tip.state.events {
        if (from..=to).contains(number)
            && let Some(block) = chain.block(*number)
        {
            all.push(chain::event_json(chain.at.book, block, *transaction, claim));
        }
    }
    if !all.is_empty() && lie(Lie::HiddenEvents) {
        all.clear();
    }
    if lie(Lie::InventedClaim) {
        let claim = SeenClaim { job: JobId(1), first: SegmentNo(dice.below(50)), count: 3, root: B256::repeat_byte(9) };
        all.push(chain::event_json(chain.at.book, tip, chain::random(dice), &claim));
    }
    format!("[{}]", all.join(","))
}

/// Shows what would do harm: claims further along, jobs that are over.
fn twist(dice: &mut Dice, view: &mut View) {
    let state = dice.pick(&[ClaimState::Answered, ClaimState::Revealed, ClaimState::Settled, ClaimState::Slashed]);
    match dice.below(3) {
        0 => view.claims.clear(),
        1 => view.claims.iter_mut().for_each(|claim| claim.state = state),
        _ => view.claims.iter_mut().for_each(|claim| claim.seed = B256::repeat_byte(0x13)),
    }
}
