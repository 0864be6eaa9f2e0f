//! AAC: from ADTS frames in PES packets to samples and `mp4a`.

use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{Audio, Codec, Esds, Mp4a};

use super::fragment::{Run, Sample};
use crate::engine::sound::RATES;
use crate::error::EngineError;
use crate::segment::TICKS_PER_SECOND;
use crate::ts::{AAC_ADTS, AudioTrack, described, nearest};

/// Samples of every channel in one frame.
const FRAME: i64 = 1024;

/// One track of sound.
pub(super) struct Sound {
    header: Header,
    language: String,
    /// All bytes of the track.
    data: Vec<u8>,
    frames: Vec<Frame>,
    /// The first frame that has not been written.
    next: usize,
}

/// One coded frame.
#[derive(Clone, Copy)]
struct Frame {
    /// When it is heard: samples since the source's time zero, unwrapped like the video's.
    time: i64,
    start: usize,
    end: usize,
}

/// What all frames of a track have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    /// Object type less one.
    profile: u8,
    rate_index: u8,
    channels: u8,
}

impl Sound {
    /// Cuts a track into frames, with times near `reference`, which is the first picture's. `None` if there is no frame.
    pub(super) fn new(track: &AudioTrack, reference: i64) -> Result<Option<Self>, EngineError> {
        if track.stream_type != AAC_ADTS {
            return Err(EngineError::UnsupportedAudio { stream_type: track.stream_type });
        }
        let mut data = Vec::with_capacity(track.units.iter().map(|unit| unit.data.len()).sum());
        // A unit's time is that of the first frame that begins in it.
        let mut times = Vec::new();
        for unit in &track.units {
            if let Some(pts) = unit.pts {
                times.push((data.len(), nearest(pts, reference)));
            }
            data.extend_from_slice(&unit.data);
        }
        let mut times = times.into_iter().peekable();
        let (mut common, mut frames, mut at, mut due) = (None, Vec::new(), 0, None);
        while let Some((header, head, len)) = data.get(at..).and_then(next_frame) {
            let (skipped, start) = (header.0, at + header.0);
            let header = header.1;
            let rate = i64::from(RATES[usize::from(header.rate_index)]);
            let mut told = None;
            while let Some((_, pts)) = times.next_if(|(from, _)| *from <= start) {
                told = Some(pts);
            }
            // A frame follows the one before it without a gap, unless the source's clock says otherwise by more than half a
            // frame: times are rounded to ticks, or to milliseconds.
            let told = told.map(|pts| (pts * rate + TICKS_PER_SECOND / 2).div_euclid(TICKS_PER_SECOND));
            let time = match (told, due) {
                (Some(told), Some(due)) if told - due > FRAME / 2 || skipped > 0 && told > due => told,
                (_, Some(due)) => due,
                (Some(told), None) => told,
                (None, None) => (reference * rate).div_euclid(TICKS_PER_SECOND),
            };
            if *common.get_or_insert(header) == header {
                frames.push(Frame { time, start: start + head, end: start + len });
                due = Some(time + FRAME);
            }
            at = start + len;
        }
        let language = described(&track.descriptors).find(|(tag, _)| *tag == 0x0a).and_then(|(_, body)| body.get(..3));
        let language = language.filter(|code| code.iter().all(u8::is_ascii_lowercase)).unwrap_or(b"und");
        let language = String::from_utf8_lossy(language).into_owned();
        Ok(common.map(|header| Self { header, language, data, frames, next: 0 }))
    }

    /// Samples per second, which is also the track's time scale.
    pub(super) fn rate(&self) -> u32 {
        RATES[usize::from(self.header.rate_index)]
    }

    /// ISO 639-2.
    pub(super) fn language(&self) -> &str {
        &self.language
    }

    /// The sample entry. Bit rates are left at "unknown": they would differ from segment to segment.
    pub(super) fn describe(&self) -> Codec {
        let Header { profile, rate_index, channels } = self.header;
        // 14496-3 table 1.19: seven means eight.
        let channel_count = if channels == 7 { 8 } else { u16::from(channels) };
        let sample_rate = u16::try_from(self.rate()).unwrap_or(0).into();
        // AudioSpecificConfig (14496-3 1.6.2.1): object type, rate, channels, frames of 1024.
        let config =
            DecoderSpecific { profile: profile + 1, freq_index: rate_index, chan_conf: channels, raw: Vec::new() };
        let dec_config = DecoderConfig {
            // 14496-1 table 5: 14496-3 audio, in an audio stream.
            object_type_indication: 0x40,
            stream_type: 5,
            dec_specific: Some(config),
            ..DecoderConfig::default()
        };
        let es_desc = EsDescriptor { dec_config, sl_config: SLConfig::default(), ..EsDescriptor::default() };
        Codec::Mp4a(Mp4a {
            audio: Audio { data_reference_index: 1, channel_count, sample_size: 16, sample_rate },
            esds: Esds { es_desc },
            btrt: None,
            taic: None,
        })
    }

    /// The frames that begin before `until` (90 kHz ticks), with `shift` ticks taken off their times.
    pub(super) fn run(&mut self, track: u32, until: i64, shift: i64) -> Option<Run> {
        let (rate, ticks) = (i128::from(self.rate()), i128::from(TICKS_PER_SECOND));
        let shift = (i128::from(shift) * rate / ticks) as i64;
        // There is no time before zero: what would lie there is sound in front of a stream's first picture.
        while self.frames.get(self.next).is_some_and(|frame| frame.time < shift) {
            self.next += 1;
        }
        let rest = &self.frames[self.next..];
        let due = |frame: &&Frame| i128::from(frame.time) * ticks < i128::from(until) * rate;
        let count = rest.iter().take_while(due).count();
        let first = rest.first().filter(|_| count > 0)?.time;
        let mut run =
            Run { track, start: (first - shift) as u64, samples: Vec::with_capacity(count), data: Vec::new() };
        for (i, frame) in rest.iter().enumerate().take(count) {
            // A gap in the sound makes the frame in front of it last longer.
            let end = rest.get(i + 1).map_or(frame.time + FRAME, |next| next.time);
            let data = &self.data[frame.start..frame.end];
            run.samples.push(Sample { duration: (end - frame.time) as u32, size: data.len() as u32, sync: true });
            run.data.extend_from_slice(data);
        }
        self.next += count;
        Some(run)
    }
}

