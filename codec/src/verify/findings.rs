//! What was measured on one rendition: integers only, nothing judged yet.

use headframe_kernels::{Yuv420Ref, metric};
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::pixels::{Pyramid, Slide, TILE, Tile, slides, tiles};

/// The same measure on the rendition and on the reference encode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Both {
    /// Of the rendition.
    pub rendition: u64,
    /// Of the reference encode.
    pub reference: u64,
}

impl Both {
    /// Each added to its own.
    pub fn add(&mut self, other: Self) {
        self.rendition += other.rendition;
        self.reference += other.reference;
    }
}

/// Details at one scale: sums of squares and products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Ordered picture by itself.
    pub ordered: i64,
    /// Rendition by itself.
    pub rendition: i64,
    /// Rendition by ordered picture.
    pub rendition_ordered: i64,
    /// Reference by itself.
    pub reference: i64,
    /// Reference by ordered picture.
    pub reference_ordered: i64,
}

/// The tile that stands out most from its surroundings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstTile {
    /// In rows from the top left.
    pub index: u32,
    /// Samples.
    pub samples: u64,
    /// The rendition's squared error.
    pub error: u64,
    /// The largest error of the reference in this tile or a neighbour, for as many samples.
    pub near: u64,
    /// The reference's mean error over the picture, for as many samples.
    pub mean: u64,
}

/// How a picture relates to its neighbours in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Squared difference of the ordered picture and the one before.
    pub change: u64,
    /// Squared error against the ordered picture before this one.
    pub back: Both,
    /// Squared error of the picture before this one against this ordered picture.
    pub ahead: Both,
    /// Squared difference of the picture and the one before, as decoded.
    pub own: Both,
}

/// What was measured on one picture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameFindings {
    /// Squared error of luma.
    pub luma: Both,
    /// Squared error of both chroma planes.
    pub chroma: Both,
    /// Squared error of tile means, luma.
    pub luma_means: Both,
    /// Squared error of tile means, chroma.
    pub chroma_means: Both,
    /// Fine and coarse details of luma.
    pub levels: [Level; 2],
    /// Displacement of the rendition: left, right, upper, lower half.
    pub slides: [Slide; 4],
    /// Displacement of the reference encode.
    pub reference_slides: [Slide; 4],
    /// Compared with the picture before; all zero for the first.
    pub step: Step,
    /// Mean squared quantiser step, times 1024.
    pub squared_step: Both,
    /// Of luma.
    pub luma_tile: WorstTile,
    /// Of both chroma planes.
    pub chroma_tile: WorstTile,
}

/// All that was measured on a rendition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// What is wrong with its form; what follows is as far as it came.
    pub fault: Option<Fault>,
    /// Why it cannot be judged.
    pub abstain: Option<String>,
    /// Pictures ordered, as far as they were looked at.
    pub ordered: u32,
    /// Bytes delivered.
    pub bytes: u64,
    /// Most bytes allowed.
    pub bytes_limit: u64,
    /// How far the first picture's time is off, ticks.
    pub shift: i64,
    /// Bytes of slices.
    pub slice_bytes: Both,
    /// Most bytes of slices allowed.
    pub slice_bytes_limit: u64,
    /// Picture by picture.
    pub frames: Vec<FrameFindings>,
}

/// One picture of the three kinds, with what is needed of it more than once.
pub(super) struct Trio<'a> {
    pub(super) ordered: &'a Yuv420Ref<'a>,
    pub(super) rendition: &'a Yuv420Ref<'a>,
    pub(super) reference: &'a Yuv420Ref<'a>,
}

/// Details of the pictures that all candidates share.
pub(super) struct Shared {
    ordered: Pyramid,
    reference: Pyramid,
    reference_slides: [Slide; 4],
}

impl Shared {
    pub(super) fn of(ordered: &Yuv420Ref<'_>, reference: &Yuv420Ref<'_>) -> Self {
        let (ordered, reference) = (&ordered.planes()[0], &reference.planes()[0]);
        Self {
            ordered: Pyramid::of(ordered),
            reference: Pyramid::of(reference),
            reference_slides: slides(ordered, reference),
        }
    }
}

