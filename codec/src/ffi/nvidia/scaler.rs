//! The kernels of this project at work on pictures of the decoder and surfaces of the encoder, where they lie.

use std::sync::Arc;
use std::time::Duration;

use headframe_kernels::cuda::batch;
use headframe_kernels::cuda::{CudaError, CudaHash, CudaLadder, DevicePicture, Event, Gpu, Job, Layout, Queue};
use headframe_kernels::{Format, Source};

use super::device::{Device, Planes};
use super::failure::NvidiaError;
use crate::engine::FILTER;

/// Scales pictures of a card into all renditions of a ladder at once, with the kernels of [`headframe_kernels::cuda`]:
/// sample for sample what the CPU engine makes of the same picture. It belongs to one thread at a time; a card may have several.
pub struct Scaler {
    device: Arc<Device>,
    /// There until it is dropped.
    kernels: Option<Kernels>,
}

/// A picture and what is to be made of it.
pub(super) struct Order<'a> {
    pub(super) source: Planes<'a>,
    pub(super) outputs: Vec<Planes<'a>>,
}

/// What is given back with the context current.
struct Kernels {
    /// For the pictures that came last.
    ladder: Option<CudaLadder>,
    hash: CudaHash,
    queue: Queue,
    gpu: Gpu,
}

impl Scaler {
    /// Loads the kernels. The first time on a machine the driver compiles them, which takes a second or so.
    ///
    /// # Errors
    /// The driver is older than 525, the card older than compute capability 6.1, or a call failed.
    pub fn open(device: &Arc<Device>) -> Result<Self, NvidiaError> {
        // The kernels make their context current and leave it so; with this the thread has afterwards what it had before.
        let _current = device.current()?;
        let gpu = Gpu::open(device.info().uuid)?;
        let kernels = Some(Kernels { ladder: None, hash: CudaHash::new(&gpu), queue: gpu.queue()?, gpu });
        Ok(Self { device: Arc::clone(device), kernels })
    }

    /// Makes all `outputs` of `source`, in 8 bits, and returns when the card is done, with the time it took by the card's own clock. Bicubic (Catmull-Rom), as
    /// [`headframe_kernels::reference`] defines it. What changes in size or depth from the call before is prepared for anew,
    /// which costs milliseconds.
    ///
    /// # Errors
    /// Class input if a size is too far from another to be scaled. The outputs have any content after an error.
    pub fn scale(&mut self, source: &Planes<'_>, outputs: &[Planes<'_>]) -> Result<Duration, NvidiaError> {
        self.scale_all(&[Order { source: *source, outputs: outputs.to_vec() }])
    }

    /// The same with several pictures at once, all of one size and depth and into outputs of the same sizes.
    pub(super) fn scale_all(&mut self, orders: &[Order<'_>]) -> Result<Duration, NvidiaError> {
        let _current = self.device.current()?;
        let kernels = kernels(&mut self.kernels)?;
        orders.iter().try_for_each(|order| order.check(&self.device))?;
        let queued = kernels.queue(orders);
        // Also after an error: what was queued before it must not outlive the borrow of the pictures.
        let done = kernels.queue.finish();
        let (begin, end) = queued?;
        done?;
        Ok(end.since(&begin)?)
    }

    /// The hash of a picture, by [`headframe_kernels::hash`]: made on the card, which only the hashes of rows leave.
    pub fn hash(&mut self, picture: &Planes<'_>) -> Result<[u8; 32], NvidiaError> {
        let _current = self.device.current()?;
        let kernels = kernels(&mut self.kernels)?;
        same_card(&self.device, picture)?;
        let picture = self::picture(&kernels.gpu, picture)?;
        // As before scaling.
        let queued = kernels.queue.wait_for_shared();
        let hashes = queued.and_then(|()| kernels.hash.pictures(&kernels.queue, &[&picture]));
        let done = kernels.queue.finish();
        let hashes = hashes?;
        done?;
        hashes.first().copied().ok_or(NvidiaError::Broken { what: "hash" })
    }

    /// Copies a picture to another surface of its size and depth, and returns when the card is done.
    pub fn copy(&mut self, from: &Planes<'_>, to: &Planes<'_>) -> Result<(), NvidiaError> {
        let _current = self.device.current()?;
        let kernels = kernels(&mut self.kernels)?;
        [from, to].into_iter().try_for_each(|planes| same_card(&self.device, planes))?;
        let (from, mut to) = (picture(&kernels.gpu, from)?, picture(&kernels.gpu, to)?);
        let queued = kernels.queue.copy(&from, &mut to);
        // As above.
        let done = kernels.queue.finish();
        queued?;
        Ok(done?)
    }
}

