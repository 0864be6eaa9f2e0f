//! Every fault that a double can be told of ends in the class that `NvidiaError` documents, and leaves nothing behind.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod doubles;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use doubles::{Doubles, encode, picture, settings};
use headframe_codec::Class;
use headframe_codec::nvidia::{
    Decoder, DecoderLimits, Device, Driver, EncodedPicture, EncoderSession, EncoderSettings, NvidiaError, Surface,
    VideoCodec,
};

/// One session from opening to closing: ten pictures, another size, ten more.
fn session_work(device: &Arc<Device>) -> Result<(), NvidiaError> {
    let mut session = EncoderSession::open(device, &settings((640, 360)))?;
    for size in [(640, 360), (320, 180)] {
        if session.settings().size != size {
            session.reconfigure(&settings(size))?;
        }
        for i in 0..10 {
            if session.in_flight() >= 3 {
                session.output()?;
            }
            let surface = session.input()?;
            device.upload(&surface, &picture(size, i, 8))?;
            session.encode(i.into(), false)?;
        }
        session.drain()?;
    }
    Ok(())
}

fn decoder_work(device: &Arc<Device>, units: &[EncodedPicture]) -> Result<u32, NvidiaError> {
    let mut decoder = Decoder::open(device, VideoCodec::H264, DecoderLimits::default())?;
    let mut count = 0;
    let mut sink = |picture: headframe_codec::nvidia::Picture| {
        count += 1;
        device.download(&picture.planes()).map(drop)
    };
    for unit in units {
        decoder.feed(&unit.data, unit.time, &mut sink)?;
    }
    decoder.flush(&mut sink)?;
    Ok(count)
}

fn units(size: (u32, u32), count: u32) -> Vec<EncodedPicture> {
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut session = EncoderSession::open(&device, &EncoderSettings { max_size: size, ..settings(size) }).unwrap();
    encode(&mut session, &device, count, &[])
}

#[test]
fn without_faults_all_of_it_works() {
    let doubles = Doubles::new();
    let device = doubles.device();
    session_work(&device).unwrap();
    assert_eq!(decoder_work(&device, &units((320, 180), 8)).unwrap(), 8);
    drop(device);
    doubles.assert_clean();
}

/// Every function of the encoder, every status that there is a class for, on the first and on a later call.
#[test]
fn every_fault_of_the_encoder_ends_in_its_class() {
    const FUNCTIONS: [&str; 13] = [
        "nvEncOpenEncodeSessionEx",
        "nvEncGetEncodePresetConfigEx",
        "nvEncInitializeEncoder",
        "nvEncCreateBitstreamBuffer",
        "nvEncRegisterResource",
        "nvEncMapInputResource",
        "nvEncEncodePicture",
        "nvEncLockBitstream",
        "nvEncUnlockBitstream",
        "nvEncUnmapInputResource",
        "nvEncUnregisterResource",
        "nvEncReconfigureEncoder",
        "*",
    ];
    let codes = [
        (10, Class::Capacity),
        (21, Class::Capacity),
        (12, Class::Capacity),
        (18, Class::Transient),
        (5, Class::Device),
        (20, Class::Device),
        (4711, Class::Device),
    ];
    let doubles = Doubles::new();
    let device = doubles.device();
    for function in FUNCTIONS {
        for (code, due) in codes {
            for skip in [0, 3] {
                doubles.set("nvenc", "fault", &format!("{function}={code}@{skip}"));
                let outcome = session_work(&device);
                doubles.set("nvenc", "clear", "");
                let late = skip > 0 && matches!(function, "nvEncOpenEncodeSessionEx" | "nvEncInitializeEncoder");
                let few = skip > 0 && matches!(function, "nvEncGetEncodePresetConfigEx" | "nvEncReconfigureEncoder");
                match outcome {
                    Ok(()) => assert!(late || few, "{function} with {code} at {skip} went unnoticed"),
                    Err(error) => assert_eq!(error.class(), due, "{function} with {code} at {skip}: {error}"),
                }
                assert_eq!(doubles.report("nvenc").live, Default::default(), "{function} with {code} at {skip}");
                assert_eq!(doubles.report("nvenc").violations, [""; 0], "{function} with {code} at {skip}");
                // And the card can be used again.
                assert_eq!(doubles.report("cuda").live["context"], 1);
                assert!(!doubles.report("cuda").live.contains_key("memory"), "{function} with {code} at {skip}");
            }
        }
    }
    session_work(&device).unwrap();
    drop(device);
    doubles.assert_clean();
}

