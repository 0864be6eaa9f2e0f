//! The market's rules as pure functions and state machines: units, receipts, Merkle-sum trees, typed data, typed
//! transactions, pricing, the machines of job and claim, and proofs of fraud over the commitments of headframe-commit.
//!
//! Knows no I/O, no async, no clock and no logging. Heights and times are [`BlockNo`] and [`Timestamp`], passed in as arguments.

#![forbid(unsafe_code)]

pub mod action;
pub mod content;
pub mod dispute;
pub mod economics;
pub mod machine;
pub mod merkle;
pub mod order;
pub mod packed;
pub mod pricing;
pub mod profile;
pub mod proof;
pub mod receipt;
pub mod rules;
pub mod typed_data;
pub mod units;

pub use headframe_commit as commit;

pub use action::{Action, Addresses, Opening, Role};
pub use order::{Bid, JobOrder};
pub use receipt::{Receipt, Segment};
pub use units::{BlockNo, ClaimId, JobId, Price, SegmentNo, Timestamp, Units, Wei};

pub use alloy_primitives::{Address, B256, Bytes, Signature, U256};
