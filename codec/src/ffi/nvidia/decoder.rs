//! A decoder: access units in, pictures on the card out, in the order in which they are shown.
//!
//! The driver's parser finds the pictures in the stream and calls back, on the caller's thread and within the call that
//! fed it: once for every new format, then for each picture to be decoded, then for each one to be shown. A picture that is
//! shown is mapped at once, which copies it out of the decoder's own buffers, so the parser may use those again.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use headframe_nv_sys::cuda::{CUDA_SUCCESS, CUresult, CUstream};
use headframe_nv_sys::cuvid::{
    self, Area16, CUVIDDECODECREATEINFO, CUVIDEOFORMAT, CUVIDGETDECODESTATUS, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS,
    CUVIDPICPARAMS, CUVIDPROCPARAMS, CUVIDSOURCEDATAPACKET, CUvideodecoder, CUvideoparser, Cuvid, VideoSignal,
};

use super::device::{Device, Planes};
use super::failure::NvidiaError;
use super::settings::Colour;
use super::stream::VideoCodec;

/// Surfaces that a decoder may have.
const MOST_SURFACES: c_int = 32;
/// Those that it has beside what the stream needs: as many as FFmpeg's `h264_cuvid` takes.
const MORE_SURFACES: c_int = 3;

/// What a stream may ask of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Luma samples of a picture.
    pub frame_pixels: u64,
    /// Pictures that are held by the caller at once, 1 to 32.
    pub pictures: usize,
    /// Pictures that the parser may hold back, so that the card decodes while earlier ones are worked on.
    pub delay: u32,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { frame_pixels: 4096 * 2304, pictures: 4, delay: 4 }
    }
}

/// What the pictures of a stream are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Luma samples of a row, and rows, as shown.
    pub size: (u32, u32),
    /// Bits of a sample, 8 or 10. Stored as in [`Planes::bit_depth`].
    pub bit_depth: u8,
    /// Pictures a second, a ratio; zeros if the stream does not say.
    pub rate: (u32, u32),
    /// Width and height of the picture as shown, a ratio; zeros if the stream does not say.
    pub aspect: (u32, u32),
    /// All pictures are whole frames.
    pub progressive: bool,
    /// Colours.
    pub colour: Colour,
}

/// What a decoder is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    coded: (u32, u32),
    area: [c_int; 4],
    bits: u8,
    references: u8,
}

impl Shape {
    fn of(found: &CUVIDEOFORMAT) -> Self {
        let area = found.display_area;
        Self {
            coded: (found.coded_width, found.coded_height),
            area: [area.left, area.top, area.right, area.bottom],
            bits: found.bit_depth_luma_minus8,
            references: found.min_num_decode_surfaces,
        }
    }
}

/// A decoder of the driver; closed on drop, after the last picture of it.
struct Engine {
    device: Arc<Device>,
    handle: CUvideodecoder,
    shape: Shape,
    surfaces: c_int,
    mapped: Arc<Mapped>,
}

/// Pictures that are mapped, of all decoders of one stream.
#[derive(Default)]
struct Mapped {
    count: AtomicUsize,
    /// Why one could not be given back: where pictures are dropped nobody hears that.
    refused: AtomicU32,
}

// SAFETY: the driver's decoder functions may be called from any thread with the context current.
unsafe impl Send for Engine {}
// SAFETY: as above; mapping and unmapping may go on while another thread decodes.
unsafe impl Sync for Engine {}

impl Engine {
    fn cuvid(&self) -> Result<&Cuvid, NvidiaError> {
        cuvid(&self.device)
    }

