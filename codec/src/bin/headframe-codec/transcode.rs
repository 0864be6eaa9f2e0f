//! One file, for a person.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Container, Ladder, Limits, Rendition, RenditionOut, SegmentIn, SegmentOut};

/// The ladder of a file or the standard one, all of it in `container` where that is given.
pub(crate) fn ladder(file: Option<&Path>, container: Option<&str>) -> Result<Ladder, String> {
    let ladder: Ladder = match file {
        None => Ladder::standard(),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    let Some(container) = container else { return Ok(ladder) };
    let container = if container == Container::Cmaf.name() { Container::Cmaf } else { Container::Mpegts };
    let renditions = ladder.renditions().iter().map(|rendition| Rendition { container, ..rendition.clone() });
    Ladder::new(renditions.collect()).map_err(|error| error.to_string())
}

pub(crate) fn run(input: &Path, out: &Path, ladder: &Ladder, timeout: u64, json: bool) -> Result<(), String> {
    let bytes = fs::read(input).map_err(|error| format!("{}: {error}", input.display()))?;
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let timeout = Duration::from_secs(timeout);
    let program = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let limits = Limits { wall: timeout, ..Limits::default() };
    let pool = Pool::start(PoolConfig { program, limits, ..PoolConfig::default() });
    let pool = pool.map_err(|error| error.to_string())?;
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let segment = SegmentIn { stream: &name, number: 0, bytes: &bytes };
    let made = pool.transcode(ladder, segment, timeout).map_err(|error| error.to_string())?;
    let write =
        |path: PathBuf, bytes: &[u8]| fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()));
    for rendition in &made.renditions {
        write(file(out, rendition), &rendition.bytes)?;
        if let Some(init) = &rendition.init {
            write(out.join(format!("{}-init.mp4", rendition.name)), init)?;
        }
    }
    if json {
        print_json(&made)
    } else {
        print_table(&made, out)
    }
    Ok(())
}

fn file(out: &Path, rendition: &RenditionOut) -> PathBuf {
    let extension = if rendition.init.is_some() { "m4s" } else { "ts" };
    out.join(format!("{}.{extension}", rendition.name))
}

fn print_table(made: &SegmentOut, out: &Path) {
    let source = &made.source;
    let seconds = source.duration as f64 / 90_000.0;
    println!(
        "source   {}x{}, {} pictures in {seconds:.3} s, first at {:.3} s, {} damaged, {}",
        source.width,
        source.height,
        source.frames,
        source.first_pts as f64 / 90_000.0,
        source.damaged,
        if source.audio { "AAC sound" } else { "no sound" },
    );
    for rendition in &made.renditions {
        let kbps = rendition.bytes.len() as f64 * 8.0 / seconds.max(0.001) / 1000.0;
        println!(
            "{:<8} {}x{}, {} pictures, {kbps:.0} kbit/s, {} -> {}",
            rendition.name,
            rendition.width,
            rendition.height,
            rendition.frames,
            rendition.codecs,
            file(out, rendition).display(),
        );
    }
    let timings = &made.timings;
    let total = timings.total.as_secs_f64();
    println!(
        "time     {total:.2} s, {:.1} x real time (processor: decode {:.2} s, scale {:.2} s, encode {:.2} s)",
        seconds / total.max(1e-9),
        timings.decode.as_secs_f64(),
        timings.scale.as_secs_f64(),
        timings.encode.as_secs_f64(),
    );
}

fn print_json(made: &SegmentOut) {
    let renditions = made.renditions.iter().map(|rendition| {
        serde_json::json!({
            "name": rendition.name, "width": rendition.width, "height": rendition.height,
            "frames": rendition.frames, "bytes": rendition.bytes.len(), "codecs": rendition.codecs,
        })
    });
    let report = serde_json::json!({
        "source": made.source,
        "renditions": renditions.collect::<Vec<_>>(),
        "kilopixels": made.output_kilopixels(),
        "seconds": {
            "decode": made.timings.decode.as_secs_f64(), "scale": made.timings.scale.as_secs_f64(),
            "encode": made.timings.encode.as_secs_f64(), "total": made.timings.total.as_secs_f64(),
        },
    });
    println!("{report:#}");
}
