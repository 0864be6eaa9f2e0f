//! Test clips made by the `ffmpeg` program and judged by `ffprobe`, which share no code of ours.
#![allow(dead_code, reason = "each test binary uses its own part")]

use headframe_codec::{Ladder, Preset, Rendition};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

/// A folder that lives as long as the test binary.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

fn fresh(name: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    folder().join(format!("{}-{name}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
}

/// What ffmpeg makes with these arguments, in the format that it calls so. Made once, for all test binaries of a build.
fn made(arguments: &[&str], format: &str) -> Vec<u8> {
    static VERSION: OnceLock<Vec<u8>> = OnceLock::new();
    let version = VERSION.get_or_init(|| {
        let output = Command::new("ffmpeg").arg("-version").output();
        output.expect("these tests need the programs ffmpeg and ffprobe").stdout
    });
    let mut hash = Sha256::new();
    for part in arguments.iter().map(|text| text.as_bytes()).chain([format.as_bytes(), version]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    // An example that uses this has no such folder.
    let kept = option_env!("CARGO_TARGET_TMPDIR").map_or(folder(), Path::new).join("clips").join(name);
    if let Ok(bytes) = std::fs::read(&kept) {
        return bytes;
    }
    let path = fresh("clip");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]).args(arguments).args(["-f", format]).arg(&path);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    let part = kept.with_extension(std::process::id().to_string() + path.file_name().unwrap().to_str().unwrap());
    std::fs::write(&part, &bytes).unwrap();
    std::fs::rename(part, kept).unwrap();
    bytes
}

/// A clip from a moving test picture and a tone; `options` are ffmpeg's, between inputs and output.
pub(crate) fn clip(size: &str, rate: &str, seconds: f64, options: &str) -> Vec<u8> {
    let picture = format!("testsrc2=size={size}:rate={rate}:duration={seconds}");
    let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let mut arguments = vec!["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone];
    arguments
        .extend("-c:v libx264 -preset ultrafast -g 300 -pix_fmt yuv420p -c:a aac -muxdelay 0 -muxpreload 0".split(' '));
    arguments.extend(options.split_whitespace());
    made(&arguments, "mpegts")
}

/// The same pictures and sound in fragmented MP4, in one file with its initialisation segment.
pub(crate) fn fragmented(size: &str, rate: &str, seconds: f64, options: &str) -> Vec<u8> {
    let picture = format!("testsrc2=size={size}:rate={rate}:duration={seconds}");
    let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let mut arguments = vec!["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone];
    let usual = "-c:v libx264 -preset ultrafast -g 300 -pix_fmt yuv420p -c:a aac -video_track_timescale 90000 \
                 -frag_duration 200000 -movflags +frag_keyframe+default_base_moof+empty_moov";
    arguments.extend(usual.split_whitespace());
    arguments.extend(options.split_whitespace());
    made(&arguments, "mp4")
}

/// A moving test picture of half a second with the sound of a file, which is copied; `format` is ffmpeg's name of the
/// file's.
pub(crate) fn clip_with_sound(sound: &Path, format: &str) -> Vec<u8> {
    let mut arguments: Vec<_> = "-f lavfi -i testsrc2=size=160x90:rate=30:duration=0.5 -f".split(' ').collect();
    arguments.extend([format, "-i", sound.to_str().unwrap()]);
    arguments.extend("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a copy -muxdelay 0 -muxpreload 0".split(' '));
    made(&arguments, "mpegts")
}

/// A clip of so many seconds, cut into segments of one second each.
pub(crate) fn segments(size: &str, rate: &str, seconds: u32, options: &str) -> Vec<Vec<u8>> {
    let pattern = fresh("segment-%d.ts");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i"]);
    command.arg(format!("testsrc2=size={size}:rate={rate}:duration={seconds}"));
    command.args(["-f", "lavfi", "-i", &format!("sine=frequency=440:sample_rate=48000:duration={seconds}")]);
    command.args("-c:v libx264 -preset ultrafast -g 30 -keyint_min 30 -sc_threshold 0 -pix_fmt yuv420p".split(' '));
    command.args("-c:a aac -f segment -segment_format mpegts -segment_time 0.9".split(' '));
    command.args(options.split_whitespace()).arg(&pattern);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let name = |i: u32| pattern.to_string_lossy().replace("%d", &i.to_string());
    let made: Vec<_> = (0..seconds).map(|i| std::fs::read(name(i)).unwrap()).collect();
    assert!(!Path::new(&name(seconds)).exists());
    made
}

/// Time and hash of every packet that ffmpeg makes of a file with these options.
pub(crate) fn framemd5(bytes: &[u8], options: &str) -> Vec<(i64, String)> {
    let path = fresh("hashed");
    std::fs::write(&path, bytes).unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-copyts", "-i"]).arg(&path).args(options.split_whitespace());
    command.args(["-vsync", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-"]);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")).unwrap().parse::<i64>().unwrap();
    let packets = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        // Whatever the file counts in, to the nearest millisecond: tick and sample times are compared elsewhere.
        let pts: i64 = fields[2].parse().unwrap();
        ((pts * 1000 + base / 2) / base, fields[5].to_owned())
    });
    packets.collect()
}

/// What ffprobe finds odd about a file.
pub(crate) fn warnings(bytes: &[u8]) -> String {
    let path = fresh("odd.mp4");
    std::fs::write(&path, bytes).unwrap();
    let mut command = Command::new("ffprobe");
    command.args("-v warning -count_frames -show_entries stream=nb_read_frames".split(' ')).arg(&path);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A clip with a private data track and a second picture, larger, behind the first.
pub(crate) fn extra_streams(seconds: f64) -> Vec<u8> {
    let (path, data) = (fresh("extra.ts"), fresh("data.bin"));
    std::fs::write(&data, [0x5a; 2000]).unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i"]);
    command.arg(format!("testsrc2=size=160x90:rate=30:duration={seconds}"));
    command.args([
        "-f",
        "lavfi",
        "-i",
        &format!("testsrc2=size=320x180:rate=25:duration={seconds}"),
        "-f",
        "data",
        "-i",
    ]);
    command.arg(data).args("-map 0:v -map 2:d -map 1:v -c:v libx264 -preset ultrafast -pix_fmt yuv420p".split(' '));
    command.args("-c:d copy -muxdelay 0 -muxpreload 0 -f mpegts".split(' ')).arg(&path);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path).unwrap()
}

/// Fields of a packet or a stream, in ffprobe's order.
type Fields = Vec<(String, String)>;

/// All that ffprobe finds in a file. A start of ffprobe takes longer than its work here, so it is asked once.
struct Found {
    packets: Vec<Fields>,
    streams: Vec<Fields>,
}

fn found(bytes: &[u8]) -> Arc<Found> {
    static KNOWN: Mutex<BTreeMap<[u8; 32], Arc<Found>>> = Mutex::new(BTreeMap::new());
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    if let Some(found) = KNOWN.lock().unwrap().get(&hash) {
        return found.clone();
    }
    let text = probe(bytes, "-count_frames -show_packets -show_data_hash md5 -show_streams -of default");
    let (mut found, mut path, mut fields) = (Found { packets: vec![], streams: vec![] }, vec![], vec![]);
    for line in text.lines() {
        match (line.strip_prefix("[/"), line.strip_prefix('['), line.split_once('=')) {
            (Some(_), _, _) => match (path.pop(), path.is_empty()) {
                (Some("PACKET]"), true) => found.packets.push(std::mem::take(&mut fields)),
                (Some("STREAM]"), true) => found.streams.push(std::mem::take(&mut fields)),
                _ => {}
            },
            (_, Some(section), _) => path.push(section),
            // What is said of side data is not said of the packet.
            (_, _, Some((key, value))) if path.len() == 1 => fields.push((key.to_owned(), value.to_owned())),
            _ => {}
        }
    }
    let found = Arc::new(found);
    KNOWN.lock().unwrap().insert(hash, found.clone());
    found
}

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

/// `kind` is `v`, `a` or another beginning of what ffprobe calls it.
fn of_kind<'a>(all: &'a [Fields], kind: &'a str) -> impl Iterator<Item = &'a Fields> {
    all.iter().filter(move |one| field(one, "codec_type").starts_with(kind))
}

/// What ffprobe finds: (pts, is a key picture) of every video packet in file order.
pub(crate) fn video_packets(bytes: &[u8]) -> Vec<(i64, bool)> {
    let found = found(bytes);
    let packet = |packet: &Fields| {
        Some((in_stream(field(packet, "pts").parse().ok()?), field(packet, "flags").starts_with('K')))
    };
    of_kind(&found.packets, "v").filter_map(packet).collect()
}

/// Times of pictures in the order in which they are shown.
pub(crate) fn shown(bytes: &[u8]) -> Vec<i64> {
    let mut times: Vec<i64> = video_packets(bytes).into_iter().map(|(pts, _)| pts).collect();
    times.sort_unstable();
    times
}

/// ffprobe undoes some wraps of the clock; here times are as written.
fn in_stream(pts: i64) -> i64 {
    pts.rem_euclid(1 << 33)
}

/// Time and hash of every audio packet.
pub(crate) fn audio_packets(bytes: &[u8]) -> Vec<(i64, String)> {
    let found = found(bytes);
    let packet =
        |packet: &Fields| Some((in_stream(field(packet, "pts").parse().ok()?), field(packet, "data_hash").to_owned()));
    let packets: Vec<_> = of_kind(&found.packets, "a").filter_map(packet).collect();
    assert!(!packets.is_empty() && packets.iter().all(|(_, hash)| hash.starts_with("MD5:")), "{packets:?}");
    packets
}

/// The luma of every picture, full range or not as it is.
pub(crate) fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let path = fresh("frames.ts");
    std::fs::write(&path, bytes).unwrap();
    let entry = video_entry(bytes, "width,height");
    let (width, height) = entry.split_once(',').unwrap();
    let samples = width.parse::<usize>().unwrap() * height.parse::<usize>().unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-i"]).arg(&path);
    command.args("-map 0:v:0 -vf extractplanes=y -fps_mode passthrough -f rawvideo -".split(' '));
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(samples).map(<[u8]>::to_vec).collect()
}

