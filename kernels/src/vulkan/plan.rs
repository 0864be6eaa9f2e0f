//! A ladder as jobs for the shaders: what lies where, and what is done in which order. Knows nothing of devices.

use crate::cascade::parents;
use crate::filter::{Axis, Filter};
use crate::source::{Depth, Format, Source};

use super::error::Error;
use super::kernel::GROUP;

/// Samples that an invocation makes.
const QUAD: u32 = 4;
/// Words of a job, as `scale.wgsl` and `finish.wgsl` have it.
pub(super) const JOB_WORDS: usize = 16;

/// Rows of a plane in a buffer of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    /// Word of the first row.
    pub(super) at: u32,
    /// Words from one row to the next.
    pub(super) stride: u32,
}

/// Consecutive jobs that one dispatch does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) groups: u64,
}

/// The rungs that can be made at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// Whether they are made from other outputs instead of the source.
    pub(super) from_outputs: bool,
    pub(super) vertical: Batch,
    pub(super) horizontal: Batch,
}

/// Everything there is to know about a ladder.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Jobs, then tables of positions and weights, as the shader has them.
    pub(super) jobs: Vec<u32>,
    pub(super) tables: Vec<u32>,
    /// Each after those that it is made from.
    pub(super) levels: Vec<Level>,
    /// Planes of the source.
    pub(super) source: Vec<Rows>,
    /// Planes of each output: one where the source is grey, else three.
    pub(super) outputs: Vec<Vec<Rows>>,
    /// Words of the source, of the intermediate rows and of the outputs.
    pub(super) source_words: u64,
    pub(super) middle_words: u64,
    pub(super) output_words: u64,
}

/// One plane to be scaled.
struct Channel<'a> {
    from: Rows,
    /// Rows there, and samples of each; those of both channels where they are interleaved.
    height: u32,
    samples: u32,
    /// From one sample of the channel to the next.
    step: u32,
    depth: Depth,
    axes: &'a Tables,
}

/// The weights of both passes over a plane.
struct Tables {
    vertical: Table,
    horizontal: Table,
}

/// Where the weights of an axis lie.
struct Table {
    positions: u32,
    weights: u32,
    pairs: u32,
    len: u32,
}

impl Plan {
    /// The ladder as [`crate::reference::scale_ladder`] defines it.
    pub(super) fn new(source: Source, outputs: &[(u32, u32)], filter: Filter) -> Result<Self, Error> {
        let mut plan = Self::default();
        let size = (source.width, source.height);
        for plane in 0..source.format.planes() {
            let (bytes, rows) = source.format.extent(plane, size);
            // Two words hold four samples of ten bits.
            plan.source.push(rows_in(&mut plan.source_words, bytes.next_multiple_of(8) / 4, rows)?);
        }
        let channels = source.format.planes().min(2);
        for output in outputs {
            let mut planes = Vec::new();
            for plane in 0..if channels == 1 { 1 } else { 3 } {
                let (bytes, rows) = Format::Yuv420.extent(plane, *output);
                planes.push(rows_in(&mut plan.output_words, bytes.div_ceil(4), rows)?);
            }
            plan.outputs.push(planes);
        }
        let parents = parents(size, outputs);
        let depth_of = |mut rung: usize| {
            let mut depth = 0;
            while let Some(parent) = parents[rung] {
                (rung, depth) = (parent, depth + 1);
            }
            depth
        };
        let depths: Vec<usize> = (0..outputs.len()).map(depth_of).collect();
        for depth in 0..depths.iter().map(|depth| depth + 1).max().unwrap_or(0) {
            let mut level = Work::default();
            for rung in (0..outputs.len()).filter(|rung| depths[*rung] == depth) {
                let from = parents[rung].map_or(source, |parent| Source::yuv420(outputs[parent]));
                for channel in 0..channels {
                    plan.channel(from, parents[rung], (rung, outputs[rung]), channel, filter, &mut level)?;
                }
            }
            plan.middle_words = plan.middle_words.max(level.middle_words);
            let vertical = plan.batch(level.vertical)?;
            let horizontal = plan.batch(level.horizontal)?;
            plan.levels.push(Level { from_outputs: depth > 0, vertical, horizontal });
        }
        Ok(plan)
    }

