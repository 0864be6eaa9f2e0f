//! What all of libavcodec shares: errors, and the objects that decoders and encoders are made of. Written against
//! FFmpeg 5.1.
//!
//! Each type owns one C object and frees it on drop. Objects are used by one thread at a time (`&mut self`); only decoded
//! pictures are shared, and nothing writes to them any more.

use std::ffi::{CStr, CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Once;

use ffmpeg_next::ffi;

use crate::error::EngineError;

pub(super) const AGAIN: c_int = ffi::AVERROR(libc::EAGAIN);
pub(super) const NO_MEMORY: c_int = ffi::AVERROR(libc::ENOMEM);

/// Only what kills the process is worth a line: broken input would write thousands.
pub(super) fn quiet() {
    static ONCE: Once = Once::new();
    // SAFETY: sets one integer of the library, before its first use here.
    ONCE.call_once(|| unsafe { ffi::av_log_set_level(ffi::AV_LOG_FATAL) });
}

pub(super) fn failure(what: &str, code: c_int) -> EngineError {
    if code == NO_MEMORY {
        return EngineError::Memory { what: what.to_owned() };
    }
    let mut text = [0; 128];
    // SAFETY: the buffer and its size belong together; the function always terminates what it writes.
    unsafe { ffi::av_strerror(code, text.as_mut_ptr(), text.len()) };
    // SAFETY: the buffer is local and terminated, see above.
    let reason = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned();
    EngineError::Codec { what: what.to_owned(), code, reason }
}

pub(super) fn check(what: &str, code: c_int) -> Result<c_int, EngineError> {
    if code < 0 { Err(failure(what, code)) } else { Ok(code) }
}

pub(super) fn allocated<T>(what: &str, object: *mut T) -> Result<NonNull<T>, EngineError> {
    NonNull::new(object).ok_or_else(|| EngineError::Memory { what: what.to_owned() })
}

/// An `AVCodecContext`.
pub(super) struct Context(pub(super) NonNull<ffi::AVCodecContext>);

// SAFETY: a codec context may move between threads as long as one uses it at a time, which `&mut` ensures.
unsafe impl Send for Context {}

impl Context {
    pub(super) fn new(codec: *const ffi::AVCodec) -> Result<Self, EngineError> {
        // SAFETY: `codec` is null or a static description of the library; both are allowed.
        allocated("allocate a codec", unsafe { ffi::avcodec_alloc_context3(codec) }).map(Self)
    }

    pub(super) fn get(&mut self) -> &mut ffi::AVCodecContext {
        // SAFETY: allocated in `new`, freed only in `drop`; the borrow of `self` makes it exclusive.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut context = self.0.as_ptr();
        // SAFETY: made by `avcodec_alloc_context3`, freed once; the function clears our copy of the pointer.
        unsafe { ffi::avcodec_free_context(&mut context) };
    }
}

/// An `AVPacket`.
pub(super) struct Packet(pub(super) NonNull<ffi::AVPacket>);

// SAFETY: a plain structure with reference-counted data; used by one thread at a time.
unsafe impl Send for Packet {}

impl Packet {
    pub(super) fn new() -> Result<Self, EngineError> {
        // SAFETY: no preconditions.
        allocated("allocate a packet", unsafe { ffi::av_packet_alloc() }).map(Self)
    }

    /// Fills it with a padded copy of `data`.
    pub(super) fn set(&mut self, data: &[u8], pts: i64) -> Result<(), EngineError> {
        let size = c_int::try_from(data.len()).map_err(|_| failure("allocate a packet", NO_MEMORY))?;
        // SAFETY: the packet is live; what it held before is released.
        unsafe { ffi::av_packet_unref(self.0.as_ptr()) };
        // SAFETY: the packet is live and blank; the function allocates `size` bytes and the padding behind them.
        check("allocate a packet", unsafe { ffi::av_new_packet(self.0.as_ptr(), size) })?;
        // SAFETY: exclusive through `&mut self`.
        let packet = unsafe { self.0.as_mut() };
        // SAFETY: the packet has just been given `size` writable bytes, `data` has as many; they do not overlap.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), packet.data, data.len()) };
        packet.pts = pts;
        Ok(())
    }

    pub(super) fn get(&self) -> &ffi::AVPacket {
        // SAFETY: live from `new` to `drop`; nobody writes while a shared borrow exists.
        unsafe { self.0.as_ref() }
    }

    /// What it holds.
    pub(super) fn bytes(&self) -> &[u8] {
        let packet = self.get();
        let len = usize::try_from(packet.size).unwrap_or(0);
        match NonNull::new(packet.data) {
            // SAFETY: a packet has `size` readable bytes, which live until it is released; that takes `&mut self`.
            Some(start) => unsafe { std::slice::from_raw_parts(start.as_ptr(), len) },
            None => &[],
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: made by `av_packet_alloc`, freed once.
        unsafe { ffi::av_packet_free(&mut packet) };
    }
}

/// An `AVFrame`.
pub(super) struct Frame(pub(super) NonNull<ffi::AVFrame>);

// SAFETY: a structure with reference-counted, thread-safe buffers.
unsafe impl Send for Frame {}
// SAFETY: shared references only read plain fields and pixels, see `Picture`.
unsafe impl Sync for Frame {}

impl Frame {
    pub(super) fn new() -> Result<Self, EngineError> {
        // SAFETY: no preconditions.
        allocated("allocate a picture", unsafe { ffi::av_frame_alloc() }).map(Self)
    }

    pub(super) fn get(&self) -> &ffi::AVFrame {
        // SAFETY: live from `new` to `drop`; nobody writes while a shared borrow exists.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn get_mut(&mut self) -> &mut ffi::AVFrame {
        // SAFETY: as above, and exclusive.
        unsafe { self.0.as_mut() }
    }

    /// Start and stride of plane `i`, if it has memory.
    pub(super) fn plane(&self, i: usize) -> Option<(NonNull<u8>, usize)> {
        let frame = self.get();
        let stride = usize::try_from(frame.linesize[i]).ok().filter(|stride| *stride > 0)?;
        Some((NonNull::new(frame.data[i])?, stride))
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut frame = self.0.as_ptr();
        // SAFETY: made by `av_frame_alloc`, freed once; releases its reference to the pixels.
        unsafe { ffi::av_frame_free(&mut frame) };
    }
}

/// An `AVDictionary`.
pub(super) struct Options(pub(super) *mut ffi::AVDictionary);

impl Options {
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), EngineError> {
        let (key, value) = (CString::new(key), CString::new(value));
        let (Ok(key), Ok(value)) = (key, value) else { return Err(failure("set an option", ffi::AVERROR_BUG)) };
        // SAFETY: a live dictionary or null, which the function replaces; both strings are copied.
        check("set an option", unsafe { ffi::av_dict_set(&mut self.0, key.as_ptr(), value.as_ptr(), 0) })?;
        Ok(())
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: null or made by `av_dict_set`; freed once.
        unsafe { ffi::av_dict_free(&mut self.0) };
    }
}
