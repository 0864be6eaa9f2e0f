//! What safety rests on, asked of all providers at once: heads, what is final, account nonces, receipts, code.
//!
//! A number counts as reached when a quorum has reached it, so that neither one that is behind nor one that invents blocks
//! moves it. A provider that a quorum contradicts is set aside with its reason for a while ([`super::endpoint`]), at once
//! where no delay explains it, else when it goes on for longer than [`super::Settings::patience`].

use super::endpoint::{Outcome, Topic};
use super::{CodePin, Rpc};
use crate::error::RpcError;
use crate::types::{Header, Receipt, Simulation, WireHeader, WireReceipt};
use alloy::primitives::{Address, B256, Bytes, U64, keccak256};
use alloy::rpc::types::{Filter, Log};
use futures::future::join_all;
use headframe_market::BlockNo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A value and whether a quorum of the providers stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed<T> {
    /// As the quorum says; below one, the most cautious of what was said.
    pub value: T,
    /// Whether a quorum says so.
    pub quorum: bool,
}

/// The newest blocks as all providers see them.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// The highest block that a quorum has reached.
    pub tip: Header,
    /// A provider that has it.
    pub(crate) from: usize,
    /// The lowest view: what has happened for certain.
    pub lowest: Header,
    /// The highest view: what may have happened.
    pub highest: Header,
    /// Whether a quorum answers, and is where the tip is.
    pub quorum: bool,
}

/// How many transactions an account has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonces {
    /// Mined, as a quorum sees it.
    pub mined: u64,
    /// Mined or in a pool, as a quorum sees it.
    pub pending: u64,
    /// The most that any provider reports.
    pub most: u64,
}

impl Rpc {
    /// How many providers must agree.
    pub fn quorum(&self) -> usize {
        let all = self.inner.providers.len();
        self.inner.settings.quorum.unwrap_or(all / 2 + 1).clamp(1, all)
    }

    /// Asks everybody who is neither resting nor set aside; their answers with their places.
    async fn ask_all<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Vec<(usize, T)>, RpcError> {
        let mut answers = Vec::new();
        let mut objection = None;
        for (at, outcome) in self.outcomes(method, params).await? {
            match outcome {
                Ok(Ok(value)) => answers.push((at, value)),
                Ok(Err(error)) => objection = objection.or(Some(error.named(method, &self.inner.providers[at]))),
                Err(_) => {}
            }
        }
        if answers.is_empty() {
            return Err(objection.unwrap_or_else(|| self.unavailable(method)));
        }
        Ok(answers)
    }

    async fn outcomes<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Vec<(usize, Outcome<T>)>, RpcError> {
        self.refuse_if_wrong()?;
        let one = |(at, provider)| {
            let asked = self.ask::<T>(provider, method, params);
            async move { (at, asked.await) }
        };
        let trusted = self.inner.providers.iter().enumerate().filter(|(_, provider)| !provider.is_aside());
        let all = join_all(trusted.map(one).collect::<Vec<_>>()).await;
        all.into_iter().map(|(at, outcome)| Ok((at, outcome?))).collect()
    }

