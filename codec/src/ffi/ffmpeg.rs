//! libavcodec: parse and decode H.264 and HEVC, encode H.264 with libx264. Written against FFmpeg 5.1.
//!
//! Each type owns one C object and frees it on drop. Objects are used by one thread at a time (`&mut self`); only
//! [`Picture`] is shared, and nothing writes to it any more.

use std::ffi::{CStr, CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Once;

use ffmpeg_next::ffi;
use headframe_kernels::{Format, Orientation, PlaneMut, Source, SourceRef, Yuv420Mut};

use crate::error::EngineError;
use crate::ladder::{Fps, Preset, Rate, Rendition};
use crate::ts::VideoKind;

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

/// x264 gives no reasons; with a checked ladder and checked pictures the only one left is that it got no memory.
pub(super) fn check_x264(what: &str, code: c_int) -> Result<(), EngineError> {
    check(what, if code == ffi::AVERROR_EXTERNAL { NO_MEMORY } else { code }).map(drop)
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
    fn plane(&self, i: usize) -> Option<(NonNull<u8>, usize)> {
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

/// Colour and shape of pictures, carried from decoder to encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    /// Sample aspect ratio; 0/1 when unknown.
    pub(crate) aspect: (i32, i32),
    range: ffi::AVColorRange,
    primaries: ffi::AVColorPrimaries,
    transfer: ffi::AVColorTransferCharacteristic,
    matrix: ffi::AVColorSpace,
}

impl Look {
    /// Whether samples use all of 0..=255.
    pub(crate) fn is_full_range(&self) -> bool {
        self.range == ffi::AVColorRange::AVCOL_RANGE_JPEG
    }

    /// Primaries, transfer and matrix as ITU-T H.273 numbers them; `None` where the stream does not say.
    pub(crate) fn colours(&self) -> [Option<u32>; 3] {
        let known = |code: u32| (code != 0 && code != 2).then_some(code);
        // Matrix 0 (RGB) cannot be 4:2:0, so zero may mean "unknown" for all three.
        [known(self.primaries as u32), known(self.transfer as u32), known(self.matrix as u32)]
    }
}

/// A decoded picture. Nothing writes to its pixels: the decoder may still read them as a reference.
pub(crate) struct Picture {
    pub(super) frame: Frame,
    /// Presentation time, once its timeline is known.
    pub(crate) pts: i64,
    /// How it has to be turned to be shown, once that is known.
    pub(crate) orientation: Orientation,
}

impl Picture {
    /// Luma width and height.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.frame.get().width as u32, self.frame.get().height as u32)
    }

    /// How this very picture says it has to be turned (H.264 D.2.27, HEVC D.3.17). Slanted pictures are taken for upright
    /// ones.
    pub(crate) fn said_orientation(&self) -> Option<Orientation> {
        const KIND: ffi::AVFrameSideDataType = ffi::AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX;
        // SAFETY: the frame is live; the function only reads its list of side data.
        let side = NonNull::new(unsafe { ffi::av_frame_get_side_data(self.frame.get(), KIND) })?;
        // SAFETY: an entry of the frame's list lives as long as the frame, and nobody writes to it.
        let side = unsafe { side.as_ref() };
        if side.data.is_null() || side.size < 9 * size_of::<i32>() {
            return None;
        }
        // SAFETY: a display matrix is an array of nine integers (display.h); the size was compared above.
        let matrix = unsafe { side.data.cast::<[i32; 9]>().read_unaligned() };
        Some(Orientation::of_map([matrix[0], matrix[1], matrix[3], matrix[4]]).unwrap_or_default())
    }

    /// Luma width and height of the upright picture.
    pub(crate) fn upright_size(&self) -> (u32, u32) {
        self.orientation.turned(self.size())
    }

    /// Whether data was missing and guessed.
    pub(crate) fn is_damaged(&self) -> bool {
        self.frame.get().decode_error_flags != 0 || self.frame.get().flags & ffi::AV_FRAME_FLAG_CORRUPT != 0
    }

    /// The time given to [`Decoder::send`].
    pub(crate) fn sent_pts(&self) -> Option<i64> {
        let frame = self.frame.get();
        [frame.pts, frame.best_effort_timestamp].into_iter().find(|pts| *pts != ffi::AV_NOPTS_VALUE)
    }

    /// Colour and shape.
    pub(crate) fn look(&self) -> Look {
        let frame = self.frame.get();
        use ffi::AVPixelFormat as Av;
        let full = [Av::AV_PIX_FMT_YUVJ420P, Av::AV_PIX_FMT_YUVJ422P, Av::AV_PIX_FMT_YUVJ444P];
        let full = full.iter().any(|full| *full as c_int == frame.format);
        Look {
            aspect: (frame.sample_aspect_ratio.num, frame.sample_aspect_ratio.den),
            range: if full { ffi::AVColorRange::AVCOL_RANGE_JPEG } else { frame.color_range },
            primaries: frame.color_primaries,
            transfer: frame.color_trc,
            matrix: frame.colorspace,
        }
    }

    /// The pixels.
    pub(crate) fn view(&self) -> Result<SourceRef<'_>, EngineError> {
        let frame = self.frame.get();
        let format = format_of(frame.format)?;
        let strange = || EngineError::PixelFormat { format: "planes without memory".to_owned() };
        let (width, height) = self.size();
        let source = Source { width, height, format };
        let mut planes = Vec::with_capacity(3);
        for i in 0..format.planes() {
            let (start, stride) = self.frame.plane(i).ok_or_else(strange)?;
            let (bytes, rows) = format.extent(i, (width, height));
            if bytes == 0 || rows == 0 || bytes > stride {
                return Err(strange());
            }
            // SAFETY: a decoded frame of this format owns, per plane, `rows` rows of at least `bytes` bytes that lie
            // `stride` bytes apart (frame.h, `AVFrame.data`); both were checked to be positive and to fit the stride.
            // The frame keeps its buffer for as long as `self` lives, and nobody writes to it.
            let data = unsafe { std::slice::from_raw_parts(start.as_ptr(), stride * (rows - 1) + bytes) };
            planes.push((data, stride));
        }
        SourceRef::new(source, &planes).map_err(|_| strange())
    }
}

