//! Recording work for a device once, and doing it again and again.
//!
//! Every submission is waited for before anything else happens to what it uses, so host and device never meet in a
//! buffer. This is the only file that gives orders to a device.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ash::vk;
use vulkano::VulkanObject;
use vulkano::buffer::Subbuffer;
use vulkano::command_buffer::{
    CommandBuffer, CommandBufferBeginInfo, CommandBufferLevel, CopyBufferInfo, RecordingCommandBuffer,
};
use vulkano::descriptor_set::DescriptorSet;
use vulkano::pipeline::PipelineBindPoint;
use vulkano::sync::fence::Fence;
use vulkano::sync::{AccessFlags, DependencyInfo, MemoryBarrier, PipelineStages};

use super::device::{Gpu, Kind, Place};
use super::error::{Error, Explain};
use super::kernel::{Call, Kernel};

/// How long a device may work on one submission: a card takes some milliseconds, and one that others keep busy a moment
/// more.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same of a software driver, which takes a second for a large picture.
const PATIENCE_SOFTWARE: Duration = Duration::from_secs(60);
/// Workgroups in a row of a dispatch, and the most rows; every device takes 65535 both ways.
const ACROSS: u64 = 32_768;
const DOWN: u64 = 65_535;

const RECORDING: &str = "recording work";

/// Work in the making.
pub(super) struct Recorder<'a> {
    gpu: &'a Gpu,
    inner: RecordingCommandBuffer,
    /// What the commands use, to be kept as long as they are.
    keep: Vec<Arc<dyn Any + Send + Sync>>,
    upload: Subbuffer<[u32]>,
    download: Subbuffer<[u32]>,
}

impl<'a> Recorder<'a> {
    /// Work that reads `upload` words from the host and writes `download` words for it.
    pub(super) fn new(gpu: &'a Gpu, upload: u64, download: u64) -> Result<Self, Error> {
        let upload = gpu.buffer(upload, Place::Upload, "upload buffer")?;
        let download = gpu.buffer(download, Place::Download, "download buffer")?;
        let (family, level) = (gpu.shared.queue.queue_family_index(), CommandBufferLevel::Primary);
        let begin = CommandBufferBeginInfo::default();
        let inner = RecordingCommandBuffer::new(gpu.shared.commands.clone(), family, level, begin)
            .map_err(|error| error.explain(RECORDING))?;
        Ok(Self { gpu, inner, keep: Vec::new(), upload, download })
    }

    /// Fills `to` from word `from` of the upload on.
    pub(super) fn upload(&mut self, from: u64, to: &Subbuffer<[u32]>) -> Result<(), Error> {
        let part = self.upload.clone().slice(from..from + to.len());
        self.copy(part, to.clone())
    }

    /// Copies `from` to word `to` of the download.
    pub(super) fn download(&mut self, from: &Subbuffer<[u32]>, to: u64) -> Result<(), Error> {
        let part = self.download.clone().slice(to..to + from.len());
        self.copy(from.clone(), part)
    }

    fn copy(&mut self, from: Subbuffer<[u32]>, to: Subbuffer<[u32]>) -> Result<(), Error> {
        self.keep.extend([from.buffer().clone() as Arc<dyn Any + Send + Sync>, to.buffer().clone() as _]);
        // SAFETY: both buffers live as long as the commands (`keep`), have the usages for it (`Gpu::buffer`) and are
        // different ones; `barrier` separates this from what writes or reads them before and after.
        unsafe { self.inner.copy_buffer(&CopyBufferInfo::buffers(from, to)) }
            .map(|_| ())
            .map_err(|error| error.explain(RECORDING))
    }

    /// What was recorded so far is done, and seen by what comes, before any of that begins.
    pub(super) fn barrier(&mut self) -> Result<(), Error> {
        let work = PipelineStages::COMPUTE_SHADER | PipelineStages::ALL_TRANSFER;
        let writes = AccessFlags::SHADER_WRITE | AccessFlags::TRANSFER_WRITE;
        let reads = AccessFlags::SHADER_READ | AccessFlags::TRANSFER_READ;
        self.depend(work, writes, work, writes | reads)
    }

    fn depend(
        &mut self,
        src_stages: PipelineStages,
        src_access: AccessFlags,
        dst_stages: PipelineStages,
        dst_access: AccessFlags,
    ) -> Result<(), Error> {
        let barrier = MemoryBarrier { src_stages, src_access, dst_stages, dst_access, ..Default::default() };
        let info = DependencyInfo { memory_barriers: [barrier].into_iter().collect(), ..Default::default() };
        // SAFETY: a barrier over all memory, outside any render pass, names no resource.
        unsafe { self.inner.pipeline_barrier(&info) }.map(|_| ()).map_err(|error| error.explain(RECORDING))
    }

    /// `groups` workgroups of a kernel, numbered row after row; those behind the last find nothing to do.
    pub(super) fn dispatch(
        &mut self,
        kernel: Kernel,
        set: &Arc<DescriptorSet>,
        call: Call,
        groups: u64,
    ) -> Result<(), Error> {
        if groups == 0 {
            return Ok(());
        }
        let (across, down) = (groups.min(ACROSS), groups.div_ceil(ACROSS));
        if down > DOWN {
            return Err(Error::TooLarge { what: "workgroups", needed: groups, limit: ACROSS * DOWN });
        }
        let kernels = &self.gpu.shared.kernels;
        let (pipeline, layout) = (kernels.pipeline(kernel).clone(), &kernels.layout);
        self.keep.extend([pipeline.clone() as Arc<dyn Any + Send + Sync>, set.clone() as _, layout.clone() as _]);
        let refused = |error: Box<vulkano::ValidationError>| error.explain(RECORDING);
        // SAFETY: the pipeline lives as long as the commands (`keep`).
        unsafe { self.inner.bind_pipeline_compute(&pipeline) }.map_err(refused)?;
        let sets = [set.as_raw()];
        // SAFETY: the set and its buffers live as long as the commands (`keep`), and the set has the layout that all
        // kernels share (`Gpu::set`).
        unsafe { self.inner.bind_descriptor_sets(PipelineBindPoint::Compute, layout, 0, &sets, &[]) }
            .map_err(refused)?;
        // SAFETY: `Call` is the range of that layout, whole.
        unsafe { self.inner.push_constants(layout, 0, &call) }.map_err(refused)?;
        // SAFETY: everything that all kernels need is bound above. They read and write only the four buffers of the
        // set, inside their bounds (robust access is on), and all their loops end.
        unsafe { self.inner.dispatch([across as u32, down as u32, 1]) }.map_err(refused)?;
        Ok(())
    }

