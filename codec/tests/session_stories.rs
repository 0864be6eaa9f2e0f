//! Encoder sessions of four cards, shared by 32 ladders: the pool, its workers and their engine as they are, over doubles of
//! the driver in which a modelled machine takes its time (`System` of the doubles' ledger). No card was there.
//!
//! The stories run in real time and want a machine with little else to do, so they are asked for: `./run test stories`.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod doubles;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use common::clip;
use doubles::Doubles;
use doubles::rig::{LONG, Rig, up, wait_for};
use headframe_codec::worker::{CardConfig, CardStats, Cards, Pool, PoolStats};
use headframe_codec::{Ladder, SegmentIn};
use headframe_double_ledger::System;

const CARDS: usize = 4;
/// Ladders of the stories in which something goes wrong. With 32 more goes to the processors than a host of two cores can do,
/// and then nearly all is late.
const FEWER: usize = 16;
/// How long each story is.
const SECONDS: u64 = 40;
/// Another stream begins after each of these.
const JOIN: Duration = Duration::from_millis(270);
/// Segments are of this length, and have so much time.
const SEGMENT: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_millis(1600);

fn source() -> &'static [u8] {
    static SOURCE: OnceLock<Vec<u8>> = OnceLock::new();
    SOURCE.get_or_init(|| clip("1920x1080", "30", SEGMENT.as_secs_f64(), "-g 60 -bf 0 -b:v 3M"))
}

/// Four cards with an encode engine and a decode engine each, under one driver.
struct Machine {
    system: &'static System,
    rig: Rig,
    /// Sessions that another program wants, and has.
    wanted: AtomicU32,
    over: AtomicBool,
}

impl Machine {
    fn new(cap: u32) -> Self {
        let (system, id) = System::new();
        system.cap.store(cap, Ordering::SeqCst);
        let rig = Rig::new(Doubles::new(), &format!("devices={CARDS};memory=65536;system={id}"));
        for card in 0..CARDS {
            let uuid = format!("GPU-68656164-6672-616d-652d-646f75626c{card:02x}");
            let system = format!("system={id}");
            rig.tell(&uuid, &[("CUVID", &system), ("NVENC", &system)]);
        }
        Self { system, rig, wanted: AtomicU32::new(0), over: AtomicBool::new(false) }
    }

    fn pool(&self) -> Pool {
        let free = self.system.cap.load(Ordering::SeqCst) - self.system.open();
        let pool = self.rig.pool_with(CardConfig { which: Cards::All, ..CardConfig::default() });
        up(&pool, CARDS);
        wait_for(&pool, "all sessions", |stats| stats.sessions.as_ref().is_some_and(|sessions| sessions.open == free));
        self.system.modelled.store(true, Ordering::SeqCst);
        pool
    }

