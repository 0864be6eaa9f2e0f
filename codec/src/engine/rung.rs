//! One rendition: scale, encode, multiplex.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use headframe_kernels::Scaler;

use super::cpu::Job;
use super::timeline::Cadence;
use crate::error::EngineError;
use crate::ffi::ffmpeg::{Encoder, Image, Look, Picture, Settings};
use crate::ladder::Rendition;
use crate::segment::{RenditionOut, TICKS_PER_SECOND};
use crate::ts::{self, AAC_ADTS, AudioTrack, VideoUnit};

/// A rendition and what it cost.
pub(super) struct Made {
    pub(super) out: RenditionOut,
    pub(super) scale: Duration,
    pub(super) encode: Duration,
}

/// Takes pictures until the sender hangs up, then finishes the rendition.
pub(super) fn run(
    rendition: &Rendition,
    job: &Job<'_>,
    pictures: &Receiver<Arc<Picture>>,
) -> Result<Made, EngineError> {
    let mut rung = Rung {
        rendition,
        job,
        cadence: rendition.fps.map_or(Cadence::Source, Cadence::Fixed),
        image: Image::new(rendition.width, rendition.height)?,
        scaler: None,
        encoder: None,
        next_key: i64::MIN,
        times: Vec::new(),
        video: Vec::new(),
        bytes: 0,
        scale: Duration::ZERO,
        encode: Duration::ZERO,
    };
    // A picture is current until the next one's time, so it is shown once that is known.
    let mut held: Option<Arc<Picture>> = None;
    while let Ok(picture) = pictures.recv() {
        if let Some(held) = held.replace(Arc::clone(&picture)) {
            rung.show(&held, picture.pts)?;
        }
    }
    if let Some(held) = held {
        rung.show(&held, held.pts + job.timeline.frame)?;
    }
    rung.finish()
}

struct Rung<'a> {
    rendition: &'a Rendition,
    job: &'a Job<'a>,
    cadence: Cadence,
    image: Image,
    scaler: Option<Scaler>,
    encoder: Option<Encoder>,
    /// Time from which the next picture is an IDR.
    next_key: i64,
    /// Time of each picture sent; the encoder counts pictures.
    times: Vec<i64>,
    video: Vec<VideoUnit>,
    bytes: u64,
    scale: Duration,
    encode: Duration,
}

impl Rung<'_> {
    fn show(&mut self, picture: &Picture, until: i64) -> Result<(), EngineError> {
        let cadence = self.cadence;
        let mut scaled = false;
        for time in cadence.times(picture.pts, until) {
            self.job.check_time()?;
            if self.times.len() >= self.job.limits.frames as usize {
                return Err(EngineError::Frames { limit: self.job.limits.frames });
            }
            if !scaled {
                self.scale(picture)?;
                scaled = true;
            }
            self.encode(picture, time)?;
        }
        Ok(())
    }

    fn scale(&mut self, picture: &Picture) -> Result<(), EngineError> {
        let started = Instant::now();
        let refused = |error: headframe_kernels::ScaleError| EngineError::Scale {
            rendition: self.rendition.name.clone(),
            reason: error.to_string(),
        };
        let (from, to) = (picture.size(), (self.rendition.width, self.rendition.height));
        // Made again when the source changes its size on the way.
        let scaler = match self.scaler.take_if(|scaler| scaler.source_size() == from) {
            Some(scaler) => scaler,
            None => Scaler::new(from, to).map_err(refused)?,
        };
        let scaler = self.scaler.insert(scaler);
        scaler.scale_yuv420(&picture.view()?, &mut self.image.view()?).map_err(refused)?;
        self.scale += started.elapsed();
        Ok(())
    }

    fn encode(&mut self, picture: &Picture, time: i64) -> Result<(), EngineError> {
        let started = Instant::now();
        let fps = self.rendition.fps.unwrap_or(self.job.timeline.fps);
        let gop = i64::from(self.rendition.gop_ms) * TICKS_PER_SECOND / 1000;
        let encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                let pictures = u64::from(self.rendition.gop_ms) * u64::from(fps.num) / (u64::from(fps.den) * 1000);
                Encoder::new(&Settings {
                    width: self.rendition.width,
                    height: self.rendition.height,
                    bitrate_bps: self.rendition.bitrate_bps,
                    fps,
                    // The clock decides (below); this only tells the rate control what to expect.
                    gop: u32::try_from(pictures).unwrap_or(u32::MAX).min(5000) + 2,
                    preset: self.rendition.preset,
                    look: look(picture, self.rendition),
                })?
            }
        };
        let encoder = self.encoder.insert(encoder);
        // Half a picture of tolerance: times are often rounded to milliseconds.
        let key = self.times.is_empty() || time + self.job.timeline.frame / 2 >= self.next_key;
        if key {
            let start = self.times.first().copied().unwrap_or(time);
            let due = time + self.job.timeline.frame / 2 - start;
            self.next_key = start + (due / gop + 1) * gop;
        }
        let index = self.times.len() as i64;
        self.times.push(time);
        encoder.send(Some((&mut self.image, index, key)))?;
        self.drain()?;
        self.encode += started.elapsed();
        Ok(())
    }

    fn drain(&mut self) -> Result<(), EngineError> {
        while let Some(encoded) = self.encoder.as_mut().map_or(Ok(None), Encoder::receive)? {
            let time = usize::try_from(encoded.index).ok().and_then(|index| self.times.get(index));
            let lost = || EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: format!("libx264 returned a picture that was not sent ({})", encoded.index),
            };
            let pts = *time.ok_or_else(lost)?;
            self.bytes += encoded.data.len() as u64;
            if self.bytes > self.job.limits.output_bytes {
                return Err(EngineError::OutputBytes { limit: self.job.limits.output_bytes });
            }
            self.video.push(VideoUnit { pts, key: encoded.key, data: encoded.data });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Made, EngineError> {
        let started = Instant::now();
        let Some(encoder) = &mut self.encoder else {
            return Err(EngineError::NoFrames { units: self.job.media.video.len() as u32 });
        };
        encoder.send(None)?;
        self.drain()?;
        if self.video.len() != self.times.len() {
            return Err(EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: format!("libx264 returned {} of {} pictures", self.video.len(), self.times.len()),
            });
        }
        let audio = &self.job.media.audio;
        let bytes = ts::mux(&self.video, audio, ts::H264);
        let codecs = codecs(&self.video[0].data, audio);
        let out = RenditionOut {
            name: self.rendition.name.clone(),
            width: self.rendition.width,
            height: self.rendition.height,
            bytes,
            frames: self.video.len() as u32,
            codecs,
        };
        Ok(Made { out, scale: self.scale, encode: self.encode + started.elapsed() })
    }
}

