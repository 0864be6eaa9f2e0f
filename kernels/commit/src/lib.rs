//! What an operator binds itself to when a segment of its work is drawn: the pictures on the way from source to rendition,
//! the errors between them, and the bytes of each rendition. Formats to the byte are in `docs/fraud-proofs.md`;
//! `contracts/src/steps` opens the same trees.
//!
//! | file | knows |
//! | --- | --- |
//! | [`tree`] | Merkle trees that prove a place: kept whole, or growing leaf by leaf |
//! | [`shape`] | sizes and formats, planes and tiles |
//! | [`pictures`], [`errors`], [`bytes`] | the three kinds of trees, kept whole, so that every leaf can be opened |
//! | [`stream`] | the same roots, made as pictures come, in the memory of one picture |
//! | [`answer`] | all roots of a segment together |
//!
//! The crate computes no pixels and knows no codec, no chain, no I/O and no clock.

#![forbid(unsafe_code)]

pub mod answer;
pub mod bytes;
pub mod errors;
pub mod pictures;
pub mod shape;
pub mod stream;
pub mod tree;

pub use answer::{Answer, Curve, Rung};
pub use bytes::ByteTree;
pub use errors::{Errors, FrameErrors};
pub use pictures::{Picture, Pictures};
pub use shape::{Chroma, PictureError, Shape};

use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

/// 32 bytes that stand for something.
pub type Hash = [u8; 32];

/// Keccak-256 of these parts, one behind the other.
fn keccak(parts: &[&[u8]]) -> Hash {
    let mut hash = Keccak256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}
