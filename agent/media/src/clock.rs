//! One continuous timeline per stream.
//!
//! Publishers restart their clock at every reconnect, wrap it after 49.7 days, jump, and sometimes run audio and video on
//! different epochs. Viewers must see none of it: a change of timestamps in the output would force a discontinuity on
//! every player. So everything is rebased here, once, and nothing later in the program corrects time again. The two
//! stamps of a frame are carried as the publisher sent them; a decoding time is never rebuilt from presentation times.

/// Media time in units of 1/90000 s. 33-bit and 32-bit wraps are already undone, so it only grows.
pub type Ticks = i64;

/// Ticks in a second.
pub const TICKS_PER_SECOND: Ticks = 90_000;
const TICKS_PER_MS: Ticks = TICKS_PER_SECOND / 1000;

/// Where a fresh timeline starts: late enough that decoding and the program clock, which run ahead, stay positive.
pub const START: Ticks = 10 * TICKS_PER_SECOND;

/// A step forward of more than this is a broken clock rather than a pause.
const MAX_STEP: Ticks = 5 * TICKS_PER_SECOND;
/// A step back of up to this is a few stamps out of order; a longer one is a new epoch.
const MAX_BACK: Ticks = TICKS_PER_SECOND;
/// Audio further than this from the video runs on an epoch of its own.
const MAX_SKEW: Ticks = 10 * TICKS_PER_SECOND;
/// Longest believable distance between decoding and presentation.
const MAX_REORDER: Ticks = 5 * TICKS_PER_SECOND;
/// Millisecond stamps of audio are replaced by the exact sample count while they stay this close to it.
const AUDIO_TOLERANCE: Ticks = 30 * TICKS_PER_MS;
/// How much longer than the picture the sound before a restart may have lasted.
const AUDIO_OVERHANG: Ticks = 100 * TICKS_PER_MS;
/// Frame distance assumed until two frames have been seen: 30 frames a second.
const DEFAULT_STEP: Ticks = TICKS_PER_SECOND / 30;

/// The two stamps of a frame on the stream's timeline; `dts <= pts`, and `dts` grows with every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When to decode.
    pub dts: Ticks,
    /// When to show.
    pub pts: Ticks,
    /// The source clock jumped by this much just before the frame, and the jump was taken out.
    pub jump: Option<Ticks>,
}

/// The timeline of one stream. It outlives connections: call [`Timeline::reconnect`] when a new one begins.
#[derive(Debug, Clone)]
pub struct Timeline {
    last_dts: Option<Ticks>,
    /// Where the picture after the last one shown belongs.
    next_pts: Ticks,
    step: Ticks,
    /// What to add to this connection's clock; unknown until its first video frame.
    offset: Option<Ticks>,
    unwrapped: Option<i64>,
    audio_offset: Ticks,
    audio: Option<Samples>,
    /// Sound before this is dropped.
    audio_from: Ticks,
}

/// Audio counted in samples, so that 1024/44100 s does not collect rounding errors.
#[derive(Debug, Clone, Copy)]
struct Samples {
    anchor: Ticks,
    count: i64,
    rate: u32,
}

impl Samples {
    fn next(&self) -> Ticks {
        self.anchor + self.count * TICKS_PER_SECOND / i64::from(self.rate)
    }
}

impl Timeline {
    /// A timeline whose first picture will be shown at `pts`: [`START`] for a fresh stream. A later one continues a stream
    /// whose sound may overhang its last picture, so that the first tenth of a second stays silent.
    pub fn starting_at(pts: Ticks) -> Self {
        Self {
            last_dts: None,
            next_pts: pts,
            step: DEFAULT_STEP,
            offset: None,
            unwrapped: None,
            audio_offset: 0,
            audio: None,
            audio_from: if pts > START { pts + AUDIO_OVERHANG } else { Ticks::MIN },
        }
    }

    /// The publisher's clock is about to start anew; its next video frame follows the last one without a hole.
    pub fn reconnect(&mut self) {
        self.offset = None;
        self.unwrapped = None;
        self.audio_offset = 0;
    }

    /// Where the next video frame would be decoded if the source clock said nothing.
    pub fn next_dts(&self) -> Ticks {
        self.last_dts.map_or(self.next_pts, |last| last + self.step)
    }

