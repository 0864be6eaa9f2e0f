//! The engine of NVIDIA cards over doubles of the driver, where a card has too little of something or fails: what goes to
//! the processors, what an error means, and that nothing is left behind; with both engines. Each test has a process of its own.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod doubles;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{decoded, fragmented, segments, shown, small};
use doubles::{Doubles, alone};
use headframe_codec::engine::nvidia::{Card, Choice, Doubt, Engine, choose};
use headframe_codec::nvidia::VideoCodec;
use headframe_codec::{
    Class, Codec, Container, EngineError, Fps, Ladder, Limits, Rendition, RenditionOut, SegmentOut, engine,
};

fn ladder() -> Ladder {
    let rung = |name, width, height| Rendition { gop_ms: 500, ..small(name, width, height) };
    // The last one has its own rate: its pictures wait on the card until it is known how long they are shown.
    let slow = Rendition { fps: Some(Fps { num: 12, den: 1 }), ..rung("slow", 240, 136) };
    Ladder::new(vec![rung("a", 320, 180), rung("b", 256, 144), slow]).unwrap()
}

fn limits() -> Limits {
    Limits { wall: Duration::from_secs(120), ..Limits::default() }
}

fn make(card: &Card, source: &[u8]) -> Result<SegmentOut, EngineError> {
    card.transcode(&ladder(), source, &[], &limits())
}

/// All renditions of the source, whoever made them.
#[track_caller]
fn is_sound(out: &SegmentOut, source: &[u8]) {
    assert_eq!(out.renditions.len(), 3);
    for made in &out.renditions[..2] {
        assert_eq!(shown(&made.bytes), shown(source), "{}", made.name);
    }
    for made in &out.renditions {
        assert_eq!(made.frames, decoded(&made.bytes), "{}", made.name);
    }
    assert_eq!(out.renditions[2].frames, 12);
}

/// The same where most come out alike: what was judged before is not judged again.
#[track_caller]
fn is_sound_too(out: SegmentOut, source: &[u8], judged: &mut Vec<Vec<RenditionOut>>) {
    if !judged.contains(&out.renditions) {
        is_sound(&out, source);
        judged.push(out.renditions);
    }
}

fn source() -> Vec<Vec<u8>> {
    segments("640x360", "30", 2, "-bf 2")
}

#[test]
fn a_segment_comes_out_the_same_whatever_came_before() {
    alone("a_segment_comes_out_the_same_whatever_came_before", |doubles| {
        let source = source();
        let card = Card::new(doubles.device());
        let both = [0, 1].map(|i| make(&card, &source[i]).unwrap().renditions);
        assert_eq!(make(&card, &source[0]).unwrap().renditions, both[0]);
        // Sessions of other sizes, which are reconfigured or closed.
        let other = Ladder::new(vec![small("c", 640, 360), small("d", 160, 90)]).unwrap();
        card.transcode(&other, &source[0], &[], &limits()).unwrap();
        assert_eq!(make(&card, &source[1]).unwrap().renditions, both[1]);
        let calls = doubles.report("nvenc").calls;
        assert!(calls["nvEncReconfigureEncoder"] >= 6, "{calls:?}");
        drop(card);
        let fresh = Card::new(doubles.device());
        assert_eq!(make(&fresh, &source[1]).unwrap().renditions, both[1]);
    });
}

#[test]
fn a_driver_that_does_not_reconfigure_only_costs_time() {
    alone("a_driver_that_does_not_reconfigure_only_costs_time", |doubles| {
        let source = source();
        let card = Card::new(doubles.device());
        let due = make(&card, &source[0]).unwrap();
        for code in [8, 12] {
            doubles.set("nvenc", "fault", &format!("nvEncReconfigureEncoder={code}@0x100"));
            assert_eq!(make(&card, &source[0]).unwrap().renditions, due.renditions);
            doubles.set("nvenc", "clear", "");
        }
    });
}

#[test]
fn every_codec_in_mp4_is_decoded_on_the_card() {
    alone("every_codec_in_mp4_is_decoded_on_the_card", |doubles| every_codec(doubles, Engine::Direct));
}