#[test]
fn every_fault_of_the_decoder_ends_in_its_class() {
    let units = units((320, 180), 6);
    let functions = [
        ("cuvidGetDecoderCaps", Class::Device),
        ("cuvidCreateDecoder", Class::Capacity),
        ("cuvidCreateVideoParser", Class::Device),
        ("cuvidParseVideoData", Class::Input),
        ("cuvidDecodePicture", Class::Input),
        ("cuvidMapVideoFrame64", Class::Device),
    ];
    let doubles = Doubles::new();
    let device = doubles.device();
    for (function, invalid) in functions {
        for (code, due) in
            [(1, invalid), (2, Class::Capacity), (600, Class::Transient), (719, Class::Device), (4711, Class::Device)]
        {
            doubles.set("cuvid", "fault", &format!("{function}={code}"));
            let error = decoder_work(&device, &units).unwrap_err();
            doubles.set("cuvid", "clear", "");
            assert_eq!(error.class(), due, "{function} with {code}: {error}");
            let report = doubles.report("cuvid");
            assert!(report.live.is_empty() && report.violations.is_empty(), "{function} with {code}: {report:?}");
            assert!(!doubles.report("cuda").live.contains_key("memory"), "{function} with {code}");
        }
    }
    assert_eq!(decoder_work(&device, &units).unwrap(), 6);
    drop(device);
    doubles.assert_clean();
}

/// A card that falls off the bus fails every call from then on; all is given back in order all the same.
#[test]
fn a_lost_card_is_the_devices_fault_whenever_it_happens() {
    let units = units((320, 180), 6);
    for skip in [0, 5, 10, 20, 40, 60, 80, 100] {
        let doubles = Doubles::new();
        let device = doubles.device();
        doubles.set("cuda", "fault", &format!("*=719@{skip}"));
        doubles.set("nvenc", "fault", &format!("*=5@{skip}"));
        // The session makes more calls than any `skip`, and what is lost stays so.
        let encoded = session_work(&device);
        let decoded = decoder_work(&device, &units);
        for error in [encoded.unwrap_err(), decoded.unwrap_err()] {
            assert_eq!(error.class(), Class::Device, "after {skip} calls: {error}");
        }
        drop(device);
        for name in ["nvenc", "cuvid", "cuda"] {
            let report = doubles.report(name);
            assert!(report.live.is_empty(), "{name} after {skip} calls: {:?}", report.live);
            // With the card gone no context can be made current. Everything is given back all the same.
            let only_contexts = report.violations.iter().all(|what| what.ends_with("without a current context"));
            assert!(only_contexts, "{name} after {skip} calls: {:?}", report.violations);
        }
    }
}

#[test]
fn the_cap_on_sessions_is_capacity_and_frees_itself() {
    let doubles = Doubles::new();
    doubles.set("nvenc", "sessions", "3");
    let device = doubles.device();
    let mut open: Vec<_> = (0..3).map(|_| EncoderSession::open(&device, &settings((320, 180))).unwrap()).collect();
    for _ in 0..2 {
        let error = EncoderSession::open(&device, &settings((320, 180))).err().unwrap();
        assert_eq!(error.class(), Class::Capacity);
        assert!(error.no_more_sessions() && error.to_string().contains("no more sessions on this system"), "{error}");
    }
    assert_eq!(doubles.report("nvenc").live["session"], 3);
    open.pop();
    open.push(EncoderSession::open(&device, &settings((320, 180))).unwrap());
    drop((open, device));
    doubles.assert_clean();
}

