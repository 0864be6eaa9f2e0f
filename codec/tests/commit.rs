//! Commitments over real video: the roots are those of trees kept whole over what the program ffmpeg decodes and the kernels'
//! reference scales; the worker gives the same; what cannot be committed to is named.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod mangle;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use common::{shown, small};
use headframe_codec::commit::{Answer, ByteTree, CommitError, CommitFailed, Hash, Rung, Work, commit, hex};
use headframe_codec::ts::{H264, VideoUnit, demux, mux};
use headframe_codec::verify::How;
use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Class, Codec, EngineError, Fps, Ladder, Limits, Rendition, SegmentIn, TranscodeError, engine};
use headframe_commit::{Chroma, Curve, Errors, FrameErrors, Picture, Pictures};
use headframe_kernels::{Filter, Format, Isa, PlaneMut, Source, SourceRef, Yuv420Mut, reference};
use mangle::{KINDS, NAL_KINDS, Random};

const LONG: Duration = Duration::from_secs(100);

fn limits() -> Limits {
    Limits { wall: LONG, ..Limits::default() }
}

/// Runs ffmpeg from these inputs to a file of this name.
fn ffmpeg(input: &[&str], options: &str, name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]).args(input).args(options.split_whitespace()).arg(&path);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path).unwrap()
}

/// A detailed picture that turns slowly; ten pictures a second hop from bright to dark.
fn clip(size: &str, seconds: f64, options: &str) -> Vec<u8> {
    let graph = format!(
        "mandelbrot=size={size}:rate=30:start_scale=1:end_scale=0.5:end_pts=60,hue=b=if(eq(mod(n\\,3)\\,0)\\,2\\,0)"
    );
    let options =
        format!("-t {seconds} -c:v libx264 -preset veryfast -crf 18 -g 60 {options} -an -muxdelay 0 -muxpreload 0");
    ffmpeg(&["-f", "lavfi", "-i", &graph], &options, "clip.ts")
}

/// All pictures of a file as ffmpeg decodes them, behind each other; `input` are options for reading.
fn raw(bytes: &[u8], input: &str, filters: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.ts");
    std::fs::write(&path, bytes).unwrap();
    let mut read: Vec<&str> = input.split_whitespace().collect();
    read.extend(["-f", "mpegts", "-i", path.to_str().unwrap()]);
    let options = format!("-map 0:v:0 -vf {filters} -fps_mode passthrough -f rawvideo");
    ffmpeg(&read, &options, "out.yuv")
}

/// The planes of a picture that lie behind each other.
fn planes(bytes: &[u8], source: Source) -> Vec<(&[u8], usize)> {
    let mut rest = bytes;
    let plane = |plane| {
        let (width, height) = source.format.extent(plane, (source.width, source.height));
        let (plane, behind) = rest.split_at(width * height);
        rest = behind;
        (plane, width)
    };
    (0..source.format.planes()).map(plane).collect()
}

fn bytes_of(source: Source) -> usize {
    let plane = |plane| source.format.extent(plane, (source.width, source.height));
    (0..source.format.planes()).map(plane).map(|(width, height)| width * height).sum()
}

/// As it is committed to.
fn picture(bytes: &[u8], source: Source, time: i64) -> Picture {
    let chroma = Chroma::of(source.format.chroma()).unwrap();
    let high_first = |plane: &[u8]| plane.chunks(2).flat_map(|word| [word[1], word[0]]).collect();
    let plane = |(plane, _): (&[u8], usize)| if source.format.bits() == 8 { plane.to_vec() } else { high_first(plane) };
    let planes = planes(bytes, source).into_iter().map(plane).collect();
    Picture::new((source.width, source.height), chroma, source.format.bits() as u8, time, planes).unwrap()
}

