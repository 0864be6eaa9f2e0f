//! The real bytecode in an EVM within this process: calls as transactions, and blocks that carry on.

use alloy::primitives::{Address, B256, Bytes, FixedBytes, TxKind, U256, address, keccak256};
use alloy::sol_types::SolCall;
use headframe_market::BlockNo;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{Context, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, Bytecode};
use revm::{Database, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetEvm};
use std::collections::BTreeMap;

pub(crate) type State = CacheDB<EmptyDB>;

/// The most gas that a transaction may have (EIP-7825); deployments take more than that for the largest contract.
const GAS: u64 = 16_777_216;
/// EIP-2935: its contract, and how many hashes it keeps.
const HISTORY: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");
const KEPT: u64 = 8191;
const HISTORY_CODE: &str = "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff814303116042\
    57611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

/// A chain at one moment.
pub(crate) struct Evm {
    evm: MainnetEvm<revm::handler::MainnetContext<State>>,
}

impl Evm {
    /// A chain without contracts but the history of block hashes.
    pub(crate) fn empty() -> Self {
        let mut state = CacheDB::new(EmptyDB::new());
        let code: String = HISTORY_CODE.split_whitespace().collect();
        insert_code(&mut state, HISTORY, alloy::hex::decode(code).unwrap().into());
        Self::of(state)
    }

    pub(crate) fn of(state: State) -> Self {
        let context = Context::mainnet().modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
            cfg.disable_nonce_check = true;
        });
        Self { evm: context.with_db(state).build_mainnet() }
    }

    pub(crate) fn state(&mut self) -> &mut State {
        &mut self.evm.ctx.journaled_state.database
    }

    pub(crate) fn at(&mut self, block: u64, time: u64, random: B256) {
        let env = &mut self.evm.ctx.block;
        (env.number, env.timestamp, env.prevrandao) = (U256::from(block), U256::from(time), Some(random));
    }

    pub(crate) fn insert_code(&mut self, at: Address, code: Bytes) {
        insert_code(self.state(), at, code);
    }

    pub(crate) fn fund(&mut self, account: Address) {
        let info = AccountInfo { balance: U256::from(1u128 << 100), ..Default::default() };
        self.state().insert_account_info(account, info);
    }

    pub(crate) fn balance(&mut self, account: Address) -> U256 {
        self.state().basic(account).unwrap().map_or(U256::ZERO, |info| info.balance)
    }

    /// The hash of a block, once it is an earlier one.
    pub(crate) fn know(&mut self, block: BlockNo, hash: B256) {
        self.state().cache.block_hashes.insert(U256::from(block.0), hash);
    }

    /// Writes the hashes of blocks that are past now to where they stay for longer.
    pub(crate) fn remember(&mut self, hashes: &BTreeMap<BlockNo, B256>, from: u64, to: u64) {
        for (block, hash) in hashes.range(BlockNo(from)..BlockNo(to)) {
            let (slot, hash) = (U256::from(block.0 % KEPT), U256::from_be_bytes(hash.0));
            self.state().insert_account_storage(HISTORY, slot, hash).unwrap();
        }
    }

    pub(crate) fn create(&mut self, from: Address, code: Vec<u8>) -> Address {
        let transaction = TxEnv::builder().caller(from).gas_limit(GAS).gas_price(0).kind(TxKind::Create);
        match self.evm.transact_commit(transaction.data(code.into()).build().unwrap()).unwrap() {
            ExecutionResult::Success { output: Output::Create(_, Some(at)), .. } => at,
            other => panic!("does not deploy: {other:?}"),
        }
    }

    /// A transaction: what it returns, or the data it reverts with.
    pub(crate) fn send(&mut self, from: Address, to: Address, value: u128, data: Vec<u8>) -> Result<Bytes, Bytes> {
        let transaction = TxEnv::builder().caller(from).gas_limit(GAS).gas_price(0).value(U256::from(value));
        let transaction = transaction.kind(TxKind::Call(to)).data(data.into()).build().unwrap();
        match self.evm.transact_commit(transaction).unwrap() {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            ExecutionResult::Revert { output, .. } => Err(output),
            ExecutionResult::Halt { reason, .. } => panic!("halts: {reason:?}"),
        }
    }

    pub(crate) fn call<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> Result<C::Return, Bytes> {
        self.send(from, to, 0, call.abi_encode()).map(|data| C::abi_decode_returns(&data).unwrap())
    }

    /// A call whose changes are dropped.
    pub(crate) fn view<C: SolCall>(&mut self, to: Address, call: &C) -> C::Return {
        let transaction = TxEnv::builder().caller(Address::repeat_byte(0x1e)).gas_limit(GAS).gas_price(0);
        let transaction = transaction.kind(TxKind::Call(to)).data(call.abi_encode().into()).build().unwrap();
        match self.evm.transact(transaction).unwrap().result {
            ExecutionResult::Success { output, .. } => C::abi_decode_returns(output.data()).unwrap(),
            other => panic!("{}: {other:?}", C::SIGNATURE),
        }
    }
}

fn insert_code(state: &mut State, at: Address, code: Bytes) {
    let code = Bytecode::new_raw(code);
    let info = AccountInfo { code_hash: code.hash_slow(), code: Some(code), nonce: 1, ..Default::default() };
    state.insert_account_info(at, info);
}

/// Names of errors by their selectors, out of the artifacts.
pub(crate) struct Errors(BTreeMap<FixedBytes<4>, String>);

impl Errors {
    pub(crate) fn load() -> Self {
        let mut names = BTreeMap::new();
        names.insert(selector("Panic(uint256)"), "Panic".to_owned());
        for contract in ["JobMarket", "ClaimBook", "StakeRegistry", "OperatorKeys", "ActiveSet", "ProfileRegistry"] {
            let path = format!("{}/artifacts/{contract}.json", env!("CARGO_MANIFEST_DIR"));
            let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            for item in artifact["abi"].as_array().unwrap().iter().filter(|item| item["type"] == "error") {
                let types = item["inputs"].as_array().unwrap().iter().map(|input| input["type"].as_str().unwrap());
                let name = item["name"].as_str().unwrap();
                names.insert(selector(&format!("{name}({})", types.collect::<Vec<_>>().join(","))), name.to_owned());
            }
        }
        Self(names)
    }

    pub(crate) fn name(&self, data: &[u8]) -> &str {
        let selector = data.get(..4).map(FixedBytes::<4>::from_slice);
        selector.and_then(|selector| self.0.get(&selector)).map_or("an unknown error", String::as_str)
    }
}

fn selector(signature: &str) -> FixedBytes<4> {
    FixedBytes::from_slice(&keccak256(signature)[..4])
}
