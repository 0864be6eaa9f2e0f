//! Sound that is not AAC becomes AAC-LC: decoded, mixed to at most two channels, encoded, put into ADTS. AAC in LATM is put
//! into ADTS as it is; where ADTS has no words for it, it is treated as foreign.
//!
//! Every segment begins afresh. Its first AAC frame has the time of its first sound, and the number of frames is its
//! length, rounded: seams between segments are off by at most half an AAC frame, and nothing adds up. A hole in the source
//! is filled with silence.

use std::time::Instant;

use super::latm;
use super::timeline::in_stream;
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ffi::audio::{AAC_FRAME, AacEncoder, Samples, SoundDecoder, parser};
use crate::segment::TICKS_PER_SECOND;
use crate::ts::{AAC_ADTS, AudioCoding, AudioTrack, Media, Unit, described, nearest};

/// Rates that AAC knows, in the order of their numbers (14496-3 table 1.18).
pub(crate) const RATES: [u32; 13] =
    [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
/// Times that are off by less are rounding.
const TOLERANCE: i64 = TICKS_PER_SECOND / 100;
/// Longer holes are a new clock, not silence.
const LONGEST_HOLE: i64 = 10 * TICKS_PER_SECOND;
/// Most sound of one segment, seconds; the rest is left out.
const LONGEST: usize = 300;

/// Replaces all tracks that are not AAC in ADTS. One of which nothing can be decoded is left out.
pub(super) fn to_aac(media: &mut Media, limits: &Limits, started: Instant) -> Result<(), EngineError> {
    for track in &mut media.audio {
        let Some(coding) = track.coding() else { continue };
        let as_it_is = if coding == AudioCoding::Latm { latm::to_adts(track) } else { None };
        track.units = match as_it_is {
            Some(units) => units,
            None => transcode(coding, track, limits, started)?,
        };
        track.stream_type = AAC_ADTS;
        // The language stays true; what describes the coding does not.
        let languages = described(&track.descriptors).filter(|(tag, _)| *tag == 0x0a);
        track.descriptors = languages.flat_map(|(tag, body)| [&[tag, body.len() as u8], body].concat()).collect();
    }
    media.audio.retain(|track| !track.units.is_empty());
    Ok(())
}

fn transcode(
    coding: AudioCoding,
    track: &AudioTrack,
    limits: &Limits,
    started: Instant,
) -> Result<Vec<Unit>, EngineError> {
    let mut decoder = SoundDecoder::new(coding)?;
    let reference = track.units.iter().find_map(|unit| unit.pts).unwrap_or(0);
    let mut line = Line { track, reference, pending: Vec::new(), encoder: None };
    for (frame, pts) in frames(coding, track, reference)? {
        if started.elapsed() > limits.wall {
            return Err(EngineError::Wall { limit_ms: limits.wall.as_millis() as u64 });
        }
        decoder.send(Some((&frame, pts)))?;
        while let Some(samples) = decoder.receive()? {
            line.take(&samples)?;
        }
    }
    decoder.send(None)?;
    while let Some(samples) = decoder.receive()? {
        line.take(&samples)?;
    }
    line.finish()
}

type Timed = (Vec<u8>, Option<i64>);

/// Coded frames with the times that are known.
fn frames(coding: AudioCoding, track: &AudioTrack, reference: i64) -> Result<Vec<Timed>, EngineError> {
    let mut cut = Vec::new();
    let place = |unit: &Unit| unit.pts.map(|pts| nearest(pts, reference));
    if let AudioCoding::Opus { .. } = coding {
        for unit in &track.units {
            let mut pts = place(unit);
            let mut rest = &unit.data[..];
            while let Some((frame, next)) = opus_unit(rest) {
                cut.push((frame.to_vec(), pts.take()));
                rest = next;
            }
        }
        return Ok(cut);
    }
    let mut parser = parser(coding)?;
    let units = track.units.iter().filter(|unit| !unit.data.is_empty());
    for (data, pts) in units.map(|unit| (&unit.data[..], place(unit))).chain([(&[][..], None)]) {
        parser.feed(data, pts, |frame| {
            cut.push((frame.data, frame.time));
            Ok(())
        })?;
    }
    Ok(cut)
}

/// The first frame of Opus in a transport stream, without its control header, and what follows it.
fn opus_unit(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x7f, marks, rest @ ..] = bytes else { return None };
    let mut rest = rest;
    if marks & 0xe0 != 0xe0 {
        return None;
    }
    let mut len = 0;
    loop {
        let (byte, next) = rest.split_first()?;
        rest = next;
        len += usize::from(*byte);
        if *byte != 0xff {
            break;
        }
    }
    // Samples to be cut off at the start and at the end, two bytes each.
    let trims = usize::from(marks >> 4 & 1) + usize::from(marks >> 3 & 1);
    rest = rest.get(2 * trims..)?;
    if marks >> 2 & 1 != 0 {
        let (extension, next) = rest.split_first()?;
        rest = next.get(usize::from(*extension)..)?;
    }
    rest.split_at_checked(len)
}

