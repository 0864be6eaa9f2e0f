//! The transcoder that blurs one tile of one frame, on a development chain: from the order to the slash by the agent's own
//! transactions, and then one call of the challenge manager.

use crate::blur::{FRAME, FRAMES, SEGMENT, SIZES};
use crate::net::{COIN, Net, account};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy::sol_types::SolError;
use headframe_contracts::bindings::step_errors::{NothingWrong, OtherStatement};
use headframe_contracts::{ClaimBook, JobMarket, Params, StakeRegistry, fund};
use headframe_market::action::{Opening, Secret};
use headframe_market::commit::Errors;
use headframe_market::merkle::SumTree;
use headframe_market::profile::{self, Profile};
use headframe_market::proof::answer::statement;
use headframe_market::proof::challenge::{Revealed, Step, reserve};
use headframe_market::proof::scale::{self, Scaling};
use headframe_market::proof::{Accusation, Answer, Limits};
use headframe_market::typed_data::Domain;
use headframe_market::{Action, Addresses, Bid, ClaimId, JobId, JobOrder, Price, Receipt, Segment, SegmentNo};
use headframe_market::{Timestamp, Units, Wei};

const GAS: u64 = 2_000_000;

/// Whose key acts.
struct Party {
    key: PrivateKeySigner,
    address: Address,
    provider: DynProvider,
}

/// A deployment, a client and an operator of it.
struct Site {
    net: Net,
    at: Addresses,
    domain: Domain,
    profile: Profile,
    client: Party,
    operator: Party,
}

/// A claim of one segment that was revealed.
struct Claimed {
    id: ClaimId,
    openings: Vec<B256>,
    digests: Vec<B256>,
}

impl Party {
    async fn new(net: &Net, byte: u8) -> Self {
        let (address, provider) = account(&net.chain, byte).await;
        Self { key: PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap(), address, provider }
    }

    async fn send(&self, to: Address, value: Wei, input: Bytes) -> TransactionReceipt {
        let call = TransactionRequest::default().to(to).value(U256::from(value.0)).input(input.into()).gas_limit(GAS);
        self.provider.send_transaction(call).await.unwrap().get_receipt().await.unwrap()
    }

    async fn act(&self, at: &Addresses, action: Action) {
        let call = action.call(at);
        let receipt = self.send(call.to, call.value, call.input).await;
        assert!(receipt.status(), "{} was refused", action.kind());
    }

    /// Why a call is refused, or nothing.
    async fn refusal(&self, to: Address, input: Bytes) -> Option<Bytes> {
        let call = TransactionRequest::default().from(self.address).to(to).input(input.into()).gas_limit(GAS);
        match self.provider.call(call).await {
            Ok(_) => None,
            Err(error) => Some(error.as_error_resp().and_then(|answer| answer.as_revert_data()).unwrap()),
        }
    }
}

/// What the answer's sizes follow from.
fn ordered() -> Profile {
    let none = Limits::default();
    let limits = profile::Limits {
        tile_luma: none.tileLuma,
        tile_chroma: none.tileChroma,
        frame_luma: none.frameLuma,
        frame_chroma: none.frameChroma,
        segment_luma: none.segmentLuma,
        segment_chroma: none.segmentChroma,
    };
    let rung = |(width, height): (u32, u32)| profile::Rung {
        width,
        height,
        profiles: vec![100],
        level: 40,
        max_bytes_per_second: 1_000_000,
        limits,
    };
    Profile { filter: 0, cascade: false, ladder: B256::repeat_byte(5), rungs: SIZES.map(rung).to_vec() }
}

impl Site {
    /// Windows as long as the work of this test may take on a busy machine.
    async fn start() -> Self {
        let mut params = Params::devnet();
        let windows = &mut params.claims.first;
        windows.answer_window = 3600;
        (windows.attest_window, windows.reveal_window, windows.contest_window) = (3600, 3600, 3600);
        let net = Net::start(params).await;
        let d = &net.at;
        let at = Addresses {
            token: d.token,
            registry: d.registry,
            market: d.market,
            book: d.book,
            profiles: d.profiles,
            router: d.router,
            ..Addresses::default()
        };
        let domain = Domain { chain_id: d.chain_id, market: d.market };
        let (client, operator) = (Party::new(&net, 2).await, Party::new(&net, 3).await);
        fund(&net.provider, d, operator.address, 3000 * COIN, 0).await.unwrap();
        operator.act(&at, Action::ApproveStake { amount: 3000 * COIN, nth: 0 }).await;
        operator.act(&at, Action::Bond { amount: 3000 * COIN, nth: 0 }).await;
        let profile = ordered();
        client.act(&at, Action::AddProfile { profile: profile.clone() }).await;
        Self { net, at, domain, profile, client, operator }
    }

