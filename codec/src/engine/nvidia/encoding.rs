//! Who encodes on the card: a session of ours, or one that FFmpeg opened.

use crate::ffi::nvidia::libav;
use crate::nvidia::{EncodedPicture, EncoderSession, NvidiaError, Planes};

/// A session in work on a rung of a segment.
pub(crate) enum Encoding {
    Direct(EncoderSession),
    Ffmpeg(libav::Session),
}

impl Encoding {
    /// The session, if it is ours.
    pub(crate) fn direct(self) -> Option<EncoderSession> {
        match self {
            Self::Direct(session) => Some(session),
            Self::Ffmpeg(_) => None,
        }
    }

    /// The surface to fill next; the same one until it is encoded.
    pub(super) fn input(&mut self) -> Result<Planes<'_>, NvidiaError> {
        match self {
            Self::Direct(session) => session.input(),
            Self::Ffmpeg(session) => session.input(),
        }
    }

    /// Encodes the surface that was filled last, as an IDR picture or whatever the encoder likes.
    pub(super) fn encode(&mut self, time: i64, key: bool) -> Result<(), NvidiaError> {
        match self {
            Self::Direct(session) => session.encode(time, key),
            Self::Ffmpeg(session) => session.encode(time, key),
        }
    }

    /// Whether no output has to be taken before [`Self::input`].
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Direct(session) => session.has_room(),
            Self::Ffmpeg(session) => session.has_room(),
        }
    }

    /// Sent and not taken yet.
    pub(super) fn in_flight(&self) -> usize {
        match self {
            Self::Direct(session) => session.in_flight(),
            Self::Ffmpeg(session) => session.in_flight(),
        }
    }

    /// The next encoded picture. `None` when the encoder wants more pictures first.
    pub(super) fn output(&mut self) -> Result<Option<EncodedPicture>, NvidiaError> {
        match self {
            Self::Direct(session) => session.output(),
            Self::Ffmpeg(session) => Ok(session.output()),
        }
    }

    /// The end: all that is left.
    pub(super) fn drain(&mut self) -> Result<Vec<EncodedPicture>, NvidiaError> {
        match self {
            Self::Direct(session) => session.drain(),
            Self::Ffmpeg(session) => session.drain(),
        }
    }
}
