//! The pool and its workers: what holds when they die, hang or lie.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{clip, fragmented, small_ladder};
use headframe_codec::worker::sandbox::attack::{ATTACKS, Held};
use headframe_codec::worker::sandbox::lie::LIES;
use headframe_codec::worker::{self, Death, Pool, PoolConfig};
use headframe_codec::{Class, Codec, Container, EngineError, Ladder, Limits, Part, SegmentIn, TranscodeError, engine};
use rustix::process::{Pid, Signal, kill_process};

const LONG: Duration = Duration::from_secs(100);

fn pool(workers: usize, wall: Duration) -> Pool {
    let limits = Limits { wall, ..Limits::default() };
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    Pool::start(PoolConfig { program, workers, limits, ..PoolConfig::default() }).unwrap()
}

/// A clip that takes a moment: 720p, 2 s.
fn slow() -> &'static [u8] {
    static CLIP: OnceLock<Vec<u8>> = OnceLock::new();
    CLIP.get_or_init(|| clip("1280x720", "30", 2.0, ""))
}

/// A clip that takes none.
fn quick() -> &'static [u8] {
    static CLIP: OnceLock<Vec<u8>> = OnceLock::new();
    CLIP.get_or_init(|| clip("320x180", "30", 0.5, ""))
}

fn segment(bytes: &[u8], number: u64) -> SegmentIn<'_> {
    SegmentIn { stream: "test", number, bytes }
}

fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
}

fn wait_for(what: &str, until: impl Fn() -> bool) {
    let started = Instant::now();
    while !until() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_worker_makes_what_the_engine_makes() {
    let pool = pool(1, LONG);
    let out = pool.transcode(&small_ladder(), segment(quick(), 0), LONG).unwrap();
    let here = engine::transcode(&small_ladder(), quick(), &[], &Limits::default()).unwrap();
    assert_eq!(out.renditions, here.renditions);
    assert_eq!(out.source, here.source);
    let stats = pool.stats();
    assert_eq!((stats.workers, stats.busy, stats.segments, stats.restarts_total()), (1, 0, 1, 0));
    assert!(stats.rss_bytes > 1 << 20, "{stats:?}");
    // Mistakes of the input are the input's: the worker lives on.
    let error = pool.transcode(&small_ladder(), segment(&[0x47; 5000], 1), LONG).unwrap_err();
    assert_eq!(error.class(), Class::Input);
    assert!(error.to_string().contains("segment 1 of stream test"), "{error}");
    assert_eq!(pool.stats().pids, stats.pids);
    pool.shutdown();
    assert!(!std::path::Path::new(&format!("/proc/{}", stats.pids[0])).exists());
    let error = pool.transcode(&small_ladder(), segment(quick(), 2), LONG).unwrap_err();
    assert!(matches!(error, TranscodeError::ShuttingDown { .. }));
}

#[test]
fn codecs_that_only_mp4_has_are_decoded_in_the_sandbox() {
    let pool = pool(1, LONG);
    for (number, coding) in ["-c:v libsvtav1 -preset 12", "-c:v libvpx-vp9 -cpu-used 8"].into_iter().enumerate() {
        let source = fragmented("320x180", "30", 0.5, coding);
        let out = pool.transcode(&small_ladder(), segment(&source, number as u64), LONG).unwrap();
        let here = engine::transcode(&small_ladder(), &source, &[], &Limits::default()).unwrap();
        assert!(out.renditions == here.renditions && out.source == here.source, "{coding}");
        let error = pool.transcode(&small_ladder(), segment(&source[..500], 9), LONG).unwrap_err();
        assert!(matches!(&error, TranscodeError::Engine { source: EngineError::Mp4 { .. }, .. }), "{error}");
    }
    assert_eq!(pool.stats().restarts_total(), 0);
}

#[test]
fn the_program_tells_what_the_engine_makes() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_headframe-codec"));
    assert_eq!(worker::codecs(program, LONG), Ok(engine::codecs()));
    assert!(engine::codecs().contains(&Codec::H264));
}

