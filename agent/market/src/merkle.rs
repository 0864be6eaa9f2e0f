//! The Merkle-sum tree of a claim: every node commits to the work units below it, so that a position drawn by work
//! opens exactly one leaf, and no count can be inflated without showing.

use crate::units::{JobId, SegmentNo, Units};
use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;
use headframe_commit::tree;
use serde::{Deserialize, Serialize};

/// One receipt as it is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The job that pays.
    pub job: JobId,
    /// The segment's number.
    pub seq: SegmentNo,
    /// Content root of the source.
    pub src_root: B256,
    /// Root over the renditions.
    pub out_root: B256,
    /// Work done.
    pub units: Units,
    /// Bytes of all renditions.
    pub out_bytes: u64,
}

/// A node's hash and the units below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its hash; all-zero for padding.
    pub hash: B256,
    /// The units below it.
    pub sum: u64,
}

/// What the chain keeps of a claim's tree: its top, bound to who ordered the work and who did it.
pub fn bound(top: B256, client: Address, operator: Address) -> B256 {
    keccak256((top, client, operator).abi_encode())
}

/// A claim's tree, kept whole: claims have at most 4096 leaves.
#[derive(Clone, Debug)]
pub struct SumTree {
    levels: Vec<Vec<Node>>,
}

impl Leaf {
    /// `keccak256(0x00 || job || seq || srcRoot || outRoot || units || outBytes)`, all fields fixed-size, big-endian.
    pub fn node(&self) -> Node {
        let mut packed = Vec::with_capacity(1 + 8 * 4 + 32 * 2);
        packed.push(0);
        packed.extend(self.job.0.to_be_bytes());
        packed.extend(self.seq.0.to_be_bytes());
        packed.extend(self.src_root);
        packed.extend(self.out_root);
        packed.extend(self.units.0.to_be_bytes());
        packed.extend(self.out_bytes.to_be_bytes());
        Node { hash: keccak256(packed), sum: self.units.0 }
    }
}

impl tree::Node for Node {
    fn above(left: Self, right: Self) -> Option<Self> {
        let mut packed = Vec::with_capacity(1 + 2 * 40);
        packed.push(1);
        packed.extend(left.hash);
        packed.extend(left.sum.to_be_bytes());
        packed.extend(right.hash);
        packed.extend(right.sum.to_be_bytes());
        Some(Self { hash: keccak256(packed), sum: left.sum.checked_add(right.sum)? })
    }
}

impl SumTree {
    /// The tree over `leaves`, padded to a power of two. `None` for no leaf or a sum past 64 bits.
    pub fn new(leaves: &[Leaf]) -> Option<Self> {
        let nodes: Vec<Node> = leaves.iter().map(Leaf::node).collect();
        if nodes.is_empty() { None } else { tree::levels(nodes).map(|levels| Self { levels }) }
    }

    /// The root's hash and the units of the whole claim.
    pub fn root(&self) -> Node {
        self.levels.last().map_or_else(Node::default, |top| top[0])
    }

    /// The siblings of leaf `index` from the bottom up, or `None` past the end.
    pub fn path(&self, index: usize) -> Option<Vec<Node>> {
        tree::path(&self.levels, index)
    }

    /// The leaf that covers unit `offset`, or `None` when `offset` is not below the root's sum.
    pub fn index_at(&self, offset: u64) -> Option<usize> {
        let mut before = 0u64;
        self.levels[0].iter().position(|leaf| {
            before += leaf.sum;
            offset < before
        })
    }
}

/// What an opening proves: the root it leads to and the units before the leaf. `None` on overflow or a path that does
/// not fit `index`.
pub fn open(leaf: &Leaf, index: u64, path: &[Node]) -> Option<(Node, u64)> {
    if path.len() >= 64 || index >> path.len() != 0 {
        return None;
    }
    let mut node = leaf.node();
    let mut before = 0u64;
    for (height, sibling) in path.iter().enumerate() {
        if index >> height & 1 == 0 {
            node = tree::Node::above(node, *sibling)?;
        } else {
            before = before.checked_add(sibling.sum)?;
            node = tree::Node::above(*sibling, node)?;
        }
    }
    Some((node, before))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(units: &[u64]) -> Vec<Leaf> {
        let leaf = |(seq, units): (usize, &u64)| Leaf {
            job: JobId(3),
            seq: SegmentNo(seq as u64 + 10),
            src_root: B256::repeat_byte(seq as u8),
            out_root: B256::repeat_byte(0x80 | seq as u8),
            units: Units(*units),
            out_bytes: 1000 + seq as u64,
        };
        units.iter().enumerate().map(leaf).collect()
    }

    #[test]
    fn a_tree_needs_a_leaf_and_a_sum_that_fits() {
        assert!(SumTree::new(&[]).is_none());
        assert!(SumTree::new(&leaves(&[u64::MAX, 1])).is_none());
    }

    proptest! {
        #[test]
        fn every_unit_opens_the_leaf_that_covers_it(units in prop::collection::vec(0u64..50, 1..40), pick: u64) {
            let leaves = leaves(&units);
            let tree = SumTree::new(&leaves).unwrap();
            let total: u64 = units.iter().sum();
            prop_assert_eq!(tree.root().sum, total);
            prop_assert_eq!(tree.index_at(total), None);
            prop_assume!(total > 0);
            let offset = pick % total;
            let index = tree.index_at(offset).unwrap();
            let (root, before) = open(&leaves[index], index as u64, &tree.path(index).unwrap()).unwrap();
            prop_assert_eq!(root, tree.root());
            prop_assert!(before <= offset && offset < before + units[index]);
        }

        #[test]
        fn a_changed_leaf_position_or_sum_does_not_open(units in prop::collection::vec(1u64..50, 2..40), pick: usize) {
            let leaves = leaves(&units);
            let tree = SumTree::new(&leaves).unwrap();
            let index = pick % leaves.len();
            let path = tree.path(index).unwrap();
            let root = |leaf: &Leaf, at: u64, path: &[Node]| open(leaf, at, path).map(|(root, _)| root);
            let mut more = leaves[index].clone();
            more.units = Units(more.units.0 + 1);
            prop_assert_ne!(root(&more, index as u64, &path), Some(tree.root()));
            prop_assert_ne!(root(&leaves[index], index as u64 ^ 1, &path), Some(tree.root()));
            prop_assert_eq!(root(&leaves[index], index as u64 | 1 << path.len(), &path), None);
            let mut lighter = path.clone();
            lighter[0].sum += 1;
            prop_assert_ne!(root(&leaves[index], index as u64, &lighter), Some(tree.root()));
        }
    }
}