    fn create(stream: &Stream, found: &CUVIDEOFORMAT, format: &Format) -> Result<Self, NvidiaError> {
        let device = &stream.device;
        stream.check(found, format)?;
        let area = found.display_area;
        let corner = |value: c_int| i16::try_from(value).unwrap_or(i16::MAX);
        let (width, height) = format.size;
        // More than the stream's references, so that some are decoded while another is copied out, where there may be so many.
        let surfaces = (c_int::from(found.min_num_decode_surfaces).max(1) + MORE_SURFACES).min(MOST_SURFACES);
        let mut info = CUVIDDECODECREATEINFO {
            ulWidth: found.coded_width.into(),
            ulHeight: found.coded_height.into(),
            ulNumDecodeSurfaces: surfaces.unsigned_abs().into(),
            CodecType: found.codec,
            ChromaFormat: found.chroma_format,
            ulCreationFlags: cuvid::cudaVideoCreate_PreferCUVID,
            bitDepthMinus8: found.bit_depth_luma_minus8.into(),
            display_area: Area16 {
                left: corner(area.left),
                top: corner(area.top),
                right: corner(area.right),
                bottom: corner(area.bottom),
            },
            OutputFormat: match format.bit_depth {
                8 => cuvid::cudaVideoSurfaceFormat_NV12,
                _ => cuvid::cudaVideoSurfaceFormat_P016,
            },
            DeinterlaceMode: cuvid::cudaVideoDeinterlaceMode_Weave,
            // The driver wants even sizes. What is more than the picture is not read, and must not be filled by stretching it.
            target_rect: Area16 { left: 0, top: 0, right: corner(width as c_int), bottom: corner(height as c_int) },
            ulTargetWidth: width.next_multiple_of(2).into(),
            ulTargetHeight: height.next_multiple_of(2).into(),
            ulNumOutputSurfaces: stream.limits.pictures as u64,
            ..Default::default()
        };
        let mut handle = None;
        let _current = device.current()?;
        // SAFETY: the structure is as the library has it; a context is current.
        let code = unsafe { (cuvid(device)?.cuvidCreateDecoder)(&mut handle, &mut info) };
        device.driver().check("cuvidCreateDecoder", code)?;
        let (device, mapped) = (Arc::clone(device), Arc::clone(&stream.mapped));
        Ok(Self { device, handle, shape: Shape::of(found), surfaces, mapped })
    }

    /// Copies a decoded picture out of the decoder's own buffers.
    fn map(
        self: &Arc<Self>,
        shown: &CUVIDPARSERDISPINFO,
        format: Format,
        limit: usize,
    ) -> Result<Picture, NvidiaError> {
        let cuvid = self.cuvid()?;
        if self.mapped.count.fetch_add(1, Ordering::Relaxed) >= limit {
            self.mapped.count.fetch_sub(1, Ordering::Relaxed);
            return Err(NvidiaError::Full { what: "pictures of the decoder", limit });
        }
        let mut parameters = CUVIDPROCPARAMS {
            progressive_frame: shown.progressive_frame,
            second_field: shown.repeat_first_field + 1,
            top_field_first: shown.top_field_first,
            unpaired_field: c_int::from(shown.repeat_first_field < 0),
            output_stream: CUstream::None,
            ..Default::default()
        };
        let _current = self.device.current()?;
        let (mut address, mut pitch) = (0, 0);
        let index = shown.picture_index;
        // SAFETY: a live decoder, an index that its parser gave; writes an address and a pitch.
        let code =
            unsafe { (cuvid.cuvidMapVideoFrame64)(self.handle, index, &mut address, &mut pitch, &mut parameters) };
        if let Err(error) = self.device.driver().check("cuvidMapVideoFrame64", code) {
            self.mapped.count.fetch_sub(1, Ordering::Relaxed);
            return Err(error);
        }
        let mut status = CUVIDGETDECODESTATUS::default();
        // SAFETY: a live decoder and an index of it; writes the structure.
        let code = unsafe { (cuvid.cuvidGetDecodeStatus)(self.handle, index, &mut status) };
        let bad =
            matches!(status.decodeStatus, cuvid::cuvidDecodeStatus_Error | cuvid::cuvidDecodeStatus_Error_Concealed);
        let damaged = code == CUDA_SUCCESS && bad;
        Ok(Picture { engine: Arc::clone(self), format, address, pitch: pitch as usize, time: shown.timestamp, damaged })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let (Ok(cuvid), _current) = (self.cuvid(), self.device.current()) else { return };
        // SAFETY: a live decoder; every picture of it holds this object, so none is mapped any more.
        unsafe { (cuvid.cuvidDestroyDecoder)(self.handle) };
    }
}

