//! From timestamped audio and video messages to segments. No sockets, no clock of its own.

use bytes::Bytes;

use super::Resume;
use super::flv::{self, Audio, FlvError, Video};
use crate::aac::AacConfig;
use crate::clock::{Ticks, Timeline};
use crate::h264::{self, AvcConfig, PictureInfo, nal};
use crate::mux::mpegts::{AudioFrame, ParameterSets, VideoFrame};
use crate::segmenter::{Cut, Segmenter, Settings};

/// What belongs to a stream rather than to a connection: hand it from one connection to the next.
#[derive(Debug)]
pub struct Pipeline {
    timeline: Timeline,
    segmenter: Segmenter,
    config: Option<AvcConfig>,
    audio: Option<AacConfig>,
    /// Of this connection no IDR picture has come yet; what comes before it would leave a hole in the timeline.
    waiting: bool,
    warned: Warned,
}

#[derive(Debug, Default)]
struct Warned {
    audio: bool,
    jump: bool,
    broken: bool,
}

/// What a message led to.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    /// A new picture format, already checked to be decodable.
    pub picture: Option<PictureInfo>,
    /// A segment is complete.
    pub cut: Option<Cut>,
    /// Something the publisher should change, said once for each kind and connection.
    pub trouble: Option<String>,
    /// A picture was taken in.
    pub got_picture: bool,
}

/// The video cannot be carried: the connection must end. Holds the name of the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} video is not supported")]
pub struct Unsupported(pub String);

impl Pipeline {
    /// A stream that goes on at `resume`.
    pub fn new(settings: Settings, resume: Resume) -> Self {
        Self {
            timeline: Timeline::starting_at(resume.pts),
            segmenter: Segmenter::new(settings, resume.number),
            config: None,
            audio: None,
            waiting: true,
            warned: Warned::default(),
        }
    }

    /// Number of the next segment and where its time begins.
    pub fn resume(&self) -> Resume {
        Resume { number: self.segmenter.number(), pts: self.timeline.next_pts() }
    }

    /// A new connection takes over the stream. Configurations of the last one no longer hold.
    pub fn reconnect(&mut self) {
        self.timeline.reconnect();
        (self.config, self.audio) = (None, None);
        self.waiting = true;
        self.warned = Warned::default();
    }

    /// Takes the body of a video message.
    pub fn video(&mut self, ms: u32, body: &Bytes) -> Result<Outcome, Unsupported> {
        match flv::video(body) {
            Ok(Video::Config(config)) => self.configure(config),
            Ok(Video::Picture { reorder_ms, data }) => Ok(self.picture(ms, reorder_ms, &data)),
            Ok(Video::Nothing) => Ok(Outcome::default()),
            Err(FlvError::Unsupported(codec)) => Err(Unsupported(codec)),
            Err(error) => Ok(self.broken(&error)),
        }
    }

    /// Takes the body of an audio message. Sound that cannot be carried is dropped and reported once.
    pub fn audio(&mut self, ms: u32, body: &Bytes) -> Outcome {
        let mut outcome = Outcome::default();
        match flv::audio(body) {
            Ok(Audio::Config(config)) => self.audio = Some(config),
            Ok(Audio::Frame(data)) => {
                if let Some(config) = self.audio.filter(|_| !self.waiting)
                    && let Some(pts) = self.timeline.audio(ms, config.samples(), config.rate())
                {
                    self.segmenter.audio(AudioFrame { pts, config, data });
                }
            }
            Ok(Audio::Nothing) => {}
            Err(error) if !std::mem::replace(&mut self.warned.audio, true) => {
                outcome.trouble = Some(format!("the sound is dropped: {error}; set the encoder to AAC-LC"));
            }
            Err(_) => {}
        }
        outcome
    }

    /// The connection is over: gives what is left.
    pub fn flush(&mut self) -> Option<Cut> {
        self.segmenter.flush(self.timeline.next_dts())
    }

    fn configure(&mut self, config: AvcConfig) -> Result<Outcome, Unsupported> {
        if self.config.as_ref() == Some(&config) {
            return Ok(Outcome::default()); // OBS and others repeat it with every key frame
        }
        let picture = match h264::picture_info(&config.sps[0]) {
            Ok(picture) => picture,
            Err(error) => return Ok(self.broken(&error.into())),
        };
        if picture.bit_depth != 8 || picture.chroma != 1 {
            let chroma = ["4:0:0", "4:2:0", "4:2:2", "4:4:4"].get(picture.chroma as usize).unwrap_or(&"unknown chroma");
            return Err(Unsupported(format!("{} bit {chroma} H.264", picture.bit_depth)));
        }
        self.segmenter.parameter_sets(ParameterSets { sps: config.sps.clone(), pps: config.pps.clone() });
        self.config = Some(config);
        Ok(Outcome { picture: Some(picture), ..Outcome::default() })
    }

