//! Encoders of libavcodec: open one, send to it, receive from it; and the one that makes a rung's pictures.

use std::ffi::{CString, c_int};
use std::ptr;

use ffmpeg_next::ffi;

use super::ffmpeg::{AGAIN, Context, Frame, NO_MEMORY, Options, Packet, check, quiet};
use super::picture::{Image, Look};
use super::{svtav1, x264, x265};
use crate::error::EngineError;
use crate::ladder::{Codec, Fps, Rendition};

/// An encoded picture or frame of sound.
pub(crate) struct Encoded {
    /// The time or index given to it.
    pub(crate) index: i64,
    pub(crate) key: bool,
    pub(crate) data: Vec<u8>,
}

/// An open encoder with one thread.
pub(super) struct Session {
    context: Context,
    packet: Packet,
    name: &'static str,
}

impl Session {
    /// Opens the encoder of this name after `configure` has had the context and the encoder's own options.
    pub(super) fn open(
        name: &'static str,
        configure: impl FnOnce(&mut ffi::AVCodecContext, &mut Options) -> Result<(), EngineError>,
    ) -> Result<Self, EngineError> {
        quiet();
        let codec = find(name);
        if codec.is_null() {
            return Err(EngineError::NoEncoder { encoder: name.to_owned() });
        }
        let mut context = Context::new(codec)?;
        context.get().thread_count = 1;
        let mut options = Options(ptr::null_mut());
        configure(context.get(), &mut options)?;
        // SAFETY: the context was allocated for this codec and is not open yet; the options are live.
        let opened = unsafe { ffi::avcodec_open2(context.0.as_ptr(), codec, &mut options.0) };
        check_external("open", name, opened)?;
        Ok(Self { context, packet: Packet::new()?, name })
    }

    pub(super) fn context(&mut self) -> &mut ffi::AVCodecContext {
        self.context.get()
    }

    /// Sends one picture or run of samples, or the end of all with `None`. Receive everything before sending more.
    pub(super) fn send(&mut self, frame: Option<&Frame>) -> Result<(), EngineError> {
        let frame = frame.map_or(ptr::null(), |frame| ptr::from_ref(frame.get()));
        // SAFETY: the context is open; the frame is live and as the encoder was opened for, or null, which flushes.
        check_external("encode with", self.name, unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), frame) })
    }

    /// Sends picture number `index`, to be a key picture or whatever the encoder likes, or the end of all with `None`.
    pub(super) fn send_picture(&mut self, image: Option<(&mut Image, i64, bool)>) -> Result<(), EngineError> {
        let Some((Image(frame), index, key)) = image else { return self.send(None) };
        let fields = frame.get_mut();
        fields.pts = index;
        fields.pict_type =
            if key { ffi::AVPictureType::AV_PICTURE_TYPE_I } else { ffi::AVPictureType::AV_PICTURE_TYPE_NONE };
        self.send(Some(frame))
    }

    /// What was encoded next; `None` when the encoder wants more or has ended.
    pub(super) fn receive(&mut self) -> Result<Option<Encoded>, EngineError> {
        // SAFETY: context open, packet live; the function releases what the packet held.
        let code = unsafe { ffi::avcodec_receive_packet(self.context.0.as_ptr(), self.packet.0.as_ptr()) };
        if code == AGAIN || code == ffi::AVERROR_EOF {
            return Ok(None);
        }
        check_external("encode with", self.name, code)?;
        let packet = self.packet.get();
        let key = packet.flags & ffi::AV_PKT_FLAG_KEY != 0;
        Ok(Some(Encoded { index: packet.pts, key, data: self.packet.bytes().to_vec() }))
    }
}

/// The library's description of an encoder; null if it has none of that name.
fn find(name: &str) -> *const ffi::AVCodec {
    let Ok(name) = CString::new(name) else { return ptr::null() };
    // SAFETY: a terminated string, not kept; an unknown name gives null.
    unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) }
}

/// Whether this build of the library can make pictures of this codec.
pub(crate) fn exists(codec: Codec) -> bool {
    !find(codec.encoder()).is_null()
}

