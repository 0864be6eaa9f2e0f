//! SVT-AV1 for a rung: its presets and options, and key pictures where they are due.
//!
//! Pictures may be coded out of order inside a group, but each temporal unit shows one picture, in order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ffmpeg_next::ffi;

use super::encoder::{Encoded, Session, Settings};
use super::ffmpeg::failure;
use super::picture::Image;
use crate::error::EngineError;
use crate::ladder::{Codec, Preset, Rate, Rendition};

/// A period that no segment is as long as.
const NEVER: i64 = 100_000;

/// Held while an encoder is set up or taken down: what all encoders of a process share is not safe from two at once.
static SETUP: Mutex<()> = Mutex::new(());

/// A session that is taken down while no other is, and not before it has given all it had: its threads may still be at work
/// on the rest.
struct Alone {
    session: Option<Session>,
    ended: bool,
}

impl Alone {
    fn send(&mut self, image: Option<(&mut Image, i64, bool)>) -> Result<(), EngineError> {
        self.ended |= image.is_none();
        self.session.as_mut().map_or(Ok(()), |session| session.send_picture(image))
    }

    fn receive(&mut self) -> Result<Option<Encoded>, EngineError> {
        self.session.as_mut().map_or(Ok(None), Session::receive)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.ended || self.send(None).is_ok() {
            while let Ok(Some(_)) = self.receive() {}
        }
        let _alone = SETUP.lock().unwrap_or_else(PoisonError::into_inner);
        self.session = None;
    }
}

/// FFmpeg 5.1 cannot ask SVT-AV1 for a key picture, only tell it a period in pictures. Where one is due at another picture,
/// the encoder is opened anew, which takes about as long as five pictures.
pub(super) struct Encoder<'a> {
    settings: Settings<'a>,
    session: Alone,
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
        self.session.send(Some((image, index, false)))
    }

    pub(super) fn receive(&mut self) -> Result<Option<Encoded>, EngineError> {
        match self.ready.pop_front() {
            Some(encoded) => Ok(Some(encoded)),
            None => self.session.receive(),
        }
    }
}

fn open(settings: &Settings<'_>, period: Option<i64>) -> Result<Alone, EngineError> {
    let rendition = settings.rendition;
    let _alone = SETUP.lock().unwrap_or_else(PoisonError::into_inner);
    let session = Session::open(Codec::Av1.encoder(), |fields, options| {
        settings.apply(fields);
        match rendition.rate {
            Rate::Capped => options.set("crf", &factor(settings.rate_factor).to_string())?,
            Rate::Quality(factor) => options.set("crf", &stretched(factor).to_string())?,
            // Ladders do not order it.
            Rate::Cbr => return Err(failure("open libsvtav1 at a constant bit rate", ffi::AVERROR(libc::EINVAL))),
        }
        options.set("preset", preset(rendition))?;
        // One processor: with more, the rate control answers to whichever thread is first. Keys open closed groups.
        let keys = period.unwrap_or(NEVER);
        options.set("svtav1-params", &format!("lp=1:irefresh-type=2:scd=0:keyint={keys}"))
    })?;
    Ok(Alone { session: Some(session), ended: false })
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
    use super::super::encoder::exists;
    use super::super::picture::Look;
    use super::*;
    use crate::ladder::{Fps, Ladder};
    use crate::syntax::av1;

    #[test]
    fn factors_stay_on_the_scale() {
        assert_eq!((factor(10.0), factor(22.0), factor(44.0)), (1, 21, 57));
        assert_eq!((stretched(1), stretched(26), stretched(51)), (1, 32, 63));
    }

    /// 50 pictures of a moving pattern, a key due at each of `keys`: index and kind of what comes out, and all bytes.
    fn encoded(gop_ms: u32, rate: Rate, keys: &[i64]) -> (Vec<(i64, bool)>, Vec<Encoded>) {
        let mut rendition = Ladder::standard().renditions()[0].clone();
        (rendition.width, rendition.height, rendition.gop_ms) = (96, 64, gop_ms);
        (rendition.codec, rendition.preset, rendition.rate) = (Codec::Av1, Preset::Density, rate);
        let fps = Fps { num: 30, den: 1 };
        let settings = Settings { rendition: &rendition, rate_factor: 24.0, fps, gop: 32, look: Look::unknown() };
        let mut encoder = Encoder::open(&settings).unwrap();
        let mut image = Image::new(96, 64).unwrap();
        let mut out = Vec::new();
        for index in 0..50 {
            image.paint(|x, y| (x * y + 3 * index as usize) as u8);
            encoder.send(Some((&mut image, index, keys.contains(&index)))).unwrap();
            out.extend(std::iter::from_fn(|| encoder.receive().unwrap()));
        }
        encoder.send(None).unwrap();
        out.extend(std::iter::from_fn(|| encoder.receive().unwrap()));
        (out.iter().map(|encoded| (encoded.index, encoded.key)).collect(), out)
    }

    #[test]
    fn every_picture_comes_out_once_and_keys_are_where_they_are_due() {
        if !exists(Codec::Av1) {
            println!("skipped: this FFmpeg has no {}", Codec::Av1.encoder());
            return;
        }
        // By the period that the encoder knows; where it knows none; by period and one more.
        for (gop_ms, keys) in [(1000, &[0, 30][..]), (250, &[0, 7, 15, 22, 30, 37, 45]), (1000, &[0, 13, 43])] {
            for rate in [Rate::Capped, Rate::Quality(40)] {
                let (shown, units) = encoded(gop_ms, rate, keys);
                let want: Vec<(i64, bool)> = (0..50).map(|index| (index, keys.contains(&index))).collect();
                assert_eq!(shown, want, "{gop_ms} ms, {rate}");
                for unit in &units {
                    assert_eq!(av1::sequence(&unit.data).is_some(), unit.key);
                }
                assert_eq!(av1::codecs(&units[0].data), "av01.0.00M.08");
                let again = encoded(gop_ms, rate, keys).1;
                assert!(units.iter().map(|unit| &unit.data).eq(again.iter().map(|unit| &unit.data)), "{rate}: again");
            }
        }
    }

    #[test]
    fn an_encoder_can_be_left_half_way() {
        if !exists(Codec::Av1) {
            println!("skipped: this FFmpeg has no {}", Codec::Av1.encoder());
            return;
        }
        let rendition = Rendition { codec: Codec::Av1, ..Ladder::standard().renditions()[0].clone() };
        let fps = Fps { num: 30, den: 1 };
        let settings = Settings { rendition: &rendition, rate_factor: 24.0, fps, gop: 32, look: Look::unknown() };
        let mut image = Image::new(rendition.width, rendition.height).unwrap();
        let mut encoder = Encoder::open(&settings).unwrap();
        for index in 0..20 {
            encoder.send(Some((&mut image, index, index == 0))).unwrap();
        }
    }
}
