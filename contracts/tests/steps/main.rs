//! The step contracts against the kernels' reference and the market's proof builders, in an EVM within this process; and one
//! whole story on a development chain.
//! `HEADFRAME_STEP_CASES=100000 cargo test -p headframe-contracts --test steps` takes that many cases of everything.

#![allow(clippy::unwrap_used)]

mod blur;
mod decoded;
mod errors;
mod evm;
mod headers;
#[path = "../net/mod.rs"]
mod net;
mod on_chain;
mod ordered;
mod pictures;
mod receipts;
mod scale;
mod vectors;
