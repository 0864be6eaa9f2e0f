//! What is measured of a card, over doubles of the driver: the counts are checked, speed is not, since a double has none.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod doubles;

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{segments, small};
use doubles::{Doubles, alone};
use headframe_codec::engine::nvidia::{Card, decode_rate, measure::Reel};
use headframe_codec::nvidia::{Capabilities, Traffic, doubles as named};
use headframe_codec::{Ladder, Limits, Rendition, ts};
use headframe_double_ledger::System;

/// Luma samples a second of a modelled decode engine.
const SPEED: f64 = 1450e6;

fn ladder() -> Ladder {
    let rung = |name, width, height| Rendition { gop_ms: 500, ..small(name, width, height) };
    Ladder::new(vec![rung("a", 320, 180), rung("b", 256, 144)]).unwrap()
}

fn limits() -> Limits {
    Limits { wall: Duration::from_secs(120), ..Limits::default() }
}

/// Bytes of all pictures, as they were before they were wrapped.
fn video_bytes(wrapped: &[u8]) -> u64 {
    ts::demux(wrapped).unwrap().video.iter().map(|unit| unit.data.len() as u64).sum()
}

#[test]
fn only_compressed_pictures_cross_the_link_and_all_of_them_are_counted() {
    alone("only_compressed_pictures_cross_the_link_and_all_of_them_are_counted", |doubles| {
        let source = &segments("640x360", "30", 2, "-bf 2")[0];
        let device = doubles.device();
        let card = Card::new(device.clone());
        let reel = Reel::cut(&ladder(), source, &limits()).unwrap();
        assert_eq!(reel.bytes(), video_bytes(source));
        assert_eq!(device.traffic(), Traffic::default());
        let out = card.transcode(&ladder(), source, &[], &limits()).unwrap();
        let made: u64 = out.renditions.iter().map(|rendition| video_bytes(&rendition.bytes)).sum();
        assert_eq!(device.traffic(), Traffic { to_card: reel.bytes(), to_host: made });
        assert_eq!(card.software_encoding(), Duration::ZERO);
        // Encoded by the processors, raw pictures cross it: one and a half bytes for each sample.
        let before = device.traffic();
        let other = Card::new(device.clone()).leave_encoding();
        let out = other.transcode(&ladder(), source, &[], &limits()).unwrap();
        let raw = u64::from(out.source.frames) * (320 * 180 + 256 * 144) * 3 / 2;
        let now = device.traffic();
        assert_eq!((now.to_card - before.to_card, now.to_host - before.to_host), (reel.bytes(), raw));
        assert!(other.software_encoding() > Duration::ZERO && other.software_encoding() <= out.timings.encode);
        // All of it takes its time on a link that is slowed down, and only there.
        device.simulate_link(NonZeroU64::new(raw * 2));
        let begun = Instant::now();
        other.transcode(&ladder(), source, &[], &limits()).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
        device.simulate_link(None);
    });
}

#[test]
fn each_part_does_what_it_says() {
    alone("each_part_does_what_it_says", |doubles| {
        let source = &segments("640x360", "30", 2, "-bf 2")[0];
        let device = doubles.device();
        let card = Card::new(device.clone());
        let (ladder, limits) = (ladder(), limits());
        let reel = Reel::cut(&ladder, source, &limits).unwrap();
        let calls = |name: &str, call: &str| doubles.report(name).calls.get(call).copied().unwrap_or(0);
        let launched = || calls("cuda", "cuLaunchKernel");
        assert_eq!(card.decode(&reel, &limits).unwrap(), 30);
        assert_eq!((calls("cuvid", "cuvidDecodePicture"), launched()), (30, 0));
        assert_eq!(card.decode_and_scale(&reel, &ladder, &limits).unwrap(), 30);
        assert_eq!(calls("cuvid", "cuvidDecodePicture"), 60);
        let before = launched();
        assert!(before >= 30);
        let stills = card.stills(&reel, &ladder, &limits, 5).unwrap();
        let (decoded, before) = (calls("cuvid", "cuvidDecodePicture"), launched());
        assert_eq!(card.scale(&stills).unwrap(), 5);
        assert!(launched() >= before + 5 && calls("nvenc", "nvEncEncodePicture") == 0);
        assert_eq!(card.encode(&stills, 1, 12).unwrap(), Some(12));
        assert_eq!(card.encode(&stills, 0, 7).unwrap(), Some(7));
        assert_eq!(card.encode(&stills, 2, 7).unwrap(), None, "there is no such rung");
        // Two ends beside the pictures.
        assert_eq!((calls("nvenc", "nvEncEncodePicture"), calls("cuvid", "cuvidDecodePicture")), (21, decoded));
        drop(card);
        doubles.set("nvenc", "sessions", "0");
        assert_eq!(Card::new(device).encode(&stills, 0, 7).unwrap(), None);
    });
}

/// Engines that are modelled have a speed, and several of them have several times that.
#[test]
fn what_all_decode_engines_do_together_is_measured() {
    alone("what_all_decode_engines_do_together_is_measured", |doubles| {
        let device = doubles.device();
        assert!(decode_rate(&device, 1).unwrap() > 0);
        let decoders = || doubles.report("cuvid").calls["cuvidCreateDecoder"];
        assert_eq!(decoders(), 2);
        let (system, id) = System::new();
        doubles.set("cuvid", "system", &id.to_string());
        system.modelled.store(true, Ordering::SeqCst);
        for (engines, at_once) in [(1, 2), (3, 6), (5, 8)] {
            doubles.set("cuvid", "decoders", &engines.to_string());
            let before = decoders();
            let rate = decode_rate(&device, engines).unwrap() as f64;
            assert_eq!(decoders() - before, at_once);
            // Not more than they do; a busy machine may be late with what it feeds them.
            let share = rate / (f64::from(engines) * SPEED);
            assert!((0.05..1.01).contains(&share), "{engines}: {share}");
        }
        system.modelled.store(false, Ordering::SeqCst);
        // An error is one, wherever it comes, and nothing is left behind.
        for fault in ["cuvidCreateVideoParser=2", "cuvidCreateDecoder=2@1", "cuvidDecodePicture=719@48"] {
            doubles.set("cuvid", "fault", fault);
            assert!(decode_rate(&device, 1).is_err(), "{fault}");
            doubles.set("cuvid", "clear", "");
        }
    });
}

#[test]
fn doubles_name_themselves() {
    let doubles = Doubles::new();
    let all = ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-ml.so.1"];
    assert_eq!(named(&doubles.source()), all);
    assert_eq!(named(&Doubles::with(&["nvenc"]).source()), ["libnvidia-encode.so.1"]);
    assert_eq!(Capabilities::probe(&Doubles::with(&["cuda"]).source()).doubles, ["libcuda.so.1"]);
    // Something else under the name is none.
    let other = Doubles::with(&[]);
    std::fs::write(other.path().join("libcuda.so.1"), "not a library").unwrap();
    assert_eq!(named(&other.source()), [""; 0]);
}
