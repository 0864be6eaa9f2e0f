//! What the scaling kernels are told about a ladder: tiles, tables of weights, and how many blocks to launch. Pure
//! arithmetic, no GPU. Twin of `cu/plan.h`, which names the words that are written here.
//!
//! A ladder is a sequence of [`Stage`]s. The outputs that are made from one picture (the source, or an output that
//! [`crate::cascade`] makes others from) share a stage: its blocks load a tile of that picture each and make that tile of all of
//! them. What fits no tile, such as a reduction to a thirtieth, gets a stage of the direct kernel.

use std::cmp::Reverse;

use super::batch::MAX_SURFACES;
use crate::cascade::parents;
use crate::filter::{Axis, Filter};
use crate::scale::ScaleError;
use crate::source::{Depth, Format, Source};
use thiserror::Error;

/// Threads of a block, of every kernel.
pub const THREADS: u32 = 256;
/// Shared memory for a tile of the source.
pub const TILE_BYTES: usize = 12_288;
/// Shared memory for rows of 16-bit intermediate samples.
pub const MID_BYTES: usize = 8192;
/// Words of the parts of a plan, for the test that compares them with C's: axis, part, output, up to its parts, up to its
/// axes, span, tiles, up to their spans, plan, up to its tiles.
pub const WORDS: [usize; 10] = [AXIS, PART, OUTPUT, 2, 6, SPAN, TILES, 6, PLAN, 4];
const AXIS: usize = 4;
const PART: usize = 6;
const OUTPUT: usize = 6 + 4 * AXIS;
const SPAN: usize = 3;
const TILES: usize = 8;
const PLAN: usize = 4 + 2 * TILES;
/// Tiles begin at multiples of so many bytes, so that they are loaded by vectors.
const VECTOR: i32 = 16;
/// Their rows are multiples of so many, so that two items of eight columns always fit.
const ROW: i32 = 2 * VECTOR;
/// Sizes of tiles that are tried: bytes of a row, and rows, of the source or of the largest output.
const ACROSS: [u32; 11] = [512, 384, 256, 192, 160, 128, 96, 64, 48, 32, 16];
const DOWN: [u32; 12] = [128, 96, 80, 64, 48, 32, 24, 16, 8, 4, 2, 1];

/// How the chroma of outputs is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// U and V in planes of their own.
    Planar,
    /// U and V interleaved.
    Nv12,
}

impl Layout {
    /// The format of such pictures.
    pub fn format(self) -> Format {
        match self {
            Self::Planar => Format::Yuv420,
            Self::Nv12 => Format::Nv12,
        }
    }
}

/// A kernel that scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Tiles of an 8-bit picture.
    Tiles8,
    /// Tiles of a 10-bit picture.
    Tiles10,
    /// One sample a thread.
    Direct,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tiles8, Self::Tiles10, Self::Direct];

    /// Its name in the PTX and in the host build.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiles8 => "scale_tiles_8",
            Self::Tiles10 => "scale_tiles_10",
            Self::Direct => "scale_direct_any",
        }
    }
}

/// One launch for every batch of pictures.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What to launch.
    pub kernel: Kernel,
    /// Its plan, as it lies in device memory.
    pub words: Vec<u32>,
    /// Blocks for each picture.
    pub blocks: u32,
}

/// Why there is no plan for a ladder.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// A size that cannot be scaled.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// More outputs than a launch can name.
    #[error("{have} outputs; the GPU's kernels take at most {}", MAX_SURFACES - 1)]
    Outputs {
        /// Outputs ordered.
        have: usize,
    },
}

/// All stages of a ladder, in the order in which they must run. Surface 0 of a picture is the source, surface `i + 1`
/// is output `i`.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is read.
    pub source: Source,
    /// Luma width and height of the outputs.
    pub outputs: Vec<(u32, u32)>,
    /// How they store chroma.
    pub layout: Layout,
    /// Launches. Grey sources need, before these, outputs whose chroma is [`crate::reference::NEUTRAL`].
    pub stages: Vec<Stage>,
}

impl Plan {
    /// For pictures like `source` and outputs of these luma sizes, in any order.
    pub fn new(source: Source, outputs: &[(u32, u32)], filter: Filter, layout: Layout) -> Result<Self, PlanError> {
        Self::with_tiles(source, outputs, filter, layout, TILE_BYTES)
    }

