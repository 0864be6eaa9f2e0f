//! A development chain with everything deployed on it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use alloy::network::EthereumWallet;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use headframe_contracts::{Deployment, DevChain, Fault, Params, deploy, role_faults, set_balance};

pub(crate) const COIN: u128 = 1_000_000_000_000_000_000;
/// Tokens of the deployer, and all there are.
pub(crate) const SUPPLY: u128 = 1_000_000 * COIN;

pub(crate) struct Net {
    pub(crate) at: Deployment,
    pub(crate) params: Params,
    pub(crate) deployer: Address,
    pub(crate) provider: DynProvider,
    pub(crate) chain: DevChain,
}

/// An account with coins, and a provider that signs for it.
pub(crate) async fn account(chain: &DevChain, byte: u8) -> (Address, DynProvider) {
    let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap();
    let address = key.address();
    let wallet = EthereumWallet::from(key);
    let provider = ProviderBuilder::new().wallet(wallet).connect_http(chain.url().parse().unwrap()).erased();
    provider.client().set_poll_interval(std::time::Duration::from_millis(20));
    set_balance(&provider, address, 1000 * COIN).await.unwrap();
    (address, provider)
}

impl Net {
    /// Deployed with these parameters, and a guardian.
    pub(crate) async fn start(mut params: Params) -> Self {
        let chain = DevChain::start(0, None).unwrap();
        let (deployer, provider) = account(&chain, 1).await;
        params.governance.guardian = Address::repeat_byte(0x6a);
        let at = deploy(&provider, deployer, &params, &[(deployer, U256::from(SUPPLY))]).await.unwrap();
        Self { at, params, deployer, provider, chain }
    }

    /// Lets so many seconds go by and a block be made.
    pub(crate) async fn wait(&self, seconds: u64) {
        let _: i64 = self.provider.raw_request("evm_increaseTime".into(), (seconds,)).await.unwrap();
        let () = self.provider.raw_request("anvil_mine".into(), (U256::from(1),)).await.unwrap();
    }

    pub(crate) async fn faults(&self) -> Vec<Fault> {
        role_faults(&self.provider, &self.at).await.unwrap()
    }
}
