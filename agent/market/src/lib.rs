//! The market's rules as pure functions and state machines: units, receipts, Merkle-sum trees, typed data, typed
//! transactions, pricing, the machines of job and claim, commitments to pictures and bytes, and proofs of fraud.
//!
//! Knows no I/O, no async, no clock and no logging. Heights are [`BlockNo`], passed in as arguments.

#![forbid(unsafe_code)]

pub mod action;
pub mod commit;
pub mod content;
pub mod economics;
pub mod machine;
pub mod merkle;
pub mod pricing;
pub mod proof;
pub mod receipt;
pub mod typed_data;
pub mod units;

pub use action::{Action, Addresses, Opening, Role};
pub use receipt::{Receipt, Segment};
pub use units::{BlockNo, ClaimId, JobId, Price, SegmentNo, Units, Wei};

pub use alloy_primitives::{Address, B256, Bytes, Signature, U256};
