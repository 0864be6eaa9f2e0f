//! The real guard behind a function call instead of a socket, with a crash before its record and one between record and answer.

use crate::chain::Tx;
use crate::scenario::Broken;
use crate::world::World;
use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use headframe_chain::{SignError, Signed, TxFields, TxSigner};
use headframe_guard::protocol::{Hello, KeptReceipt, ReceiptRequest, Request, Response, Sight, TransactionRequest};
use headframe_guard::server::{Config, Guard};
use headframe_guard::store::Store;
use headframe_guard::{Key, NotSafe};
use headframe_market::machine::claim::Evidence;
use headframe_market::{Action, Addresses, Bid, JobId, Receipt, Role, SegmentNo, Signature, Wei};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The rig's secret.
pub(crate) const SECRET: [u8; 32] = [0x21; 32];
/// The most that one transaction may cost.
pub(crate) const MAX_COST: Wei = Wei(500_000_000_000_000_000);

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    ByRule(String),
    Unsafe(String),
    Gone,
}

pub(crate) struct Signer {
    world: World,
    at: Addresses,
    state: Mutex<State>,
    broken: bool,
}

struct State {
    guard: Guard,
    session: Option<Arc<Store>>,
    hello: Hello,
}

impl Signer {
    /// Opens the database, or a new one for a key without a past, as the signer's process and its first client do.
    pub(crate) fn open(world: &World, folder: &Path, hello: Hello) -> Result<Self, Refused> {
        let path = folder.join("guard.db");
        let guard = Self::guard(&path)?;
        guard.leave_as_is();
        let at = hello.addresses;
        let broken = world.lock().scenario.broken == Some(Broken::Guard);
        let state = Mutex::new(State { guard, session: None, hello });
        Ok(Self { world: world.clone(), at, state, broken })
    }

    fn guard(path: &Path) -> Result<Guard, Refused> {
        let key = Key::from_bytes(&SECRET).map_err(|error| Refused::Unsafe(error.to_string()))?;
        let config = Config {
            key: Box::new(key),
            role: Role::Operator,
            database: path.to_owned(),
            max_fee: MAX_COST,
            owner: None,
            ballast: false,
        };
        Guard::open(config).map_err(|error| match error {
            NotSafe::Unsafe(why) => Refused::Unsafe(why),
            other => Refused::Unsafe(other.to_string()),
        })
    }

    pub(crate) fn me() -> Address {
        key().address()
    }

