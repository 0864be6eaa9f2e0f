//! One source picture into all rungs of a ladder, in one pass over the source, on one thread.
//!
//! Rows are made as soon as what they are made of is there: the source is read in bands that stay in the cache, and
//! each band takes every rung as far as it goes, those made from other rungs included.

use std::cmp::Reverse;
use std::ops::Range;

use crate::cascade::parents;
use crate::filter::{Axis, Filter};
use crate::plane::{PlaneMut, Yuv420Mut};
use crate::reference::NEUTRAL;
use crate::scale::{ScaleError, check_pictures};
use crate::simd::table::Table;
use crate::simd::{BATCH, Isa, Job, Mix, Mixes, Passes};
use crate::source::{Depth, Format, Source, SourceRef};

/// Source rows that every rung has used before the next ones are read.
const BAND: usize = 32;

/// Columns from which on rows are mixed a batch at a time.
const WIDE: usize = 64;

/// How far ahead of the band in work its successor is fetched into the cache, a few rows with every row made: enough to
/// arrive in time, and not so many at once that they hold up the work.
#[derive(Debug)]
struct Fetch {
    /// Rows to fetch with every row made from the source.
    quota: usize,
    next: usize,
    /// One past the last row to fetch now.
    end: usize,
}

impl Fetch {
    /// For a picture of `height` rows from which `made` rows are made.
    fn new(height: usize, made: usize) -> Self {
        Self { quota: height.div_ceil(made.max(1)).min(8), next: 0, end: 0 }
    }

    /// Nothing to fetch: what is read was made a moment ago.
    fn nothing() -> Self {
        Self { quota: 0, next: 0, end: 0 }
    }

    fn next(&mut self) -> Range<usize> {
        let rows = self.next..self.end.min(self.next + self.quota).max(self.next);
        self.next = rows.end;
        rows
    }
}

/// How one plane of an output comes about.
#[derive(Debug, Clone)]
enum Work {
    /// Nothing to read: grey.
    Fill,
    /// The same samples.
    Copy,
    Scale {
        vertical: Axis,
        horizontal: Box<Table>,
    },
}

/// One output.
#[derive(Debug, Clone)]
struct Stage {
    /// Which output.
    output: usize,
    size: (u32, u32),
    /// The output that it is made from, or the source.
    parent: Option<usize>,
    /// Luma, and either chroma channel.
    work: [Work; 2],
}

impl Stage {
    fn new(
        output: usize,
        from: Source,
        parent: Option<usize>,
        to: (u32, u32),
        filter: Filter,
        passes: &Passes,
    ) -> Result<Self, ScaleError> {
        let work = |channel: usize| {
            if channel > 0 && from.format.planes() == 1 {
                return Ok(Work::Fill);
            }
            let [horizontal, vertical] = from.axes(to, channel, filter)?;
            let plain = from.format.depth() == Depth::Eight && (channel == 0 || !from.format.is_interleaved());
            // With single ones for weights both passes give their input back.
            if plain && horizontal.is_identity() && vertical.is_identity() {
                return Ok(Work::Copy);
            }
            let width = from.format.siting(channel).0.samples(from.width) as usize;
            Ok(Work::Scale { vertical, horizontal: Box::new(Table::new(&horizontal, width, passes.shape)) })
        };
        Ok(Self { output, size: to, parent, work: [work(0)?, work(1)?] })
    }
}

/// Rows of intermediate samples, kept from picture to picture.
#[derive(Debug, Clone, Default)]
struct Scratch {
    /// [`BATCH`] padded rows for each of the two channels that are made together.
    mid: [Vec<i16>; 2],
    /// A row of pairs, for interleaved chroma.
    pairs: Vec<i16>,
}

/// Scales pictures of one size and format into all outputs of a ladder; see [`mod@crate::reference`] for what it
/// computes.
///
/// Outputs are 8-bit 4:2:0, planar. One scaler serves one thread at a time and allocates little once it is made.
#[derive(Debug, Clone)]
pub struct LadderScaler {
    source: Source,
    sizes: Vec<(u32, u32)>,
    /// Parents before their children.
    stages: Vec<Stage>,
    scratch: Scratch,
    isa: Isa,
}

impl LadderScaler {
    /// A scaler into `outputs` (luma width and height of each, in any order), on the best instruction set of this
    /// machine.
    pub fn new(source: Source, outputs: &[(u32, u32)], filter: Filter) -> Result<Self, ScaleError> {
        Self::with_isa(source, outputs, filter, Isa::best())
    }

