//! A pool with graphics cards, over doubles of the driver: which segments they make, and that none is lost when they fail.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod doubles;

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use common::{decoded, segments, shown, small};
use doubles::Doubles;
use doubles::rig::{LONG, Rig, card, lending, up, wait_for};
use headframe_codec::worker::card::{CardHealth, Throttle};
use headframe_codec::worker::{CardState, CardStats, Cards, Death, Pool, PoolStats};
use headframe_codec::{Class, Ladder, Limits, Rendition, SegmentIn, SegmentOut, engine};
use headframe_double_ledger::System;
use rustix::process::{Pid, Signal, kill_process};

/// The doubles' cards.
const FIRST: &str = "GPU-68656164-6672-616d-652d-646f75626c00";
const SECOND: &str = "GPU-68656164-6672-616d-652d-646f75626c01";

fn ladder() -> Ladder {
    let rung = |name, width, height| Rendition { gop_ms: 500, ..small(name, width, height) };
    Ladder::new(vec![rung("a", 256, 144), rung("b", 192, 108)]).unwrap()
}

fn source() -> &'static [Vec<u8>] {
    static SOURCE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SOURCE.get_or_init(|| segments("320x180", "15", 2, "-bf 2 -g 15 -keyint_min 15"))
}

#[track_caller]
fn is_whole(out: &SegmentOut, source: &[u8]) {
    for made in &out.renditions {
        assert_eq!((shown(&made.bytes), made.frames), (shown(source), decoded(&made.bytes)), "{}", made.name);
    }
}

/// So many streams at once, each with so many segments, every one of which must be made.
fn streams(pool: &Pool, streams: usize, segments: u64) {
    streams_of(pool, &ladder(), streams, segments);
}

fn streams_of(pool: &Pool, ladder: &Ladder, streams: usize, segments: u64) {
    these_streams(pool, ladder, 0..streams, segments);
}

/// New streams, four at a time, until what is waited for has come of them; with how many segments they had. Who gets a stream
/// is the pool's affair, by how fast it has seen its cards: on a busy machine the first four may all go to one.
fn streams_until(pool: &Pool, segments: u64, until: impl Fn(&PoolStats) -> bool) -> (PoolStats, u64) {
    for round in 1..=8 {
        these_streams(pool, &ladder(), (round - 1) * 4..round * 4, segments);
        let stats = pool.stats();
        if until(&stats) {
            return (stats, round as u64 * 4 * segments);
        }
    }
    panic!("32 streams, and nothing came of them: {:#?}", pool.stats());
}

fn these_streams(pool: &Pool, ladder: &Ladder, streams: Range<usize>, segments: u64) {
    thread::scope(|scope| {
        for stream in streams {
            scope.spawn(move || {
                for number in 0..segments {
                    let bytes = &source()[number as usize % 2];
                    let segment = SegmentIn { stream: &format!("stream {stream}"), number, bytes };
                    let out = pool.transcode(ladder, segment, LONG).unwrap();
                    assert_eq!(out.renditions.len(), ladder.renditions().len());
                    is_whole(&out, bytes);
                }
            });
        }
    });
}

