//! Cuts one stream at IDR pictures into segments that decode alone.
//!
//! It holds the frames of the open segment and nothing else; both its length and its bytes are capped. Time comes from
//! [`crate::clock`] and is not touched here.

use bytes::Bytes;

use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::h264::nal;
use crate::mux::mpegts::{AudioFrame, Frame, Muxer, ParameterSets, VideoFrame};

/// An IDR that comes this much before the target still cuts: publishers round their stamps to milliseconds.
const EARLY: Ticks = TICKS_PER_SECOND / 20;
/// Bookkeeping counted for each frame besides its bytes, so that empty frames are bounded as well.
const FRAME_COST: usize = 128;

/// Where to cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Cut at the first IDR this long after the last cut. Default 2 s.
    pub target: Ticks,
    /// Without an IDR for this long the segment is closed and frames are dropped until one comes. Default 10 s.
    pub max_duration: Ticks,
    /// As `max_duration`, for the bytes held. Default 32 MiB.
    pub max_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { target: 2 * TICKS_PER_SECOND, max_duration: 10 * TICKS_PER_SECOND, max_bytes: 32 << 20 }
    }
}

/// A finished piece of a stream.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Counts up by one from segment to segment, over reconnects too.
    pub number: u64,
    /// A transport stream.
    pub bytes: Bytes,
    /// When its first picture is shown.
    pub first_pts: Ticks,
    /// From the decoding of its first picture to that of the next segment's.
    pub duration: Ticks,
    /// Pictures in it.
    pub frames: u32,
    /// Whether there is sound in it.
    pub has_audio: bool,
    /// Frames are missing between the segment before and this one.
    pub discontinuity: bool,
}

/// What went wrong without ending the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The publisher sends key frames too rarely.
    #[error(
        "no IDR picture for {} s: dropping frames until one comes; set the key frame interval to 2 s and close the GOPs",
        duration / TICKS_PER_SECOND
    )]
    NoIdr {
        /// Length of the segment that was closed for it.
        duration: Ticks,
    },
    /// More bytes between two cuts than may be held.
    #[error(
        "{bytes} bytes since the last cut: dropping frames until the next IDR picture; lower the bitrate or the key frame interval"
    )]
    TooLarge {
        /// Bytes held when the segment was closed.
        bytes: usize,
    },
}

/// What came out of adding a frame.
#[derive(Debug, Default)]
#[must_use]
pub struct Step {
    /// A segment that is complete now.
    pub cut: Option<Cut>,
    /// A fault of the publisher's.
    pub trouble: Option<Trouble>,
}

/// The open segment of one stream.
#[derive(Debug)]
pub struct Segmenter {
    settings: Settings,
    number: u64,
    muxer: Muxer,
    sets: ParameterSets,
    open: Option<Open>,
    /// Frames were dropped since the last cut.
    torn: bool,
}

#[derive(Debug)]
struct Open {
    frames: Vec<Frame>,
    sets: ParameterSets,
    bytes: usize,
    pictures: u32,
    has_audio: bool,
    first_dts: Ticks,
    first_pts: Ticks,
    discontinuity: bool,
}

impl Segmenter {
    /// Starts with segment `number`.
    pub fn new(settings: Settings, number: u64) -> Self {
        Self { settings, number, muxer: Muxer::default(), sets: ParameterSets::default(), open: None, torn: false }
    }

    /// Number of the segment that is open or comes next.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Parameter sets from the publisher's configuration; they hold from the next IDR picture on.
    pub fn parameter_sets(&mut self, sets: ParameterSets) {
        self.sets = sets;
    }

    /// Adds a picture.
    pub fn video(&mut self, frame: VideoFrame) -> Step {
        let mut step = Step::default();
        if frame.idr {
            let due = self.settings.target - EARLY;
            if self.open.as_ref().is_some_and(|open| frame.dts - open.first_dts >= due) {
                step.cut = self.close(frame.dts);
            }
            // Sets inside the stream override those of the configuration for everything that follows.
            for (kind, list) in [(nal::SPS, &mut self.sets.sps), (nal::PPS, &mut self.sets.pps)] {
                let own: Vec<Bytes> = frame.units.iter().filter(|unit| nal::kind(unit) == kind).cloned().collect();
                if !own.is_empty() {
                    *list = own;
                }
            }
        } else if let Some(open) = &self.open {
            let duration = frame.dts - open.first_dts;
            if duration >= self.settings.max_duration {
                step.trouble = Some(Trouble::NoIdr { duration });
            } else if open.bytes >= self.settings.max_bytes {
                step.trouble = Some(Trouble::TooLarge { bytes: open.bytes });
            }
            if step.trouble.is_some() {
                step.cut = self.close(frame.dts);
            }
        }
        if self.open.is_none() && !frame.idr {
            self.torn |= self.number > 0;
            return step;
        }
        let open = self.open.get_or_insert_with(|| Open {
            frames: Vec::new(),
            sets: self.sets.clone(),
            bytes: 0,
            pictures: 0,
            has_audio: false,
            first_dts: frame.dts,
            first_pts: frame.pts,
            discontinuity: std::mem::take(&mut self.torn),
        });
        open.pictures += 1;
        open.bytes += FRAME_COST + frame.units.iter().map(|unit| unit.len() + 32).sum::<usize>();
        open.frames.push(Frame::Video(frame));
        step
    }

