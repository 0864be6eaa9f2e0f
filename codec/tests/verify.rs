//! The verification predicate on small pictures: honest encoders pass, cheats fail, and nothing but the inputs matters.
//! The large corpus is `scripts/verify-corpus`.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use headframe_codec::engine::transcode;
use headframe_codec::verify::{How, Judgement, Profile, Verdict, VerifyError, verify};
use headframe_codec::{Fps, Ladder, Limits, Preset, Rate, Rendition};
use headframe_kernels::Isa;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
const RATE: u32 = 400_000;
/// How honest renditions are made from the command line; the timeline stays the source's.
const X264: &str = "-c:v libx264 -preset veryfast -b:v 400k -maxrate 400k -bufsize 400k -g 25";

fn order() -> Rendition {
    Rendition {
        name: "small".to_owned(),
        width: WIDTH,
        height: HEIGHT,
        bitrate_bps: RATE,
        rate: Rate::Cbr,
        ..Ladder::standard().renditions()[0].clone()
    }
}

fn profile() -> Profile {
    Profile::of(order()).unwrap()
}

/// A slow turn of a detailed picture with something fast in it, two seconds, beginning in the middle of a stream.
fn source() -> &'static [u8] {
    static SOURCE: OnceLock<Vec<u8>> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let graph = "mandelbrot=size=640x360:rate=25:start_scale=1:end_scale=0.3:end_pts=200[back];\
                     testsrc2=size=200x120:rate=25[front];[back][front]overlay=x=100+t*90:y=80+t*30,format=yuv420p";
        let options = "-t 2 -c:v libx264 -preset veryfast -crf 16 -g 50 -output_ts_offset 10";
        ffmpeg(&["-f", "lavfi", "-i", graph], "null", options)
    })
}

fn ffmpeg(input: &[&str], filters: &str, options: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ts");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]).args(input).args(["-vf", filters]);
    command.args(options.split_whitespace()).args("-an -f mpegts -muxdelay 0 -muxpreload 0".split(' ')).arg(&path);
    let output = command.output().expect("these tests need the program ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path).unwrap()
}

/// The source, scaled, through `filters` and an encoder.
fn rendition(filters: &str, options: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.ts");
    std::fs::write(&path, source()).unwrap();
    let scale = format!("scale={WIDTH}:{HEIGHT}");
    let filters = if filters.is_empty() { scale } else { format!("{scale},{filters}") };
    let options = format!("-vsync passthrough {options}");
    ffmpeg(&["-copyts", "-i", path_text(&path)], &filters, &options)
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn judged(bytes: &[u8]) -> Judgement {
    verify(source(), bytes, &profile(), &Limits::default(), How::default()).unwrap()
}

fn made_by_engine(preset: Preset) -> Vec<u8> {
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    let ladder = Ladder::new(vec![Rendition { preset, ..order() }]).unwrap();
    transcode(&ladder, source(), &[], &limits).unwrap().renditions.remove(0).bytes
}

/// Whether this machine has the reference encoder; without it every verdict on pixels is "abstain".
fn has_reference() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| match judged(&made_by_engine(Preset::Live)).verdict {
        Verdict::Abstain { reason } => {
            println!("skipped: {reason}");
            false
        }
        _ => true,
    })
}

#[track_caller]
fn passes(what: &str, bytes: &[u8]) {
    let judgement = judged(bytes);
    assert_eq!(judgement.verdict, Verdict::Pass, "{what}: {judgement:#?}");
}

/// Fails, and the reason has `word` in it.
#[track_caller]
fn fails(what: &str, bytes: &[u8], word: &str) {
    let judgement = judged(bytes);
    let Verdict::Fail { reason } = &judgement.verdict else { panic!("{what}: {judgement:#?}") };
    assert!(reason.contains(word), "{what}: {reason}");
}

#[test]
fn honest_renditions_pass() {
    if !has_reference() {
        return;
    }
    for preset in [Preset::Density, Preset::Live, Preset::Quality] {
        passes(preset.name(), &made_by_engine(preset));
    }
    let rate = "-b:v 400k -maxrate 400k -bufsize 400k -g 25";
    for options in [
        "-preset ultrafast",
        "-preset superfast -tune zerolatency",
        "-preset veryfast -threads 4",
        "-preset faster -profile:v main",
        "-preset medium -bf 3",
        "-preset slow -x264-params aq-mode=3",
        "-preset veryfast -profile:v baseline",
        "-preset veryfast -tune psnr -flags +cgop",
        "-preset fast -x264-params slices=4",
    ] {
        passes(options, &rendition("", &format!("-c:v libx264 {options} {rate}")));
    }
    passes("many IDR pictures", &rendition("", &X264.replace("-g 25", "-g 5")));
    passes("one picture late", &rendition("", &format!("{X264} -output_ts_offset 0.04")));
}

