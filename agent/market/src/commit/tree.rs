//! Merkle trees that prove a position: `IndexTree` of the contracts.

use alloy_primitives::{B256, keccak256};

/// A tree kept whole: leaves in order, padded with zeros to a power of two.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    levels: Vec<Vec<B256>>,
}

/// `keccak256(0x01 || left || right)`.
pub(crate) fn node(left: B256, right: B256) -> B256 {
    let mut packed = [0; 65];
    packed[0] = 1;
    packed[1..33].copy_from_slice(left.as_slice());
    packed[33..].copy_from_slice(right.as_slice());
    keccak256(packed)
}

impl Tree {
    /// Over `leaves`; the top of none is zero.
    pub(crate) fn new(mut leaves: Vec<B256>) -> Self {
        leaves.resize(leaves.len().next_power_of_two().max(1), B256::ZERO);
        let mut levels = vec![leaves];
        while let Some(last) = levels.last().filter(|last| last.len() > 1) {
            let next = last.chunks_exact(2).map(|pair| node(pair[0], pair[1])).collect();
            levels.push(next);
        }
        Self { levels }
    }

    /// The node above all leaves.
    pub(crate) fn top(&self) -> B256 {
        self.levels.last().map_or(B256::ZERO, |top| top[0])
    }

    /// The siblings on the way from leaf `index` to the top. Empty past the end.
    pub(crate) fn path(&self, index: usize) -> Vec<B256> {
        let below = &self.levels[..self.levels.len() - 1];
        let sibling = |(height, level): (usize, &Vec<B256>)| level.get((index >> height) ^ 1).copied();
        below.iter().enumerate().map_while(sibling).collect()
    }
}
