//! A card as FFmpeg sees it, and pictures in its memory.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ffmpeg_next::ffi;

use super::super::device::{Device, Planes};
use super::super::failure::NvidiaError;
use super::failure::failure;
use super::heard::listen;
use crate::ffi::ffmpeg::{Frame, NO_MEMORY};

/// `AVCUDADeviceContext` (libavutil/hwcontext_cuda.h), which the bindings lack.
#[repr(C)]
struct CudaDeviceContext {
    context: *mut c_void,
    stream: *mut c_void,
    internal: *mut c_void,
}

/// An `AVBufferRef`.
pub(super) struct Buffer(NonNull<ffi::AVBufferRef>);

// SAFETY: references are counted atomically; what devices and pools of frames share is locked by the library.
unsafe impl Send for Buffer {}
// SAFETY: as above; nothing is written through a shared one.
unsafe impl Sync for Buffer {}

impl Buffer {
    fn of(what: &'static str, buffer: *mut ffi::AVBufferRef) -> Result<Self, NvidiaError> {
        NonNull::new(buffer).map(Self).ok_or(NvidiaError::Ffmpeg { what, code: NO_MEMORY, said: String::new() })
    }

    /// One more reference, for the library to give back.
    pub(super) fn share(&self) -> Result<*mut ffi::AVBufferRef, NvidiaError> {
        // SAFETY: a live reference.
        let shared = unsafe { ffi::av_buffer_ref(self.0.as_ptr()) };
        match shared.is_null() {
            true => Err(NvidiaError::Ffmpeg { what: "share a buffer", code: NO_MEMORY, said: String::new() }),
            false => Ok(shared),
        }
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: live until `drop`.
        unsafe { self.0.as_ref() }.data
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffer = self.0.as_ptr();
        // SAFETY: this value's own reference, given back once.
        unsafe { ffi::av_buffer_unref(&mut buffer) };
    }
}

/// A card for FFmpeg, over the context that our kernels use.
pub(crate) struct Libav {
    buffer: Buffer,
    /// Declared, and so dropped, behind what lives in its context.
    device: Arc<Device>,
}

impl Libav {
    /// FFmpeg makes no context of its own: it gets the device's, and all it does is in the default stream.
    pub(crate) fn over(device: &Arc<Device>) -> Result<Self, NvidiaError> {
        let what = "take a card into use";
        // SAFETY: no preconditions.
        let buffer = unsafe { ffi::av_hwdevice_ctx_alloc(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA) };
        let buffer = Buffer::of(what, buffer)?;
        let context = buffer.data().cast::<ffi::AVHWDeviceContext>();
        // SAFETY: the data of a device's buffer is its context (libavutil/hwcontext.h), not in use by anybody else yet.
        let cuda = unsafe { (*context).hwctx }.cast::<CudaDeviceContext>();
        // SAFETY: for this type of device that is the structure above, allocated by the library.
        unsafe { (*cuda).context = device.context().as_ptr() };
        let it = Self { buffer, device: Arc::clone(device) };
        // SAFETY: a device with its context set, which lives as long as `device`; not initialised yet.
        it.call(what, || unsafe { ffi::av_hwdevice_ctx_init(it.buffer.0.as_ptr()) })?;
        Ok(it)
    }

    pub(super) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(super) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Makes a call; a negative code becomes the error behind it.
    pub(super) fn call(&self, what: &'static str, call: impl FnOnce() -> c_int) -> Result<c_int, NvidiaError> {
        let (code, heard) = self.listen(call);
        if code < 0 { Err(failure(&self.device, what, code, &heard)) } else { Ok(code) }
    }

    /// Makes a call, and gives what was heard meanwhile.
    pub(super) fn listen(&self, call: impl FnOnce() -> c_int) -> (c_int, String) {
        // FFmpeg leaves a context current where it fails half way.
        self.device.balanced(|| listen(call))
    }

    /// A pool of pictures of NV12 that grows with what is in use.
    pub(super) fn pool(&self, (width, height): (u32, u32)) -> Result<Buffer, NvidiaError> {
        let what = "make room for pictures";
        // SAFETY: a live, initialised device.
        let pool = Buffer::of(what, unsafe { ffi::av_hwframe_ctx_alloc(self.buffer.0.as_ptr()) })?;
        let context = pool.data().cast::<ffi::AVHWFramesContext>();
        // SAFETY: the data of a pool's buffer is its context (libavutil/hwcontext.h), not in use by anybody else yet.
        let context = unsafe { &mut *context };
        context.format = ffi::AVPixelFormat::AV_PIX_FMT_CUDA;
        context.sw_format = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
        (context.width, context.height) = (width as c_int, height as c_int);
        // SAFETY: a pool with formats and size set, not initialised yet.
        self.call(what, || unsafe { ffi::av_hwframe_ctx_init(pool.0.as_ptr()) })?;
        Ok(pool)
    }

    /// A picture of a pool.
    pub(super) fn picture(&self, pool: &Buffer) -> Result<Frame, NvidiaError> {
        let what = "make room for a picture";
        let mut frame = blank(what)?;
        // SAFETY: a live, initialised pool; a blank frame.
        self.call(what, || unsafe { ffi::av_hwframe_get_buffer(pool.0.as_ptr(), frame.get_mut(), 0) })?;
        Ok(frame)
    }

    /// Where a picture lies. `None` if it is not on the card, or in a format that is not read here.
    pub(super) fn planes<'a>(&'a self, frame: &'a Frame) -> Option<Planes<'a>> {
        let fields = frame.get();
        let pool = NonNull::new(fields.hw_frames_ctx)?;
        // SAFETY: a frame's own reference to its pool, whose data is the pool's context.
        let pool = unsafe { pool.as_ref() }.data.cast::<ffi::AVHWFramesContext>();
        // SAFETY: as above; read as a number, whatever it is.
        let format = unsafe { ptr::addr_of!((*pool).sw_format).cast::<c_int>().read() };
        let bit_depth = match format {
            nv12 if nv12 == ffi::AVPixelFormat::AV_PIX_FMT_NV12 as c_int => 8,
            p010 if p010 == ffi::AVPixelFormat::AV_PIX_FMT_P010LE as c_int => 10,
            // The same words; later FFmpegs call them so.
            p016 if p016 == ffi::AVPixelFormat::AV_PIX_FMT_P016LE as c_int => 10,
            _ => return None,
        };
        let positive = |value: c_int| u32::try_from(value).ok().filter(|value| *value > 0);
        Some(Planes {
            luma: fields.data[0].addr() as u64,
            chroma: fields.data[1].addr() as u64,
            pitch: positive(fields.linesize[0].min(fields.linesize[1]))? as usize,
            width: positive(fields.width)?,
            height: positive(fields.height)?,
            bit_depth,
            device: &self.device,
        })
    }
}

/// A frame with nothing in it.
pub(super) fn blank(what: &'static str) -> Result<Frame, NvidiaError> {
    Frame::new().map_err(|_| NvidiaError::Ffmpeg { what, code: NO_MEMORY, said: String::new() })
}