    /// The same with tiles of at most so many bytes, where that is less than [`TILE_BYTES`]: the same pictures, slower.
    /// For tests, which thereby see many tiles in a small picture.
    pub fn with_tiles(
        source: Source,
        outputs: &[(u32, u32)],
        filter: Filter,
        layout: Layout,
        tile: usize,
    ) -> Result<Self, PlanError> {
        if outputs.len() >= MAX_SURFACES {
            return Err(PlanError::Outputs { have: outputs.len() });
        }
        let parents = parents((source.width, source.height), outputs);
        // Parents are larger than their children, so they are done when those are made.
        let mut from: Vec<Option<usize>> = parents.clone();
        from.sort_by_key(|from| from.map(|i| Reverse(u64::from(outputs[i].0) * u64::from(outputs[i].1))));
        from.dedup();
        let mut stages = Vec::new();
        for parent in from {
            let read = match parent {
                None => source,
                Some(i) => Source { width: outputs[i].0, height: outputs[i].1, format: layout.format() },
            };
            let made = (0..outputs.len()).filter(|i| parents[*i] == parent);
            let rungs = made.map(|i| Rung::new(i, read, outputs[i], filter)).collect::<Result<Vec<_>, _>>()?;
            let surface = parent.map_or(0, |i| i + 1);
            let group = Group { read, surface, surfaces: outputs.len() + 1, layout, tile: tile.min(TILE_BYTES) };
            group.stages(rungs, &mut stages);
        }
        Ok(Self { source, outputs: outputs.to_vec(), layout, stages })
    }
}

/// An output and its tables.
#[derive(Debug, Clone)]
struct Rung {
    output: usize,
    /// Luma, chroma; columns, rows. Grey has no tables for chroma.
    axes: [Option<[Axis; 2]>; 2],
}

impl Rung {
    fn new(output: usize, from: Source, to: (u32, u32), filter: Filter) -> Result<Self, ScaleError> {
        let luma = Some(from.axes(to, 0, filter)?);
        let chroma = if from.format.planes() > 1 { Some(from.axes(to, 1, filter)?) } else { None };
        Ok(Self { output, axes: [luma, chroma] })
    }

    fn taps(&self) -> usize {
        self.axes.iter().flatten().flatten().map(Axis::taps).max().unwrap_or(0)
    }
}

/// Everything that is made from one picture.
struct Group {
    read: Source,
    surface: usize,
    surfaces: usize,
    layout: Layout,
    /// Most bytes of a tile.
    tile: usize,
}

/// Where the tiles of one direction begin.
#[derive(Debug, Clone)]
struct Cut {
    tiles: usize,
    /// First byte or row, and how many.
    spans: Vec<(i32, i32)>,
}

impl Cut {
    /// Into so many tiles, for these tables, of samples of `unit` bytes, from multiples of `align.0` on, as long as multiples
    /// of `align.1`.
    fn new(axes: &[&Axis], tiles: usize, unit: i32, align: (i32, i32)) -> Self {
        let span = |tile: usize| {
            let looked_at = axes.iter().filter_map(|axis| {
                let (begin, end) = (split(axis.len(), tiles, tile), split(axis.len(), tiles, tile + 1));
                // Positions never go back.
                (begin < end).then(|| (axis.first(begin), axis.first(end - 1) + axis.taps() as i32))
            });
            let (low, high) = looked_at.fold((i32::MAX, i32::MIN), |(a, b), (low, high)| (a.min(low), b.max(high)));
            let low = (low * unit).div_euclid(align.0) * align.0;
            (low, (high * unit - low + align.1 - 1) / align.1 * align.1)
        };
        Self { tiles, spans: (0..tiles).map(span).collect() }
    }

    fn longest(&self) -> usize {
        self.spans.iter().map(|span| span.1).max().unwrap_or(0) as usize
    }

    /// As the kernel reads it.
    fn words(&self) -> Vec<u32> {
        let span = |span: &(i32, i32)| [span.0 as u32, span.1 as u32, reciprocal((span.1 / VECTOR).max(1) as usize)];
        self.spans.iter().flat_map(span).collect()
    }

    fn sum(&self) -> usize {
        self.spans.iter().map(|span| span.1 as usize).sum()
    }
}

/// What the kernels divide by `n` with.
fn reciprocal(n: usize) -> u32 {
    ((1u64 << 31) / n as u64 + 1) as u32
}

/// The first of `len` outputs in tile `tile` of `tiles`.
fn split(len: usize, tiles: usize, tile: usize) -> usize {
    len * tile / tiles
}

impl Group {
    fn bytes(&self) -> usize {
        self.read.format.depth().bytes()
    }

    /// Channels that share plane 0 or 1.
    fn step(&self, kind: usize) -> usize {
        if kind > 0 && self.read.format.is_interleaved() { 2 } else { 1 }
    }