    /// The finished work.
    pub(super) fn finish(mut self) -> Result<Commands, Error> {
        self.depend(
            PipelineStages::ALL_TRANSFER,
            AccessFlags::TRANSFER_WRITE,
            PipelineStages::HOST,
            AccessFlags::HOST_READ,
        )?;
        // SAFETY: the commands above are the whole recording, each complete; no render pass or query is open.
        let buffer = unsafe { self.inner.end() }.map_err(|error| error.explain(RECORDING))?;
        let recorded = Recorded { buffer, upload: self.upload, download: self.download, _keep: self.keep };
        Ok(Commands { gpu: self.gpu.clone(), recorded: Arc::new(recorded) })
    }
}

struct Recorded {
    buffer: CommandBuffer,
    upload: Subbuffer<[u32]>,
    download: Subbuffer<[u32]>,
    _keep: Vec<Arc<dyn Any + Send + Sync>>,
}

/// Recorded work, to be done any number of times.
pub(super) struct Commands {
    gpu: Gpu,
    /// Shared with nobody, except with a device that hangs.
    recorded: Arc<Recorded>,
}

impl Commands {
    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What the next run reads. Borrows the work, so it cannot run meanwhile.
    pub(super) fn upload(&mut self) -> Result<impl DerefMut<Target = [u8]>, Error> {
        self.check()?;
        let what = |error: vulkano::sync::HostAccessError| refused("writing to the upload buffer", &error);
        self.recorded.upload.as_bytes().write().map_err(what)
    }

    /// What the last run wrote.
    pub(super) fn download(&mut self) -> Result<impl Deref<Target = [u8]>, Error> {
        self.check()?;
        let what = |error: vulkano::sync::HostAccessError| refused("reading the download buffer", &error);
        self.recorded.download.as_bytes().read().map_err(what)
    }

    /// A device that hangs may still be writing.
    fn check(&self) -> Result<(), Error> {
        if self.gpu.is_lost() { Err(Error::Lost) } else { Ok(()) }
    }
}

fn refused(what: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::Driver { what, reason: error.to_string() }
}

/// Does all of the work, in one submission, and waits for it.
pub(super) fn run<'a>(work: impl IntoIterator<Item = &'a mut Commands>) -> Result<(), Error> {
    let work: Vec<&mut Commands> = work.into_iter().collect();
    let Some(gpu) = work.first().map(|commands| commands.gpu.clone()) else { return Ok(()) };
    if !work.iter().all(|commands| Arc::ptr_eq(&commands.gpu.shared, &gpu.shared)) {
        return Err(Error::SeveralDevices);
    }
    if gpu.is_lost() {
        return Err(Error::Lost);
    }
    let lose = |error: Error| {
        if matches!(error, Error::Lost | Error::Hung { .. }) {
            gpu.shared.lost.store(true, Ordering::Relaxed);
        }
        error
    };
    let fence = Fence::from_pool(gpu.shared.device.clone()).map_err(|error| lose(error.explain("making a fence")))?;
    let buffers: Vec<vk::CommandBuffer> = work.iter().map(|commands| commands.recorded.buffer.handle()).collect();
    let submission = vk::SubmitInfo::default().command_buffers(&buffers);
    let (functions, queue) = (gpu.shared.device.fns(), &gpu.shared.queue);
    // The library's own call takes command buffers only that track resources; these are waited for instead.
    let submitted = queue.with(|_locked| {
        // SAFETY: all handles are of one device and alive: the command buffers until the wait below is over, or for ever
        // if it is in vain, and the fence likewise. The queue is locked. Each command buffer occurs once, as every
        // `Commands` is borrowed mutably, and is not pending: earlier submissions were waited for, or the device counts
        // as lost. The fence is new. No two `Commands` share a buffer that is written.
        unsafe { (functions.v1_0.queue_submit)(queue.handle(), 1, &submission, fence.handle()) }
    });
    submitted.result().map_err(|error| lose(vulkano::VulkanError::from(error).explain("submitting work")))?;
    let patience = if gpu.info().kind == Kind::Software { PATIENCE_SOFTWARE } else { PATIENCE };
    match fence.wait(Some(patience)) {
        Ok(()) => Ok(()),
        Err(vulkano::VulkanError::DeviceLost) => Err(lose(Error::Lost)),
        Err(error) => {
            // The device may still be at work: nothing that it uses is ever freed.
            let _used = ManuallyDrop::new(fence);
            let recorded = work.iter().map(|commands| commands.recorded.clone());
            let _used = ManuallyDrop::new(recorded.collect::<Vec<_>>());
            gpu.shared.lost.store(true, Ordering::Relaxed);
            Err(match error {
                vulkano::VulkanError::Timeout => Error::Hung { seconds: patience.as_secs() },
                other => other.explain("waiting for the device"),
            })
        }
    }
}
