//! Writes what the fuzzers begin with: `fuzz-seeds FOLDER` makes a folder for each target that reads media, filled with
//! clips of the `ffmpeg` program, what the engine makes of them, and both broken in every way that the tests know.
#![allow(clippy::unwrap_used, reason = "a missing seed is better seen at once")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/mangle/mod.rs"]
mod mangle;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{clip, fragmented, small};
use headframe_codec::worker::ipc::{Answer, RenditionHead, Request};
use headframe_codec::{EngineError, Ladder, Limits, engine};
use mangle::{KINDS, NAL_KINDS, Random};

/// Options of ffmpeg for one kind of source each.
const SOURCES: [&str; 6] = [
    "-bf 2 -x264-params slices=3",
    "-c:v libx265 -x265-params log-level=none -c:a mp2",
    "-flags +ilme+ildct -pix_fmt yuv422p10le -c:a ac3",
    "-c:a libopus -profile:v baseline",
    "-an -pix_fmt yuv444p",
    "-g 3 -c:a aac -ar 22050 -ac 1",
];

/// The same, in fragmented MP4.
const FRAGMENTED: [&str; 5] = [
    "-bf 2 -movflags frag_keyframe+default_base_moof+delay_moov -c:a ac3",
    "-c:v libx265 -x265-params log-level=none -c:a libopus -strict -2",
    "-c:v libsvtav1 -preset 12",
    "-an -c:v libaom-av1 -cpu-used 8 -pix_fmt yuv420p10le",
    "-an -c:v libvpx-vp9 -cpu-used 8 -lag-in-frames 4",
];

fn main() {
    let folder: PathBuf = std::env::args_os().nth(1).expect("usage: fuzz-seeds FOLDER").into();
    let put = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(target)).unwrap();
        fs::write(folder.join(target).join(name), bytes).unwrap();
    };
    let sources: Vec<Vec<u8>> = SOURCES.iter().map(|options| clip("96x64", "10", 0.4, options)).collect();
    for (number, source) in sources.iter().enumerate() {
        put("demux", &format!("clip-{number}"), source);
        put("engine", &format!("clip-{number}"), source);
    }
    for (number, options) in FRAGMENTED.iter().enumerate() {
        let source = fragmented("96x64", "10", 0.4, options);
        put("demux", &format!("fragmented-{number}"), &source);
        put("engine", &format!("fragmented-{number}"), &source);
    }
    for (number, (_, damage)) in KINDS.iter().chain(&NAL_KINDS).enumerate() {
        let broken = damage(&sources[0], &sources[1], &mut Random(number as u64));
        put("demux", &format!("broken-{number}"), &broken);
        put("engine", &format!("broken-{number}"), &broken);
    }
    renditions(&folder, &put);
    recordings(&folder, &put);
    frames(&put);
}

/// Of the source that the target `verify` judges against: honest ones, and broken ones.
fn renditions(folder: &Path, put: &impl Fn(&str, &str, &[u8])) {
    let source = clip("96x64", "10", 0.3, "");
    fs::write(folder.join("source.ts"), &source).unwrap();
    let ladder = Ladder::new(vec![small("a", 64, 36)]).unwrap();
    let honest = engine::transcode(&ladder, &source, &[], &Limits::default()).unwrap().renditions.remove(0).bytes;
    put("verify", "honest", &honest);
    put("verify", "foreign", &clip("64x36", "10", 0.3, "-bf 0"));
    for (number, (_, damage)) in KINDS.iter().chain(&NAL_KINDS).enumerate() {
        put("verify", &format!("broken-{number}"), &damage(&honest, &source, &mut Random(number as u64)));
    }
}

/// FLV files as a publisher's messages: their tags, the bodies of those, the same as chunks of RTMP.
fn recordings(folder: &Path, put: &impl Fn(&str, &str, &[u8])) {
    for (number, options) in ["-bf 2 -g 10", "-bf 0 -g 5 -x264-params slices=2", "-an -g 100"].iter().enumerate() {
        let path = folder.join("recording.flv");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args("-nostdin -loglevel error -y -f lavfi -i testsrc2=size=64x36:rate=5".split(' '));
        ffmpeg
            .args("-f lavfi -i sine -t 5 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -b:a 24k".split(' '));
        let status = ffmpeg.args(options.split(' ')).args(["-f", "flv"]).arg(&path).status().unwrap();
        assert!(status.success());
        let file = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        put("pipeline", &format!("recording-{number}"), &file[13..]);
        // Publishing, then chunks of 16 MiB less one, so that each message is one.
        let mut chunks = b"\x01\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\xff\xff\xff".to_vec();
        let mut rest = &file[13..];
        for at in 0.. {
            let Some((head, tail)) = rest.split_first_chunk::<11>() else { break };
            let len = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            chunks.extend([
                if head[0] == 8 { 4 } else { 6 },
                head[4],
                head[5],
                head[6],
                head[1],
                head[2],
                head[3],
                head[0],
            ]);
            chunks.extend([1, 0, 0, 0]);
            chunks.extend(&tail[..len]);
            if at < 6 {
                put("flv", &format!("body-{number}-{at}"), &tail[..len]);
                put("parameters", &format!("set-{number}-{at}"), tail.get(13..len.min(48)).unwrap_or_default());
            }
            rest = &tail[len + 4..];
        }
        put("rtmp", &format!("recording-{number}"), &chunks);
    }
}

/// What pool and worker say to each other.
fn frames(put: &impl Fn(&str, &str, &[u8])) {
    let (ladder, limits) = (Ladder::standard(), Limits::default());
    put("ladder", "standard", &serde_json::to_vec(&ladder).unwrap());
    let request = Request::Transcode { id: 7, ladder, paces: vec![], limits, len: 1 };
    put("ipc", "request", &serde_json::to_vec(&request).unwrap());
    let out = engine::transcode(
        &Ladder::new(vec![small("a", 64, 36)]).unwrap(),
        &clip("96x64", "10", 0.3, ""),
        &[],
        &Limits::default(),
    );
    let out = out.unwrap();
    let head = RenditionHead { frames: 3, codecs: "avc1.64001f".to_owned() };
    let answers = [
        Answer::Ready { version: 3, sandbox: "full".to_owned() },
        Answer::Done { id: 7, renditions: vec![head], source: out.source, timings: out.timings, paces: out.paces },
        Answer::Failed { id: 7, error: EngineError::NoFrames { units: 3 } },
    ];
    for (number, answer) in answers.iter().enumerate() {
        put("ipc", &format!("answer-{number}"), &serde_json::to_vec(answer).unwrap());
    }
}
