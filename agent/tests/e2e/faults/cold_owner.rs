//! What a rig earns beside its work, and to whom all of it goes: a wallet whose key is nowhere near it.

use super::*;
use alloy::sol;
use alloy::sol_types::SolCall;

sol! {
    function acceptOwner(address operator) external;
}

fn cold() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x7c)).unwrap()
}

fn with_cold_owner(config: &mut Config) {
    if config.gateway.streams.is_empty() {
        config.signer.owner = Some(cold().address());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_brings_a_reward_and_fees_go_to_the_cold_owner() {
    let mut market = Market::of(vec![1_000_000_000], with_cold_owner).await;
    let (owner, operator) = (cold().address(), market.cluster.nodes[0].address);
    let wallet = ProviderBuilder::new()
        .wallet(EthereumWallet::from(cold()))
        .connect_http(market.cluster.rpc_url.parse().unwrap());
    headframe_contracts::set_balance(&wallet, owner, 10u128.pow(18)).await.unwrap();
    assert_eq!(market.cluster.chain.reward_due(operator).await.unwrap(), None, "no epoch is over");

    // Stake counts from the epoch after its bond on, and is rewarded in the one after that.
    pass(&wallet, 2 * 86_400).await;
    let due = market.cluster.chain.reward_due(operator).await.unwrap().expect("the day before can be minted");
    market.done(&format!("reward:{due}")).await;
    assert_eq!(market.cluster.chain.reward_due(operator).await.unwrap(), None);

    let stranger = PrivateKeySigner::random().address();
    let (code, _, said) = market.asked(&["stake", "owner", &stranger.to_string(), "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    market
        .until("the signer refuses it", 30, async |market: &Market| {
            let log = std::fs::read_to_string(&market.cluster.nodes[0].process.log).unwrap();
            log.contains("as owner: the signer's --owner allows")
        })
        .await;
    let (code, _, said) = market.asked(&["stake", "owner", &owner.to_string(), "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    market.done(&format!("propose_owner:{owner}:")).await;
    let accept = TransactionRequest::default()
        .with_to(market.cluster.chain.at.registry)
        .with_input(SolCall::abi_encode(&acceptOwnerCall { operator }));
    assert!(wallet.send_transaction(accept).await.unwrap().get_receipt().await.unwrap().status());
    assert_eq!(market.cluster.chain.operator(operator).await.unwrap().owner, owner);
    pass(&wallet, 700).await; // the rig looks at its standing every ten minutes

    let before = market.cluster.chain.balance(owner).await.unwrap();
    let mut push = market.publish();
    market.delivered("demo", 3).await;
    push.kill().await.unwrap();
    market
        .until("the owner is paid", 180, async |market: &Market| {
            market.cluster.chain.balance(owner).await.is_ok_and(|now| now > before)
        })
        .await;
    assert_eq!(market.cluster.chain.fees(owner).await.unwrap(), Wei(0), "nothing is left behind");
}

/// So many seconds of the chain's clock.
async fn pass(chain: &impl Provider, seconds: u64) {
    let _: Value = chain.raw_request("evm_increaseTime".into(), [seconds]).await.unwrap();
    let _: Value = chain.raw_request("anvil_mine".into(), ["0x1"]).await.unwrap();
}

impl Market {
    /// Waits until a transaction of the first rig whose key begins so is in a block.
    async fn done(&mut self, key: &str) {
        self.until(&format!("{key} is mined"), 60, async |market: &Self| {
            let asked = reqwest::get(format!("{}/tx?limit=50", market.cluster.nodes[0].admin)).await;
            let list: Value = asked.unwrap().json().await.unwrap_or_default();
            let mined = |tx: &Value| ["mined", "safe", "final"].contains(&tx["state"].as_str().unwrap_or_default());
            let named = |tx: &Value| tx["key"].as_str().unwrap_or_default().starts_with(key);
            list["transactions"].as_array().into_iter().flatten().any(|tx| named(tx) && mined(tx))
        })
        .await;
    }
}