#[test]
fn a_killed_worker_costs_one_retry() {
    let pool = pool(1, LONG);
    let first = pool.stats().pids[0];
    thread::scope(|scope| {
        let result = scope.spawn(|| pool.transcode(&Ladder::standard(), segment(slow(), 7), LONG));
        wait_for("work to begin", || pool.stats().busy == 1);
        thread::sleep(Duration::from_millis(100));
        signal(first, Signal::KILL);
        let killed = Instant::now();
        wait_for("a new worker", || pool.stats().pids.iter().any(|pid| *pid != first));
        assert!(killed.elapsed() < Duration::from_secs(1), "respawn took {:?}", killed.elapsed());
        let out = result.join().unwrap().unwrap();
        assert_eq!(out.renditions.len(), 4);
        assert_eq!(out.source.frames, 60);
    });
    let stats = pool.stats();
    assert_eq!(stats.restarts.get(&Death::Killed), Some(&1));
    assert_eq!((stats.restarts_total(), stats.quarantined, stats.workers), (1, 0, 1));
}

#[test]
fn parts_come_early_and_only_once() {
    let pool = pool(1, LONG);
    let mut rungs = Ladder::standard().renditions().to_vec();
    rungs.iter_mut().skip(2).for_each(|rung| rung.container = Container::Cmaf);
    let ladder = Ladder::new(rungs).unwrap();
    let mut bytes = vec![(None, Vec::new(), 0); 4];
    let mut killed = None;
    let mut take = |part: &Part| {
        let (init, bytes, parts) = &mut bytes[part.rendition];
        assert_eq!(part.number, *parts, "each once and in order");
        if part.number == 0 {
            init.clone_from(&part.init);
        }
        bytes.extend_from_slice(&part.bytes);
        *parts += 1;
        // The worker is gone with parts given: another one has to go on behind them.
        if killed.is_none() {
            assert!(!part.last, "the first part is there before the work is done");
            killed = Some(pool.stats().pids[0]);
            signal(pool.stats().pids[0], Signal::KILL);
        }
    };
    let out = pool.transcode_in_parts(&ladder, segment(slow(), 1), LONG, &mut take).unwrap();
    assert_eq!(pool.stats().restarts.get(&Death::Killed), Some(&1));
    for (made, (init, bytes, parts)) in out.renditions.iter().zip(bytes) {
        assert!(made.init == init && made.bytes == bytes && parts == 4, "{}: {parts} parts", made.name);
    }
    assert_eq!(out.renditions.iter().map(|made| made.init.is_some()).collect::<Vec<_>>(), [false, false, true, true]);
}

#[test]
fn content_that_kills_two_workers_is_quarantined() {
    let pool = pool(1, LONG);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if pool.stats().busy == 1 {
                    pool.stats().pids.iter().for_each(|pid| signal(*pid, Signal::SEGV));
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let error = pool.transcode(&Ladder::standard(), segment(slow(), 3), LONG).unwrap_err();
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(error, TranscodeError::Quarantined { number: 3, .. }), "{error}");
        assert_eq!(error.class(), Class::Input);
    });
    let before = pool.stats();
    assert_eq!((before.restarts.get(&Death::Crashed), before.quarantined), (Some(&2), 1));
    let again = pool.transcode(&Ladder::standard(), segment(slow(), 4), LONG).unwrap_err();
    assert!(matches!(again, TranscodeError::Quarantined { number: 4, .. }), "{again}");
    pool.transcode(&small_ladder(), segment(quick(), 5), LONG).unwrap();
    assert_eq!(pool.stats().restarts_total(), 2);
}

