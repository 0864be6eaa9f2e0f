//! libavcodec for sound: decode what is not AAC in ADTS, encode AAC-LC. Written against FFmpeg 5.1.

use std::ffi::c_int;
use std::ptr;

use ffmpeg_next::ffi;

use super::decoder::{Decoding, Parser};
use super::encoder::Session;
use super::ffmpeg::{Frame, allocated, check};
use crate::error::EngineError;
use crate::ts::AudioCoding;

/// Most channels that are read.
const MAX_CHANNELS: usize = 8;
/// Samples per channel and AAC frame.
pub(crate) const AAC_FRAME: usize = 1024;

fn codec_id(coding: AudioCoding) -> ffi::AVCodecID {
    match coding {
        // This decoder and parser know all three layers.
        AudioCoding::Mpeg => ffi::AVCodecID::AV_CODEC_ID_MP3,
        AudioCoding::Ac3 => ffi::AVCodecID::AV_CODEC_ID_AC3,
        AudioCoding::Eac3 => ffi::AVCodecID::AV_CODEC_ID_EAC3,
        AudioCoding::Latm => ffi::AVCodecID::AV_CODEC_ID_AAC_LATM,
        AudioCoding::Opus { .. } => ffi::AVCodecID::AV_CODEC_ID_OPUS,
    }
}

/// Cuts an elementary stream into frames.
pub(crate) fn parser(coding: AudioCoding) -> Result<Parser, EngineError> {
    Parser::of(codec_id(coding))
}

/// Decoded samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples {
    /// The time given to [`SoundDecoder::send`].
    pub(crate) pts: Option<i64>,
    pub(crate) rate: u32,
    /// What each channel is, as the bits of FFmpeg's channel masks; 0 when unknown.
    pub(crate) mask: u64,
    /// All of one length.
    pub(crate) channels: Vec<Vec<f32>>,
}

/// A decoder with one thread.
pub(crate) struct SoundDecoder(Decoding);

impl SoundDecoder {
    pub(crate) fn new(coding: AudioCoding) -> Result<Self, EngineError> {
        let open = Decoding::open(codec_id(coding), |context| {
            let AudioCoding::Opus { channels } = coding else { return Ok(()) };
            // RFC 7845 5.1: version, channels, no pre-skip (a segment begins in the middle), 48 kHz, no gain, family 0.
            let head = [b"OpusHead".as_slice(), &[1, channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]].concat();
            let padded = head.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
            // SAFETY: no preconditions; the memory comes zeroed.
            let memory = allocated("open a decoder", unsafe { ffi::av_mallocz(padded) })?.cast::<u8>();
            // SAFETY: `padded` bytes were just allocated, more than are copied.
            unsafe { ptr::copy_nonoverlapping(head.as_ptr(), memory.as_ptr(), head.len()) };
            // The context owns it from here on.
            context.extradata = memory.as_ptr();
            context.extradata_size = head.len() as c_int;
            Ok(())
        });
        open.map(Self)
    }

    /// Sends one frame, or the end of all with `None`. What cannot be decoded is lost without an error. Receive
    /// everything before sending more.
    pub(crate) fn send(&mut self, frame: Option<(&[u8], Option<i64>)>) -> Result<(), EngineError> {
        self.0.send(frame).map(drop)
    }

    /// The next samples; `None` when the decoder wants more data or has ended. Frames in a format that no decoder here
    /// makes are left out.
    pub(crate) fn receive(&mut self) -> Result<Option<Samples>, EngineError> {
        while let Some(frame) = self.0.receive()? {
            if let Some(samples) = samples(&frame) {
                return Ok(Some(samples));
            }
        }
        Ok(None)
    }
}

