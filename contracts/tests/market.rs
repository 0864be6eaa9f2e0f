//! The whole market on a real development chain: every transaction is built by `headframe-market` as the agent builds
//! it, and the answers are its answers.

#![allow(clippy::unwrap_used)]

use alloy::network::EthereumWallet;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::{TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy::sol_types::SolValue;
use headframe_contracts::{
    ActiveSet, Deployment, DevChain, FeeRouter, IJobMarket, JobMarket, OperatorKeys, Params, StakeRegistry, Token,
};
use headframe_contracts::{deploy, fund, set_balance};
use headframe_market::machine::claim::{Evidence, Step, answer, next};
use headframe_market::machine::{ClaimState, ClaimView, draws};
use headframe_market::merkle::{Leaf, SumTree};
use headframe_market::typed_data::Domain;
use headframe_market::{Action, Addresses, BlockNo, ClaimId, JobId, Price, Receipt, Segment, SegmentNo, Units, Wei};
use std::time::Duration;

const COIN: u128 = 1_000_000_000_000_000_000;
const ESCROW: Wei = Wei(COIN);
const SAMPLES: u8 = 4;

/// Somebody with a key.
struct Actor {
    key: PrivateKeySigner,
    provider: DynProvider,
}

struct Net {
    at: Deployment,
    client: Actor,
    operator: Actor,
    params: Params,
    _chain: DevChain,
}

impl Actor {
    async fn new(chain: &DevChain, byte: u8) -> Self {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap();
        let wallet = EthereumWallet::from(key.clone());
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(chain.url().parse().unwrap()).erased();
        provider.client().set_poll_interval(Duration::from_millis(20));
        set_balance(&provider, key.address(), 1000 * COIN).await.unwrap();
        Self { key, provider }
    }

    fn address(&self) -> Address {
        self.key.address()
    }
}

impl Net {
    async fn start(params: Params) -> Self {
        let chain = DevChain::start(0, None).unwrap();
        let deployer = Actor::new(&chain, 1).await;
        let supply = [(deployer.address(), U256::from(1_000_000 * COIN))];
        let at = deploy(&deployer.provider, deployer.address(), &params, &supply).await.unwrap();
        at.verify(&deployer.provider).await.unwrap();
        let (client, operator) = (Actor::new(&chain, 2).await, Actor::new(&chain, 3).await);
        fund(&deployer.provider, &at, operator.address(), 5000 * COIN, 7).await.unwrap();
        assert_eq!(operator.provider.get_balance(operator.address()).await.unwrap(), U256::from(1000 * COIN + 7));
        Self { at, client, operator, params, _chain: chain }
    }

    fn market(&self) -> JobMarket::JobMarketInstance<&DynProvider> {
        JobMarket::new(self.at.market, &self.client.provider)
    }

    /// Sends one action and prints what it cost.
    async fn act(&self, who: &Actor, action: Action) -> TransactionReceipt {
        let Deployment { token, registry, market, .. } = self.at;
        let call = action.call(&Addresses { token, registry, market });
        let request = TransactionRequest {
            to: Some(call.to.into()),
            value: Some(U256::from(call.value.0)),
            input: TransactionInput::new(call.input),
            ..TransactionRequest::default()
        };
        let sent = who.provider.send_transaction(request).await.unwrap_or_else(|e| panic!("{}: {e}", action.kind()));
        let receipt = sent.get_receipt().await.unwrap();
        assert!(receipt.status(), "{} reverted", action.kind());
        println!("gas: {} {}", action.kind(), receipt.gas_used);
        receipt
    }

    async fn mine(&self, blocks: u64) {
        let () = self.client.provider.raw_request("anvil_mine".into(), (U256::from(blocks),)).await.unwrap();
    }

    /// Lets time pass on the chain and mines a block after it.
    async fn wait(&self, seconds: u32) {
        let _: i64 = self.client.provider.raw_request("evm_increaseTime".into(), (seconds,)).await.unwrap();
        self.mine(1).await;
    }

    async fn head(&self) -> BlockNo {
        BlockNo(self.client.provider.get_block_number().await.unwrap())
    }

    /// An active operator, and a job it has taken on.
    async fn running_job(&self) -> JobId {
        let bond = 2000 * COIN;
        self.act(&self.operator, Action::ApproveStake { amount: bond }).await;
        self.act(&self.operator, Action::Register { service_uri: "http://127.0.0.1:9".into() }).await;
        self.act(&self.operator, Action::Bond { amount: bond }).await;
        let registry = StakeRegistry::new(self.at.registry, &self.client.provider);
        let active_set = ActiveSet::new(registry.activeSet().call().await.unwrap(), &self.client.provider);
        assert_eq!(active_set.members().call().await.unwrap(), [self.operator.address()]);
        let info = registry.operatorInfo(self.operator.address()).call().await.unwrap();
        assert_eq!((info.bonded, info.serviceUri.as_str()), (bond, "http://127.0.0.1:9"));

        let job = JobId(self.market().nextJobId().call().await.unwrap());
        let max_price = Price::new(2_000_000).unwrap();
        let profile = B256::repeat_byte(9);
        self.act(&self.client, Action::OpenJob { profile, max_price, samples: SAMPLES, escrow: ESCROW, nonce: 0 })
            .await;
        self.act(&self.operator, Action::Bid { job, price: Price::new(1_000_000).unwrap() }).await;
        self.act(&self.client, Action::Award { job, operator: self.operator.address() }).await;
        self.act(&self.operator, Action::ClaimJob { job }).await;
        job
    }

    /// Receipts and client signatures for the next `count` segments.
    fn work(&self, job: JobId, first: u64, count: u64) -> Vec<Evidence> {
        let domain = Domain { chain_id: self.at.chain_id, market: self.at.market };
        let one = |seq: u64| {
            let src_root = keccak256(seq.to_be_bytes());
            let order = Segment { job, seq: SegmentNo(seq), src_root, src_bytes: 1_000_000 + seq, duration_ms: 2000 };
            let signature = self.client.key.sign_hash_sync(&order.signing_hash(&domain)).unwrap();
            let leaf = Leaf {
                job,
                seq: SegmentNo(seq),
                src_root,
                out_root: keccak256(src_root),
                units: Units(80_000 + 1000 * seq),
                out_bytes: 500_000,
            };
            let client_signature = Bytes::from(signature.as_bytes().to_vec());
            Evidence { leaf, src_bytes: order.src_bytes, duration_ms: order.duration_ms, client_signature }
        };
        (first..first + count).map(one).collect()
    }

    async fn claim(&self, job: JobId, evidence: &[Evidence]) -> ClaimId {
        let leaves: Vec<Leaf> = evidence.iter().map(|one| one.leaf.clone()).collect();
        let root = SumTree::new(&leaves).unwrap().root();
        let claim = ClaimId(self.market().nextClaimId().call().await.unwrap());
        let action = Action::Claim {
            job,
            first: leaves[0].seq,
            count: u32::try_from(leaves.len()).unwrap(),
            root: root.hash,
            units: Units(root.sum),
        };
        self.act(&self.operator, action).await;
        claim
    }

    async fn view(&self, id: ClaimId) -> ClaimView {
        let claim = self.market().claimInfo(id.0).call().await.unwrap();
        let state = match headframe_contracts::ClaimState::try_from(claim.state).unwrap() {
            headframe_contracts::ClaimState::Submitted => ClaimState::Submitted,
            headframe_contracts::ClaimState::Sealed => ClaimState::Sealed,
            headframe_contracts::ClaimState::Answered => ClaimState::Answered,
            headframe_contracts::ClaimState::Settled => ClaimState::Settled,
            headframe_contracts::ClaimState::Slashed => ClaimState::Slashed,
            other => panic!("claim {id:?} is {other:?}"),
        };
        ClaimView {
            id,
            job: JobId(claim.jobId),
            operator: claim.operator,
            first: SegmentNo(claim.first),
            count: claim.count,
            units: Units(claim.totalUnits),
            state,
            root: claim.root,
            seed: claim.seed,
            seed_block: BlockNo(claim.seedBlock),
            deadline: BlockNo(claim.deadline),
            fee: Wei(claim.fee),
        }
    }

    /// Does what the claim's machine says until the claim is over.
    async fn carry_through(&self, id: ClaimId, evidence: &[Evidence]) -> bool {
        for _ in 0..64 {
            let view = self.view(id).await;
            match next(&view, self.head().await) {
                Step::Send(action) => drop(self.act(&self.operator, action).await),
                Step::Answer { .. } => {
                    let expected = draws(view.seed, SAMPLES, view.count, view.units);
                    assert_eq!(self.market().draws(id.0).call().await.unwrap(), expected);
                    drop(self.act(&self.operator, answer(&view, SAMPLES, evidence).unwrap()).await);
                }
                Step::Wait => self.mine(1).await,
                Step::Over(paid) => return paid,
            }
        }
        panic!("claim {id:?} never ended");
    }

    async fn seed_of(&self, id: ClaimId) -> B256 {
        let view = self.view(id).await;
        let block = self.client.provider.get_block_by_number(view.seed_block.0.into()).await.unwrap().unwrap();
        keccak256((block.header.hash, id.0).abi_encode())
    }
}

#[tokio::test]
async fn a_job_pays_from_bid_to_withdrawal() {
    let net = Net::start(Params::devnet()).await;
    let job = net.running_job().await;
    let mut fees = 0;
    for (first, count) in [(0, 5), (5, 1), (6, 100)] {
        let evidence = net.work(job, first, count);
        let receipt = Receipt {
            job,
            seq: evidence[0].leaf.seq,
            src_root: evidence[0].leaf.src_root,
            out_root: evidence[0].leaf.out_root,
            units: evidence[0].leaf.units,
            out_bytes: evidence[0].leaf.out_bytes,
        };
        let domain = Domain { chain_id: net.at.chain_id, market: net.at.market };
        let on_chain = IJobMarket::Receipt {
            jobId: job.0,
            seq: receipt.seq.0,
            srcRoot: receipt.src_root,
            outRoot: receipt.out_root,
            units: receipt.units.0,
            outBytes: receipt.out_bytes,
        };
        assert_eq!(net.market().receiptDigest(on_chain).call().await.unwrap(), receipt.signing_hash(&domain));

        let claim = net.claim(job, &evidence).await;
        let view = net.view(claim).await;
        let info = net.market().claimInfo(claim.0).call().await.unwrap();
        assert_eq!(Some(info.lock), net.params.market.lock_for(view.fee.0));
        assert!(net.carry_through(claim, &evidence).await);
        assert_eq!(net.view(claim).await.seed, net.seed_of(claim).await);
        fees += view.fee.0;
    }
    assert_eq!(net.market().owed(net.operator.address()).call().await.unwrap(), U256::from(fees));

    net.act(&net.client, Action::TopUp { job, amount: Wei(5), nth: 0 }).await;
    net.act(&net.client, Action::CloseJob { job }).await;
    net.act(&net.operator, Action::ReleaseJob { job }).await;
    net.act(&net.client, Action::Reclaim { job }).await;
    for (who, amount) in [(&net.operator, fees), (&net.client, ESCROW.0 + 5 - fees)] {
        let before = who.provider.get_balance(who.address()).await.unwrap();
        let receipt = net.act(who, Action::Withdraw { nth: 0 }).await;
        let cost = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
        let after = who.provider.get_balance(who.address()).await.unwrap();
        assert_eq!(after + cost - before, U256::from(amount));
    }
    assert_eq!(net.client.provider.get_balance(net.at.market).await.unwrap(), U256::ZERO);

    let bonded = 2000 * COIN;
    net.act(&net.operator, Action::Unbond { amount: bonded }).await; // nothing is locked any more
    net.wait(net.params.registry.unbond_seconds).await;
    net.act(&net.operator, Action::WithdrawStake).await;
    let token = Token::new(net.at.token, &net.client.provider);
    assert_eq!(token.balanceOf(net.operator.address()).call().await.unwrap(), U256::from(5000 * COIN));
}

#[tokio::test]
async fn a_deployment_has_exactly_the_roles_it_says() {
    let net = Net::start(Params::devnet()).await;
    let provider = &net.client.provider;
    let deployer = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap().address();
    let registry = StakeRegistry::new(net.at.registry, provider);
    assert_eq!(registry.admin().call().await.unwrap(), net.at.timelock);
    assert_eq!(registry.proposedAdmin().call().await.unwrap(), Address::ZERO);
    assert_eq!(registry.slasherState(net.at.market).call().await.unwrap(), 2, "the market may lock and slash");
    assert_eq!(registry.slasherState(deployer).call().await.unwrap(), 0, "its deployer may not");
    let params = registry.params().call().await.unwrap();
    assert_eq!((params.minSelf, params.unbond), (net.params.registry.min_self, net.params.registry.unbond_seconds));

    let router = FeeRouter::new(registry.router().call().await.unwrap(), provider);
    assert_eq!(router.registry().call().await.unwrap(), net.at.registry);
    assert_eq!(router.treasury().call().await.unwrap(), net.at.timelock);
    assert_eq!(router.protocolFee().call().await.unwrap(), U256::from(net.params.registry.protocol_fee));
    let active_set = ActiveSet::new(registry.activeSet().call().await.unwrap(), provider);
    assert_eq!(active_set.registry().call().await.unwrap(), net.at.registry);
    assert_eq!(active_set.slots().call().await.unwrap(), U256::from(net.params.registry.slots));
    let keys = OperatorKeys::new(registry.keys().call().await.unwrap(), provider);
    assert_eq!(keys.registry().call().await.unwrap(), net.at.registry);
    assert_eq!(net.market().keys().call().await.unwrap(), *keys.address());
}

#[tokio::test]
async fn an_old_claim_is_sealed_through_the_history_contract() {
    let mut params = Params::devnet();
    params.market.answer_window = 8000;
    let net = Net::start(params).await;
    let job = net.running_job().await;
    let evidence = net.work(job, 0, 3);
    let claim = net.claim(job, &evidence).await;
    net.mine(700).await; // far out of reach of the BLOCKHASH opcode
    assert!(net.carry_through(claim, &evidence).await);
    assert_eq!(net.view(claim).await.seed, net.seed_of(claim).await);
}

#[tokio::test]
async fn a_deployment_on_another_chain_is_noticed() {
    let net = Net::start(Params::devnet()).await;
    let provider = &net.client.provider;
    let other_chain = Deployment { chain_id: net.at.chain_id + 1, ..net.at.clone() };
    let error = other_chain.verify(provider).await.unwrap_err().to_string();
    assert!(error.contains("31338") && error.contains("31337"), "{error}");
    let mixed = Deployment { token: net.at.market, ..net.at.clone() };
    assert!(mixed.verify(provider).await.is_err());
    let empty = Deployment { market: Address::repeat_byte(5), ..net.at.clone() };
    assert!(empty.verify(provider).await.is_err());
}

#[tokio::test]
async fn a_chain_with_a_block_time_mines_by_itself() {
    let chain = DevChain::start(0, Some(Duration::from_millis(200))).unwrap();
    let provider = ProviderBuilder::new().connect_http(chain.url().parse().unwrap());
    let two_blocks = async {
        while provider.get_block_number().await.unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await; // the chain's clock, not ours
        }
    };
    tokio::time::timeout(Duration::from_secs(60), two_blocks).await.unwrap();
}