#[test]
fn a_stuck_worker_is_replaced_and_deadlines_hold() {
    let pool = pool(1, Duration::from_secs(4));
    let stuck = pool.stats().pids[0];
    signal(stuck, Signal::STOP);
    let out = pool.transcode(&small_ladder(), segment(quick(), 0), LONG).unwrap();
    assert_eq!(out.source.frames, 15);
    let stats = pool.stats();
    assert_eq!(stats.restarts.get(&Death::Stuck), Some(&1));
    signal(stats.pids[0], Signal::STOP);
    let started = Instant::now();
    let error = pool.transcode(&small_ladder(), segment(quick(), 1), Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, TranscodeError::Deadline { deadline_ms: 300, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
    pool.transcode(&small_ladder(), segment(quick(), 2), LONG).unwrap();
    assert_eq!(pool.stats().quarantined, 0, "a caller in a hurry is no proof against the content");
}

#[test]
fn an_idle_worker_that_dies_is_replaced() {
    let pool = pool(2, LONG);
    wait_for("both workers", || pool.stats().workers == 2);
    let before = pool.stats().pids;
    signal(before[0], Signal::KILL);
    wait_for("the replacement", || {
        let now = pool.stats();
        now.workers == 2 && !now.pids.contains(&before[0])
    });
    assert_eq!(pool.stats().restarts.get(&Death::Killed), Some(&1));
}

#[test]
fn many_threads_share_few_workers() {
    let pool = pool(2, LONG);
    thread::scope(|scope| {
        let jobs: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn({
                    let (pool, stream) = (&pool, format!("stream {number}"));
                    move || {
                        let segment = SegmentIn { stream: &stream, number, bytes: quick() };
                        pool.transcode(&small_ladder(), segment, LONG)
                    }
                })
            })
            .collect();
        let made: Vec<_> = jobs.into_iter().map(|job| job.join().unwrap().unwrap()).collect();
        assert!(made.windows(2).all(|w| w[0].renditions == w[1].renditions));
    });
    let stats = pool.stats();
    assert_eq!((stats.segments, stats.busy, stats.waiting), (8, 0, 0), "{stats:?}");
    assert_eq!(stats.restarts_total(), 0, "{stats:?}");
}

#[test]
fn a_stream_comes_out_equal_however_it_is_spread() {
    let clips: Vec<Vec<u8>> =
        (0..6).map(|i| clip("320x180", "30", 0.5, &format!("-output_ts_offset {} -b:v {}k", i, 200 << i))).collect();
    let make = |pool: &Pool, stream: &str, number: usize| {
        let segment = SegmentIn { stream, number: number as u64, bytes: &clips[number] };
        pool.transcode(&small_ladder(), segment, LONG).unwrap().renditions
    };
    let one = pool(1, LONG);
    let in_turn: Vec<_> = (0..6).map(|number| make(&one, "a", number)).collect();
    let two = pool(2, LONG);
    thread::scope(|scope| {
        let halves = [0, 1].map(|first| {
            let (make, two) = (&make, &two);
            scope.spawn(move || [0, 2, 4].map(|number| make(two, "a", first + number)))
        });
        for (first, half) in halves.into_iter().enumerate() {
            for (made, number) in half.join().unwrap().iter().zip([0, 2, 4]) {
                assert!(made == &in_turn[first + number], "segment {}", first + number);
            }
        }
    });
    // The rate control does learn: as the beginning of a stream, the last segment comes out otherwise.
    assert_ne!(make(&one, "b", 5), in_turn[5]);
}

#[test]
fn a_worker_out_of_memory_says_so_or_dies_alone() {
    let limits = Limits { memory_bytes: 260 << 20, ..Limits::default() };
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    let Ok(pool) = Pool::start(PoolConfig { program, limits, ..PoolConfig::default() }) else {
        return println!("skipped: this machine's libraries alone need more address space");
    };
    let large = clip("3840x2160", "30", 0.4, "-an");
    let error = pool.transcode(&Ladder::standard(), segment(&large, 0), LONG).unwrap_err();
    assert!(matches!(error.class(), Class::Capacity | Class::Transient | Class::Input), "{error}");
    assert!(!matches!(error, TranscodeError::Deadline { .. }), "{error}");
    let smaller = pool.transcode(&small_ladder(), segment(quick(), 1), LONG);
    assert!(smaller.is_ok(), "{smaller:?}");
}

#[test]
fn limits_reach_the_worker() {
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    let limits = Limits { frames: 5, ..Limits::default() };
    let pool = Pool::start(PoolConfig { program, limits, ..PoolConfig::default() }).unwrap();
    let error = pool.transcode(&small_ladder(), segment(quick(), 0), LONG).unwrap_err();
    let TranscodeError::Engine { source, .. } = error else { panic!("{error}") };
    assert_eq!(source, EngineError::Frames { limit: 5 });
}

