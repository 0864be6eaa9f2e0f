//! SVT-AV1 for a rung: its presets and options, and key pictures where they are due.
//!
//! Pictures may be coded out of order inside a group, but each temporal unit shows one picture, in order.

use std::collections::VecDeque;

use super::encoder::{Encoded, Session, Settings};
use super::picture::Image;
use crate::error::EngineError;
use crate::ladder::{Codec, Preset, Rate, Rendition};
use crate::syntax::av1;

/// FFmpeg 5.1 cannot ask SVT-AV1 for a key picture, only tell it a period in pictures. Where one is due at another picture,
/// the encoder is opened anew, which takes about as long as five pictures.
pub(super) struct Encoder<'a> {
    settings: Settings<'a>,
    session: Session,
    /// Pictures from key to key, where a whole number of them makes up the time.
    period: Option<i64>,
    /// Index of the session's first picture, and of the next one.
    first: i64,
    next: i64,
    /// What sessions that have ended still had.
    ready: VecDeque<Encoded>,
}

impl<'a> Encoder<'a> {
    pub(super) fn open(settings: &Settings<'a>) -> Result<Self, EngineError> {
        let period = period(settings);
        let session = open(settings, period)?;
        Ok(Self { settings: *settings, session, period, first: 0, next: 0, ready: VecDeque::new() })
    }

    pub(super) fn send(&mut self, image: Option<(&mut Image, i64, bool)>) -> Result<(), EngineError> {
        let Some((image, index, key)) = image else { return self.session.send(None) };
        let expected = self.period.is_some_and(|period| (index - self.first) % period == 0);
        if key && !expected && self.next > self.first {
            self.session.send(None)?;
            while let Some(encoded) = self.session.receive()? {
                self.ready.push_back(encoded);
            }
            self.session = open(&self.settings, self.period)?;
            self.first = index;
        }
        self.next = index + 1;
        self.session.send_picture(Some((image, index, false)))
    }

    pub(super) fn receive(&mut self) -> Result<Option<Encoded>, EngineError> {
        let next = match self.ready.pop_front() {
            Some(encoded) => Some(encoded),
            None => self.session.receive()?,
        };
        Ok(next.map(|encoded| Encoded { data: av1::without_delimiters(&encoded.data), ..encoded }))
    }
}

fn open(settings: &Settings<'_>, period: Option<i64>) -> Result<Session, EngineError> {
    let rendition = settings.rendition;
    Session::open(Codec::Av1.encoder(), |fields, options| {
        settings.apply(fields);
        match rendition.rate {
            Rate::Capped => options.set("crf", &factor(settings.rate_factor).to_string())?,
            Rate::Quality(factor) => options.set("crf", &stretched(factor).to_string())?,
            Rate::Cbr => {
                fields.bit_rate = i64::from(rendition.bitrate_bps);
                // Equal values would mean a mode that refuses pictures out of order.
                fields.rc_max_rate += 1000;
            }
        }
        options.set("preset", preset(rendition))?;
        // One processor: with more, the rate control answers to whichever thread is first. Keys open closed groups.
        let keys = period.map_or(-1, |period| period - 1);
        options.set("svtav1-params", &format!("lp=1:irefresh-type=2:scd=0:keyint={keys}"))
    })
}

/// Pictures from key to key if no segment drifts from that by half a picture, i.e. off by at most a 20th of one.
fn period(settings: &Settings<'_>) -> Option<i64> {
    let (num, den) = (i64::from(settings.fps.num), i64::from(settings.fps.den) * 1000);
    let scaled = i64::from(settings.rendition.gop_ms) * num;
    let pictures = (scaled + den / 2) / den;
    (pictures > 1 && 20 * (scaled - pictures * den).abs() <= den).then_some(pictures)
}

/// SVT-AV1's rate factor for x264's: as many bits, on mixed content. Ten of its steps halve them, as six of x264's do.
fn factor(x264: f64) -> u8 {
    (20.5 + (x264 - 22.0) * 10.0 / 6.0).round().clamp(1.0, 63.0) as u8
}

/// 1 to 51 on a scale that ends at 63.
fn stretched(factor: u8) -> u8 {
    ((u16::from(factor) * 63 + 25) / 51) as u8
}

fn preset(rendition: &Rendition) -> &'static str {
    match rendition.preset {
        Preset::Density => "12",
        Preset::Live => "10",
        Preset::Quality => "8",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn factors_stay_on_the_scale() {
        assert_eq!((factor(10.0), factor(22.0), factor(44.0)), (1, 21, 57));
        assert_eq!((stretched(1), stretched(26), stretched(51)), (1, 32, 63));
    }
}
