//! The headers of a rendition, H.264 in a transport stream, are not what was ordered: `HeaderStep`.
//!
//! The step sees one chunk of 4 KiB, or two neighbours. What is read here is read as the contract reads it, so that what is
//! accused is what the contract convicts.

mod avc;
mod transport;

use super::abi::{ChunkOpening, HeaderEvidence, Ordered};
use super::{Accusation, openings};
use crate::commit::ByteTree;
use crate::commit::bytes::CHUNK;
use alloy_primitives::keccak256;
use alloy_sol_types::SolValue;
use transport::PACKET;

/// What the evidence shows, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How long the rendition is.
    Length,
    /// How a packet begins.
    Sync,
    /// The sequence parameter sets of the picture that begins in a packet.
    Sequence,
    /// The first picture.
    First,
}

/// A rendition and what it is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Rendition<'a> {
    /// What its headers have to say.
    pub ordered: &'a Ordered,
    /// All of it.
    pub bytes: &'a [u8],
    /// The tree over it.
    pub tree: &'a ByteTree,
}

impl Rendition<'_> {
    /// Accuses the first thing wrong: the length, the packets, the first picture, a later parameter set. What does not
    /// show within two chunks is not found.
    pub fn accuse(&self) -> Option<Accusation> {
        if self.bytes.is_empty() || !self.bytes.len().is_multiple_of(PACKET) {
            return self.look(Kind::Length, 0, 0, 0);
        }
        let packets = self.bytes.len() / PACKET;
        if let Some(bad) = (0..packets).find(|packet| self.bytes.get(packet * PACKET) != Some(&transport::SYNC)) {
            return self.look(Kind::Sync, bad, bad * PACKET / CHUNK, 1);
        }
        let chunks = [1, 2];
        let first = chunks.iter().find(|count| self.judge(Kind::First, 0, 0, **count) == Some(true));
        if let Some(count) = first {
            return self.look(Kind::First, 0, 0, *count);
        }
        (0..packets).find_map(|packet| {
            let chunk = packet * PACKET / CHUNK;
            let count = chunks.iter().find(|count| self.judge(Kind::Sequence, packet, chunk, **count) == Some(true))?;
            self.look(Kind::Sequence, packet, chunk, *count)
        })
    }

    /// The call that looks at something, whatever it shows: packet number `packet` in `count` chunks from `chunk` on.
    pub fn look(&self, kind: Kind, packet: usize, chunk: usize, count: usize) -> Option<Accusation> {
        let open = |index| {
            let data = self.bytes.chunks(CHUNK).nth(index)?;
            Some(ChunkOpening { data: data.to_vec().into(), path: openings::words(self.tree.path(index)) })
        };
        let evidence = HeaderEvidence {
            ordered: *self.ordered,
            kind: kind as u8,
            length: self.tree.length(),
            top: self.tree.top().into(),
            chunk: u32::try_from(chunk).ok()?,
            packet: u32::try_from(packet).ok()?,
            chunks: (chunk..chunk.checked_add(count)?).map(open).collect::<Option<_>>()?,
        };
        let statement = keccak256(self.ordered.abi_encode());
        Some(Accusation { statement, evidence: evidence.abi_encode().into() })
    }

    /// Whether these chunks show something wrong. `None` where they do not show enough.
    fn judge(&self, kind: Kind, packet: usize, chunk: usize, count: usize) -> Option<bool> {
        let begin = chunk.checked_mul(CHUNK)?;
        let end =
            (begin + (count - 1) * CHUNK < self.bytes.len()).then(|| (begin + count * CHUNK).min(self.bytes.len()));
        let piece = self.bytes.get(begin..end?)?;
        match kind {
            Kind::Sequence => {
                let pos = transport::locate(piece, begin, packet)?;
                if !transport::begins_video(piece, pos)? {
                    return None;
                }
                self.wrong_sequence(&transport::unit(piece, pos)?)
            }
            Kind::First => {
                let mut packet = 0;
                while !transport::begins_video(piece, transport::locate(piece, begin, packet)?)? {
                    packet += 1;
                }
                wrong_first(&transport::unit(piece, transport::locate(piece, begin, packet)?)?)
            }
            Kind::Length | Kind::Sync => None,
        }
    }

    fn wrong_sequence(&self, stream: &[u8]) -> Option<bool> {
        let end = avc::first_slice(stream).unwrap_or(usize::MAX);
        let mut any = false;
        for unit in avc::units(stream).filter(|unit| *unit < end && avc::kind(stream, *unit) == avc::SEQUENCE) {
            any = true;
            let found = avc::sequence(stream, unit)?;
            let profile = self.ordered.profiles.bit(usize::from(found.profile));
            let right = profile && found.level <= self.ordered.level && found.chroma == 1 && found.depth == 8;
            if !right || found.size != (u64::from(self.ordered.width), u64::from(self.ordered.height)) {
                return Some(true);
            }
        }
        any.then_some(false)
    }
}

/// Whether the first slice is not of an IDR picture, or names parameter sets that do not come before it.
fn wrong_first(stream: &[u8]) -> Option<bool> {
    let slice = avc::first_slice(stream)?;
    if avc::kind(stream, slice) != avc::IDR {
        return Some(true);
    }
    let mut bits = avc::Bits::of(stream, slice, avc::BEGIN);
    bits.golomb()?; // first macroblock
    bits.golomb()?; // kind of slice
    let id = bits.golomb()?;
    let Some(picture) = avc::parameters(stream, avc::PICTURE, id, slice)? else { return Some(true) };
    let mut bits = avc::Bits::of(stream, picture, avc::BEGIN);
    bits.golomb()?; // its own number
    let id = bits.golomb()?;
    Some(avc::parameters(stream, avc::SEQUENCE, id, slice)?.is_none())
}
