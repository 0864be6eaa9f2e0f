//! Decoders and parsers of libavcodec: from an elementary stream to pictures or samples.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;
use headframe_kernels::{Format, Orientation};

use super::ffmpeg::{AGAIN, Context, Frame, NO_MEMORY, Packet, allocated, check, failure, quiet};
use super::picture::{Picture, format_of};
use crate::error::EngineError;
use crate::ts::VideoKind;

/// An access unit.
pub(crate) struct Unit {
    pub(crate) data: Vec<u8>,
    /// That of the data which it began in.
    pub(crate) time: Option<i64>,
    /// Whether decoding can begin here.
    pub(crate) key: bool,
    /// Counts in the order in which pictures are shown, from key to key.
    pub(crate) shown: i32,
    /// Of its samples, as its parameter sets have it; `None` where they are missing or nothing that is read here.
    pub(crate) format: Option<Format>,
    /// Luma width and height, as its parameter sets have them; zeros where they are missing.
    pub(crate) size: (u32, u32),
}

/// Cuts an elementary stream into access units.
pub(crate) struct Parser {
    parser: NonNull<ffi::AVCodecParserContext>,
    context: Context,
}

impl Parser {
    pub(crate) fn new(kind: VideoKind) -> Result<Self, EngineError> {
        Self::of(codec_id(kind))
    }

    pub(super) fn of(id: ffi::AVCodecID) -> Result<Self, EngineError> {
        quiet();
        let context = Context::new(ptr::null())?;
        // SAFETY: no preconditions; an unknown id gives null.
        let parser = allocated("open a parser", unsafe { ffi::av_parser_init(id as c_int) })?;
        Ok(Self { parser, context })
    }

    /// Feeds `data`, which begins at time `pts`, and hands every complete access unit to `unit`. Empty data flushes.
    pub(crate) fn feed(
        &mut self,
        data: &[u8],
        pts: Option<i64>,
        mut unit: impl FnMut(Unit) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        // libavcodec may read a little past the end (`AV_INPUT_BUFFER_PADDING_SIZE`).
        let mut padded = data.to_vec();
        padded.resize(data.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize, 0);
        let mut at = 0;
        let mut pts = pts.unwrap_or(ffi::AV_NOPTS_VALUE);
        loop {
            let (mut out, mut out_len) = (ptr::null_mut(), 0);
            let left = c_int::try_from(data.len() - at).map_err(|_| failure("parse", NO_MEMORY))?;
            // SAFETY: parser and context are live and exclusive; `left` readable bytes and the padding follow the
            // pointer; the outputs are written before they are read.
            let used = unsafe {
                ffi::av_parser_parse2(
                    self.parser.as_ptr(),
                    self.context.0.as_ptr(),
                    &mut out,
                    &mut out_len,
                    padded.as_ptr().add(at),
                    left,
                    pts,
                    ffi::AV_NOPTS_VALUE,
                    0,
                )
            };
            let used = check("parse", used)?;
            pts = ffi::AV_NOPTS_VALUE;
            if !out.is_null() && out_len > 0 {
                // SAFETY: the parser points to `out_len` bytes of its own buffer or of `padded`; both stay untouched
                // until the next call.
                let bytes = unsafe { std::slice::from_raw_parts(out, out_len as usize) };
                // SAFETY: live; read only.
                let state = unsafe { self.parser.as_ref() };
                unit(Unit {
                    data: bytes.to_vec(),
                    time: (state.pts != ffi::AV_NOPTS_VALUE).then_some(state.pts),
                    key: state.key_frame == 1,
                    shown: state.output_picture_number,
                    format: format_of(state.format).ok(),
                    size: (state.width.max(0) as u32, state.height.max(0) as u32),
                })?;
            }
            at += (used as usize).min(data.len() - at);
            // Flushing gives at most one unit; otherwise go on until all is used, or the parser is stuck.
            if at == data.len() || (used == 0 && out_len == 0) {
                return Ok(());
            }
        }
    }

    /// Luma width and height as the parser saw them last, before any decoding; 0 when unknown.
    pub(crate) fn size(&self) -> (u32, u32) {
        // SAFETY: live; read only.
        let parser = unsafe { self.parser.as_ref() };
        (parser.width.max(0) as u32, parser.height.max(0) as u32)
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        // SAFETY: made by `av_parser_init`, closed once.
        unsafe { ffi::av_parser_close(self.parser.as_ptr()) };
    }
}

