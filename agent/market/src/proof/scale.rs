//! A committed picture is not what the scaler makes of the committed source: `ScaleStep`.

use super::abi::{Answer, Block, ScaleEvidence};
use super::answer::{Curve, parent, statement};
use super::{Accusation, openings};
use crate::commit::shape::TILE;
use crate::commit::{Chroma, Picture, Pictures};
use alloy_sol_types::SolValue;

/// Samples to a side of the largest block that is looked at in one call.
pub const MAX_BLOCK: usize = 8;

/// Wrong samples of a picture among which the cheapest to show is looked for.
const MOST_COMPARED: usize = 4096;

/// An answer, and the pictures behind it as the operator published them.
#[derive(Clone, Copy, Debug)]
pub struct Scaling<'a> {
    /// What the operator is bound to.
    pub answer: &'a Answer,
    /// The decoded source.
    pub source: &'a Pictures,
    /// The scaled pictures of each rung, in the answer's order.
    pub scaled: &'a [Pictures],
}

impl Scaling<'_> {
    /// Compares the rung's pictures with the right ones and accuses the first that has another shape or a wrong sample.
    ///
    /// One sample is enough. Of the wrong ones it takes one whose weights reach into few tiles, because the bytes of the
    /// tiles are most of the cost.
    pub fn accuse(&self, rung: usize, right: &[Picture]) -> Option<Accusation> {
        let (committed, ordered) = (self.scaled.get(rung)?, self.answer.rungs.get(rung)?);
        for (index, (have, want)) in committed.iter().zip(right).enumerate() {
            let shape = (have.size(), have.chroma(), have.bits());
            if shape != ((ordered.width, ordered.height), Chroma::Yuv420, 8) {
                return self.accusation(&self.shape(rung, index)?);
            }
            let wrong = differences(have, want).take(MOST_COMPARED).filter_map(|place| {
                let (from, number, _) = self.origin(rung, have.time())?;
                Some((tiles(Curve::of(self.answer.filter)?, from.picture(number)?, have, &place)?.len(), place))
            });
            if let Some((_, place)) = wrong.min_by_key(|(tiles, _)| *tiles) {
                return self.accusation(&self.evidence(rung, index, place)?);
            }
        }
        None
    }

    /// The call that looks at a block of a rung's picture number `index`, whatever it shows. `None` where the block is
    /// not in one tile, or the picture has no source.
    pub fn look(&self, rung: usize, index: usize, place: Block) -> Option<Accusation> {
        self.accusation(&self.evidence(rung, index, place)?)
    }

    fn accusation(&self, evidence: &ScaleEvidence) -> Option<Accusation> {
        Some(Accusation { statement: statement(self.answer), evidence: evidence.abi_encode().into() })
    }

    /// Evidence of a wrong shape needs no more than the picture itself.
    fn shape(&self, rung: usize, index: usize) -> Option<ScaleEvidence> {
        let output = openings::frame(self.scaled.get(rung)?, index)?;
        Some(ScaleEvidence {
            answer: self.answer.clone(),
            rung: u8::try_from(rung).ok()?,
            output,
            ..Default::default()
        })
    }

    fn evidence(&self, rung: usize, index: usize, place: Block) -> Option<ScaleEvidence> {
        let mut evidence = self.shape(rung, index)?;
        let output = self.scaled.get(rung)?;
        let to = output.picture(index)?;
        let (from, number, current) = self.origin(rung, to.time())?;
        evidence.source = openings::frame(self.source, current)?;
        if self.source.picture(current)?.time() != to.time() && current + 1 < self.source.count() as usize {
            evidence.next = vec![openings::frame(self.source, current + 1)?];
        }
        if !std::ptr::eq(from, self.source) {
            evidence.parent = vec![openings::frame(from, number)?];
        }
        let (plane, corner) = (usize::from(place.plane), (place.x as usize, place.y as usize));
        evidence.outputTile = openings::tile(output, index, plane, corner.0 / TILE, corner.1 / TILE)?;
        let filter = Curve::of(self.answer.filter)?;
        for (column, row) in tiles(filter, from.picture(number)?, to, &place)? {
            evidence.tiles.push(openings::tile(from, number, plane, column, row)?);
        }
        evidence.place = place;
        Some(evidence)
    }

    /// What a rung's picture of this time is made from: the pictures, the number of the one among them, and the number of
    /// the source picture shown at that time, the last that begins no later.
    fn origin(&self, rung: usize, time: i64) -> Option<(&Pictures, usize, usize)> {
        let current = self.source.iter().rposition(|picture| picture.time() <= time)?;
        match parent(self.answer, rung, self.source.picture(current)?.size()) {
            None => Some((self.source, current, current)),
            Some(parent) => {
                let from = self.scaled.get(parent)?;
                Some((from, from.iter().position(|picture| picture.time() == time)?, current))
            }
        }
    }
}

