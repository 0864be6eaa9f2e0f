//! How many ladders are on time when their segments come as they are made: live.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::ladders::{Who, card};
use super::{Bench, say};
use crate::streams::process_seconds;

/// Of its playing time, what a segment may take; as `headframe-bench certify` has it.
const IN_TIME: f64 = 0.8;
/// Of 1000 segments, those that may be late.
const LATE: usize = 10;
/// What is tried next, where too many were late.
const LESS: f64 = 0.85;

/// So many live streams.
#[derive(Debug, Serialize)]
pub(super) struct Try {
    streams: usize,
    segments: usize,
    late: usize,
    /// Of the playing time, at the 99th percentile and at most.
    p99: f64,
    worst: f64,
    on_time: bool,
    cost: Cost,
}

/// What they cost this process.
#[derive(Debug, Default, Serialize)]
struct Cost {
    pictures: u64,
    /// Processor time, without encoding in software.
    cpu_s: f64,
    software_encoding_s: f64,
}

/// Tries what went at full speed, and less of it until all are on time. The last try is the one that was, if any.
pub(super) fn search(bench: &Bench<'_>, who: Who, fastest: f64, length: Duration) -> Result<Vec<Try>, String> {
    let mut tried: Vec<Try> = Vec::new();
    let mut streams = (fastest as usize).min(bench.options.streams as usize);
    while streams > 0 {
        let one = live(bench, who, streams, length)?;
        let done = one.on_time;
        tried.push(one);
        if done {
            break;
        }
        streams = ((streams as f64 * LESS) as usize).min(streams - 1);
    }
    Ok(tried)
}

/// Each stream gives its next segment when that has played; all at different moments.
fn live(bench: &Bench<'_>, who: Who, streams: usize, length: Duration) -> Result<Try, String> {
    say(&format!("{streams} live ladders"));
    let (card, cpu) = (card(bench, who), process_seconds());
    let started = Instant::now();
    let stream = |i: usize| {
        let (mut shares, mut pictures, count) = (Vec::new(), 0, bench.segments.len());
        let mut due = started + bench.lengths[i % count].mul_f64(i as f64 / streams as f64);
        for at in (0..count).cycle().skip(i % count) {
            if due.duration_since(started) >= length && !shares.is_empty() {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            pictures += u64::from(bench.transcode(&card, &bench.segments[at])?.source.frames);
            let playing = bench.lengths[at].max(Duration::from_millis(1));
            shares.push(due.elapsed().as_secs_f64() / playing.as_secs_f64());
            due += playing;
        }
        Ok::<_, String>((shares, pictures))
    };
    let ended = thread::scope(|scope| {
        let threads: Vec<_> = (0..streams).map(|i| scope.spawn(move || stream(i))).collect();
        let panicked = |_| Err("a thread panicked".to_owned());
        threads.into_iter().map(|it| it.join().unwrap_or_else(panicked)).collect::<Result<Vec<_>, _>>()
    });
    let (shares, pictures): (Vec<_>, Vec<u64>) = ended?.into_iter().unzip();
    let software_encoding_s = card.software_encoding().as_secs_f64();
    let cpu_s = (process_seconds() - cpu - software_encoding_s).max(0.0);
    let cost = Cost { pictures: pictures.iter().sum(), cpu_s, software_encoding_s };
    Ok(judge(streams, shares.concat(), cost))
}

fn judge(streams: usize, mut shares: Vec<f64>, cost: Cost) -> Try {
    shares.sort_by(f64::total_cmp);
    let late = shares.iter().filter(|share| **share > IN_TIME).count();
    let at = |thousandths: usize| {
        let place = (shares.len() * thousandths).div_ceil(1000).max(1) - 1;
        shares.get(place).copied().unwrap_or(0.0)
    };
    let on_time = late * 1000 <= LATE * shares.len();
    Try { streams, segments: shares.len(), late, p99: at(990), worst: at(1000), on_time, cost }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_hundred_may_be_late() {
        let shares = |late: usize| [vec![0.5; 100 - late], vec![0.9; late]].concat();
        let one = judge(3, shares(1), Cost::default());
        assert!((one.on_time, one.late, one.segments) == (true, 1, 100) && one.p99 == 0.5 && one.worst == 0.9);
        let two = judge(3, shares(2), Cost::default());
        assert!(!two.on_time && two.p99 == 0.9, "{two:?}");
    }
}