#[test]
fn two_cards_make_what_the_engine_makes() {
    let rig = Rig::two_cards();
    let pool = rig.pool(Cards::All);
    lending(&pool, 2);
    let both = |stats: &PoolStats| [FIRST, SECOND].iter().all(|uuid| card(stats, uuid).segments > 0);
    let (stats, made) = streams_until(&pool, 3, both);
    let [first, second] = [FIRST, SECOND].map(|uuid| card(&stats, uuid));
    assert_eq!((first.segments + second.segments, stats.segments), (made, made), "{stats:#?}");
    let rungs = (first.rungs_on_card + second.rungs_on_card, first.rungs_on_host + second.rungs_on_host);
    assert_eq!(rungs, (2 * made, 0), "{stats:#?}");
    assert!(first.rss_bytes > 1 << 20 && first.name == "Test double of a card", "{first:?}");
    // Parts come all the same, and mistakes of the input are the input's.
    let (mut bytes, segment) =
        (vec![Vec::<u8>::new(); 2], SegmentIn { stream: "parts", number: 0, bytes: &source()[0] });
    let out = pool.transcode_in_parts(&ladder(), segment, LONG, &mut |part| bytes[part.rendition].extend(&part.bytes));
    assert!(out.unwrap().renditions.iter().zip(bytes).all(|(made, bytes)| made.bytes == bytes));
    let error =
        pool.transcode(&ladder(), SegmentIn { stream: "bad", number: 0, bytes: &[0x47; 5000] }, LONG).unwrap_err();
    assert_eq!(error.class(), Class::Input);
    let stats = pool.stats();
    assert_eq!(stats.cards.iter().filter_map(|card| card.errors.get(&Class::Input)).sum::<u64>(), 1);
    assert_eq!((stats.restarts_total(), stats.cards.iter().all(|card| card.left.is_empty())), (0, true), "{stats:#?}");
    let pids: Vec<_> = stats.cards.iter().filter_map(|card| card.pid).collect();
    pool.shutdown();
    assert!(pids.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()));
}

#[test]
fn what_cards_take_for_their_work_is_learned() {
    let rig = Rig::two_cards();
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    assert_eq!((pool.stats().cards[0].memory_used_bytes, pool.stats().cards[0].scaling), (0, Duration::ZERO));
    streams(&pool, 2, 2);
    let learned = pool.stats().cards[0].clone();
    // Planned with 48 us; the processors, who scale here, take longer by far.
    assert!(learned.scaling > Duration::from_micros(60), "{learned:?}");
    // Surfaces of both rungs, the decoder's, and what else the process keeps there.
    assert!(learned.memory_used_bytes > 256 * 144 * 3 / 2, "{learned:?}");
    streams(&pool, 2, 2);
    assert!(pool.stats().cards[0].scaling > learned.scaling, "{:?}", pool.stats().cards[0]);
}

#[test]
fn without_a_driver_the_processors_make_everything() {
    let rig = Rig::new(Doubles::with(&[]), "");
    let pool = rig.pool(Cards::All);
    streams(&pool, 1, 2);
    let stats = pool.stats();
    assert_eq!((stats.cards, stats.segments, stats.restarts.len()), (vec![], 2, 0));
}

#[test]
fn only_the_cards_that_were_chosen_are_used() {
    let rig = Rig::two_cards();
    let unknown = "GPU-01234567-89ab-cdef-0123-456789abcdef".to_owned();
    let pool = rig.pool(Cards::These(vec![unknown, SECOND.to_owned()]));
    let stats = up(&pool, 1);
    assert_eq!(stats.cards.iter().map(|card| card.uuid.as_str()).collect::<Vec<_>>(), [SECOND]);
    streams(&pool, 1, 1);
    assert_eq!(card(&pool.stats(), SECOND).segments, 1);
}

/// The first card falls off the bus with segments in hand, stays away for a while, and works again.
#[test]
fn a_lost_card_loses_no_segment_and_comes_back_after_a_probe() {
    let rig = Rig::two_cards();
    // Behind the trials at the start, in its third segment or so.
    rig.tell(FIRST, &[("CUDA", "devices=2;fault=cuLaunchKernel=719@140")]);
    let pool = rig.pool(Cards::All);
    lending(&pool, 2);
    rig.tell(FIRST, &[("CUDA", "devices=2;fault=cuDevicePrimaryCtxRetain=46")]);
    let (stats, made) = streams_until(&pool, 4, |stats| card(stats, FIRST).put_out.contains_key("device"));
    let (first, second) = (card(&stats, FIRST), card(&stats, SECOND));
    assert_eq!((stats.segments, first.put_out.get("device")), (made, Some(&1)), "{stats:#?}");
    assert!(first.errors[&Class::Device] >= 1 && second.segments > first.segments, "{stats:#?}");
    assert_eq!((stats.quarantined, stats.restarts.get(&Death::Crashed)), (0, None));
    // It is probed in vain, then it is well.
    wait_for(&pool, "a probe that fails", |stats| card(stats, FIRST).put_out.contains_key("probe"));
    rig.tell(FIRST, &[]);
    let well = |card: &CardStats| card.state == CardState::Up && card.sessions > 0;
    let back = wait_for(&pool, "the card", |stats| well(&card(stats, FIRST)));
    assert_eq!(card(&back, FIRST).readmitted, 1);
    // On trial it has one stream; the other card has those that it had.
    let begin = SegmentIn { stream: "new", number: 0, bytes: &source()[0] };
    is_whole(&pool.transcode(&ladder(), begin, LONG).unwrap(), &source()[0]);
    assert!(card(&pool.stats(), FIRST).segments > first.segments);
}

