//! Times the scaler on the field's ladder, in processor time, so that a busy machine says much the same as an idle one:
//! `cargo run --release -p headframe-kernels --example scale-speed [FRAMES [ISA [CASE]]]`.
//!
//! Each round runs every case once, so that all see the same weather; the median round counts, the best is beside it.
//! Sources take turns, more of them than a cache holds, as a decoder's pictures do.

use headframe_kernels::{Filter, Format, Isa, LadderScaler, PlaneMut, Source, SourceRef, Yuv420Mut};
use rustix::time::{ClockId, clock_gettime};

const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];
const SIZE: (u32, u32) = (1920, 1080);
const ROUNDS: usize = 9;
/// 3 MB each: together more than most machines' share of the last cache.
const SOURCES: usize = 16;

type Failure = Box<dyn std::error::Error>;

/// One thing to time.
struct Case {
    name: String,
    /// Does it for one frame of this number.
    frame: Box<dyn FnMut(usize) -> Result<(), Failure>>,
    rounds: Vec<f64>,
}

fn main() -> Result<(), Failure> {
    let frames: usize = std::env::args().nth(1).map_or(Ok(60), |n| n.parse())?;
    let only = std::env::args().nth(2);
    let wanted = |isa: &Isa| only.as_ref().is_none_or(|name| format!("{isa:?}").eq_ignore_ascii_case(name));
    let mut cases = vec![copying()];
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available() && wanted(isa)) {
        cases.push(ladder(isa, Format::Yuv420, &[&LADDER], Filter::CatmullRom, "ladder")?);
        let alone = LADDER.each_ref().map(std::slice::from_ref);
        cases.push(ladder(isa, Format::Yuv420, &alone, Filter::CatmullRom, "each rung from the source")?);
        for rung in alone {
            cases.push(ladder(isa, Format::Yuv420, &[rung], Filter::CatmullRom, &format!("  {}p alone", rung[0].1))?);
        }
        cases.push(ladder(isa, Format::Yuv420, &[&LADDER], Filter::Lanczos3, "ladder, Lanczos-3")?);
        for format in [Format::Nv12, Format::Yuv420Ten, Format::P010, Format::Yuv444] {
            cases.push(ladder(isa, format, &[&LADDER], Filter::CatmullRom, &format!("ladder from {format:?}"))?);
        }
    }
    if let Some(name) = std::env::args().nth(3) {
        cases.retain(|case| case.name.split(": ").last() == Some(&name));
    }
    for _ in 0..ROUNDS {
        for case in &mut cases {
            let started = processor_ms();
            for frame in 0..frames {
                (case.frame)(frame)?;
            }
            case.rounds.push((processor_ms() - started) / frames as f64);
        }
    }
    println!("processor time per 1080p frame, {frames} frames a round, {ROUNDS} rounds: median (best)");
    for case in &mut cases {
        case.rounds.sort_by(f64::total_cmp);
        println!("{:42} {:6.2} ({:.2}) ms", case.name, case.rounds[ROUNDS / 2], case.rounds[0]);
    }
    Ok(())
}

fn processor_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// The floor under everything: copying the bytes of the source.
fn copying() -> Case {
    let len = SIZE.0 as usize * SIZE.1 as usize * 3 / 2;
    let sources = vec![vec![1u8; len]; SOURCES];
    let mut to = vec![0u8; len];
    let frame = move |n: usize| {
        to.copy_from_slice(&sources[n % SOURCES]);
        std::hint::black_box(&mut to);
        Ok(())
    };
    Case { name: "copying the source".into(), frame: Box::new(frame), rounds: Vec::new() }
}

fn ladder(isa: Isa, format: Format, groups: &[&[(u32, u32)]], filter: Filter, what: &str) -> Result<Case, Failure> {
    let source = Source { width: SIZE.0, height: SIZE.1, format };
    let row = SIZE.0 as usize * if format.bits() > 8 { 2 } else { 1 };
    // Enough for the largest plane of any format; the smaller ones leave gaps between rows.
    let picture =
        |seed: u64| -> Vec<u8> { (0..(row * SIZE.1 as usize) as u64).map(|i| ((i * i + seed) >> 7) as u8).collect() };
    let pictures: Vec<Vec<Vec<u8>>> =
        (0..SOURCES as u64).map(|n| (0..format.planes() as u64).map(|p| picture(n * 3 + p)).collect()).collect();
    let scalers: Result<Vec<_>, _> =
        groups.iter().map(|sizes| LadderScaler::with_isa(source, sizes, filter, isa)).collect();
    let mut scalers = scalers?;
    let bytes = |size: &(u32, u32)| size.0 as usize * size.1 as usize;
    let mut outputs: Vec<Vec<[Vec<u8>; 3]>> = groups
        .iter()
        .map(|sizes| {
            sizes.iter().map(|size| [bytes(size), bytes(size) / 4, bytes(size) / 4].map(|n| vec![0; n])).collect()
        })
        .collect();
    let frame = move |n: usize| {
        let planes: Vec<(&[u8], usize)> = pictures[n % SOURCES]
            .iter()
            .enumerate()
            .map(|(i, plane)| {
                let halved =
                    i > 0 && format.siting(1).0 == headframe_kernels::filter::Siting::Left && format.planes() > 2;
                (&plane[..], if halved { row / 2 } else { row })
            })
            .collect();
        let view = SourceRef::new(source, &planes)?;
        for (scaler, outputs) in scalers.iter_mut().zip(&mut outputs) {
            let sizes = scaler.outputs().to_vec();
            let mut views = Vec::new();
            for ([y, u, v], (w, h)) in outputs.iter_mut().zip(sizes) {
                let (w, h) = (w as usize, h as usize);
                let chroma = |data| PlaneMut::new(data, w / 2, h / 2, w / 2);
                views.push(Yuv420Mut::new(PlaneMut::new(y, w, h, w)?, chroma(u)?, chroma(v)?)?);
            }
            scaler.scale(&view, &mut views)?;
        }
        Ok(())
    };
    Ok(Case { name: format!("{isa:?}: {what}"), frame: Box::new(frame), rounds: Vec::new() })
}