    /// The other program, which takes what it can get of what it wants.
    fn other(&self) {
        let mut has = 0;
        while !self.over.load(Ordering::SeqCst) {
            let wanted = self.wanted.load(Ordering::SeqCst);
            while has > wanted {
                self.system.give_back();
                has -= 1;
            }
            while has < wanted && self.system.take() {
                has += 1;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Something that happens to the machine, and at which second.
type Blow<'a> = (u64, &'a dyn Fn(&Machine));

/// What a stream's segments came to.
#[derive(Debug, Default)]
struct Told {
    segments: u32,
    late: u32,
    errors: BTreeMap<String, u32>,
    longest: Duration,
}

fn stream(pool: &Pool, begun: Instant, stream: usize, count: u64, time: Duration, told: &Mutex<Told>) {
    let (name, ladder) = (format!("stream {stream}"), Ladder::standard());
    for number in 0..count {
        let due = begun + SEGMENT * number as u32 + JOIN * stream as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let asked = Instant::now();
        let made = pool.transcode(&ladder, SegmentIn { stream: &name, number, bytes: source() }, time);
        let took = asked.elapsed();
        let mut told = told.lock().unwrap();
        told.segments += 1;
        told.longest = told.longest.max(took);
        told.late += u32::from(made.is_err() || took > time);
        if let Err(error) = made {
            *told.errors.entry(error.to_string()).or_default() += 1;
        }
    }
}

/// So many ladders for so many segments each, while `blows` happen at these seconds.
fn play(machine: &Machine, pool: &Pool, ladders: usize, count: u64, time: Duration, blows: &[Blow<'_>]) -> Told {
    source();
    let (told, begun) = (Mutex::new(Told::default()), Instant::now() + Duration::from_millis(100));
    thread::scope(|scope| {
        scope.spawn(|| machine.other());
        let streams: Vec<_> = (0..ladders)
            .map(|number| {
                let told = &told;
                scope.spawn(move || stream(pool, begun, number, count, time, told))
            })
            .collect();
        for (at, blow) in blows {
            thread::sleep((begun + Duration::from_secs(*at)).saturating_duration_since(Instant::now()));
            blow(machine);
        }
        let ends: Vec<_> = streams.into_iter().map(thread::ScopedJoinHandle::join).collect();
        machine.over.store(true, Ordering::SeqCst);
        ends.into_iter().for_each(|end| end.unwrap());
    });
    told.into_inner().unwrap()
}

/// Seconds of processors that the workers of cards used.
fn used(stats: &PoolStats) -> f64 {
    let of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<i64> =
            stat.rsplit(')').next().unwrap_or("").split(' ').filter_map(|f| f.parse().ok()).collect();
        // Behind the name and the state: the 14th and the 15th of all, in hundredths of a second.
        fields.get(10..12).map_or(0, |times| times.iter().sum()) as f64 / 100.0
    };
    stats.cards.iter().filter_map(|card| card.pid).map(of).sum()
}

/// Whether stories were asked for: each takes 40 s, and time is measured.
fn asked() -> bool {
    let asked = std::env::var_os("HEADFRAME_STORIES").is_some();
    if !asked {
        println!("skipped: a story in real time, see ./run test stories");
    }
    asked
}

/// Tells a story and what it came to; the caller says what it should have.
fn story(name: &str, ladders: usize, machine: &Machine, blows: &[Blow<'_>]) -> (Told, PoolStats) {
    let pool = machine.pool();
    let (before, begun) = (used(&pool.stats()), Instant::now());
    let told = play(machine, &pool, ladders, SECONDS / SEGMENT.as_secs(), TIME, blows);
    let stats = pool.stats();
    let cores = (used(&stats) - before) / begun.elapsed().as_secs_f64();
    let (on_cards, by_processors) = rungs(&stats);
    println!(
        "| {ladders} | {name} | {} | {on_cards} | {by_processors} | {} | {} | {:.1} |",
        told.segments,
        told.late,
        told.longest.as_millis(),
        100.0 * cores / ladders as f64
    );
    println!("  {:?} {:?}", told.errors, stats.sessions);
    pool.shutdown();
    (told, stats)
}

/// Made on cards, and by the processors for cards.
fn rungs(stats: &PoolStats) -> (u64, u64) {
    let sum = |of: fn(&CardStats) -> u64| stats.cards.iter().map(of).sum();
    (sum(|card| card.rungs_on_card), sum(|card| card.rungs_on_host))
}

#[track_caller]
fn all_on_cards_in_time((told, stats): &(Told, PoolStats)) {
    let sessions = stats.sessions.as_ref().unwrap();
    assert_eq!((told.late, rungs(stats)), (0, (u64::from(told.segments) * 4, 0)), "{told:?} {stats:#?}");
    assert_eq!((sessions.unexpected, sessions.lost), (0, 0), "{sessions:?}");
}

/// What the stories begin with, without a look at the clock: four processes have eight sessions, and 32 ladders of four
/// rungs are made on them.
#[test]
fn four_cards_share_what_the_driver_allows() {
    let machine = Machine::new(8);
    let pool = machine.pool();
    let told = play(&machine, &pool, 32, 2, LONG, &[]);
    let stats = pool.stats();
    assert_eq!((told.segments, rungs(&stats)), (64, (256, 0)), "{told:?} {stats:#?}");
    assert!(stats.cards.iter().all(|card| card.rungs_on_card > 0), "{stats:#?}");
    let sessions = stats.sessions.unwrap();
    assert_eq!((sessions.cap, sessions.open, machine.system.open()), (8, 8, 8), "{sessions:?}");
}

#[test]
fn thirty_two_ladders_over_eight_sessions() {
    if !asked() {
        return;
    }
    let outcome = story("no trouble", 32, &Machine::new(8), &[]);
    all_on_cards_in_time(&outcome);
}

#[test]
fn the_cap_falls_to_four_and_rises_again() {
    if !asked() {
        return;
    }
    let cap = |cap: u32| move |machine: &Machine| machine.system.cap.store(cap, Ordering::SeqCst);
    let outcome = story("the cap is 4 from 15 to 25 s", FEWER, &Machine::new(8), &[(15, &cap(4)), (25, &cap(8))]);
    all_on_cards_in_time(&outcome);
    let sessions = outcome.1.sessions.unwrap();
    assert!(sessions.cap_is_limit && sessions.refused > 0, "nothing was refused: {sessions:?}");
}

#[test]
fn another_program_takes_five_of_eight() {
    if !asked() {
        return;
    }
    let machine = Machine::new(8);
    // It was there first.
    (0..5).for_each(|_| assert!(machine.system.take()));
    let let_go = |machine: &Machine| (0..5).for_each(|_| machine.system.give_back());
    let outcome = story("another program has 5 of 8 until 25 s", FEWER, &machine, &[(25, &let_go)]);
    all_on_cards_in_time(&outcome);
    assert_eq!(outcome.1.sessions.unwrap().cap, 8, "found again");
}

#[test]
fn the_driver_reconfigures_nothing() {
    if !asked() {
        return;
    }
    let fixed = |machine: &Machine| machine.system.fixed.store(true, Ordering::SeqCst);
    let outcome = story("reconfigure refused from 15 s on", FEWER, &Machine::new(8), &[(15, &fixed)]);
    all_on_cards_in_time(&outcome);
    let sessions = outcome.1.sessions.unwrap();
    assert!(sessions.steps[2] > 500, "made anew: {sessions:?}");
}

/// Each lease makes its session anew, and the other program comes in between: what finds none in time goes to the processors.
#[test]
fn the_driver_reconfigures_nothing_and_another_program_waits() {
    if !asked() {
        return;
    }
    let fixed = |machine: &Machine| machine.system.fixed.store(true, Ordering::SeqCst);
    let wants = |wanted: u32| move |machine: &Machine| machine.wanted.store(wanted, Ordering::SeqCst);
    let blows: [Blow<'_>; 3] = [(15, &fixed), (20, &wants(3)), (30, &wants(0))];
    let (told, stats) = story("the same, and another program takes 3 from 20 to 30 s", FEWER, &Machine::new(8), &blows);
    let (on_cards, by_processors) = rungs(&stats);
    assert!(on_cards > by_processors * 4, "{told:?} {stats:#?}");
    assert_eq!(stats.sessions.unwrap().unexpected, 0);
}
