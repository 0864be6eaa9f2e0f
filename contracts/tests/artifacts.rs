//! The committed artifacts were built from the committed sources: checked by hash, so that no compiler is needed.
//! `contracts/test.sh` compares the bytecode itself.

#![allow(clippy::unwrap_used)]

use alloy::primitives::hex;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn solidity_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            solidity_below(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "sol") {
            found.push(path);
        }
    }
}

#[test]
fn artifacts_belong_to_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("foundry.toml"), root.join("package-lock.json")];
    solidity_below(&root.join("src"), &mut files);
    let mut names: Vec<String> =
        files.iter().map(|file| file.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert!(names.contains(&"src/market/JobMarket.sol".to_owned()));

    let mut hash = Sha256::new();
    for name in &names {
        let bytes = std::fs::read(root.join(name)).unwrap();
        hash.update(format!("{name}\0{}\0", bytes.len()));
        hash.update(bytes);
    }
    let expected = hex::encode(hash.finalize());
    let staking = ["Token", "StakeRegistry", "ActiveSet", "OperatorKeys", "FeeRouter"];
    let governance = ["Rewards", "StakeVotes", "Timelock", "StakeGovernor", "Guardian"];
    let steps = ["LeafStep", "EquivocationStep", "HeaderStep", "ScaleStep", "ErrorSumStep"];
    let market = ["ProfileRegistry", "JobMarket", "ClaimBook", "ChallengeManager", "DisputeGame", "Jury"];
    let readers = ["EvidenceReader", "ShapeStep", "OrderedHeaderStep"];
    for name in staking.into_iter().chain(market).chain(readers).chain(governance).chain(steps) {
        let text = std::fs::read(root.join(format!("artifacts/{name}.json"))).unwrap();
        let artifact: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(artifact["sourcesSha256"], expected, "artifacts/{name}.json: run contracts/test.sh --artifacts");
    }
}
