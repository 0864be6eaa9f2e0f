//! One source picture into all rungs of a ladder, on a device.

use vulkano::buffer::Subbuffer;

use crate::filter::Filter;
use crate::plane::{PlaneMut, Yuv420Mut};
use crate::reference::NEUTRAL;
use crate::scale::ScaleError;
use crate::source::{Source, SourceRef};

use super::device::{Gpu, Place};
use super::error::Error;
use super::kernel::{Call, Kernel};
use super::plan::{Batch, Plan, Rows};
use super::run::{Commands, Recorder, run};

/// Scales pictures of one size and format into all outputs of a ladder; see [`mod@crate::reference`] for what it
/// computes and [`crate::LadderScaler`] for the same on the processor.
///
/// Everything is prepared once: tables, memory and orders stay on the device, and a picture is one upload, one
/// submission and one download. All its memory is allocated when it is made and free when it is dropped. One scaler serves
/// one thread at a time.
pub struct LadderScaler {
    source: Source,
    sizes: Vec<(u32, u32)>,
    /// Where the planes lie in the upload and in the download.
    planes: Vec<Rows>,
    outputs: Vec<Vec<Rows>>,
    memory: u64,
    commands: Commands,
}

impl std::fmt::Debug for LadderScaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut all = f.debug_struct("LadderScaler");
        all.field("source", &self.source).field("outputs", &self.sizes).field("gpu", self.gpu()).finish()
    }
}

impl LadderScaler {
    /// A scaler into `outputs` (luma width and height of each, in any order).
    pub fn new(gpu: &Gpu, source: Source, outputs: &[(u32, u32)], filter: Filter) -> Result<Self, Error> {
        let plan = Plan::new(source, outputs, filter)?;
        let on_device = |words, what| gpu.buffer(words, Place::Device, what);
        let jobs = on_device(plan.jobs.len() as u64, "table of jobs")?;
        let tables = on_device(plan.tables.len() as u64, "tables of weights")?;
        let pixels = on_device(plan.source_words, "source pictures")?;
        let middle = on_device(plan.middle_words, "intermediate rows")?;
        let made = on_device(plan.output_words, "output pictures")?;
        fill(gpu, [(&jobs, &plan.jobs), (&tables, &plan.tables)])?;

        let from_source = gpu.set([&jobs, &tables, &pixels, &middle])?;
        let from_outputs = gpu.set([&jobs, &tables, &made, &middle])?;
        let to_outputs = gpu.set([&jobs, &tables, &middle, &made])?;
        let mut recorder = Recorder::new(gpu, pixels.len(), made.len())?;
        recorder.upload(0, &pixels)?;
        for level in &plan.levels {
            let set = if level.from_outputs { &from_outputs } else { &from_source };
            recorder.barrier()?;
            recorder.dispatch(Kernel::Vertical, set, call(level.vertical), level.vertical.groups)?;
            recorder.barrier()?;
            recorder.dispatch(Kernel::Horizontal, &to_outputs, call(level.horizontal), level.horizontal.groups)?;
        }
        recorder.barrier()?;
        recorder.download(&made, 0)?;
        let device = [&jobs, &tables, &pixels, &middle, &made].iter().map(|buffer| buffer.size()).sum::<u64>();
        let memory = device + pixels.size() + made.size();
        let (planes, sizes) = (plan.source, outputs.to_vec());
        Ok(Self { source, sizes, planes, outputs: plan.outputs, memory, commands: recorder.finish()? })
    }

    /// Size and format of the pictures this scaler reads.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Luma width and height of the outputs, in the order in which [`Self::scale`] takes them.
    pub fn outputs(&self) -> &[(u32, u32)] {
        &self.sizes
    }

    /// The device it runs on.
    pub fn gpu(&self) -> &Gpu {
        self.commands.gpu()
    }

