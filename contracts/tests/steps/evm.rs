//! The step contracts in an EVM within this process, and what their calls come to.

use alloy::hex;
use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::{SolCall, SolError, SolValue};
use headframe_contracts::bindings::step_errors::{NothingWrong, OutOfShape};
use headframe_market::proof::Accusation;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{Context, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{TxKind, U256};
use revm::state::{AccountInfo, Bytecode};
use revm::{ExecuteEvm, MainBuilder, MainContext, MainnetEvm};

type Evm = MainnetEvm<revm::handler::MainnetContext<CacheDB<EmptyDB>>>;

/// One step contract.
pub(crate) struct Step {
    evm: Evm,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The step says what is wrong.
    Fault(String),
    /// Evidence that shows nothing wrong.
    NothingWrong,
    /// Evidence cut wrongly.
    OutOfShape,
    /// Any other refusal.
    Refused(Bytes),
}

const CALLER: Address = Address::repeat_byte(0xca);
const STEP: Address = Address::repeat_byte(0x57);
/// What [`Step::beside`] asks.
const OTHER: Address = Address::repeat_byte(0x58);
/// The most gas that a transaction may have (EIP-7825).
const GAS: u64 = 16_777_216;

impl Step {
    /// Deploys the creation code of a contract.
    pub(crate) fn new(code: &Bytes) -> Self {
        let step = Self::with(&[]).create(code);
        Self::with(&[(STEP, step)])
    }

    /// Deploys a contract that asks another one: its constructor takes the other's address and nothing else.
    pub(crate) fn beside(code: &Bytes, other: &Bytes) -> Self {
        let other = Self::with(&[]).create(other);
        let step = Self::with(&[]).create(&[&code[..], &OTHER.abi_encode()].concat().into());
        Self::with(&[(OTHER, other), (STEP, step)])
    }

    fn create(mut self, code: &Bytes) -> Bytes {
        match self.call(TxKind::Create, code.clone()) {
            ExecutionResult::Success { output: Output::Create(runtime, _), .. } => runtime,
            other => panic!("the step does not deploy: {other:?}"),
        }
    }

    fn with(contracts: &[(Address, Bytes)]) -> Self {
        let mut db = CacheDB::new(EmptyDB::new());
        for (at, code) in contracts {
            let code = Bytecode::new_raw(code.clone());
            let account = AccountInfo { code_hash: code.hash_slow(), code: Some(code), ..Default::default() };
            db.insert_account_info(*at, account);
        }
        let context = Context::mainnet().modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE));
        Self { evm: context.with_db(db).build_mainnet() }
    }

    fn call(&mut self, kind: TxKind, data: Bytes) -> ExecutionResult {
        let transaction = TxEnv::builder().caller(CALLER).gas_limit(GAS).gas_price(0).value(U256::ZERO).kind(kind);
        self.evm.transact(transaction.data(data).build().unwrap()).unwrap().result
    }

    /// A call of `prove`, as a transaction: what it says and the gas of the whole transaction.
    pub(crate) fn prove(&mut self, accusation: &Accusation) -> (Outcome, u64) {
        self.prove_raw(accusation.calldata())
    }

    pub(crate) fn prove_raw(&mut self, calldata: Bytes) -> (Outcome, u64) {
        match self.call(TxKind::Call(STEP), calldata) {
            ExecutionResult::Success { output, gas, .. } => {
                let word = B256::from_slice(output.data());
                let text = String::from_utf8_lossy(word.as_slice()).trim_end_matches('\0').to_owned();
                (Outcome::Fault(text), gas.tx_gas_used())
            }
            ExecutionResult::Revert { output, gas, .. } => {
                let outcome = match output.get(..4) {
                    Some(selector) if selector == NothingWrong::SELECTOR => Outcome::NothingWrong,
                    Some(selector) if selector == OutOfShape::SELECTOR => Outcome::OutOfShape,
                    _ => Outcome::Refused(output),
                };
                (outcome, gas.tx_gas_used())
            }
            ExecutionResult::Halt { reason, .. } => panic!("the step halts: {reason:?}"),
        }
    }

    /// Any other call that has to succeed.
    pub(crate) fn ask<C: SolCall>(&mut self, call: &C) -> C::Return {
        match self.call(TxKind::Call(STEP), call.abi_encode().into()) {
            ExecutionResult::Success { output, .. } => C::abi_decode_returns(output.data()).unwrap(),
            other => panic!("{}: {}", C::SIGNATURE, hex::encode(format!("{other:?}"))),
        }
    }
}

/// Numbers that look random and are the same in every run of one seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }
}

/// How many cases: the number in the environment, or what takes a few seconds.
pub(crate) fn cases(usual: usize) -> usize {
    std::env::var("HEADFRAME_STEP_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