/// What the sandbox knows nothing of fails; the driver goes on, and so does its worker.
#[test]
fn a_driver_that_makes_a_call_of_its_own_works_all_the_same() {
    let rig = Rig::two_cards();
    let stray = |function: &str| format!("stray={function}={}", libc::SYS_getppid);
    let cuda = format!("devices=2;{}", stray("cuLaunchKernel"));
    let (cuvid, nvenc) = (stray("cuvidDecodePicture"), stray("nvEncEncodePicture"));
    rig.tell(FIRST, &[("CUDA", &cuda), ("CUVID", &cuvid), ("NVENC", &nvenc)]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    streams(&pool, 2, 3);
    let stats = pool.stats();
    let first = card(&stats, FIRST);
    assert_eq!((first.segments, first.rungs_on_card, stats.restarts_total()), (6, 12, 0), "{stats:#?}");
}

#[test]
fn a_killed_worker_of_a_card_loses_no_segment() {
    let rig = Rig::two_cards();
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    let pid = card(&up(&pool, 1), FIRST).pid.unwrap();
    thread::scope(|scope| {
        scope.spawn(|| streams(&pool, 3, 2));
        wait_for(&pool, "work on the card", |stats| card(stats, FIRST).in_hand > 0);
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    });
    let stats = wait_for(&pool, "another worker", |stats| card(stats, FIRST).pid.is_some_and(|new| new != pid));
    assert_eq!((stats.segments, stats.quarantined, stats.restarts.get(&Death::Killed)), (6, 0, Some(&1)), "{stats:#?}");
    assert!(card(&stats, FIRST).left["lost"] >= 1 && card(&stats, FIRST).put_out.is_empty(), "{stats:#?}");
}

/// Two of a stream's segments in one worker's hands are one death for the stream: it stays with the card.
#[test]
fn one_death_is_one_for_a_stream_however_much_was_in_hand() {
    let rig = Rig::two_cards();
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    let pid = card(&up(&pool, 1), FIRST).pid.unwrap();
    let process = Pid::from_raw(pid as i32).unwrap();
    let make = |number: u64| {
        let bytes = &source()[number as usize % 2];
        is_whole(&pool.transcode(&ladder(), SegmentIn { stream: "a", number, bytes }, LONG).unwrap(), bytes);
    };
    kill_process(process, Signal::STOP).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| make(0));
        scope.spawn(|| make(1));
        wait_for(&pool, "both on the card", |stats| card(stats, FIRST).in_hand == 2);
        kill_process(process, Signal::KILL).unwrap();
    });
    wait_for(&pool, "another worker", |stats| {
        let card = card(stats, FIRST);
        card.state == CardState::Up && card.pid.is_some_and(|new| new != pid)
    });
    assert_eq!(card(&pool.stats(), FIRST).segments, 0);
    make(2);
    assert_eq!(card(&pool.stats(), FIRST).segments, 1);
}

