//! The parts of a card, each alone: pictures a second.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headframe_codec::engine::nvidia::Card;
use headframe_codec::engine::nvidia::measure::{Reel, Stills};
use serde::Serialize;

use super::watch::{Watched, watched};
use super::{Bench, say};
use crate::gpu_test::limits;

/// Pictures that are kept on the card for each thread that scales or encodes.
const STILLS: usize = 8;
/// Luma samples of 1080p.
const HD: f64 = 1920.0 * 1080.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Decode,
    /// Of pictures that lie on the card, to all sizes.
    Scale,
    DecodeAndScale,
    /// Of pictures of all sizes that lie on the card.
    Encode,
}

/// How fast a part is.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Rate {
    part: Part,
    at_once: usize,
    /// Of the source; when encoding, of one rung.
    pictures_per_s: f64,
    /// The same in luma samples of 1080p.
    hd_pictures_per_s: f64,
    seconds: f64,
    /// Bytes that came down from the card.
    to_host_bytes: u64,
    #[serde(flatten)]
    watched: Watched,
}

/// All parts that the card has, with as many at once as it takes to fill it.
pub(super) fn all(bench: &Bench<'_>, problems: &mut Vec<String>) -> Result<Vec<Rate>, String> {
    let mut rates = Vec::new();
    let parts = [Part::Decode, Part::Scale, Part::DecodeAndScale, Part::Encode];
    for part in parts.into_iter().filter(|part| *part != Part::Encode || bench.sessions > 0) {
        let most = match part {
            // A thread has one session.
            Part::Encode => bench.sessions,
            _ => bench.options.streams as usize,
        };
        let run = |at_once| one(bench, part, at_once, bench.length());
        match bench.until_full(most, |rate: &Rate| rate.pictures_per_s, run, problems) {
            Ok((tried, _)) => rates.extend(tried),
            // The processors do what the card does not encode; ladders show that.
            Err(error) if part == Part::Encode => problems.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(rates)
}

/// So many streams decoded and scaled for so long, for nobody.
pub(super) fn soak(bench: &Bench<'_>, at_once: usize, length: Duration) -> Result<Rate, String> {
    one(bench, Part::DecodeAndScale, at_once, length)
}

/// One part with so many threads.
fn one(bench: &Bench<'_>, part: Part, at_once: usize, length: Duration) -> Result<Rate, String> {
    say(&format!("{} alone, {at_once} at once for {} s", name(part), length.as_secs()));
    let card = Card::new(bench.device.clone());
    let failed = |error: headframe_codec::EngineError| error.to_string();
    let reels = bench.segments.iter().map(|segment| Reel::cut(&bench.ladder, segment, &limits()));
    let reels = reels.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    // Threads write into their own.
    let still = |i: usize| card.stills(&reels[i % reels.len()], &bench.ladder, &limits(), STILLS).map_err(failed);
    let stills: Vec<Stills> = match part {
        Part::Scale | Part::Encode => (0..at_once).map(still).collect::<Result<_, _>>()?,
        Part::Decode | Part::DecodeAndScale => Vec::new(),
    };
    let source = f64::from(bench.source.0) * f64::from(bench.source.1);
    let rungs: Vec<f64> =
        bench.ladder.renditions().iter().map(|it| f64::from(it.width) * f64::from(it.height)).collect();
    let make = |i: usize, turn: usize| -> Result<(u64, f64), String> {
        let reel = &reels[turn % reels.len()];
        let (made, of) = match part {
            Part::Decode => (card.decode(reel, &limits()), source),
            Part::DecodeAndScale => (card.decode_and_scale(reel, &bench.ladder, &limits()), source),
            Part::Scale => (card.scale(&stills[i]), source),
            Part::Encode => {
                let rung = turn % rungs.len();
                // A second or so of it, as long as a lease might be.
                let made = card.encode(&stills[i], rung, 30).map(|made| made.unwrap_or(0));
                (made, rungs[rung])
            }
        };
        match made.map_err(failed)? {
            0 => Err(
                "no encoder session for a rung: other programs have them, or the card does not encode such pictures"
                    .into(),
            ),
            made => Ok((made, made as f64 * of)),
        }
    };
    // Decoders and sessions are opened before time counts.
    threads(at_once, |i| make(i, i).map(drop)).map_err(|error| format!("{}: {error}", name(part)))?;
    let (stop, samples, pictures) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    let thread = |i: usize| {
        for turn in i.. {
            if stop.load(Ordering::Relaxed) || started.elapsed() >= length {
                break;
            }
            let (made, of) = make(i, turn).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            pictures.fetch_add(made, Ordering::Relaxed);
            samples.fetch_add(of as u64, Ordering::Relaxed);
        }
        Ok(())
    };
    let to_host = bench.device.traffic().to_host;
    let (ended, watched) = watched(bench, length, || threads(at_once, thread))?;
    ended.map_err(|error| format!("{}: {error}", name(part)))?;
    let wall = started.elapsed().as_secs_f64();
    Ok(Rate {
        part,
        at_once,
        pictures_per_s: pictures.into_inner() as f64 / wall,
        hd_pictures_per_s: samples.into_inner() as f64 / HD / wall,
        seconds: wall,
        to_host_bytes: bench.device.traffic().to_host - to_host,
        watched,
    })
}

/// Does `work` in so many threads.
fn threads(at_once: usize, work: impl Fn(usize) -> Result<(), String> + Sync) -> Result<(), String> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..at_once).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().try_for_each(|it| it.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
    })
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Decode => "decoding",
        Part::Scale => "scaling",
        Part::DecodeAndScale => "decoding and scaling",
        Part::Encode => "encoding",
    }
}