    /// Bytes that it holds on the device and in memory shared with it, from beginning to end.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Scales `src` into every output; all must have the sizes this scaler was made for.
    pub fn scale(&mut self, src: &SourceRef<'_>, out: &mut [Yuv420Mut<'_>]) -> Result<(), Error> {
        self.check(src, out)?;
        self.put(src)?;
        run([&mut self.commands])?;
        self.take(out)
    }

    fn check(&self, src: &SourceRef<'_>, out: &[Yuv420Mut<'_>]) -> Result<(), ScaleError> {
        if src.source() != self.source {
            return Err(ScaleError::Source { want: self.source, have: src.source() });
        }
        if out.len() != self.sizes.len() {
            return Err(ScaleError::Outputs { want: self.sizes.len(), have: out.len() });
        }
        for (want, out) in self.sizes.iter().zip(out) {
            let want = (want.0 as usize, want.1 as usize);
            if want != out.size() {
                return Err(ScaleError::Shape { want, have: out.size() });
            }
        }
        Ok(())
    }

    fn put(&mut self, src: &SourceRef<'_>) -> Result<(), Error> {
        let (format, size) = (self.source.format, (self.source.width, self.source.height));
        let mut upload = self.commands.upload()?;
        for (i, plane) in self.planes.iter().enumerate() {
            let (width, height) = format.extent(i, size);
            let (at, stride) = bytes(*plane);
            for y in 0..height {
                upload[at + y * stride..][..width].copy_from_slice(src.row(i, y));
            }
        }
        Ok(())
    }

    fn take(&mut self, out: &mut [Yuv420Mut<'_>]) -> Result<(), Error> {
        let download = self.commands.download()?;
        for (out, from) in out.iter_mut().zip(&self.outputs) {
            for (i, plane) in out.planes.iter_mut().enumerate() {
                match from.get(i) {
                    Some(rows) => copy_rows(&download, *rows, plane),
                    // A grey source has no chroma, and flat chroma stays flat whatever it is scaled to.
                    None => (0..plane.height()).for_each(|y| plane.row_mut(y).fill(NEUTRAL)),
                }
            }
        }
        Ok(())
    }
}

/// A picture for [`scale_together`].
#[derive(Debug)]
pub struct Task<'a, 'p> {
    /// What is to do it.
    pub scaler: &'a mut LadderScaler,
    /// The picture.
    pub source: SourceRef<'p>,
    /// Its outputs, as [`LadderScaler::scale`] takes them.
    pub outputs: &'a mut [Yuv420Mut<'p>],
}

/// Scales pictures of several streams in one submission: many small ones keep a device busier than one by one. All
/// scalers have to be on one device. After an error no output can be relied upon.
pub fn scale_together(tasks: &mut [Task<'_, '_>]) -> Result<(), Error> {
    for task in &*tasks {
        task.scaler.check(&task.source, task.outputs)?;
    }
    tasks.iter_mut().try_for_each(|task| task.scaler.put(&task.source))?;
    run(tasks.iter_mut().map(|task| &mut task.scaler.commands))?;
    tasks.iter_mut().try_for_each(|task| task.scaler.take(task.outputs))
}

fn call(batch: Batch) -> Call {
    // A dispatch has fewer workgroups than a word counts, or it is refused.
    [batch.first, batch.count, u32::try_from(batch.groups).unwrap_or(u32::MAX), 0, 0, 0, 0, 0]
}

/// First byte and distance in bytes.
fn bytes(rows: Rows) -> (usize, usize) {
    (4 * rows.at as usize, 4 * rows.stride as usize)
}

fn copy_rows(from: &[u8], rows: Rows, to: &mut PlaneMut<'_>) {
    let ((at, stride), width) = (bytes(rows), to.width());
    for y in 0..to.height() {
        to.row_mut(y).copy_from_slice(&from[at + y * stride..][..width]);
    }
}

/// Fills buffers of the device once.
fn fill(gpu: &Gpu, parts: [(&Subbuffer<[u32]>, &[u32]); 2]) -> Result<(), Error> {
    let mut recorder = Recorder::new(gpu, parts.iter().map(|(to, _)| to.len()).sum(), 0)?;
    let mut at = 0;
    for (to, _) in parts {
        recorder.upload(at, to)?;
        at += to.len();
    }
    let mut commands = recorder.finish()?;
    let mut upload = commands.upload()?;
    let mut rest = &mut upload[..];
    for (to, words) in parts {
        let (part, behind) = rest.split_at_mut(to.size() as usize);
        for (bytes, word) in part.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_ne_bytes();
        }
        rest = behind;
    }
    drop(upload);
    run([&mut commands])
}
