//! A device scales for the pool's workers, on Mesa's software driver: the same bytes, and nothing lost when it fails.
//!
//! `HEADFRAME_GPU` with the name or UUID of a device makes it another. Where there is none, the tests say `skipped:` and
//! pass, unless `HEADFRAME_EXPECT_DEVICE` says that there must be one.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{clip, small_ladder};
use headframe_codec::worker::{CardConfig, Pool, PoolConfig, PoolStats, Vulkan, VulkanStats};
use headframe_codec::{Class, SegmentIn};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(100);

/// What `headframe-codec vulkan` says.
fn said(arguments: &[&str]) -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_headframe-codec"));
    let output = program.args(["vulkan", "--json"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The device to test on.
fn device() -> Option<String> {
    if let Ok(name) = std::env::var("HEADFRAME_GPU") {
        return Some(name);
    }
    let report = said(&["--device", "none has this name"]);
    let devices = report["devices"].as_array().unwrap();
    let found = devices.iter().find(|device| device["kind"] == "software").map(|device| device["id"].as_str().unwrap());
    if found.is_none() {
        assert!(std::env::var_os("HEADFRAME_EXPECT_DEVICE").is_none(), "no Vulkan software driver: {report:#}");
        println!("skipped: no Vulkan software driver (Debian: mesa-vulkan-drivers)");
    }
    found.map(str::to_owned)
}

fn pool(vulkan: Vulkan, workers: usize) -> Pool {
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    let cards = CardConfig { first_out: Duration::from_secs(1), ..CardConfig::default() };
    Pool::start(PoolConfig { program, workers, vulkan, cards, ..PoolConfig::default() }).unwrap()
}

/// Waits for what `holds` of the device.
fn wait(pool: &Pool, what: &str, holds: impl Fn(&VulkanStats) -> bool) -> PoolStats {
    let until = Instant::now() + LONG;
    loop {
        let stats = pool.stats();
        if stats.vulkan.as_ref().is_some_and(&holds) {
            return stats;
        }
        assert!(Instant::now() < until, "{what}: {stats:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_program_says_which_device_is_worth_its_while() {
    let Some(device) = device() else { return };
    let report = said(&["--device", &device]);
    let chosen = &report["chosen"];
    assert_eq!((&report["built"], &report["problem"]), (&Value::Bool(true), &Value::Null), "{report:#}");
    assert_eq!(chosen["broken"], Value::Null, "it computes what the processors do: {report:#}");
    assert!(chosen["device"]["wall_us"].as_u64().unwrap() > 0 && chosen["host"]["processor_us"].as_u64().unwrap() > 0);
    let listed = report["devices"].as_array().unwrap().iter().find(|listed| listed["id"] == chosen["id"]).unwrap();
    // A driver that computes on the processor leaves it no less to do.
    assert!(listed["kind"] != "software" || chosen["worthwhile"] == false, "{report:#}");
    let name = chosen["name"].as_str().unwrap();
    let none = said(&["--device", "none has this name"]);
    assert!(none["chosen"].is_null() && none["problem"].as_str().unwrap().contains("none has this name"), "{none:#}");
    let told = Command::new(env!("CARGO_BIN_EXE_headframe-codec")).args(["vulkan", "--device", name]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(&device) && told.contains("it computes what the processors do"), "{told}");
}

#[test]
fn it_makes_the_same_bytes() {
    let Some(device) = device() else { return };
    let with = pool(Vulkan::Named(device), 2);
    let without = pool(Vulkan::None, 1);
    wait(&with, "both workers get it", |vulkan| vulkan.workers == 2);
    let turned = "-pix_fmt yuv420p -bsf:v h264_metadata=display_orientation=insert:rotate=90";
    let mut pictures = 0;
    for (number, options) in
        ["", turned, "-pix_fmt yuv420p10le", "-pix_fmt yuv422p", "-pix_fmt gray"].into_iter().enumerate()
    {
        // Few pictures that are shown for long: a driver that computes on busy processors is slow, and slow is put out.
        let bytes = clip("320x180", "2", 4.0, options);
        let segment = SegmentIn { stream: options, number: number as u64, bytes: &bytes };
        let [have, want] = [&with, &without].map(|pool| pool.transcode(&small_ladder(), segment, LONG).unwrap());
        assert!(have.renditions == want.renditions, "{options:?}");
        pictures += u64::from(have.source.frames);
    }
    let stats = with.stats();
    let vulkan = stats.vulkan.unwrap();
    assert_eq!((vulkan.pictures, vulkan.left, vulkan.is_in), (pictures, 0, true), "{vulkan:?}");
    assert!(vulkan.errors.is_empty() && !vulkan.took.is_zero(), "{vulkan:?}");
    assert!(stats.restarts.is_empty(), "those without made way, none died: {:?}", stats.restarts);
    assert_eq!(without.stats().vulkan, None);
}

#[test]
fn a_worker_that_dies_with_it_costs_no_segment_and_it_comes_back() {
    let Some(device) = device() else { return };
    let pool = pool(Vulkan::Named(device), 1);
    let stats = wait(&pool, "the worker gets it", |vulkan| vulkan.workers == 1);
    let victim = Pid::from_raw(i32::try_from(stats.pids[0]).unwrap()).unwrap();
    let bytes = clip("640x360", "30", 2.0, "");
    let segment = |number| SegmentIn { stream: "s", number, bytes: &bytes };
    let done = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        let work = scope.spawn(|| {
            let made = pool.transcode(&small_ladder(), segment(0), LONG);
            done.store(true, Ordering::Relaxed);
            made
        });
        while pool.stats().busy == 0 {
            assert!(!done.load(Ordering::Relaxed), "it was made before anything could happen");
            thread::sleep(Duration::from_millis(1));
        }
        kill_process(victim, Signal::KILL).unwrap();
        work.join().unwrap()
    });
    assert_eq!(made.unwrap().source.frames, 60, "a worker without it made the segment");
    let vulkan = wait(&pool, "it comes back", |vulkan| vulkan.readmitted == 1 && vulkan.workers == 1).vulkan.unwrap();
    assert_eq!(vulkan.put_out.into_iter().collect::<Vec<_>>(), [("device", 1)]);
    assert_eq!(vulkan.errors.into_iter().collect::<Vec<_>>(), [(Class::Device, 1)]);
    assert_eq!(vulkan.pictures, 0, "what died says nothing");
    // Deterministic as ever: rate control learned from the processor's pictures, which are the same.
    pool.transcode(&small_ladder(), segment(1), LONG).unwrap();
    assert_eq!(pool.stats().vulkan.unwrap().pictures, 60);
}

#[test]
fn a_worker_at_work_makes_way_when_it_is_done() {
    let Some(device) = device() else { return };
    let pool = pool(Vulkan::Named(device), 1);
    let bytes = clip("640x360", "30", 2.0, "");
    // Without a pause, so that the one without the device is at work whenever one with it is ready.
    let mut number = 0;
    let until = Instant::now() + LONG;
    while pool.stats().vulkan.is_none_or(|vulkan| vulkan.workers == 0) {
        assert!(Instant::now() < until, "{:?}", pool.stats());
        let segment = SegmentIn { stream: "s", number, bytes: &bytes };
        pool.transcode(&small_ladder(), segment, LONG).unwrap();
        number += 1;
    }
    let alone = |stats: &PoolStats| stats.workers == 1 && stats.vulkan.as_ref().is_some_and(|it| it.workers == 1);
    while !alone(&pool.stats()) {
        assert!(Instant::now() < until, "as many as there are to be, with the device: {:?}", pool.stats());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(pool.stats().restarts.is_empty(), "{:?}", pool.stats());
}

#[test]
fn without_the_device_that_was_named_the_processors_do_everything() {
    let pool = pool(Vulkan::Named("none has this name".to_owned()), 1);
    let bytes = clip("320x180", "30", 0.5, "");
    let segment = SegmentIn { stream: "s", number: 0, bytes: &bytes };
    pool.transcode(&small_ladder(), segment, LONG).unwrap();
    assert_eq!(pool.stats().vulkan, None);
    // Shutting down does not wait for the answer.
    pool.shutdown();
}