fn cuvid(device: &Device) -> Result<&Cuvid, NvidiaError> {
    device.driver().cuvid.as_ref().map_err(Clone::clone)
}

/// What the parser found, as far as we can use it.
fn format(found: &CUVIDEOFORMAT) -> Result<Format, NvidiaError> {
    let side = |from: c_int, to: c_int| u32::try_from(i64::from(to) - i64::from(from)).unwrap_or(0);
    let area = found.display_area;
    let size = (side(area.left, area.right), side(area.top, area.bottom));
    let bits = found.bit_depth_luma_minus8;
    if found.chroma_format != cuvid::cudaVideoChromaFormat_420 || !matches!(bits, 0 | 2) {
        let what = format!(
            "chroma format {} in {} bits is not read; send 4:2:0 in 8 or 10",
            found.chroma_format.0,
            u32::from(bits) + 8
        );
        return Err(NvidiaError::Unsupported { what });
    }
    if size.0 == 0 || size.1 == 0 {
        return Err(NvidiaError::Stream { what: "the stream has pictures without samples".into() });
    }
    let signal = found.video_signal_description;
    let positive = |value: c_int| u32::try_from(value).unwrap_or(0);
    Ok(Format {
        size,
        bit_depth: bits + 8,
        rate: (found.frame_rate.numerator, found.frame_rate.denominator),
        aspect: (positive(found.display_aspect_ratio.x), positive(found.display_aspect_ratio.y)),
        progressive: found.progressive_sequence != 0,
        colour: Colour {
            full_range: u32::from(signal.flags) & VideoSignal::video_full_range_flag != 0,
            primaries: signal.color_primaries,
            transfer: signal.transfer_characteristics,
            matrix: signal.matrix_coefficients,
        },
    })
}

/// A decoded picture on the card. Given back to its decoder on drop: whatever reads it must be done by then.
pub struct Picture {
    engine: Arc<Engine>,
    format: Format,
    address: u64,
    pitch: usize,
    time: i64,
    damaged: bool,
}

impl Picture {
    /// When it is shown, in the clock of the access units.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The decoder found errors in it, or hid some.
    pub fn damaged(&self) -> bool {
        self.damaged
    }

    /// What it is like.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Where it lies.
    pub fn planes(&self) -> Planes<'_> {
        let Format { size: (width, height), bit_depth, .. } = self.format;
        Planes {
            luma: self.address,
            chroma: self.address + self.pitch as u64 * u64::from(height.next_multiple_of(2)),
            pitch: self.pitch,
            width,
            height,
            bit_depth,
            device: &self.engine.device,
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        let (Ok(cuvid), _current) = (self.engine.cuvid(), self.engine.device.current()) else { return };
        // SAFETY: mapped by this decoder, given back once.
        let code = unsafe { (cuvid.cuvidUnmapVideoFrame64)(self.engine.handle, self.address) };
        self.engine.mapped.count.fetch_sub(1, Ordering::Relaxed);
        if code != CUDA_SUCCESS {
            self.engine.mapped.refused.store(code.0, Ordering::Relaxed);
        }
    }
}

type Sink<'a> = dyn FnMut(Picture) -> Result<(), NvidiaError> + 'a;

/// What the callbacks work on.
struct Stream {
    device: Arc<Device>,
    codec: VideoCodec,
    limits: DecoderLimits,
    mapped: Arc<Mapped>,
    engine: Option<(Arc<Engine>, Format)>,
    /// Set for the time of a call that feeds the parser.
    sink: Option<NonNull<Sink<'static>>>,
    /// The first thing that went wrong in a callback of this call.
    error: Option<NvidiaError>,
    /// A format was refused, after which a parser gives nothing any more.
    refused: Option<NvidiaError>,
}

