//! Times the standard ladder through a pool: `cargo run --release -p headframe-codec --example ladder-speed WORKERS SEGMENT.ts...`
//!
//! As many segments are in work as there are workers. Build the program `headframe-codec` first, in the same profile.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Ladder, SegmentIn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let workers = args.next().ok_or("how many workers?")?.parse()?;
    let segments = args.map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let pool = Pool::start(PoolConfig { workers, ..PoolConfig::default() })?;
    let started = Instant::now();
    let next = Mutex::new(0..segments.len());
    let take = || next.lock().ok()?.next();
    let totals = Mutex::new((0i64, [Duration::ZERO; 3], Vec::new(), 0));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(number) = take() {
                    let segment = SegmentIn { stream: "speed", number: number as u64, bytes: &segments[number] };
                    match pool.transcode(&Ladder::standard(), segment, Duration::from_secs(60)) {
                        Ok(out) => {
                            let Ok(mut totals) = totals.lock() else { return };
                            totals.0 += out.source.duration;
                            let t = out.timings;
                            for (sum, time) in totals.1.iter_mut().zip([t.decode, t.scale, t.encode]) {
                                *sum += time;
                            }
                            totals.2.push(t.total);
                            totals.3 = totals.3.max(pool.stats().rss_bytes);
                        }
                        Err(error) => eprintln!("{error}"),
                    }
                }
            });
        }
    });
    let wall = started.elapsed().as_secs_f64();
    let (ticks, [decode, scale, encode], mut each, rss) = totals.into_inner()?;
    each.sort();
    let seconds = ticks as f64 / 90_000.0;
    println!("{seconds:.1} s of video in {wall:.2} s: {:.2} x real time", seconds / wall);
    println!("decode {decode:.2?}, scale {scale:.2?}, encode {encode:.2?} (processor time)");
    println!("one segment: median {:.2?}, worst {:.2?}", each[each.len() / 2], each[each.len() - 1]);
    println!("workers: {} MiB resident, last start {:.1?}", rss >> 20, pool.stats().last_start);
    Ok(())
}