    /// The jobs for luma (0) or both chroma channels (1) of a rung.
    fn channel(
        &mut self,
        from: Source,
        parent: Option<usize>,
        (rung, to): (usize, (u32, u32)),
        channel: usize,
        filter: Filter,
        level: &mut Work,
    ) -> Result<(), Error> {
        let src = from.format.siting(channel);
        let [horizontal, vertical] = from.axes(to, channel, filter)?;
        let axes = Tables { vertical: self.table(&vertical)?, horizontal: self.table(&horizontal)? };
        let interleaved = channel > 0 && from.format.is_interleaved();
        let step = if interleaved { 2 } else { 1 };
        let planes: &[usize] = match (channel, interleaved) {
            (0, _) => &[0],
            (_, true) => &[1],
            (_, false) => &[1, 2],
        };
        for plane in planes {
            let rows = parent.map_or(&self.source, |parent| &self.outputs[parent])[*plane];
            let channel = Channel {
                from: rows,
                height: src.1.samples(from.height),
                samples: src.0.samples(from.width) * step,
                step,
                depth: from.format.depth(),
                axes: &axes,
            };
            // An interleaved plane is mixed vertically as a whole and taken apart horizontally.
            let to = &self.outputs[rung][*plane..if interleaved { 3 } else { plane + 1 }];
            level.add(&channel, to)?;
        }
        Ok(())
    }

    fn table(&mut self, axis: &Axis) -> Result<Table, Error> {
        let len = axis.len();
        let positions = word(self.tables.len() as u64)?;
        self.tables.extend((0..len).map(|i| axis.first(i) as u32));
        let weights = word(self.tables.len() as u64)?;
        for i in 0..len {
            let pairs = axis.coefs(i).as_chunks::<2>().0;
            let packed = pairs.iter().map(|[low, high]| u32::from(*low as u16) | u32::from(*high as u16) << 16);
            self.tables.extend(packed);
        }
        Ok(Table { positions, weights, pairs: axis.taps() as u32 / 2, len: len as u32 })
    }

    fn batch(&mut self, jobs: Vec<Job>) -> Result<Batch, Error> {
        let mut batch = Batch { first: (self.jobs.len() / JOB_WORDS) as u32, ..Batch::default() };
        for job in jobs {
            let across = job.quads.div_ceil(GROUP);
            let before = word(batch.groups)?;
            self.jobs.extend([before, across, job.quads, job.table.pairs, job.table.positions, job.table.weights]);
            self.jobs.extend([job.from.at, job.from.stride, job.to.at, job.to.stride]);
            self.jobs.extend([job.last, job.depth, job.step, job.start, job.end, 0]);
            batch.count += 1;
            batch.groups += u64::from(across) * u64::from(job.rows);
        }
        Ok(batch)
    }
}

/// One pass over one plane; see `scale.wgsl`.
struct Job {
    quads: u32,
    rows: u32,
    table: Table,
    from: Rows,
    to: Rows,
    last: u32,
    depth: u32,
    step: u32,
    start: u32,
    end: u32,
}

/// The jobs of a level.
#[derive(Default)]
struct Work {
    vertical: Vec<Job>,
    horizontal: Vec<Job>,
    middle_words: u64,
}

impl Work {
    /// Both passes over a plane, into one output plane or, from interleaved ones, two.
    fn add(&mut self, channel: &Channel<'_>, to: &[Rows]) -> Result<(), Error> {
        let Channel { from, height, samples, step, depth, axes } = channel;
        let rows = axes.vertical.len;
        let quads = samples.div_ceil(QUAD);
        let middle = rows_in(&mut self.middle_words, 2 * quads as usize, rows as usize)?;
        self.vertical.push(Job {
            quads,
            rows,
            table: axes.vertical.share(),
            from: *from,
            to: middle,
            last: height - 1,
            depth: match depth {
                Depth::Eight => 0,
                Depth::Ten => 1,
                Depth::HighTen => 2,
            },
            step: 0,
            start: 0,
            end: 0,
        });
        for (start, to) in (0..).zip(to) {
            self.horizontal.push(Job {
                quads: axes.horizontal.len.div_ceil(QUAD),
                rows,
                table: axes.horizontal.share(),
                from: middle,
                to: *to,
                last: samples / step - 1,
                depth: 0,
                step: *step,
                start,
                end: axes.horizontal.len - 1,
            });
        }
        Ok(())
    }
}