impl Stream {
    fn check(&self, found: &CUVIDEOFORMAT, format: &Format) -> Result<(), NvidiaError> {
        // The limit is of what is shown, as for the processors; what is coded is a little more.
        let (width, height) = format.size;
        if u64::from(width) * u64::from(height) > self.limits.frame_pixels {
            let what = format!("pictures of {width}x{height} exceed the limit of {} samples", self.limits.frame_pixels);
            return Err(NvidiaError::Stream { what });
        }
        let (width, height) = (found.coded_width, found.coded_height);
        let can = self.device.decodes_codec(self.codec, format.bit_depth)?;
        let fits = can.is_some_and(|can| {
            let range = |value, min, max| (min..=max).contains(&value);
            let blocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
            range(width, can.min.0, can.max.0)
                && range(height, can.min.1, can.max.1)
                && blocks <= u64::from(can.macroblocks)
        });
        if !fits {
            let bits = format.bit_depth;
            let what = format!("this card does not decode {} of {width}x{height} in {bits} bits", self.codec);
            return Err(NvidiaError::Unsupported { what });
        }
        Ok(())
    }

    /// A format: the decoder for it. Gives the number of surfaces that the parser may use. A format is told again after
    /// every end of a segment; the decoder stays if it can decode that.
    fn sequence(&mut self, found: &CUVIDEOFORMAT) -> Result<c_int, NvidiaError> {
        let format = format(found)?;
        // Pictures of the old one keep it until they are dropped; otherwise it makes room for the new one.
        let stays = self.engine.take().filter(|(engine, _)| engine.shape == Shape::of(found));
        let engine = match stays {
            Some((engine, _)) => engine,
            None => Arc::new(Engine::create(self, found, &format)?),
        };
        let surfaces = engine.surfaces;
        self.engine = Some((engine, format));
        Ok(surfaces)
    }

    fn decode(&mut self, picture: *mut CUVIDPICPARAMS) -> Result<c_int, NvidiaError> {
        let call = "cuvidDecodePicture";
        let known = self.engine.as_ref().ok_or(NvidiaError::Nonsense { call, what: "a picture before its format" });
        let (engine, _) = known?;
        let _current = self.device.current()?;
        // SAFETY: a live decoder; the parser's description of a picture, valid during its callback.
        let code = unsafe { (engine.cuvid()?.cuvidDecodePicture)(engine.handle, picture) };
        self.device.driver().check(call, code)?;
        Ok(1)
    }

    fn display(&mut self, shown: &CUVIDPARSERDISPINFO) -> Result<c_int, NvidiaError> {
        let call = "cuvidParseVideoData";
        let known = self.engine.as_ref().ok_or(NvidiaError::Nonsense { call, what: "a picture before its format" });
        let (engine, format) = known?;
        let picture = engine.map(shown, *format, self.limits.pictures)?;
        let Some(mut sink) = self.sink else {
            return Err(NvidiaError::Nonsense { call, what: "a picture outside of the call" });
        };
        // SAFETY: points to the caller's closure for as long as the call that feeds the parser lasts, and we are within it;
        // the closure cannot reach this object.
        let sink = unsafe { sink.as_mut() };
        sink(picture)?;
        Ok(1)
    }

    /// Runs a callback unless an earlier one failed; 0 tells the parser to stop.
    fn step(&mut self, run: impl FnOnce(&mut Self) -> Result<c_int, NvidiaError>) -> c_int {
        if self.error.is_some() {
            return 0;
        }
        // A panic must not cross the driver's own frames, and would end the process with all its streams.
        let outcome = catch_unwind(AssertUnwindSafe(|| run(self)));
        let panicked = || {
            Err(NvidiaError::Nonsense { call: "cuvidParseVideoData", what: "a panic in our callback; this is a bug" })
        };
        outcome.unwrap_or_else(|_| panicked()).unwrap_or_else(|error| {
            self.error = Some(error);
            0
        })
    }
}

unsafe extern "C" fn on_sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    // SAFETY: `user` is the parser's `Stream`, which lives longer than the parser; callbacks run one after another within
    // `Decoder::parse`, which holds no reference to it meanwhile.
    let stream = unsafe { &mut *user.cast::<Stream>() };
    // SAFETY: the parser's own structure, valid during this call.
    let format = unsafe { &*format };
    stream.step(|stream| stream.sequence(format).inspect_err(|error| stream.refused = Some(error.clone())))
}