/// How the scaler reads pictures of this `AVPixelFormat`.
fn format_of(format: c_int) -> Result<Format, EngineError> {
    use ffi::AVPixelFormat as Av;
    let known = [
        (Av::AV_PIX_FMT_YUV420P, Format::Yuv420),
        (Av::AV_PIX_FMT_YUVJ420P, Format::Yuv420),
        (Av::AV_PIX_FMT_YUV422P, Format::Yuv422),
        (Av::AV_PIX_FMT_YUVJ422P, Format::Yuv422),
        (Av::AV_PIX_FMT_YUV444P, Format::Yuv444),
        (Av::AV_PIX_FMT_YUVJ444P, Format::Yuv444),
        (Av::AV_PIX_FMT_GRAY8, Format::Grey),
        (Av::AV_PIX_FMT_YUV420P10LE, Format::Yuv420Ten),
        (Av::AV_PIX_FMT_YUV422P10LE, Format::Yuv422Ten),
        (Av::AV_PIX_FMT_YUV444P10LE, Format::Yuv444Ten),
        (Av::AV_PIX_FMT_GRAY10LE, Format::GreyTen),
    ];
    let found = known.into_iter().find(|(av, _)| *av as c_int == format);
    found.map(|(_, ours)| ours).ok_or_else(|| EngineError::PixelFormat { format: pixel_format_name(format) })
}

