//! Encoder sessions, shared: few of them serve many streams.
//!
//! A driver lets all consumer cards of a system together have a small number of encoder sessions (2, 3, 5 and 8 over the
//! years), and counts those of every process. A ladder of four rungs that holds one for each rung is a quarter of that, while a
//! chip encodes ten to twenty times faster than pictures are shown. So a session is leased for **one segment of one rung** and
//! then passed on, across streams and worker processes, the earliest deadline first.
//!
//! One process has each card, so whoever supervises them keeps the sessions: the [`Broker`], a pure state machine. Events and
//! the time go in, effects come out; it has no clock, no thread and no I/O. [`Desk`] runs it on a thread. Costs come from
//! [`crate::placement`], and what leases took goes back there ([`Effect::Spent`]).
//!
//! # A session
//!
//! ```text
//!            Open            Opened             Grant
//! (none) ───────────> opening ──────> free ───────────────> leased
//!    ^                   │             │ ^                    │ │
//!    ├── OpenFailed ─────┘             │ └─ Released(Done, Stopped, ReconfigureRefused)
//!    ├── Closed ────── closing <───────┘                      │
//!    └── Released(Refused, Broken) ──── WorkerLost, from anywhere
//! ```
//!
//! What was made of a session decides how a lease begins ([`Step`]): made for the first time, reconfigured where its
//! [`Class`] holds the rung, made anew where none does. A driver that refuses to reconfigure a class is remembered by its
//! version; the rung goes on at once with the session made anew.
//!
//! # A rung
//!
//! An [`Ask`] waits on the card where its pictures are, and ends in one of three ways: with a lease that the worker reports
//! done, with [`Effect::Overflow`], or with [`Effect::Gone`] (cancelled, past its deadline, or its worker is gone).
//! Waiting rungs of a card are in the order of their deadlines. After every event it is worked out when each would be done
//! (`forecast`): who would be late is sent away at once, while the CPU engine still has time for it. A new rung for which it
//! has none is taken only if it would be in time even were no session set up beside the work of another. A new rung goes before
//! one that was taken; a rung that the CPU engine can make in time goes before one that it cannot. A second session for an
//! engine that is at work begins only where it makes nobody late. Nobody waits past their deadline, so nobody starves.
//!
//! Whoever asks must hold no lease while it waits for another, or two workers could wait for each other until both are late:
//! the pictures of waiting rungs stay in the card's memory, which placement counts.
//!
//! # The cap
//!
//! It is learned by opening until the driver refuses, one after the other, at the start and when the driver's version is
//! another; no table is consulted. Refused below what was believed, the number falls to what is held: another program came.
//! One more is tried after a second, two, four, up to a minute, while more are wanted; each that comes up is followed by the
//! next at once. Never are more open than is believed possible. Every card has one where that is possible, before any has two
//! for each engine; what a card has too many goes where rungs wait. Unused sessions are closed after a minute, but for one a card.
//! Professional cards, which the driver does not limit, are not counted ([`CardUp::counted`]).
//!
//! # What degrades
//!
//! | trouble | what happens |
//! | --- | --- |
//! | the cap falls, another program takes sessions | fewer leases at a time; what cannot be in time overflows; tried again, and back within a minute of sessions being free |
//! | fewer sessions than cards | a card without one overflows all its rungs, until placement has moved its streams |
//! | reconfigure refused | each lease takes some tens of milliseconds longer; while a session is made anew another program can take its place |
//! | a session breaks | its rung is tried on two more, then overflows |
//! | no memory on the card, a fault while opening | nothing more is opened there for 30 s; the cap is not concerned |
//! | a worker dies | its leases and rungs are gone, to be made elsewhere; its sessions are free again |
//! | a lease is not given back | stopped at its deadline; two seconds later its worker is to be ended |
//! | a call of the driver hangs | after five seconds its worker is to be ended |
//! | too many wait | new rungs overflow |
//! | more work than the engines do | what is too much overflows, the engines stay busy |
//!
//! Everything is bounded: cards, sessions (two for each engine), waiting rungs, refused classes.

mod broker;
mod cap;
mod class;
mod desk;
mod event;
mod forecast;
mod settle;
#[cfg(test)]
mod tests;

pub use broker::{Broker, Config, Stats};
pub use class::{Class, Spec};
pub use desk::Desk;
pub use event::{Ask, AskId, CardUp, Effect, End, Event, LeaseId, Overflow, Refusal, SessionId, Step, WorkerId};
