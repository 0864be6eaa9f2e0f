//! A key on a Ledger device, through alloy's signer for it. Only with the feature `ledger`, and never run on a device.
//!
//! A person presses for each signature. So the device is asked for transactions alone, whose fields it shows; receipts,
//! orders and bids are for a key that answers by itself.

use super::{Signing, SigningFailed, Statement, believed};
use alloy_signer_ledger::{HDPath, LedgerSigner};
use headframe_market::{Address, Signature};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// For the person to look and press. Ends before an agent gives up on its signer.
const PATIENCE: Duration = Duration::from_secs(25);

/// Why the device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFailed {
    /// There is none, it is locked, or its Ethereum app is not open.
    #[error("no Ledger answers: {0}; plug it in, unlock it and open its Ethereum app")]
    Unavailable(String),
    /// It has another key.
    #[error("account {account} of the Ledger is {found}, not {wanted}")]
    NoKey {
        /// Its number as Ledger Live counts.
        account: usize,
        /// What was expected.
        wanted: Address,
        /// What it is.
        found: Address,
    },
}

/// One account of a device.
#[derive(Debug)]
pub struct Ledger {
    device: LedgerSigner,
    runtime: Runtime,
    address: Address,
}

impl Ledger {
    /// The account with this number as Ledger Live counts (m/44'/60'/account'/0/0), which must be that of `address`.
    pub fn find(account: usize, address: Address) -> Result<Self, LedgerFailed> {
        let unavailable = |error: &dyn std::fmt::Display| LedgerFailed::Unavailable(error.to_string());
        let runtime = Builder::new_current_thread().enable_time().build().map_err(|error| unavailable(&error))?;
        let device = runtime.block_on(LedgerSigner::new(HDPath::LedgerLive(account), None));
        let device = device.map_err(|error| unavailable(&error))?;
        let found = runtime.block_on(device.get_address()).map_err(|error| unavailable(&error))?;
        if found != address {
            return Err(LedgerFailed::NoKey { account, wanted: address, found });
        }
        Ok(Self { device, runtime, address })
    }
}

impl Signing for Ledger {
    fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, statement: &Statement) -> Result<Signature, SigningFailed> {
        let failed = |reason: String| SigningFailed(format!("Ledger: {reason}"));
        if !statement.is_transaction() {
            return Err(failed("it signs transactions alone; this wants a key that no person has to press for".into()));
        }
        let payload = statement.preimage();
        let signed =
            self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.device.sign_tx_rlp(&payload)).await });
        let signature = signed
            .map_err(|_| failed(format!("nobody confirmed within {} s", PATIENCE.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        believed(signature, statement, self.address).map_err(failed)
    }
}