#[test]
fn every_codec_in_mp4_is_decoded_on_the_card_by_ffmpeg() {
    let test = "every_codec_in_mp4_is_decoded_on_the_card_by_ffmpeg";
    alone(test, |doubles| every_codec(doubles, Engine::Ffmpeg));
}

/// Decoded and scaled by the card and encoded by the processors, it is what the processors make of it, to the byte.
fn every_codec(doubles: &Doubles, engine: Engine) {
    let card = with(doubles, engine).leave_encoding();
    let x265 = "-c:v libx265 -x265-params log-level=none";
    let (av1, vp9) = ("-c:v libsvtav1 -preset 12 -crf 40", "-c:v libvpx-vp9 -cpu-used 8 -lag-in-frames 12");
    let coded = ["-c:v libx264 -bf 2", x265, av1, vp9].map(|coding| (coding, "yuv420p"));
    let deep = [x265, av1, vp9].map(|coding| (coding, "yuv420p10le"));
    for (i, (coding, format)) in coded.into_iter().chain(deep).enumerate() {
        let source = fragmented("320x180", "30", 0.8, &format!("{coding} -pix_fmt {format}"));
        let have = make(&card, &source).unwrap();
        let want = engine::transcode(&ladder(), &source, &[], &limits()).unwrap();
        assert!(have.renditions == want.renditions, "{coding} {format}");
        assert_eq!((have.source.frames, have.source.damaged, &have.source), (24, 0, &want.source), "{coding} {format}");
        let done = card.tally();
        assert_eq!((done.segments_left, done.rungs_on_host), (0, 3 * (i as u64 + 1)), "{coding} {format}: {done:?}");
    }
}

#[test]
fn streams_of_other_sizes_do_not_wait_for_each_other() {
    alone("streams_of_other_sizes_do_not_wait_for_each_other", |doubles| {
        others_go_on(doubles, Card::new(doubles.device()));
    });
}

#[test]
fn streams_of_other_sizes_do_not_wait_for_each_other_where_the_processors_encode() {
    alone("streams_of_other_sizes_do_not_wait_for_each_other_where_the_processors_encode", |doubles| {
        others_go_on(doubles, Card::new(doubles.device()).leave_encoding());
    });
}

fn others_go_on(doubles: &Doubles, card: Card) {
    let sources = ["640x360", "320x180"].map(|size| segments(size, "30", 1, "-bf 0").remove(0));
    let round = || sources.iter().for_each(|source| drop(make(&card, source).unwrap()));
    round();
    // What is allocated is kept, and for what is freed the driver would wait until the card is idle.
    let calls = |call: &str| doubles.report("cuda").calls.get(call).copied().unwrap_or(0);
    // Memory of decoders, surfaces and tables is among that.
    let lasting = ["cuMemAlloc_v2", "cuMemAllocPitch_v2", "cuMemFree_v2", "cuCtxSynchronize", "cuModuleLoadData"];
    let before = lasting.map(calls);
    (0..3).for_each(|_| round());
    assert_eq!(lasting.map(calls), before, "{lasting:?}");
    assert!(calls("cuStreamSynchronize") > 0);
}

#[test]
fn streams_are_scaled_together() {
    alone("streams_are_scaled_together", |doubles| scaled_together(doubles, Engine::Direct));
}

#[test]
fn streams_of_ffmpeg_are_scaled_together() {
    alone("streams_of_ffmpeg_are_scaled_together", |doubles| scaled_together(doubles, Engine::Ffmpeg));
}

/// Six streams at once, of one size: each comes out as it does alone.
fn scaled_together(doubles: &Doubles, engine: Engine) {
    let (sources, pattern) = (source(), segments("640x360", "30", 2, "-bf 0"));
    let card = with(doubles, engine);
    let sources: Vec<&[u8]> = sources.iter().chain(&pattern).map(Vec::as_slice).collect();
    let due: Vec<_> = sources.iter().map(|source| make(&card, source).unwrap().renditions).collect();
    let before = card.scaling();
    assert_eq!(before.pictures, before.launches, "alone");
    std::thread::scope(|scope| {
        let (card, sources) = (&card, &sources);
        let streams = (0..6).map(|stream| scope.spawn(move || make(card, sources[stream % sources.len()]).unwrap()));
        let streams: Vec<_> = streams.collect();
        for (stream, made) in streams.into_iter().enumerate() {
            assert!(made.join().unwrap().renditions == due[stream % due.len()], "stream {stream}");
        }
    });
    let after = card.scaling();
    assert_eq!(after.pictures - before.pictures, 6 * 30);
    let launches = after.launches - before.launches;
    assert!(launches < 6 * 30, "{launches} for 180 pictures");
    assert_eq!(doubles.report("cuda").calls["cuModuleLoadData"], 1, "the driver compiles the kernels once");
}