fn kernels(kernels: &mut Option<Kernels>) -> Result<&mut Kernels, NvidiaError> {
    kernels.as_mut().ok_or(NvidiaError::Broken { what: "scaler" })
}

fn same_card(device: &Device, planes: &Planes<'_>) -> Result<(), NvidiaError> {
    if planes.device.context() == device.context() { Ok(()) } else { Err(CudaError::OtherCard.into()) }
}

impl Order<'_> {
    /// What can be said before the card is asked.
    pub(super) fn check(&self, device: &Device) -> Result<(), NvidiaError> {
        self.outputs.iter().chain([&self.source]).try_for_each(|planes| same_card(device, planes))?;
        if self.outputs.iter().any(|output| output.bit_depth() != 8) {
            return Err(NvidiaError::Unsupported { what: "the kernels make pictures of 8 bits only".into() });
        }
        Ok(())
    }
}

impl Kernels {
    /// Marks before and behind the work.
    fn queue(&mut self, orders: &[Order<'_>]) -> Result<(Event, Event), NvidiaError> {
        let gpu = &self.gpu;
        let all =
            |planes: &[Planes<'_>]| planes.iter().map(|planes| picture(gpu, planes)).collect::<Result<Vec<_>, _>>();
        let pictures = orders.iter().map(|order| Ok((picture(gpu, &order.source)?, all(&order.outputs)?)));
        let mut pictures = pictures.collect::<Result<Vec<_>, NvidiaError>>()?;
        let Some((first, outputs)) = pictures.first() else { return Err(NvidiaError::Broken { what: "scaler" }) };
        let source = first.source();
        let sizes: Vec<_> = outputs.iter().map(|output| (output.source().width, output.source().height)).collect();
        let same = |ladder: &mut CudaLadder| ladder.source() == source && ladder.outputs() == sizes;
        let ladder = match self.ladder.take_if(same) {
            Some(ladder) => ladder,
            None => CudaLadder::new(gpu, source, &sizes, FILTER, Layout::Nv12)?,
        };
        let ladder = self.ladder.insert(ladder);
        // The decoder copies a picture out in the default stream, and may not be done when it is handed over.
        self.queue.wait_for_shared()?;
        let begin = self.queue.record()?;
        let mut jobs: Vec<_> = pictures.iter_mut().map(|(source, outputs)| Job { source, outputs }).collect();
        ladder.scale(&self.queue, &mut jobs)?;
        Ok((begin, self.queue.record()?))
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // Where the card is lost no context can be made current; everything is given back all the same.
        let _current = self.device.current();
        self.kernels = None;
    }
}

/// A picture as the kernels see it, to be used while the planes are borrowed.
fn picture(gpu: &Gpu, planes: &Planes<'_>) -> Result<DevicePicture, NvidiaError> {
    let format = if planes.bit_depth() == 8 { Format::Nv12 } else { Format::P010 };
    let (width, height) = planes.size();
    let wide = |_| NvidiaError::Unsupported { what: "a picture that takes more than 4 GB".into() };
    let pitch = u32::try_from(planes.pitch()).map_err(wide)?;
    // Chroma is behind luma, in every surface there is; a distance below zero is too much for 32 bits as well.
    let chroma = u32::try_from(planes.chroma().wrapping_sub(planes.luma())).map_err(wide)?;
    let surface = batch::Surface { base: planes.luma(), offsets: [chroma, 0], pitches: [pitch, pitch] };
    // SAFETY: `Planes` are made by a decoder's picture, by a surface and by a frame of FFmpeg's only, of rows that they have, and
    // borrow them; the caller compared the card. The value lives no longer than the call that has the borrow, which waits for the one queue
    // that it is used in.
    Ok(unsafe { DevicePicture::foreign(gpu, Source { width, height, format }, surface) }?)
}