    /// Where the next picture would be shown.
    pub fn next_pts(&self) -> Ticks {
        self.next_pts
    }

    /// Stamps a video frame that the publisher decodes at `dts_ms` and shows `reorder_ms` later.
    pub fn video(&mut self, dts_ms: u32, reorder_ms: i32) -> Stamp {
        let source = self.unwrap(dts_ms) * TICKS_PER_MS;
        let reorder = match Ticks::from(reorder_ms) * TICKS_PER_MS {
            ahead @ 0..=MAX_REORDER => ahead,
            _ => 0, // shown before it is decoded, or hours later: a broken stamp costs this frame its place, no more
        };
        // A new connection may reorder less than the one before: its first picture must not overlap the last one shown.
        let follow = self.last_dts.map_or(Ticks::MIN, |last| last + self.step).max(self.next_pts - reorder);
        let offset = *self.offset.get_or_insert(follow - source);
        let mut dts = source + offset;
        let mut jump = None;
        if let Some(last) = self.last_dts {
            match dts - last {
                step if !(-MAX_BACK..=MAX_STEP).contains(&step) => {
                    dts = last + self.step;
                    self.offset = Some(dts - source);
                    jump = Some(step - self.step);
                }
                step if step <= 0 => dts = last + 1,
                step if step <= TICKS_PER_SECOND => self.step = step,
                _ => {}
            }
        }
        let pts = dts.max(self.offset.unwrap_or(offset) + source + reorder);
        self.last_dts = Some(dts);
        self.next_pts = self.next_pts.max(pts + self.step);
        Stamp { dts, pts, jump }
    }

    /// Stamps an audio frame of `samples` samples at `rate` Hz. `None` when it belongs before the first picture or over
    /// audio already passed on: such a frame is to be dropped.
    pub fn audio(&mut self, ms: u32, samples: u32, rate: u32) -> Option<Ticks> {
        let rate = rate.max(1);
        let source = self.unwrap(ms) * TICKS_PER_MS;
        let video = self.last_dts?;
        let mut pts = source + self.offset? + self.audio_offset;
        if (pts - video).abs() > MAX_SKEW {
            self.audio_offset += video - pts;
            pts = video;
        }
        if pts < self.audio_from {
            return None;
        }
        let counted = match self.audio {
            Some(at) if pts < at.next() - AUDIO_TOLERANCE => return None,
            Some(at) if at.rate == rate && pts <= at.next() + AUDIO_TOLERANCE => at,
            Some(at) => Samples { anchor: pts.max(at.next()), count: 0, rate },
            None => Samples { anchor: pts, count: 0, rate },
        };
        self.audio = Some(Samples { count: counted.count + i64::from(samples), ..counted });
        Some(counted.next())
    }