#[test]
fn a_card_that_hangs_is_ended_and_its_segment_made_in_time() {
    let rig = Rig::two_cards();
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    let pid = card(&up(&pool, 1), FIRST).pid.unwrap();
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::STOP).unwrap();
    let segment = SegmentIn { stream: "a", number: 0, bytes: &source()[0] };
    let (began, deadline) = (Instant::now(), Duration::from_secs(8));
    let out = pool.transcode(&ladder(), segment, deadline).unwrap();
    assert!(began.elapsed() < deadline);
    is_whole(&out, &source()[0]);
    let stats = pool.stats();
    assert_eq!(stats.restarts.get(&Death::Stuck), Some(&1), "{stats:#?}");
}

#[test]
fn a_card_that_does_not_come_up_leaves_the_processors_working() {
    let rig = Rig::two_cards();
    // Its kernels cannot be launched; found out before any stranger's picture comes.
    rig.tell(FIRST, &[("CUDA", "devices=2;fault=cuLaunchKernel=700")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    wait_for(&pool, "a card that is out", |stats| card(stats, FIRST).put_out.contains_key("device"));
    streams(&pool, 1, 2);
    let stats = pool.stats();
    assert!(stats.restarts[&Death::Start] >= 1 && card(&stats, FIRST).segments == 0, "{stats:#?}");
}

/// A card that says all is well and makes nothing of what it is given: no call fails, the pictures are wrong.
#[test]
fn a_card_that_is_wrong_without_saying_so_gets_no_work() {
    let (system, id) = System::new();
    system.modelled.store(true, Ordering::SeqCst);
    let rig = Rig::new(Doubles::new(), &format!("devices=2;system={id}"));
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    wait_for(&pool, "a card that is out", |stats| !card(stats, FIRST).put_out.is_empty());
    streams(&pool, 1, 2);
    let stats = pool.stats();
    assert!(stats.restarts[&Death::Start] >= 1 && card(&stats, FIRST).segments == 0, "{stats:#?}");
}

/// A codec that comes out wrong is the processors', with either depth; the others stay the card's.
#[test]
fn a_codec_that_a_card_decodes_wrongly_is_left_to_the_processors() {
    let rig = Rig::two_cards();
    rig.tell(FIRST, &[("CUVID", "wrong=hevc,vp9")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=15";
    let hevc = segments("320x180", "15", 1, hevc).remove(0);
    for (number, bytes) in [(0, &hevc), (1, &source()[0])] {
        is_whole(&pool.transcode(&ladder(), SegmentIn { stream: "a", number, bytes }, LONG).unwrap(), bytes);
    }
    let stats = pool.stats();
    let first = card(&stats, FIRST);
    assert_eq!((first.segments, first.segments_on_host, first.rungs_on_card), (2, 1, 2), "{stats:#?}");
}

/// A worker says that it gives a session back a moment after it has given the segment.
fn all_given_back(pool: &Pool) -> PoolStats {
    wait_for(pool, "all sessions are given back", |stats| stats.sessions.as_ref().is_some_and(|all| all.leased == 0))
}

/// Each rung has the one session there is for as long as it is encoded.
#[test]
fn one_session_serves_all_rungs_of_all_streams() {
    let rig = Rig::two_cards();
    rig.tell(FIRST, &[("NVENC", "sessions=1")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    streams(&pool, 4, 3);
    let stats = all_given_back(&pool);
    let first = card(&stats, FIRST);
    assert_eq!((first.segments, first.rungs_on_card, first.rungs_on_host), (12, 24, 0), "{stats:#?}");
    let sessions = stats.sessions.unwrap();
    assert_eq!((sessions.cap, sessions.cap_is_limit, sessions.open, sessions.leased), (1, true, 1, 0), "{sessions:?}");
    assert_eq!((sessions.granted, sessions.done, sessions.unexpected), (24, 24, 0), "{sessions:?}");
    assert!(stats.restarts.is_empty() && first.overflowed.is_empty(), "{stats:#?}");
}

/// What the simulation does with modelled engines, in small and with real leases: many ladders of four rungs, two sessions.
#[test]
fn twelve_ladders_share_two_sessions() {
    let rig = Rig::two_cards();
    // Slowly as processors decode for a card, so many decode engines have room for twelve streams that nobody has seen.
    rig.tell(FIRST, &[("NVENC", "sessions=2"), ("CUVID", "decoders=4")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    let rung = |name, width, height| small(name, width, height);
    let rungs = vec![rung("a", 256, 144), rung("b", 240, 136), rung("c", 208, 116), rung("d", 192, 108)];
    streams_of(&pool, &Ladder::new(rungs).unwrap(), 12, 2);
    let stats = all_given_back(&pool);
    let (first, sessions) = (card(&stats, FIRST), stats.sessions.unwrap());
    assert_eq!((first.segments, first.rungs_on_card, first.rungs_on_host), (24, 96, 0), "{stats:#?}");
    assert_eq!((sessions.granted, sessions.done, sessions.late, sessions.unexpected), (96, 96, 0, 0), "{sessions:?}");
    assert!(sessions.cap == 2 && sessions.open <= 2 && sessions.steps[1] >= 90, "{sessions:?}");
}

#[test]
fn rungs_without_a_session_are_encoded_by_the_processors_and_counted() {
    let rig = Rig::two_cards();
    rig.tell(FIRST, &[("NVENC", "sessions=0")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    up(&pool, 1);
    streams(&pool, 1, 2);
    let stats = card(&pool.stats(), FIRST);
    assert_eq!((stats.segments, stats.rungs_on_card, stats.rungs_on_host), (2, 0, 4), "{stats:?}");
    assert_eq!(stats.overflowed.values().sum::<u64>(), 4, "{stats:?}");
}

/// Sessions are made anew for every lease where the driver does not reconfigure them.
#[test]
fn a_driver_that_does_not_reconfigure_makes_everything_all_the_same() {
    let rig = Rig::two_cards();
    rig.tell(FIRST, &[("NVENC", "sessions=2;fault=nvEncReconfigureEncoder=8")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    streams(&pool, 2, 2);
    let stats = pool.stats();
    let (first, sessions) = (card(&stats, FIRST), stats.sessions.unwrap());
    assert_eq!((first.segments, first.rungs_on_card), (4, 8), "{stats:#?}");
    assert!(sessions.steps[2] > 0 && sessions.unexpected == 0, "{sessions:?}");
}

/// That there was no room for a session once does not mean that the driver never reconfigures.
#[test]
fn a_session_without_room_is_closed_and_the_others_go_on_being_reconfigured() {
    let rig = Rig::two_cards();
    rig.tell(FIRST, &[("NVENC", "sessions=2;fault=nvEncReconfigureEncoder=10@0x1")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    streams(&pool, 2, 3);
    let stats = pool.stats();
    let (first, sessions) = (card(&stats, FIRST), stats.sessions.unwrap());
    assert_eq!((first.segments, first.rungs_on_card), (6, 12), "{stats:#?}");
    let [_, reconfigured, anew] = sessions.steps;
    assert!(reconfigured > 1 && anew == 0 && sessions.unexpected == 0, "{sessions:?}");
}

/// Our own engine does not get along with this driver: FFmpeg makes the segments in the card's worker, with sessions that
/// the pool counts all the same.
#[test]
fn ffmpeg_has_the_card_where_our_own_engine_fails() {
    let rig = Rig::two_cards();
    let ffmpeg = "client=ffmpeg";
    let nvenc = "sessions=2;client=ffmpeg;fault=NvEncodeAPICreateInstance=15@0x1";
    rig.tell(FIRST, &[("CUDA", "devices=2;client=ffmpeg"), ("CUVID", ffmpeg), ("NVENC", nvenc)]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    let stats = lending(&pool, 1);
    assert_eq!(card(&stats, FIRST).engine, "ffmpeg", "{stats:#?}");
    streams(&pool, 3, 2);
    let stats = pool.stats();
    let (first, sessions) = (card(&stats, FIRST), stats.sessions.unwrap());
    assert_eq!((first.segments, first.rungs_on_card), (6, 12), "{stats:#?}");
    assert_eq!((first.errors.values().sum::<u64>(), sessions.unexpected), (0, 0), "{stats:#?}");
}

#[test]
fn a_card_without_an_encoder_decodes_and_scales() {
    let rig = Rig::two_cards();
    rig.tell(FIRST, &[("NVENC", "fault=nvEncOpenEncodeSessionEx=1")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    up(&pool, 1);
    let segment = SegmentIn { stream: "a", number: 0, bytes: &source()[0] };
    let out = pool.transcode(&ladder(), segment, LONG).unwrap();
    let due = engine::transcode(&ladder(), &source()[0], &[], &Limits::default()).unwrap();
    assert_eq!(out.renditions, due.renditions);
    let stats = card(&pool.stats(), FIRST);
    assert_eq!((stats.segments, stats.rungs_on_card, stats.rungs_on_host), (1, 0, 2), "{stats:?}");
}

#[test]
fn how_a_card_is_reaches_the_pool() {
    let rig = Rig::two_cards();
    // HW thermal slowdown, HW slowdown, SW power cap; and that nothing runs, which is no trouble.
    rig.tell(FIRST, &[("NVML", "temperature=91;watts=250;throttle=77")]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    let told = |stats: &PoolStats| card(stats, FIRST).health != CardHealth::default();
    let health = card(&wait_for(&pool, "how the card is", told), FIRST).health;
    let due = CardHealth {
        celsius: Some(91),
        milliwatts: Some(250_000),
        decoder_percent: Some(22),
        encoder_percent: Some(11),
        throttled: Some([Throttle::Thermal, Throttle::PowerCap, Throttle::Hardware].into()),
    };
    assert_eq!(health, due);
    // What is said of a worker that is gone says nothing of the card.
    let pid = card(&pool.stats(), FIRST).pid.unwrap();
    rig.tell(FIRST, &[("NVML", "fault=nvmlDeviceGetHandleByUUID=15")]);
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    wait_for(&pool, "another worker", |stats| card(stats, FIRST).pid.is_some_and(|new| new != pid));
    streams(&pool, 1, 1);
    assert_eq!(card(&pool.stats(), FIRST).health, CardHealth::default());
}

/// What NVML refuses or gets wrong costs nothing else; it is asked again.
#[test]
fn what_a_driver_cannot_say_of_a_card_is_left_out() {
    let rig = Rig::two_cards();
    let refused = ["EncoderUtilization", "CurrentClocksEventReasons"].map(|of| format!("fault=nvmlDeviceGet{of}=3;"));
    let told = format!("{}watts=5000;fault=nvmlDeviceGetTemperature=999@0x1", refused.concat());
    rig.tell(FIRST, &[("NVML", &told)]);
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    let first = wait_for(&pool, "how the card is", |stats| card(stats, FIRST).health.decoder_percent.is_some());
    let due = CardHealth { decoder_percent: Some(22), ..CardHealth::default() };
    assert_eq!(card(&first, FIRST).health, due);
    let began = Instant::now();
    while card(&pool.stats(), FIRST).health == due {
        assert!(began.elapsed() < LONG, "{:#?}", pool.stats());
        streams(&pool, 1, 1);
    }
    let stats = pool.stats();
    assert_eq!(card(&stats, FIRST).health, CardHealth { celsius: Some(44), ..due });
    assert_eq!((stats.restarts_total(), card(&stats, FIRST).left.is_empty()), (0, true), "{stats:#?}");
}

#[test]
fn without_nvml_nothing_is_known_of_how_a_card_is() {
    let rig = Rig::new(Doubles::with(&["cuda", "cuvid", "nvenc"]), "devices=2");
    let pool = rig.pool(Cards::These(vec![FIRST.to_owned()]));
    lending(&pool, 1);
    streams(&pool, 1, 2);
    let stats = pool.stats();
    let first = card(&stats, FIRST);
    assert_eq!((first.segments, first.health, stats.restarts_total()), (2, CardHealth::default(), 0), "{stats:#?}");
}