/// The encoder and what is fixed with the first samples.
struct Encoding {
    encoder: AacEncoder,
    rate: u32,
    channels: usize,
    /// Samples so far, those that are pending included.
    samples: usize,
    /// Frames received; the first one is the encoder's own delay.
    received: usize,
    units: Vec<Unit>,
}

struct Line<'a> {
    track: &'a AudioTrack,
    /// The time of the first sample.
    reference: i64,
    /// Per channel, what does not fill a frame yet.
    pending: Vec<Vec<f32>>,
    encoder: Option<Encoding>,
}

impl Line<'_> {
    fn take(&mut self, samples: &Samples) -> Result<(), EngineError> {
        if self.encoder.is_none() {
            if !RATES.contains(&samples.rate) {
                return Err(EngineError::UnsupportedAudio { stream_type: self.track.stream_type });
            }
            let channels = samples.channels.len().min(2);
            let encoder = AacEncoder::new(samples.rate, channels)?;
            let (rate, units) = (samples.rate, Vec::new());
            self.pending = vec![Vec::new(); channels];
            self.encoder = Some(Encoding { encoder, rate, channels, samples: 0, received: 0, units });
        }
        let Some(encoding) = &mut self.encoder else { return Ok(()) };
        if samples.rate != encoding.rate {
            // Leaves a hole, if the first rate comes again.
            return Ok(());
        }
        let rate = i64::from(encoding.rate);
        let expected = self.reference + encoding.samples as i64 * TICKS_PER_SECOND / rate;
        let hole = samples.pts.map_or(0, |pts| pts - expected);
        let silence = if (TOLERANCE..LONGEST_HOLE).contains(&hole) { hole * rate / TICKS_PER_SECOND } else { 0 };
        let mixed = mix(samples, encoding.channels);
        let room = (LONGEST * encoding.rate as usize).saturating_sub(encoding.samples);
        for (pending, channel) in self.pending.iter_mut().zip(&mixed) {
            let silence = (silence as usize).min(room);
            pending.resize(pending.len() + silence, 0.0);
            pending.extend(&channel[..channel.len().min(room - silence)]);
        }
        encoding.samples += (silence as usize + mixed[0].len()).min(room);
        self.encode(AAC_FRAME)
    }

    /// Encodes while at least `least` samples are pending; what is missing in a frame is silence.
    fn encode(&mut self, least: usize) -> Result<(), EngineError> {
        let Some(encoding) = &mut self.encoder else { return Ok(()) };
        while self.pending[0].len() >= least {
            let cut = |pending: &mut Vec<f32>| pending.drain(..pending.len().min(AAC_FRAME)).collect();
            let frame: Vec<Vec<f32>> = self.pending.iter_mut().map(cut).collect();
            encoding.encoder.send(Some(&frame))?;
            encoding.drain(self.reference)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Unit>, EngineError> {
        self.encode(1)?;
        let Some(mut encoding) = self.encoder else { return Ok(Vec::new()) };
        encoding.encoder.send(None)?;
        encoding.drain(self.reference)?;
        let frames = (encoding.samples + AAC_FRAME / 2) / AAC_FRAME;
        encoding.units.truncate(frames.max(1));
        Ok(encoding.units)
    }
}

impl Encoding {
    fn drain(&mut self, reference: i64) -> Result<(), EngineError> {
        while let Some(data) = self.encoder.receive()? {
            self.received += 1;
            // The encoder's first frame holds what it makes up in front of the first sample.
            let Some(index) = self.received.checked_sub(2) else { continue };
            let time = reference + (index * AAC_FRAME) as i64 * TICKS_PER_SECOND / i64::from(self.rate);
            let rate = RATES.iter().position(|known| *known == self.rate).unwrap_or(3) as u8;
            let data = [&adts(1, rate, self.channels as u8, data.len())[..], &data].concat();
            self.units.push(Unit { pts: Some(in_stream(time)), dts: None, data });
        }
        Ok(())
    }
}

/// The header of one AAC frame of `len` bytes, at most 8184 (13818-7 6.2): `profile` is the object type less one, `rate` the
/// number of the rate.
pub(crate) fn adts(profile: u8, rate: u8, channels: u8, len: usize) -> [u8; 7] {
    let len = len + 7;
    [
        0xff,
        0xf1,
        profile << 6 | rate << 2 | channels >> 2,
        channels << 6 | (len >> 11) as u8 & 3,
        (len >> 3) as u8,
        (len << 5) as u8 | 0x1f,
        0xfc,
    ]
}

/// One or two channels of what there are (the usual weights of ITU-R BS.775, scaled so that nothing clips).
fn mix(samples: &Samples, want: usize) -> Vec<Vec<f32>> {
    let have = &samples.channels;
    match (have.len(), want) {
        (have_channels, want) if have_channels == want => return have.clone(),
        (1, _) => return vec![have[0].clone(); want],
        (_, 1) => {
            let share = 1.0 / have.len() as f32;
            return vec![(0..have[0].len()).map(|i| have.iter().map(|c| c[i]).sum::<f32>() * share).collect()];
        }
        _ => {}
    }
    let positions: Vec<u32> = (0..64).filter(|bit| samples.mask >> bit & 1 != 0).collect();
    let weights = |side: usize| -> Vec<f32> {
        let weight = |channel: usize| match positions.get(channel) {
            // Front, centre, low frequencies, behind, behind in the middle, at the sides.
            Some(0 | 1) => {
                if channel == side {
                    1.0
                } else {
                    0.0
                }
            }
            Some(2) => std::f32::consts::FRAC_1_SQRT_2,
            Some(3) => 0.0,
            Some(4 | 9) => {
                if side == 0 {
                    std::f32::consts::FRAC_1_SQRT_2
                } else {
                    0.0
                }
            }
            Some(5 | 10) => {
                if side == 1 {
                    std::f32::consts::FRAC_1_SQRT_2
                } else {
                    0.0
                }
            }
            Some(8) => 0.5,
            Some(_) => 0.0,
            None => {
                if channel % 2 == side {
                    1.0
                } else {
                    0.0
                }
            }
        };
        let weights: Vec<f32> = (0..have.len()).map(weight).collect();
        let sum = weights.iter().sum::<f32>().max(1.0);
        weights.into_iter().map(|weight| weight / sum).collect()
    };
    let sides = [weights(0), weights(1)];
    let side = |weights: &Vec<f32>| {
        let at = |i: usize| have.iter().zip(weights).map(|(channel, weight)| channel[i] * weight).sum();
        (0..have[0].len()).map(at).collect()
    };
    sides.iter().map(side).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_is_unwrapped() {
        let long = [&[0x7f, 0xe0, 255, 1][..], &[9; 256], &[0x7f, 0xf0, 2, 0, 5, 7, 8]].concat();
        let (first, rest) = opus_unit(&long).unwrap_or_default();
        assert_eq!(first, [9; 256]);
        assert_eq!(opus_unit(rest), Some((&[7, 8][..], &[][..])));
        for bad in [&[][..], &[0x7f], &[0x7f, 0xe0, 255], &[0x7f, 0xe0, 5, 1], &[0x7f, 0xe4, 1, 9, 1], &[1, 2, 3]] {
            assert_eq!(opus_unit(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn surround_becomes_stereo_without_clipping() {
        let samples = Samples { pts: None, rate: 48_000, mask: 0x60f, channels: vec![vec![1.0]; 6] };
        let mixed = mix(&samples, 2);
        assert!(mixed.len() == 2 && mixed.iter().all(|side| (side[0] - 1.0).abs() < 1e-6), "{mixed:?}");
        let mut left = samples.clone();
        left.channels = (0..6).map(|i| vec![if i == 0 || i == 4 { 1.0 } else { 0.0 }]).collect();
        assert_eq!(mix(&left, 2)[1], [0.0]);
        assert_eq!(mix(&samples, 1), [[1.0]]);
    }

    #[test]
    fn headers_are_adts() {
        assert_eq!(adts(1, 3, 2, 249), [0xff, 0xf1, 0x4c, 0x80, 0x20, 0x1f, 0xfc]);
    }
}