    /// The newest blocks, and who is behind or makes some up.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn heads(&self) -> Result<Heads, RpcError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let mut heads: Vec<(usize, Header)> =
            self.ask_all::<WireHeader>(METHOD, &json!(["latest", false])).await?.into_iter().map(wire).collect();
        for (at, head) in &heads {
            self.inner.providers[*at].lock().stats.head = head.number.0;
        }
        let need = self.quorum();
        let reached = BlockNo(reached(heads.iter().map(|(_, head)| head.number.0), need));
        let most = self.inner.settings.max_lag;
        let lag = |head: &Header| head.number.0.abs_diff(reached.0);
        // Of two that are far apart nobody knows which one is wrong: a quorum is near each other.
        let quorum = heads.iter().filter(|(_, head)| lag(head) <= most).count() >= need;
        if quorum {
            for (at, head) in heads.iter().filter(|(_, head)| lag(head) > most) {
                let side = if head.number < reached { "behind" } else { "ahead of" };
                self.set_aside(*at, &format!("at block {}, {} blocks {side} the others", head.number, lag(head)));
            }
            heads.retain(|(_, head)| lag(head) <= most);
        }
        let (lowest, highest) = spread(&heads);
        let (from, tip) = match quorum {
            true => self.header_of(reached, &heads).await?,
            // Nobody to compare with: the most cautious view.
            false => heads.iter().copied().min_by_key(|(_, head)| head.number).unwrap_or((0, lowest)),
        };
        Ok(Heads { tip, from, lowest, highest, quorum })
    }

    /// The header at a height as most have it; those which have another one are noted.
    async fn header_of(&self, number: BlockNo, heads: &[(usize, Header)]) -> Result<(usize, Header), RpcError> {
        let here = |&(at, head): &(usize, Header)| async move {
            let found = if head.number == number { Some(head) } else { self.header_from(at, number).await? };
            Ok::<_, RpcError>((at, found))
        };
        // One that is still below cannot say anything of it.
        let able = heads.iter().filter(|(_, head)| head.number >= number);
        let asked: Vec<_> = join_all(able.map(here)).await.into_iter().collect::<Result<_, _>>()?;
        let found: Vec<(usize, Header)> = asked.into_iter().filter_map(|(at, found)| Some((at, found?))).collect();
        let mut votes: BTreeMap<B256, usize> = BTreeMap::new();
        for (_, header) in &found {
            *votes.entry(header.hash).or_default() += 1;
        }
        let most = votes.values().copied().max().unwrap_or(0);
        let first = found.iter().find(|(_, header)| votes.get(&header.hash) == Some(&most)).copied();
        let Some((from, tip)) = first else { return Err(self.unavailable("eth_getBlockByNumber")) };
        if most >= self.quorum() {
            for (at, header) in found {
                let why = || format!("has block {number} with hash {}, others {}", header.hash, tip.hash);
                self.judge(at, Topic::Blocks, header.hash == tip.hash, why);
            }
        }
        Ok((from, tip))
    }

    /// The header at a height from one provider; `None` beyond its head or when it gives no usable answer.
    pub(crate) async fn header_from(&self, at: usize, number: BlockNo) -> Result<Option<Header>, RpcError> {
        let provider = &self.inner.providers[at];
        let params = json!([U64::from(number.0), false]);
        match self.ask::<Option<WireHeader>>(provider, "eth_getBlockByNumber", &params).await? {
            Ok(Ok(header)) => Ok(header.map(Header::from)),
            _ => Ok(None),
        }
    }

    /// The newest block that a quorum calls final and has alike; `None` where the chain has no such word or too few answer.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let asked = self.outcomes::<Option<WireHeader>>(METHOD, &json!(["finalized", false])).await?;
        let words: Vec<(usize, Header)> =
            asked.into_iter().filter_map(|(at, outcome)| Some((at, Header::from(outcome.ok()?.ok()??)))).collect();
        let need = self.quorum();
        if words.len() < need {
            return Ok(None);
        }
        let number = BlockNo(reached(words.iter().map(|(_, header)| header.number.0), need));
        let (_, header) = self.header_of(number, &words).await?;
        let same = |&(at, word): &(usize, Header)| async move {
            let own = if word.number == number { Some(word) } else { self.header_from(at, number).await? };
            Ok::<_, RpcError>(own.is_some_and(|own| own.hash == header.hash))
        };
        let mut agree = 0;
        for same in join_all(words.iter().map(same)).await {
            agree += usize::from(same?);
        }
        Ok((agree >= need).then_some(header))
    }

    /// How many transactions of an account were mined, and how many wait.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn nonces(&self, of: Address) -> Result<Agreed<Nonces>, RpcError> {
        const METHOD: &str = "eth_getTransactionCount";
        let (latest, pending) = (json!([of, "latest"]), json!([of, "pending"]));
        let (mined, waiting) =
            tokio::join!(self.ask_all::<U64>(METHOD, &latest), self.ask_all::<U64>(METHOD, &pending));
        let (mined, waiting) = (mined?, waiting?);
        let numbers = |answers: &[(usize, U64)]| answers.iter().map(|(_, n)| n.to::<u64>()).collect::<Vec<_>>();
        let need = self.quorum();
        let quorum = mined.len() >= need && waiting.len() >= need;
        let most = numbers(&mined).into_iter().chain(numbers(&waiting)).max().unwrap_or(0);
        let settled = reached(numbers(&mined).into_iter(), need);
        if numbers(&mined).into_iter().filter(|own| *own == settled).count() >= need {
            for (at, own) in mined {
                let own = own.to::<u64>();
                let why = || format!("says {own} transactions were mined, others {settled}");
                self.judge(at, Topic::Nonces, own == settled, why);
            }
        }
        let value = Nonces { mined: settled, pending: reached(numbers(&waiting).into_iter(), need), most };
        Ok(Agreed { value, quorum })
    }

    /// What became of a transaction, as a quorum says it; `None` while it is not mined or they do not agree.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn agreed_receipt(&self, hash: B256) -> Result<Agreed<Option<Receipt>>, RpcError> {
        let asked = self.ask_all::<Option<WireReceipt>>("eth_getTransactionReceipt", &json!([hash])).await?;
        let said: Vec<(usize, Option<Receipt>)> = asked
            .into_iter()
            .map(|(at, receipt)| (at, receipt.filter(|receipt| receipt.transaction_hash == hash).map(Receipt::from)))
            .collect();
        let need = self.quorum();
        let value = said.iter().map(|(_, value)| *value).find(|value| {
            let same = said.iter().filter(|(_, other)| other == value).count();
            same >= need
        });
        let Some(value) = value else { return Ok(Agreed { value: None, quorum: false }) };
        for (at, own) in said {
            let why = || format!("shows another receipt of {hash} than the others");
            self.judge(at, Topic::Receipts, own == value, why);
        }
        Ok(Agreed { value, quorum: true })
    }

    /// How many providers have a transaction, mined or waiting.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn holders(&self, hash: B256) -> Result<usize, RpcError> {
        let asked = self.ask_all::<Value>("eth_getTransactionByHash", &json!([hash])).await?;
        Ok(asked.into_iter().filter(|(_, transaction)| !transaction.is_null()).count())
    }

    /// Events as any provider shows them: what one hides, another tells. Sorted by block and place.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn logs(&self, filter: &Filter) -> Result<Vec<Log>, RpcError> {
        let all = self.ask_all::<Vec<Log>>("eth_getLogs", &json!([filter])).await?;
        let mut seen = BTreeSet::new();
        let mut logs: Vec<Log> = all.into_iter().flat_map(|(_, logs)| logs).collect();
        logs.retain(|log| seen.insert((log.block_hash, log.transaction_hash, log.log_index)));
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(logs)
    }

    /// Calls a contract's view function on the latest state: what most providers say.
    ///
    /// # Errors
    /// `Reverted` when it reverts; otherwise see [`RpcError`].
    pub async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, RpcError> {
        Ok(self.call_said(to, input).await?.value.swap_remove(0)) // never empty
    }

    /// [`Self::call`] with everything that was said, each answer once, the most frequent first, and whether a quorum says
    /// that one.
    ///
    /// # Errors
    /// `Reverted` when most say that it reverts; otherwise see [`RpcError`].
    pub async fn call_said(&self, to: Address, input: Bytes) -> Result<Agreed<Vec<Bytes>>, RpcError> {
        const METHOD: &str = "eth_call";
        let params = json!([{ "to": to, "input": input }, "latest"]);
        let mut said: Vec<(usize, Result<Bytes, RpcError>)> = Vec::new();
        for (at, outcome) in self.outcomes::<Bytes>(METHOD, &params).await? {
            if let Ok(answer) = outcome {
                said.push((at, answer.map_err(|error| error.named(METHOD, &self.inner.providers[at]))));
            }
        }
        // Every client words a refusal differently: all refusals are one answer.
        let votes = |of: &Result<Bytes, RpcError>| {
            said.iter().filter(|(_, other)| other.as_ref().ok() == of.as_ref().ok()).count()
        };
        let most = said.iter().map(|(_, answer)| votes(answer)).max().unwrap_or(0);
        let best = said.iter().position(|(_, answer)| votes(answer) == most);
        let Some(best) = best else { return Err(self.unavailable(METHOD)) };
        if most >= self.quorum() {
            let agreed = said[best].1.as_ref().ok();
            for (at, answer) in &said {
                let why = || format!("answers a call of {to} otherwise than the others");
                self.judge(*at, Topic::Calls, answer.as_ref().ok() == agreed, why);
            }
        }
        let mut value = vec![said.swap_remove(best).1?];
        for (_, answer) in said {
            if let Ok(other) = answer
                && !value.contains(&other)
            {
                value.push(other);
            }
        }
        Ok(Agreed { value, quorum: most >= self.quorum() })
    }

    /// The gas a transaction takes, as whoever can run it says; the most, where they differ, but not what is beyond `limit`
    /// when somebody says less: one that exaggerates must not stop it.
    ///
    /// # Errors
    /// `Reverted` when it reverts everywhere; otherwise see [`RpcError`].
    pub async fn estimate_gas_anywhere(&self, call: &Simulation, limit: u64) -> Result<u64, RpcError> {
        let said = self.ask_all::<U64>("eth_estimateGas", &json!([call.json()])).await?;
        let said: Vec<u64> = said.into_iter().map(|(_, gas)| gas.to()).collect();
        let within = said.iter().copied().filter(|gas| *gas <= limit).max();
        Ok(within.or(said.into_iter().min()).unwrap_or_default())
    }

    /// The header at a height as it is hashed, in RLP, of the block that most providers have there; `None` beyond the head.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn header_rlp(&self, number: BlockNo) -> Result<Option<Bytes>, RpcError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let params = json!([U64::from(number.0), false]);
        let said = self.ask_all::<Option<alloy::rpc::types::Header>>(METHOD, &params).await?;
        let votes =
            |hash: B256| said.iter().filter(|(_, other)| other.as_ref().is_some_and(|o| o.hash == hash)).count();
        // Of equals the first.
        let best = said.iter().filter_map(|(_, header)| header.as_ref()).rev().max_by_key(|header| votes(header.hash));
        let Some(header) = best else { return Ok(None) };
        let rlp = alloy::rlp::encode(&header.inner);
        if keccak256(&rlp) == header.hash {
            return Ok(Some(rlp.into()));
        }
        // A chain with fields that this program does not know; some providers give the bytes themselves.
        let raw = self.ask_all::<Bytes>("debug_getRawHeader", &json!([U64::from(number.0)])).await?;
        let right = raw.into_iter().map(|(_, raw)| raw).find(|raw| keccak256(raw) == header.hash);
        right.map(Some).ok_or_else(|| self.unavailable("debug_getRawHeader"))
    }

    /// Hashes of the contracts' code, as a quorum has it.
    ///
    /// # Errors
    /// `NoCode` where a quorum finds none, `NoQuorum` when they do not agree; otherwise see [`RpcError`].
    pub async fn codes(&self, contracts: &[(&'static str, Address)]) -> Result<Vec<CodePin>, RpcError> {
        let mut pins = Vec::with_capacity(contracts.len());
        for &(name, address) in contracts {
            let said: Vec<(usize, Bytes)> = self.ask_all("eth_getCode", &json!([address, "latest"])).await?;
            let agreed = said
                .iter()
                .map(|(_, code)| code)
                .find(|code| said.iter().filter(|(_, other)| other == *code).count() >= self.quorum());
            let Some(code) = agreed else { return Err(RpcError::NoQuorum { what: format!("the code of {name}") }) };
            if code.is_empty() {
                return Err(RpcError::NoCode { name, address });
            }
            pins.push(CodePin { name, address, hash: keccak256(code) });
        }
        Ok(pins)
    }

    /// Compares the contracts with what was pinned: as a quorum sees them, and then each provider by itself.
    ///
    /// # Errors
    /// `WrongCode` when a quorum serves other code; otherwise see [`RpcError`].
    pub async fn check_codes(&self, pins: &[CodePin]) -> Result<(), RpcError> {
        for pin in pins {
            let said: Vec<(usize, Bytes)> = self.ask_all("eth_getCode", &json!([pin.address, "latest"])).await?;
            let hashes: Vec<(usize, B256)> = said.iter().map(|(at, code)| (*at, keccak256(code))).collect();
            for found in hashes.iter().map(|(_, hash)| *hash).filter(|hash| *hash != pin.hash) {
                if hashes.iter().filter(|(_, other)| *other == found).count() >= self.quorum() {
                    let (name, address, expected) = (pin.name, pin.address, pin.hash);
                    return Err(RpcError::WrongCode { name, address, expected, found });
                }
            }
            for (at, found) in hashes.into_iter().filter(|(_, hash)| *hash != pin.hash) {
                let why = format!("serves other code for {} at {}: {found}", pin.name, pin.address);
                self.set_aside(at, &why);
            }
        }
        Ok(())
    }

    /// A provider gave two headers of which one should be the other's parent and is not.
    pub(crate) fn does_not_chain(&self, at: usize, child: Header, own: B256) {
        let below = child.number.0.saturating_sub(1);
        let why =
            format!("its block {} names {} as its parent, and its block {below} is {own}", child.number, child.parent);
        self.set_aside(at, &why);
    }

    /// Notes whether a provider agrees with a quorum.
    fn judge(&self, at: usize, on: Topic, agrees: bool, why: impl FnOnce() -> String) {
        let provider = &self.inner.providers[at];
        if agrees {
            provider.agrees(on);
        } else if provider.disagrees(on, self.inner.settings.patience) {
            self.set_aside(at, &why());
        }
    }

    /// Leaves a provider out for a while. The only one stays: there is nobody to ask instead.
    fn set_aside(&self, at: usize, why: &str) {
        if self.inner.providers.len() > 1 {
            self.inner.providers[at].set_aside(why, &self.inner.settings);
        }
    }
}

fn wire((at, header): (usize, WireHeader)) -> (usize, Header) {
    (at, header.into())
}

/// The highest number that `need` of them have reached; the lowest of all when there are fewer.
fn reached(numbers: impl Iterator<Item = u64>, need: usize) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.get(need.saturating_sub(1)).or(numbers.last()).copied().unwrap_or(0)
}

/// The lowest and the highest; the caller has at least one.
fn spread(heads: &[(usize, Header)]) -> (Header, Header) {
    let none = Header { number: BlockNo(0), hash: B256::ZERO, parent: B256::ZERO, timestamp: 0, base_fee: 0 };
    let all = || heads.iter().map(|(_, head)| *head);
    (all().min_by_key(|head| head.number).unwrap_or(none), all().max_by_key(|head| head.number).unwrap_or(none))
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn neither_one_that_is_behind_nor_one_that_invents_moves_a_number() {
        let of = |numbers: &[u64], need| reached(numbers.iter().copied(), need);
        assert_eq!(of(&[5, 5, 0], 2), 5);
        assert_eq!(of(&[900, 5, 5], 2), 5);
        assert_eq!(of(&[6, 5, 4], 2), 5);
        assert_eq!(of(&[7, 3], 2), 3);
        assert_eq!(of(&[7], 2), 7);
        assert_eq!(of(&[7, 6, 5, 4, 3], 3), 5);
    }
}