/// Libraries behind libavcodec give no reasons; with a checked ladder and checked pictures the only one left is that they
/// got no memory.
fn check_external(what: &str, name: &str, code: c_int) -> Result<(), EngineError> {
    check(&format!("{what} {name}"), if code == ffi::AVERROR_EXTERNAL { NO_MEMORY } else { code }).map(drop)
}

/// What every video encoder is told, whatever it is.
pub(super) struct Shape {
    pub(super) size: (u32, u32),
    /// Pictures per second, a ratio.
    pub(super) rate: (u32, u32),
    /// Most pictures from IDR to IDR.
    pub(super) gop: u32,
}

impl Shape {
    /// Pictures come back in the order in which they are sent: there are no B-frames.
    pub(super) fn apply(&self, fields: &mut ffi::AVCodecContext) {
        let (num, den) = (self.rate.0 as c_int, self.rate.1 as c_int);
        fields.width = self.size.0 as c_int;
        fields.height = self.size.1 as c_int;
        fields.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
        fields.framerate = ffi::AVRational { num, den };
        fields.time_base = ffi::AVRational { num: den, den: num };
        fields.gop_size = c_int::try_from(self.gop).unwrap_or(c_int::MAX);
        fields.max_b_frames = 0;
    }
}

/// What to encode.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) rendition: &'a Rendition,
    /// x264's CRF where the rendition's bit rate is capped.
    pub(crate) rate_factor: f64,
    pub(crate) fps: Fps,
    /// Most pictures from IDR to IDR.
    pub(crate) gop: u32,
    pub(crate) look: Look,
}

impl Settings<'_> {
    /// Size, clock, colours and the limit of the bit rate, which mean the same to every encoder.
    pub(super) fn apply(&self, fields: &mut ffi::AVCodecContext) {
        let Self { rendition, fps, look, .. } = self;
        Shape { size: (rendition.width, rendition.height), rate: (fps.num, fps.den), gop: self.gop }.apply(fields);
        fields.rc_max_rate = i64::from(rendition.bitrate_bps);
        fields.rc_buffer_size = rendition.bitrate_bps as c_int;
        let (num, den) = look.aspect;
        fields.sample_aspect_ratio = ffi::AVRational { num, den };
        fields.color_range = look.range;
        fields.color_primaries = look.primaries;
        fields.color_trc = look.transfer;
        fields.colorspace = look.matrix;
    }
}

/// The encoder of one rung: the bytes depend on the input and the library's version alone, not on the processor.
pub(crate) struct Encoder<'a>(Kind<'a>);

enum Kind<'a> {
    X264(Session),
    X265(Session),
    SvtAv1(svtav1::Encoder<'a>),
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(settings: &Settings<'a>) -> Result<Self, EngineError> {
        Ok(Self(match settings.rendition.codec {
            Codec::H264 => Kind::X264(x264::open(settings)?),
            Codec::Hevc => Kind::X265(x265::open(settings)?),
            Codec::Av1 => Kind::SvtAv1(svtav1::Encoder::open(settings)?),
        }))
    }

    /// Changes the rate factor from the next picture sent on. Says whether it did: only x264 can.
    pub(crate) fn set_rate_factor(&mut self, factor: f64) -> Result<bool, EngineError> {
        match &mut self.0 {
            Kind::X264(session) => x264::set_rate_factor(session, factor).map(|()| true),
            Kind::X265(_) | Kind::SvtAv1(_) => Ok(false),
        }
    }

    /// Sends picture number `index`, which is to be a key picture or not, or the end of all with `None`. Receive everything
    /// before sending more.
    pub(crate) fn send(&mut self, image: Option<(&mut Image, i64, bool)>) -> Result<(), EngineError> {
        match &mut self.0 {
            Kind::X264(session) | Kind::X265(session) => session.send_picture(image),
            Kind::SvtAv1(encoder) => encoder.send(image),
        }
    }

    /// The next encoded picture: an access unit in Annex B form, or the units of AV1 without a delimiter. `None` when the
    /// encoder wants more pictures or has ended.
    pub(crate) fn receive(&mut self) -> Result<Option<Encoded>, EngineError> {
        match &mut self.0 {
            Kind::X264(session) | Kind::X265(session) => session.receive(),
            Kind::SvtAv1(encoder) => encoder.receive(),
        }
    }
}
