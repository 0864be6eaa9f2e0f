//! Decoded pictures, and pictures to be encoded.

use std::ffi::c_int;
use std::ptr::NonNull;

use ffmpeg_next::ffi;
use headframe_kernels::{Format, Orientation, PlaneMut, Source, SourceRef, Yuv420Mut};

use super::ffmpeg::{Frame, check};
use crate::error::EngineError;
use crate::nvidia::Colour;

/// Colour and shape of pictures, carried from decoder to encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    /// Sample aspect ratio; 0/1 when unknown.
    pub(crate) aspect: (i32, i32),
    pub(super) range: ffi::AVColorRange,
    pub(super) primaries: ffi::AVColorPrimaries,
    pub(super) transfer: ffi::AVColorTransferCharacteristic,
    pub(super) matrix: ffi::AVColorSpace,
}

impl Look {
    /// Of a stream that says nothing.
    #[cfg(test)]
    pub(super) fn unknown() -> Self {
        Self {
            aspect: (1, 1),
            range: ffi::AVColorRange::AVCOL_RANGE_UNSPECIFIED,
            primaries: ffi::AVColorPrimaries::AVCOL_PRI_UNSPECIFIED,
            transfer: ffi::AVColorTransferCharacteristic::AVCOL_TRC_UNSPECIFIED,
            matrix: ffi::AVColorSpace::AVCOL_SPC_UNSPECIFIED,
        }
    }

    /// Of pictures with these samples and colours.
    pub(crate) fn of(aspect: (i32, i32), colour: &Colour) -> Self {
        let range = match colour.full_range {
            true => ffi::AVColorRange::AVCOL_RANGE_JPEG,
            false => ffi::AVColorRange::AVCOL_RANGE_MPEG,
        };
        let (primaries, transfer, matrix) =
            (primaries(colour.primaries), transfer(colour.transfer), matrix(colour.matrix));
        Self { aspect, range, primaries, transfer, matrix }
    }

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

/// FFmpeg numbers colours as ITU-T H.273 does, but its enumerations cannot hold every number: what is not known here is
/// unspecified.
macro_rules! numbered {
    ($name:ident: $type:ident, $unspecified:ident, $($known:ident)*) => {
        fn $name(code: u8) -> ffi::$type {
            let known = [$(ffi::$type::$known),*];
            let found = known.into_iter().find(|known| *known as u32 == u32::from(code));
            found.unwrap_or(ffi::$type::$unspecified)
        }
    };
}

numbered!(primaries: AVColorPrimaries, AVCOL_PRI_UNSPECIFIED, AVCOL_PRI_BT709 AVCOL_PRI_BT470M AVCOL_PRI_BT470BG
    AVCOL_PRI_SMPTE170M AVCOL_PRI_SMPTE240M AVCOL_PRI_FILM AVCOL_PRI_BT2020 AVCOL_PRI_SMPTE428 AVCOL_PRI_SMPTE431
    AVCOL_PRI_SMPTE432 AVCOL_PRI_EBU3213);
numbered!(transfer: AVColorTransferCharacteristic, AVCOL_TRC_UNSPECIFIED, AVCOL_TRC_BT709 AVCOL_TRC_GAMMA22
    AVCOL_TRC_GAMMA28 AVCOL_TRC_SMPTE170M AVCOL_TRC_SMPTE240M AVCOL_TRC_LINEAR AVCOL_TRC_LOG AVCOL_TRC_LOG_SQRT
    AVCOL_TRC_IEC61966_2_4 AVCOL_TRC_BT1361_ECG AVCOL_TRC_IEC61966_2_1 AVCOL_TRC_BT2020_10 AVCOL_TRC_BT2020_12
    AVCOL_TRC_SMPTE2084 AVCOL_TRC_SMPTE428 AVCOL_TRC_ARIB_STD_B67);
numbered!(matrix: AVColorSpace, AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT709 AVCOL_SPC_FCC AVCOL_SPC_BT470BG
    AVCOL_SPC_SMPTE170M AVCOL_SPC_SMPTE240M AVCOL_SPC_YCGCO AVCOL_SPC_BT2020_NCL AVCOL_SPC_BT2020_CL
    AVCOL_SPC_SMPTE2085 AVCOL_SPC_CHROMA_DERIVED_NCL AVCOL_SPC_CHROMA_DERIVED_CL AVCOL_SPC_ICTCP);

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

    /// The time given to [`super::decoder::Decoder::send`].
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

fn strange() -> EngineError {
    EngineError::PixelFormat { format: "planes without memory".to_owned() }
}

/// How the scaler reads pictures of this `AVPixelFormat`.
pub(super) fn format_of(format: c_int) -> Result<Format, EngineError> {
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

    /// Luma by place, grey chroma.
    #[cfg(test)]
    pub(super) fn paint(&mut self, value: impl Fn(usize, usize) -> u8) {
        let Ok([mut luma, chroma @ ..]) = self.planes() else { return };
        for y in 0..luma.height() {
            luma.row_mut(y).iter_mut().enumerate().for_each(|(x, sample)| *sample = value(x, y));
        }
        for mut plane in chroma {
            (0..plane.height()).for_each(|y| plane.row_mut(y).fill(128));
        }
    }

    /// Overwrites the pixels: rows of luma without gaps, and of chroma with U and V in turn. Both must be of its size.
    pub(crate) fn fill(&mut self, luma: &[u8], chroma: &[u8]) -> Result<(), EngineError> {
        let [mut y, mut u, mut v] = self.planes()?;
        let (width, pairs) = (y.width(), u.width());
        if luma.len() != width * y.height() || chroma.len() != 2 * pairs * u.height() {
            return Err(strange());
        }
        for (row, from) in luma.chunks_exact(width).enumerate() {
            y.row_mut(row).copy_from_slice(from);
        }
        for (row, from) in chroma.chunks_exact(2 * pairs).enumerate() {
            let (u, v) = (u.row_mut(row), v.row_mut(row));
            for ((u, v), pair) in u.iter_mut().zip(v).zip(from.chunks_exact(2)) {
                (*u, *v) = (pair[0], pair[1]);
            }
        }
        Ok(())
    }

    /// The pixels, to be overwritten.
    pub(crate) fn view(&mut self) -> Result<Yuv420Mut<'_>, EngineError> {
        let [y, u, v] = self.planes()?;
        Yuv420Mut::new(y, u, v).map_err(|_| strange())
    }

    fn planes(&mut self) -> Result<[PlaneMut<'_>; 3], EngineError> {
        // SAFETY: live; copies the pixels if the encoder still holds a reference to them.
        check("reuse a picture", unsafe { ffi::av_frame_make_writable(self.0.0.as_ptr()) })?;
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
        Ok([plane(0)?, plane(1)?, plane(2)?])
    }
}