#[test]
fn sessions_that_are_free_can_be_counted() {
    let doubles = Doubles::new();
    doubles.set("nvenc", "sessions", "5");
    let device = doubles.device();
    assert_eq!((device.free_sessions(16), device.free_sessions(4)), (Ok(5), Ok(4)));
    let open: Vec<_> = (0..2).map(|_| EncoderSession::open(&device, &settings((320, 180))).unwrap()).collect();
    assert_eq!(device.free_sessions(16), Ok(3));
    doubles.set("nvenc", "sessions", "2");
    assert_eq!(device.free_sessions(16), Ok(0));
    // A card without an encoder is something else.
    doubles.set("nvenc", "fault", "nvEncOpenEncodeSessionEx=1");
    assert!(!device.free_sessions(16).unwrap_err().no_more_sessions());
    drop((open, device));
    doubles.assert_clean();
}

#[test]
fn no_memory_on_the_card_is_capacity() {
    let doubles = Doubles::new();
    doubles.set("cuda", "memory", "1");
    let device = doubles.device();
    let error = EncoderSession::open(&device, &settings((640, 360))).err().unwrap();
    assert_eq!(error.class(), Class::Capacity, "{error}");
    let surface = Surface::new(&device, (640, 360), 8).unwrap();
    assert!(Surface::new(&device, (1280, 720), 8).is_err());
    assert_eq!(device.memory().unwrap().1, 1 << 20);
    drop((surface, device));
    doubles.assert_clean();
}

#[test]
fn a_busy_encoder_is_waited_for_and_then_tried_again() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut session = EncoderSession::open(&device, &settings((320, 180))).unwrap();
    device.upload(&session.input().unwrap(), &picture((320, 180), 0, 8)).unwrap();
    // Busy for a moment: nobody notices.
    doubles.set("nvenc", "fault", "nvEncEncodePicture=18@0x5");
    session.encode(0, false).unwrap();
    // Busy for long: transient, and the surface is still there to be tried again.
    device.upload(&session.input().unwrap(), &picture((320, 180), 1, 8)).unwrap();
    doubles.set("nvenc", "fault", "nvEncEncodePicture=18");
    assert_eq!(session.encode(1, false).unwrap_err().class(), Class::Transient);
    doubles.set("nvenc", "clear", "");
    session.encode(1, false).unwrap();
    assert_eq!(session.drain().unwrap().len(), 2);
    drop((session, device));
    doubles.assert_clean();
}

#[test]
fn a_refused_change_leaves_a_session_that_can_only_be_replaced() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut session = EncoderSession::open(&device, &settings((640, 360))).unwrap();
    encode(&mut session, &device, 3, &[]);
    doubles.set("nvenc", "fault", "nvEncReconfigureEncoder=12");
    assert_eq!(session.reconfigure(&settings((320, 180))).unwrap_err().class(), Class::Capacity);
    assert!(matches!(session.input(), Err(NvidiaError::Broken { .. })));
    assert!(matches!(session.reconfigure(&settings((320, 180))), Err(NvidiaError::Broken { .. })));
    drop(session);
    let mut other = EncoderSession::open(&device, &settings((320, 180))).unwrap();
    assert_eq!(encode(&mut other, &device, 3, &[]).len(), 3);
    drop((other, device));
    doubles.assert_clean();
}