/// What the reference makes of a picture, the planes of each rung behind each other.
fn scaled(bytes: &[u8], source: Source, sizes: &[(u32, u32)]) -> Vec<Vec<u8>> {
    let mut rooms: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; bytes_of(Source::yuv420(*size))]).collect();
    fn view(room: &mut [u8], (width, height): (u32, u32)) -> Yuv420Mut<'_> {
        let (width, height) = (width as usize, height as usize);
        let (y, chroma) = room.split_at_mut(width * height);
        let (u, v) = chroma.split_at_mut(chroma.len() / 2);
        let half = |plane| PlaneMut::new(plane, width / 2, height / 2, width / 2).unwrap();
        Yuv420Mut::new(PlaneMut::new(y, width, height, width).unwrap(), half(u), half(v)).unwrap()
    }
    let mut views: Vec<_> = rooms.iter_mut().zip(sizes).map(|(room, size)| view(room, *size)).collect();
    let from = SourceRef::new(source, &planes(bytes, source)).unwrap();
    reference::scale_ladder(&from, &mut views, Filter::CatmullRom).unwrap();
    rooms
}

/// How a test's source lies.
struct Lies {
    source: Source,
    /// The filter that lays what is shown upright back as the source lies.
    back: &'static str,
}

impl Lies {
    fn plainly(size: (u32, u32)) -> Self {
        Self { source: Source::yuv420(size), back: "null" }
    }
}

/// The times at which a rung shows each picture of the source.
fn times(source: &[i64], frame: i64, fps: Option<Fps>) -> Vec<Vec<i64>> {
    let until = |i: usize| source.get(i + 1).copied().unwrap_or(source[i] + frame);
    let grid = |fps: Fps, k: i64| k * 90_000 * i64::from(fps.den) / i64::from(fps.num);
    let of = |(i, from): (usize, &i64)| match fps {
        None => vec![*from],
        Some(fps) => (0..).map(|k| grid(fps, k)).skip_while(|t| t < from).take_while(|t| *t < until(i)).collect(),
    };
    source.iter().enumerate().map(of).collect()
}

/// The answer from pictures that others decoded and trees that are kept whole.
fn expected(lies: &Lies, source: &[u8], ladder: &Ladder, error_limits: &[Hash], renditions: &[&[u8]]) -> Answer {
    let all = raw(source, "-autorotate 0", "null");
    let frames: Vec<&[u8]> = all.chunks_exact(bytes_of(lies.source)).collect();
    let at = shown(source);
    assert_eq!(frames.len(), at.len());
    let kept = frames.iter().zip(&at).map(|(frame, time)| picture(frame, lies.source, *time)).collect();
    let kept = Pictures::new(kept);
    let turned = (lies.back != "null", ladder.renditions());
    let size = |r: &Rendition| if turned.0 { (r.height, r.width) } else { (r.width, r.height) };
    let sizes: Vec<(u32, u32)> = ladder.renditions().iter().map(size).collect();
    let made: Vec<Vec<Vec<u8>>> = frames.iter().map(|frame| scaled(frame, lies.source, &sizes)).collect();
    let rung = |(i, rendition): (usize, &Rendition)| {
        let shape = Source::yuv420(sizes[i]);
        let due = times(&at, 3000, rendition.fps);
        let shown = made.iter().zip(&due).flat_map(|(made, due)| due.iter().map(|time| (&made[i], *time)));
        let scaled: Vec<Picture> = shown.map(|(made, time)| picture(made, shape, time)).collect();
        let all = raw(renditions[i], "", lies.back);
        let decoded = all.chunks_exact(bytes_of(shape)).zip(due.iter().flatten());
        let decoded: Vec<Picture> = decoded.map(|(bytes, time)| picture(bytes, shape, *time)).collect();
        let nodes = scaled.iter().zip(&decoded).map(|(a, b)| FrameErrors::between(a, b).unwrap().node());
        let worst = nodes.fold((0, 0), |(luma, chroma), node| (node.luma.max(luma), node.chroma.max(chroma)));
        let (scaled, decoded) = (Pictures::new(scaled), Pictures::new(decoded));
        let errors = Errors::between(&scaled, &decoded).unwrap();
        Rung {
            width: shape.width,
            height: shape.height,
            content: ByteTree::new(renditions[i]).root(),
            bytes: renditions[i].len() as u64,
            scaled: scaled.root(),
            decoded: decoded.root(),
            errors: errors.root(),
            limits: error_limits[i],
            pictures: scaled.count(),
            luma: errors.top().luma,
            chroma: errors.top().chroma,
            worst_luma: worst.0,
            worst_chroma: worst.1,
        }
    };
    Answer {
        source: kept.root(),
        source_pictures: kept.count(),
        curve: Curve::CatmullRom,
        cascade: true,
        rungs: ladder.renditions().iter().enumerate().map(rung).collect(),
    }
}