    /// One request with its possible deaths. What was signed counts as signed even if nobody gets to see it.
    fn ask(&self, request: Request) -> Result<Response, Refused> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.world.lock().point("before the guard's record") {
            return Err(Refused::Gone);
        }
        let State { guard, session, hello } = &mut *state;
        if session.is_none() {
            Self::said(guard.answer(session, Request::Hello(hello.clone())))?;
            guard.leave_as_is();
        }
        let receipt = match &request {
            Request::SignReceipt(ask) => Some(ask.receipt.clone()),
            _ => None,
        };
        let response = guard.answer(session, request);
        match (&response, receipt) {
            (Response::Signature(_), Some(receipt)) => self.signed_receipt(&receipt),
            (Response::Transaction(signed), _) => self.signed_transaction(&signed.raw),
            _ => {}
        }
        if !self.world.lock().point("between the guard's record and its answer") {
            return Err(Refused::Gone);
        }
        Self::said(response)
    }

    fn signed_receipt(&self, receipt: &Receipt) {
        let mut inner = self.world.lock();
        inner.trace.count("receipts");
        let before = inner.checker.violations.len();
        inner.checker.receipt(receipt);
        if inner.checker.violations.len() > before {
            inner.note(false, format_args!("SLASHABLE: two receipts"));
        }
        inner.note(false, format_args!("receipt for segment {} of job {}", receipt.seq, receipt.job));
    }

    fn signed_transaction(&self, raw: &[u8]) {
        let mut inner = self.world.lock();
        let inner = &mut *inner;
        if let Some(tx) = Tx::read(&self.at, raw) {
            inner.trace.count("transactions signed");
            let before = inner.checker.violations.len();
            inner.checker.transaction(&tx, &inner.chain);
            for violation in inner.checker.violations.split_off(before) {
                inner.note(false, format_args!("SLASHABLE: {}: {}", violation.what, violation.detail));
                inner.checker.violations.push(violation);
            }
            let (nonce, about, fee) = (tx.nonce, tx.deed.about(), tx.max_fee);
            inner.note(false, format_args!("signed {about} under nonce {nonce}, at most {fee}"));
        }
    }

    fn said(response: Response) -> Result<Response, Refused> {
        match response {
            Response::Refused { rule, reason } => Err(Refused::ByRule(format!("{rule}: {reason}"))),
            Response::Unsafe { reason } => Err(Refused::Unsafe(reason)),
            Response::Failed { .. } => Err(Refused::Gone),
            other => Ok(other),
        }
    }

    /// Says where we are and what the chain shows of the key.
    pub(crate) fn hello(&self) -> Result<(), Refused> {
        self.ask(Request::Status).map(drop)
    }

    pub(crate) fn see(&self, sight: Sight) -> Result<(), Refused> {
        match self.ask(Request::See(sight)) {
            Err(Refused::Unsafe(_)) if self.broken => Ok(()),
            other => other.map(drop),
        }
    }

    pub(crate) fn receipt(&self, ask: ReceiptRequest) -> Result<Signature, Refused> {
        let receipt = ask.receipt.clone();
        let kept = KeptReceipt {
            leaf: receipt.leaf(),
            src_bytes: ask.order.src_bytes,
            duration_ms: ask.order.duration_ms,
            client_signature: ask.order_signature.clone(),
        };
        let signature = match self.ask(Request::SignReceipt(ask)) {
            Ok(Response::Signature(bytes)) => Signature::from_raw(&bytes).map_err(|_| Refused::Gone)?,
            Ok(_) => return Err(Refused::Gone),
            Err(Refused::ByRule(_) | Refused::Unsafe(_)) if self.broken => {
                let mut inner = self.world.lock();
                inner.disk.forced.insert((receipt.job, receipt.seq.0), kept);
                let hash = receipt.signing_hash(&inner.domain);
                drop(inner);
                self.signed_receipt(&receipt);
                key().sign_hash_sync(&hash).map_err(|_| Refused::Gone)?
            }
            Err(other) => return Err(other),
        };
        Ok(signature)
    }

    pub(crate) fn bid(&self, bid: Bid) -> Result<Signature, Refused> {
        match self.ask(Request::SignBid(bid))? {
            Response::Signature(bytes) => Signature::from_raw(&bytes).map_err(|_| Refused::Gone),
            _ => Err(Refused::Gone),
        }
    }

    /// Kept evidence, in order.
    pub(crate) fn receipts(&self, job: JobId, from: SegmentNo, limit: u32) -> Result<Vec<Evidence>, Refused> {
        let Response::Receipts(mut kept) = self.ask(Request::Receipts { job, from, limit })? else {
            return Err(Refused::Gone);
        };
        if self.broken {
            let inner = self.world.lock();
            for one in &mut kept {
                if let Some(forced) = inner.disk.forced.get(&(job, one.leaf.seq.0)) {
                    *one = forced.clone();
                }
            }
        }
        Ok(kept.into_iter().map(Evidence::from).collect())
    }

    fn transaction(&self, action: &Action, fields: &TxFields) -> Result<Signed, Refused> {
        let request = TransactionRequest {
            action: action.clone(),
            nonce: fields.nonce,
            gas_limit: fields.gas_limit,
            max_fee_per_gas: Wei(fields.max_fee),
            max_priority_fee_per_gas: Wei(fields.max_priority),
        };
        let signed = match self.ask(Request::SignTransaction(request)) {
            Ok(Response::Transaction(signed)) => Signed { raw: signed.raw, hash: signed.hash },
            Ok(_) => return Err(Refused::Gone),
            Err(Refused::ByRule(_) | Refused::Unsafe(_)) if self.broken => {
                let signed = force(&self.at, action, fields)?;
                self.signed_transaction(&signed.raw);
                signed
            }
            Err(other) => return Err(other),
        };
        Ok(signed)
    }
}

impl TxSigner for Signer {
    fn address(&self) -> Address {
        Self::me()
    }

    fn sign(&self, action: &Action, tx: &TxFields) -> Result<Signed, SignError> {
        self.transaction(action, tx).map_err(|refused| match refused {
            Refused::ByRule(why) => {
                let mut inner = self.world.lock();
                inner.trace.count("refusals of the guard");
                inner.note(false, format_args!("refused {}: {why}", action.key()));
                SignError::Refused(why)
            }
            Refused::Unsafe(why) => SignError::Unsafe(why),
            Refused::Gone => SignError::Unavailable("the signer is gone".into()),
        })
    }
}

fn key() -> PrivateKeySigner {
    // A constant within the curve's order.
    PrivateKeySigner::from_bytes(&B256::from(SECRET)).unwrap_or_else(|_| PrivateKeySigner::random())
}

/// A signature without anybody's leave.
fn force(at: &Addresses, action: &Action, fields: &TxFields) -> Result<Signed, Refused> {
    let call = action.call(at);
    let unsigned = TxEip1559 {
        chain_id: fields.chain_id,
        nonce: fields.nonce,
        gas_limit: fields.gas_limit,
        max_fee_per_gas: fields.max_fee,
        max_priority_fee_per_gas: fields.max_priority,
        to: TxKind::Call(call.to),
        value: U256::from(call.value.0),
        access_list: Default::default(),
        input: call.input,
    };
    let signature = key().sign_hash_sync(&unsigned.signature_hash()).map_err(|_| Refused::Gone)?;
    let envelope = TxEnvelope::from(unsigned.into_signed(signature));
    Ok(Signed { raw: envelope.encoded_2718().into(), hash: *envelope.tx_hash() })
}