/// The library's name of a format. The binding's enumeration cannot hold numbers it does not know, so only the likely
/// ones are named.
fn pixel_format_name(format: c_int) -> String {
    use ffi::AVPixelFormat as Av;
    let likely = [
        (Av::AV_PIX_FMT_YUV420P12LE, "yuv420p12"),
        (Av::AV_PIX_FMT_YUV422P12LE, "yuv422p12"),
        (Av::AV_PIX_FMT_YUV444P12LE, "yuv444p12"),
        (Av::AV_PIX_FMT_YUV420P9LE, "yuv420p9"),
        (Av::AV_PIX_FMT_YUV420P14LE, "yuv420p14"),
        (Av::AV_PIX_FMT_GBRP, "gbrp"),
        (Av::AV_PIX_FMT_GBRP10LE, "gbrp10"),
    ];
    let named = likely.into_iter().find(|(known, _)| *known as c_int == format);
    named.map_or_else(|| format!("number {format}"), |(_, name)| name.to_owned())
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

    /// Feeds `data`, which begins at time `pts`, and hands every complete access unit with its time to `unit`. Empty
    /// data flushes.
    pub(crate) fn feed(
        &mut self,
        data: &[u8],
        pts: Option<i64>,
        mut unit: impl FnMut(&[u8], Option<i64>) -> Result<(), EngineError>,
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
                let time = unsafe { self.parser.as_ref() }.pts;
                unit(bytes, (time != ffi::AV_NOPTS_VALUE).then_some(time))?;
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
    }
}

/// A video decoder with one thread.
pub(crate) struct Decoder {
    pub(super) context: Context,
    packet: Packet,
}

/// What came of sending one access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Taken,
    /// The decoder could make nothing of it.
    Damaged,
}

impl Decoder {
    /// A decoder that refuses pictures of more than `max_pixels` samples.
    pub(crate) fn new(kind: VideoKind, max_pixels: u64) -> Result<Self, EngineError> {
        quiet();
        // SAFETY: no preconditions; an unknown id gives null.
        let codec = unsafe { ffi::avcodec_find_decoder(codec_id(kind)) };
        if codec.is_null() {
            return Err(failure("find a video decoder", ffi::AVERROR_DECODER_NOT_FOUND));
        }
        let mut context = Context::new(codec)?;
        context.get().thread_count = 1;
        context.get().max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
        // SAFETY: the context was allocated for this codec and is not open yet.
        check("open the video decoder", unsafe { ffi::avcodec_open2(context.0.as_ptr(), codec, ptr::null_mut()) })?;
        Ok(Self { context, packet: Packet::new()? })
    }

    /// Sends one access unit, or the end of all with `None`. Receive everything before sending more.
    pub(crate) fn send(&mut self, unit: Option<(&[u8], Option<i64>)>) -> Result<Sent, EngineError> {
        let packet = match unit {
            Some((data, pts)) => {
                self.packet.set(data, pts.unwrap_or(ffi::AV_NOPTS_VALUE))?;
                self.packet.0.as_ptr().cast_const()
            }
            None => ptr::null(),
        };
        // SAFETY: the context is open; the packet is live and filled, or null, which flushes.
        match unsafe { ffi::avcodec_send_packet(self.context.0.as_ptr(), packet) } {
            code if code == NO_MEMORY => Err(failure("decode", code)),
            code if code < 0 => Ok(Sent::Damaged),
            _ => Ok(Sent::Taken),
        }
    }

    /// The next picture; `None` when the decoder wants more data or has ended.
    pub(crate) fn receive(&mut self) -> Result<Option<Picture>, EngineError> {
        let mut frame = Frame::new()?;
        // A damaged unit gives an error, behind which more may come; the bound only guards against a stuck library.
        for _ in 0..64 {
            // SAFETY: context open, frame live and exclusive.
            match unsafe { ffi::avcodec_receive_frame(self.context.0.as_ptr(), frame.get_mut()) } {
                AGAIN | ffi::AVERROR_EOF => return Ok(None),
                NO_MEMORY => return Err(failure("decode", NO_MEMORY)),
                code if code < 0 => {}
                _ => return Ok(Some(Picture { frame, pts: 0, orientation: Orientation::UPRIGHT })),
            }
        }
        Ok(None)
    }
}

