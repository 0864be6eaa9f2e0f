//! Committed errors are not those of the committed pictures, or larger than the order allows: `ErrorSumStep`.

use super::abi::{Answer, Counts, ErrorEvidence, FrameLimit, Limits, SegmentLimit, Tile, TileLimit};
use super::answer::statement;
use super::{Accusation, openings};
use crate::commit::errors::tile_errors;
use crate::commit::{Chroma, Errors, Pictures};
use alloy_sol_types::SolValue;

/// What the evidence shows, in the contract's order.
#[derive(Clone, Copy)]
enum Kind {
    Count,
    Tile,
    TileLimit,
    FrameLimit,
    SegmentLimit,
}

/// A rung of an answer, and what is behind it as the operator published it.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// What the operator is bound to.
    pub answer: &'a Answer,
    /// Which of its rungs.
    pub rung: usize,
    /// What the scaler made.
    pub scaled: &'a Pictures,
    /// What the rendition decodes to.
    pub decoded: &'a Pictures,
    /// The errors between the two.
    pub errors: &'a Errors,
    /// What the order allows.
    pub limits: &'a Limits,
}

impl Measured<'_> {
    /// Accuses the first thing wrong: numbers that differ, a decoded picture of another shape or time, a tile's error,
    /// then whatever is above a limit.
    pub fn accuse(&self) -> Option<Accusation> {
        let one = self.scaled.count() == self.decoded.count() && self.scaled.count() == self.errors.count();
        if !one {
            return self.counts();
        }
        self.first_wrong_tile().or_else(|| self.first_over())
    }

    /// The call that compares the numbers of pictures and errors.
    pub fn counts(&self) -> Option<Accusation> {
        let detail = Counts {
            scaledCount: self.scaled.count(),
            scaledTop: self.scaled.top().into(),
            decodedCount: self.decoded.count(),
            decodedTop: self.decoded.top().into(),
            errorCount: self.errors.count(),
            errorTop: openings::frame_sums(self.errors.top()),
        };
        self.accusation(Kind::Count, detail.abi_encode())
    }

    /// The call that computes the error of a tile again.
    pub fn tile(&self, frame: usize, plane: usize, column: usize, row: usize) -> Option<Accusation> {
        let across = self.scaled.picture(frame)?.tiles(plane).0;
        let detail = Tile {
            plane: u8::try_from(plane).ok()?,
            column: u32::try_from(column).ok()?,
            row: u32::try_from(row).ok()?,
            scaled: openings::frame(self.scaled, frame)?,
            decoded: openings::frame(self.decoded, frame)?,
            errors: openings::frame_errors(self.errors, frame)?,
            scaledTile: openings::tile(self.scaled, frame, plane, column, row)?,
            decodedTile: openings::tile(self.decoded, frame, plane, column, row)?,
            tile: openings::tile_error(self.errors, frame, plane, row * across + column)?,
        };
        self.accusation(Kind::Tile, detail.abi_encode())
    }

    /// The call that holds a tile's error to its limit.
    pub fn tile_limit(&self, frame: usize, plane: usize, column: usize, row: usize) -> Option<Accusation> {
        let across = self.scaled.picture(frame)?.tiles(plane).0;
        let detail = TileLimit {
            limits: *self.limits,
            plane: u8::try_from(plane).ok()?,
            column: u32::try_from(column).ok()?,
            row: u32::try_from(row).ok()?,
            errors: openings::frame_errors(self.errors, frame)?,
            tile: openings::tile_error(self.errors, frame, plane, row * across + column)?,
        };
        self.accusation(Kind::TileLimit, detail.abi_encode())
    }

    /// The call that holds a frame's errors to their limits.
    pub fn frame_limit(&self, frame: usize) -> Option<Accusation> {
        let detail = FrameLimit { limits: *self.limits, errors: openings::frame_errors(self.errors, frame)? };
        self.accusation(Kind::FrameLimit, detail.abi_encode())
    }

    /// The call that holds the segment's errors to their limits.
    pub fn segment_limit(&self) -> Option<Accusation> {
        let top = openings::frame_sums(self.errors.top());
        let detail = SegmentLimit { limits: *self.limits, count: self.errors.count(), top };
        self.accusation(Kind::SegmentLimit, detail.abi_encode())
    }

    fn first_wrong_tile(&self) -> Option<Accusation> {
        let ordered = self.answer.rungs.get(self.rung)?;
        for (frame, (scaled, decoded)) in self.scaled.iter().zip(self.decoded.iter()).enumerate() {
            let shape = (decoded.size(), decoded.chroma(), decoded.bits(), decoded.time());
            if shape != ((ordered.width, ordered.height), Chroma::Yuv420, 8, scaled.time()) {
                return self.shape(frame);
            }
            for plane in 0..scaled.planes() {
                let (across, _) = scaled.tiles(plane);
                let Some(right) = tile_errors(scaled, decoded, plane) else { continue };
                let committed = self.errors.frame(frame)?;
                let wrong = (0..right.len()).find(|tile| committed.tile(plane, *tile) != Some(right[*tile]));
                if let Some(tile) = wrong {
                    return self.tile(frame, plane, tile % across, tile / across);
                }
            }
        }
        None
    }

    /// Evidence of a wrong shape needs no tiles.
    fn shape(&self, frame: usize) -> Option<Accusation> {
        let scaled = openings::frame(self.scaled, frame)?;
        let decoded = openings::frame(self.decoded, frame)?;
        self.accusation(Kind::Tile, Tile { scaled, decoded, ..Default::default() }.abi_encode())
    }

    fn first_over(&self) -> Option<Accusation> {
        let top = self.errors.top();
        if top.luma > self.limits.segmentLuma || top.chroma > self.limits.segmentChroma {
            return self.segment_limit();
        }
        for (frame, picture) in self.scaled.iter().enumerate() {
            let errors = self.errors.frame(frame)?;
            let node = errors.node();
            if node.luma > self.limits.frameLuma || node.chroma > self.limits.frameChroma {
                return self.frame_limit(frame);
            }
            for plane in 0..picture.planes() {
                let (across, down) = picture.tiles(plane);
                let limit = if plane == 0 { self.limits.tileLuma } else { self.limits.tileChroma };
                let over = (0..across * down).find(|tile| errors.tile(plane, *tile).is_some_and(|sum| sum > limit));
                if let Some(tile) = over {
                    return self.tile_limit(frame, plane, tile % across, tile / across);
                }
            }
        }
        None
    }

    fn accusation(&self, kind: Kind, detail: Vec<u8>) -> Option<Accusation> {
        let (answer, rung) = (self.answer.clone(), u8::try_from(self.rung).ok()?);
        let evidence = ErrorEvidence { answer, rung, kind: kind as u8, detail: detail.into() };
        Some(Accusation { statement: statement(self.answer), evidence: evidence.abi_encode().into() })
    }
}
