//! Disputes about committed pictures: what an operator opens of its tree, and which child a challenger names.
//!
//! The rules are in `contracts/src/interfaces/IDisputeGame.sol`, the course of a game in `docs/protocol.md`. Both sides need no
//! more than the hashes of all frames, as the operator committed to them and as they should be; who computes them is not
//! known here, nor is any clock: times are seconds of the chain.

mod board;
mod play;

pub use board::{Board, MAX_PICTURES};
pub use play::{Choice, Mismatch, Opening, choose, open};

use crate::units::ClaimId;
use alloy_primitives::{Address, B256, U256, keccak256};

/// What is disputed of a drawn segment's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Pictures of the source.
    Source = 0,
    /// Those that the scaler makes for a rung.
    Scaled = 1,
    /// Those that a rung's rendition decodes to.
    Decoded = 2,
    /// A rung's tree of errors, which is not bisected.
    Errors = 3,
}

/// What a game is about. Its number on the chain says all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The claim.
    pub claim: ClaimId,
    /// Who holds that it is wrong.
    pub challenger: Address,
    /// Which of the drawn segments, from 0.
    pub slot: u16,
    /// Which of its roots.
    pub what: What,
    /// Of which rendition; 0 for the source.
    pub rung: u8,
}

impl Subject {
    /// The number that the contract knows the game by.
    pub fn game(&self) -> U256 {
        let challenger = U256::from_be_slice(self.challenger.as_slice());
        U256::from(self.claim.0)
            | challenger << 64
            | U256::from(self.what as u8) << 224
            | U256::from(self.rung) << 232
            | U256::from(self.slot) << 240
    }
}

/// Who has to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It opens nodes.
    Operator = 0,
    /// It names children.
    Challenger = 1,
}

/// Where an open game stands, as `IDisputeGame.game` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The hash under dispute: at first the root, then nodes below it.
    pub node: B256,
    /// Pictures, as the operator says; 0 until it has.
    pub count: u32,
    /// Number of the first leaf below the node.
    pub first: u32,
    /// Levels below the node.
    pub level: u8,
    /// On turn.
    pub turn: Side,
}

impl Position {
    /// Of a game that was just opened.
    pub fn opened(root: B256) -> Self {
        Self { node: root, count: 0, first: 0, level: 0, turn: Side::Operator }
    }

    /// What the next move has to name, so that it can hit no other position.
    pub fn hash(&self, game: U256) -> B256 {
        const OPEN: u8 = 1;
        let numbers = [self.count, self.first, self.level.into(), OPEN.into(), self.turn as u32];
        let mut words = [B256::ZERO; 7];
        (words[0], words[1]) = (game.into(), self.node);
        for (word, number) in words[2..].iter_mut().zip(numbers) {
            *word = U256::from(number).into();
        }
        keccak256(words.concat())
    }
}

/// One side's clock. All in seconds of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// For all moves of the side together.
    pub whole: u32,
    /// Least for a move.
    pub floor: u32,
    /// Of the whole, by earlier moves.
    pub spent: u32,
}

impl Clock {
    /// The last second for a move, when the other side moved at `last_move`.
    pub fn until(&self, last_move: u64) -> u64 {
        last_move.saturating_add(self.whole.saturating_sub(self.spent).max(self.floor).into())
    }

    /// After a move at `now`.
    #[must_use]
    pub fn moved(self, last_move: u64, now: u64) -> Self {
        let took = u32::try_from(now.saturating_sub(last_move)).unwrap_or(u32::MAX);
        Self { spent: self.spent.saturating_add(took).min(self.whole), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_games_number_says_what_it_is_about() {
        let subject = Subject {
            claim: ClaimId(7 << 32 | 300),
            challenger: Address::repeat_byte(0xab),
            slot: 3,
            what: What::Decoded,
            rung: 1,
        };
        let want = "0x00030102abababababababababababababababababababab000000070000012c";
        assert_eq!(B256::from(subject.game()).to_string(), want);
    }

    #[test]
    fn clocks_never_grow_and_have_a_floor() {
        let clock = Clock { whole: 100, floor: 10, spent: 0 };
        assert_eq!(clock.until(1000), 1100);
        let clock = clock.moved(1000, 1060);
        assert_eq!((clock.spent, clock.until(2000)), (60, 2040));
        let clock = clock.moved(2000, 2035);
        assert_eq!((clock.spent, clock.until(3000)), (95, 3010));
        assert_eq!(clock.moved(3000, 3010).spent, 100);
        assert_eq!(clock.moved(3000, 2000), clock);
        assert_eq!(clock.moved(0, u64::MAX).until(u64::MAX), u64::MAX);
    }
}
