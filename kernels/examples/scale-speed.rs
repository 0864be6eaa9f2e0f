//! Times the scaler on the field's ladder:
//! `cargo run --release -p headframe-kernels --example scale-speed [FRAMES [portable|avx2|avx512]]`.
//! On a busy machine run it under `time` with one instruction set and divide the user time by the frames.

use std::time::Instant;

use headframe_kernels::{Isa, PlaneMut, PlaneRef, Scaler, Yuv420Mut, Yuv420Ref};

const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let frames: u32 = std::env::args().nth(1).map_or(Ok(100), |n| n.parse())?;
    let source: Vec<u8> = (0..1920 * 1080u64).map(|i| ((i * i) >> 7) as u8).collect();
    let chroma = || PlaneRef::new(&source, 960, 540, 960);
    let picture = Yuv420Ref::new(PlaneRef::new(&source, 1920, 1080, 1920)?, chroma()?, chroma()?)?;
    let only = std::env::args().nth(2);
    let wanted = |isa: &Isa| only.as_ref().is_none_or(|name| format!("{isa:?}").eq_ignore_ascii_case(name));
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available() && wanted(isa)) {
        let mut total = 0.0;
        for to in LADDER {
            let mut scaler = Scaler::with_isa((1920, 1080), to, isa)?;
            let (w, h) = (to.0 as usize, to.1 as usize);
            let (mut y, mut u, mut v) = (vec![0; w * h], vec![0; w * h / 4], vec![0; w * h / 4]);
            let started = Instant::now();
            for _ in 0..frames {
                let (y, u, v) = (
                    PlaneMut::new(&mut y, w, h, w)?,
                    PlaneMut::new(&mut u, w / 2, h / 2, w / 2)?,
                    PlaneMut::new(&mut v, w / 2, h / 2, w / 2)?,
                );
                scaler.scale_yuv420(&picture, &mut Yuv420Mut::new(y, u, v)?)?;
            }
            let ms = started.elapsed().as_secs_f64() * 1e3 / f64::from(frames);
            println!("{isa:?} 1920x1080 -> {w}x{h}: {ms:.2} ms per frame");
            total += ms;
        }
        println!("{isa:?} all four: {total:.2} ms per frame");
    }
    Ok(())
}