#[test]
fn cheats_fail() {
    if !has_reference() {
        return;
    }
    let hold = |first: usize, last: usize| {
        let map: Vec<String> =
            (0..50).map(|i| if (first..=last).contains(&i) { first - 1 } else { i }.to_string()).collect();
        format!("shuffleframes={}", map.join(" "))
    };
    for (what, filters, word) in [
        ("black", "lutyuv=y=16:u=128:v=128", ""),
        ("frozen", &*hold(1, 49), "likeness"),
        ("frozen at the end", &hold(35, 49), "likeness"),
        ("every second picture twice", "shuffleframes=0 0", "likeness"),
        ("one picture twice", &hold(20, 20), "likeness"),
        ("pictures in another order", "shuffleframes=1 0", ""),
        ("cropped", "crop=iw*0.9:ih*0.9,scale=320:180", ""),
        ("cropped by 4", "crop=iw-4:ih-4,scale=320:180", "displacement"),
        ("mirrored", "hflip", ""),
        ("upside down", "vflip", ""),
        ("one to the right", "format=yuv444p,crop=319:180:0:0:exact=1,pad=320:180:1:0,format=yuv420p", "displacement"),
        ("one down", "format=yuv444p,crop=320:179:0:0:exact=1,pad=320:180:0:1,format=yuv420p", "displacement"),
        ("blurred", "gblur=sigma=1", ""),
        ("box blurred", "boxblur=1:1", ""),
        ("enlarged from half", "scale=160:90,scale=320:180:flags=lanczos", ""),
        ("enlarged from two thirds", "scale=212:120,scale=320:180", ""),
        ("a box on it", "drawbox=x=10:y=10:w=50:h=24:c=white@0.7:t=fill", "error"),
        ("a logo on it", "drawbox=x=280:y=8:w=24:h=24:c=red@0.6:t=fill", "error"),
        ("full range samples", "scale=in_range=limited:out_range=full,setparams=range=unknown", ""),
        ("squeezed samples", "scale=in_range=full:out_range=limited,setparams=range=unknown", ""),
        ("without colour", "lutyuv=u=128:v=128", "chroma"),
        ("another hue", "hue=h=20", "chroma"),
        ("brighter", "lutyuv=y=val+5", ""),
    ] {
        fails(what, &rendition(filters, X264), word);
    }
    for (what, options, word) in [
        ("half the rate", "-c:v libx264 -preset veryfast -b:v 200k -maxrate 200k -bufsize 200k -g 25", "slices"),
        ("half the rate, slower", "-c:v libx264 -preset medium -b:v 200k -maxrate 200k -bufsize 200k -g 25", "slices"),
        (
            "half the rate, stuffed",
            "-c:v libx264 -preset veryfast -b:v 200k -maxrate 200k -bufsize 200k -g 25 -muxrate 600k",
            "slices",
        ),
    ] {
        fails(what, &rendition("", options), word);
    }
}

#[test]
fn the_form_is_checked_before_the_pixels() {
    let slow = "-c:v libx264 -preset ultrafast -b:v 400k -maxrate 400k -bufsize 400k";
    fails("another size", &rendition("scale=240:136", X264), "pictures of");
    fails("another codec", &rendition("", "-c:v libx265 -preset ultrafast -x265-params log-level=none"), "HEVC");
    fails("too few IDR pictures", &rendition("", &format!("{slow} -g 500")), "ticks from the IDR");
    fails("late", &rendition("setpts=PTS+0.5/TB", X264), "ticks off");
    fails("too short", &rendition("trim=end_frame=45", X264), "45 pictures");
    fails(
        "uneven times",
        &rendition("settb=1/90000,setpts=PTS+mod(N\\,2)*900", &format!("{X264} -enc_time_base 1:90000")),
        "ticks off",
    );
    fails("full range by its mark", &rendition("", &format!("{X264} -color_range pc")), "range");
    fails("far too many bits", &rendition("", &slow.replace("400k", "9M")), "bytes");
    let honest = rendition("", X264);
    fails("no bytes", &[], "transport stream");
    fails("cut in a packet", &honest[..honest.len() - 50], "transport packet");
    let mut lost = honest.clone();
    lost.drain(188 * 40..188 * 41);
    fails("a packet lost", &lost, "continuity");
    let mut late_start = honest.clone();
    late_start.drain(188 * 2..188 * 30);
    fails("its beginning lost", &late_start, "");
}