/// A picture to be encoded, with memory of its own.
pub(crate) struct Image(pub(super) Frame);

impl Image {
    pub(crate) fn new(width: u32, height: u32) -> Result<Self, EngineError> {
        let mut frame = Frame::new()?;
        let fields = frame.get_mut();
        fields.format = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int;
        fields.width = width as c_int;
        fields.height = height as c_int;
        // SAFETY: a blank frame with format and size set; the library chooses the alignment.
        check("allocate a picture", unsafe { ffi::av_frame_get_buffer(frame.0.as_ptr(), 0) })?;
        Ok(Self(frame))
    }

    /// The pixels, to be overwritten.
    pub(crate) fn view(&mut self) -> Result<Yuv420Mut<'_>, EngineError> {
        // SAFETY: live; copies the pixels if the encoder still holds a reference to them.
        check("reuse a picture", unsafe { ffi::av_frame_make_writable(self.0.0.as_ptr()) })?;
        let strange = || EngineError::PixelFormat { format: "planes without memory".to_owned() };
        let plane = |i| {
            let (start, stride) = self.0.plane(i).ok_or_else(strange)?;
            let side = |side: c_int| if i == 0 { side as usize } else { (side as usize).div_ceil(2) };
            let (width, height) = (side(self.0.get().width), side(self.0.get().height));
            if width == 0 || height == 0 || width > stride {
                return Err(strange());
            }
            // SAFETY: `av_frame_get_buffer` made `height` rows of `stride >= width` bytes per plane; the frame is the
            // only owner (made writable above) and borrowed exclusively; planes do not overlap.
            let data = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), stride * (height - 1) + width) };
            PlaneMut::new(data, width, height, stride).map_err(|_| strange())
        };
        Yuv420Mut::new(plane(0)?, plane(1)?, plane(2)?).map_err(|_| strange())
    }
}

/// What to encode.
pub(crate) struct Settings<'a> {
    pub(crate) rendition: &'a Rendition,
    /// x264's CRF where the rendition's bit rate is capped.
    pub(crate) rate_factor: f64,
    pub(crate) fps: Fps,
    /// Most pictures from IDR to IDR.
    pub(crate) gop: u32,
    pub(crate) look: Look,
}

/// x264's preset to start from, and what differs.
///
/// A live rendition gets more work the smaller it is: there it costs little, and a coarse search shows most. Measured with
/// the rate control of [`crate::pace`] against x264's own `veryfast` at constant bit rate without interruptions, on 60 s of
/// mixed content: 240p +0.10 dB (SSIM +0.2 dB) for 130 % of the time, 360p +0.11 dB for 77 %, 480p +0.24 dB for 61 %, at bits within 2.5 %.
/// Each picture of lookahead at all sizes of the standard ladder costs 6.4 MB; nine keep it below 190 MB.
fn x264_options(rendition: &Rendition) -> (&'static str, &'static str) {
    const SMALL: u32 = 426 * 240;
    const MEDIUM: u32 = 640 * 360;
    let changes = match rendition.preset {
        Preset::Density => "partitions=none:subme=1:me=dia:weightp=0:rc-lookahead=10",
        Preset::Live if rendition.width * rendition.height <= SMALL => "me=dia:subme=4:aq-mode=2:rc-lookahead=15",
        Preset::Live if rendition.width * rendition.height <= MEDIUM => "partitions=i8x8:me=dia:rc-lookahead=9",
        Preset::Live => "partitions=i8x8:subme=1:me=dia:rc-lookahead=9",
        Preset::Quality => "partitions=p8x8,i8x8,i4x4:subme=6:ref=2:trellis=1:rc-lookahead=30",
    };
    ("veryfast", changes)
}

