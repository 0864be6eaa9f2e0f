//! Whether a device computes what the processor does, and which of the two takes less time.

use std::time::{Duration, Instant};

use headframe_kernels::{Format, Isa, Orientation, PlaneMut, Source, SourceRef, UprightScaler, Yuv420Mut};

use super::super::FILTER;
use super::probe::Times;
use super::{Device, Made};
use crate::ffi::clock::{process_time, thread_time};
use crate::ladder::Ladder;

const QUARTER: Orientation = Orientation { transpose: true, mirror_x: true, mirror_y: false };
/// What is tried: every way through the shaders that pictures of decoders take, through rungs of rungs, with odd sides.
const KINDS: [(Format, Orientation); 4] = [
    (Format::Yuv420, Orientation::UPRIGHT),
    (Format::Yuv420Ten, QUARTER),
    (Format::Yuv444, Orientation::UPRIGHT),
    (Format::GreyTen, Orientation::UPRIGHT),
];
const SOURCE: (u32, u32) = (641, 363);
const SIZES: [(u32, u32); 4] = [(426, 240), (320, 180), (160, 90), (642, 364)];

/// What is timed, as the field has it.
const FULL_HD: Source = Source { width: 1920, height: 1080, format: Format::Yuv420 };
/// Pictures of one try. The clocks of processors count in microseconds, some of them in milliseconds.
const PICTURES: u32 = 20;
const TRIES: u32 = 3;
/// A device that takes longer for one is told so soon.
const SLOW: Duration = Duration::from_millis(50);

type Text = String;

/// Whether the device makes the processor's pictures to the bit.
pub(super) fn equals(device: &Device) -> Result<(), Text> {
    for (format, orientation) in KINDS {
        let source = Source { width: SOURCE.0, height: SOURCE.1, format };
        let sizes = SIZES.map(|size| orientation.turned(size));
        let mut host = on_processor(source, orientation, &sizes)?;
        let picture = Noise::of(source);
        let (mut have, mut want) = (sizes.map(Rung::new), sizes.map(Rung::new));
        host.scale(&picture.view()?, &mut views(&mut want)?).map_err(|error| error.to_string())?;
        if device.scale(&picture.view()?, orientation, &sizes, &mut views(&mut have)?) == Made::Nothing {
            let why = device.take_done().failure.map_or_else(|| "it does not scale".to_owned(), |it| it.reason);
            return Err(format!("{format:?} pictures: {why}"));
        }
        if let Some(at) = have.iter().zip(&want).position(|(have, want)| have.bytes != want.bytes) {
            return Err(format!("{format:?} pictures: it computes rung {at} otherwise than the processor"));
        }
    }
    drop(device.take_done());
    Ok(())
}

/// Times of both for a 1080p picture to the standard ladder, each the best of some tries.
pub(super) fn times(device: &Device) -> Result<(Times, Times), Text> {
    let ladder = Ladder::standard();
    let sizes: Vec<_> = ladder.renditions().iter().map(|rendition| (rendition.width, rendition.height)).collect();
    let mut host = on_processor(FULL_HD, Orientation::UPRIGHT, &sizes)?;
    let picture = Noise::of(FULL_HD);
    let source = picture.view()?;
    let mut rungs: Vec<_> = sizes.iter().map(|size| Rung::new(*size)).collect();
    let mut out = views(&mut rungs)?;
    // The threads of a driver work for it too.
    let on_device = best(process_time, || match device.scale(&source, Orientation::UPRIGHT, &sizes, &mut out) {
        Made::Nothing => Err(device.take_done().failure.map_or_else(String::new, |failure| failure.reason)),
        _ => Ok(()),
    })?;
    drop(device.take_done());
    let on_host = best(thread_time, || host.scale(&source, &mut out).map_err(|error| error.to_string()))?;
    Ok((on_device, on_host))
}

/// For one picture. The first one is not counted.
fn best(clock: fn() -> Duration, mut once: impl FnMut() -> Result<(), Text>) -> Result<Times, Text> {
    once()?;
    let began = Instant::now();
    once()?;
    let (tries, pictures) = if began.elapsed() > SLOW { (1, 2) } else { (TRIES, PICTURES) };
    let mut best = Times { processor: Duration::MAX, wall: Duration::MAX };
    for _ in 0..tries {
        let (used, began) = (clock(), Instant::now());
        (0..pictures).try_for_each(|_| once())?;
        best.processor = best.processor.min(clock().saturating_sub(used) / pictures);
        best.wall = best.wall.min(began.elapsed() / pictures);
    }
    Ok(best)
}

fn on_processor(source: Source, orientation: Orientation, sizes: &[(u32, u32)]) -> Result<UprightScaler, Text> {
    UprightScaler::new(source, orientation, sizes, FILTER, Isa::best()).map_err(|error| error.to_string())
}

/// A picture that has every value somewhere, and no two rows alike.
struct Noise {
    source: Source,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Noise {
    fn of(source: Source) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = |high: bool| {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let byte = (state >> 32) as u8;
            // Ten bits in two bytes.
            if high { byte & 3 } else { byte }
        };
        let wide = matches!(source.format, Format::Yuv420Ten | Format::GreyTen);
        let planes = (0..source.format.planes()).map(|plane| {
            let (bytes, rows) = source.format.extent(plane, (source.width, source.height));
            ((0..bytes * rows).map(|at| byte(wide && at % 2 == 1)).collect(), bytes)
        });
        Self { source, planes: planes.collect() }
    }

    fn view(&self) -> Result<SourceRef<'_>, Text> {
        let planes: Vec<_> = self.planes.iter().map(|(bytes, stride)| (&bytes[..], *stride)).collect();
        SourceRef::new(self.source, &planes).map_err(|error| error.to_string())
    }
}

/// A picture with memory of its own.
struct Rung {
    size: (usize, usize),
    bytes: Vec<u8>,
}

impl Rung {
    fn new((width, height): (u32, u32)) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { size: (width, height), bytes: vec![0; width * height + 2 * width.div_ceil(2) * height.div_ceil(2)] }
    }

    fn view(&mut self) -> Result<Yuv420Mut<'_>, Text> {
        let (width, height) = self.size;
        let (half, rows) = (width.div_ceil(2), height.div_ceil(2));
        let (luma, chroma) = self.bytes.split_at_mut(width * height);
        let (u, v) = chroma.split_at_mut(half * rows);
        let plane = |bytes, width, height| PlaneMut::new(bytes, width, height, width);
        let picture = Yuv420Mut::new(
            plane(luma, width, height).map_err(|error| error.to_string())?,
            plane(u, half, rows).map_err(|error| error.to_string())?,
            plane(v, half, rows).map_err(|error| error.to_string())?,
        );
        picture.map_err(|error| error.to_string())
    }
}

fn views(rungs: &mut [Rung]) -> Result<Vec<Yuv420Mut<'_>>, Text> {
    rungs.iter_mut().map(Rung::view).collect()
}
