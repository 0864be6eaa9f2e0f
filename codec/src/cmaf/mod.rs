//! CMAF (ISO/IEC 23000-19) on the ISO base media file format (14496-12), only what a segment needs, and only written.
//!
//! Video and sound lie in one file, as HLS allows. Pictures count the source's ticks of 1/90000 s, sound its own samples;
//! both have the source's absolute times, so segments join by themselves and in any order. Times go on beyond 2^33 within a
//! segment. The next one begins where the source's clock says, which is near zero then: such a seam, once in 26.5 hours,
//! is a discontinuity to a player and has to be listed as one.

mod entry;
mod fragment;
mod init;
mod sound;

use crate::error::EngineError;
use crate::ladder::Codec;
use crate::segment::WRAP;
use crate::ts::{AudioTrack, VideoUnit};

use entry::Entry;
use fragment::{Fragment, Run, Sample};
use sound::Sound;

/// The video's track; sound follows.
const VIDEO_TRACK: u32 = 1;

/// What a picture looks like on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Luma samples per row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Sample aspect ratio; unknown where one of them is 0.
    pub(crate) aspect: (i32, i32),
}

/// Writes one rendition's segment, fragment by fragment.
pub(crate) struct Muxer {
    entry: Entry,
    sound: Vec<Sound>,
    shape: Shape,
    /// Taken off all times, so that the first picture's lies in 0..2^33.
    shift: i64,
    fragments: u32,
}

impl Muxer {
    /// For a segment whose first picture is `first` and whose sound is `audio`.
    pub(crate) fn new(
        codec: Codec,
        first: &VideoUnit,
        audio: &[AudioTrack],
        shape: Shape,
    ) -> Result<Self, EngineError> {
        let sound = audio.iter().map(|track| Sound::new(track, first.pts)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            entry: Entry::new(codec, &first.data)?,
            sound: sound.into_iter().flatten().collect(),
            shape,
            shift: first.pts.div_euclid(WRAP) * WRAP,
            fragments: 0,
        })
    }

    /// The initialisation segment.
    pub(crate) fn init(&self) -> Result<Vec<u8>, EngineError> {
        init::write(&self.entry, &self.sound, self.shape).map_err(failure)
    }

    /// The pictures `units` of which the last one ends at `end`, and the sound up to there; all that is left of it with
    /// the `last` fragment.
    pub(crate) fn fragment(&mut self, units: &[VideoUnit], end: i64, last: bool) -> Result<Vec<u8>, EngineError> {
        let mut fragment = Fragment::new(self.fragments, self.brands());
        let ends = units.iter().skip(1).map(|unit| unit.pts).chain([end]);
        let mut samples = Vec::with_capacity(units.len());
        let mut data = Vec::with_capacity(units.iter().map(|unit| unit.data.len()).sum());
        for (unit, end) in units.iter().zip(ends) {
            let size = self.entry.append(&unit.data, &mut data)?;
            samples.push(Sample { duration: (end - unit.pts).max(0) as u32, size, sync: unit.key });
        }
        let start = units.first().map_or(end, |unit| unit.pts) - self.shift;
        fragment.add(Run { track: VIDEO_TRACK, start: start.max(0) as u64, samples, data });
        let until = if last { i64::MAX } else { end };
        for (track, sound) in (VIDEO_TRACK + 1..).zip(&mut self.sound) {
            if let Some(run) = sound.run(track, until, self.shift) {
                fragment.add(run);
            }
        }
        self.fragments += 1;
        fragment.write().map_err(failure)
    }

    fn brands(&self) -> &'static [&'static [u8; 4]] {
        init::brands(self.sound.len() + 1)
    }
}

fn failure(error: mp4_atom::Error) -> EngineError {
    broken(&error.to_string())
}

fn broken(reason: &str) -> EngineError {
    EngineError::Codec { what: "write fragmented MP4".to_owned(), code: 0, reason: reason.to_owned() }
}