#[test]
fn streams_that_the_card_or_the_limits_do_not_take_say_whose_fault_it_is() {
    let units = units((640, 360), 2);
    let doubles = Doubles::new();
    let device = doubles.device();
    let small = DecoderLimits { frame_pixels: 320 * 180, ..DecoderLimits::default() };
    let feed = |limits| {
        let mut decoder = Decoder::open(&device, VideoCodec::H264, limits)?;
        decoder.feed(&units[0].data, 0, &mut |_| Ok(()))
    };
    assert_eq!(feed(small).unwrap_err().class(), Class::Input);
    doubles.set("cuvid", "width", "600");
    assert_eq!(feed(DecoderLimits::default()).unwrap_err().class(), Class::Capacity);
    doubles.set("cuvid", "codecs", "hevc");
    assert_eq!(feed(DecoderLimits::default()).unwrap_err().class(), Class::Capacity);
    drop(device);
    doubles.assert_clean();
}

#[test]
fn what_the_consumer_of_pictures_says_comes_back() {
    let units = units((320, 180), 2);
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut decoder = Decoder::open(&device, VideoCodec::H264, DecoderLimits::default()).unwrap();
    let full = NvidiaError::Full { what: "rings", limit: 1 };
    let mut outcome = Ok(());
    for unit in &units {
        outcome = outcome.and_then(|()| decoder.feed(&unit.data, unit.time, &mut |_| Err(full.clone())));
    }
    assert_eq!(outcome.and_then(|()| decoder.flush(&mut |_| Err(full.clone()))), Err(full));
    drop((decoder, device));
    doubles.assert_clean();
}

#[test]
fn garbage_is_no_picture_and_no_harm() {
    let good = units((320, 180), 6);
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut damaged = good.clone();
    let len = damaged[2].data.len();
    damaged[2].data[len / 3..].fill(0x5a);
    damaged.insert(0, EncodedPicture { time: -1, key: false, data: vec![0xff; 400] });
    let shown = decoder_work(&device, &damaged).unwrap();
    assert!((4..=6).contains(&shown), "{shown} pictures");
    drop(device);
    doubles.assert_clean();
}

/// That the doubles see at a process's end what it left behind. The child is this very program.
#[test]
fn what_a_process_leaves_behind_is_seen_at_its_end() {
    if let Ok(folder) = std::env::var("NVIDIA_LEAK_FOLDER") {
        let driver = Driver::open(&headframe_codec::nvidia::Source::Folder(folder.into())).unwrap();
        let device = Device::open(&driver, driver.devices().unwrap()[0].uuid).unwrap();
        let session = EncoderSession::open(&device, &settings((320, 180))).unwrap();
        if std::env::var_os("NVIDIA_LEAK").is_some() {
            let _leaked = std::mem::ManuallyDrop::new(session);
        }
        return;
    }
    for (leak, due) in [(false, Some(0)), (true, Some(86))] {
        let doubles = Doubles::new();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "what_a_process_leaves_behind_is_seen_at_its_end"]);
        child.env("NVIDIA_LEAK_FOLDER", doubles.path()).env("HEADFRAME_DOUBLES_STRICT", "1");
        if leak {
            child.env("NVIDIA_LEAK", "1");
        }
        assert_eq!(child.output().unwrap().status.code(), due);
    }
}

/// A driver that never answers: the process is ended from outside, wherever it hangs. The child is this very program.
#[test]
fn a_hanging_driver_can_be_ended_from_outside() {
    if let Ok(folder) = std::env::var("NVIDIA_HANG_FOLDER") {
        let driver = Driver::open(&headframe_codec::nvidia::Source::Folder(folder.into())).unwrap();
        let device = Device::open(&driver, driver.devices().unwrap()[0].uuid).unwrap();
        session_work(&device).unwrap();
        return;
    }
    for function in ["nvEncOpenEncodeSessionEx", "nvEncEncodePicture", "nvEncLockBitstream", "nvEncDestroyEncoder"] {
        let doubles = Doubles::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_hanging_driver_can_be_ended_from_outside", "--nocapture"])
            .env("NVIDIA_HANG_FOLDER", doubles.path())
            .env("HEADFRAME_DOUBLE_NVENC", format!("hang={function}"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let due = format!("double nvenc: {function} hangs");
        assert!(lines.any(|line| line.unwrap() == due), "{function} did not hang");
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