    /// Adds the stages for `rungs`: tiles for as many as fit together, the others one by one.
    fn stages(&self, mut rungs: Vec<Rung>, stages: &mut Vec<Stage>) {
        rungs.sort_by_key(Rung::taps);
        while !rungs.is_empty() {
            if let Some(stage) = self.tiled(&rungs) {
                stages.push(stage);
                return;
            }
            // What reaches furthest is what did not fit.
            if let Some(rung) = rungs.pop() {
                stages.push(self.direct(&rung));
            }
        }
    }

    fn direct(&self, rung: &Rung) -> Stage {
        let kinds = rung.axes.iter().enumerate();
        let blocks = kinds.map(|(kind, axes)| {
            let [columns, rows] = axes.as_ref().map_or([0, 0], |axes| [axes[0].len() as u32, axes[1].len() as u32]);
            (columns * rows).div_ceil(THREADS) * if kind == 0 { 1 } else { 2 }
        });
        let blocks = blocks.sum();
        let words = self.words(std::slice::from_ref(rung), [None, None]);
        Stage { kernel: Kernel::Direct, words, blocks }
    }

    fn tiled(&self, rungs: &[Rung]) -> Option<Stage> {
        let luma = self.cuts(rungs, 0)?;
        let chroma = if rungs[0].axes[1].is_some() { Some(self.cuts(rungs, 1)?) } else { None };
        let tiles = |cuts: &[Cut; 2]| (cuts[0].tiles * cuts[1].tiles) as u32;
        let planes = if self.step(1) == 2 { 1 } else { 2 };
        let blocks = tiles(&luma) + chroma.as_ref().map_or(0, |cuts| planes * tiles(cuts));
        let kernel = if self.bytes() == 1 { Kernel::Tiles8 } else { Kernel::Tiles10 };
        Some(Stage { kernel, words: self.words(rungs, [Some(luma), chroma]), blocks })
    }

    /// The tiles of luma or chroma that load the fewest bytes, or `None` if none fit into shared memory.
    fn cuts(&self, rungs: &[Rung], kind: usize) -> Option<[Cut; 2]> {
        let axes = |direction: usize| -> Vec<&Axis> {
            rungs.iter().filter_map(|rung| rung.axes[kind].as_ref().map(|axes| &axes[direction])).collect()
        };
        let (columns, rows) = (axes(0), axes(1));
        let unit = self.bytes() * self.step(kind);
        let (row_bytes, height) = self.read.format.extent(kind, (self.read.width, self.read.height));
        let most = |axes: &[&Axis]| axes.iter().map(|axis| axis.len()).max().unwrap_or(1);
        let count =
            |samples: usize, outputs: usize, size: u32| samples.max(outputs).div_ceil(size as usize).clamp(1, outputs);
        let across = ACROSS.map(|size| {
            let outputs = most(&columns);
            Cut::new(&columns, count(row_bytes, outputs * unit, size).min(outputs), unit as i32, (VECTOR, ROW))
        });
        let down = DOWN.map(|size| Cut::new(&rows, count(height, most(&rows), size), 1, (2, 2)));
        let fits = |(across, down): &(&Cut, &Cut)| {
            across.longest() * down.longest() <= self.tile && across.longest() / self.bytes() * 8 * 2 <= MID_BYTES
        };
        let pairs = across.iter().flat_map(|across| down.iter().map(move |down| (across, down)));
        let best = pairs.filter(fits).min_by_key(|(across, down)| across.sum() * down.sum());
        best.map(|(across, down)| [across.clone(), down.clone()])
    }

    /// Which columns of the tiles an output looks at.
    fn parts(&self, axis: &Axis, cut: &Cut, kind: usize) -> Vec<u32> {
        let step = self.step(kind);
        let unit = (self.bytes() * step) as i32;
        let part = |(tile, span): (usize, &(i32, i32))| {
            let (begin, end) = (split(axis.len(), cut.tiles, tile), split(axis.len(), cut.tiles, tile + 1));
            if begin == end {
                return [begin as u32, 0, 0, 0, 0, 0];
            }
            let column = |sample: i32| (sample - span.0 / unit) as usize * step;
            // Weights begin at even samples, as tiles do.
            let (low, high) = (column(axis.first(begin) & !1), column(axis.first(end - 1)) + axis.taps() * step);
            let (group, behind) = (low / 8, high.div_ceil(8));
            let halves = (behind - group).div_ceil(2);
            // An odd number is made even, on the left where there is nothing on the right.
            let group = group.min(span.1 as usize / self.bytes() / 8 - 2 * halves);
            let width = end - begin;
            let [begin, count, group, both] = [begin, width, group, halves].map(|n| n as u32);
            [begin, count, group, both, reciprocal(halves), reciprocal(width)]
        };
        cut.spans.iter().enumerate().flat_map(part).collect()
    }

