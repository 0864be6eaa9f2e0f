//! Slashing protection: the only door to a signature.
//!
//! [`store`] checks a statement against everything signed before and records it, both in one exclusive transaction that
//! is on the disk before it returns; what it hands out is a [`Permit`], and the signing functions of [`keys`] take
//! nothing else, whoever holds the key. [`server`] puts this behind an AF_UNIX socket in a process of its own (`headframe-signer`), which has
//! no network, parses only the length-capped frames of [`protocol`] and answers typed requests only: nobody can have a
//! hash signed. [`client`] and [`spawn`] are the agent's side.
//!
//! There is no switch that turns a rule or the disk synchronisation off. Speed comes from group commit alone.

#![forbid(unsafe_code)]

pub mod ballast;
pub mod client;
pub mod interchange;
pub mod keys;
mod paths;
pub mod protocol;
pub mod rules;
pub mod server;
pub mod spawn;
pub mod store;

pub use client::Client;
pub use interchange::Document;
pub use keys::{Cost, Format, Key, Password, Signing};
pub use protocol::{Hello, Sight};
pub use rules::{NotSafe, Rule};
pub use spawn::{Signer, signer_program};
pub use store::permit::Permit;

/// Exit code of a wrong configuration: keystore, password, paths.
pub const EXIT_CONFIG: u8 = 78;
/// Exit code of "not safe to run": a person must look first. Listed in `RestartPreventExitStatus=`.
pub const EXIT_UNSAFE: u8 = 79;