/// The next ADTS frame (13818-7 6.2): bytes in front of it and its header, the header's length and the frame's.
fn next_frame(bytes: &[u8]) -> Option<((usize, Header), usize, usize)> {
    let mut at = 0;
    loop {
        let found = bytes.get(at..)?.windows(7).position(|w| w[0] == 0xff && w[1] & 0xf6 == 0xf0)?;
        at += found;
        let rest = &bytes[at..];
        let len = usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5] >> 5);
        let head = if rest[1] & 1 == 0 { 9 } else { 7 };
        let rate_index = rest[2] >> 2 & 0x0f;
        let header = Header { profile: rest[2] >> 6, rate_index, channels: rest[2] << 2 & 4 | rest[3] >> 6 };
        // One block of data in a frame, as everybody writes; several could not be told apart.
        if len > head && len <= rest.len() && usize::from(rate_index) < RATES.len() && rest[6] & 3 == 0 {
            return Some(((at, header), head, len));
        }
        at += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::ts::{AAC_LATM, Unit, WRAP};

    /// AAC-LC, two channels, with one byte repeated.
    fn frame(rate_index: u8, byte: u8, len: usize) -> Vec<u8> {
        let all = len + 7;
        let head = [
            0xff,
            0xf1,
            0x40 | rate_index << 2,
            0x80 | (all >> 11) as u8,
            (all >> 3) as u8,
            (all << 5) as u8 | 0x1f,
            0xfc,
        ];
        [&head[..], &vec![byte; len]].concat()
    }

    fn track(units: &[(Option<i64>, Vec<u8>)]) -> AudioTrack {
        let unit = |(pts, data): &(Option<i64>, Vec<u8>)| Unit { pts: *pts, dts: None, data: data.clone() };
        let units = units.iter().map(unit).collect();
        AudioTrack { stream_type: AAC_ADTS, descriptors: vec![10, 4, b'd', b'e', b'u', 0], units }
    }

    fn times(run: &Run) -> Vec<u64> {
        let mut time = run.start;
        let mut step = |sample: &Sample| {
            time += u64::from(sample.duration);
            time - u64::from(sample.duration)
        };
        run.samples.iter().map(&mut step).collect()
    }

    #[test]
    fn frames_are_found_across_packets_and_keep_their_times() {
        // 48 kHz: 1920 ticks each. The second packet begins in the middle of the third frame.
        let all: Vec<u8> = (0..5u8).flat_map(|i| frame(3, i, 100 + usize::from(i))).collect();
        let cut = 107 + 108 + 50;
        let units = [(Some(90_000), all[..cut].to_vec()), (Some(90_000 + 3 * 1920 + 2), all[cut..].to_vec())];
        let mut sound = Sound::new(&track(&units), 90_000).unwrap().unwrap();
        assert_eq!((sound.rate(), sound.language()), (48_000, "deu"));
        let first = sound.run(2, 90_000 + 1921, 0).unwrap();
        assert_eq!((times(&first), first.samples[1].size), (vec![48_000, 49_024], 101));
        assert_eq!(first.data, [vec![0; 100], vec![1; 101]].concat(), "without headers");
        let rest = sound.run(2, i64::MAX, 0).unwrap();
        assert_eq!(times(&rest), [50_048, 51_072, 52_096], "times are even, whatever rounding the packets' have");
        assert!(sound.run(2, i64::MAX, 0).is_none());
    }

    #[test]
    fn holes_and_wraps_and_junk() {
        let two = [frame(4, 1, 20), frame(4, 2, 20)].concat();
        let junk = [&[0xff, 0xf1, 0][..], &two].concat();
        let units = [(Some(WRAP - 2000), two.clone()), (Some(90_000 - 2000), junk)];
        // 44.1 kHz; the clock wraps, and a second of sound is missing.
        let mut sound = Sound::new(&track(&units), WRAP - 1000).unwrap().unwrap();
        let run = sound.run(2, i64::MAX, 0).unwrap();
        let start = (WRAP - 2000) as u64 * 441 / 900;
        assert_eq!(times(&run), [start, start + 1024, start + 44_100, start + 45_124]);
        // Nothing is in front of time zero.
        let mut early = Sound::new(&track(&[(Some(WRAP - 2000), two)]), 0).unwrap().unwrap();
        assert_eq!(times(&early.run(2, i64::MAX, 0).unwrap()), [44]);
        assert!(Sound::new(&track(&[(Some(0), vec![7; 300])]), 0).unwrap().is_none());
        let latm = AudioTrack { stream_type: AAC_LATM, ..track(&[]) };
        assert!(matches!(Sound::new(&latm, 0), Err(EngineError::UnsupportedAudio { stream_type: AAC_LATM })));
    }

    #[test]
    fn every_cut_of_a_frame_is_survived() {
        let all = [frame(3, 0xff, 40), frame(3, 0xf1, 40)].concat();
        for cut in 0..all.len() {
            let sound = Sound::new(&track(&[(Some(5), all[..cut].to_vec())]), 0).unwrap();
            assert_eq!(sound.map_or(0, |sound| sound.frames.len()), cut / 47);
        }
    }
}