impl FrameFindings {
    /// Measures `now`; `before` is the picture before it.
    pub(super) fn of(now: &Trio<'_>, before: Option<&Trio<'_>>, shared: &Shared) -> Self {
        let mut found = Self { reference_slides: shared.reference_slides, ..Self::default() };
        for plane in 0..3 {
            let side = if plane == 0 { TILE } else { TILE / 2 };
            let [s, r, e] = [now.ordered, now.rendition, now.reference].map(|picture| &picture.planes()[plane]);
            let (own, yardstick) = (tiles(r, s, side), tiles(e, s, side));
            let sum = |of: fn(&Tile) -> u64| Both {
                rendition: own.iter().map(of).sum(),
                reference: yardstick.iter().map(of).sum(),
            };
            let across = s.width().div_ceil(side);
            let worst = worst(&own, &yardstick, across);
            let (errors, means, tile) = match plane {
                0 => (&mut found.luma, &mut found.luma_means, &mut found.luma_tile),
                _ => (&mut found.chroma, &mut found.chroma_means, &mut found.chroma_tile),
            };
            errors.add(sum(|tile| tile.error));
            means.add(sum(Tile::mean_error));
            if plane < 2 || worst.stands_out_more(tile) {
                *tile = worst;
            }
        }
        let [s, r, e] = [now.ordered, now.rendition, now.reference].map(|picture| &picture.planes()[0]);
        found.slides = slides(s, r);
        let pyramid = Pyramid::of(r);
        for (i, level) in found.levels.iter_mut().enumerate() {
            let (s, r, e) = (&shared.ordered.levels[i], &pyramid.levels[i], &shared.reference.levels[i]);
            *level = Level {
                ordered: s.dot(s),
                rendition: r.dot(r),
                rendition_ordered: r.dot(s),
                reference: e.dot(e),
                reference_ordered: e.dot(s),
            };
        }
        if let Some(before) = before {
            let [s0, r0, e0] = [before.ordered, before.rendition, before.reference].map(|p| &p.planes()[0]);
            let error = |a, b| metric::squared_error(a, b).expect("all pictures have the size ordered");
            found.step = Step {
                change: error(s, s0),
                back: Both { rendition: error(r, s0), reference: error(e, s0) },
                ahead: Both { rendition: error(r0, s), reference: error(e0, s) },
                own: Both { rendition: error(r, r0), reference: error(e, e0) },
            };
        }
        found
    }
}

impl WorstTile {
    /// Error over what surrounds it, as a fraction; four per sample keep near-perfect encodes from counting.
    fn ratio(&self) -> (u128, u128) {
        (u128::from(self.error), u128::from(self.near + self.mean + 4 * self.samples))
    }

    fn stands_out_more(&self, than: &Self) -> bool {
        let ((a, b), (c, d)) = (self.ratio(), than.ratio());
        d == 0 || a * d > c * b
    }
}

fn worst(own: &[Tile], yardstick: &[Tile], across: usize) -> WorstTile {
    let total: u64 = yardstick.iter().map(|tile| tile.error).sum();
    let samples: u64 = yardstick.iter().map(|tile| tile.n).sum();
    let mut worst = WorstTile::default();
    for (i, tile) in own.iter().enumerate() {
        let (x, y) = (i % across, i / across);
        let rows = y.saturating_sub(1)..(y + 2).min(own.len() / across);
        let near = rows.flat_map(|row| {
            let columns = x.saturating_sub(1)..(x + 2).min(across);
            columns.map(move |column| &yardstick[row * across + column])
        });
        let near = near.map(|other| other.error * tile.n / other.n.max(1)).max().unwrap_or(0);
        let mean = total * tile.n / samples.max(1);
        let found = WorstTile { index: i as u32, samples: tile.n, error: tile.error, near, mean };
        if found.stands_out_more(&worst) {
            worst = found;
        }
    }
    worst
}