/// Which block the evidence of an accusation is about, or `None` for bytes that are no evidence.
pub fn place(evidence: &[u8]) -> Option<Block> {
    ScaleEvidence::abi_decode_validate(evidence).ok().map(|evidence| evidence.place)
}

/// A block of one sample.
fn sample(plane: usize, x: usize, y: usize) -> Option<Block> {
    let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
    Some(Block { plane: u8::try_from(plane).ok()?, x, y, width: 1, height: 1 })
}

/// The samples in which two pictures of one shape differ.
fn differences(a: &Picture, b: &Picture) -> impl Iterator<Item = Block> {
    (0..a.planes()).flat_map(move |plane| {
        let (width, _) = a.extent(plane);
        let pairs = a.plane(plane).iter().zip(b.plane(plane)).enumerate();
        pairs.filter(|(_, (a, b))| a != b).filter_map(move |(at, _)| sample(plane, at % width, at / width))
    })
}

/// Columns and rows of the tiles of `from` that the scaler looks at for a block of `to`, row after row.
fn tiles(filter: Curve, from: &Picture, to: &Picture, place: &Block) -> Option<Vec<(usize, usize)>> {
    let plane = usize::from(place.plane);
    if plane >= from.planes() {
        return Some(Vec::new());
    }
    let chroma = plane > 0;
    let (across, down) = match from.chroma() {
        _ if !chroma => (Siting::Full, Siting::Full),
        Chroma::Yuv444 => (Siting::Full, Siting::Full),
        Chroma::Yuv422 => (Siting::Left, Siting::Full),
        Chroma::Yuv420 | Chroma::Grey => (Siting::Left, Siting::Centre),
    };
    let to_siting = if chroma { (Siting::Left, Siting::Centre) } else { (Siting::Full, Siting::Full) };
    let (width, height) = from.extent(plane);
    let side = |src: (u32, Siting), dst: (u32, Siting), first: u32, count: u32, samples: usize| {
        let last = first.checked_add(count.checked_sub(1)?)?;
        let (low, _) = reach(filter, src, dst, first)?;
        let (high, taps) = reach(filter, src, dst, last)?;
        let clamp = |at: i64| usize::try_from(at.max(0)).ok().map(|at| at.min(samples - 1) / TILE);
        Some(clamp(low)?..=clamp(high + taps - 1)?)
    };
    let columns = side((from.size().0, across), (to.size().0, to_siting.0), place.x, place.width, width)?;
    let rows = side((from.size().1, down), (to.size().1, to_siting.1), place.y, place.height, height)?;
    Some(rows.flat_map(|row| columns.clone().map(move |column| (column, row))).collect())
}

/// Where samples of a plane lie along one axis.
#[derive(Clone, Copy)]
enum Siting {
    Full,
    Centre,
    Left,
}

impl Siting {
    /// Distance of two samples and that of the first from the picture's edge, in half luma samples.
    fn grid(self) -> (i64, i64) {
        match self {
            Self::Full => (2, 1),
            Self::Centre => (4, 2),
            Self::Left => (4, 1),
        }
    }
}

/// The first source sample that the scaler looks at for output sample `i`, before clamping, and how many.
fn reach(filter: Curve, src: (u32, Siting), dst: (u32, Siting), i: u32) -> Option<(i64, i64)> {
    let ((step_from, edge_from), (step_to, edge_to)) = (src.1.grid(), dst.1.grid());
    let (src, dst, i) = (i64::from(src.0), i64::from(dst.0), i64::from(i));
    let unit = step_from * dst;
    let reach = unit.max(step_to * src);
    let radius = match filter {
        Curve::CatmullRom => 2,
        Curve::Lanczos3 => 3,
    };
    let taps = (2 * radius * reach + unit - 1).checked_div(unit)?;
    let at = (step_to * i + edge_to) * src - edge_from * dst;
    Some(((at - radius * reach).div_euclid(unit) + 1, taps + taps % 2))
}