fn hashes(count: usize) -> Vec<Hash> {
    (0..count).map(|i| [i as u8 + 1; 32]).collect()
}

fn work<'a>(ladder: &'a Ladder, error_limits: &'a [Hash], source: &'a [u8], renditions: &'a [&'a [u8]]) -> Work<'a> {
    Work { ladder, error_limits, source: SegmentIn { stream: "test", number: 7, bytes: source }, renditions }
}

fn made(ladder: &Ladder, source: &[u8]) -> Vec<Vec<u8>> {
    let out = engine::transcode(ladder, source, &[], &limits()).unwrap();
    out.renditions.into_iter().map(|rendition| rendition.bytes).collect()
}

fn answers_as_expected(lies: &Lies, source: &[u8], ladder: &Ladder) -> Answer {
    let files = made(ladder, source);
    let (files, hashes) = (files.iter().map(Vec::as_slice).collect::<Vec<_>>(), hashes(files.len()));
    let answer = commit(&work(ladder, &hashes, source, &files), &limits(), How::default()).unwrap();
    assert_eq!(answer, expected(lies, source, ladder, &hashes, &files));
    answer
}

/// Two rungs of the source's rate, the second made from the first, and one of half the rate.
fn ladder() -> Ladder {
    let slow = Rendition { fps: Some(Fps { num: 15, den: 1 }), ..small("c", 160, 90) };
    Ladder::new(vec![small("a", 320, 180), small("b", 80, 44), slow]).unwrap()
}

/// 640x360 with B pictures, which begins in the middle of a stream.
fn source() -> &'static [u8] {
    static SOURCE: OnceLock<Vec<u8>> = OnceLock::new();
    SOURCE.get_or_init(|| clip("640x360", 0.7, "-bf 2 -output_ts_offset 10.01 -pix_fmt yuv420p"))
}

/// The source's renditions.
fn renditions() -> &'static [&'static [u8]] {
    static MADE: OnceLock<Vec<&[u8]>> = OnceLock::new();
    MADE.get_or_init(|| made(&ladder(), source()).into_iter().map(|bytes| &*bytes.leak()).collect())
}

#[test]
fn roots_are_those_of_trees_kept_whole() {
    let answer = answers_as_expected(&Lies::plainly((640, 360)), source(), &ladder());
    let pictures: Vec<u32> = answer.rungs.iter().map(|rung| rung.pictures).collect();
    assert_eq!((answer.source_pictures, &pictures[..2]), (21, &[21, 21][..]));
    assert!((10..=11).contains(&pictures[2]), "{pictures:?}");
    assert!(answer.rungs.iter().all(|rung| rung.luma > 0 && rung.chroma > 0), "{answer:?}");
}

#[test]
fn sources_of_other_formats_are_committed_as_they_are() {
    let ladder = Ladder::new(vec![small("a", 64, 36), small("b", 126, 72)]).unwrap();
    for (format, options) in [
        (Format::Yuv422Ten, "-pix_fmt yuv422p10le"),
        (Format::Yuv444, "-pix_fmt yuv444p"),
        (Format::Grey, "-c:v libx265 -x265-params log-level=none -pix_fmt gray"),
    ] {
        let clip = clip("162x90", 0.3, options);
        let source = Source { width: 162, height: 90, format };
        answers_as_expected(&Lies { source, back: "null" }, &clip, &ladder);
    }
}

#[test]
fn pictures_that_are_shown_turned_are_committed_as_they_lie() {
    let clip = clip("160x96", 0.3, "-pix_fmt yuv420p -bsf:v h264_metadata=display_orientation=insert:rotate=90");
    let ladder = Ladder::new(vec![small("a", 96, 160), small("b", 48, 80)]).unwrap();
    let lies = Lies { back: "transpose=clock", ..Lies::plainly((160, 96)) };
    let answer = answers_as_expected(&lies, &clip, &ladder);
    assert_eq!((answer.rungs[1].width, answer.rungs[1].height), (80, 48));
}

