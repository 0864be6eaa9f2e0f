//! The disk of a rig is full in the middle of a claim: it proves what it claimed, and claims nothing more until there is room.
//! The disk is a small one in memory, in a mount namespace of the test's own: as root; elsewhere the test is skipped and says so.

use super::*;
use headframe_market::machine::{ClaimState, ClaimView};

/// Holds what a rig keeps for proofs twice (signer and agent), and what it needs to take that.
const DISK: &str = "size=300m";

#[tokio::test(flavor = "multi_thread")]
async fn a_rig_with_a_full_disk_proves_what_it_claimed_and_claims_no_more_until_there_is_room() {
    let name = "full_disk::a_rig_with_a_full_disk_proves_what_it_claimed_and_claims_no_more_until_there_is_room";
    if own_namespace(name, &["--mount"], "mount -t tmpfs -o size=1m probe /mnt && umount /mnt").await {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("node-a");
    std::fs::create_dir(&home).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "rig"]).arg(&home).status().await.unwrap();
    assert!(mount.success());
    let mut market = Market::within(dir, vec![1_000_000_000], two_streams).await;
    let push = market.publish();
    market.until("a claim", 120, async |market: &Market| unproven(market).await > 0).await;

    // Whoever else uses the disk.
    let filler = home.join("filler");
    fill(&filler);
    let claimed = Ledger::read(&market.cluster).await.unwrap().claims.len();
    market.until("all claims are proven", 120, async |market: &Market| unproven(market).await == 0).await;
    assert!(!home.join("outbox.db.ballast").exists(), "no room was given up");
    market.cluster.check().unwrap();
    let ledger = Ledger::read(&market.cluster).await.unwrap();
    let proven = |claim: &ClaimView| matches!(claim.state, ClaimState::Revealed | ClaimState::Settled);
    assert!(ledger.claims.iter().all(proven), "{:#?}", ledger.claims);
    // One may have been on its way.
    assert!(ledger.claims.len() <= claimed + 1, "{} claims, and {claimed} when the disk was full", ledger.claims.len());
    let ready = reqwest::get(format!("{}/readyz", market.cluster.nodes[0].admin)).await.unwrap().text().await.unwrap();
    assert!(ready.contains("disk of state_dir is full"), "{ready}");

    std::fs::remove_file(&filler).unwrap();
    let before = market.accepted();
    market.delivered("demo", before + 2).await;
    market.settle(push).await;
    let after = Ledger::read(&market.cluster).await.unwrap().claims.len();
    assert!(after > ledger.claims.len(), "nothing was claimed when there was room again");
    // Else the folder cannot be removed.
    let _ = Command::new("umount").arg("--lazy").arg(&home).status().await;
}

/// Claims that a proof is still due for.
async fn unproven(market: &Market) -> usize {
    let ledger = Ledger::read(&market.cluster).await.unwrap();
    let due =
        |claim: &&ClaimView| matches!(claim.state, ClaimState::Submitted | ClaimState::Sealed | ClaimState::Answered);
    ledger.claims.iter().filter(due).count()
}

/// Takes all that is left.
fn fill(file: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::options().create(true).append(true).open(file).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}
