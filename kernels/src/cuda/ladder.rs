//! Pictures into all rungs of a ladder, on a card: several pictures at once, each source read once.

use std::ffi::c_void;

use super::batch::{Batch, MAX_SURFACES};
use super::device::{Entry, Gpu, Memory, Queue};
use super::driver::check;
use super::error::CudaError;
use super::picture::DevicePicture;
use super::plan::{Kernel, Layout, Plan};
use crate::filter::Filter;
use crate::reference::NEUTRAL;
use crate::scale::ScaleError;
use crate::source::Source;

/// One picture and its outputs.
#[derive(Debug)]
pub struct Job<'a> {
    /// What is read.
    pub source: &'a DevicePicture,
    /// What is written, in the order that the scaler was made for.
    pub outputs: &'a mut [DevicePicture],
}

/// A launch, its plan in the card's memory.
#[derive(Debug)]
struct Stage {
    kernel: Kernel,
    plan: Memory,
    blocks: u32,
}

/// Scales pictures of one size and format into all outputs of a ladder; see [`mod@crate::reference`] for what it
/// computes. The counterpart of [`crate::LadderScaler`].
///
/// It keeps nothing between calls, so several queues may use it at once.
#[derive(Debug)]
pub struct CudaLadder {
    gpu: Gpu,
    source: Source,
    sizes: Vec<(u32, u32)>,
    layout: Layout,
    stages: Vec<Stage>,
}

impl CudaLadder {
    /// A scaler into `outputs` (luma width and height of each, in any order), 8-bit 4:2:0 with chroma as `layout` says.
    pub fn new(
        gpu: &Gpu,
        source: Source,
        outputs: &[(u32, u32)],
        filter: Filter,
        layout: Layout,
    ) -> Result<Self, CudaError> {
        Self::from_plan(gpu, Plan::new(source, outputs, filter, layout)?)
    }

    /// A scaler that does what `plan` says.
    pub fn from_plan(gpu: &Gpu, plan: Plan) -> Result<Self, CudaError> {
        let queue = gpu.queue()?;
        let stage = |stage: super::plan::Stage| {
            let memory = Memory::new(gpu, 4 * stage.words.len())?;
            queue.upload_words(&stage.words, &memory)?;
            Ok(Stage { kernel: stage.kernel, plan: memory, blocks: stage.blocks })
        };
        let stages = plan.stages.into_iter().map(stage).collect::<Result<_, CudaError>>()?;
        Ok(Self { gpu: gpu.clone(), source: plan.source, sizes: plan.outputs, layout: plan.layout, stages })
    }

    /// Size and format of the pictures this scaler reads.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Luma width and height of the outputs, in the order in which [`Self::scale`] takes them.
    pub fn outputs(&self) -> &[(u32, u32)] {
        &self.sizes
    }

    /// What output `i` must be.
    pub fn output(&self, i: usize) -> Option<Source> {
        self.sizes.get(i).map(|(width, height)| Source { width: *width, height: *height, format: self.layout.format() })
    }

    /// Queues the scaling of all jobs, in as few launches as their number allows: one for the source and one for each
    /// output that others are made from, for every 160 pictures or so, outputs counted. Returns before it is done. An error
    /// of the work itself appears at a later call.
    pub fn scale(&self, queue: &Queue, jobs: &mut [Job<'_>]) -> Result<(), CudaError> {
        queue.same(&self.gpu)?;
        jobs.iter().try_for_each(|job| self.check(job))?;
        // `Plan` sees to it that one job always fits.
        for jobs in jobs.chunks(MAX_SURFACES / (self.sizes.len() + 1)) {
            let mut batch = Batch::default();
            let surfaces = jobs.iter().flat_map(|job| std::iter::once(job.source).chain(&*job.outputs));
            for (slot, picture) in batch.surfaces.iter_mut().zip(surfaces) {
                *slot = *picture.surface();
            }
            if self.source.format.planes() == 1 {
                for output in jobs.iter().flat_map(|job| &*job.outputs) {
                    fill_chroma(queue, output)?;
                }
            }
            for stage in &self.stages {
                let mut plan = stage.plan.address();
                let mut parameters = [(&raw mut plan).cast::<c_void>(), (&raw mut batch).cast::<c_void>()];
                let entry = Entry::Scale(stage.kernel);
                // SAFETY: an address and a `Batch`, as the three scaling kernels take them. The plan was made for
                // pictures of these sizes and formats, which `check` compared, and is freed only after all work; the
                // pictures' memory is theirs for as long as they or work on them are there.
                unsafe { queue.launch(entry, stage.blocks, jobs.len() as u32, &mut parameters) }?;
            }
        }
        Ok(())
    }

    fn check(&self, job: &Job<'_>) -> Result<(), CudaError> {
        if job.source.source() != self.source {
            return Err(ScaleError::Source { want: self.source, have: job.source.source() }.into());
        }
        if job.outputs.len() != self.sizes.len() {
            return Err(ScaleError::Outputs { want: self.sizes.len(), have: job.outputs.len() }.into());
        }
        for (i, output) in job.outputs.iter().enumerate() {
            if let Some(want) = self.output(i).filter(|want| *want != output.source()) {
                return Err(ScaleError::Source { want, have: output.source() }.into());
            }
        }
        let mut cards = std::iter::once(job.source).chain(&*job.outputs).map(DevicePicture::gpu);
        if cards.all(|gpu| *gpu == self.gpu) { Ok(()) } else { Err(CudaError::OtherCard) }
    }
}

/// Queues chroma of no colour.
fn fill_chroma(queue: &Queue, output: &DevicePicture) -> Result<(), CudaError> {
    let driver = queue.gpu().current()?;
    let source = output.source();
    for plane in 1..source.format.planes() {
        let (row, height) = source.format.extent(plane, (source.width, source.height));
        let (address, pitch) = output.plane(plane);
        // SAFETY: the plane has these rows, by the construction of the picture.
        let code = unsafe { (driver.fill_rows)(address, pitch, NEUTRAL, row, height, queue.stream()) };
        check("cuMemsetD2D8Async", code)?;
    }
    Ok(())
}