/// Loudness of the sound, dB.
pub(crate) fn mean_volume(bytes: &[u8]) -> f64 {
    let path = fresh("volume.ts");
    std::fs::write(&path, bytes).unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-i"]).arg(&path).args("-map 0:a -af volumedetect -f null -".split(' '));
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, value) = text.split_once("mean_volume: ").unwrap();
    value.split_whitespace().next().unwrap().parse().unwrap()
}

/// Pictures that really decode.
pub(crate) fn decoded(bytes: &[u8]) -> u32 {
    video_entry(bytes, "nb_read_frames").parse().unwrap()
}

/// Entries of the video stream, with commas between them, in ffprobe's order.
pub(crate) fn video_entry(bytes: &[u8], entries: &str) -> String {
    streams(bytes, "v", entries).into_iter().next().unwrap_or_default()
}

/// Entries of every stream of a kind.
pub(crate) fn streams(bytes: &[u8], kind: &str, entries: &str) -> Vec<String> {
    let found = found(bytes);
    let wanted: Vec<&str> = entries.split(',').collect();
    let line = |stream: &Fields| {
        let values = stream.iter().filter(|(key, _)| wanted.contains(&key.as_str())).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(",")
    };
    of_kind(&found.streams, kind).map(line).collect()
}

pub(crate) fn probe(bytes: &[u8], options: &str) -> String {
    let path = fresh("probe.ts");
    std::fs::write(&path, bytes).unwrap();
    // No correction of wrapped times: what is written is what is compared.
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-correct_ts_overflow", "0"]).args(options.split_whitespace()).arg(&path);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A rendition that is made quickly.
pub(crate) fn small(name: &str, width: u32, height: u32) -> Rendition {
    Rendition {
        name: name.to_owned(),
        width,
        height,
        bitrate_bps: 300_000,
        preset: Preset::Density,
        ..Ladder::standard().renditions()[0].clone()
    }
}

/// Two small renditions.
pub(crate) fn small_ladder() -> Ladder {
    Ladder::new(vec![small("a", 160, 90), small("b", 240, 136)]).unwrap()
}
