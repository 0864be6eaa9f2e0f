//! Broken segments through a pool that works for somebody else at the same time: that one must not notice.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod mangle;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{clip, decoded, small};
use headframe_codec::ts;
use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Class, Ladder, SegmentIn, SegmentOut};
use mangle::{Damage, KINDS, NAL_KINDS, Random, nal_type};

/// Cases of every kind of damage.
const ROUNDS: u64 = 20;
/// For one segment of 15 small pictures, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// More than a worker needs for any of these, less than what a leak in some hundred segments would come to.
const WORKER_BYTES: u64 = 300 << 20;

/// What comes out is whole: pictures as announced, in order, an IDR picture first.
fn check(what: &str, out: &SegmentOut, thorough: bool) {
    for made in &out.renditions {
        assert_eq!(made.frames, out.source.frames, "{what}");
        let media = ts::demux(&made.bytes).unwrap();
        assert_eq!((media.video.len(), media.lost), (made.frames as usize, 0), "{what}");
        let times: Vec<i64> = media.video.iter().map(|unit| unit.pts.unwrap()).collect();
        let steps = times.windows(2).map(|w| (w[1] - w[0]).rem_euclid(ts::WRAP));
        assert!(steps.clone().all(|step| step > 0 && step < ts::WRAP / 2), "{what}: {times:?}");
        assert!(mangle::split(&media.video[0].data).iter().any(|nal| nal_type(nal) == 5), "{what}");
        if thorough {
            assert_eq!(decoded(&made.bytes), made.frames, "{what}");
        }
    }
}

#[test]
fn broken_segments_hurt_nobody_else() {
    let options = "-pix_fmt yuv420p -bf 2 -x264-params slices=3";
    let sources = [
        clip("160x96", "30", 0.5, options),
        clip("160x90", "30", 0.4, "-c:v libx265 -x265-params log-level=none"),
        clip("192x96", "25", 0.5, "-flags +ilme+ildct -pix_fmt yuv422p10le -c:a ac3"),
    ];
    let good = clip("160x90", "30", 0.5, "-c:a mp2");
    let ladder = Ladder::new(vec![small("a", 96, 54)]).unwrap();
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    let pool = Pool::start(PoolConfig { program, workers: 2, ..PoolConfig::default() }).unwrap();
    let stop = AtomicBool::new(false);
    let kinds: Vec<(&str, Damage)> = KINDS.into_iter().chain(NAL_KINDS).collect();
    let (mut made, mut refused, mut most) = (0, 0, 0);
    let kept = thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            let mut kept = 0;
            while !stop.load(Ordering::Relaxed) {
                let segment = SegmentIn { stream: "good", number: kept, bytes: &good };
                let out = pool.transcode(&ladder, segment, DEADLINE).unwrap();
                assert_eq!((out.source.frames, out.source.damaged, out.renditions[0].frames), (15, 0, 15));
                kept += 1;
            }
            kept
        });
        // Also when a case fails: the other thread has to end before the scope does.
        let stopping = Stop(&stop);
        for round in 0..ROUNDS {
            for (kind, (name, damage)) in kinds.iter().enumerate() {
                let number = round * kinds.len() as u64 + kind as u64;
                let what = format!("case {number}: {name}");
                let source = &sources[if round % 4 == 3 { 1 + kind % 2 } else { 0 }];
                let other = &sources[1 + round as usize % 2];
                let bytes = damage(source, other, &mut Random(number * 7919 + 1));
                let started = Instant::now();
                let segment = SegmentIn { stream: "bad", number, bytes: &bytes };
                match pool.transcode(&ladder, segment, DEADLINE) {
                    Ok(out) => {
                        check(&what, &out, number.is_multiple_of(13));
                        made += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.class(), Class::Input, "{what}: {error}");
                        refused += 1;
                    }
                }
                assert!(started.elapsed() < DEADLINE, "{what}");
                let stats = pool.stats();
                assert_eq!(stats.restarts_total(), 0, "{what}: {stats:?}");
                most = stats.rss_bytes.max(most);
            }
        }
        drop(stopping);
        bystander.join().unwrap()
    });
    println!("{made} made, {refused} refused, {kept} of the good stream, {} MiB at most", most >> 20);
    assert!(made + refused == ROUNDS * kinds.len() as u64 && made >= 60 && refused >= 10);
    assert!(kept >= 50, "the good stream was served throughout: {kept}");
    assert!(most < 2 * WORKER_BYTES, "{most}");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
