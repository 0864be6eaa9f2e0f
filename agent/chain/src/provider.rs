//! Several JSON-RPC providers as one: asked in the configured order, each with its own back-off, none trusted to be
//! the right chain before it has shown chain id and genesis. What safety rests on is asked of all of them ([`views`]).
//!
//! Knows nothing of contracts. Every request has one deadline ([`Settings::timeout`]) that covers queueing, connecting
//! and reading; a provider that failed is left alone until its back-off ends and then gets one single request as a
//! probe, so a hanging node never collects a pile of waiting calls. Dropping any future here is safe.

mod endpoint;
mod transport;
pub mod views;

pub use transport::{Lost, Transport};

use crate::error::{Class, RpcError};
use crate::types::{Header, Pin, Simulation, WireHeader};
use alloy::primitives::{Address, B256, Bytes, U64, U256, keccak256};
use endpoint::{Failure, Outcome, Provider};
use futures::future::{join_all, ready};
use headframe_market::{BlockNo, Wei};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use transport::Http;

/// How providers are treated. The default is right for a public endpoint and for a node of one's own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For one request to one provider, everything included.
    pub timeout: Duration,
    /// Rest after the first failure; doubles with each further one.
    pub backoff_min: Duration,
    /// The longest rest.
    pub backoff_max: Duration,
    /// How often a working provider must show chain id and genesis again. After a failure it always must.
    pub reverify: Duration,
    /// Requests in flight to one provider; more wait within their own deadline.
    pub in_flight: usize,
    /// The longest answer read, in bytes.
    pub max_body: usize,
    /// How many providers must agree on what safety rests on; more than half of them when `None`.
    pub quorum: Option<usize>,
    /// A provider further than this from what a quorum has reached is set aside.
    pub max_lag: u64,
    /// A provider that disagrees with a quorum for longer than this is set aside: shorter, it may only be late.
    pub patience: Duration,
    /// How long a provider is set aside at first; doubles each time that it comes back and is still wrong.
    pub aside_min: Duration,
    /// The longest that a provider is set aside.
    pub aside_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(5),
            reverify: Duration::from_secs(60),
            in_flight: 32,
            max_body: 32 << 20,
            quorum: None,
            max_lag: 8,
            patience: Duration::from_secs(20),
            aside_min: Duration::from_secs(30),
            aside_max: Duration::from_secs(600),
        }
    }
}

/// What one provider did so far. All numbers only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderStats {
    /// Scheme, host and port; paths and credentials are secrets and left out.
    pub name: String,
    /// Usable answers, errors of the chain included.
    pub answered: u64,
    /// Requests that ran into the deadline.
    pub timeouts: u64,
    /// Connections refused, reset, or an HTTP status other than 200.
    pub transport: u64,
    /// Answers that are not what was asked for.
    pub garbage: u64,
    /// Told to slow down (HTTP 429 and its JSON-RPC relatives).
    pub rate_limited: u64,
    /// Time spent waiting for usable answers, in microseconds.
    pub answer_micros: u64,
    /// Whether it is resting after a failure right now.
    pub resting: bool,
    /// Answers that a quorum contradicted.
    pub disagreements: u64,
    /// Times that it was set aside.
    pub set_aside: u64,
    /// Why it is set aside right now, if it is.
    pub aside: Option<String>,
    /// The newest block that it told of.
    pub head: u64,
}

/// A contract and the hash of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePin {
    /// What it is, for a person.
    pub name: &'static str,
    /// Where it is.
    pub address: Address,
    /// `keccak256` of its code.
    pub hash: B256,
}

/// Several providers as one. Cheap to clone; all clones share back-off and counters.
#[derive(Clone, Debug)]
pub struct Rpc {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    providers: Vec<Provider>,
    settings: Settings,
    pin: OnceLock<Pin>,
    /// Once a provider served the wrong chain, every later request says so: a person must look.
    wrong: OnceLock<RpcError>,
}