    async fn now(&self) -> u64 {
        self.client.provider.get_block(alloy::eips::BlockId::latest()).await.unwrap().unwrap().header.timestamp
    }

    async fn opened(&self, salt: u64) -> JobId {
        let (market, deadline) = (JobMarket::new(self.at.market, &self.client.provider), self.now().await + 86_400);
        let job = JobId(market.nextJobId().call().await.unwrap());
        let order = JobOrder {
            client: self.client.address,
            profile: self.profile.id(),
            max_price: Price::new(1_000_000).unwrap(),
            deadline: Timestamp(deadline),
            samples: 4,
            seed_tip: B256::ZERO,
            salt,
        };
        let bid = Bid {
            order: order.hash(&self.domain),
            operator: self.operator.address,
            price: order.max_price,
            expiry: Timestamp(deadline),
            nonce: U256::from(salt),
        };
        let signature = self.operator.key.sign_hash_sync(&bid.signing_hash(&self.domain)).unwrap();
        let (order, bid, escrow) = (Box::new(order), Box::new(bid), Wei(COIN));
        self.client.act(&self.at, Action::OpenWithBid { order, bid, signature, escrow }).await;
        self.operator.act(&self.at, Action::StartJob { job }).await;
        job
    }

    /// A claim of one segment, sealed and answered with this.
    async fn answered(&self, job: JobId, digest: B256) -> (Claimed, Vec<Secret>) {
        let rungs = SIZES.map(|(width, height)| (FRAMES as u32, width, height));
        let receipt = Receipt {
            job,
            seq: SegmentNo(0),
            src_root: B256::repeat_byte(1),
            out_root: B256::repeat_byte(2),
            units: Units::of_segment(rungs).unwrap(),
            out_bytes: 1000,
        };
        let tree = SumTree::new(&[receipt.leaf()]).unwrap();
        let (root, first) = (tree.root(), receipt.seq);
        let claim = Action::Claim { job, first, count: 1, root: root.hash, units: Units(root.sum) };
        self.operator.act(&self.at, claim).await;
        let id = ClaimId::of(job, first).unwrap();

        let book = ClaimBook::new(self.at.book, &self.client.provider);
        let seed = book.claimInfo(id.0).call().await.unwrap().seedBlock;
        let () = self.client.provider.raw_request("anvil_mine".into(), (U256::from(8),)).await.unwrap();
        let block = self.client.provider.get_block_by_number(seed.into()).await.unwrap().unwrap();
        let header = Bytes::from(alloy::rlp::encode(&block.header.inner));
        self.operator.act(&self.at, Action::Seal { claim: id, header, preimage: B256::ZERO }).await;

        let order = Segment { job, seq: first, src_root: receipt.src_root, src_bytes: 777, duration_ms: 2000 };
        let signature = self.client.key.sign_hash_sync(&order.signing_hash(&self.domain)).unwrap();
        let path = tree.path(0).unwrap();
        let client_signature = signature.as_bytes().into();
        let opening = Opening { receipt, src_bytes: 777, duration_ms: 2000, client_signature, path };
        let slots = book.draws(id.0).call().await.unwrap().len();
        assert!(slots > 0);
        let openings = vec![opening; slots];
        let secrets: Vec<Secret> =
            (0..slots).map(|slot| Secret { digest, salt: B256::repeat_byte(slot as u8) }).collect();
        let claimed =
            Claimed { id, openings: openings.iter().map(Opening::hash).collect(), digests: vec![digest; slots] };
        let operator = self.operator.address;
        self.operator.act(&self.at, Action::Answer { claim: id, operator, openings, secrets: secrets.clone() }).await;
        (claimed, secrets)
    }