fn with(doubles: &Doubles, engine: Engine) -> Card {
    if engine == Engine::Ffmpeg {
        doubles.serve_ffmpeg();
    }
    Card::with(doubles.device(), engine)
}

#[test]
fn rungs_without_a_session_are_made_by_the_processors() {
    let test = "rungs_without_a_session_are_made_by_the_processors";
    alone(test, |doubles| without_a_session(doubles, Engine::Direct));
}

#[test]
fn rungs_without_a_session_of_ffmpeg_are_made_by_the_processors() {
    let test = "rungs_without_a_session_of_ffmpeg_are_made_by_the_processors";
    alone(test, |doubles| without_a_session(doubles, Engine::Ffmpeg));
}

fn without_a_session(doubles: &Doubles, engine: Engine) {
    let source = source();
    let processors = engine::transcode(&ladder(), &source[0], &[], &limits()).unwrap();
    let card = with(doubles, engine);
    let whole = make(&card, &source[0]).unwrap();
    drop(card);
    for (sessions, made_by_card) in [(2, 3), (0, 0), (1, 3)] {
        // The cap falls, and other programs leave and come. Where there is one, it makes one rung after the other.
        doubles.set("nvenc", "sessions", &sessions.to_string());
        let card = with(doubles, engine);
        for _ in 0..2 {
            let out = make(&card, &source[0]).unwrap();
            is_sound(&out, &source[0]);
            // Those that the card made are the card's, the others the processors' to the bit.
            let by_card = out.renditions.iter().zip(&whole.renditions).filter(|(a, b)| a == b).count();
            let by_processors = out.renditions.iter().zip(&processors.renditions).filter(|(a, b)| a == b).count();
            assert_eq!((by_card, by_processors), (made_by_card, 3 - made_by_card));
        }
    }
    assert_eq!(doubles.report("nvenc").violations, [""; 0]);
}

#[test]
fn a_card_without_an_encoder_decodes_and_scales_for_the_processors() {
    let test = "a_card_without_an_encoder_decodes_and_scales_for_the_processors";
    alone(test, |doubles| without_an_encoder(doubles, Engine::Direct));
}

#[test]
fn a_card_without_an_encoder_decodes_with_ffmpeg_for_the_processors() {
    let test = "a_card_without_an_encoder_decodes_with_ffmpeg_for_the_processors";
    alone(test, |doubles| without_an_encoder(doubles, Engine::Ffmpeg));
}

fn without_an_encoder(doubles: &Doubles, engine: Engine) {
    let source = source();
    doubles.set("nvenc", "fault", "nvEncOpenEncodeSessionEx=1@0x10000");
    let card = with(doubles, engine);
    let mut paces = Vec::new();
    for source in &source {
        let due = engine::transcode(&ladder(), source, &paces, &limits()).unwrap();
        let out = card.transcode(&ladder(), source, &paces, &limits()).unwrap();
        // To the byte: the card decodes and scales as the processors do.
        assert_eq!((&out.renditions, &out.source, &out.paces), (&due.renditions, &due.source, &due.paces));
        paces = out.paces;
    }
    assert!(doubles.report("cuda").calls["cuLaunchKernel"] >= 60);
}

/// One depth may be in doubt and the other not.
#[test]
fn what_a_card_is_not_trusted_with_is_left_to_the_processors() {
    alone("what_a_card_is_not_trusted_with_is_left_to_the_processors", |doubles| {
        let ten = "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none";
        let source = segments("640x360", "30", 1, ten).remove(0);
        for (bit_depth, left) in [(8, 0), (10, 1)] {
            let doubt = Doubt { codec: VideoCodec::Hevc, bit_depth, reason: String::new() };
            let card = with(doubles, Engine::Direct).without(&[doubt]);
            assert_eq!(make(&card, &source).unwrap().renditions[0].frames, 30);
            assert_eq!(card.tally().segments_left, left, "{bit_depth}");
        }
    });
}