#[test]
fn an_answer_depends_on_the_inputs_alone() {
    let (ladder, hashes) = (ladder(), hashes(3));
    let work = work(&ladder, &hashes, source(), renditions());
    let first = commit(&work, &limits(), How { isa: Isa::Portable, threads: 1 }).unwrap();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for threads in [1, 2] {
            assert_eq!(commit(&work, &limits(), How { isa, threads }).unwrap(), first, "{isa:?}, {threads} threads");
        }
    }
}

/// A rendition without loss: what the scaler makes, or the same with one sample changed by `by`.
fn lossless(source: &[u8], size: (u32, u32), to: (u32, u32), by: u8) -> Vec<u8> {
    let all = raw(source, "", "null");
    let frames = all.chunks_exact(bytes_of(Source::yuv420(size)));
    let mut made: Vec<u8> = frames.flat_map(|frame| scaled(frame, Source::yuv420(size), &[to]).remove(0)).collect();
    let at = 3 * bytes_of(Source::yuv420(to)) + 1000;
    made[at] = if made[at] < 128 { made[at] + by } else { made[at] - by };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.yuv");
    std::fs::write(&path, made).unwrap();
    let (size, path) = (format!("{}x{}", to.0, to.1), path.to_str().unwrap());
    let input = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", "30", "-i", path];
    ffmpeg(&input, "-c:v libx264 -preset ultrafast -qp 0 -g 30 -muxdelay 0 -muxpreload 0", "lossless.ts")
}

#[test]
fn one_changed_sample_of_a_rendition_shows() {
    let clip = clip("160x90", 0.5, "-bf 0 -pix_fmt yuv420p");
    let rung = Rendition { bitrate_bps: 20_000_000, ..small("a", 80, 44) };
    let (ladder, hashes) = (Ladder::new(vec![rung]).unwrap(), hashes(1));
    let answer = |by: u8| {
        let file = lossless(&clip, (160, 90), (80, 44), by);
        commit(&work(&ladder, &hashes, &clip, &[&file]), &limits(), How::default()).unwrap()
    };
    let (honest, changed) = (answer(0), answer(9));
    let (was, is) = (&honest.rungs[0], &changed.rungs[0]);
    assert_eq!((was.luma, was.chroma, is.luma, is.chroma), (0, 0, 81, 0));
    assert!(was.decoded == was.scaled && is.decoded != was.decoded);
    assert!(is.errors != was.errors && is.content != was.content);
    assert_eq!((honest.source, was.scaled), (changed.source, is.scaled));
}

#[test]
fn a_rendition_that_is_shown_a_little_late_has_the_same_pictures() {
    let (ladder, hashes) = (Ladder::new(vec![small("a", 320, 180)]).unwrap(), hashes(1));
    let answer = |file: &[u8]| {
        commit(&work(&ladder, &hashes, source(), &[file]), &limits(), How::default()).unwrap().rungs.remove(0)
    };
    let first = made(&ladder, source()).remove(0);
    let media = demux(&first).unwrap();
    let later = |unit: &headframe_codec::ts::Unit| VideoUnit {
        pts: unit.pts.unwrap() + 1800,
        key: unit.data.windows(4).any(|nal| nal[..3] == [0, 0, 1] && nal[3] & 0x1f == 5),
        data: unit.data.clone(),
    };
    let late = mux(&media.video.iter().map(later).collect::<Vec<_>>(), &[], H264);
    let (was, is) = (answer(&first), answer(&late));
    assert_ne!(was.content, is.content);
    assert_eq!(Rung { content: was.content, bytes: was.bytes, ..is }, was);
}

/// The source's own access units with other times, in a stream of their own.
fn retimed(source: &[u8], time: impl Fn(usize, i64) -> i64) -> Vec<u8> {
    let media = demux(source).unwrap();
    let unit = |(i, unit): (usize, &headframe_codec::ts::Unit)| VideoUnit {
        pts: time(i, unit.pts.unwrap()),
        key: i == 0,
        data: unit.data.clone(),
    };
    mux(&media.video.iter().enumerate().map(unit).collect::<Vec<_>>(), &[], H264)
}