    /// The plan of these outputs: header, outputs, tables.
    fn words(&self, rungs: &[Rung], cuts: [Option<[Cut; 2]>; 2]) -> Vec<u32> {
        let depth = match self.read.format.depth() {
            Depth::Eight => 8,
            Depth::Ten => 10,
            Depth::HighTen => 16,
        };
        let mut head = vec![depth, self.surfaces as u32, self.surface as u32, rungs.len() as u32];
        let mut tables = Tables { begin: PLAN + rungs.len() * OUTPUT, words: Vec::new() };
        for (kind, cuts) in cuts.iter().enumerate() {
            let (across, down) = self.read.format.siting(kind);
            let step = self.step(kind);
            let planes = if kind == 0 || step == 2 { 1 } else { 2 };
            let planes = if kind < self.read.format.planes() { planes } else { 0 };
            head.extend([across.samples(self.read.width), down.samples(self.read.height), step as u32, planes]);
            match cuts {
                Some(cuts) => {
                    head.extend(cuts.iter().map(|cut| cut.tiles as u32));
                    head.extend(cuts.each_ref().map(|cut| tables.add(cut.words())));
                }
                None => head.extend([0; 4]),
            }
        }
        for rung in rungs {
            head.extend([rung.output as u32 + 1, if self.layout == Layout::Nv12 { 2 } else { 1 }]);
            let both = || rung.axes.iter().zip(&cuts).enumerate();
            for (kind, (axes, cuts)) in both() {
                let parts = axes.as_ref().zip(cuts.as_ref()).map(|(axes, cuts)| self.parts(&axes[0], &cuts[0], kind));
                head.push(tables.add(parts.unwrap_or_default()));
            }
            for (_, (axes, cuts)) in both() {
                let splits = axes.as_ref().zip(cuts.as_ref()).map(|(axes, cuts)| {
                    let (len, tiles) = (axes[1].len(), cuts[1].tiles);
                    (0..=tiles).map(|tile| split(len, tiles, tile) as u32).collect()
                });
                head.push(tables.add(splits.unwrap_or_default()));
            }
            for axes in &rung.axes {
                match axes {
                    Some([columns, rows]) => {
                        head.extend(tables.columns(columns));
                        head.extend(tables.rows(rows, depth));
                    }
                    None => head.extend([0; 2 * AXIS]),
                }
            }
        }
        head.extend(tables.words);
        head
    }
}

/// What lies behind the outputs of a plan.
struct Tables {
    /// The word at which they begin.
    begin: usize,
    words: Vec<u32>,
}

impl Tables {
    /// Where it begins in the plan.
    fn add(&mut self, table: Vec<u32>) -> u32 {
        let at = self.begin + self.words.len();
        self.words.extend(table);
        at as u32
    }

    fn firsts(&mut self, axis: &Axis) -> u32 {
        self.add((0..axis.len()).map(|i| axis.first(i) as u32).collect())
    }

    /// Pair after pair, each for all outputs: neighbouring threads make neighbouring columns.
    fn columns(&mut self, axis: &Axis) -> [u32; AXIS] {
        let weights: Vec<Vec<i16>> = (0..axis.len()).map(|i| from_even(axis, i)).collect();
        let pairs = axis.taps() / 2 + 1;
        let table = (0..pairs).flat_map(|p| weights.iter().map(move |weights| bytes(&weights[2 * p..])));
        [self.firsts(axis), self.add(table.collect()), pairs as u32, axis.len() as u32]
    }

    /// Row after row, each with all its pairs.
    fn rows(&mut self, axis: &Axis, depth: u32) -> [u32; AXIS] {
        let pair = |coefs: &[i16]| if depth == 8 { halves(coefs) } else { bytes(coefs) };
        let row = |i: usize| from_even(axis, i).chunks_exact(2).map(pair).collect::<Vec<u32>>();
        let table = (0..axis.len()).flat_map(row).collect();
        [self.firsts(axis), self.add(table), axis.taps() as u32 / 2 + 1, axis.len() as u32]
    }
}

/// The weights of output `i` from the even sample on at or in front of its first one, and so many zeros that there are two
/// more than taps.
fn from_even(axis: &Axis, i: usize) -> Vec<i16> {
    let odd = axis.first(i) & 1;
    let zeros = |n: i32| std::iter::repeat_n(0, n as usize);
    zeros(odd).chain(axis.coefs(i).iter().copied()).chain(zeros(2 - odd)).collect()
}

