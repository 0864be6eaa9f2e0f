//! Content roots are what the contracts say they are: `contracts/vectors/content.json`, written by the Solidity tests.

#![allow(clippy::unwrap_used)]

use alloy::primitives::B256;
use headframe_market::content::{content_root, output_root};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    length: usize,
    root: B256,
}

#[derive(Deserialize)]
struct Vectors {
    contents: Vec<Vector>,
    output: B256,
}

/// What the Solidity tests fill contents with.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap()).collect()
}

#[test]
fn content_roots_are_those_of_the_contracts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/content.json");
    let vectors: Vectors = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(vectors.contents.len() >= 8);
    for vector in &vectors.contents {
        assert_eq!(content_root(&bytes(vector.length)), vector.root, "{} bytes", vector.length);
    }
    let roots: Vec<B256> = vectors.contents.iter().map(|vector| vector.root).collect();
    assert_eq!(output_root(&roots), vectors.output);
}