#[test]
fn what_a_card_cannot_decode_is_left_to_the_processors() {
    alone("what_a_card_cannot_decode_is_left_to_the_processors", |doubles| undecoded(doubles, Engine::Direct));
}

#[test]
fn what_a_card_cannot_decode_with_ffmpeg_is_left_to_the_processors() {
    alone("what_a_card_cannot_decode_with_ffmpeg_is_left_to_the_processors", |doubles| {
        undecoded(doubles, Engine::Ffmpeg);
    });
}

fn undecoded(doubles: &Doubles, engine: Engine) {
    let card = with(doubles, engine);
    let odd = segments("320x180", "30", 1, "-pix_fmt yuv422p");
    let due = engine::transcode(&ladder(), &odd[0], &[], &limits()).unwrap();
    assert_eq!(make(&card, &odd[0]).unwrap().renditions, due.renditions);
    assert!(!doubles.report("cuvid").calls.contains_key("cuvidDecodePicture"));
    // A chip that does not know the codec.
    doubles.set("cuvid", "codecs", "vp9");
    let plain = &source()[0];
    let due = engine::transcode(&ladder(), plain, &[], &limits()).unwrap();
    assert_eq!(make(&card, plain).unwrap().renditions, due.renditions);
}

#[test]
fn what_is_kept_for_later_gives_way_where_memory_is_short() {
    alone("what_is_kept_for_later_gives_way_where_memory_is_short", |doubles| {
        let sources = ["640x360", "320x180", "480x270"].map(|size| segments(size, "15", 1, "-bf 0").remove(0));
        let card = Card::new(doubles.device());
        sources[..2].iter().for_each(|source| drop(make(&card, source).unwrap()));
        let kept = || ["cuvid", "nvenc"].map(|double| doubles.report(double).live.values().sum::<u64>());
        assert!(kept().iter().all(|objects| *objects > 0), "{:?}", kept());
        let left = |code| {
            doubles.set("cuvid", "fault", &format!("cuvidCreateDecoder={code}"));
            drop(make(&card, &sources[2]).unwrap());
            doubles.set("cuvid", "clear", "");
        };
        let before = kept();
        left(801);
        assert_eq!((kept(), card.tally().segments_left), (before, 1), "what is not supported frees nothing");
        left(2);
        assert_eq!((kept(), card.tally().segments_left), ([0, 0], 2));
        drop(make(&card, &sources[2]).unwrap());
        assert_eq!(card.tally().segments_left, 2, "the next one is made on the card");
    });
}

/// Every function that a segment needs, failing on the first and on a later call: the segment is made by the processors, or
/// the error has the class that it documents; then the card can be used again, and gives everything back.
#[test]
fn every_fault_ends_in_its_class_or_at_the_processors() {
    alone("every_fault_ends_in_its_class_or_at_the_processors", |doubles| faults(doubles, Engine::Direct, true));
}

#[test]
fn every_fault_where_the_processors_encode_ends_in_its_class() {
    alone("every_fault_where_the_processors_encode_ends_in_its_class", |doubles| {
        faults(doubles, Engine::Direct, false);
    });
}

#[test]
fn every_fault_under_ffmpeg_ends_in_its_class_or_at_the_processors() {
    alone("every_fault_under_ffmpeg_ends_in_its_class_or_at_the_processors", |doubles| {
        faults(doubles, Engine::Ffmpeg, true);
    });
}