#[test]
fn what_cannot_be_committed_to_is_named() {
    let (ladder, hashes) = (ladder(), hashes(3));
    let honest = renditions();
    let said = |source: &[u8], renditions: &[&[u8]], limits: &Limits| {
        commit(&work(&ladder, &hashes, source, renditions), limits, How::default()).unwrap_err()
    };
    let usual = limits();

    let steady = clip("640x360", 0.7, "-bf 0 -pix_fmt yuv420p");
    let twice = retimed(&steady, |i, time| if i == 5 { time - 3000 } else { time });
    let files = made(&ladder, &steady);
    let error = said(&twice, &files.iter().map(Vec::as_slice).collect::<Vec<_>>(), &usual);
    assert!(matches!(&error, CommitError::Unclean { reason } if reason.contains("picture 5")), "{error}");
    let mut damaged = source().to_vec();
    damaged.drain(188 * 60..188 * 63);
    let error = said(&damaged, honest, &usual);
    assert!(matches!(&error, CommitError::Unclean { .. }), "{error}");
    assert_eq!(error.class(), Class::Input);
    let error = said(b"no transport stream", honest, &usual);
    assert!(matches!(&error, CommitError::Source { error: EngineError::NotTransportStream { .. } }), "{error}");

    let named = |error: &CommitError, name: &str, words: &str| {
        let found =
            matches!(error, CommitError::Rendition { rendition, fault } if rendition == name && fault.contains(words));
        assert!(found, "{error}");
    };
    named(&said(source(), &[honest[0], honest[0], honest[2]], &usual), "b", "320x180");
    named(&said(source(), &[honest[0], honest[1], &honest[2][..188 * 9 + 5]], &usual), "c", "transport packet");
    let other = clip("640x360", 0.5, "-bf 2 -output_ts_offset 10.01 -pix_fmt yuv420p");
    let short = made(&ladder, &other);
    named(&said(source(), &[&short[0], honest[1], honest[2]], &usual), "a", "15 pictures");
    named(&said(&other, &[honest[0], &short[1], &short[2]], &usual), "a", "21 pictures");

    let slow = Limits { wall: Duration::ZERO, ..usual.clone() };
    let error = said(source(), honest, &slow);
    assert_eq!(error, CommitError::Machine { error: EngineError::Wall { limit_ms: 0 } });
    let few = Limits { pixels: 20 * 640 * 360, ..usual.clone() };
    let error = said(source(), honest, &few);
    assert!(matches!(error, CommitError::Source { error: EngineError::Pixels { .. } }), "{error}");
    let few = Limits { frames: 20, ..usual };
    let error = said(source(), honest, &few);
    assert!(matches!(error, CommitError::Source { error: EngineError::Frames { limit: 20 } }), "{error}");
}

#[test]
fn a_source_that_turns_on_the_way_is_named() {
    let turn = |angle: u32, offset: f64| {
        let said = format!("h264_metadata=display_orientation=insert:rotate={angle}");
        clip("96x96", 0.2, &format!("-bf 0 -pix_fmt yuv420p -output_ts_offset {offset} -bsf:v {said}"))
    };
    let units = |bytes: &[u8]| demux(bytes).unwrap().video;
    let all = [units(&turn(90, 1.0)), units(&turn(180, 1.2))].concat();
    let unit = |(i, unit): (usize, &headframe_codec::ts::Unit)| VideoUnit {
        pts: unit.pts.unwrap(),
        key: i % 6 == 0,
        data: unit.data.clone(),
    };
    let source = mux(&all.iter().enumerate().map(unit).collect::<Vec<_>>(), &[], H264);
    let ladder = Ladder::new(vec![small("a", 48, 48)]).unwrap();
    let files = made(&ladder, &source);
    let error = commit(&work(&ladder, &hashes(1), &source, &[&files[0]]), &limits(), How::default());
    assert_eq!(error, Err(CommitError::Turned { picture: 6 }));
}

