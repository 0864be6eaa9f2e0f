//! What the guard promises, through its public interface and through the real signer.
#![allow(clippy::unwrap_used)]

mod cases;
mod disk;
mod eip2335;
mod hostile;
mod keys;
mod owner;
mod process;
mod race;
mod random;
mod remote;
mod rules;
mod sql;
mod support;
mod unsafe_exit;
mod upgrade;
mod vectors;