impl Rpc {
    /// Binds to the chain of `urls`, asked in this order. With `expect` every provider must be on exactly that chain;
    /// without, the first that answers decides for the others.
    ///
    /// # Errors
    /// `WrongChain`, `WrongGenesis`: fatal. `Unavailable` when not one provider answers yet; try again later.
    pub async fn connect(urls: &[String], expect: Option<Pin>) -> Result<Self, RpcError> {
        Self::connect_with(urls, expect, Settings::default()).await
    }

    /// [`Self::connect`] with own settings.
    ///
    /// # Errors
    /// As for [`Self::connect`].
    pub async fn connect_with(urls: &[String], expect: Option<Pin>, settings: Settings) -> Result<Self, RpcError> {
        let rpc = Self::build(urls, expect, settings)?;
        let deadline = Instant::now() + rpc.inner.settings.timeout;
        if expect.is_none() {
            // In order, so that the first one in the list is the one that decides.
            for provider in &rpc.inner.providers {
                if rpc.verify(provider, deadline, ready(())).await?.is_ok() {
                    break;
                }
            }
        }
        for checked in join_all(rpc.inner.providers.iter().map(|p| rpc.verify(p, deadline, ready(())))).await {
            let _unreachable = checked?; // noted in its back-off; the others may do
        }
        match rpc.inner.pin.get() {
            Some(_) if rpc.inner.providers.iter().any(|p| p.lock().verified.is_some()) => Ok(rpc),
            _ => Err(rpc.unavailable("connect")),
        }
    }

    /// Like [`Self::connect`] for a chain known beforehand, but without asking anybody yet: for a node that must start
    /// while its providers are down.
    ///
    /// # Errors
    /// `BadUrl` only.
    pub fn offline(urls: &[String], expect: Pin, settings: Settings) -> Result<Self, RpcError> {
        Self::build(urls, Some(expect), settings)
    }

    fn build(urls: &[String], expect: Option<Pin>, settings: Settings) -> Result<Self, RpcError> {
        if urls.is_empty() {
            return Err(RpcError::BadUrl { url: String::new(), why: "no provider is configured".into() });
        }
        let http = |url: &String| {
            let (name, http) = Http::new(url, &settings)?;
            Ok(Provider::new(name, Box::new(http), &settings))
        };
        let providers = urls.iter().map(http).collect::<Result<_, _>>()?;
        Ok(Self::of(providers, expect, settings))
    }

    /// [`Self::offline`] over other ways than HTTP, each with the provider's name; at least one.
    pub fn over(ways: Vec<(String, Box<dyn Transport>)>, expect: Pin, settings: Settings) -> Self {
        let providers = ways.into_iter().map(|(name, way)| Provider::new(name, way, &settings)).collect();
        Self::of(providers, Some(expect), settings)
    }

    fn of(providers: Vec<Provider>, expect: Option<Pin>, settings: Settings) -> Self {
        let pin = expect.map_or_else(OnceLock::new, OnceLock::from);
        Self { inner: Arc::new(Inner { providers, settings, pin, wrong: OnceLock::new() }) }
    }

    /// The chain this client is bound to.
    pub fn pin(&self) -> Pin {
        // Every constructor leaves it set: `connect` fails before returning otherwise.
        self.inner.pin.get().copied().unwrap_or(Pin { chain_id: 0, genesis: B256::ZERO })
    }

    /// What each provider did so far, in the configured order.
    pub fn stats(&self) -> Vec<ProviderStats> {
        let now = Instant::now();
        let one = |provider: &Provider| {
            let state = provider.lock();
            let resting = state.rest_until.is_some_and(|until| until > now);
            let aside = state.aside_until.filter(|until| *until > now).map(|_| state.aside_why.clone());
            ProviderStats { name: provider.name.clone(), resting, aside, ..state.stats.clone() }
        };
        self.inner.providers.iter().map(one).collect()
    }

    /// The latest header.
    ///
    /// # Errors
    /// As every request here: see [`RpcError`].
    pub async fn head(&self) -> Result<Header, RpcError> {
        let header: WireHeader = self.request("eth_getBlockByNumber", json!(["latest", false])).await?;
        Ok(header.into())
    }

