//! A decoder of libavcodec, as far as the double needs one.
#![allow(unsafe_code, reason = "calls libavcodec")]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;
use headframe_nv_sys::cuvid::{self, cudaVideoCodec};

/// A decoded picture: luma and interleaved chroma, rows without gaps; samples of more than 8 bits in the upper bits of
/// two bytes.
pub(crate) struct Image {
    pub(crate) number: i64,
    pub(crate) size: (usize, usize),
    pub(crate) luma: Vec<u8>,
    pub(crate) chroma: Vec<u8>,
    pub(crate) damaged: bool,
}

/// What a stream says of its pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    pub(crate) coded: (u32, u32),
    pub(crate) size: (u32, u32),
    pub(crate) bits: u8,
    pub(crate) rate: (u32, u32),
    pub(crate) aspect: (i32, i32),
    pub(crate) full_range: bool,
    /// Primaries, transfer, matrix.
    pub(crate) colour: [u8; 3],
}

pub(crate) struct Libav {
    context: NonNull<ffi::AVCodecContext>,
    packet: NonNull<ffi::AVPacket>,
    frame: NonNull<ffi::AVFrame>,
}

// SAFETY: used by one thread at a time, under the lock of its table.
unsafe impl Send for Libav {}

impl Libav {
    pub(crate) fn open(codec: cudaVideoCodec) -> Option<Self> {
        let id = match codec {
            cuvid::cudaVideoCodec_H264 => ffi::AVCodecID::AV_CODEC_ID_H264,
            cuvid::cudaVideoCodec_HEVC => ffi::AVCodecID::AV_CODEC_ID_HEVC,
            cuvid::cudaVideoCodec_VP9 => ffi::AVCodecID::AV_CODEC_ID_VP9,
            cuvid::cudaVideoCodec_AV1 => ffi::AVCodecID::AV_CODEC_ID_AV1,
            _ => return None,
        };
        // SAFETY: sets one integer of the library.
        unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
        // SAFETY: null if this build has none.
        let found = unsafe { ffi::avcodec_find_decoder(id) };
        // SAFETY: a description of the library, or null, which is allowed.
        let context = NonNull::new(unsafe { ffi::avcodec_alloc_context3(found) })?;
        // SAFETY: no preconditions.
        let (packet, frame) = unsafe { (ffi::av_packet_alloc(), ffi::av_frame_alloc()) };
        let mut it = Self { context, packet: NonNull::new(packet)?, frame: NonNull::new(frame)? };
        // SAFETY: allocated above, exclusive.
        unsafe { it.context.as_mut() }.thread_count = 1;
        // SAFETY: allocated for this codec, not open yet.
        (unsafe { ffi::avcodec_open2(it.context.as_ptr(), found, ptr::null_mut()) } >= 0).then_some(it)
    }

    /// Sends access unit `number`, or the end with `None`. Says whether anything could be made of it.
    pub(crate) fn send(&mut self, unit: Option<&[u8]>, number: i64) -> bool {
        let Some(unit) = unit else {
            // SAFETY: an open decoder; null is the end.
            return unsafe { ffi::avcodec_send_packet(self.context.as_ptr(), ptr::null()) } >= 0;
        };
        // SAFETY: live; what it held is released.
        unsafe { ffi::av_packet_unref(self.packet.as_ptr()) };
        let Ok(size) = c_int::try_from(unit.len()) else { return false };
        // SAFETY: live and blank; gets `size` bytes and the padding behind them.
        if unsafe { ffi::av_new_packet(self.packet.as_ptr(), size) } < 0 {
            return false;
        }
        // SAFETY: live and exclusive.
        let packet = unsafe { self.packet.as_mut() };
        // SAFETY: as many bytes as were just allocated.
        unsafe { ptr::copy_nonoverlapping(unit.as_ptr(), packet.data, unit.len()) };
        packet.pts = number;
        // SAFETY: an open decoder, a filled packet.
        let sent = unsafe { ffi::avcodec_send_packet(self.context.as_ptr(), self.packet.as_ptr()) };
        sent >= 0
    }

    /// The numbers of the pictures that are shown now, without their samples.
    pub(crate) fn shown(&mut self) -> Vec<i64> {
        let mut numbers = Vec::new();
        while let Some(number) = self.receive() {
            numbers.push(number);
        }
        numbers
    }

