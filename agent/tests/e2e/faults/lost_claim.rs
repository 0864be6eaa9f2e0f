//! A claim that costs its collateral all the same: the rig halts once, says why, and what it kept is there for a person.

use super::*;
use alloy::sol;
use headframe_market::machine::ClaimState;

sol! {
    function slashMissed(uint64 claimId) external;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rig_that_lost_a_claim_halts_once_and_sets_its_evidence_aside() {
    let mut market = Market::start().await;
    let _push = market.publish();
    market
        .until("a claim", 120, async |market: &Market| {
            Ledger::read(&market.cluster).await.is_ok_and(|ledger| !ledger.claims.is_empty())
        })
        .await;
    // A rig that hangs past the deadline; the watchtower is whoever wants the reward.
    market.cluster.nodes[0].process.signal(Signal::STOP).unwrap();
    let claim = Ledger::read(&market.cluster).await.unwrap().claims.remove(0);
    let url = market.cluster.rpc_url.parse().unwrap();
    let key = PrivateKeySigner::random();
    let from = key.address();
    let tower = ProviderBuilder::new().wallet(EthereumWallet::from(key)).connect_http(url);
    headframe_contracts::set_balance(&tower, from, 10u128.pow(18)).await.unwrap();
    let _: Value = tower.raw_request("evm_increaseTime".into(), [30 * 86_400]).await.unwrap();
    let late = TransactionRequest::default()
        .with_to(market.cluster.chain.at.book)
        .with_input(alloy::sol_types::SolCall::abi_encode(&slashMissedCall { claimId: claim.id.0 }));
    let receipt = tower.send_transaction(late).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status(), "nobody can report the claim: {claim:?}");
    assert_eq!(market.cluster.chain.claim(claim.id).await.unwrap().state, ClaimState::Missed);

    market.cluster.nodes[0].process.signal(Signal::CONT).unwrap();
    market
        .until("the rig sees it", 60, async |market: &Market| {
            let log = std::fs::read_to_string(&market.cluster.nodes[0].process.log).unwrap();
            log.contains("a claim is lost")
        })
        .await;
    // Before that is final, a reorganisation might undo it.
    let _: Value = tower.raw_request("anvil_mine".into(), ["0x60"]).await.unwrap();
    let process = &mut market.cluster.nodes[0].process;
    let ended = process.ended(Duration::from_secs(60)).await.unwrap();
    let log = tail(&process.log);
    assert_eq!(ended.code(), Some(79), "{log}");
    let place = market.dir.path().join("node-a/evidence/incidents").join(claim.id.to_string());
    assert!(log.contains("missed its deadline") && log.contains(place.to_str().unwrap()), "{log}");
    let kept: Value = serde_json::from_slice(&std::fs::read(place.join("claim.json")).unwrap()).unwrap();
    assert_eq!((&kept["state"], &kept["count"]), (&"missed".into(), &claim.count.into()), "{kept}");
    assert!(place.join(claim.first.to_string()).exists(), "the first segment's bytes are kept");

    // Whoever starts it again has looked.
    market.cluster.nodes[0].process.restart().unwrap();
    market
        .until("the rig serves again", 60, async |market: &Market| {
            let status = market.cluster.status(&market.cluster.nodes[0]).await.unwrap_or_default();
            status["claims"][claim.id.to_string()] == "missed"
        })
        .await;
    let _: Value = tower.raw_request("anvil_mine".into(), ["0x60"]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    market.cluster.nodes[0].process.check().unwrap();
}