impl Table {
    /// The same table for another job.
    fn share(&self) -> Self {
        Self { ..*self }
    }
}

/// Sets `rows` rows of `stride` words aside behind the `used` ones.
pub(super) fn rows_in(used: &mut u64, stride: usize, rows: usize) -> Result<Rows, Error> {
    let (at, stride) = (word(*used)?, word(stride as u64)?);
    *used += u64::from(stride) * rows as u64;
    // The last word too has to have a number.
    word(*used)?;
    Ok(Rows { at, stride })
}

/// A number that shaders can have.
pub(super) fn word(number: u64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::TooLarge {
        what: "words of one buffer",
        needed: number,
        limit: u64::from(u32::MAX),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::scale::ScaleError;

    #[test]
    fn rungs_of_rungs_come_later() {
        let source = Source::yuv420((1920, 1080));
        let plan = Plan::new(source, &[(320, 180), (1280, 720), (80, 44)], Filter::CatmullRom).unwrap();
        let counts = plan.levels.iter().map(|level| (level.from_outputs, level.vertical.count, level.horizontal.count));
        assert_eq!(counts.collect::<Vec<_>>(), [(false, 3, 3), (true, 3, 3), (true, 3, 3)]);
        let batches: Vec<Batch> = plan.levels.iter().flat_map(|level| [level.vertical, level.horizontal]).collect();
        assert_eq!(batches.iter().map(|batch| batch.first).collect::<Vec<_>>(), [0, 3, 6, 9, 12, 15]);
        assert_eq!(plan.jobs.len(), 18 * JOB_WORDS);
        // 1920 samples are 480 quads, 8 groups; 960 are 4.
        assert_eq!(batches[0].groups, 8 * 720 + 2 * 4 * 360);
        assert_eq!(plan.middle_words, 960 * 720 + 2 * 480 * 360);
    }

    #[test]
    fn interleaved_chroma_is_one_job_and_then_two() {
        let source = Source { width: 65, height: 33, format: Format::P010 };
        let plan = Plan::new(source, &[(40, 20)], Filter::Lanczos3).unwrap();
        assert_eq!((plan.levels[0].vertical.count, plan.levels[0].horizontal.count), (2, 3));
        // 65 samples of two bytes, and 33 pairs.
        assert_eq!(plan.source.iter().map(|rows| rows.stride).collect::<Vec<_>>(), [34, 34]);
        let (one, other) = (&plan.jobs[3 * JOB_WORDS..][..JOB_WORDS], &plan.jobs[4 * JOB_WORDS..][..JOB_WORDS]);
        assert_eq!((one[12], one[13], other[12], other[13]), (2, 0, 2, 1));
    }

    #[test]
    fn grey_has_no_chroma_and_nothing_gives_nothing() {
        let source = Source { width: 64, height: 64, format: Format::GreyTen };
        let plan = Plan::new(source, &[(60, 60), (15, 15)], Filter::CatmullRom).unwrap();
        assert_eq!(plan.levels.len(), 2);
        assert!(plan.levels.iter().all(|level| (level.vertical.count, level.horizontal.count) == (1, 1)));
        assert!(plan.outputs.iter().all(|planes| planes.len() == 1));
        assert!(Plan::new(source, &[], Filter::CatmullRom).unwrap().levels.is_empty());
    }

    #[test]
    fn what_cannot_be_scaled_or_addressed_is_refused() {
        let refused = |size, outputs: &[_]| Plan::new(Source::yuv420(size), outputs, Filter::CatmullRom).unwrap_err();
        assert!(matches!(refused((0, 4), &[(4, 4)]), Error::Scale(ScaleError::Side { .. })));
        assert!(matches!(refused((640, 4), &[(4, 4)]), Error::Scale(ScaleError::Ratio { .. })));
        let large = refused((16_384, 16_384), &[(16_384, 16_384); 50]);
        assert!(matches!(large, Error::TooLarge { .. }), "{large}");
    }
}
