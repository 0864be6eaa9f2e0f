//! What the CUDA kernels reach on a card: `cargo run --release -p headframe-kernels --example gpu-check [JSON-FILE]`.
//!
//! Measures, on the card's own clock: copying within its memory, which is the yardstick; scaling 1080p to four rungs, a batch
//! at a time, with sources and outputs that no cache holds; one picture alone; squared errors; hashes. Bytes are counted as read and
//! written once each. Where there is no card it says so and ends well. `scripts/gpu-check` runs it with the tests.
#![allow(clippy::unwrap_used, reason = "a tool for a person: what goes wrong is shown as it is")]

use headframe_kernels::cuda::{
    self, CudaError, CudaHash, CudaLadder, CudaMetric, DevicePicture, Gpu, Job, Layout, Queue, Uuid, driver_version,
};
use headframe_kernels::{Filter, Format, Source};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const SIZE: (u32, u32) = (1920, 1080);
const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];
/// Pictures of a batch: with their outputs some 360 MB, several times the largest cache of a card.
const BATCH: usize = 64;
/// Each figure is the median of so many.
const ROUNDS: usize = 15;
/// Work that comes before them, until the card's clocks have risen.
const WARM: Duration = Duration::from_millis(500);

struct Figure {
    name: String,
    /// Of one picture, or of the copy.
    microseconds: f64,
    gigabytes_per_second: f64,
    of_copy: f64,
}

fn main() -> ExitCode {
    let wanted = std::env::var("HEADFRAME_GPU").ok().map(|uuid| uuid.parse::<Uuid>().unwrap());
    let opened = cuda::devices().and_then(|cards| Gpu::open(wanted.unwrap_or(cards[0].uuid)));
    let gpu = match opened {
        Ok(gpu) => gpu,
        Err(error) => {
            println!("skipped: {error}");
            return ExitCode::SUCCESS;
        }
    };
    let figures = match measure(&gpu) {
        Ok(figures) => figures,
        Err(error) => {
            eprintln!("gpu-check: {error} ({:?})", error.class());
            return ExitCode::FAILURE;
        }
    };
    let card = gpu.description();
    let (major, minor) = card.capability;
    println!("{} ({}), compute capability {major}.{minor}", card.name, card.uuid);
    println!("driver for CUDA {}", driver_version().unwrap_or(0));
    println!("\n{:<34}{:>12}{:>10}{:>12}", "", "us/picture", "GB/s", "of the copy");
    for figure in &figures {
        let Figure { name, microseconds, gigabytes_per_second, of_copy } = figure;
        println!("{name:<34}{microseconds:>12.2}{gigabytes_per_second:>10.1}{:>11.1}%", of_copy * 100.0);
    }
    println!("\nkernel              registers  local bytes");
    let kernels = gpu.kernels().unwrap_or_default();
    for (kernel, registers, local) in &kernels {
        println!("{kernel:<20}{registers:>9}{local:>13}");
    }
    if let Some(path) = std::env::args_os().nth(1) {
        std::fs::write(&path, json(&gpu, &figures, &kernels)).unwrap();
        println!("\nwritten to {}", path.display());
    }
    ExitCode::SUCCESS
}

fn measure(gpu: &Gpu) -> Result<Vec<Figure>, CudaError> {
    let queue = gpu.queue()?;
    let before = copied(gpu, &queue)?;
    let mut measured = Vec::new();
    for (name, format) in [("NV12", Format::Nv12), ("P010", Format::P010), ("planar 8-bit", Format::Yuv420)] {
        for batch in [BATCH, 1] {
            let layout = if format == Format::Yuv420 { Layout::Planar } else { Layout::Nv12 };
            measured.push((format!("{name} to 4 rungs, {batch} at once"), scaled(gpu, &queue, format, layout, batch)?));
        }
    }
    measured.push((format!("squared error of luma, {BATCH} at once"), compared(gpu, &queue)?));
    for batch in [BATCH, 1] {
        measured.push((format!("hash of NV12, {batch} at once"), hashed(gpu, &queue, batch)?));
    }
    // Whichever was faster: clocks may have risen since the first, or the card may be hot by the second.
    let after = copied(gpu, &queue)?;
    let copy = if after.0 < before.0 { after } else { before };
    measured.insert(0, ("copy within the card".into(), copy));
    let figure = |(name, (seconds, bytes)): (String, (f64, f64))| Figure {
        name,
        microseconds: seconds * 1e6,
        gigabytes_per_second: bytes / seconds / 1e9,
        of_copy: bytes / seconds / (copy.1 / copy.0),
    };
    Ok(measured.into_iter().map(figure).collect())
}

/// The median time of `work` on the card, in seconds, once it is warm.
fn timed(queue: &Queue, mut work: impl FnMut() -> Result<(), CudaError>) -> Result<f64, CudaError> {
    let began = Instant::now();
    while began.elapsed() < WARM {
        work()?;
        queue.record()?.finish()?;
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begin = queue.record()?;
        work()?;
        let end = queue.record()?;
        end.finish()?;
        times.push(end.since(&begin)?.as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2].max(1e-9))
}

