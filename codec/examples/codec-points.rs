//! One point of speed and quality: `cargo run -p headframe-codec --example codec-points LADDER.json OUT SEGMENT.ts...`
//!
//! Runs the segments in order as one stream through one worker, appends each rendition's segments to a file in OUT, and
//! prints bits and processor time. Measure the files with ffmpeg's psnr and ssim. Build `headframe-codec` first, in the
//! same profile.

use std::fs;
use std::path::Path;
use std::time::Duration;

use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Ladder, Limits, SegmentIn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(ladder), Some(out)) = (args.next(), args.next()) else {
        return Err("LADDER.json OUT SEGMENT.ts...".into());
    };
    let ladder: Ladder = serde_json::from_str(&fs::read_to_string(ladder)?)?;
    fs::create_dir_all(&out)?;
    let limits = Limits { wall: Duration::from_secs(300), ..Limits::default() };
    let pool = Pool::start(PoolConfig { workers: 1, limits, ..PoolConfig::default() })?;
    let mut files = vec![Vec::new(); ladder.renditions().len()];
    let (mut encode, mut ticks, mut frames, mut rss) = (Duration::ZERO, 0, 0, 0);
    for (number, path) in args.enumerate() {
        let bytes = fs::read(path)?;
        let segment = SegmentIn { stream: "points", number: number as u64, bytes: &bytes };
        let made = pool.transcode(&ladder, segment, Duration::from_secs(300))?;
        encode += made.timings.encode;
        ticks += made.source.duration;
        frames += made.source.frames;
        rss = rss.max(pool.stats().rss_bytes);
        for (file, rendition) in files.iter_mut().zip(made.renditions) {
            if number == 0 {
                file.extend(rendition.init.unwrap_or_default());
            }
            file.extend(rendition.bytes);
        }
    }
    let seconds = ticks as f64 / 90_000.0;
    println!(
        "{frames} pictures, encoders {:.2} s of processor time, {:.0} pictures a second; worker {} MiB resident",
        encode.as_secs_f64(),
        f64::from(frames) / encode.as_secs_f64(),
        rss >> 20
    );
    for (rendition, bytes) in ladder.renditions().iter().zip(files) {
        let kbps = bytes.len() as f64 * 8.0 / seconds / 1000.0;
        println!("{:<10} {kbps:.0} kbit/s of {}", rendition.name, rendition.bitrate_bps / 1000);
        fs::write(Path::new(&out).join(&rendition.name), bytes)?;
    }
    Ok(())
}
