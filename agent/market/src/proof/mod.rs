//! Proofs of fraud that one call settles: each finds what is wrong in what an operator committed to, and builds the call
//! of the step contract that shows it.
//!
//! Nothing here computes pixels: who accuses hands over the right pictures, made by the kernels' reference, and what the
//! operator published. `None` means that there is nothing to accuse; the step would revert.

pub mod abi;
pub mod answer;
pub mod challenge;
pub mod equivocation;
pub mod error_sum;
pub mod header;
pub mod leaf;
mod openings;
pub mod ordered;
pub mod scale;

pub use abi::{Accused, Answer, Block, Claim, Drawn, Limits, Opening, Ordered, Rung};

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolCall;

/// What a step contract is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accusation {
    /// What the accused is bound to.
    pub statement: B256,
    /// Why it is false.
    pub evidence: Bytes,
}

impl Accusation {
    /// The call of `IStepVerifier.prove`, which judges and has no consequences: [`challenge`] has those of the chain.
    pub fn calldata(&self) -> Bytes {
        abi::proveCall { statement: self.statement, evidence: self.evidence.clone() }.abi_encode().into()
    }
}