/// With a card that encodes, or leaves that to the processors.
fn faults(doubles: &Doubles, engine: Engine, encodes: bool) {
    /// What a lost card says to these is not the last word: a session that is not reconfigured is made anew, what a chip encodes
    /// is known when a session is to be had, and whether a picture was whole is asked for the count of damaged ones.
    const BORNE: [&str; 3] = ["nvEncReconfigureEncoder", "nvEncGetEncodeCaps", "cuvidGetDecodeStatus"];
    const FUNCTIONS: [(&str, &str); 28] = [
        ("cuda", "cuMemAllocPitch_v2"),
        ("cuda", "cuMemAlloc_v2"),
        ("cuda", "cuModuleLoadData"),
        ("cuda", "cuLaunchKernel"),
        ("cuda", "cuStreamSynchronize"),
        ("cuda", "cuMemcpy2DAsync_v2"),
        ("cuda", "cuEventRecord"),
        ("cuda", "cuStreamWaitEvent"),
        ("cuvid", "cuvidCreateVideoParser"),
        ("cuvid", "cuvidGetDecoderCaps"),
        ("cuvid", "cuvidCreateDecoder"),
        ("cuvid", "cuvidDecodePicture"),
        ("cuvid", "cuvidMapVideoFrame64"),
        ("cuvid", "cuvidUnmapVideoFrame64"),
        ("cuvid", "cuvidGetDecodeStatus"),
        ("nvenc", "nvEncOpenEncodeSessionEx"),
        ("nvenc", "nvEncInitializeEncoder"),
        ("nvenc", "nvEncRegisterResource"),
        ("nvenc", "nvEncCreateBitstreamBuffer"),
        ("nvenc", "nvEncMapInputResource"),
        ("nvenc", "nvEncEncodePicture"),
        ("nvenc", "nvEncLockBitstream"),
        ("nvenc", "nvEncUnlockBitstream"),
        ("nvenc", "nvEncUnmapInputResource"),
        ("nvenc", "nvEncGetEncodeCaps"),
        ("nvenc", "nvEncReconfigureEncoder"),
        // FFmpeg's alone.
        ("cuvid", "cuvidParseVideoData"),
        ("nvenc", "nvEncSetIOCudaStreams"),
    ];
    let source = segments("320x180", "15", 1, "-bf 2 -g 15 -keyint_min 15").remove(0);
    let mut judged = Vec::new();
    let new = || if encodes { with(doubles, engine) } else { with(doubles, engine).leave_encoding() };
    let calls = |double, function| doubles.report(double).calls.get(function).copied().unwrap_or(0);
    let mut noticed = BTreeSet::new();
    for (double, function) in FUNCTIONS.into_iter().filter(|(double, _)| encodes || *double != "nvenc") {
        // Out of memory, busy, and lost, as each library says it.
        let codes = if double == "nvenc" { [10, 18, 5] } else { [2, 600, 719] };
        for (code, class) in codes.into_iter().zip([Class::Capacity, Class::Transient, Class::Device]) {
            for skip in [0, 4] {
                let card = new();
                if function == "nvEncReconfigureEncoder" {
                    is_sound_too(make(&card, &source).unwrap(), &source, &mut judged);
                }
                let before = calls(double, function);
                doubles.set(double, "fault", &format!("{function}={code}@{skip}"));
                let outcome = make(&card, &source);
                doubles.set(double, "clear", "");
                let what = format!("{function} with {code} at {skip}");
                let struck = calls(double, function) > before + skip;
                if struck {
                    noticed.insert(function);
                }
                match outcome {
                    // A card that is lost is not mistaken for one that has too little of something.
                    Ok(_) if struck && class == Class::Device && !BORNE.contains(&function) => {
                        panic!("{what} went unnoticed")
                    }
                    Ok(out) => is_sound_too(out, &source, &mut judged),
                    Err(EngineError::Card { class: found, reason }) => assert_eq!(found, class, "{what}: {reason}"),
                    Err(error) => panic!("{what}: {error}"),
                }
                let after = make(&card, &source).unwrap_or_else(|error| panic!("after {what}: {error}"));
                is_sound_too(after, &source, &mut judged);
                drop(card);
                doubles.assert_clean();
            }
        }
    }
    let least = if encodes { 20 } else { 12 };
    assert!(noticed.len() >= least, "{noticed:?}");
}

#[test]
fn a_segment_that_takes_too_long_is_given_up_and_the_card_goes_on() {
    let test = "a_segment_that_takes_too_long_is_given_up_and_the_card_goes_on";
    alone(test, |doubles| too_long(doubles, Engine::Direct));
}