/// Who sells a segment has to answer for it: silence is slashed.
#[test]
fn of_whatever_was_transcoded_there_is_an_answer_or_the_source_is_why_not() {
    let options = "-pix_fmt yuv420p -bf 2 -x264-params slices=3";
    let (source, other) = (common::clip("160x96", "15", 0.6, options), common::clip("192x96", "25", 0.5, "-c:a mp2"));
    let ladder = Ladder::new(vec![small("a", 96, 54), small("b", 64, 36)]).unwrap();
    let (mut answered, mut none, mut refused) = (0, 0, 0);
    for round in 0..cases() {
        for (kind, (name, damage)) in KINDS.into_iter().chain(NAL_KINDS).enumerate() {
            let bytes = damage(&source, &other, &mut Random((round * 100 + kind) as u64 * 7919 + 1));
            let Ok(out) = engine::transcode(&ladder, &bytes, &[], &limits()) else {
                refused += 1;
                continue;
            };
            let made: Vec<&[u8]> = out.renditions.iter().map(|rendition| &rendition.bytes[..]).collect();
            match commit(&work(&ladder, &hashes(2), &bytes, &made), &limits(), How::default()) {
                Ok(_) => answered += 1,
                Err(error) if error.is_of_the_order() => none += 1,
                Err(error) => panic!("round {round}, {name}: {error}"),
            }
        }
    }
    println!("{answered} answered, {none} without an answer, {refused} refused");
    assert!(answered >= 10 && none >= 10 && refused >= 10, "{answered} {none} {refused}");
}

/// Rounds of every kind of damage: 12, or as many as `HEADFRAME_CASES` says.
fn cases() -> usize {
    std::env::var("HEADFRAME_CASES").map_or(12, |text| text.parse().unwrap())
}

fn pool(role: &[&str]) -> Pool {
    let role = role.iter().map(|word| (*word).to_owned()).collect();
    let program = env!("CARGO_BIN_EXE_headframe-codec").into();
    Pool::start(PoolConfig { program, role, limits: limits(), ..PoolConfig::default() }).unwrap()
}

#[test]
fn a_worker_answers_as_this_process_does() {
    let (ladder, hashes, pool) = (ladder(), hashes(3), pool(&["worker"]));
    let asked = work(&ladder, &hashes, source(), renditions());
    let here = commit(&asked, &limits(), How::default()).unwrap();
    assert_eq!(pool.commit(&asked, LONG), Ok(here.clone()));
    // It transcodes as before.
    let segment = SegmentIn { stream: "test", number: 0, bytes: source() };
    assert!(pool.transcode(&ladder, segment, LONG).is_ok());

    let wrong = [renditions()[1], renditions()[0], renditions()[2]];
    let refused = pool.commit(&work(&ladder, &hashes, source(), &wrong), LONG).unwrap_err();
    let by_name = matches!(
        &refused,
        CommitFailed::Refused { number: 7, source: CommitError::Rendition { rendition, .. }, .. } if rendition == "b"
    );
    assert!(by_name && refused.class() == Class::Input, "{refused}");
    let hevc = Ladder::new(vec![Rendition { codec: Codec::Hevc, ..small("a", 320, 180) }]).unwrap();
    let refused = pool.commit(&work(&hevc, &hashes[..1], source(), &renditions()[..1]), LONG).unwrap_err();
    assert!(refused.to_string().contains("hevc in mpegts"), "{refused}");
    assert_eq!(pool.stats().restarts_total(), 0);
    let late = pool.commit(&asked, Duration::ZERO).unwrap_err();
    assert!(matches!(late, CommitFailed::Pool(TranscodeError::Deadline { .. })), "{late}");
    pool.shutdown();
}

#[test]
fn a_worker_that_is_killed_costs_a_retry_and_one_that_says_nothing_its_time() {
    let (ladder, hashes, pool) = (ladder(), hashes(3), pool(&["worker"]));
    let long = clip("640x360", 8.0, "-pix_fmt yuv420p");
    let files = made(&ladder, &long);
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let asked = work(&ladder, &hashes, &long, &files);
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| pool.commit(&asked, LONG));
        let started = Instant::now();
        while pool.stats().busy == 0 {
            assert!(started.elapsed() < LONG);
            thread::sleep(Duration::from_millis(1));
        }
        let pid = rustix::process::Pid::from_raw(pool.stats().pids[0] as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        answer.join().unwrap()
    });
    assert_eq!(answer.unwrap(), commit(&asked, &limits(), How::default()).unwrap());
    assert_eq!(pool.stats().restarts_total(), 1);
    drop(pool);

    // It transcodes, or says so, and hears nothing else.
    let mute = self::pool(&["lie", "truth"]);
    let late = mute.commit(&asked, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(late, CommitFailed::Pool(TranscodeError::Deadline { .. })), "{late}");
}

