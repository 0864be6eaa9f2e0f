//! The bytes of a rendition, so that any 4 KiB of them can be shown on chain.
//!
//! Receipts bind a content root, whose chunks of 16 KiB are made for peers and too large for a transaction. This tree is
//! over the same bytes.

use crate::pictures::Tree;
use crate::{Hash, keccak, sha256};

/// Bytes of a chunk; the last one may be shorter.
pub const CHUNK: usize = 4096;

/// A tree over the chunks of some bytes.
#[derive(Clone, Debug)]
pub struct ByteTree {
    length: u64,
    tree: Tree,
}

impl ByteTree {
    /// Commits to `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, tree: Tree::new(bytes.chunks(CHUNK).map(sha256).collect()) }
    }

    /// What stands for the bytes: `keccak256(0x05 || length, 8 bytes || top of the tree)`.
    pub fn root(&self) -> Hash {
        keccak(&[&[5], &self.length.to_be_bytes(), &self.tree.top()])
    }

    /// The node above all chunks; zero where there are none.
    pub fn top(&self) -> Hash {
        self.tree.top()
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The way from a chunk to the top.
    pub fn path(&self, index: usize) -> Vec<Hash> {
        self.tree.path(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let bytes = vec![7u8; 3 * CHUNK + 5];
        let root = ByteTree::new(&bytes).root();
        for at in [0, CHUNK - 1, CHUNK, 3 * CHUNK, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(ByteTree::new(&other).root(), root, "byte {at}");
        }
        assert_ne!(ByteTree::new(&bytes[..bytes.len() - 1]).root(), root);
        assert_ne!(ByteTree::new(&[]).root(), ByteTree::new(&[0]).root());
        assert_eq!((ByteTree::new(&[]).top(), ByteTree::new(&bytes).path(3).len()), (Hash::default(), 2));
    }
}
