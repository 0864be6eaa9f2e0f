//! The encoder behind the double: libx264, libx265 or libaom through libavcodec, one picture in, one out.
#![allow(unsafe_code, reason = "calls libavcodec and the CUDA library beside the double")]

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;
use headframe_double_ledger::{cuda, pointer};
use headframe_nv_sys::cuda::{
    CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST, CUDA_ERROR_NOT_INITIALIZED, CUDA_MEMCPY2D, CUDA_SUCCESS, CUresult,
};
use headframe_nv_sys::nvenc::{
    NV_ENC_BUFFER_FORMAT_NV12, NV_ENC_CODEC_AV1_GUID, NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID,
};

use crate::session::{Fixed, Resource};

/// What may change while a session lives.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Order {
    pub(crate) size: (u32, u32),
    pub(crate) rate: (u32, u32),
    pub(crate) bitrate: u32,
    pub(crate) peak: u32,
    pub(crate) buffer: u32,
    pub(crate) quality: Option<f32>,
    pub(crate) bit_depth: u32,
    /// Width and height of the picture as shown, a ratio.
    pub(crate) aspect: (u32, u32),
    /// Whether the range is full, primaries, transfer and matrix; `None` where the stream shall not say.
    pub(crate) colour: Option<[u32; 4]>,
}

