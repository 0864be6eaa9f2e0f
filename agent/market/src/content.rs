//! Content roots: what a segment's bytes are bound to in receipts and claims.
//!
//! The tree is that of PPSPP static content (RFC 7574 section 5): SHA-256 over chunks of 16 KiB, missing leaves are
//! all-zero hashes, and the parent of two all-zero hashes is all-zero. The root is then bound to the length, so that a
//! truncated or padded content has another root.

use alloy_primitives::{B256, keccak256};
use sha2::{Digest, Sha256};

/// Bytes of one leaf.
pub const CHUNK: usize = 16 * 1024;

/// The root of `bytes`: `SHA-256("headframe content" || length as u64, big-endian || tree root)`.
pub fn content_root(bytes: &[u8]) -> B256 {
    let mut level: Vec<[u8; 32]> = bytes.chunks(CHUNK).map(|chunk| Sha256::digest(chunk).into()).collect();
    level.resize(level.len().next_power_of_two().max(1), [0; 32]);
    while level.len() > 1 {
        level = level.chunks_exact(2).map(|pair| parent(&pair[0], &pair[1])).collect();
    }
    let mut root = Sha256::new();
    root.update(b"headframe content");
    root.update((bytes.len() as u64).to_be_bytes());
    root.update(level[0]);
    B256::from(<[u8; 32]>::from(root.finalize()))
}

/// The root over a segment's renditions, in ladder order: `keccak256` of their content roots, one after the other.
pub fn output_root(renditions: &[B256]) -> B256 {
    keccak256(renditions.concat())
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    if left == &[0; 32] && right == &[0; 32] {
        return [0; 32];
    }
    let mut node = Sha256::new();
    node.update(left);
    node.update(right);
    node.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let bytes = vec![7u8; 3 * CHUNK + 5];
        let root = content_root(&bytes);
        for at in [0, CHUNK - 1, CHUNK, 2 * CHUNK + 3, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(content_root(&other), root, "byte {at}");
        }
        assert_ne!(content_root(&bytes[..bytes.len() - 1]), root);
        assert_ne!(content_root(&[]), content_root(&[0]));
    }

    #[test]
    fn the_order_of_renditions_counts() {
        let (a, b) = (content_root(b"a"), content_root(b"b"));
        assert_ne!(output_root(&[a, b]), output_root(&[b, a]));
    }
}