    /// The same on a given instruction set; falls back to [`Isa::Portable`] if this machine lacks it.
    pub fn with_isa(source: Source, outputs: &[(u32, u32)], filter: Filter, isa: Isa) -> Result<Self, ScaleError> {
        let isa = if isa.is_available() { isa } else { Isa::Portable };
        let parents = parents((source.width, source.height), outputs);
        let stage = |(i, to): (usize, &(u32, u32))| {
            let from = parents[i].map_or(source, |parent| Source::yuv420(outputs[parent]));
            Stage::new(i, from, parents[i], *to, filter, isa.passes())
        };
        let mut stages = outputs.iter().enumerate().map(stage).collect::<Result<Vec<_>, _>>()?;
        stages.sort_by_key(|stage| Reverse(u64::from(stage.size.0) * u64::from(stage.size.1)));
        let mut scratch = Scratch::default();
        for work in stages.iter().flat_map(|stage| &stage.work) {
            if let Work::Scale { horizontal, .. } = work {
                let len = BATCH * horizontal.row_len;
                scratch.mid.iter_mut().filter(|mid| mid.len() < len).for_each(|mid| mid.resize(len, 0));
                scratch.pairs.resize(scratch.pairs.len().max(2 * horizontal.width), 0);
            }
        }
        Ok(Self { source, sizes: outputs.to_vec(), stages, scratch, isa })
    }

    /// Size and format of the pictures this scaler reads.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Luma width and height of the outputs, in the order in which [`Self::scale`] takes them.
    pub fn outputs(&self) -> &[(u32, u32)] {
        &self.sizes
    }

