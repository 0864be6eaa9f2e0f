//! What parent and worker say to each other of encoder sessions. Numbers of sessions and leases are the parent's, those of asks
//! the worker's.

use serde::{Deserialize, Serialize};

use super::super::ipc::Request;
use crate::sessions::{End, Refusal, Spec, Step};

/// What the parent says to a worker that has a card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToCard {
    /// As to any worker.
    Work(Request),
    /// Of sessions.
    Session(Order),
}

/// What the parent wants of sessions, and its answers to asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Open a session of the driver.
    Open {
        /// Its number from now on.
        session: u64,
    },
    /// Close it.
    Close {
        /// Which.
        session: u64,
    },
    /// It may be used for this ask, until it is released.
    Grant {
        /// For whom.
        ask: u32,
        /// This use.
        lease: u64,
        /// What.
        session: u64,
        /// How to begin.
        step: Step,
    },
    /// No session will come: the processors are to make the rung.
    Overflow {
        /// Whose.
        ask: u32,
        /// Why, for the log.
        why: String,
    },
    /// The ask is over.
    Gone {
        /// Which.
        ask: u32,
    },
    /// Give the session up.
    Stop {
        /// Which use.
        lease: u64,
    },
}

/// What a worker says of sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case", deny_unknown_fields)]
pub enum Word {
    /// A session is there as ordered.
    Opened {
        /// Which.
        session: u64,
    },
    /// It is not.
    Refused {
        /// Which.
        session: u64,
        /// Why.
        why: Refusal,
    },
    /// It is closed as ordered.
    Closed {
        /// Which.
        session: u64,
    },
    /// A rung waits for a session.
    Ask {
        /// Never given twice.
        ask: u32,
        /// What is to be made.
        spec: Spec,
        /// Luma samples of all pictures.
        samples: f64,
        /// It is of no use after that, milliseconds.
        within_ms: u64,
    },
    /// It does not wait any more.
    Cancel {
        /// Which.
        ask: u32,
    },
    /// A session is given back, or is no more.
    Released {
        /// Which use.
        lease: u64,
        /// How it went.
        end: End,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::budget::Limits;
    use crate::ladder::{Codec, Ladder, Preset};

    #[test]
    fn both_kinds_of_message_are_told_apart() {
        let spec =
            Spec { codec: Codec::H264, ten_bit: false, bframes: 0, preset: Preset::Live, width: 640, height: 360 };
        let order = Order::Grant { ask: 1, lease: 2, session: 3, step: Step::Begin(spec.class()) };
        let text = serde_json::to_string(&ToCard::Session(order.clone())).unwrap();
        assert!(matches!(serde_json::from_str(&text).unwrap(), ToCard::Session(same) if same == order));
        let work =
            Request::Transcode { id: 7, ladder: Ladder::standard(), paces: vec![], limits: Limits::default(), len: 6 };
        let text = serde_json::to_string(&work).unwrap();
        assert!(matches!(serde_json::from_str(&text).unwrap(), ToCard::Work(Request::Transcode { id: 7, .. })));
        assert!(serde_json::from_str::<ToCard>("{}").is_err());
    }
}