#[test]
fn the_verdict_depends_on_the_inputs_alone() {
    let cheat = rendition("gblur=sigma=1", X264);
    for bytes in [made_by_engine(Preset::Density), cheat] {
        let text = |isa, threads| {
            let judgement = verify(source(), &bytes, &profile(), &Limits::default(), How { isa, threads }).unwrap();
            serde_json::to_string(&judgement).unwrap()
        };
        let first = text(Isa::Portable, 1);
        for (isa, threads) in [(Isa::best(), 1), (Isa::best(), 2), (Isa::Portable, 3), (Isa::best(), 4)] {
            assert_eq!(text(isa, threads), first, "{isa:?}, {threads} threads");
        }
    }
}

#[test]
fn a_fixed_rate_and_other_sizes_pass() {
    if !has_reference() {
        return;
    }
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    for (width, height, fps, bitrate_bps) in
        [(320, 180, Some((15, 1)), RATE), (98, 54, None, RATE), (720, 404, Some((30000, 1001)), 5 * RATE)]
    {
        let fps = fps.map(|(num, den)| Fps { num, den });
        let order = Rendition { width, height, fps, bitrate_bps, ..order() };
        let out = transcode(&Ladder::new(vec![order.clone()]).unwrap(), source(), &[], &limits).unwrap();
        let profile = Profile::of(order).unwrap();
        let judgement = verify(source(), &out.renditions[0].bytes, &profile, &Limits::default(), How::default());
        assert_eq!(judgement.unwrap().verdict, Verdict::Pass, "{width}x{height}");
    }
}

#[test]
fn a_source_in_mp4_is_judged_like_any_other() {
    if !has_reference() {
        return;
    }
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    let ladder = Ladder::new(vec![order()]).unwrap();
    for coding in ["libx264 -bf 2 -crf 18", "libvpx-vp9 -cpu-used 8 -crf 20 -b:v 0", "libsvtav1 -preset 12 -crf 20"] {
        let source = common::fragmented("640x360", "25", 2.0, &format!("-c:v {coding}"));
        let made = transcode(&ladder, &source, &[], &limits).unwrap().renditions.remove(0).bytes;
        let judged = |bytes| verify(&source, bytes, &profile(), &limits, How::default()).unwrap().verdict;
        assert_eq!(judged(&made), Verdict::Pass, "{coding}");
        assert!(matches!(judged(&made_by_engine(Preset::Live)), Verdict::Fail { .. }), "{coding}: of another source");
    }
}

/// At a rate that leaves little of the pictures nobody vouches for a rendition; what is plainly wrong still fails.
#[test]
fn a_starving_order_is_not_vouched_for() {
    if !has_reference() {
        return;
    }
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    let order = Rendition { width: 720, height: 404, ..order() };
    let made = |source: &[u8]| {
        let ladder = Ladder::new(vec![order.clone()]).unwrap();
        transcode(&ladder, source, &[], &limits).unwrap().renditions.remove(0).bytes
    };
    let profile = Profile::of(order.clone()).unwrap();
    let verdict = |bytes: &[u8]| verify(source(), bytes, &profile, &limits, How::default()).unwrap().verdict;
    let honest = verdict(&made(source()));
    assert!(matches!(&honest, Verdict::Abstain { reason } if reason.contains("too low")), "{honest:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.ts");
    std::fs::write(&path, source()).unwrap();
    let mirrored = "-vsync passthrough -c:v libx264 -preset veryfast -crf 16 -g 50";
    let mirrored = verdict(&made(&ffmpeg(&["-copyts", "-i", path_text(&path)], "hflip", mirrored)));
    assert!(matches!(mirrored, Verdict::Fail { .. }), "{mirrored:?}");
}