/// The source's colours, and the sample aspect ratio that keeps its shape. Less than 1.5 % off square is square: the
/// usual sizes (426x240, 854x480) are meant to be.
fn look(picture: &Picture, rendition: &Rendition) -> Look {
    let mut look = picture.look();
    let (width, height) = picture.size();
    let (num, den) = match look.aspect {
        (num, den) if num > 0 && den > 0 => (num as u64, den as u64),
        _ => (1, 1),
    };
    let num = num * u64::from(width) * u64::from(rendition.height);
    let den = den * u64::from(height) * u64::from(rendition.width);
    let square = num.abs_diff(den) * 1000 < 15 * num.max(den);
    look.aspect = if square { (1, 1) } else { reduced(num, den) };
    look
}

/// The ratio with both numbers below 2^16, as the bitstream wants it.
fn reduced(num: u64, den: u64) -> (i32, i32) {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let (mut num, mut den) = (num / a.max(1), den / a.max(1));
    while num > 65_535 || den > 65_535 {
        (num, den) = (num / 2, den / 2);
    }
    (num.max(1) as i32, den.max(1) as i32)
}

/// RFC 6381: profile, constraint flags and level from the first sequence parameter set, object type from ADTS.
fn codecs(first: &[u8], audio: &[AudioTrack]) -> String {
    let mut text = String::from("avc1");
    let set = first.windows(7).find(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 7);
    if let Some(set) = set {
        text.push('.');
        for byte in &set[4..7] {
            let _ = write!(text, "{byte:02X}");
        }
    }
    if let Some(track) = audio.first() {
        let object = match track.units.first().map(|unit| &unit.data[..]) {
            Some([0xff, second, third, ..]) if track.stream_type == AAC_ADTS && second & 0xf6 == 0xf0 => {
                (third >> 6) + 1
            }
            _ => 2,
        };
        let _ = write!(text, ",mp4a.40.{object}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_come_from_the_parameter_sets() {
        let unit = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1f, 0xac];
        assert_eq!(codecs(&unit, &[]), "avc1.64001F");
        let unit_of = |data: &[u8]| ts::Unit { data: data.to_vec(), ..ts::Unit::default() };
        let track = |data: &[u8]| AudioTrack { stream_type: AAC_ADTS, descriptors: vec![], units: vec![unit_of(data)] };
        assert_eq!(codecs(&unit, &[track(&[0xff, 0xf1, 0x50])]), "avc1.64001F,mp4a.40.2");
        assert_eq!(codecs(&unit, &[track(&[0xff, 0xf1, 0x10])]), "avc1.64001F,mp4a.40.1");
    }

    #[test]
    fn ratios_are_reduced() {
        assert_eq!(reduced(1920 * 240, 1080 * 426), (640, 639));
        let (num, den) = reduced(1_000_003, 2_000_003);
        assert!(num < 65_536 && den < 65_536 && (f64::from(num) / f64::from(den) - 0.5).abs() < 1e-4);
    }
}