fn codec_id(kind: VideoKind) -> ffi::AVCodecID {
    match kind {
        VideoKind::H264 => ffi::AVCodecID::AV_CODEC_ID_H264,
        VideoKind::Hevc => ffi::AVCodecID::AV_CODEC_ID_HEVC,
        VideoKind::Av1 => ffi::AVCodecID::AV_CODEC_ID_AV1,
        VideoKind::Vp9 => ffi::AVCodecID::AV_CODEC_ID_VP9,
    }
}

/// What came of sending one access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Taken,
    /// The decoder could make nothing of it.
    Damaged,
}

/// An open decoder of pictures or sound, with one thread.
pub(super) struct Decoding {
    pub(super) context: Context,
    packet: Packet,
}

impl Decoding {
    /// Opens the decoder for `id` after `configure` has had the context.
    pub(super) fn open(
        id: ffi::AVCodecID,
        configure: impl FnOnce(&mut ffi::AVCodecContext) -> Result<(), EngineError>,
    ) -> Result<Self, EngineError> {
        quiet();
        // SAFETY: no preconditions; an unknown id gives null.
        let codec = unsafe { ffi::avcodec_find_decoder(id) };
        if codec.is_null() {
            return Err(failure("find a decoder", ffi::AVERROR_DECODER_NOT_FOUND));
        }
        let mut context = Context::new(codec)?;
        context.get().thread_count = 1;
        configure(context.get())?;
        // SAFETY: the context was allocated for this codec and is not open yet.
        check("open a decoder", unsafe { ffi::avcodec_open2(context.0.as_ptr(), codec, ptr::null_mut()) })?;
        Ok(Self { context, packet: Packet::new()? })
    }

    /// Sends one access unit or frame, or the end of all with `None`. Receive everything before sending more.
    pub(super) fn send(&mut self, unit: Option<(&[u8], Option<i64>)>) -> Result<Sent, EngineError> {
        let packet = match unit {
            Some((data, pts)) => {
                self.packet.set(data, pts.unwrap_or(ffi::AV_NOPTS_VALUE))?;
                self.packet.0.as_ptr().cast_const()
            }
            None => ptr::null(),
        };
        // SAFETY: the context is open; the packet is live and filled, or null, which flushes.
        match unsafe { ffi::avcodec_send_packet(self.context.0.as_ptr(), packet) } {
            NO_MEMORY => Err(failure("decode", NO_MEMORY)),
            code if code < 0 => Ok(Sent::Damaged),
            _ => Ok(Sent::Taken),
        }
    }

    /// The next picture or run of samples; `None` when the decoder wants more data or has ended.
    pub(super) fn receive(&mut self) -> Result<Option<Frame>, EngineError> {
        let mut frame = Frame::new()?;
        // Damage gives an error, behind which more may come; the bound only guards against a stuck library.
        for _ in 0..64 {
            // SAFETY: context open, frame live and exclusive.
            match unsafe { ffi::avcodec_receive_frame(self.context.0.as_ptr(), frame.get_mut()) } {
                AGAIN | ffi::AVERROR_EOF => return Ok(None),
                NO_MEMORY => return Err(failure("decode", NO_MEMORY)),
                code if code < 0 => {}
                _ => return Ok(Some(frame)),
            }
        }
        Ok(None)
    }
}

/// A video decoder with one thread.
pub(crate) struct Decoder(pub(super) Decoding);

impl Decoder {
    /// A decoder that refuses pictures of more than `max_pixels` samples.
    pub(crate) fn new(kind: VideoKind, max_pixels: u64) -> Result<Self, EngineError> {
        let open = Decoding::open(codec_id(kind), |context| {
            context.max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
            Ok(())
        });
        open.map(Self)
    }

    /// Sends one access unit, or the end of all with `None`. Receive everything before sending more.
    pub(crate) fn send(&mut self, unit: Option<(&[u8], Option<i64>)>) -> Result<Sent, EngineError> {
        self.0.send(unit)
    }

    /// The next picture; `None` when the decoder wants more data or has ended.
    pub(crate) fn receive(&mut self) -> Result<Option<Picture>, EngineError> {
        Ok(self.0.receive()?.map(|frame| Picture { frame, pts: 0, orientation: Orientation::UPRIGHT }))
    }
}
