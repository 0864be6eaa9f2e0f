//! Encoder sessions and cards in a simulation: the broker and the placement as they are, over a driver, engines and processors
//! that are models. What it shows is how they behave at modelled speed; no card was there.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod model;
mod random;
mod scenarios;
mod world;