/// Luma and interleaved chroma, rows without gaps, two bytes a sample where it has more than 8 bits.
pub(crate) struct Planes {
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Planes {
    /// A grey picture.
    pub(crate) fn grey(order: &Order) -> Self {
        let bytes = |samples: u32| {
            let word: &[u8] = if order.bit_depth == 8 { &[128] } else { &[0, 128] };
            word.repeat(samples as usize)
        };
        let samples = order.size.0 * order.size.1;
        Self { luma: bytes(samples), chroma: bytes(samples / 2) }
    }

    /// Nothing is left of what it showed.
    pub(crate) fn turn_grey(&mut self) {
        self.luma.fill(128);
        self.chroma.fill(128);
    }
}

/// Reads a registered picture from the card.
pub(crate) fn read(context: u64, resource: &Resource) -> Result<Planes, CUresult> {
    let cuda = cuda().ok_or(CUDA_ERROR_NOT_INITIALIZED)?;
    let sample = if resource.format == NV_ENC_BUFFER_FORMAT_NV12 { 1 } else { 2 };
    let (width, height) = (resource.size.0 as usize * sample, resource.size.1 as usize);
    let plane = |address: u64, rows: usize| {
        let mut bytes = vec![0_u8; width * rows];
        let copy = CUDA_MEMCPY2D {
            srcMemoryType: CU_MEMORYTYPE_DEVICE,
            srcDevice: address,
            srcPitch: resource.pitch,
            dstMemoryType: CU_MEMORYTYPE_HOST,
            dstHost: NonNull::new(bytes.as_mut_ptr().cast()),
            dstPitch: width,
            WidthInBytes: width,
            Height: rows,
            ..Default::default()
        };
        // SAFETY: as many rows of as many bytes as there is room for.
        let code = unsafe { (cuda.cuMemcpy2D_v2)(&copy) };
        if code == CUDA_SUCCESS { Ok(bytes) } else { Err(code) }
    };
    // SAFETY: the client's context, which lives as long as its session.
    let code = unsafe { (cuda.cuCtxPushCurrent_v2)(pointer(context)) };
    if code != CUDA_SUCCESS {
        return Err(code);
    }
    let luma = plane(resource.address, height);
    let chroma = plane(resource.address + (resource.pitch * height) as u64, height / 2);
    // SAFETY: undoes the push above.
    unsafe { (cuda.cuCtxPopCurrent_v2)(&mut None) };
    Ok(Planes { luma: luma?, chroma: chroma? })
}

/// Whether all of a picture lies in one allocation.
pub(crate) fn is_there(resource: &Resource) -> bool {
    let (mut base, mut len) = (0, 0);
    // SAFETY: writes two integers.
    let found = cuda().map(|cuda| unsafe { (cuda.cuMemGetAddressRange_v2)(&mut base, &mut len, resource.address) });
    let end = resource.address + resource.pitch as u64 * u64::from(resource.size.1) / 2 * 3;
    found == Some(CUDA_SUCCESS) && end <= base + len as u64
}

fn sample_aspect(order: &Order) -> ffi::AVRational {
    let (num, den) =
        (i64::from(order.aspect.0) * i64::from(order.size.1), i64::from(order.aspect.1) * i64::from(order.size.0));
    let mut aspect = ffi::AVRational { num: 0, den: 1 };
    // SAFETY: writes two integers.
    unsafe { ffi::av_reduce(&mut aspect.num, &mut aspect.den, num, den, 65_535) };
    aspect
}

pub(crate) struct Coder {
    context: NonNull<ffi::AVCodecContext>,
    frame: NonNull<ffi::AVFrame>,
    packet: NonNull<ffi::AVPacket>,
    count: i64,
}

// SAFETY: used by one thread at a time: who opens it, then under the lock of the sessions.
unsafe impl Send for Coder {}

impl Coder {
    pub(crate) fn open(fixed: &Fixed, order: &Order) -> Option<Self> {
        let name = match fixed.codec {
            NV_ENC_CODEC_H264_GUID => c"libx264",
            NV_ENC_CODEC_HEVC_GUID => c"libx265",
            NV_ENC_CODEC_AV1_GUID => c"libaom-av1",
            _ => return None,
        };
        // SAFETY: sets one integer of the library.
        unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
        // SAFETY: a constant name; null if this build lacks it.
        let codec = unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) };
        // SAFETY: a description of the library, or null, which is allowed.
        let context = NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) })?;
        // SAFETY: no preconditions.
        let (frame, packet) = unsafe { (ffi::av_frame_alloc(), ffi::av_packet_alloc()) };
        let mut it = Self { context, frame: NonNull::new(frame)?, packet: NonNull::new(packet)?, count: 0 };
        // SAFETY: allocated above, exclusive.
        let fields = unsafe { it.context.as_mut() };
        (fields.width, fields.height) = (order.size.0 as c_int, order.size.1 as c_int);
        fields.pix_fmt = match order.bit_depth {
            8 => ffi::AVPixelFormat::AV_PIX_FMT_YUV420P,
            10 if fixed.codec != NV_ENC_CODEC_H264_GUID => ffi::AVPixelFormat::AV_PIX_FMT_YUV420P10LE,
            _ => return None,
        };
        fields.time_base = ffi::AVRational { num: order.rate.1 as c_int, den: order.rate.0 as c_int };
        fields.framerate = ffi::AVRational { num: order.rate.0 as c_int, den: order.rate.1 as c_int };
        fields.sample_aspect_ratio = sample_aspect(order);
        fields.gop_size = c_int::try_from(fixed.gop).unwrap_or(c_int::MAX);
        fields.max_b_frames = 0;
        fields.thread_count = 1;
        // libaom has no limit to a quality.
        if order.quality.is_none() || fixed.codec != NV_ENC_CODEC_AV1_GUID {
            fields.rc_max_rate = order.peak.into();
            fields.rc_buffer_size = order.buffer as c_int;
        }
        fields.bit_rate = if order.quality.is_some() { 0 } else { order.bitrate.into() };
        let mut options = ptr::null_mut();
        let mut set = |key: &str, value: &str| {
            let (key, value) = (CString::new(key).unwrap_or_default(), CString::new(value).unwrap_or_default());
            // SAFETY: a live dictionary or null; both texts are copied.
            unsafe { ffi::av_dict_set(&mut options, key.as_ptr(), value.as_ptr(), 0) };
        };
        if let Some([full, primaries, transfer, matrix]) = order.colour {
            set("color_range", if full != 0 { "pc" } else { "tv" });
            set("color_primaries", &primaries.to_string());
            set("color_trc", &transfer.to_string());
            set("colorspace", &matrix.to_string());
        }
        if let Some(quality) = order.quality {
            set("crf", &quality.to_string());
        }
        match fixed.codec {
            NV_ENC_CODEC_AV1_GUID => {
                set("usage", "realtime");
                // Faster ones leave moving colours as they were.
                set("cpu-used", "6");
                set("lag-in-frames", "0");
            }
            _ => {
                set("preset", "ultrafast");
                set("tune", "zerolatency");
                set("forced-idr", "1");
                set("x265-params", "log-level=none:pools=none:frame-threads=1:repeat-headers=1:scenecut=0:aud=1");
                // What makes it the High profile, as it was ordered.
                set("x264-params", "scenecut=0:aud=1:8x8dct=1");
            }
        }
        // SAFETY: allocated for this codec, not open yet; options live.
        let opened = unsafe { ffi::avcodec_open2(it.context.as_ptr(), codec, &mut options) };
        // SAFETY: null or live, freed once.
        unsafe { ffi::av_dict_free(&mut options) };
        (opened >= 0).then_some(it)
    }

    /// One picture in, its access unit and whether decoding can begin there out.
    pub(crate) fn encode(&mut self, planes: &Planes, key: bool) -> Option<(Vec<u8>, bool)> {
        // SAFETY: live; only read.
        let fields = unsafe { self.context.as_ref() };
        // SAFETY: live; what it held is released.
        unsafe { ffi::av_frame_unref(self.frame.as_ptr()) };
        // SAFETY: live and exclusive.
        let frame = unsafe { self.frame.as_mut() };
        (frame.width, frame.height, frame.format) = (fields.width, fields.height, fields.pix_fmt as c_int);
        // SAFETY: a blank frame with size and format.
        if unsafe { ffi::av_frame_get_buffer(frame, 0) } < 0 {
            return None;
        }
        let deep = fields.pix_fmt != ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
        let (width, height) = (fields.width as usize, fields.height as usize);
        let sample = if deep { 2 } else { 1 };
        let fill = |plane: usize, width: usize, height: usize, at: &dyn Fn(usize, usize) -> u16| {
            for y in 0..height {
                // SAFETY: the plane has `height` rows of `linesize` bytes, at least `width` samples each.
                let row = unsafe { frame.data[plane].add(y * frame.linesize[plane] as usize) };
                for x in 0..width {
                    let bytes = at(x, y).to_le_bytes();
                    // SAFETY: within the row, see above.
                    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), row.add(x * sample), sample) };
                }
            }
        };
        // Samples of more than 8 bits stand in the upper bits of their words.
        let sample_of = |plane: &[u8], i: usize| match deep {
            true => u16::from_le_bytes([plane[2 * i], plane[2 * i + 1]]) >> 6,
            false => plane[i].into(),
        };
        fill(0, width, height, &|x, y| sample_of(&planes.luma, y * width + x));
        for c in 0..2 {
            fill(1 + c, width / 2, height / 2, &|x, y| sample_of(&planes.chroma, y * width + 2 * x + c));
        }
        frame.pts = self.count;
        frame.pict_type =
            if key { ffi::AVPictureType::AV_PICTURE_TYPE_I } else { ffi::AVPictureType::AV_PICTURE_TYPE_NONE };
        self.count += 1;
        // SAFETY: an open encoder and a frame as it was opened for.
        if unsafe { ffi::avcodec_send_frame(self.context.as_ptr(), self.frame.as_ptr()) } < 0 {
            return None;
        }
        // SAFETY: an open encoder and a live packet.
        if unsafe { ffi::avcodec_receive_packet(self.context.as_ptr(), self.packet.as_ptr()) } < 0 {
            return None;
        }
        // SAFETY: live, filled just now.
        let packet = unsafe { self.packet.as_ref() };
        // SAFETY: a packet has `size` bytes.
        let data = unsafe { std::slice::from_raw_parts(packet.data, packet.size as usize) }.to_vec();
        Some((data, packet.flags & ffi::AV_PKT_FLAG_KEY != 0))
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        let (mut context, mut frame, mut packet) = (self.context.as_ptr(), self.frame.as_ptr(), self.packet.as_ptr());
        // SAFETY: each allocated in `open`, freed once.
        unsafe { ffi::av_packet_free(&mut packet) };
        // SAFETY: as above.
        unsafe { ffi::av_frame_free(&mut frame) };
        // SAFETY: as above.
        unsafe { ffi::avcodec_free_context(&mut context) };
    }
}