/// An encoded picture.
pub(crate) struct Encoded {
    /// The index given to [`Encoder::send`].
    pub(crate) index: i64,
    pub(crate) key: bool,
    pub(crate) data: Vec<u8>,
}

/// libx264 with one thread: the bytes depend on the input and the library's version alone, not on the processor.
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
        let fps = ffi::AVRational { num: settings.fps.num as c_int, den: settings.fps.den as c_int };
        let rendition = settings.rendition;
        fields.width = rendition.width as c_int;
        fields.height = rendition.height as c_int;
        fields.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
        fields.framerate = fps;
        fields.time_base = ffi::AVRational { num: fps.den, den: fps.num };
        let factor = match rendition.rate {
            Rate::Capped => Some(settings.rate_factor),
            Rate::Quality(factor) => Some(f64::from(factor)),
            Rate::Cbr => None,
        };
        fields.bit_rate = if factor.is_none() { i64::from(rendition.bitrate_bps) } else { 0 };
        fields.rc_max_rate = i64::from(rendition.bitrate_bps);
        fields.rc_buffer_size = rendition.bitrate_bps as c_int;
        fields.gop_size = settings.gop as c_int;
        fields.max_b_frames = 0;
        fields.thread_count = 1;
        let (num, den) = settings.look.aspect;
        fields.sample_aspect_ratio = ffi::AVRational { num, den };
        fields.color_range = settings.look.range;
        fields.color_primaries = settings.look.primaries;
        fields.color_trc = settings.look.transfer;
        fields.colorspace = settings.look.matrix;
        let mut options = Options(ptr::null_mut());
        let (preset, changes) = x264_options(rendition);
        options.set("preset", preset)?;
        if let Some(factor) = factor {
            options.set("crf", &factor.to_string())?;
        }
        options.set("profile", "high")?;
        options.set("forced-idr", "1")?;
        options.set("aud", "1")?;
        options.set("sc_threshold", "0")?;
        options.set("x264-params", &format!("cpu-independent=1:{changes}"))?;
        // SAFETY: the context was allocated for this codec and is not open yet; the options are live.
        let opened = unsafe { ffi::avcodec_open2(context.0.as_ptr(), codec, &mut options.0) };
        check_x264("open libx264", opened)?;
        Ok(Self { context, packet: Packet::new()? })
    }

    /// Changes x264's CRF from the next picture sent on.
    pub(crate) fn set_rate_factor(&mut self, factor: f64) -> Result<(), EngineError> {
        let options = self.context.get().priv_data;
        // SAFETY: an open context's private data begins with its class, which has this option; the name is a constant.
        check("change the quality", unsafe { ffi::av_opt_set_double(options, c"crf".as_ptr(), factor, 0) })?;
        Ok(())
    }

    /// Sends picture number `index`, or the end of all with `None`. Receive everything before sending more.
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

    /// The next encoded picture; `None` when the encoder wants more pictures or has ended.
    pub(crate) fn receive(&mut self) -> Result<Option<Encoded>, EngineError> {
        // SAFETY: context open, packet live; the function releases what the packet held.
        let code = unsafe { ffi::avcodec_receive_packet(self.context.0.as_ptr(), self.packet.0.as_ptr()) };
        if code == AGAIN || code == ffi::AVERROR_EOF {
            return Ok(None);
        }
        check_x264("encode", code)?;
        // SAFETY: live, exclusive.
        let packet = unsafe { self.packet.0.as_ref() };
        let len = usize::try_from(packet.size).unwrap_or(0);
        let data = match NonNull::new(packet.data) {
            // SAFETY: a received packet has `size` readable bytes, which live until the packet is released.
            Some(start) => unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }.to_vec(),
            None => Vec::new(),
        };
        Ok(Some(Encoded { index: packet.pts, key: packet.flags & ffi::AV_PKT_FLAG_KEY != 0, data }))
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
