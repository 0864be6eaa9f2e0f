//! The real contracts on a real development chain that reorganises in the middle of a claim: while it is claimed, answered
//! and settled, from 1 to 64 blocks deep. The accounts come out as on a chain that never did.
//!
//! The ordinary run takes a few depths; `scripts/chain-faults reorgs` takes all 64.
#![allow(clippy::unwrap_used)]

mod common;

use alloy::network::EthereumWallet;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy::sol_types::SolCall;
use common::{Anvil, LONG, Node, TestSigner, keep_mining, settings};
use headframe_chain::outbox::Settings;
use headframe_chain::{Rpc, TxSigner, Until};
use headframe_contracts::{ClaimBook, Deployment, FeeRouter, JobMarket, Params, StakeRegistry, Token};
use headframe_market::action::{Opening, Secret};
use headframe_market::machine::{ClaimState, draws};
use headframe_market::merkle::SumTree;
use headframe_market::profile::{Limits, Profile, Rung};
use headframe_market::typed_data::Domain;
use headframe_market::{
    Action, Addresses, Bid, BlockNo, ClaimId, JobId, JobOrder, Price, Receipt, Segment, SegmentNo, Timestamp, Units,
    Wei,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const COIN: u128 = 1_000_000_000_000_000_000;
const JOB: JobId = JobId(1);
/// Segments of a claim, and units of each.
const COUNT: u32 = 3;
const UNITS: u64 = 1_000;
/// Seconds for an answer, and for a reveal: more than the blocks of all that happens, one a second.
const WINDOW: u32 = 7_200;

/// When the chain reorganises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Claimed,
    Answered,
    Settled,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Claimed, Self::Answered, Self::Settled];

    fn state(self) -> ClaimState {
        match self {
            Self::Claimed => ClaimState::Submitted,
            Self::Answered => ClaimState::Answered,
            Self::Settled => ClaimState::Settled,
        }
    }
}

/// The contracts, an operator with an outbox of its own, and a client whose job it has.
struct Market {
    anvil: Anvil,
    rpc: Rpc,
    at: Deployment,
    domain: Domain,
    client: PrivateKeySigner,
    operator: Address,
    node: Node,
    _dir: tempfile::TempDir,
}

/// What everybody has in the end, gas left out: what a reorganisation makes of that is no matter of the market's.
type Accounts = BTreeMap<String, U256>;

impl Market {
    async fn start() -> Option<Self> {
        let anvil = Anvil::start(&["--accounts", "3"])?;
        let deployer = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let from = deployer.address();
        let url = anvil.url.parse().unwrap();
        let provider = ProviderBuilder::new().wallet(EthereumWallet::from(deployer)).connect_http(url);
        provider.client().set_poll_interval(Duration::from_millis(20));
        anvil.ask("anvil_setBalance", json!([from, U256::from(1000 * COIN)])).await;
        let mut params = Params::devnet();
        // Room for the blocks that a reorganisation adds; a block is a second here.
        (params.claims.first.answer_window, params.claims.first.reveal_window) = (WINDOW, WINDOW);
        let holders = [(from, U256::from(1_000_000 * COIN))];
        let at = headframe_contracts::deploy(&provider, from, &params, &holders).await.unwrap();
        let addresses = Addresses {
            token: at.token,
            registry: at.registry,
            market: at.market,
            book: at.book,
            profiles: at.profiles,
            router: at.router,
            ..Addresses::default()
        };
        let (own, theirs) = (TestSigner::at(0, addresses), TestSigner::at(1, addresses));
        headframe_contracts::fund(&provider, &at, own.address(), 100_000 * COIN, 0).await.unwrap();
        anvil.ask("anvil_setBlockTimestampInterval", json!([1])).await;
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { addresses, retry_after: 1, ..settings() };
        let domain = Domain { chain_id: at.chain_id, market: at.market };
        let node = Node::start(dir.path(), &anvil.url, &own, settings.clone()).await;
        let home = tempfile::tempdir().unwrap();
        let client = Node::start(home.path(), &anvil.url, &theirs, settings).await;
        let order = order(theirs.address(), node.rpc.head().await.unwrap().timestamp);
        let bid = Bid {
            order: order.hash(&domain),
            operator: own.address(),
            price: order.max_price,
            expiry: order.deadline,
            nonce: U256::from(7),
        };
        let signature = own.key.sign_hash_sync(&bid.signing_hash(&domain)).unwrap();
        let open = Action::OpenWithBid { order: Box::new(order), bid: Box::new(bid), signature, escrow: Wei(COIN) };
        let (stake, uri) = (50_000 * COIN, "http://127.0.0.1:1".to_owned());
        let steps = [
            (&node, vec![Action::ApproveStake { amount: stake, nth: 0 }, Action::Register { service_uri: uri }]),
            (&node, vec![Action::Bond { amount: stake, nth: 0 }]),
            (&client, vec![Action::AddProfile { profile: profile() }, open]),
            (&node, vec![Action::StartJob { job: JOB }]),
        ];
        for (node, actions) in steps {
            for action in actions {
                let key = node.outbox.submit(action).await.unwrap().key;
                let done = node.outbox.wait(&key, Until::Mined, LONG).await.unwrap();
                assert_eq!(done.error, None, "{key}");
            }
        }
        client.crash().await;
        anvil.ask("evm_setAutomine", json!([false])).await;
        anvil.mine(70).await; // no reorganisation reaches what was done so far
        let (operator, client) = (own.address(), theirs.key.clone());
        Some(Self { rpc: node.rpc.clone(), anvil, at, domain, client, operator, node, _dir: dir })
    }