    /// Adds sound. Before the first picture of the stream, and beyond the cap, it is dropped.
    pub fn audio(&mut self, frame: AudioFrame) {
        if let Some(open) = self.open.as_mut().filter(|open| open.bytes < self.settings.max_bytes) {
            open.bytes += FRAME_COST + frame.data.len();
            open.has_audio = true;
            open.frames.push(Frame::Audio(frame));
        }
    }

    /// Closes the open segment, whose last picture lasts until `end`. Nothing when no picture has come.
    pub fn flush(&mut self, end: Ticks) -> Option<Cut> {
        self.close(end)
    }

    fn close(&mut self, end: Ticks) -> Option<Cut> {
        let open = self.open.take()?;
        let bytes = self.muxer.segment(&open.frames, &open.sets, end);
        let number = self.number;
        self.number += 1;
        Some(Cut {
            number,
            bytes,
            first_pts: open.first_pts,
            duration: (end - open.first_dts).max(1),
            frames: open.pictures,
            has_audio: open.has_audio,
            discontinuity: open.discontinuity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Ticks = 3000;

    fn frame(n: i64, idr: bool) -> VideoFrame {
        let unit = if idr { Bytes::from_static(&[0x65, 1]) } else { Bytes::from_static(&[0x41, 1]) };
        VideoFrame { dts: n * STEP, pts: n * STEP, idr, units: vec![unit] }
    }

    /// Feeds `frames` pictures with an IDR every `gop` from `first` on; gives the cuts and the troubles.
    fn feed(segmenter: &mut Segmenter, range: std::ops::Range<i64>, gop: i64) -> (Vec<Cut>, Vec<Trouble>) {
        let steps: Vec<Step> = range.map(|n| segmenter.video(frame(n, n % gop == 0))).collect();
        let (cuts, troubles): (Vec<_>, Vec<_>) = steps.into_iter().map(|s| (s.cut, s.trouble)).unzip();
        (cuts.into_iter().flatten().collect(), troubles.into_iter().flatten().collect())
    }

    #[test]
    fn cuts_at_the_first_idr_at_or_after_the_target() {
        for (gop, frames) in [(60, 60), (30, 60), (50, 100), (90, 90), (59, 59), (1, 59)] {
            let mut segmenter = Segmenter::new(Settings::default(), 7);
            let (cuts, troubles) = feed(&mut segmenter, 0..400, gop);
            assert!(troubles.is_empty() && cuts.len() >= 3, "gop {gop}");
            for (index, cut) in cuts.iter().enumerate() {
                assert_eq!(
                    (cut.number, cut.frames, cut.duration),
                    (7 + index as u64, frames, i64::from(frames) * STEP),
                    "gop {gop}"
                );
                assert!(!cut.discontinuity);
            }
        }
    }

    #[test]
    fn the_last_piece_is_flushed_and_no_frame_is_lost() {
        let mut segmenter = Segmenter::new(Settings::default(), 0);
        let (cuts, _) = feed(&mut segmenter, 0..200, 60);
        let last = segmenter.flush(200 * STEP).expect("20 frames are open");
        assert_eq!((last.number, last.frames, last.duration), (3, 20, 20 * STEP));
        assert_eq!(cuts.iter().map(|cut| cut.frames).sum::<u32>() + last.frames, 200);
        assert!(segmenter.flush(200 * STEP).is_none());
    }

    #[test]
    fn without_an_idr_the_cap_closes_the_segment_and_the_next_one_is_torn() {
        let mut segmenter = Segmenter::new(Settings::default(), 0);
        let (cuts, troubles) = feed(&mut segmenter, 0..700, 600);
        assert_eq!((cuts.len(), cuts[0].frames, cuts[0].duration), (1, 300, 10 * TICKS_PER_SECOND));
        assert_eq!(troubles, [Trouble::NoIdr { duration: 10 * TICKS_PER_SECOND }]);
        let next = segmenter.flush(700 * STEP).expect("opened by the IDR at 600");
        assert_eq!((next.number, next.frames, next.discontinuity), (1, 100, true));
    }

    #[test]
    fn bytes_are_capped_too_and_for_sound_as_well() {
        let mut segmenter = Segmenter::new(Settings { max_bytes: 10_000, ..Settings::default() }, 0);
        let (cuts, troubles) = feed(&mut segmenter, 0..150, 1000);
        assert!(matches!(troubles[..], [Trouble::TooLarge { bytes }] if bytes < 10_500), "{troubles:?}");
        assert_eq!(cuts.len(), 1);
        let config = crate::aac::AacConfig::parse(&[0x12, 0x10]).expect("valid");
        let mut segmenter = Segmenter::new(Settings { max_bytes: 10_000, ..Settings::default() }, 0);
        let _ = segmenter.video(frame(0, true));
        for n in 0..1000 {
            segmenter.audio(AudioFrame { pts: n, config, data: Bytes::from_static(&[0; 100]) });
        }
        assert!(segmenter.open.as_ref().is_some_and(|open| open.bytes < 10_500));
    }

    #[test]
    fn nothing_begins_before_an_idr() {
        let mut segmenter = Segmenter::new(Settings::default(), 0);
        let config = crate::aac::AacConfig::parse(&[0x12, 0x10]).expect("valid");
        segmenter.audio(AudioFrame { pts: 0, config, data: Bytes::from_static(&[0; 9]) });
        let (cuts, _) = feed(&mut segmenter, 1..40, 30);
        assert!(cuts.is_empty());
        let cut = segmenter.flush(40 * STEP).expect("opened at 30");
        assert_eq!((cut.frames, cut.first_pts, cut.has_audio, cut.discontinuity), (10, 30 * STEP, false, false));
    }
}
