//! Broken segments through a pool that works for somebody else at the same time: that one must not notice.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod mangle;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{clip, decoded, small};
use headframe_codec::ts::{self, PACKET};
use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Class, Ladder, SegmentIn, SegmentOut};
use mangle::{VIDEO, edit_nals, nal_type, payload, pid, retime};

/// Cases of every kind of damage.
const ROUNDS: u64 = 20;
/// For one segment of 15 small pictures, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// More than a worker needs for any of these, less than what a leak in some hundred segments would come to.
const WORKER_BYTES: u64 = 300 << 20;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

type Damage = fn(&[u8], &[u8], &mut Random) -> Vec<u8>;

/// What is done to a segment; the second argument is a segment of another stream.
const KINDS: [(&str, Damage); 15] = [
    ("bits flipped", |source, _, random| {
        let mut bytes = source.to_vec();
        for _ in 0..1 << random.below(9) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        bytes
    }),
    ("packets dropped", |source, _, random| {
        let one_in = 2 + random.below(40);
        mangle::filter(source, |_, _| random.below(one_in) != 0)
    }),
    ("packets repeated", |source, _, random| {
        source.chunks_exact(PACKET).flat_map(|packet| packet.repeat(1 + random.below(4) / 2)).collect()
    }),
    ("packets out of order", |source, _, random| {
        let mut packets: Vec<&[u8]> = source.chunks_exact(PACKET).collect();
        for _ in 0..1 + random.below(40) {
            let (a, b) = (random.below(packets.len()), random.below(packets.len()));
            packets.swap(a, b);
        }
        packets.concat()
    }),
    ("cut off", |source, _, random| source[..1 + random.below(source.len() - 1)].to_vec()),
    ("spliced", |source, other, random| {
        let (a, b) = (random.below(source.len()), random.below(other.len()));
        let (a, b) = if random.below(2) == 0 { (a, b) } else { (a - a % PACKET, b - b % PACKET) };
        [&source[..a], &other[b..], &source[a..]].concat()
    }),
    ("absurd PES headers", |source, _, random| {
        let mut bytes = source.to_vec();
        for packet in bytes.chunks_exact_mut(PACKET).filter(|p| p[1] & 0x40 != 0 && pid(p) >= VIDEO && pid(p) < 0x110) {
            if random.below(3) == 0 {
                let at = payload(packet) + 3 + random.below(7);
                packet[at] = random.byte();
            }
        }
        bytes
    }),
    ("tables", |source, _, random| {
        let mut bytes = source.to_vec();
        for packet in bytes.chunks_exact_mut(PACKET).filter(|packet| matches!(pid(packet), 0 | 0x1000)) {
            let len = 3 + (usize::from(packet[6] & 0x0f) << 8 | usize::from(packet[7]));
            for _ in 0..1 + random.below(3) {
                packet[5 + random.below(len - 4)] = random.byte();
            }
            // Half of them with the right check sum.
            if random.below(2) == 0 && 5 + len <= PACKET {
                let crc = mangle::crc32(&packet[5..5 + len - 4]);
                packet[5 + len - 4..5 + len].copy_from_slice(&crc.to_be_bytes());
            }
        }
        bytes
    }),
    ("giant pictures", |source, _, random| {
        let sides = [1, 2, 120, 256, 257, 1000, 4095, 65_535, 1 << 24];
        let (width, height) = (sides[random.below(sides.len())], sides[random.below(sides.len())]);
        edit_nals(source, |_, nals| {
            for nal in nals.iter_mut().filter(|nal| nal_type(nal) == 7) {
                *nal = mangle::parameter_set(width, height);
            }
        })
    }),
    ("slices lost", |source, _, random| {
        edit_nals(source, |_, nals| nals.retain(|nal| !matches!(nal_type(nal), 1..=5) || random.below(3) != 0))
    }),
    ("times", |source, _, random| {
        let source =
            retime(source, mangle::AUDIO, |_, times| times.pts = times.pts.map(|_| random.below(1 << 30) as i64));
        let some = 1 + random.below(6);
        retime(&source, VIDEO, |_, times| {
            if random.below(some) == 0 {
                times.pts = times.pts.map(|_| (random.below(1 << 30) as i64) << 3);
            }
        })
    }),
    ("zeros", |source, _, random| {
        let mut bytes = source.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            let len = random.below(bytes.len() - at).min(4000);
            bytes[at..at + len].fill(0);
        }
        bytes
    }),
    ("NAL unit types", |source, _, random| {
        edit_nals(source, |_, nals| {
            for nal in nals.iter_mut().filter(|nal| !nal.is_empty()) {
                if random.below(4) == 0 {
                    nal[0] = random.byte();
                }
            }
        })
    }),
    ("inside NAL units", |source, _, random| {
        edit_nals(source, |_, nals| {
            for nal in nals.iter_mut().filter(|nal| nal.len() > 2) {
                for _ in 0..random.below(3) {
                    let at = 1 + random.below(nal.len() - 1);
                    nal[at] = random.byte();
                }
            }
        })
    }),
    ("packet headers", |source, _, random| {
        let mut bytes = source.to_vec();
        for packet in bytes.chunks_exact_mut(PACKET) {
            if random.below(12) == 0 {
                packet[1 + random.below(4)] = random.byte();
            }
        }
        bytes
    }),
];

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
            for (kind, (name, damage)) in KINDS.iter().enumerate() {
                let number = round * KINDS.len() as u64 + kind as u64;
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
    assert!(made + refused == ROUNDS * KINDS.len() as u64 && made >= 60 && refused >= 10);
    assert!(kept >= 50, "the good stream was served throughout: {kept}");
    assert!(most < 2 * WORKER_BYTES, "{most}");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
