//! `contracts/vectors/*.json` are what the contracts compute; this holds the Rust rules to the same bytes.

#![allow(clippy::unwrap_used)]

use alloy::primitives::{Address, B256, Signature, keccak256};
use alloy::sol_types::SolValue;
use headframe_market::machine::draws;
use headframe_market::merkle::{Leaf, Node, SumTree, open};
use headframe_market::typed_data::Domain;
use headframe_market::{JobId, Receipt, Segment, SegmentNo, Units};
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
    segments: Vec<SegmentVector>,
    receipts: Vec<ReceiptVector>,
}

#[test]
fn typed_data_hashes_and_signers_agree() {
    let all: TypedData = read("typed_data.json");
    let domain = Domain { chain_id: all.chain_id, market: all.market };
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
    assert!(all.segments.len() >= 3 && all.receipts.len() >= 3);
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
    block_hash: B256,
    seed: B256,
    k: u8,
    count: u32,
    total_units: u64,
    draws: Vec<u64>,
}

#[test]
fn seeds_and_draws_agree() {
    let all: Vec<DrawVector> = read("draws.json");
    assert!(all.iter().any(|one| one.draws.len() == 16));
    for one in &all {
        assert_eq!(keccak256((one.block_hash, one.claim_id).abi_encode()), one.seed);
        assert_eq!(draws(one.seed, one.k, one.count, Units(one.total_units)), one.draws, "claim {}", one.claim_id);
    }
}