    /// The instruction set it runs on.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Scales `src` into every output; all must have the sizes this scaler was made for.
    pub fn scale(&mut self, src: &SourceRef<'_>, out: &mut [Yuv420Mut<'_>]) -> Result<(), ScaleError> {
        check_pictures(self.source, &self.sizes, src, out)?;
        for chroma in [false, true] {
            let height = src.extent(usize::from(chroma && self.source.format.planes() > 1)).1;
            let mut done = vec![0; out.len()];
            let from_source = self.stages.iter().filter(|stage| stage.parent.is_none());
            let made = from_source.map(|stage| out[stage.output].planes[usize::from(chroma)].height()).sum();
            let mut fetch = Fetch::new(height, made);
            for band in (BAND..).step_by(BAND) {
                fetch.next = fetch.next.max(band.min(height));
                fetch.end = (band + BAND).min(height);
                for stage in &self.stages {
                    let (ready, all) = match stage.parent {
                        None => (band.min(height), height),
                        Some(parent) => (done[parent], out[parent].planes[usize::from(chroma)].height()),
                    };
                    let (from, to) = match stage.parent {
                        None => (Rows::Source(src), &mut out[stage.output]),
                        Some(parent) => {
                            let pair = out.get_disjoint_mut([parent, stage.output]);
                            let [from, to] = pair.expect("no output is its own parent");
                            (Rows::Output(from), to)
                        }
                    };
                    let work = &stage.work[usize::from(chroma)];
                    let planes = if chroma { &mut to.planes[1..] } else { &mut to.planes[..1] };
                    let fetch = if stage.parent.is_none() { &mut fetch } else { &mut Fetch::nothing() };
                    let feed = Feed { rows: from, chroma, ready, last: ready == all, fetch };
                    advance(work, feed, &mut done[stage.output], planes, &mut self.scratch, self.isa.passes());
                }
                if band >= height {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// What an output is made from.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Source(&'a SourceRef<'a>),
    Output(&'a Yuv420Mut<'a>),
}

impl<'a> Rows<'a> {
    fn row(self, plane: usize, y: usize) -> &'a [u8] {
        match self {
            Self::Source(source) => source.row(plane, y),
            Self::Output(output) => output.planes[plane].row(y),
        }
    }

    fn format(self) -> Format {
        match self {
            Self::Source(source) => source.source().format,
            Self::Output(_) => Format::Yuv420,
        }
    }
}

/// What rows of an output's luma or chroma can be made from now.
struct Feed<'a> {
    rows: Rows<'a>,
    /// Both chroma channels, or luma.
    chroma: bool,
    /// Rows that are there.
    ready: usize,
    /// Whether these are all rows of the picture.
    last: bool,
    fetch: &'a mut Fetch,
}

/// What every two source rows weigh in the output rows of the batch from row `y` on; the first source row of all.
fn pair_weights(vertical: &Axis, y: usize, weights: &mut Vec<[i32; BATCH]>) -> i32 {
    let first = vertical.first(y);
    weights.clear();
    for r in 0..BATCH {
        let offset = (vertical.first(y + r) - first) as usize;
        let coefs = vertical.coefs(y + r);
        weights.resize(weights.len().max((offset + coefs.len()).div_ceil(2)), [0; BATCH]);
        for (t, coef) in (offset..).zip(coefs) {
            // The first of two weights is the lower half.
            weights[t / 2][r] |= i32::from(*coef as u16) << (t % 2 * 16);
        }
    }
    first
}

/// Makes rows of the luma plane or both chroma planes of one output, from row `done` on, as far as `feed` goes.
fn advance(
    work: &Work,
    feed: Feed<'_>,
    done: &mut usize,
    planes: &mut [PlaneMut<'_>],
    scratch: &mut Scratch,
    passes: &Passes,
) {
    let Feed { rows: from, chroma, ready, last, fetch } = feed;
    let height = planes[0].height();
    let first_plane = usize::from(chroma);
    let (vertical, table) = match work {
        Work::Fill => {
            for plane in planes {
                (*done..height).for_each(|y| plane.row_mut(y).fill(NEUTRAL));
            }
            *done = height;
            return;
        }
        Work::Copy => {
            for (i, plane) in planes.iter_mut().enumerate() {
                (*done..ready).for_each(|y| plane.row_mut(y).copy_from_slice(from.row(first_plane + i, y)));
            }
            *done = ready;
            return;
        }
        Work::Scale { vertical, horizontal } => (vertical, &**horizontal),
    };
    let depth = from.format().depth();
    let bottom = ready as i32 - 1;
    let inner = table.pad..table.pad + table.width;
    let interleaved = chroma && from.format().is_interleaved();
    let (mut rows, mut ahead) = (Vec::with_capacity(vertical.taps()), Vec::with_capacity(fetch.quota));
    let together = passes.vertical_batch.filter(|_| depth == Depth::Eight && !interleaved && table.width >= WIDE);
    let mut weights = Vec::new();
    loop {
        let can = |y: usize| y < height && (last || vertical.first(y) + vertical.taps() as i32 <= ready as i32);
        let count = (*done..*done + BATCH).take_while(|y| can(*y)).count();
        // Short batches only at the end: the rest of this one comes with the next band.
        if count == 0 || (count < BATCH && *done + count < height) {
            return;
        }
        if let Some(together) = together.filter(|_| count == BATCH) {
            let first = pair_weights(vertical, *done, &mut weights);
            let soon = (0..BATCH).map(|_| fetch.next()).reduce(|a, b| a.start..b.end).unwrap_or_default();
            for (mid, plane) in scratch.mid.iter_mut().zip(first_plane..first_plane + planes.len()) {
                rows.clear();
                // A row past the last one that is read weighs nothing.
                let read = first..first + 2 * weights.len() as i32;
                rows.extend(read.map(|row| from.row(plane, row.clamp(0, bottom) as usize)));
                ahead.clear();
                ahead.extend(soon.clone().map(|row| from.row(plane, row)));
                let mut padded = mid.chunks_exact_mut(table.row_len);
                let out = std::array::from_fn(|_| &mut padded.next().expect("a batch of rows")[inner.clone()]);
                together(Mixes { weights: &weights, rows: &rows, out, ahead: &ahead });
            }
        } else {
            for r in 0..count {
                let y = *done + r;
                let soon = fetch.next();
                let mut mix = |plane: usize, out: &mut [i16]| {
                    let first = vertical.first(y);
                    rows.clear();
                    // Only the picture's own last row is ever repeated: before it is `ready`, no tap reaches that far.
                    let taps = first..first + vertical.taps() as i32;
                    rows.extend(taps.map(|row| from.row(plane, row.clamp(0, bottom) as usize)));
                    ahead.clear();
                    ahead.extend(soon.clone().map(|row| from.row(plane, row)));
                    (passes.vertical)(Mix { depth, coefs: vertical.coefs(y), rows: &rows, out, ahead: &ahead });
                };
                let [a, b] = &mut scratch.mid;
                let mid = r * table.row_len..(r + 1) * table.row_len;
                let (a, b) = (&mut a[mid.clone()][inner.clone()], &mut b[mid][inner.clone()]);
                if interleaved {
                    let pairs = &mut scratch.pairs[..2 * table.width];
                    mix(1, pairs);
                    (passes.split)(pairs, a, b);
                } else {
                    mix(first_plane, a);
                    if chroma {
                        mix(2, b);
                    }
                }
            }
        }
        for mid in &mut scratch.mid[..planes.len()] {
            mid.chunks_exact_mut(table.row_len).take(count).for_each(|row| table.repeat_edges(row));
        }
        for (mid, plane) in scratch.mid.iter().zip(&mut *planes) {
            let (out, stride) = plane.rows_mut(*done);
            (passes.horizontal)(&mut Job { table, mid: &mid[..count * table.row_len], out, stride, rows: count });
        }
        *done += count;
    }
}