    async fn view<C: SolCall>(&self, to: Address, call: C) -> C::Return {
        let answer = self.rpc.call(to, call.abi_encode().into()).await.unwrap();
        C::abi_decode_returns(&answer).unwrap_or_else(|error| panic!("{} at {to}: {error}: {answer}", C::SIGNATURE))
    }

    async fn block(&self) {
        self.anvil.mine(1).await;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    /// Does what is due for the claim that begins with segment `first`, as an agent does: by what the chain shows now.
    async fn step(&self, first: u64) -> ClaimState {
        let id = ClaimId::of(JOB, SegmentNo(first)).unwrap();
        let info = self.view(self.at.book, ClaimBook::claimInfoCall { claimId: id.0 }).await;
        let head = self.rpc.head().await.unwrap();
        let (state, tree) = (ClaimState::of(info.state), self.tree(first));
        let (operator, openings) = (self.operator, || self.openings(first, &tree, info.seed, info.drawn));
        let secrets = |openings: &[Opening]| -> Vec<Secret> {
            let secret =
                |at: usize| keccak256([first.to_be_bytes(), u64::try_from(at).unwrap().to_be_bytes()].concat());
            (0..openings.len()).map(|at| Secret { digest: secret(at), salt: secret(at + 100) }).collect()
        };
        let action = match state {
            ClaimState::None => {
                let root = tree.root();
                let (first, units) = (SegmentNo(first), Units(root.sum));
                Some(Action::Claim { job: JOB, first, count: COUNT, root: root.hash, units })
            }
            ClaimState::Submitted if head.number > BlockNo(info.seedBlock) => {
                let header = self.rpc.header_rlp(BlockNo(info.seedBlock)).await.unwrap();
                header.map(|header| Action::Seal { claim: id, header, preimage: B256::ZERO })
            }
            ClaimState::Sealed => {
                let openings = openings();
                let secrets = secrets(&openings);
                Some(Action::Answer { claim: id, operator, openings, secrets })
            }
            ClaimState::Answered if head.timestamp > info.attestUntil.to::<u64>() => {
                let openings = openings();
                let secrets = secrets(&openings);
                let openings = openings.iter().map(Opening::hash).collect();
                Some(Action::Reveal { claim: id, operator, openings, secrets })
            }
            ClaimState::Revealed if head.timestamp > info.contestUntil.to::<u64>() => {
                Some(Action::Settle { claim: id })
            }
            ClaimState::Revealed => {
                // Nothing is due before: the clock of the chain goes on to then.
                let then = info.contestUntil.to::<u64>() + 1;
                self.anvil.ask("evm_setNextBlockTimestamp", json!([then])).await;
                None
            }
            _ => None,
        };
        if let Some(action) = action {
            self.node.outbox.submit(action).await.unwrap();
        }
        state
    }

    fn tree(&self, first: u64) -> SumTree {
        SumTree::new(&(first..first + u64::from(COUNT)).map(|seq| receipt(seq).leaf()).collect::<Vec<_>>()).unwrap()
    }

    fn openings(&self, first: u64, tree: &SumTree, seed: B256, drawn: u16) -> Vec<Opening> {
        let open = |offset| {
            let index = tree.index_at(offset).unwrap();
            let receipt = receipt(first + u64::try_from(index).unwrap());
            let (job, seq, src_root) = (receipt.job, receipt.seq, receipt.src_root);
            let order = Segment { job, seq, src_root, src_bytes: 5, duration_ms: 2000 };
            let signature = self.client.sign_hash_sync(&order.signing_hash(&self.domain)).unwrap();
            let client_signature = Bytes::from(signature.as_bytes().to_vec());
            Opening { receipt, src_bytes: 5, duration_ms: 2000, client_signature, path: tree.path(index).unwrap() }
        };
        draws(seed, drawn, Units(tree.root().sum)).into_iter().map(open).collect()
    }

    /// Brings a claim to its end, with one reorganisation of some depth when it first reaches a phase. A deep one undoes
    /// earlier claims too: they are looked after all the time.
    async fn settle(&self, nth: u64, mut fault: Option<(Phase, u64)>) {
        let mut blocks = 0;
        loop {
            let mut settled = true;
            let mut state = ClaimState::None;
            for claim in nth.saturating_sub(10)..=nth {
                state = self.step(claim * u64::from(COUNT)).await;
                settled &= state == ClaimState::Settled;
            }
            if let Some((phase, depth)) = fault
                && state == phase.state()
            {
                // Its block is the newest, and the deepest that goes.
                self.anvil.mine(depth - 1).await;
                tokio::time::sleep(Duration::from_millis(60)).await; // long enough to be called safe
                self.anvil.ask("anvil_reorg", json!([depth, []])).await;
                println!("claim {nth}: {depth} blocks undone, {phase:?}");
                fault = None;
            } else if settled {
                return;
            }
            self.block().await;
            blocks += 1;
            if blocks > 400 {
                panic!("claim {nth} stays {state:?}: {:#?}", self.node.outbox.list(12).await.unwrap());
            }
        }
    }

    async fn accounts(&self, claims: u64) -> Accounts {
        let (at, operator, client) = (&self.at, self.operator, self.client.address());
        let mut accounts = Accounts::new();
        let mut note = |name: &str, value: U256| assert!(accounts.insert(name.to_owned(), value).is_none());
        for (name, account) in [("market", at.market), ("book", at.book), ("router", at.router)] {
            note(&format!("coins of the {name}"), U256::from(self.rpc.balance(account).await.unwrap().0));
        }
        for (name, account) in [("registry", at.registry), ("operator", operator), ("client", client)] {
            note(&format!("stake of the {name}"), self.view(at.token, Token::balanceOfCall { account }).await);
        }
        let job = self.view(at.market, JobMarket::jobCall { jobId: JOB.0 }).await;
        note("the job's escrow", U256::from(job.escrow));
        note("the job's reserve", U256::from(job.reserved));
        note("the job's next segment", U256::from(job.nextSeq));
        note("the job's open claims", U256::from(job.openClaims));
        let info = self.view(at.registry, StakeRegistry::operatorInfoCall { operator }).await;
        note("bonded", U256::from(info.bonded));
        note("locked", U256::from(info.locked));
        note("earned", self.view(at.market, JobMarket::feesOfCall { operator }).await);
        for (name, account) in [("operator", operator), ("treasury", at.timelock)] {
            note(&format!("owed to the {name}"), self.view(at.router, FeeRouter::owedCall { account }).await);
        }
        for claim in 0..claims {
            let id = ClaimId::of(JOB, SegmentNo(claim * u64::from(COUNT))).unwrap();
            let info = self.view(at.book, ClaimBook::claimInfoCall { claimId: id.0 }).await;
            note(&format!("state of claim {claim}"), U256::from(info.state));
            note(&format!("fee of claim {claim}"), U256::from(info.fee));
        }
        accounts
    }

    /// One claim after the other, one for each fault, and then the fees are shared out.
    async fn run(faults: &[Option<(Phase, u64)>]) -> Option<Accounts> {
        let market = Self::start().await?;
        for (nth, fault) in (0u64..).zip(faults) {
            market.settle(nth, *fault).await;
        }
        let key = market.node.outbox.submit(Action::RouteFees { operator: market.operator, nth: 1 }).await.unwrap().key;
        let mined = market.node.outbox.wait(&key, Until::Safe, LONG);
        let routed = tokio::select! {
            routed = mined => routed.unwrap(),
            () = keep_mining(&market.anvil, Duration::from_millis(25)) => unreachable!("blocks go on for ever"),
        };
        assert_eq!(routed.error, None);
        assert!(market.node.outbox.held().await.unwrap().is_none(), "64 blocks are not final yet");
        let nonces = market.rpc.nonces(market.operator).await.unwrap().value;
        assert_eq!(nonces.mined, nonces.pending, "something is left in the pool");
        Some(market.accounts(faults.len() as u64).await)
    }
}

fn receipt(seq: u64) -> Receipt {
    let root = keccak256(seq.to_be_bytes());
    Receipt { job: JOB, seq: SegmentNo(seq), src_root: root, out_root: root, units: Units(UNITS), out_bytes: 9 }
}

fn order(client: Address, now: u64) -> JobOrder {
    JobOrder {
        client,
        profile: profile().id(),
        max_price: Price::new(1_000_000_000).unwrap(),
        deadline: Timestamp(now + 10_000_000),
        samples: 2,
        seed_tip: B256::ZERO,
        salt: 1,
    }
}

fn profile() -> Profile {
    let limits = Limits::NONE;
    let rung = Rung { width: 64, height: 64, profiles: vec![100], level: 40, max_bytes_per_second: 1 << 20, limits };
    Profile { filter: 0, cascade: false, ladder: B256::repeat_byte(1), rungs: vec![rung] }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_the_same_whatever_is_reorganised_in_the_middle_of_a_claim() {
    let depths: Vec<u64> = match std::env::var("HEADFRAME_REORGS") {
        Ok(all) if all == "all" => (1..=64).collect(),
        _ => vec![1, 7, 64],
    };
    let Some(expected) = Market::run(&[None; 3]).await else { return };
    assert_eq!(expected["state of claim 0"], U256::from(ClaimState::Settled as u8));
    assert!(expected["owed to the operator"] > U256::ZERO && expected["the job's reserve"] == U256::ZERO);
    for depth in depths {
        // A chain for each: anvil keeps the states of some hundred blocks, and cannot go back to older ones.
        let found = Market::run(&Phase::ALL.map(|phase| Some((phase, depth)))).await.unwrap();
        assert_eq!(found, expected, "{depth} blocks");
    }
}