#[test]
fn a_segment_that_takes_too_long_with_ffmpeg_is_given_up_and_the_card_goes_on() {
    let test = "a_segment_that_takes_too_long_with_ffmpeg_is_given_up_and_the_card_goes_on";
    alone(test, |doubles| too_long(doubles, Engine::Ffmpeg));
}

fn too_long(doubles: &Doubles, engine: Engine) {
    let source = source();
    let card = with(doubles, engine);
    let hurried = Limits { wall: Duration::from_millis(60), ..limits() };
    let error = card.transcode(&ladder(), &source[0], &[], &hurried).unwrap_err();
    assert!(matches!(error, EngineError::Wall { limit_ms: 60 }), "{error}");
    is_sound(&make(&card, &source[0]).unwrap(), &source[0]);
    let small = Limits { frames: 20, ..limits() };
    let error = card.transcode(&ladder(), &source[0], &[], &small).unwrap_err();
    assert!(matches!(error, EngineError::Frames { limit: 20 }), "{error}");
    is_sound(&make(&card, &source[1]).unwrap(), &source[1]);
}

#[test]
fn the_engine_that_passes_its_test_is_chosen() {
    alone("the_engine_that_passes_its_test_is_chosen", |doubles| {
        let (card, choice) = choose(&doubles.device()).unwrap();
        assert_eq!(choice, Choice { engine: Engine::Direct, encodes: true, refused: vec![], doubts: vec![] });
        assert_eq!(card.engine(), Engine::Direct);
        // Without a session it decodes and scales.
        doubles.set("nvenc", "sessions", "0");
        let (_, choice) = choose(&doubles.device()).unwrap();
        assert_eq!(choice, Choice { engine: Engine::Direct, encodes: false, refused: vec![], doubts: vec![] });
        doubles.set("nvenc", "sessions", "8");
        // A decoder that works for nobody.
        doubles.serve_ffmpeg();
        doubles.set("cuvid", "fault", "cuvidCreateDecoder=719");
        let error = choose(&doubles.device()).err().unwrap();
        assert_eq!(error.0.iter().map(|refusal| refusal.engine).collect::<Vec<_>>(), Engine::ALL);
        assert!(error.0.iter().all(|refusal| refusal.reason.contains("CUDA_ERROR_LAUNCH_FAILED")), "{error}");
        doubles.set("cuvid", "clear", "");
    });
}

#[test]
fn ffmpeg_takes_over_where_the_first_engine_fails() {
    alone("ffmpeg_takes_over_where_the_first_engine_fails", |doubles| {
        // In the driver's eyes, our first call is wrong; FFmpeg asks again.
        doubles.serve_ffmpeg();
        doubles.set("nvenc", "fault", "NvEncodeAPICreateInstance=15@0x1");
        let (card, choice) = choose(&doubles.device()).unwrap();
        assert_eq!((choice.engine, choice.encodes, card.engine()), (Engine::Ffmpeg, true, Engine::Ffmpeg));
        assert_eq!(choice.refused.len(), 1);
        assert!(choice.refused[0].reason.contains("NvEncodeAPICreateInstance"), "{choice:?}");
        doubles.set("nvenc", "clear", "");
        let source = source();
        is_sound(&make(&card, &source[0]).unwrap(), &source[0]);
        assert_eq!((card.tally().rungs_on_card, card.tally().rungs_on_host), (3, 0));
        let calls = doubles.report("nvenc").calls;
        assert!(calls["nvEncSetIOCudaStreams"] >= 5, "FFmpeg's alone: {calls:?}");
    });
}

/// A rung of each codec.
fn all_codecs() -> Ladder {
    let hevc = Rendition { codec: Codec::Hevc, ..small("hevc", 320, 180) };
    let av1 = Rendition { codec: Codec::Av1, container: Container::Cmaf, ..small("av1", 256, 144) };
    Ladder::new(vec![small("h264", 320, 180), hevc, av1]).unwrap()
}