#[test]
fn without_the_reference_or_a_clean_source_nobody_judges() {
    let honest = made_by_engine(Preset::Live);
    let mut other = profile();
    other.reference.build = "x264 - core 1 r1 none".to_owned();
    let judgement = verify(source(), &honest, &other, &Limits::default(), How::default()).unwrap();
    assert!(matches!(&judgement.verdict, Verdict::Abstain { reason } if reason.contains("core 1 r1")), "{judgement:?}");
    // What is wrong in any case is said in any case.
    let judgement = verify(source(), &honest[..188 * 9 - 50], &other, &Limits::default(), How::default()).unwrap();
    assert!(matches!(judgement.verdict, Verdict::Fail { .. }), "{judgement:?}");
    let mut damaged = source().to_vec();
    damaged.drain(188 * 60..188 * 63);
    let judgement = verify(&damaged, &honest, &profile(), &Limits::default(), How::default()).unwrap();
    assert!(matches!(&judgement.verdict, Verdict::Abstain { reason } if reason.contains("damaged")), "{judgement:?}");
    let error = verify(&[7; 1000], &honest, &profile(), &Limits::default(), How::default()).unwrap_err();
    assert!(matches!(error, VerifyError::Source(_)), "{error}");
    let small = Limits { frame_pixels: 1000, ..Limits::default() };
    assert!(matches!(verify(source(), &honest, &profile(), &small, How::default()), Err(VerifyError::Source(_))));
}

#[test]
fn no_bytes_panic() {
    let (source, honest) = (source(), made_by_engine(Preset::Density));
    let mut state = 5u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..40 {
        let (mut source, mut rendition) = (source.to_vec(), honest.clone());
        let bytes = if round % 4 == 0 { &mut source } else { &mut rendition };
        for _ in 0..1 << (round % 7) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        if round % 5 == 0 {
            let at = random(bytes.len() - 3000);
            bytes.drain(at..at + random(3000));
        }
        // Damage in the right place goes unseen; what counts is that there is an answer.
        let _ = verify(&source, &rendition, &profile(), &Limits::default(), How::default());
    }
}

#[test]
fn profiles_are_checked() {
    let json = serde_json::to_string(&profile()).unwrap();
    assert_eq!(Profile::from_json(&json).unwrap(), profile());
    let bad = |from: &str, to: &str| Profile::from_json(&json.replace(from, to)).unwrap_err().to_string();
    assert!(bad("\"version\":1", "\"version\":9").contains("version 9"));
    assert!(bad("\"width\":320", "\"width\":321").contains("width"));
    assert!(bad("cpu-independent=1", "cpu-independent=0").contains("cpu-independent"));
    assert!(bad("rc-lookahead=10", "rc-lookahead=10:threads=4").contains("threads"));
    assert!(bad("\"buffer_ms\":1000", "\"buffer_ms\":0").contains("buffer_ms"));
    assert!(bad("slide_permille", "slide_percent").contains("slide_percent"));
    assert!(bad("\"rate\":\"cbr\"", "\"rate\":\"cbr\",\"container\":\"cmaf\"").contains("ordered in cmaf"));
    let error = Profile::of_rung(&Ladder::standard(), "4k").unwrap_err().to_string();
    assert!(error.contains("240p, 360p, 480p, 720p"), "{error}");
}

/// Exit codes and both ways of printing, through the sandboxed program.
#[test]
fn the_program_answers() {
    if !has_reference() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (source, honest) = (file("source.ts", source()), file("honest.ts", &made_by_engine(Preset::Live)));
    let cheat = file("cheat.ts", &rendition("hflip", X264));
    let ladder = file("ladder.json", &serde_json::to_vec(&[order()]).unwrap());
    let mut other = profile();
    other.reference.build = "x264 - core 1 r1 none".to_owned();
    let other = file("other.json", &serde_json::to_vec(&other).unwrap());
    let run = |rendition: &Path, profile: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-codec"));
        command.arg("verify").arg(&source).arg(rendition).args(["--profile", profile]).args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let rung = format!("{}/small", ladder.display());
    let (code, text) = run(&honest, &rung, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("PASS") && text.contains("displacement"), "{text}");
    let (code, text) = run(&cheat, &rung, &["--json"]);
    let json: Judgement = serde_json::from_str(&text).unwrap();
    assert!(code == Some(3) && matches!(json.verdict, Verdict::Fail { .. }), "{text}");
    assert_eq!(run(&cheat, &rung, &["--json", "--portable", "--threads", "1"]).1, text, "the same bytes");
    assert_eq!(run(&honest, path_text(&other), &[]).0, Some(4));
    assert_eq!(run(&honest, "standard/4k", &[]).0, Some(2));
    assert_eq!(run(&folder.path().join("absent.ts"), &rung, &[]).0, Some(1));
}
