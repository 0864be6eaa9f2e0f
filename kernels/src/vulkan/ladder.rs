//! One source picture into all rungs of a ladder, on a device.

use vulkano::buffer::Subbuffer;

use crate::filter::Filter;
use crate::plane::{PlaneMut, Yuv420Mut};
use crate::reference::NEUTRAL;
use crate::scale::{ScaleError, check_pictures};
use crate::source::{Source, SourceRef};

use super::device::{Gpu, Place};
use super::error::Error;
use super::finish::{Finish, Finishing};
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
        Self::with_finish(gpu, source, outputs, filter, &Finish::default())
    }

    /// The same, for outputs that are then converted and turned; `outputs` are their sizes as they are shown.
    pub fn with_finish(
        gpu: &Gpu,
        source: Source,
        outputs: &[(u32, u32)],
        filter: Filter,
        finish: &Finish,
    ) -> Result<Self, Error> {
        let lying: Vec<_> = outputs.iter().map(|size| finish.orientation.turned(*size)).collect();
        let plan = Plan::new(source, &lying, filter)?;
        let finishing = Finishing::new(finish, &lying, &plan.outputs, plan.output_words)?;
        let mut memory = 0;
        let mut on_device = |words: u64, what| {
            let buffer = gpu.buffer(words, Place::Device, what)?;
            memory += buffer.size();
            Ok::<_, Error>(buffer)
        };
        let jobs = on_device(plan.jobs.len() as u64, "table of jobs")?;
        let tables = on_device(plan.tables.len() as u64, "tables of weights")?;
        let finish_jobs = on_device(finishing.jobs.len() as u64, "table of jobs")?;
        let weights = on_device(finishing.weights.len() as u64, "colour conversion")?;
        let constants = [&plan.jobs, &plan.tables, &finishing.jobs, &finishing.weights];
        fill(gpu, [&jobs, &tables, &finish_jobs, &weights], constants)?;

        let pixels = on_device(plan.source_words, "source pictures")?;
        let middle = on_device(plan.middle_words, "intermediate rows")?;
        let mut made = on_device(plan.output_words, "output pictures")?;
        let from_source = gpu.set([&jobs, &tables, &pixels, &middle])?;
        let from_outputs = gpu.set([&jobs, &tables, &made, &middle])?;
        let to_outputs = gpu.set([&jobs, &tables, &middle, &made])?;
        let mut recorder = Recorder::new(gpu, pixels.len(), finishing.words.max(1))?;
        recorder.upload(0, &pixels)?;
        for level in &plan.levels {
            let set = if level.from_outputs { &from_outputs } else { &from_source };
            recorder.barrier()?;
            recorder.dispatch(Kernel::Vertical, set, call(level.vertical, 0), level.vertical.groups)?;
            recorder.barrier()?;
            recorder.dispatch(Kernel::Horizontal, &to_outputs, call(level.horizontal, 0), level.horizontal.groups)?;
        }
        for (kernel, batch, words) in
            [(Kernel::Convert, finishing.convert, plan.output_words), (Kernel::Turn, finishing.turn, finishing.words)]
        {
            let Some(batch) = batch else { continue };
            let finished = on_device(words, "finished pictures")?;
            let set = gpu.set([&finish_jobs, &weights, &made, &finished])?;
            recorder.barrier()?;
            recorder.dispatch(kernel, &set, call(batch, finishing.orientation), batch.groups)?;
            made = finished;
        }
        recorder.barrier()?;
        recorder.download(&made, 0)?;
        // The same again for the host's side of upload and download.
        memory += pixels.size() + made.size();
        let (planes, sizes) = (plan.source, outputs.to_vec());
        Ok(Self { source, sizes, planes, outputs: finishing.outputs, memory, commands: recorder.finish()? })
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
        check_pictures(self.source, &self.sizes, src, out)
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

fn call(batch: Batch, orientation: u32) -> Call {
    // A dispatch has fewer workgroups than a word counts, or it is refused.
    [batch.first, batch.count, u32::try_from(batch.groups).unwrap_or(u32::MAX), orientation, 0, 0, 0, 0]
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

/// Fills buffers of the device once, each with its words.
fn fill(gpu: &Gpu, buffers: [&Subbuffer<[u32]>; 4], contents: [&Vec<u32>; 4]) -> Result<(), Error> {
    let mut recorder = Recorder::new(gpu, buffers.iter().map(|to| to.len()).sum(), 0)?;
    let mut at = 0;
    for to in buffers {
        recorder.upload(at, to)?;
        at += to.len();
    }
    let mut commands = recorder.finish()?;
    let mut upload = commands.upload()?;
    let mut rest = &mut upload[..];
    for (to, words) in buffers.iter().zip(contents) {
        let (part, behind) = rest.split_at_mut(to.size() as usize);
        for (bytes, word) in part.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_ne_bytes();
        }
        rest = behind;
    }
    drop(upload);
    run([&mut commands])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::vulkan::{Choice, Class};
    use std::sync::atomic::Ordering;

    /// What follows the loss of a device; the loss itself only a broken device or driver can show.
    #[test]
    fn a_lost_device_does_nothing_any_more() {
        let gpu = match Gpu::open(&Choice::Software) {
            Ok(gpu) => gpu,
            Err(error) => {
                println!("skipped: {error}");
                assert_eq!(error.class(), Class::Unavailable);
                return;
            }
        };
        let source = Source::yuv420((16, 16));
        let mut scaler = LadderScaler::new(&gpu, source, &[], Filter::CatmullRom).unwrap();
        let bytes = [0; 256];
        let picture = SourceRef::new(source, &[(&bytes, 16), (&bytes, 8), (&bytes, 8)]).unwrap();
        scaler.scale(&picture, &mut []).unwrap();
        gpu.shared.lost.store(true, Ordering::Relaxed);
        assert!(gpu.is_lost());
        let error = scaler.scale(&picture, &mut []).unwrap_err();
        assert_eq!((error.class(), &error), (Class::Device, &Error::Lost));
        assert_eq!(LadderScaler::new(&gpu, source, &[], Filter::CatmullRom).unwrap_err(), Error::Lost);
        assert!(matches!(run([&mut scaler.commands]), Err(Error::Lost)));
    }
}