#[test]
fn a_card_makes_every_codec() {
    alone("a_card_makes_every_codec", |doubles| {
        let card = with(doubles, Engine::Direct);
        let source = source();
        // The second time from sessions that are reconfigured.
        for segment in &source[..2] {
            let out = card.transcode(&all_codecs(), segment, &[], &limits()).unwrap();
            let codecs = out.renditions.iter().map(|made| made.codecs[..4].to_owned()).collect::<Vec<_>>();
            assert_eq!(codecs, ["avc1", "hvc1", "av01"]);
            assert!(out.renditions.iter().all(|made| made.frames == out.renditions[0].frames && made.frames > 0));
        }
        assert_eq!((card.tally().rungs_on_card, card.tally().rungs_on_host), (6, 0));
    });
}

#[test]
fn ffmpeg_makes_hevc_and_leaves_av1_to_the_processors() {
    alone("ffmpeg_makes_hevc_and_leaves_av1_to_the_processors", |doubles| {
        if !engine::codecs().contains(&Codec::Av1) {
            println!("skipped: this FFmpeg makes no AV1");
            return;
        }
        let ladder = all_codecs();
        let card = with(doubles, Engine::Ffmpeg);
        let source = &source()[0];
        let out = card.transcode(&ladder, source, &[], &limits()).unwrap();
        assert_eq!((card.tally().rungs_on_card, card.tally().rungs_on_host), (2, 1));
        for made in &out.renditions[..2] {
            assert_eq!((shown(&made.bytes), made.frames), (shown(source), decoded(&made.bytes)), "{}", made.name);
        }
        assert_eq!(out.renditions[2].frames, out.renditions[0].frames);
        let codecs = out.renditions.iter().map(|made| made.codecs[..4].to_owned()).collect::<Vec<_>>();
        assert_eq!(codecs, ["avc1", "hvc1", "av01"]);
    });
}

/// What `headframe-codec gpu-test` says of a driver whose encoder is told this, and how it ends.
fn tried(encoder: &str, engine: &str) -> (Option<i32>, serde_json::Value) {
    let doubles = Doubles::new();
    let files = source().into_iter().enumerate().map(|(i, segment)| {
        let path = doubles.path().join(format!("{i}.ts"));
        std::fs::write(&path, segment).unwrap();
        path
    });
    let files: Vec<_> = files.collect();
    let ladder = doubles.path().join("ladder.json");
    std::fs::write(&ladder, serde_json::to_string(&self::ladder()).unwrap()).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_headframe-codec"));
    command.args(["gpu-test", "--json", "--seconds", "1", "--streams", "2", "--engine", engine]);
    command.arg("--libraries").arg(doubles.path());
    command.arg("--ladder").arg(&ladder).args(&files).env("HEADFRAME_DOUBLE_NVENC", encoder);
    if encoder.contains("client=ffmpeg") {
        command.env("HEADFRAME_DOUBLE_CUDA", "client=ffmpeg").env("HEADFRAME_DOUBLE_CUVID", "client=ffmpeg");
    }
    let output = command.env("HEADFRAME_DOUBLES_STRICT", "1").output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), report)
}

/// Every rendition has all pictures of the source's two seconds at its rate, and each is near.
#[track_caller]
fn all_are_near(report: &serde_json::Value) {
    let renditions = report["renditions"].as_array().unwrap();
    let found: Vec<_> = renditions.iter().map(|it| (it["name"].as_str().unwrap(), it["pictures"].as_u64())).collect();
    assert_eq!(found, [("a", Some(60)), ("b", Some(60)), ("slow", Some(24))], "{report:#}");
    for rendition in renditions {
        let [worst, mean] = ["worst_psnr_db", "mean_psnr_db"].map(|key| rendition[key].as_f64().unwrap());
        assert!((30.0..=mean).contains(&worst) && mean <= 100.0, "{report:#}");
    }
}

/// Nothing is known of sessions.
#[track_caller]
fn has_no_sessions(report: &serde_json::Value) {
    let report = report.as_object().unwrap();
    let said = ["reconfigured_equals_fresh", "session_open_ms", "session_reconfigure_ms"].map(|key| &report[key]);
    assert!(said.iter().all(|said| said.is_null()), "{said:?}");
}

