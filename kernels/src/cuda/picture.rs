//! Pictures in a card's memory: pitch-linear, as NVDEC gives them and NVENC takes them.

use std::ffi::c_void;

use super::batch::Surface;
use super::device::{Gpu, Memory, Queue};
use super::driver::check;
use super::error::CudaError;
use crate::filter::MAX_SIDE;
use crate::plane::{PlaneError, PlaneRef};
use crate::scale::ScaleError;
use crate::source::{Format, Source, SourceRef};
use cudarc::driver::sys::{CUDA_MEMCPY2D, CUmemorytype};

/// Rows begin at multiples of this many bytes; half of it for planes of half the width.
const PITCH: usize = 512;

/// Y, U or V of an 8-bit picture on a card.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    /// Address of the first sample.
    pub(super) first: u64,
    /// Bytes from row to row.
    pub(super) pitch: u32,
    /// Bytes from sample to sample.
    pub(super) step: u32,
    /// Samples of a row.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
}

/// A picture of any [`Format`] on a card. Rows of 10-bit samples are 16-bit words.
#[derive(Debug)]
pub struct DevicePicture {
    gpu: Gpu,
    source: Source,
    surface: Surface,
    /// Not for memory of others.
    _memory: Option<Memory>,
}

impl DevicePicture {
    /// A picture of its own, of any content. Planes lie behind each other without a gap, the pitch of U and V is half that of
    /// Y where they are planes of half the width: what NVENC expects of an input given by one address and one pitch.
    pub fn new(gpu: &Gpu, source: Source) -> Result<Self, CudaError> {
        check_sides(source)?;
        let (row, height) = source.format.extent(0, (source.width, source.height));
        let luma = row.next_multiple_of(PITCH);
        let last = source.format.planes() - 1;
        let (chroma_row, chroma_height) = source.format.extent(last, (source.width, source.height));
        let chroma = if last == 0 {
            0
        } else if chroma_row * 2 <= luma {
            luma / 2
        } else {
            luma.max(chroma_row.next_multiple_of(PITCH))
        };
        let offsets = [luma * height, luma * height + chroma * chroma_height];
        let memory = Memory::new(gpu, luma * height + last * chroma * chroma_height)?;
        let offsets = std::array::from_fn(|i| if i < last { offsets[i] as u32 } else { 0 });
        let surface = Surface { base: memory.address(), offsets, pitches: [luma as u32, chroma as u32] };
        Ok(Self { gpu: gpu.clone(), source, surface, _memory: Some(memory) })
    }

    /// A picture in memory of somebody else, such as a surface that NVDEC has mapped.
    ///
    /// # Errors
    /// If rows would overlap, a plane spans more than 4 GB, or samples of 10 bits lie at odd addresses. Addresses at multiples of 16 are read faster.
    ///
    /// # Safety
    /// All rows of all planes must lie in memory of this card, and stay there until this value is gone and every queue
    /// that it was used in is done.
    pub unsafe fn foreign(gpu: &Gpu, source: Source, surface: Surface) -> Result<Self, CudaError> {
        check_sides(source)?;
        let wrong = |reason| Err(CudaError::Picture { picture: source, reason });
        let last = source.format.planes() - 1;
        for plane in [0, last] {
            let (row, rows) = source.format.extent(plane, (source.width, source.height));
            let pitch = surface.pitches[plane.min(1)] as usize;
            if pitch < row {
                return wrong("the pitch is less than a row");
            }
            // Kernels count bytes of a plane in 32 bits.
            if pitch * rows > u32::MAX as usize {
                return wrong("a plane of more than 4 GB");
            }
        }
        let Surface { base, offsets, pitches } = surface;
        let all = base | [offsets, pitches].concat().iter().fold(0, |all, next| all | u64::from(*next));
        if source.format.bits() > 8 && all % 2 != 0 {
            return wrong("10-bit samples at odd addresses");
        }
        Ok(Self { gpu: gpu.clone(), source, surface, _memory: None })
    }

    /// Size and format.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The card that it is on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Where its planes are.
    pub fn surface(&self) -> &Surface {
        &self.surface
    }

    /// Where Y, U or V (0, 1, 2) of an 8-bit picture is.
    pub(super) fn channel(&self, channel: usize) -> Result<Channel, CudaError> {
        let (source, format) = (self.source, self.source.format);
        let wrong = |reason| Err(CudaError::Picture { picture: source, reason });
        if format.bits() > 8 {
            return wrong("only 8-bit pictures are compared and converted");
        }
        if channel > 2 || (channel > 0 && format.planes() == 1) {
            return wrong("it has no such channel");
        }
        let (across, down) = format.siting(channel);
        let (width, height) = (across.samples(source.width), down.samples(source.height));
        let pitch = self.surface.pitches[channel.min(1)];
        let (first, step) = match format {
            Format::Nv12 if channel > 0 => (self.plane(1).0 + channel as u64 - 1, 2),
            _ => (self.plane(channel).0, 1),
        };
        Ok(Channel { first, pitch, step, width, height })
    }

    /// Address of a plane and the bytes from row to row.
    pub(super) fn plane(&self, plane: usize) -> (u64, usize) {
        match plane {
            0 => (self.surface.base, self.surface.pitches[0] as usize),
            _ => (self.surface.base + u64::from(self.surface.offsets[plane - 1]), self.surface.pitches[1] as usize),
        }
    }
}