    fn picture(&mut self, ms: u32, reorder_ms: i32, data: &Bytes) -> Outcome {
        let Some(config) = &self.config else {
            return self.broken(&FlvError::Short("decoder configuration"));
        };
        let units = match h264::split_units(data, config.length_size) {
            Ok(units) if units.is_empty() => return Outcome::default(),
            Ok(units) => units,
            Err(error) => return self.broken(&error.into()),
        };
        let idr = units.iter().any(|unit| nal::kind(unit) == nal::IDR);
        if self.waiting && !idr {
            return Outcome::default();
        }
        self.waiting = false;
        let stamp = self.timeline.video(ms, reorder_ms);
        let step = self.segmenter.video(VideoFrame { dts: stamp.dts, pts: stamp.pts, idr, units });
        let jump = stamp.jump.filter(|_| !std::mem::replace(&mut self.warned.jump, true));
        let trouble = step.trouble.map(|trouble| trouble.to_string());
        let jump =
            jump.map(|by| format!("the publisher's clock jumped by {:.3} s; the jump was taken out", seconds(by)));
        Outcome { picture: None, cut: step.cut, trouble: trouble.or(jump), got_picture: true }
    }

    fn broken(&mut self, error: &FlvError) -> Outcome {
        let first = !std::mem::replace(&mut self.warned.broken, true);
        Outcome { trouble: first.then(|| format!("a message is skipped: {error}")), ..Outcome::default() }
    }
}

fn seconds(ticks: Ticks) -> f64 {
    ticks as f64 / crate::clock::TICKS_PER_SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::START;
    use crate::h264::tests::{PPS, SPS_720P, avcc};

    fn config() -> Bytes {
        [&[0x17, 0, 0, 0, 0][..], &avcc(&SPS_720P, &PPS)].concat().into()
    }

    fn picture(idr: bool) -> Bytes {
        let (head, unit) = if idr { (0x17, 0x65) } else { (0x27, 0x41) };
        vec![head, 1, 0, 0, 0, 0, 0, 0, 2, unit, 7].into()
    }

    /// Two seconds of 25 frames a second, an IDR first.
    fn two_seconds(pipeline: &mut Pipeline, from: u32) -> Vec<Cut> {
        let body = |n: u32| picture(n == 0);
        (0..50).filter_map(|n| pipeline.video(from + n * 40, &body(n)).expect("supported").cut).collect()
    }

    #[test]
    fn numbers_and_time_continue_over_a_reconnect() {
        let mut pipeline = Pipeline::new(Settings::default(), Resume { number: 5, pts: START });
        let outcome = pipeline.video(0, &config()).expect("supported");
        assert_eq!(outcome.picture.map(|p| (p.width, p.height)), Some((1280, 720)));
        assert!(two_seconds(&mut pipeline, 70_000).is_empty());
        let first = pipeline.flush().expect("one segment is open");
        assert_eq!((first.number, first.first_pts, first.frames), (5, START, 50));

        pipeline.reconnect();
        // Pictures before the new configuration and before the first IDR leave no trace in the timeline.
        let _ = pipeline.video(0, &picture(false)).expect("supported");
        let _ = pipeline.video(0, &config()).expect("supported");
        let _ = pipeline.video(500, &picture(false)).expect("supported");
        assert!(two_seconds(&mut pipeline, 1000).is_empty());
        let second = pipeline.flush().expect("one segment is open");
        assert_eq!((second.number, second.first_pts), (6, first.first_pts + first.duration));
        assert!(!second.discontinuity);
    }

    #[test]
    fn formats_that_cannot_be_decoded_are_named() {
        let mut pipeline = Pipeline::new(Settings::default(), Resume::default());
        let hevc = Bytes::from_static(b"\x90hvc1abc");
        assert_eq!(pipeline.video(0, &hevc).err(), Some(Unsupported("HEVC (H.265)".into())));
        // `chroma_format_idc` 2 in place of 1.
        let mut sps = SPS_720P;
        sps[4] = 0xBC;
        let wide = [&[0x17, 0, 0, 0, 0][..], &avcc(&sps, &PPS)].concat().into();
        assert_eq!(pipeline.video(0, &wide).err(), Some(Unsupported("8 bit 4:2:2 H.264".into())));
    }

    #[test]
    fn broken_messages_and_odd_sound_are_reported_once_and_survived() {
        let mut pipeline = Pipeline::new(Settings::default(), Resume::default());
        let mp3 = Bytes::from_static(&[0x2F, 1, 2]);
        assert!(pipeline.audio(0, &mp3).trouble.is_some_and(|t| t.contains("MP3")));
        assert!(pipeline.audio(0, &mp3).trouble.is_none());
        let _ = pipeline.video(0, &config()).expect("supported");
        let torn = Bytes::from_static(&[0x17, 1, 0, 0, 0, 0, 0, 9, 9, 0x65]);
        assert!(pipeline.video(0, &torn).expect("survived").trouble.is_some());
        assert!(pipeline.video(0, &torn).expect("survived").trouble.is_none());
        assert!(two_seconds(&mut pipeline, 0).is_empty());
        assert_eq!(pipeline.flush().map(|cut| (cut.frames, cut.has_audio)), Some((50, false)));
    }
}