#[test]
fn an_owner_can_try_a_card() {
    let (code, report) = tried("sessions=8", "auto");
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!((&report["decodes_and_scales_exactly"], &report["encodes_all_pictures"]), (&true.into(), &true.into()));
    assert!(report["sustained"]["made"]["rungs_on_card"].as_u64().unwrap() >= 3, "{report:#}");
    assert!(report["sustained"]["pictures_per_launch"].as_f64().unwrap() >= 1.0, "{report:#}");
    assert_eq!((&report["engine"], &report["refused"]), (&"direct".into(), &serde_json::json!([])), "{report:#}");
    all_are_near(&report);
    assert_eq!(report["reconfigured_equals_fresh"], true, "{report:#}");
    for key in ["session_open_ms", "session_reconfigure_ms"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{report:#}");
    }
    // A driver that our own functions do not get along with, once: it is not asked again.
    let (code, report) = tried("sessions=8;client=ffmpeg;fault=NvEncodeAPICreateInstance=15@0x1", "auto");
    assert_eq!((code, &report["engine"]), (Some(0), &"ffmpeg".into()), "{report:#}");
    assert_eq!(report["refused"][0]["engine"], "direct", "{report:#}");
    assert!(report["sustained"]["made"]["rungs_on_card"].as_u64().unwrap() >= 3, "{report:#}");
    all_are_near(&report);
    has_no_sessions(&report);
    // Without a session nothing is encoded on the card, and it says so.
    let (code, report) = tried("sessions=0", "direct");
    assert_eq!((code, &report["encodes_all_pictures"]), (Some(1), &false.into()), "{report:#}");
    assert_eq!(report["renditions"], serde_json::json!([]), "{report:#}");
    has_no_sessions(&report);
}

/// Whether a problem begins with one of these and has the other in it.
fn complains(report: &serde_json::Value, begins: &str, has: &str) -> bool {
    let mut problems = report["problems"].as_array().unwrap().iter().filter_map(|problem| problem.as_str());
    problems.any(|problem| problem.starts_with(begins) && problem.contains(has))
}

#[test]
fn an_encoder_that_makes_other_pictures_is_found_out() {
    let (code, report) = tried("sessions=8;spoil=all", "direct");
    assert_eq!((code, &report["encodes_all_pictures"]), (Some(1), &false.into()), "{report:#}");
    // As many pictures as there should be, and the same ones whoever makes them.
    assert_eq!(report["renditions"].as_array().unwrap().len(), 3, "{report:#}");
    assert_eq!(report["reconfigured_equals_fresh"], true, "{report:#}");
    for (i, rendition) in ["a", "b", "slow"].into_iter().enumerate() {
        assert!(report["renditions"][i]["worst_psnr_db"].as_f64().unwrap() < 20.0, "{report:#}");
        let what = format!("of {rendition} is not what was encoded");
        assert!(complains(&report, "segment 0: picture", &what), "{report:#}");
        assert!(complains(&report, "segment 1: picture", &what), "{report:#}");
    }
}

#[test]
fn a_session_that_makes_something_else_when_it_is_used_again_is_found_out() {
    let (code, report) = tried("sessions=8;spoil=reconfigured", "direct");
    assert_eq!((code, &report["reconfigured_equals_fresh"]), (Some(1), &false.into()), "{report:#}");
    for rendition in ["a", "b", "slow"] {
        let begins = format!("{rendition}: a session that made ");
        assert!(complains(&report, &begins, "it before"), "{report:#}");
        assert!(complains(&report, &begins, "another rendition before"), "{report:#}");
    }
}

#[test]
fn a_driver_that_does_not_reconfigure_proves_nothing_of_used_sessions() {
    let (code, report) = tried("sessions=8;fault=nvEncReconfigureEncoder=8", "direct");
    assert_eq!((code, &report["encodes_all_pictures"]), (Some(1), &true.into()), "{report:#}");
    all_are_near(&report);
    assert!(report["session_open_ms"].as_f64().unwrap() > 0.0, "{report:#}");
    assert!(report["session_reconfigure_ms"].is_null() && report["reconfigured_equals_fresh"].is_null(), "{report:#}");
    assert!(complains(&report, "the driver does not reconfigure encoder sessions", ""), "{report:#}");
}