fn check_sides(source: Source) -> Result<(), CudaError> {
    for side in [source.width, source.height] {
        if side == 0 || side > MAX_SIDE {
            return Err(ScaleError::Side { src: side, dst: side }.into());
        }
    }
    Ok(())
}

impl Queue {
    /// Copies a picture to the card, and waits for that.
    pub fn upload(&self, from: &SourceRef<'_>, to: &mut DevicePicture) -> Result<(), CudaError> {
        self.same(&to.gpu)?;
        if from.source() != to.source {
            return Err(ScaleError::Source { want: to.source, have: from.source() }.into());
        }
        self.waited((0..to.source.format.planes()).try_for_each(|plane| {
            let (row, height) = to.source.format.extent(plane, (to.source.width, to.source.height));
            let (address, pitch) = to.plane(plane);
            let bytes = from.plane(plane);
            let (from_pitch, from) = (bytes.1, bytes.0);
            debug_assert!(from.len() >= from_pitch * (height - 1) + row);
            let copy = CUDA_MEMCPY2D {
                srcMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
                srcHost: from.as_ptr().cast::<c_void>(),
                srcPitch: from_pitch,
                dstMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
                dstDevice: address,
                dstPitch: pitch,
                WidthInBytes: row,
                Height: height,
                ..EMPTY
            };
            self.copy_rows(&copy)
        }))
    }

    /// Copies a picture from the card when everything queued before is done, and waits for that. `to` has a buffer for
    /// each plane and the bytes from row to row in it.
    pub fn download(&self, from: &DevicePicture, to: &mut [(&mut [u8], usize)]) -> Result<(), CudaError> {
        self.same(&from.gpu)?;
        let source = from.source;
        let wrong = |reason| CudaError::Picture { picture: source, reason };
        if to.len() != source.format.planes() {
            return Err(wrong("as many buffers as planes are needed"));
        }
        let extent = |plane: usize| source.format.extent(plane, (source.width, source.height));
        for (plane, (bytes, pitch)) in to.iter().enumerate() {
            let (row, height) = extent(plane);
            let shape: Result<PlaneRef<'_>, PlaneError> = PlaneRef::new(bytes, row, height, *pitch);
            shape.map_err(|_| wrong("a buffer is too small for its plane"))?;
        }
        self.waited(to.iter_mut().enumerate().try_for_each(|(plane, (bytes, pitch))| {
            let (row, height) = extent(plane);
            let (address, from_pitch) = from.plane(plane);
            let copy = CUDA_MEMCPY2D {
                srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
                srcDevice: address,
                srcPitch: from_pitch,
                dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
                dstHost: bytes.as_mut_ptr().cast::<c_void>(),
                dstPitch: *pitch,
                WidthInBytes: row,
                Height: height,
                ..EMPTY
            };
            self.copy_rows(&copy)
        }))
    }

    /// Waits for copies from or to the host's memory, also when an error kept some from being queued: those that were
    /// must not outlive the borrow of that memory.
    fn waited(&self, queued: Result<(), CudaError>) -> Result<(), CudaError> {
        let done = self.finish();
        queued.and(done)
    }

    /// Copies a picture to another one of its kind on the same card.
    pub fn copy(&self, from: &DevicePicture, to: &mut DevicePicture) -> Result<(), CudaError> {
        self.same(&from.gpu)?;
        self.same(&to.gpu)?;
        if from.source != to.source {
            return Err(ScaleError::Source { want: to.source, have: from.source }.into());
        }
        for plane in 0..from.source.format.planes() {
            let (row, height) = from.source.format.extent(plane, (from.source.width, from.source.height));
            let ((from, from_pitch), (to, to_pitch)) = (from.plane(plane), to.plane(plane));
            let copy = CUDA_MEMCPY2D {
                srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
                srcDevice: from,
                srcPitch: from_pitch,
                dstMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
                dstDevice: to,
                dstPitch: to_pitch,
                WidthInBytes: row,
                Height: height,
                ..EMPTY
            };
            self.copy_rows(&copy)?;
        }
        Ok(())
    }

    /// Callers have checked the shapes; memory on the host stays there until they have waited.
    fn copy_rows(&self, copy: &CUDA_MEMCPY2D) -> Result<(), CudaError> {
        let driver = self.gpu().current()?;
        // SAFETY: each side has `Height` rows of `WidthInBytes` bytes, `Pitch` apart: a picture on the card by its
        // construction, a buffer on the host because the callers compared; they wait before they return.
        check("cuMemcpy2DAsync", unsafe { (driver.copy_rows)(copy, self.stream()) })
    }
}

const EMPTY: CUDA_MEMCPY2D = CUDA_MEMCPY2D {
    srcXInBytes: 0,
    srcY: 0,
    srcMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
    srcHost: std::ptr::null(),
    srcDevice: 0,
    srcArray: std::ptr::null_mut(),
    srcPitch: 0,
    dstXInBytes: 0,
    dstY: 0,
    dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
    dstHost: std::ptr::null_mut(),
    dstDevice: 0,
    dstArray: std::ptr::null_mut(),
    dstPitch: 0,
    WidthInBytes: 0,
    Height: 0,
};