    /// The header at a height, `None` beyond the head.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn header(&self, number: BlockNo) -> Result<Option<Header>, RpcError> {
        let header: Option<WireHeader> =
            self.request("eth_getBlockByNumber", json!([U64::from(number.0), false])).await?;
        Ok(header.map(Header::from))
    }

    /// Runs a transaction on the state after block `at` (latest when `None`) without sending it.
    ///
    /// # Errors
    /// `Reverted` when it reverts; otherwise see [`RpcError`].
    pub async fn simulate(&self, call: &Simulation, at: Option<BlockNo>) -> Result<Bytes, RpcError> {
        let at = at.map_or(json!("latest"), |at| json!(U64::from(at.0)));
        self.request("eth_call", json!([call.json(), at])).await
    }

    /// The gas a transaction takes on the latest state.
    ///
    /// # Errors
    /// `Reverted` when it reverts; otherwise see [`RpcError`].
    pub async fn estimate_gas(&self, call: &Simulation) -> Result<u64, RpcError> {
        self.request::<U64>("eth_estimateGas", json!([call.json()])).await.map(|gas| gas.to())
    }

    /// The coin an account holds.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn balance(&self, of: Address) -> Result<Wei, RpcError> {
        let balance: U256 = self.request("eth_getBalance", json!([of, "latest"])).await?;
        Ok(Wei(balance.saturating_to()))
    }

    /// The code at an address; empty when there is no contract.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn code(&self, at: Address) -> Result<Bytes, RpcError> {
        self.request("eth_getCode", json!([at, "latest"])).await
    }

    /// The tip in wei per gas that the provider suggests; 0 where it has no opinion.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn suggested_tip(&self) -> Result<u128, RpcError> {
        match self.request::<U256>("eth_maxPriorityFeePerGas", json!([])).await {
            Ok(tip) => Ok(tip.saturating_to()),
            Err(error) if error.class() == Class::Answer => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Hands a signed transaction to every provider that is up. One acceptance is enough, and having it already counts.
    ///
    /// # Errors
    /// The first provider's objection when none accepts; `Unavailable` when none answers.
    pub async fn broadcast(&self, raw: &Bytes) -> Result<B256, RpcError> {
        const METHOD: &str = "eth_sendRawTransaction";
        self.refuse_if_wrong()?;
        let hash = keccak256(raw);
        let params = json!([raw]);
        let asked = self.inner.providers.iter().map(|p| self.ask::<Value>(p, METHOD, &params));
        let mut objection = None;
        for (outcome, provider) in join_all(asked).await.into_iter().zip(&self.inner.providers) {
            match outcome? {
                Ok(Ok(_)) => return Ok(hash),
                Ok(Err(error)) if already_known(&error.message) => return Ok(hash),
                Ok(Err(_)) if provider.is_aside() => {}
                Ok(Err(error)) => objection = objection.or(Some(error.named(METHOD, provider))),
                Err(_) => {}
            }
        }
        Err(objection.unwrap_or_else(|| self.unavailable(METHOD)))
    }

    /// Any other read-only method. `T` must tell an absent value apart (`Option`) where the method may answer null.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn request<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, RpcError> {
        self.refuse_if_wrong()?;
        for provider in self.inner.providers.iter().filter(|provider| !provider.is_aside()) {
            match self.ask(provider, method, &params).await? {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => return Err(error.named(method, provider)),
                Err(_) => {} // resting from now on; the next in order
            }
        }
        Err(self.unavailable(method))
    }

    fn refuse_if_wrong(&self) -> Result<(), RpcError> {
        self.inner.wrong.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn unavailable(&self, method: &'static str) -> RpcError {
        let one = |p: &Provider| {
            let state = p.lock();
            let aside = state.aside_until.is_some_and(|until| until > Instant::now());
            match &state.last_error {
                _ if aside => format!("{}: set aside, because it {}", p.name, state.aside_why),
                error if error.is_empty() => format!("{}: not asked", p.name),
                error => format!("{}: {error}", p.name),
            }
        };
        let detail = self.inner.providers.iter().map(one).collect::<Vec<_>>().join("; ");
        RpcError::Unavailable { method, detail }
    }

    /// One request to one provider, if it is not resting, and its answer counts only once it has shown that it is the right chain. It
    /// is asked for its chain first, alone: that is the probe. The rest is asked at the same time with a deadline of its own, as one
    /// that is slow would not answer three questions in a row within the deadline of one.
    async fn ask<T: DeserializeOwned>(
        &self,
        provider: &Provider,
        method: &'static str,
        params: &Value,
    ) -> Result<Outcome<T>, RpcError> {
        let settings = &self.inner.settings;
        let now = Instant::now();
        let deadline = now + settings.timeout;
        let stale = {
            let mut state = provider.lock();
            match state.rest_until {
                Some(until) if until > now => return Ok(Err(Failure::Transport("resting".into()))),
                // The rest is over: this request is the probe, and the others wait for what it finds.
                Some(_) => state.rest_until = Some(deadline + settings.backoff_min),
                None => {}
            }
            state.verified.is_none_or(|at| now.duration_since(at) > settings.reverify)
        };
        if !stale {
            return Ok(provider.exchange(method, params, deadline, settings).await);
        }
        let answer = async { provider.exchange(method, params, Instant::now() + settings.timeout, settings).await };
        Ok(self.verify(provider, deadline, answer).await?.unwrap_or_else(Err))
    }

    /// Checks chain id and genesis against the pin, or sets the pin when there is none yet; `beside` is done once the provider has told
    /// its chain id.
    async fn verify<T>(
        &self,
        provider: &Provider,
        deadline: Instant,
        beside: impl Future<Output = T>,
    ) -> Result<Result<T, Failure>, RpcError> {
        let settings = &self.inner.settings;
        let chain = provider.exchange::<U64>("eth_chainId", &json!([]), deadline, settings).await;
        let chain = match answered(provider, chain, settings) {
            Ok(chain) => chain,
            Err(failure) => return Ok(Err(failure)),
        };
        let genesis = json!(["0x0", false]);
        let first = provider.exchange("eth_getBlockByNumber", &genesis, Instant::now() + settings.timeout, settings);
        let (first, done) = tokio::join!(first, beside);
        let first: WireHeader = match answered(provider, first, settings) {
            Ok(first) => first,
            Err(failure) => return Ok(Err(failure)),
        };
        let found = Pin { chain_id: chain.to(), genesis: Header::from(first).hash };
        let expected = *self.inner.pin.get_or_init(|| found);
        let name = || provider.name.clone();
        let error = if expected.chain_id != found.chain_id {
            RpcError::WrongChain { provider: name(), expected: expected.chain_id, found: found.chain_id }
        } else if expected.genesis != found.genesis {
            RpcError::WrongGenesis { provider: name(), expected: expected.genesis, found: found.genesis }
        } else {
            provider.lock().verified = Some(Instant::now());
            return Ok(Ok(done));
        };
        debug_assert_eq!(error.class(), Class::Unsafe);
        Err(self.inner.wrong.get_or_init(|| error).clone())
    }
}

impl Simulation {
    pub(crate) fn json(&self) -> Value {
        let mut call = json!({
            "from": self.from, "to": self.to, "value": U256::from(self.value.0), "input": self.input,
        });
        if let Some(gas) = self.gas {
            call["gas"] = json!(U64::from(gas));
        }
        call
    }
}

/// What every provider of a chain can answer; one that objects has failed.
fn answered<T>(provider: &Provider, outcome: Outcome<T>, settings: &Settings) -> Result<T, Failure> {
    outcome?.map_err(|error| provider.failed(Failure::Garbage(error.message), Instant::now(), settings))
}

/// Every client words it differently.
fn already_known(message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    ["already known", "already imported", "known transaction", "already exists", "alreadyknown", "already in"]
        .iter()
        .any(|words| text.contains(words))
}
