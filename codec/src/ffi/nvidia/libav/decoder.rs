//! FFmpeg's decoder on the card (`h264_cuvid`, `hevc_cuvid`): access units in, pictures out, in the order in which they are shown.
//! It copies every picture once more on the card than [`super::super::Decoder`] does, and does not tell which ones are damaged.

use std::ffi::{CString, c_int};
use std::ptr;
use std::sync::Arc;

use ffmpeg_next::ffi;

use super::super::decoder::Format;
use super::super::device::Planes;
use super::super::failure::NvidiaError;
use super::super::settings::Colour;
use super::super::stream::VideoCodec;
use super::failure::failure;
use super::frames::{Libav, blank};
use crate::error::Class;
use crate::ffi::ffmpeg::{AGAIN, Context, Frame, NO_MEMORY, Packet};

/// What a stream begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) codec: VideoCodec,
    /// Luma samples of a row, and rows. All pictures must be like the first: FFmpeg loses those that are still in the decoder
    /// when the size changes.
    pub(crate) size: (u32, u32),
    /// Samples have 10 bits, not 8.
    pub(crate) ten_bit: bool,
}

/// A decoded picture on the card.
pub(crate) struct Picture<'a> {
    planes: Planes<'a>,
    pub(crate) format: Format,
    pub(crate) time: i64,
}

impl Picture<'_> {
    /// Where it lies.
    pub(crate) fn planes(&self) -> Planes<'_> {
        self.planes
    }
}

type Sink<'a> = dyn FnMut(&Picture<'_>) -> Result<(), NvidiaError> + 'a;

/// A decoder of one segment.
pub(crate) struct Decoder {
    libav: Arc<Libav>,
    /// There until it is dropped.
    context: Option<Context>,
    packet: Packet,
    broken: bool,
}

const WHAT: &str = "decode with FFmpeg";

fn no_memory() -> NvidiaError {
    NvidiaError::Ffmpeg { what: WHAT, code: NO_MEMORY, said: String::new() }
}

impl Decoder {
    pub(crate) fn open(libav: &Arc<Libav>, opening: &Opening) -> Result<Self, NvidiaError> {
        crate::ffi::ffmpeg::quiet();
        let name = format!("{}_cuvid", opening.codec);
        let missing = NvidiaError::Unsupported { what: format!("this FFmpeg has no {name}") };
        let Ok(text) = CString::new(name) else { return Err(missing) };
        // SAFETY: a terminated text, not kept; an unknown name gives null.
        let codec = unsafe { ffi::avcodec_find_decoder_by_name(text.as_ptr()) };
        if codec.is_null() {
            return Err(missing);
        }
        let mut context = Context::new(codec).map_err(|_| no_memory())?;
        let fields = context.get();
        fields.thread_count = 1;
        fields.hw_device_ctx = libav.buffer().share()?;
        // Only for its question whether the card can do it.
        (fields.coded_width, fields.coded_height) = (opening.size.0 as c_int, opening.size.1 as c_int);
        fields.pix_fmt = match opening.ten_bit {
            true => ffi::AVPixelFormat::AV_PIX_FMT_P010LE,
            false => ffi::AVPixelFormat::AV_PIX_FMT_NV12,
        };
        // The driver's own clock, so that times pass unchanged.
        fields.pkt_timebase = ffi::AVRational { num: 1, den: 10_000_000 };
        let packet = Packet::new().map_err(|_| no_memory())?;
        let mut it = Self { libav: Arc::clone(libav), context: Some(context), packet, broken: false };
        let context = it.context()?;
        // SAFETY: the context was allocated for this codec and is not open yet.
        libav.call(WHAT, || unsafe { ffi::avcodec_open2(context, codec, ptr::null_mut()) })?;
        Ok(it)
    }

    fn context(&mut self) -> Result<*mut ffi::AVCodecContext, NvidiaError> {
        let broken = NvidiaError::Broken { what: "decoder" };
        self.context.as_ref().filter(|_| !self.broken).map(|context| context.0.as_ptr()).ok_or(broken)
    }

    /// Decodes one whole access unit, to be shown at `time`, and hands over what is to be shown now. The driver sees its end
    /// when the next one comes: an error of the stream is mostly that of the unit before. After any other error the decoder
    /// can only be closed.
    pub(crate) fn feed(&mut self, unit: &[u8], time: i64, sink: &mut Sink<'_>) -> Result<(), NvidiaError> {
        self.packet.set(unit, time).map_err(|_| no_memory())?;
        let packet = ptr::from_ref(self.packet.get());
        self.send(packet, sink)
    }

