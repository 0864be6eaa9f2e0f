//! FFmpeg's encoder on the card (`h264_nvenc`, `hevc_nvenc`): surfaces to be filled, encoded pictures in the order in which they
//! were filled. A session is for one segment: FFmpeg goes on with one that ended, but does not begin rate control anew.

use std::collections::VecDeque;
use std::ffi::{CString, c_int};
use std::ptr;
use std::sync::Arc;

use ffmpeg_next::ffi;

use super::super::device::Planes;
use super::super::encoder::EncodedPicture;
use super::super::failure::NvidiaError;
use super::super::settings::{EncoderSettings, RateControl, Tuning};
use super::failure::failure;
use super::frames::{Buffer, Libav};
use crate::error::EngineError;
use crate::ffi::ffmpeg::{AGAIN, Context, Frame, NO_MEMORY, Options, Packet};
use crate::ffi::picture::Look;
use crate::ladder::Codec;

const WHAT: &str = "encode with FFmpeg";

/// A session of the driver's encoder, opened by FFmpeg.
pub(crate) struct Session {
    libav: Arc<Libav>,
    /// There until it is dropped.
    context: Option<Context>,
    packet: Packet,
    pool: Buffer,
    /// The surface that was handed out to be filled.
    filling: Option<Frame>,
    ready: VecDeque<EncodedPicture>,
    /// Sent and not come back.
    in_flight: usize,
    /// The end was told.
    ended: bool,
    /// What FFmpeg said last that was no error to it: it waits where the driver is busy.
    said: String,
}

/// FFmpeg's name of an encoder.
fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264_nvenc",
        Codec::Hevc => "hevc_nvenc",
        Codec::Av1 => "av1_nvenc",
    }
}

fn no_memory<E>(_: E) -> NvidiaError {
    NvidiaError::Ffmpeg { what: WHAT, code: NO_MEMORY, said: String::new() }
}

impl Session {
    /// Opens a session. Class capacity: the system has no more of them, or the card or this FFmpeg cannot.
    pub(crate) fn open(libav: &Arc<Libav>, settings: &EncoderSettings) -> Result<Self, NvidiaError> {
        crate::ffi::ffmpeg::quiet();
        let name = name(settings.codec);
        let missing = || NvidiaError::Unsupported { what: format!("this FFmpeg has no {name}") };
        let text = CString::new(name).map_err(|_| missing())?;
        // SAFETY: a terminated text, not kept; an unknown name gives null.
        let codec = unsafe { ffi::avcodec_find_encoder_by_name(text.as_ptr()) };
        if codec.is_null() {
            return Err(missing());
        }
        let pool = libav.pool(settings.size)?;
        let mut context = Context::new(codec).map_err(no_memory)?;
        let fields = context.get();
        fields.hw_frames_ctx = pool.share()?;
        apply(settings, fields);
        let mut options = options(settings).map_err(no_memory)?;
        let packet = Packet::new().map_err(no_memory)?;
        let it = Self {
            libav: Arc::clone(libav),
            context: Some(context),
            packet,
            pool,
            filling: None,
            ready: VecDeque::new(),
            in_flight: 0,
            ended: false,
            said: String::new(),
        };
        let context = it.context()?;
        // SAFETY: the context was allocated for this codec and is not open yet; the options are live.
        libav.call(WHAT, || unsafe { ffi::avcodec_open2(context, codec, &mut options.0) })?;
        Ok(it)
    }

    fn context(&self) -> Result<*mut ffi::AVCodecContext, NvidiaError> {
        let broken = NvidiaError::Broken { what: "encoder session" };
        self.context.as_ref().map(|context| context.0.as_ptr()).ok_or(broken)
    }

