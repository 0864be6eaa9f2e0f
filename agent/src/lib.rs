//! Headframe's agent: the roles, their command line and the wiring between the crates that do the work.
//!
//! Parses untrusted bytes only in safe Rust and holds no key: signing is the signer's, decoding the worker's.

#![forbid(unsafe_code)]

pub mod admin;
pub mod chain_view;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod gateway;
pub mod metrics;
pub mod node;
pub mod profile;
pub mod shutdown;

mod listing;
mod log;
mod network;
mod pricing;
pub mod reload;
mod sender;
mod sight;
mod signer;
mod transcode;
mod wiring;
