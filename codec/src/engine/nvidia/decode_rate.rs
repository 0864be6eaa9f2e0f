//! How much a card decodes: measured once, when it is taken into use, because no clock of the driver shows afterwards
//! what decoding takes of an engine. Decoders are the driver's own: FFmpeg's are not measured.

use std::io;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::moving::moving;
use crate::error::EngineError;
use crate::ladder::{Ladder, Preset, Rendition};
use crate::nvidia::{Decoder, DecoderLimits, Device, NvidiaError, Picture, VideoCodec};
use crate::ts::VideoUnit;

/// Pictures of the clip, and how many: small ones would fill an engine less well than those of streams do.
const SIZE: (u32, u32) = (1280, 720);
const PICTURES: u32 = 24;
const RATE_FACTOR: f64 = 18.0;
/// Decoders at work for each engine, so that none waits while a thread takes a picture.
const EACH: usize = 2;
/// Decoders at work on the whole card, each with some 30 MB of its memory: of five engines and more some have one only.
const MOST: usize = 8;
/// How often it is measured; the best time counts, because clocks rise with the work, and others may be at it.
const TRIES: usize = 3;
/// For how long a try begins pictures: an engine decodes about 70 of them. A time and not a number of pictures, so that
/// a slow card does not start later.
const TRY: Duration = Duration::from_millis(40);

/// Luma samples of H.264 that so many decode engines, all those of a card, decode in a second together. Takes some
/// tenths of a second; nothing of it stays on the card.
///
/// # Errors
/// The clip cannot be made, or the card does not decode all of it.
pub fn decode_rate(device: &Arc<Device>, engines: u32) -> Result<u64, EngineError> {
    let (width, height) = SIZE;
    let usual = Ladder::standard().renditions()[0].clone();
    let rendition = Rendition { width, height, bitrate_bps: 20_000_000, preset: Preset::Density, ..usual };
    let clip = moving(&rendition, RATE_FACTOR, PICTURES)?;
    let at_once = (EACH * engines as usize).clamp(1, MOST);
    let mut streams = (0..at_once).map(|_| Stream::open(device, &clip)).collect::<Result<Vec<_>, _>>()?;
    // Once for nothing: the driver makes its decoders with the first picture.
    all(&mut streams, |stream| stream.decode(|fed| fed < clip.len() as i64))?;
    let mut best = 0.0_f64;
    for _ in 0..TRIES {
        let began = Instant::now();
        let pictures = all(&mut streams, |stream| stream.decode(|_| began.elapsed() < TRY))?;
        let samples = pictures as f64 * f64::from(width) * f64::from(height);
        best = best.max(samples / began.elapsed().max(TRY).as_secs_f64());
    }
    Ok(best as u64)
}

/// One decoder, and what it is fed with.
struct Stream<'a> {
    decoder: Decoder,
    clip: &'a [VideoUnit],
    /// Its clock: counts up with every picture.
    time: i64,
}

impl<'a> Stream<'a> {
    fn open(device: &Arc<Device>, clip: &'a [VideoUnit]) -> Result<Self, NvidiaError> {
        // One picture is held at a time, until it is thrown away.
        let limits = DecoderLimits { pictures: 2, ..DecoderLimits::default() };
        Ok(Self { decoder: Decoder::open(device, VideoCodec::H264, limits)?, clip, time: 0 })
    }

    /// Decodes the clip from its beginning, over and over, as long as `more` pictures than so many are wanted, and waits
    /// for those that are in work then. The number of pictures.
    fn decode(&mut self, more: impl Fn(i64) -> bool) -> Result<i64, NvidiaError> {
        let (mut fed, mut shown) = (0, 0);
        let mut sink = |_: Picture| {
            shown += 1;
            Ok(())
        };
        for unit in self.clip.iter().cycle() {
            if !more(fed) {
                break;
            }
            self.decoder.feed(&unit.data, self.time, &mut sink)?;
            (fed, self.time) = (fed + 1, self.time + 1);
        }
        self.decoder.flush(&mut sink)?;
        match shown == fed {
            true => Ok(fed),
            false => Err(NvidiaError::Nonsense { call: "cuvidParseVideoData", what: "fewer pictures than it was fed" }),
        }
    }
}

/// Does the same with all streams at once, each on a thread of its own. The sum of what comes of them.
fn all(
    streams: &mut [Stream<'_>],
    work: impl Fn(&mut Stream<'_>) -> Result<i64, NvidiaError> + Sync,
) -> Result<i64, EngineError> {
    let work = &work;
    let panicked = || EngineError::Codec {
        what: "measure decoding".to_owned(),
        code: 0,
        reason: "a thread panicked; this is a bug".to_owned(),
    };
    thread::scope(|scope| {
        let begin = |stream| {
            let thread = thread::Builder::new().name("decode-rate".to_owned());
            thread.spawn_scoped(scope, move || work(stream))
        };
        let begun: Vec<_> = streams.iter_mut().map(begin).collect();
        let end = |thread: io::Result<ScopedJoinHandle<'_, Result<i64, NvidiaError>>>| -> Result<i64, EngineError> {
            let thread = thread.map_err(|_| EngineError::Memory { what: "start a thread".to_owned() })?;
            Ok(thread.join().map_err(|_| panicked())??)
        };
        // All of them, whatever becomes of the first: no thread is left when this is over.
        let ended: Vec<_> = begun.into_iter().map(end).collect();
        ended.into_iter().sum()
    })
}