unsafe extern "C" fn on_decode(user: *mut c_void, picture: *mut CUVIDPICPARAMS) -> c_int {
    // SAFETY: see `on_sequence`.
    let stream = unsafe { &mut *user.cast::<Stream>() };
    stream.step(|stream| stream.decode(picture))
}

unsafe extern "C" fn on_display(user: *mut c_void, shown: *mut CUVIDPARSERDISPINFO) -> c_int {
    // SAFETY: see `on_sequence`.
    let stream = unsafe { &mut *user.cast::<Stream>() };
    // SAFETY: null at the end of a stream, otherwise the parser's own structure, valid during this call.
    match unsafe { shown.as_ref() } {
        Some(shown) => stream.step(|stream| stream.display(shown)),
        None => 1,
    }
}

/// A decoder of one stream, with its parser.
pub struct Decoder {
    device: Arc<Device>,
    parser: CUvideoparser,
    /// Made by a `Box`, shared with the parser, freed after it.
    stream: NonNull<Stream>,
    codec: VideoCodec,
    delay: u32,
    broken: bool,
}

// SAFETY: parser and decoder may be used from any thread, by one at a time, which `&mut self` ensures; what the callbacks
// reach is owned by this object.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a parser. The decoder itself is opened when the stream has said what it is.
    pub fn open(device: &Arc<Device>, codec: VideoCodec, limits: DecoderLimits) -> Result<Self, NvidiaError> {
        cuvid(device)?;
        if !(1..=32).contains(&limits.pictures) || limits.delay > 16 {
            let what = "a decoder has 1 to 32 pictures and holds back at most 16".into();
            return Err(NvidiaError::Unsupported { what });
        }
        let stream = Box::new(Stream {
            device: Arc::clone(device),
            codec,
            limits,
            mapped: Arc::default(),
            engine: None,
            sink: None,
            error: None,
            refused: None,
        });
        let stream = NonNull::from(Box::leak(stream));
        let mut it =
            Self { device: Arc::clone(device), parser: None, stream, codec, delay: limits.delay, broken: false };
        it.create_parser()?;
        Ok(it)
    }

    /// Whether what it decoded last was like this, so that the driver's decoder may stay.
    pub fn is_for(&self, size: (u32, u32), bit_depth: u8) -> bool {
        // SAFETY: live and ours alone: no callback runs outside of `parse`.
        let engine = unsafe { &self.stream.as_ref().engine };
        engine.as_ref().is_some_and(|(_, format)| (format.size, format.bit_depth) == (size, bit_depth))
    }

    /// Begins with another stream of the same codec: parameter sets and pictures of the one before are forgotten; the
    /// decoder itself stays, if it can decode what comes. To be called after [`Self::flush`].
    pub fn restart(&mut self) -> Result<(), NvidiaError> {
        if self.broken {
            return Err(NvidiaError::Broken { what: "decoder" });
        }
        self.destroy_parser();
        // SAFETY: live and ours alone: no callback runs outside of `parse`.
        unsafe { self.stream.as_mut() }.refused = None;
        self.create_parser().inspect_err(|_| self.broken = true)
    }

    fn create_parser(&mut self) -> Result<(), NvidiaError> {
        let mut parameters = CUVIDPARSERPARAMS {
            CodecType: self.codec.id(),
            // Replaced by what the sequence callback returns.
            ulMaxNumDecodeSurfaces: 1,
            ulMaxDisplayDelay: self.delay,
            pUserData: Some(self.stream.cast()),
            pfnSequenceCallback: Some(on_sequence),
            pfnDecodePicture: Some(on_decode),
            pfnDisplayPicture: Some(on_display),
            ..Default::default()
        };
        let _current = self.device.current()?;
        let call = "cuvidCreateVideoParser";
        // SAFETY: the structure is as the library has it; the callbacks and what they get live longer than the parser.
        let code = unsafe { (cuvid(&self.device)?.cuvidCreateVideoParser)(&mut self.parser, &mut parameters) };
        self.device.driver().check(call, code)
    }

    fn destroy_parser(&mut self) {
        let _current = self.device.current();
        if let (Ok(cuvid), Some(parser)) = (cuvid(&self.device), self.parser.take()) {
            // SAFETY: a live parser, destroyed once; no callback runs after it.
            unsafe { (cuvid.cuvidDestroyVideoParser)(Some(parser)) };
        }
    }

    /// Decodes one whole access unit (H.264, HEVC: Annex B) or temporal unit (AV1, VP9), to be shown at `time`, and hands
    /// over every picture that is to be shown now. An error of `sink` comes back; after any error but one of class input
    /// the decoder can only be closed.
    pub fn feed(
        &mut self,
        unit: &[u8],
        time: i64,
        sink: &mut (dyn FnMut(Picture) -> Result<(), NvidiaError> + '_),
    ) -> Result<(), NvidiaError> {
        let Some(first) = unit.first() else { return Ok(()) };
        let flags = cuvid::CUVID_PKT_TIMESTAMP | cuvid::CUVID_PKT_ENDOFPICTURE;
        let payload = Some(NonNull::from(first));
        self.parse(CUVIDSOURCEDATAPACKET { flags, payload_size: unit.len() as u64, payload, timestamp: time }, sink)
    }

    /// The end of the stream or segment: hands over all pictures that are left. The next unit must be a key picture; the
    /// decoder stays as it is for the next segment of the same format.
    pub fn flush(
        &mut self,
        sink: &mut (dyn FnMut(Picture) -> Result<(), NvidiaError> + '_),
    ) -> Result<(), NvidiaError> {
        // That was told when the format came.
        // SAFETY: live and ours alone: no callback runs outside of `parse`.
        if unsafe { self.stream.as_ref().refused.is_some() } {
            return Ok(());
        }
        self.parse(CUVIDSOURCEDATAPACKET { flags: cuvid::CUVID_PKT_ENDOFSTREAM, ..Default::default() }, sink)
    }

    fn parse(
        &mut self,
        mut packet: CUVIDSOURCEDATAPACKET,
        sink: &mut (dyn FnMut(Picture) -> Result<(), NvidiaError> + '_),
    ) -> Result<(), NvidiaError> {
        if self.broken {
            return Err(NvidiaError::Broken { what: "decoder" });
        }
        // SAFETY: live and ours alone: no callback runs outside of the call below.
        if let Some(refused) = unsafe { &self.stream.as_ref().refused } {
            return Err(refused.clone());
        }
        let cuvid = cuvid(&self.device)?;
        let link = &self.device.link;
        // Before the pictures come: they are made of it.
        link.carry(&link.to_card, packet.payload_size as usize);
        let _current = self.device.current()?;
        let sink = NonNull::from(sink);
        // SAFETY: only the lifetime changes; the pointer is taken away again below, before the borrow ends.
        let sink: NonNull<Sink<'static>> = unsafe { std::mem::transmute(sink) };
        // SAFETY: live and ours alone: no callback runs outside of the call below.
        unsafe { self.stream.as_mut() }.sink = Some(sink);
        // SAFETY: a live parser; the packet points to as many bytes as it says, which are read during the call only. The
        // callbacks use the stream, to which no reference exists here meanwhile.
        let code = unsafe { (cuvid.cuvidParseVideoData)(self.parser, &mut packet) };
        // SAFETY: as above, the call is over.
        let stream = unsafe { self.stream.as_mut() };
        stream.sink = None;
        let outcome = match stream.error.take() {
            Some(error) => Err(error),
            None => self.device.driver().check("cuvidParseVideoData", code),
        };
        // What is given back later is heard at the next call.
        let refused = CUresult(stream.mapped.refused.swap(0, Ordering::Relaxed));
        let outcome = outcome.and_then(|()| self.device.driver().check("cuvidUnmapVideoFrame64", refused));
        let outcome = outcome.map_err(|error| error.of_stream(&self.device));
        outcome.inspect_err(|error| self.broken = error.class() != crate::error::Class::Input)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.destroy_parser();
        // SAFETY: made by `Box::leak` in `open`; nothing refers to it any more.
        drop(unsafe { Box::from_raw(self.stream.as_ptr()) });
    }
}
