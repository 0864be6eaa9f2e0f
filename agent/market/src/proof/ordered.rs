//! What was answered, or what its headers say, is not what the profile orders: `ShapeStep` and `OrderedHeaderStep`.
//!
//! Both steps are given answer and profile whole; the chain knows them by their hashes.

use super::abi::{Answer, Ordered};
use super::header::{Kind, Rendition};
use super::{Accusation, answer};
use crate::commit::ByteTree;
use crate::profile::Profile;
use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::SolValue;

/// What an operator is bound to whose job has the profile of this hash and who gave the answer of that one.
pub fn statement(answer: B256, profile: B256) -> B256 {
    keccak256((answer, profile).abi_encode())
}

/// What in an answer is not as the profile has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another scaler.
    Curve,
    /// Small rungs are made from larger ones and should not be, or the other way.
    Cascade,
    /// Another number of rungs.
    Rungs,
    /// A rung of another size.
    Size,
    /// A rung that is held to other limits.
    Limits,
}

impl Fault {
    /// As the step names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curve => "wrong curve",
            Self::Cascade => "wrong cascade",
            Self::Rungs => "wrong rungs",
            Self::Size => "wrong size",
            Self::Limits => "wrong limits",
        }
    }
}

/// An answer and the profile of its job.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What the operator is bound to.
    pub answer: &'a Answer,
    /// What was ordered.
    pub profile: &'a Profile,
}

impl Order<'_> {
    /// The first fault of the answer's shape, in the order in which the step looks.
    pub fn fault(&self) -> Option<Fault> {
        let Self { answer, profile } = self;
        if answer.filter != profile.filter {
            return Some(Fault::Curve);
        }
        if answer.cascade != profile.cascade {
            return Some(Fault::Cascade);
        }
        if answer.rungs.len() != profile.rungs.len() {
            return Some(Fault::Rungs);
        }
        answer.rungs.iter().zip(&profile.rungs).find_map(|(given, ordered)| {
            if (given.width, given.height) != (ordered.width, ordered.height) {
                return Some(Fault::Size);
            }
            (given.limits != ordered.limits.hash()).then_some(Fault::Limits)
        })
    }

    /// Accuses an answer of another shape than was ordered.
    pub fn accuse(&self) -> Option<Accusation> {
        self.fault().map(|_| self.look())
    }

    /// The call that compares answer and profile, whatever it shows.
    pub fn look(&self) -> Accusation {
        // A tuple is encoded as a structure of its parts is.
        let evidence = (self.answer.clone(), self.profile.abi()).abi_encode();
        Accusation { statement: self.statement(), evidence: evidence.into() }
    }

    /// Accuses the first thing wrong with the headers of the rendition of `rung`. `None` also where these are not the bytes
    /// that the answer names: what the operator is not bound to convicts nobody.
    pub fn accuse_headers(&self, rung: usize, bytes: &[u8], tree: &ByteTree) -> Option<Accusation> {
        let ordered = self.headers(rung).filter(|ordered| ordered.content == B256::from(tree.root()))?;
        self.around(rung, &Rendition { ordered: &ordered, bytes, tree }.accuse()?)
    }

    /// The call that looks at something in the rendition of `rung`, whatever it shows: see [`Rendition::look`].
    pub fn look_at_headers(
        &self,
        rung: usize,
        (bytes, tree): (&[u8], &ByteTree),
        kind: Kind,
        packet: usize,
        (chunk, count): (usize, usize),
    ) -> Option<Accusation> {
        let ordered = self.headers(rung)?;
        self.around(rung, &Rendition { ordered: &ordered, bytes, tree }.look(kind, packet, chunk, count)?)
    }

    /// What the headers of a rung have to say. `None` where answer or profile has no such rung.
    pub fn headers(&self, rung: usize) -> Option<Ordered> {
        let (given, ordered) = (self.answer.rungs.get(rung)?, self.profile.abi().rungs.into_iter().nth(rung)?);
        Some(Ordered {
            content: given.content,
            profiles: ordered.profiles,
            level: ordered.level,
            width: ordered.width,
            height: ordered.height,
        })
    }

    /// Wraps evidence of `HeaderStep` for the step that knows the order.
    fn around(&self, rung: usize, headers: &Accusation) -> Option<Accusation> {
        let rung = U256::from(u8::try_from(rung).ok()?);
        let evidence = (self.answer.clone(), self.profile.abi(), rung, headers.evidence.clone()).abi_encode();
        Some(Accusation { statement: self.statement(), evidence: evidence.into() })
    }

    fn statement(&self) -> B256 {
        statement(answer::statement(self.answer), self.profile.id())
    }
}