/// Two weights as halves of a word, the first one lower.
fn halves(coefs: &[i16]) -> u32 {
    u32::from(coefs[0] as u16) | u32::from(coefs[1] as u16) << 16
}

/// Two weights as bytes: both lower ones, then both upper ones.
fn bytes(coefs: &[i16]) -> u32 {
    let [[low, high], [next_low, next_high]] = [coefs[0].to_le_bytes(), coefs[1].to_le_bytes()];
    u32::from_le_bytes([low, next_low, high, next_high])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];

    fn full_hd(format: Format) -> Source {
        Source { width: 1920, height: 1080, format }
    }

    fn kernels(plan: &Plan) -> Vec<Kernel> {
        plan.stages.iter().map(|stage| stage.kernel).collect()
    }

    #[test]
    fn the_usual_ladder_reads_its_source_once() {
        let plan = Plan::new(full_hd(Format::Nv12), &LADDER, Filter::CatmullRom, Layout::Nv12).unwrap();
        assert_eq!(kernels(&plan), [Kernel::Tiles8]);
        assert_eq!(plan.stages[0].words[2..4], [0, 4]);
        // What neighbouring tiles share is loaded twice, but less than once more all of it: the smallest rung reaches far.
        let words = &plan.stages[0].words;
        for kind in [4, 4 + TILES] {
            let sum = |count: u32, table: u32| {
                (0..count as usize).map(|i| words[table as usize + SPAN * i + 1]).sum::<u32>() as usize
            };
            let loaded = sum(words[kind + 4], words[kind + 6]) * sum(words[kind + 5], words[kind + 7]);
            let plane = (words[kind] * words[kind + 1] * words[kind + 2]) as usize;
            assert!(loaded < plane * 2, "{loaded} bytes of {plane}");
        }
        let ten = Plan::new(full_hd(Format::P010), &LADDER, Filter::CatmullRom, Layout::Planar).unwrap();
        assert_eq!(kernels(&ten), [Kernel::Tiles10]);
        // The smallest from 720p.
        let small = [(1280, 720), (854, 480), (640, 360), (320, 180)];
        let plan = Plan::new(full_hd(Format::P010), &small, Filter::CatmullRom, Layout::Planar).unwrap();
        assert_eq!(kernels(&plan), [Kernel::Tiles10, Kernel::Tiles8]);
        assert_eq!(plan.stages.iter().map(|stage| stage.words[2..4].to_vec()).collect::<Vec<_>>(), [[0, 3], [1, 1]]);
    }

    #[test]
    fn what_fits_no_tile_is_made_directly() {
        let plan = Plan::new(full_hd(Format::Yuv420), &[(30, 17), (1280, 720)], Filter::Lanczos3, Layout::Planar);
        // 30x17 comes from 720p, at 42 to one: 256 weights or so.
        assert_eq!(kernels(&plan.unwrap()), [Kernel::Tiles8, Kernel::Direct]);
        let plan = Plan::new(full_hd(Format::Grey), &[(30, 17)], Filter::CatmullRom, Layout::Planar).unwrap();
        assert_eq!((kernels(&plan), plan.stages[0].blocks), (vec![Kernel::Direct], 2));
    }

    #[test]
    fn refusals() {
        let new = |sizes: &[(u32, u32)]| {
            Plan::new(full_hd(Format::Nv12), sizes, Filter::CatmullRom, Layout::Nv12).map(|plan| plan.stages.len())
        };
        assert_eq!(new(&[]), Ok(0));
        assert_eq!(new(&[(0, 720)]), Err(ScaleError::Side { src: 1920, dst: 0 }.into()));
        assert_eq!(new(&[(640, 360); MAX_SURFACES]), Err(PlanError::Outputs { have: MAX_SURFACES }));
    }

    #[test]
    fn reciprocals_divide() {
        for n in [1usize, 2, 3, 7, 9, 10, 85, 128, 511, 512] {
            for i in (0..20_000u64).chain((1 << 31) / n as u64 - 9..(1 << 31) / n as u64) {
                let quotient = (2 * i * u64::from(reciprocal(n))) >> 32;
                assert_eq!(quotient, i / n as u64, "{i} / {n}");
            }
        }
    }

    #[test]
    fn weights_as_bytes_and_halves() {
        assert_eq!(bytes(&[0x1234, -2]), 0xff12_fe34);
        assert_eq!(halves(&[0x1234, -2]), 0xfffe_1234);
    }
}
