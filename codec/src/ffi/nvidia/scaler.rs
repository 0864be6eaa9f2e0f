//! The kernels of this project at work on pictures of the decoder and surfaces of the encoder, where they lie.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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
    /// Loads the kernels, if nobody has on this device: the driver compiles them then, which takes a second or so.
    ///
    /// # Errors
    /// The driver is older than 525, the card older than compute capability 6.1, or a call failed.
    pub fn open(device: &Arc<Device>) -> Result<Self, NvidiaError> {
        // The kernels make their context current and leave it so; with this the thread has afterwards what it had before.
        let _current = device.current()?;
        let gpu = device.kernels()?;
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
        let (begin, end) = kernels.waited(|kernels| kernels.queue(orders))?;
        Ok(end.since(&begin)?)
    }

    /// The hash of a picture, by [`headframe_kernels::hash`]: made on the card, which only the hashes of rows leave.
    pub fn hash(&mut self, picture: &Planes<'_>) -> Result<[u8; 32], NvidiaError> {
        let _current = self.device.current()?;
        let kernels = kernels(&mut self.kernels)?;
        same_card(&self.device, picture)?;
        let picture = self::picture(&kernels.gpu, picture)?;
        let hashes = kernels.waited(|kernels| {
            // As before scaling.
            kernels.queue.wait_for_shared()?;
            Ok(kernels.hash.pictures(&kernels.queue, &[&picture])?)
        })?;
        hashes.first().copied().ok_or(NvidiaError::Broken { what: "hash" })
    }

    /// Copies a picture to another surface of its size and depth, and returns when the card is done.
    pub fn copy(&mut self, from: &Planes<'_>, to: &Planes<'_>) -> Result<(), NvidiaError> {
        let _current = self.device.current()?;
        let kernels = kernels(&mut self.kernels)?;
        [from, to].into_iter().try_for_each(|planes| same_card(&self.device, planes))?;
        let (from, mut to) = (picture(&kernels.gpu, from)?, picture(&kernels.gpu, to)?);
        kernels.waited(|kernels| {
            // As before scaling.
            kernels.queue.wait_for_shared()?;
            Ok(kernels.queue.copy(&from, &mut to)?)
        })
    }

    /// Copies a picture of 8 bits and an even width from the card, its rows without gaps, luma and then chroma with U and V in
    /// turn, and returns when that is done. Unlike [`Device::download`] it waits for nothing that others have in work: the picture
    /// must be there.
    pub fn download(&mut self, from: &Planes<'_>, to: &mut Vec<u8>) -> Result<(), NvidiaError> {
        let _current = self.device.current()?;
        let kernels = kernels(&mut self.kernels)?;
        same_card(&self.device, from)?;
        let (width, height) = from.size();
        if from.bit_depth() != 8 || width % 2 != 0 {
            return Err(NvidiaError::Unsupported {
                what: "only pictures of 8 bits and an even width are copied".into(),
            });
        }
        let (row, rows) = (width as usize, height as usize);
        to.resize(row * (rows + rows.div_ceil(2)), 0);
        let (luma, chroma) = to.split_at_mut(row * rows);
        let picture = picture(&kernels.gpu, from)?;
        // It waits by itself, also after an error.
        kernels.queue.download(&picture, &mut [(luma, row), (chroma, row)])?;
        self.device.link.carry(&self.device.link.to_host, to.len());
        Ok(())
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
    /// Queues work and waits for it, also after an error and in a panic: what was queued before that must not outlive the borrow of
    /// the pictures.
    fn waited<T>(&mut self, queue: impl FnOnce(&mut Self) -> Result<T, NvidiaError>) -> Result<T, NvidiaError> {
        let queued = catch_unwind(AssertUnwindSafe(|| queue(self)));
        let done = self.queue.finish();
        let queued = queued.unwrap_or_else(|panic| resume_unwind(panic))?;
        done?;
        Ok(queued)
    }

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
