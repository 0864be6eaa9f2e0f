//! Who decodes: the driver's own interface, or FFmpeg over it.

use crate::ffi::nvidia::libav;
use crate::nvidia::{Decoder, Format, NvidiaError, Picture, Planes};

/// A decoded picture on the card.
pub(super) struct Decoded<'a> {
    pub(super) planes: Planes<'a>,
    pub(super) format: Format,
    /// What its access unit was fed with.
    pub(super) time: i64,
    /// Data was missing. FFmpeg does not tell.
    pub(super) damaged: bool,
}

pub(super) type Sink<'a> = dyn FnMut(&Decoded<'_>) -> Result<(), NvidiaError> + 'a;

/// A decoder in work on a segment.
pub(super) enum Decoding {
    Direct(Decoder),
    Ffmpeg(libav::Decoder),
}

impl Decoding {
    /// Decodes one access unit and hands over what is to be shown now.
    pub(super) fn feed(&mut self, unit: &[u8], time: i64, sink: &mut Sink<'_>) -> Result<(), NvidiaError> {
        match self {
            Self::Direct(decoder) => decoder.feed(unit, time, &mut |picture| sink(&direct(&picture))),
            Self::Ffmpeg(decoder) => decoder.feed(unit, time, &mut |picture| sink(&ffmpeg(picture))),
        }
    }

    /// The end: hands over all pictures that are left.
    pub(super) fn flush(&mut self, sink: &mut Sink<'_>) -> Result<(), NvidiaError> {
        match self {
            Self::Direct(decoder) => decoder.flush(&mut |picture| sink(&direct(&picture))),
            Self::Ffmpeg(decoder) => decoder.flush(&mut |picture| sink(&ffmpeg(picture))),
        }
    }

    /// How many access units later it sees the end of one, and tells an error of it.
    pub(super) fn lag(&self) -> usize {
        match self {
            Self::Direct(_) => 0,
            Self::Ffmpeg(_) => 1,
        }
    }
}

fn direct(picture: &Picture) -> Decoded<'_> {
    let (planes, format) = (picture.planes(), *picture.format());
    Decoded { planes, format, time: picture.time(), damaged: picture.damaged() }
}

fn ffmpeg<'a>(picture: &'a libav::Picture<'_>) -> Decoded<'a> {
    Decoded { planes: picture.planes(), format: picture.format, time: picture.time, damaged: false }
}
