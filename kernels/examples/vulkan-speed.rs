//! Lists the Vulkan devices of this machine, and times the field's ladder on one of them:
//! `cargo run --release -p headframe-kernels --features vulkan --example vulkan-speed [DEVICE [FRAMES]]`, where DEVICE is
//! `hardware` (default), `software`, a name or a UUID. Wall time, so the machine has to be idle.
//!
//! For a card of your own first `HEADFRAME_GPU=DEVICE HEADFRAME_CASES=100000 cargo test --release -p headframe-kernels
//! --features vulkan --test vulkan`: whether it computes the right thing.

use headframe_kernels::vulkan::{Choice, Gpu, LadderScaler, Task, devices, scale_together};
use headframe_kernels::{Filter, Format, PlaneMut, Source, SourceRef, Yuv420Mut};
use std::time::Instant;

const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];
const SOURCE: Source = Source { width: 1920, height: 1080, format: Format::Nv12 };
/// Streams of one submission.
const STREAMS: usize = 8;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    for info in devices()? {
        let uuid: String = info.uuid.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
        println!("{}: {:?}, {}, {} MB, {uuid}", info.name, info.kind, info.driver, info.memory >> 20);
    }
    let choice = match std::env::args().nth(1).as_deref() {
        None | Some("hardware") => Choice::Hardware,
        Some("software") => Choice::Software,
        Some(name) => Choice::Named(name.to_owned()),
    };
    let frames: usize = std::env::args().nth(2).map_or(Ok(100), |frames| frames.parse())?;
    let gpu = Gpu::open(&choice)?;
    println!("1080p {:?} to {LADDER:?} on {}:", SOURCE.format, gpu.info().name);
    for filter in [Filter::CatmullRom, Filter::Lanczos3] {
        for streams in [1, STREAMS] {
            let ms = time(&gpu, filter, streams, frames)?;
            println!("  {filter:?}, {streams} at a time: {ms:.2} ms per picture, copies over the bus included");
        }
    }
    Ok(())
}

/// Milliseconds per picture.
fn time(gpu: &Gpu, filter: Filter, streams: usize, frames: usize) -> Result<f64, Failure> {
    let bytes: Vec<u8> = (0..1920 * 1080).map(|i| (i * 7 + i / 1920 * 13) as u8).collect();
    let source = SourceRef::new(SOURCE, &[(&bytes, 1920), (&bytes, 1920)])?;
    let scaler = || LadderScaler::new(gpu, SOURCE, &LADDER, filter);
    let mut scalers = (0..streams).map(|_| scaler()).collect::<Result<Vec<_>, _>>()?;
    let mut memory: Vec<Vec<u8>> = vec![vec![0; 1280 * 720 * 3]; streams * LADDER.len()];
    let mut outputs = Vec::new();
    for (memory, size) in memory.iter_mut().zip(LADDER.iter().cycle()) {
        outputs.push(picture(memory, *size)?);
    }
    let mut once = || {
        let each = scalers.iter_mut().zip(outputs.chunks_mut(LADDER.len()));
        let mut tasks: Vec<Task<'_, '_>> = each.map(|(scaler, outputs)| Task { scaler, source, outputs }).collect();
        scale_together(&mut tasks)
    };
    once()?;
    let (started, rounds) = (Instant::now(), frames.div_ceil(streams));
    (0..rounds).try_for_each(|_| once())?;
    Ok(started.elapsed().as_secs_f64() * 1e3 / (rounds * streams) as f64)
}

fn picture(memory: &mut [u8], (width, height): (u32, u32)) -> Result<Yuv420Mut<'_>, Failure> {
    let (width, height) = (width as usize, height as usize);
    let (half, rows) = (width.div_ceil(2), height.div_ceil(2));
    let (luma, chroma) = memory.split_at_mut(width * height);
    let (u, v) = chroma.split_at_mut(half * rows);
    let plane = |bytes, width, height| PlaneMut::new(bytes, width, height, width);
    Ok(Yuv420Mut::new(plane(luma, width, height)?, plane(u, half, rows)?, plane(v, half, rows)?)?)
}