#[test]
fn the_sandbox_holds_on_this_machine() {
    let selftest = Command::new(env!("CARGO_BIN_EXE_headframe-codec")).args(["selftest", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&selftest.stdout).unwrap();
    assert!(selftest.status.success(), "{report:#}\n{}", String::from_utf8_lossy(&selftest.stderr));
    let attempts = report["attempts"].as_array().unwrap();
    let tried = |name: &str, layers: &str| {
        attempts.iter().filter(|attempt| attempt["name"] == name && attempt["layers"] == layers).count()
    };
    // Every attack and every lie was tried, and no attempt is without one.
    for attack in ATTACKS {
        assert_eq!(tried(attack.name, "all"), 1, "{}", attack.name);
        let with_card = !["device", "descriptors"].contains(&attack.name);
        for layers in ["card", "vulkan"] {
            assert_eq!(tried(attack.name, layers), usize::from(with_card), "{} {layers}", attack.name);
        }
        let twice = tried(attack.name, "without_seccomp");
        assert!(
            twice == usize::from(attack.held != Held::Seccomp) || attack.held == Held::TwiceOnNew,
            "{}",
            attack.name
        );
    }
    assert!(LIES.iter().all(|lie| tried(lie.name, "pool") == 1));
    let twice = attempts.iter().filter(|attempt| attempt["layers"] == "without_seccomp").count();
    assert_eq!(attempts.len(), 3 * ATTACKS.len() - 4 + twice + 2 + LIES.len());
    assert!(attempts.iter().all(|attempt| attempt["blocked"] == true));
    // What is on no list ends a worker; beside a driver it fails, and is told.
    let by = |layers: &str| {
        let of = attempts.iter().find(|attempt| attempt["name"] == "namespace" && attempt["layers"] == layers);
        of.and_then(|attempt| attempt["by"].as_str()).unwrap().to_owned()
    };
    assert_eq!(by("all"), "SIGSYS by seccomp");
    for layers in ["card", "vulkan"] {
        let (told, number) = (by(layers), libc::SYS_unshare);
        assert!(
            told.contains(&format!("refused system call {number} of the driver")) && told.contains("not implemented"),
            "{told}"
        );
    }
    assert_eq!(report["blocked"].as_u64(), Some(attempts.len() as u64));
    // Whoever shortens the lists has to come by here.
    assert!(ATTACKS.len() >= 48 && LIES.len() >= 24, "{} attacks, {} lies", ATTACKS.len(), LIES.len());
    assert!(ATTACKS.iter().filter(|attack| attack.works_outside).count() >= 29);
}

#[test]
fn attacks_work_where_nothing_holds_them() {
    for attack in ATTACKS.iter().filter(|attack| attack.works_outside) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-codec"));
        let output = command.args(["attack", attack.name, "--unconfined"]).output().unwrap();
        assert_eq!(output.status.code(), Some(66), "{}: {}", attack.name, String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_worker_that_lies_is_ended_and_one_that_does_not_is_believed() {
    let told = |name: &str| {
        let role = vec!["lie".to_owned(), name.to_owned()];
        let program = env!("CARGO_BIN_EXE_headframe-codec").into();
        let pool = Pool::start(PoolConfig { program, role, ..PoolConfig::default() }).unwrap();
        let ladder = Ladder::new(vec![common::small("a", 96, 54)]).unwrap();
        (pool.transcode(&ladder, segment(b"anything", 0), LONG), pool.stats())
    };
    let (honest, stats) = told("truth");
    assert_eq!((honest.unwrap().renditions[0].bytes.len(), stats.restarts_total()), (188, 0));
    let (lied, stats) = told("two files");
    assert!(matches!(lied, Err(TranscodeError::Quarantined { .. })), "{lied:?}");
    assert_eq!(stats.restarts.get(&Death::Protocol), Some(&2));
}

#[test]
fn a_person_can_transcode_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (input, out, ladder) = (dir.path().join("in.ts"), dir.path().join("out"), dir.path().join("ladder.json"));
    std::fs::write(&input, quick()).unwrap();
    std::fs::write(&ladder, serde_json::to_string(&small_ladder()).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-codec"));
    command.arg("transcode").arg(&input).arg("--out").arg(&out).arg("--ladder").arg(&ladder).arg("--json");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["renditions"][1]["name"], "b");
    assert_eq!(report["source"]["frames"], 15);
    assert_eq!(common::decoded(&std::fs::read(out.join("b.ts")).unwrap()), 15);
    let output = command.args(["--container", "cmaf"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = ["b-init.mp4", "b.m4s"].map(|name| std::fs::read(out.join(name)).unwrap()).concat();
    assert_eq!(common::decoded(&file), 15);
}