    /// The end: hands over all pictures that are left.
    pub(crate) fn flush(&mut self, sink: &mut Sink<'_>) -> Result<(), NvidiaError> {
        self.send(ptr::null(), sink)
    }

    fn send(&mut self, packet: *const ffi::AVPacket, sink: &mut Sink<'_>) -> Result<(), NvidiaError> {
        let context = self.context()?;
        let libav = Arc::clone(&self.libav);
        let outcome = (|| {
            loop {
                // SAFETY: an open decoder; a live, filled packet, or null for the end.
                let (code, heard) = libav.listen(|| unsafe { ffi::avcodec_send_packet(context, packet) });
                match code {
                    // It has a picture to give first.
                    AGAIN if self.receive(context, sink)? > 0 => {}
                    code if code < 0 => return Err(failure(libav.device(), WHAT, code, &heard)),
                    _ => return self.receive(context, sink).map(drop),
                }
            }
        })();
        outcome.inspect_err(|error| self.broken = error.class() != Class::Input)
    }

    /// Hands over what there is; gives how many that were.
    fn receive(&self, context: *mut ffi::AVCodecContext, sink: &mut Sink<'_>) -> Result<u32, NvidiaError> {
        let mut frame = blank(WHAT)?;
        let mut count = 0;
        loop {
            // SAFETY: an open decoder; a live frame, whose content is released.
            let (code, heard) = self.libav.listen(|| unsafe { ffi::avcodec_receive_frame(context, frame.get_mut()) });
            match code {
                // FFmpeg forgets what the driver said when it gave a picture back, but for its log.
                code if heard.contains("cuvidUnmapVideoFrame") => {
                    return Err(failure(self.libav.device(), WHAT, code, &heard));
                }
                AGAIN | ffi::AVERROR_EOF => return Ok(count),
                code if code < 0 => return Err(failure(self.libav.device(), WHAT, code, &heard)),
                _ => count += 1,
            }
            // SAFETY: an open decoder, which nobody uses meanwhile.
            let format = unsafe { format(context, &frame) };
            let odd = NvidiaError::Unsupported { what: "a picture in another format than NV12 or P010".into() };
            let planes = self.libav.planes(&frame).ok_or(odd)?;
            let format = Format { size: planes.size(), bit_depth: planes.bit_depth(), ..format };
            sink(&Picture { planes, format, time: frame.get().pts })?;
        }
    }
}

/// What is known of a picture, but for its size and depth.
///
/// # Safety
/// The context must be live, and not be written meanwhile.
unsafe fn format(context: *const ffi::AVCodecContext, frame: &Frame) -> Format {
    // FFmpeg copies the numbers of the stream, which its enumerations may not know.
    let number = |at: *const c_int| {
        // SAFETY: a field of the live context, of the size of an `int`.
        let value = unsafe { at.read() };
        u8::try_from(value).unwrap_or(2)
    };
    // SAFETY: live; only addresses of fields are taken, or plain integers read.
    let (colours, sample, rate, range) = unsafe {
        let colours = [
            ptr::addr_of!((*context).color_primaries).cast::<c_int>(),
            ptr::addr_of!((*context).color_trc).cast::<c_int>(),
            ptr::addr_of!((*context).colorspace).cast::<c_int>(),
        ];
        let range = ptr::addr_of!((*context).color_range).cast::<c_int>();
        (colours, (*context).sample_aspect_ratio, (*context).framerate, range)
    };
    let [primaries, transfer, matrix] = colours.map(number);
    let positive = |value: c_int| u32::try_from(value).unwrap_or(0);
    let fields = frame.get();
    let side = |side: c_int, ratio: c_int| positive(side).saturating_mul(positive(ratio));
    Format {
        size: (0, 0),
        bit_depth: 8,
        rate: (positive(rate.num), positive(rate.den)),
        aspect: (side(fields.width, sample.num), side(fields.height, sample.den)),
        progressive: fields.interlaced_frame == 0,
        colour: Colour {
            full_range: number(range) == ffi::AVColorRange::AVCOL_RANGE_JPEG as u8,
            primaries,
            transfer,
            matrix,
        },
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let device = Arc::clone(self.libav.device());
        // FFmpeg closes the driver's decoder in whatever context is current. Where the card is lost there is none, and
        // everything is given back all the same.
        let _current = device.current();
        self.context = None;
    }
}