    async fn reveal(&self, claimed: &Claimed, secrets: Vec<Secret>) {
        let (claim, openings) = (claimed.id, claimed.openings.clone());
        self.operator.act(&self.at, Action::Reveal { claim, operator: self.operator.address, openings, secrets }).await;
    }

    fn prove(&self, claimed: &Claimed, accusation: &Accusation, finder: Address) -> Bytes {
        let Claimed { id, openings, digests } = claimed;
        let revealed = Revealed { claim: *id, slot: 0, openings, digests, profile: self.profile.id() };
        revealed.prove(Step::Scale, accusation, finder).unwrap()
    }
}

/// The answers of the honest one and of the other, and the proof against the latter.
fn work() -> (Answer, Answer, Accusation, Accusation) {
    let segment = &*SEGMENT;
    let (errors, limits) = (Errors::between(&segment.scaled[0], &segment.scaled[0]).unwrap(), Limits::default());
    let blurred = segment.blurred();
    let honest = segment.answer(&segment.scaled, &errors, &limits);
    let other = segment.answer(&blurred, &errors, &limits);
    let cheat = Scaling { answer: &other, source: &segment.source, scaled: &blurred };
    let accusation = cheat.accuse(0, &segment.right[0]).unwrap();
    let truth = Scaling { answer: &honest, source: &segment.source, scaled: &segment.scaled };
    let look = truth.look(0, FRAME, scale::place(&accusation.evidence).unwrap()).unwrap();
    (honest, other, accusation, look)
}

#[tokio::test]
async fn one_transaction_catches_a_blurred_tile_and_spares_the_honest() {
    let (honest, other, accusation, look) = work();
    let site = Site::start().await;
    let finder = Party::new(&site.net, 4).await;
    let (right, wrong) = (site.opened(1).await, site.opened(2).await);
    let (right, right_secrets) = site.answered(right, statement(&honest)).await;
    let (wrong, wrong_secrets) = site.answered(wrong, statement(&other)).await;
    site.net.wait(3601).await;
    site.reveal(&right, right_secrets).await;
    site.reveal(&wrong, wrong_secrets).await;

    let challenges = site.net.at.challenges;
    let reserved = finder.send(challenges, Wei(0), reserve(&accusation, finder.address)).await;
    assert!(reserved.status());
    let registry = StakeRegistry::new(site.at.registry, &finder.provider);
    let stake = async || registry.ownStake(site.operator.address).call().await.unwrap();

    // The same transaction against the honest one, and the same look at the same place of its own pictures.
    let same = Accusation { statement: statement(&honest), ..accusation.clone() };
    for (accusation, why) in [(&same, OtherStatement::SELECTOR), (&look, NothingWrong::SELECTOR)] {
        let input = site.prove(&right, accusation, finder.address);
        let reason = finder.refusal(challenges, input.clone()).await.unwrap();
        assert_eq!(reason.get(..4).unwrap(), why);
        assert!(!finder.send(challenges, Wei(0), input).await.status());
    }
    let before = stake().await;
    assert_eq!(before, U256::from(3000 * COIN));

    let input = site.prove(&wrong, &accusation, finder.address);
    assert_eq!(finder.refusal(challenges, input.clone()).await, None);
    let caught = finder.send(challenges, Wei(0), input.clone()).await;
    println!("a blurred tile of one frame: caught on the chain with {} gas", caught.gas_used);
    assert!(caught.status());
    assert!(caught.gas_used < 400_000, "{}", caught.gas_used);
    let taken = before - stake().await;
    assert!(taken > U256::from(150 * COIN), "the lock and a twentieth of the stake: {taken}");
    assert_eq!(registry.bounty(finder.address).call().await.unwrap(), taken / U256::from(2));

    // It ended the claim, once: neither again nor for the other one.
    assert!(!finder.send(challenges, Wei(0), input).await.status());
    let book = ClaimBook::new(site.at.book, &finder.provider);
    let state = async |claim: ClaimId| book.claimInfo(claim.0).call().await.unwrap().state;
    let [settled, slashed, revealed] = [5, 7, 4];
    assert_eq!((state(right.id).await, state(wrong.id).await), (revealed, slashed));
    // Who worked honestly is paid for that claim, whatever became of the other.
    site.net.wait(7201).await;
    finder.act(&site.at, Action::Settle { claim: right.id }).await;
    assert_eq!(state(right.id).await, settled);
}