/// The samples as floating point, channel by channel; `None` in a format no decoder here makes.
fn samples(frame: &Frame) -> Option<Samples> {
    use ffi::AVSampleFormat as Av;
    let fields = frame.get();
    let count = usize::try_from(fields.nb_samples).ok()?;
    let channels = usize::try_from(fields.ch_layout.nb_channels).ok()?;
    let rate = u32::try_from(fields.sample_rate).ok().filter(|rate| *rate > 0)?;
    if count == 0 || !(1..=MAX_CHANNELS).contains(&channels) {
        return None;
    }
    let is = |format: Av| fields.format == format as c_int;
    let planar = is(Av::AV_SAMPLE_FMT_FLTP) || is(Av::AV_SAMPLE_FMT_S16P);
    let float = is(Av::AV_SAMPLE_FMT_FLTP) || is(Av::AV_SAMPLE_FMT_FLT);
    if !planar && !float && !is(Av::AV_SAMPLE_FMT_S16) {
        return None;
    }
    let read = |channel: usize| {
        let (plane, first, step) = if planar { (channel, 0, 1) } else { (0, channel, channels) };
        let start = fields.data[plane];
        if start.is_null() {
            return None;
        }
        let len = if planar { count } else { count * channels };
        let all: Vec<f32> = if float {
            // SAFETY: frame.h: a plane of this format holds `len` aligned floats (all channels' where they are
            // interleaved); up to eight planes are in `data`. The frame lives while the slice does.
            unsafe { std::slice::from_raw_parts(start.cast::<f32>(), len) }.to_vec()
        } else {
            // SAFETY: as above, with 16-bit integers.
            unsafe { std::slice::from_raw_parts(start.cast::<i16>(), len) }
                .iter()
                .map(|v| f32::from(*v) / 32768.0)
                .collect()
        };
        Some(all.into_iter().skip(first).step_by(step).collect())
    };
    let native = fields.ch_layout.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE;
    // SAFETY: in the native order the union holds the mask.
    let mask = if native { unsafe { fields.ch_layout.u.mask } } else { 0 };
    let pts = (fields.pts != ffi::AV_NOPTS_VALUE).then_some(fields.pts);
    Some(Samples { pts, rate, mask, channels: (0..channels).map(read).collect::<Option<_>>()? })
}

/// libavcodec's AAC-LC encoder for one or two channels.
pub(crate) struct AacEncoder {
    session: Session,
    sent: i64,
}

impl AacEncoder {
    /// `rate` has to be one that AAC knows.
    pub(crate) fn new(rate: u32, channels: usize) -> Result<Self, EngineError> {
        let session = Session::open("aac", |fields, _| {
            fields.sample_rate = rate as c_int;
            fields.sample_fmt = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
            fields.time_base = ffi::AVRational { num: 1, den: rate as c_int };
            fields.bit_rate = 64_000 * channels as i64;
            fields.flags |= ffi::AV_CODEC_FLAG_BITEXACT as c_int;
            // SAFETY: a field of a live, exclusively borrowed context that holds no layout yet.
            unsafe { ffi::av_channel_layout_default(&mut fields.ch_layout, channels as c_int) };
            Ok(())
        });
        Ok(Self { session: session?, sent: 0 })
    }

    /// Sends [`AAC_FRAME`] samples of every channel, or the end of all with `None`. Receive everything before sending
    /// more.
    pub(crate) fn send(&mut self, channels: Option<&[Vec<f32>]>) -> Result<(), EngineError> {
        let Some(channels) = channels else { return self.session.send(None) };
        let mut frame = Frame::new()?;
        let context = self.session.context();
        let (layout, rate) = (context.ch_layout, context.sample_rate);
        let fields = frame.get_mut();
        fields.nb_samples = AAC_FRAME as c_int;
        fields.format = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as c_int;
        fields.sample_rate = rate;
        // A default layout owns no memory, so a plain copy is a whole one.
        fields.ch_layout = layout;
        fields.pts = self.sent;
        // SAFETY: a blank frame with format, layout and length set; the library chooses the alignment.
        check("encode sound", unsafe { ffi::av_frame_get_buffer(frame.0.as_ptr(), 0) })?;
        for (i, channel) in channels.iter().enumerate().take(layout.nb_channels as usize) {
            let count = channel.len().min(AAC_FRAME);
            let start = frame.get().data[i].cast::<f32>();
            // SAFETY: `av_frame_get_buffer` gave each of the layout's planes room for `AAC_FRAME` floats; the frame is new
            // and owned, so nothing overlaps.
            unsafe { ptr::copy_nonoverlapping(channel.as_ptr(), start, count) };
            // SAFETY: the rest of the same plane.
            unsafe { ptr::write_bytes(start.add(count), 0, AAC_FRAME - count) };
        }
        self.sent += AAC_FRAME as i64;
        self.session.send(Some(&frame))
    }

    /// The next AAC frame without a header; `None` when the encoder wants more samples or has ended.
    pub(crate) fn receive(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.session.receive()?.map(|frame| frame.data))
    }
}
