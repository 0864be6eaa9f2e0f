//! `contracts/vectors/*.json` are what the contracts compute; this holds the Rust rules to the same bytes.

#![allow(clippy::unwrap_used)]

use alloy::primitives::{Address, B256, Signature, U256};
use headframe_market::machine::{drawn, draws, seed};
use headframe_market::merkle::{Leaf, Node, SumTree, open};
use headframe_market::typed_data::Domain;
use headframe_market::{Bid, ClaimId, JobId, JobOrder, Price, Receipt, Segment, SegmentNo, Timestamp, Units};
use serde::Deserialize;

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = format!("{}/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptFields {
    job_id: u64,
    seq: u64,
    src_root: B256,
    out_root: B256,
    units: u64,
    out_bytes: u64,
}

impl ReceiptFields {
    fn receipt(&self) -> Receipt {
        Receipt {
            job: JobId(self.job_id),
            seq: SegmentNo(self.seq),
            src_root: self.src_root,
            out_root: self.out_root,
            units: Units(self.units),
            out_bytes: self.out_bytes,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SegmentVector {
    job_id: u64,
    seq: u64,
    src_root: B256,
    src_bytes: u64,
    duration_ms: u32,
    digest: B256,
    signature: Signature65,
}

#[derive(Deserialize)]
struct ReceiptVector {
    #[serde(flatten)]
    fields: ReceiptFields,
    digest: B256,
    signature: Signature65,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderVector {
    client: Address,
    profile: B256,
    max_price: u64,
    deadline: u64,
    k: u8,
    seed_tip: B256,
    salt: u64,
    digest: B256,
    signature: Signature65,
}

impl OrderVector {
    fn order(&self) -> JobOrder {
        JobOrder {
            client: self.client,
            profile: self.profile,
            max_price: Price::new(self.max_price.into()).unwrap(),
            deadline: Timestamp(self.deadline),
            samples: self.k,
            seed_tip: self.seed_tip,
            salt: self.salt,
        }
    }
}

#[derive(Deserialize)]
struct BidVector {
    order: B256,
    operator: Address,
    price: u64,
    expiry: u64,
    nonce: u64,
    digest: B256,
    signature: Signature65,
}

impl BidVector {
    fn bid(&self) -> Bid {
        Bid {
            order: self.order,
            operator: self.operator,
            price: Price::new(self.price.into()).unwrap(),
            expiry: Timestamp(self.expiry),
            nonce: U256::from(self.nonce),
        }
    }
}

/// r || s || v as the contracts take it.
#[derive(Deserialize)]
struct Signature65(alloy::primitives::Bytes);

impl Signature65 {
    fn parse(&self) -> Signature {
        Signature::from_raw(&self.0).unwrap()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedData {
    chain_id: u64,
    market: Address,
    client: Address,
    operator: Address,
    orders: Vec<OrderVector>,
    bids: Vec<BidVector>,
    segments: Vec<SegmentVector>,
    receipts: Vec<ReceiptVector>,
}

#[test]
fn typed_data_hashes_and_signers_agree() {
    let all: TypedData = read("typed_data.json");
    let domain = Domain { chain_id: all.chain_id, market: all.market };
    for one in &all.orders {
        assert_eq!(one.order().hash(&domain), one.digest, "order {}", one.salt);
        let signer = one.signature.parse().recover_address_from_prehash(&one.digest);
        assert_eq!(signer.unwrap(), all.client);
    }
    for one in &all.bids {
        assert_eq!(one.bid().signing_hash(&domain), one.digest, "bid {}", one.nonce);
        assert_eq!(one.bid().signer(&domain, &one.signature.parse()), Some(all.operator));
    }
    for one in &all.segments {
        let segment = Segment {
            job: JobId(one.job_id),
            seq: SegmentNo(one.seq),
            src_root: one.src_root,
            src_bytes: one.src_bytes,
            duration_ms: one.duration_ms,
        };
        assert_eq!(segment.signing_hash(&domain), one.digest, "segment {}", one.seq);
        assert_eq!(segment.signer(&domain, &one.signature.parse()), Some(all.client));
    }
    for one in &all.receipts {
        let receipt = one.fields.receipt();
        assert_eq!(receipt.signing_hash(&domain), one.digest, "receipt {}", one.fields.seq);
        assert_eq!(receipt.signer(&domain, &one.signature.parse()), Some(all.operator));
        let elsewhere = Domain { chain_id: all.chain_id + 1, ..domain };
        assert_ne!(receipt.signing_hash(&elsewhere), one.digest);
    }
    let counts = [all.orders.len(), all.bids.len(), all.segments.len(), all.receipts.len()];
    assert_eq!(counts, [3; 4]);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TreeVector {
    root: B256,
    total_units: u64,
    leaves: Vec<LeafVector>,
}

#[derive(Deserialize)]
struct LeafVector {
    #[serde(flatten)]
    fields: ReceiptFields,
    offset: u64,
    leaf: B256,
    path: Vec<Node>,
}

#[test]
fn merkle_sum_trees_agree() {
    let all: Vec<TreeVector> = read("merkle_sum.json");
    let counts: Vec<usize> = all.iter().map(|tree| tree.leaves.len()).collect();
    assert_eq!(counts, [1, 2, 3, 5, 8]);
    for expected in &all {
        let leaves: Vec<Leaf> = expected.leaves.iter().map(|leaf| leaf.fields.receipt().leaf()).collect();
        let tree = SumTree::new(&leaves).unwrap();
        let root = Node { hash: expected.root, sum: expected.total_units };
        assert_eq!(tree.root(), root);
        for (index, leaf) in expected.leaves.iter().enumerate() {
            assert_eq!(leaves[index].node(), Node { hash: leaf.leaf, sum: leaf.fields.units });
            assert_eq!(tree.path(index).unwrap(), leaf.path);
            assert_eq!(open(&leaves[index], index as u64, &leaf.path), Some((root, leaf.offset)));
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DrawVector {
    claim_id: u64,
    prevrandao: B256,
    preimage: B256,
    seed: B256,
    k: u8,
    count: u32,
    total_units: u64,
    draws: Vec<u64>,
}

#[test]
fn seeds_and_draws_agree() {
    let all: Vec<DrawVector> = read("draws.json");
    assert!(all.iter().any(|one| one.draws.len() == 8) && all.iter().any(|one| !one.preimage.is_zero()));
    for one in &all {
        assert_eq!(seed(one.prevrandao, one.preimage, ClaimId(one.claim_id)), one.seed);
        let expected = draws(one.seed, drawn(one.k, one.count), Units(one.total_units));
        assert_eq!(expected, one.draws, "claim {}", one.claim_id);
    }
}

/// A JSON ABI carries enums as bare numbers.
#[test]
fn states_have_the_numbers_of_the_interfaces() {
    use headframe_market::machine::{ClaimState, JobState};
    let declared = |source: &str, name: &str| -> Vec<String> {
        let (_, rest) = source.split_once(&format!("enum {name} {{")).unwrap();
        let (body, _) = rest.split_once('}').unwrap();
        let words = body.lines().map(|line| line.split("//").next().unwrap());
        words.flat_map(|line| line.split(',')).map(|word| word.trim().to_owned()).filter(|w| !w.is_empty()).collect()
    };
    let jobs = declared(include_str!("../src/interfaces/IJobMarket.sol"), "JobState");
    let claims = declared(include_str!("../src/interfaces/IClaimBook.sol"), "ClaimState");
    assert_eq!((jobs.len(), claims.len()), (6, 8));
    for (number, name) in (0u8..).zip(jobs) {
        assert_eq!(format!("{:?}", JobState::of(number)), name);
    }
    for (number, name) in (0u8..).zip(claims) {
        assert_eq!(format!("{:?}", ClaimState::of(number)), name);
    }
    assert_eq!((JobState::of(6), ClaimState::of(8)), (JobState::None, ClaimState::None));
}
