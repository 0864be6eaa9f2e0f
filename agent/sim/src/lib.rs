//! The rig's control plane in simulated time. One seed decides everything that happens, and happens the same way again.
//!
//! Real inside: the market's machines, the guard with its database, the outbox with its database, the watcher and the comparison
//! of providers. The chain runs on the model that the contracts' own tests hold the Solidity against. Providers, clients, disk
//! failures and the worker are made of chance. `docs/simulator.md` says what is modelled and how far that goes.
//!
//! [`run`] is one run; [`checker`] says what must never happen in it, and knows none of the rules that prevent it.

#![forbid(unsafe_code)]

mod abi;
mod chain;
pub mod checker;
mod clients;
mod dice;
mod provider;
mod report;
mod rig;
mod run;
mod scenario;
mod signer;
mod trace;
mod world;

pub use checker::Violation;
pub use report::Summary;
pub use run::{Outcome, Plan, run};
pub use scenario::{Broken, Focus, Length};