    /// The surface to fill next; the same one until it is encoded. Whoever writes it must have finished before
    /// [`Self::encode`] is called.
    pub(crate) fn input(&mut self) -> Result<Planes<'_>, NvidiaError> {
        let frame = match self.filling.take() {
            Some(frame) => frame,
            None => self.libav.picture(&self.pool)?,
        };
        let frame = self.filling.insert(frame);
        self.libav.planes(frame).ok_or(NvidiaError::Nonsense { call: WHAT, what: "a surface that is not on the card" })
    }

    /// Encodes the surface that was filled last, as an IDR picture or whatever the encoder likes. The first picture is
    /// always an IDR picture. After an error the session can only be closed.
    pub(crate) fn encode(&mut self, time: i64, key: bool) -> Result<(), NvidiaError> {
        let Some(mut frame) = self.filling.take() else {
            return Err(NvidiaError::Unsupported { what: "no surface was filled before it was to be encoded".into() });
        };
        let fields = frame.get_mut();
        fields.pts = time;
        fields.pict_type =
            if key { ffi::AVPictureType::AV_PICTURE_TYPE_I } else { ffi::AVPictureType::AV_PICTURE_TYPE_NONE };
        self.send(ptr::from_ref(frame.get()))?;
        self.in_flight += 1;
        self.receive()
    }

    fn send(&mut self, frame: *const ffi::AVFrame) -> Result<(), NvidiaError> {
        let context = self.context()?;
        // SAFETY: an open encoder; a live frame of its pool, or null for the end.
        let (code, heard) = self.libav.listen(|| unsafe { ffi::avcodec_send_frame(context, frame) });
        self.judged(code, heard)
    }

    /// Takes what is encoded.
    fn receive(&mut self) -> Result<(), NvidiaError> {
        let context = self.context()?;
        loop {
            let packet = self.packet.0.as_ptr();
            // SAFETY: an open encoder; a live packet, whose content is released.
            let (code, heard) = self.libav.listen(|| unsafe { ffi::avcodec_receive_packet(context, packet) });
            if code == AGAIN || code == ffi::AVERROR_EOF {
                return self.judged(0, heard);
            }
            self.judged(code, heard)?;
            let packet = self.packet.get();
            let key = packet.flags & ffi::AV_PKT_FLAG_KEY != 0;
            self.ready.push_back(EncodedPicture { time: packet.pts, key, data: self.packet.bytes().to_vec() });
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    fn judged(&mut self, code: c_int, heard: String) -> Result<(), NvidiaError> {
        if code < 0 {
            let said = if heard.is_empty() { &self.said } else { &heard };
            return Err(failure(self.libav.device(), WHAT, code, said));
        }
        if !heard.is_empty() {
            self.said = heard;
        }
        Ok(())
    }

    /// Sent and not taken yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight + self.ready.len()
    }

    /// Whether all that is encoded was taken.
    pub(crate) fn has_room(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next encoded picture, if there is one.
    pub(crate) fn output(&mut self) -> Option<EncodedPicture> {
        self.ready.pop_front()
    }

    /// The end: waits for all that are left.
    pub(crate) fn drain(&mut self) -> Result<Vec<EncodedPicture>, NvidiaError> {
        self.end()?;
        if self.in_flight > 0 {
            return Err(failure(self.libav.device(), WHAT, AGAIN, &self.said));
        }
        Ok(self.ready.drain(..).collect())
    }

    fn end(&mut self) -> Result<(), NvidiaError> {
        self.ended = true;
        self.send(ptr::null())?;
        self.receive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What is in flight must have been encoded before its memory goes (nvEncodeAPI.h on destroying), and FFmpeg does not
        // wait. Where that fails, giving everything back is all that is left to do.
        if self.in_flight > 0 && !self.ended {
            let _ = self.end();
        }
        let device = Arc::clone(self.libav.device());
        let context = self.context.take();
        device.balanced(|| drop(context));
    }
}

/// Size, clock, rates and colours.
fn apply(settings: &EncoderSettings, fields: &mut ffi::AVCodecContext) {
    let int = |value: u32| c_int::try_from(value).unwrap_or(c_int::MAX);
    let (width, height) = settings.size;
    (fields.width, fields.height) = (int(width), int(height));
    fields.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_CUDA;
    // Times are ticks of 90 kHz; the rate control goes by the frame rate.
    fields.time_base = ffi::AVRational { num: 1, den: 90_000 };
    fields.framerate = ffi::AVRational { num: int(settings.rate.0), den: int(settings.rate.1) };
    let product = |a: u32, b: u32| i64::from(a) * i64::from(b);
    let (across, down) = (product(settings.aspect.0, height), product(settings.aspect.1, width));
    let mut sample = ffi::AVRational { num: 0, den: 1 };
    // SAFETY: writes two integers.
    unsafe { ffi::av_reduce(&mut sample.num, &mut sample.den, across, down, 65_535) };
    fields.sample_aspect_ratio = sample;
    fields.gop_size = if settings.gop == 0 { c_int::MAX } else { int(settings.gop) };
    fields.max_b_frames = 0;
    fields.bit_rate = i64::from(settings.bitrate_bps);
    fields.rc_max_rate = i64::from(match settings.control {
        RateControl::Variable { peak_bps } => peak_bps.max(settings.bitrate_bps),
        _ => settings.bitrate_bps,
    });
    fields.rc_buffer_size = int(settings.buffer_bits);
    let look = Look::of((sample.num, sample.den), &settings.colour);
    (fields.color_range, fields.color_primaries) = (look.range, look.primaries);
    (fields.color_trc, fields.colorspace) = (look.transfer, look.matrix);
}

/// The encoder's own.
fn options(settings: &EncoderSettings) -> Result<Options, EngineError> {
    let mut options = Options(ptr::null_mut());
    options.set("preset", &format!("p{}", settings.preset))?;
    options.set(
        "tune",
        match settings.tuning {
            Tuning::HighQuality => "hq",
            Tuning::LowLatency => "ll",
            Tuning::UltraLowLatency => "ull",
        },
    )?;
    match settings.control {
        RateControl::Constant => options.set("rc", "cbr")?,
        RateControl::Variable { .. } => options.set("rc", "vbr")?,
        RateControl::Quality(quality) => {
            options.set("rc", "vbr")?;
            options.set("cq", &quality.to_string())?;
        }
    }
    if settings.codec == Codec::H264 {
        options.set("profile", "high")?;
    }
    options.set("forced-idr", "1")?;
    options.set("aud", "1")?;
    options.set("zerolatency", "1")?;
    options.set("rc-lookahead", &settings.lookahead.to_string())?;
    Ok(options)
}