#[test]
fn the_program_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("source.ts"), source()).unwrap();
    std::fs::write(path("ladder.json"), serde_json::to_string(&ladder()).unwrap()).unwrap();
    for (name, bytes) in ["a.ts", "b.ts", "c.ts"].iter().zip(renditions()) {
        std::fs::write(path(name), bytes).unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-codec"));
        command.current_dir(folder.path()).arg("commit").args(arguments).output().unwrap()
    };
    let hash = hex::text(&[7; 32]);
    let files = ["source.ts", "a.ts", "b.ts", "c.ts", "--ladder", "ladder.json"];
    let json = run(&[&files[..], &["--limits", &hash, "--json"]].concat());
    let have: Answer = serde_json::from_slice(&json.stdout).unwrap();
    let (ladder, hashes) = (ladder(), [[7; 32]; 3]);
    let want = commit(&work(&ladder, &hashes, source(), renditions()), &limits(), How::default()).unwrap();
    assert_eq!(have, want);
    let text = String::from_utf8(run(&files).stdout).unwrap();
    assert!(text.contains(&hex::text(&want.rungs[1].decoded)), "{text}");
    let few = run(&["source.ts", "a.ts", "--ladder", "ladder.json"]);
    assert!(!few.status.success() && String::from_utf8_lossy(&few.stderr).contains("1 files were given"));
    assert_eq!(run(&["source.ts", "a.ts", "--limits", "0x12"]).status.code(), Some(2));
}

/// What `contracts/tests/steps` proves things about: 112x72, three pictures, and two renditions, the second of which is made
/// from the first. The streams were made with
/// `ffmpeg -f lavfi -i testsrc2=size=112x72:rate=25 -frames:v 3 -pix_fmt yuv420p -c:v libx264 -crf 18 -bf 0 -muxdelay 0 -muxpreload 0 source.ts`
/// and, from that, `-vf scale=96x64 -c:v libx264 -profile:v high -b:v 200k -bf 0` (24x16 with 40k). HEADFRAME_WRITE_VECTORS=true
/// writes what follows from them anew.
#[test]
fn vectors_of_decoded_video() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/vectors/decoded"));
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (source, first, second) = (read("source.ts"), read("96x64.ts"), read("24x16.ts"));
    let rung = |name: &str, size: (u32, u32)| Rendition { bitrate_bps: 1_000_000, ..small(name, size.0, size.1) };
    let ladder = Ladder::new(vec![rung("a", (96, 64)), rung("b", (24, 16))]).unwrap();
    // Of limits that the contracts' test knows.
    let allowed = hex::parse("0xe837422757eab2d3fcb9c47b73621f572a379780f7d0f9c7955801d8286aee3b").unwrap();
    let (files, hashes) = ([&first[..], &second], [allowed; 2]);
    let answer = commit(&work(&ladder, &hashes, &source, &files), &limits(), How::default()).unwrap();
    let times = shown(&source);
    let all = serde_json::json!({ "answer": answer, "times": times });
    let text = format!("{}\n", serde_json::to_string_pretty(&all).unwrap());
    let made = [
        ("answer.json", text.into_bytes()),
        ("source.yuv", raw(&source, "", "null")),
        ("96x64.yuv", raw(&first, "", "null")),
        ("24x16.yuv", raw(&second, "", "null")),
    ];
    let write = std::env::var("HEADFRAME_WRITE_VECTORS").is_ok_and(|value| value == "true");
    for (name, bytes) in made {
        if write {
            std::fs::write(folder.join(name), &bytes).unwrap();
        }
        assert!(read(name) == bytes, "{name} is not what follows from the streams");
    }
}