    /// The next picture.
    pub(crate) fn image(&mut self) -> Option<Image> {
        let number = self.receive()?;
        // SAFETY: live, filled just now.
        let frame = unsafe { self.frame.as_ref() };
        let size = (frame.width as usize, frame.height as usize);
        let deep = frame.format == ffi::AVPixelFormat::AV_PIX_FMT_YUV420P10LE as c_int;
        let bytes = if deep { 2 } else { 1 };
        let row = |plane: usize, y: usize, samples: usize| {
            // SAFETY: the plane has this row, at least as many samples long.
            unsafe {
                std::slice::from_raw_parts(frame.data[plane].add(y * frame.linesize[plane] as usize), samples * bytes)
            }
        };
        let push = |to: &mut Vec<u8>, sample: &[u8]| match *sample {
            [low, high] => to.extend((u16::from_le_bytes([low, high]) << 6).to_le_bytes()),
            _ => to.extend(sample),
        };
        let (width, height) = (size.0.div_ceil(2), size.1.div_ceil(2));
        let mut luma = Vec::with_capacity(size.0 * size.1 * bytes);
        let mut chroma = Vec::with_capacity(2 * width * height * bytes);
        for y in 0..size.1 {
            match deep {
                true => row(0, y, size.0).chunks(bytes).for_each(|sample| push(&mut luma, sample)),
                false => luma.extend_from_slice(row(0, y, size.0)),
            }
        }
        for y in 0..height {
            for (u, v) in row(1, y, width).chunks(bytes).zip(row(2, y, width).chunks(bytes)) {
                push(&mut chroma, u);
                push(&mut chroma, v);
            }
        }
        let damaged = frame.decode_error_flags != 0 || frame.flags & ffi::AV_FRAME_FLAG_CORRUPT != 0;
        Some(Image { number, size, luma, chroma, damaged })
    }

    /// Fills the frame and gives its number.
    fn receive(&mut self) -> Option<i64> {
        // Damage gives an error behind which more may come; the end and the lack of data come twice.
        for _ in 0..2 {
            // SAFETY: an open decoder, a live frame.
            if unsafe { ffi::avcodec_receive_frame(self.context.as_ptr(), self.frame.as_ptr()) } >= 0 {
                // SAFETY: live, filled just now.
                return Some(unsafe { self.frame.as_ref() }.pts);
            }
        }
        None
    }

    /// After the end: begins anew.
    pub(crate) fn restart(&mut self) {
        // SAFETY: an open decoder.
        unsafe { ffi::avcodec_flush_buffers(self.context.as_ptr()) };
    }

    /// What the stream says, once it has said it; formats that no card decodes have 0 bits.
    pub(crate) fn look(&self) -> Option<Look> {
        // SAFETY: live; only read.
        let it = unsafe { self.context.as_ref() };
        let bits = match it.pix_fmt {
            ffi::AVPixelFormat::AV_PIX_FMT_NONE => return None,
            ffi::AVPixelFormat::AV_PIX_FMT_YUV420P | ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P => 8,
            ffi::AVPixelFormat::AV_PIX_FMT_YUV420P10LE => 10,
            _ => 0,
        };
        let size = (u32::try_from(it.width).ok()?, u32::try_from(it.height).ok()?);
        let coded = (it.coded_width.unsigned_abs().max(size.0), it.coded_height.unsigned_abs().max(size.1));
        let sample = it.sample_aspect_ratio;
        let (x, y) = if sample.num > 0 { (sample.num, sample.den) } else { (1, 1) };
        (size.0 > 0 && size.1 > 0).then_some(Look {
            coded,
            size,
            bits,
            rate: (it.framerate.num.unsigned_abs(), it.framerate.den.unsigned_abs()),
            aspect: (it.width.saturating_mul(x), it.height.saturating_mul(y)),
            full_range: it.color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG,
            colour: [it.color_primaries as u8, it.color_trc as u8, it.colorspace as u8],
        })
    }
}

impl Drop for Libav {
    fn drop(&mut self) {
        let (mut context, mut packet, mut frame) = (self.context.as_ptr(), self.packet.as_ptr(), self.frame.as_ptr());
        // SAFETY: each allocated in `open`, freed once.
        unsafe { ffi::av_frame_free(&mut frame) };
        // SAFETY: as above.
        unsafe { ffi::av_packet_free(&mut packet) };
        // SAFETY: as above.
        unsafe { ffi::avcodec_free_context(&mut context) };
    }
}