/// Seconds, and bytes read and written, of one copy.
fn copied(gpu: &Gpu, queue: &Queue) -> Result<(f64, f64), CudaError> {
    let source = Source { width: 16_384, height: 16_384, format: Format::Grey };
    let (from, mut to) = (DevicePicture::new(gpu, source)?, DevicePicture::new(gpu, source)?);
    let seconds = timed(queue, || queue.copy(&from, &mut to))?;
    Ok((seconds, 2.0 * f64::from(source.width) * f64::from(source.height)))
}

fn bytes(source: Source) -> f64 {
    let plane = |plane: usize| {
        let (row, rows) = source.format.extent(plane, (source.width, source.height));
        (row * rows) as f64
    };
    (0..source.format.planes()).map(plane).sum()
}

/// Seconds for each picture, and bytes of it and its outputs.
fn scaled(gpu: &Gpu, queue: &Queue, format: Format, layout: Layout, batch: usize) -> Result<(f64, f64), CudaError> {
    let source = Source { width: SIZE.0, height: SIZE.1, format };
    let scaler = CudaLadder::new(gpu, source, &LADDER, Filter::CatmullRom, layout)?;
    let kinds: Vec<Source> = (0..LADDER.len()).filter_map(|i| scaler.output(i)).collect();
    let sources = (0..batch).map(|_| DevicePicture::new(gpu, source)).collect::<Result<Vec<_>, _>>()?;
    let outputs = |_| kinds.iter().map(|kind| DevicePicture::new(gpu, *kind)).collect::<Result<Vec<_>, _>>();
    let mut outputs = (0..batch).map(outputs).collect::<Result<Vec<_>, _>>()?;
    let mut jobs: Vec<Job<'_>> =
        sources.iter().zip(&mut outputs).map(|(source, outputs)| Job { source, outputs }).collect();
    let seconds = timed(queue, || scaler.scale(queue, &mut jobs))?;
    Ok((seconds / batch as f64, bytes(source) + kinds.iter().map(|kind| bytes(*kind)).sum::<f64>()))
}

/// The same for the squared error of luma, with the wait for the result.
fn compared(gpu: &Gpu, queue: &Queue) -> Result<(f64, f64), CudaError> {
    let source = Source { width: SIZE.0, height: SIZE.1, format: Format::Nv12 };
    let pictures = (0..=BATCH).map(|_| DevicePicture::new(gpu, source)).collect::<Result<Vec<_>, _>>()?;
    let pairs: Vec<_> = pictures.windows(2).map(|pair| (&pair[0], &pair[1])).collect();
    let mut meter = CudaMetric::new(gpu);
    let seconds = timed(queue, || meter.squared_errors(queue, &pairs, 0).map(drop))?;
    Ok((seconds / BATCH as f64, 2.0 * f64::from(SIZE.0) * f64::from(SIZE.1)))
}

/// The same for hashes, with the wait for them.
fn hashed(gpu: &Gpu, queue: &Queue, batch: usize) -> Result<(f64, f64), CudaError> {
    let source = Source { width: SIZE.0, height: SIZE.1, format: Format::Nv12 };
    let pictures = (0..batch).map(|_| DevicePicture::new(gpu, source)).collect::<Result<Vec<_>, _>>()?;
    let (pictures, mut hasher) = (pictures.iter().collect::<Vec<_>>(), CudaHash::new(gpu));
    let seconds = timed(queue, || hasher.pictures(queue, &pictures).map(drop))?;
    Ok((seconds / batch as f64, bytes(source)))
}

fn json(gpu: &Gpu, figures: &[Figure], kernels: &[(&str, i32, i32)]) -> String {
    let card = gpu.description();
    let name: String = card.name.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
    let (major, minor) = card.capability;
    let mut out = String::new();
    let driver = driver_version().unwrap_or(0);
    let _ = writeln!(out, "{{\n  \"card\": \"{name}\",\n  \"uuid\": \"{}\",", card.uuid);
    let _ = writeln!(out, "  \"capability\": \"{major}.{minor}\",\n  \"driver_cuda\": {driver},");
    let _ = writeln!(out, "  \"multiprocessors\": {},\n  \"figures\": [", card.multiprocessors);
    let lines = figures.iter().map(|figure| {
        let Figure { name, microseconds, gigabytes_per_second, of_copy } = figure;
        format!(
            "    {{\"name\": \"{name}\", \"us\": {microseconds:.3}, \"gb_per_s\": {gigabytes_per_second:.2}, \
             \"of_copy\": {of_copy:.4}}}"
        )
    });
    let _ = writeln!(out, "{}\n  ],\n  \"kernels\": [", lines.collect::<Vec<_>>().join(",\n"));
    let lines = kernels.iter().map(|(kernel, registers, local)| {
        format!("    {{\"name\": \"{kernel}\", \"registers\": {registers}, \"local_bytes\": {local}}}")
    });
    let _ = writeln!(out, "{}\n  ]\n}}", lines.collect::<Vec<_>>().join(",\n"));
    out
}
