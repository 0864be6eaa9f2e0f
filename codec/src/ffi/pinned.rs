//! libx264 as the verification predicate pins it: every option comes from a profile, none from the engine, so that the
//! engine's encoder can change without changing a verdict.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::ffmpeg::{AGAIN, Context, Image, Options, Packet, check, check_x264, failure, quiet};
use crate::error::EngineError;

/// What to encode, and how.
pub(crate) struct Settings<'a> {
    pub(crate) size: (u32, u32),
    pub(crate) bitrate_bps: u32,
    /// Bits of the rate control's buffer.
    pub(crate) buffer_bits: u32,
    /// Pictures per second, a ratio.
    pub(crate) rate: (u32, u32),
    /// Most pictures from IDR to IDR.
    pub(crate) gop: u32,
    pub(crate) preset: &'a str,
    /// x264's own, joined by colons.
    pub(crate) options: &'a str,
}

/// An encoder with one thread and no B-frames: pictures come back in the order in which they were sent.
pub(crate) struct Encoder {
    context: Context,
    packet: Packet,
}

impl Encoder {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, EngineError> {
        quiet();
        // SAFETY: a terminated constant.
        let codec = unsafe { ffi::avcodec_find_encoder_by_name(c"libx264".as_ptr()) };
        if codec.is_null() {
            return Err(failure("find the encoder libx264", ffi::AVERROR_ENCODER_NOT_FOUND));
        }
        let mut context = Context::new(codec)?;
        let fields = context.get();
        let (num, den) = (settings.rate.0 as c_int, settings.rate.1 as c_int);
        fields.width = settings.size.0 as c_int;
        fields.height = settings.size.1 as c_int;
        fields.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
        fields.framerate = ffi::AVRational { num, den };
        fields.time_base = ffi::AVRational { num: den, den: num };
        fields.bit_rate = i64::from(settings.bitrate_bps);
        fields.rc_max_rate = i64::from(settings.bitrate_bps);
        fields.rc_buffer_size = c_int::try_from(settings.buffer_bits).unwrap_or(c_int::MAX);
        fields.gop_size = c_int::try_from(settings.gop).unwrap_or(c_int::MAX);
        fields.max_b_frames = 0;
        fields.thread_count = 1;
        let mut options = Options(ptr::null_mut());
        options.set("preset", settings.preset)?;
        options.set("profile", "high")?;
        options.set("forced-idr", "1")?;
        options.set("sc_threshold", "0")?;
        options.set("x264-params", settings.options)?;
        // SAFETY: the context was allocated for this codec and is not open yet; the options are live.
        let opened = unsafe { ffi::avcodec_open2(context.0.as_ptr(), codec, &mut options.0) };
        check_x264("open libx264", opened)?;
        Ok(Self { context, packet: Packet::new()? })
    }

    /// Sends one picture, or the end of all with `None`. Receive everything before sending more.
    pub(crate) fn send(&mut self, image: Option<(&mut Image, i64, bool)>) -> Result<(), EngineError> {
        let frame = match image {
            Some((image, index, key)) => {
                let frame = image.0.get_mut();
                frame.pts = index;
                frame.pict_type =
                    if key { ffi::AVPictureType::AV_PICTURE_TYPE_I } else { ffi::AVPictureType::AV_PICTURE_TYPE_NONE };
                ptr::from_ref(frame)
            }
            None => ptr::null(),
        };
        // SAFETY: the context is open; the frame is live with the size and format the encoder was opened for, or null,
        // which flushes.
        check_x264("encode", unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), frame) })
    }

    /// The next access unit (Annex B); `None` when the encoder wants more pictures or has ended.
    pub(crate) fn receive(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        // SAFETY: context open, packet live; the function releases what the packet held.
        let code = unsafe { ffi::avcodec_receive_packet(self.context.0.as_ptr(), self.packet.0.as_ptr()) };
        if code == AGAIN || code == ffi::AVERROR_EOF {
            return Ok(None);
        }
        check("encode", code)?;
        // SAFETY: live, exclusive.
        let packet = unsafe { self.packet.0.as_ref() };
        let len = usize::try_from(packet.size).unwrap_or(0);
        Ok(Some(match NonNull::new(packet.data) {
            // SAFETY: a received packet has `size` readable bytes, which live until the packet is released.
            Some(start) => unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }.to_vec(),
            None => Vec::new(),
        }))
    }
}