    /// Undoes the 32-bit wrap. Audio and video share the state, so that a wrap between them is seen by both.
    fn unwrap(&mut self, raw: u32) -> i64 {
        let value = match self.unwrapped {
            None => i64::from(raw),
            // The low half of `last` is what the publisher sent; the signed difference is the nearest reading.
            Some(last) => last + i64::from(raw.wrapping_sub(last as u32).cast_signed()),
        };
        self.unwrapped = Some(value);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: u32 = 40; // ms, 25 frames a second
    const STEP: Ticks = 3600;

    fn run(line: &mut Timeline, from: u32, frames: u32) -> Vec<Stamp> {
        (0..frames).map(|n| line.video(from.wrapping_add(n * FRAME), 80)).collect()
    }

    #[test]
    fn a_32_bit_wrap_after_49_days_goes_unnoticed() {
        let mut line = Timeline::starting_at(START);
        let stamps = run(&mut line, u32::MAX - 200, 20);
        assert!(stamps.windows(2).all(|w| w[1].dts - w[0].dts == STEP && w[1].jump.is_none()), "{stamps:?}");
        assert_eq!(stamps[19].pts - stamps[19].dts, 2 * STEP);
    }

    #[test]
    fn audio_that_wraps_before_video_stays_beside_it() {
        let mut line = Timeline::starting_at(START);
        let video = line.video(u32::MAX - 10, 0);
        let audio = line.audio(5, 1024, 48_000);
        assert_eq!(audio, Some(video.dts + 16 * TICKS_PER_MS));
        assert_eq!(line.video(29, 0).dts, video.dts + STEP);
    }

    #[test]
    fn a_reconnect_continues_with_the_next_frame() {
        let mut line = Timeline::starting_at(START);
        let before = run(&mut line, 5_000, 50);
        line.reconnect();
        let after = run(&mut line, 0, 50);
        assert_eq!(after[0].dts, before[49].dts + STEP);
        assert_eq!(after[0].pts, before[49].pts + STEP);
        assert!(after.iter().all(|s| s.jump.is_none()));
    }

    #[test]
    fn a_reconnect_without_reordering_does_not_overlap_pictures() {
        let mut line = Timeline::starting_at(START);
        let before = run(&mut line, 0, 10);
        line.reconnect();
        let first = line.video(0, 0);
        assert_eq!(first.pts, before[9].pts + STEP);
    }

    #[test]
    fn jumps_are_taken_out_and_reported() {
        for (to, what) in [(3_600_000, "an hour ahead"), (0, "back to zero"), (u32::MAX / 2, "half the range ahead")] {
            let mut line = Timeline::starting_at(START);
            let before = run(&mut line, 100_000, 10);
            let after = run(&mut line, to, 10);
            assert!(after[0].jump.is_some(), "{what}");
            assert_eq!(after[0].dts, before[9].dts + STEP, "{what}");
            assert!(after[1..].iter().all(|s| s.jump.is_none()), "{what}");
        }
    }

    #[test]
    fn a_repeated_stamp_costs_a_tick_and_a_pause_stays_a_pause() {
        let mut line = Timeline::starting_at(START);
        let a = line.video(0, 0);
        let b = line.video(0, 0);
        let c = line.video(3_000, 0);
        assert_eq!((b.dts - a.dts, c.dts - a.dts), (1, 3 * TICKS_PER_SECOND));
    }

    #[test]
    fn four_hours_of_44100_hz_audio_do_not_drift() {
        let mut line = Timeline::starting_at(0);
        let mut last = 0;
        let frames = 4 * 3600 * 44_100 / 1024_u64;
        for n in 0..frames {
            let ms = n * 1024 * 1000 / 44_100;
            line.video(ms as u32, 0);
            last = line.audio(ms as u32, 1024, 44_100).expect("in order");
        }
        let exact = ((frames - 1) * 1024 * 90_000 / 44_100) as Ticks;
        assert!((last - exact).abs() <= 1, "{last} {exact}");
    }

    #[test]
    fn audio_from_another_epoch_is_brought_to_the_video() {
        let mut line = Timeline::starting_at(START);
        let video = line.video(1_000, 0);
        assert_eq!(line.audio(4_000_000, 1024, 48_000), Some(video.dts));
        line.video(1_040, 0);
        assert_eq!(line.audio(4_000_021, 1024, 48_000), Some(video.dts + 1920));
    }

    #[test]
    fn audio_before_the_first_picture_and_over_old_audio_is_dropped() {
        let mut line = Timeline::starting_at(START);
        assert_eq!(line.audio(0, 1024, 48_000), None);
        line.video(0, 0);
        for n in 0..50 {
            assert!(line.audio(n * 1024 / 48, 1024, 48_000).is_some());
        }
        assert_eq!(line.audio(500, 1024, 48_000), None);
    }

    proptest! {
        #[test]
        fn any_stamps_give_growing_time(
            events in prop::collection::vec((any::<bool>(), any::<u32>(), -20_000i32..20_000, any::<bool>(), 0u8..20), 1..200)
        ) {
            let mut line = Timeline::starting_at(START);
            let (mut dts, mut audio) = (Ticks::MIN, Ticks::MIN);
            let mut near = 0u32;
            for (is_video, raw, reorder, wild, reconnect) in events {
                near = if wild { raw } else { near.wrapping_add(raw % 100) };
                if reconnect == 0 {
                    line.reconnect();
                }
                if is_video {
                    let stamp = line.video(near, reorder);
                    prop_assert!(stamp.dts > dts && stamp.pts >= stamp.dts);
                    prop_assert!(dts == Ticks::MIN || stamp.dts - dts <= MAX_STEP + MAX_REORDER);
                    dts = stamp.dts;
                } else if let Some(pts) = line.audio(near, 1024, 44_100) {
                    prop_assert!(pts > audio);
                    audio = pts;
                }
            }
        }
    }
}
