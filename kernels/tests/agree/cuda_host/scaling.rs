//! Ladders, several pictures at once, against the reference.

use super::library::host;
use super::memory::{Placed, table};
use crate::cases::{Case, random_case};
use crate::ladders::{FULL_HD, LADDER, views};
use crate::noise::{Noise, each_case};
use crate::pictures::{Input, Output};
use headframe_kernels::cuda::batch::Batch;
use headframe_kernels::cuda::plan::{Kernel, Layout, Plan};
use headframe_kernels::reference::{self, NEUTRAL};
use headframe_kernels::{Filter, Format, Source};
use std::sync::atomic::{AtomicU64, Ordering};

/// Scales the pictures in one batch, on the host, and compares everything that was or was not written.
fn agree_on(inputs: &[Input], plan: &Plan, filter: Filter, noise: &mut Noise, what: &str) {
    let source = plan.source;
    let sources: Vec<Placed> = inputs.iter().map(|input| Placed::of(input, noise)).collect();
    let format = plan.layout.format();
    let place = |size: &(u32, u32), noise: &mut Noise| {
        let mut placed = Placed::new(Source { width: size.0, height: size.1, format }, noise);
        if source.format.planes() == 1 {
            let (width, height) = (size.0.div_ceil(2) as usize, size.1.div_ceil(2) as usize);
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                *placed.sample_mut(1, x, y) = NEUTRAL;
                *placed.sample_mut(2, x, y) = NEUTRAL;
            }
        }
        placed
    };
    let have: Vec<Vec<Placed>> =
        inputs.iter().map(|_| plan.outputs.iter().map(|size| place(size, noise)).collect()).collect();
    let mut want: Vec<Vec<Placed>> = have.iter().map(|outputs| outputs.iter().map(Placed::copy).collect()).collect();
    for (input, want) in inputs.iter().zip(&mut want) {
        let mut outputs: Vec<Output> = plan.outputs.iter().map(|size| Output::new(*size, noise)).collect();
        reference::scale_ladder(&input.view(), &mut views(&mut outputs), filter).unwrap();
        for (output, placed) in outputs.iter().zip(want) {
            let (width, height) = (placed.source.width as usize, placed.source.height as usize);
            for channel in 0..3 {
                let width = if channel == 0 { width } else { width.div_ceil(2) };
                let samples = output.samples(channel);
                let rows = if channel == 0 { height } else { height.div_ceil(2) };
                for (x, y) in (0..rows).flat_map(|y| (0..width).map(move |x| (x, y))) {
                    *placed.sample_mut(channel, x, y) = samples[y * width + x];
                }
            }
        }
    }
    let mut batch = Batch::default();
    let mut slots = batch.surfaces.iter_mut();
    for (source, outputs) in sources.iter().zip(&have) {
        for placed in std::iter::once(source).chain(outputs) {
            *slots.next().unwrap() = placed.surface();
        }
    }
    for stage in &plan.stages {
        let mut ranges = vec![table(&stage.words)];
        for (source, outputs) in sources.iter().zip(&have) {
            ranges.extend(source.ranges(false));
            ranges.extend(outputs.iter().flat_map(|output| output.ranges(true)));
        }
        host().with(&ranges, noise.below(2) == 0, what, |host| {
            host.scale(stage.kernel, &stage.words, &batch, stage.blocks, inputs.len() as u32);
        });
    }
    for (have, want) in have.iter().flatten().zip(want.iter().flatten()) {
        let kernels: Vec<Kernel> = plan.stages.iter().map(|stage| stage.kernel).collect();
        assert!(have.same(want), "{source:?} -> {:?} {:?}, {filter:?}, {kernels:?}; {what}", have.source, plan.outputs);
    }
}

/// Pictures at random for one launch, what is planned for them, and how to name them.
pub(crate) struct RandomBatch {
    pub(crate) inputs: Vec<Input>,
    pub(crate) plan: Plan,
    pub(crate) filter: Filter,
    pub(crate) noise: Noise,
    pub(crate) what: String,
}

impl RandomBatch {
    pub(crate) fn new(seed: u64) -> Self {
        let Case { mut noise, input, sizes, filter } = random_case(seed);
        let layout = if noise.below(2) == 0 { Layout::Planar } else { Layout::Nv12 };
        // The least that fits anything common, up to all there is.
        let tile = [1024, 2048, 4096, usize::MAX][noise.below(4) as usize];
        let plan = Plan::with_tiles(input.source(), &sizes, filter, layout, tile).unwrap();
        let mut inputs = vec![input];
        while noise.below(3) == 0 && inputs.len() < 4 {
            inputs.push(Input::new(inputs[0].source(), &mut noise));
        }
        Self { inputs, plan, filter, noise, what: format!("tiles of {tile} bytes, seed {seed}") }
    }
}

#[test]
fn random_ladders() {
    let count = AtomicU64::new(0);
    let launches = Kernel::ALL.map(|_| AtomicU64::new(0));
    each_case("cuda scaling", 2500, |seed| {
        count.fetch_add(1, Ordering::Relaxed);
        let RandomBatch { inputs, plan, filter, mut noise, what } = RandomBatch::new(seed);
        for stage in &plan.stages {
            let at = Kernel::ALL.iter().position(|kernel| *kernel == stage.kernel).unwrap();
            launches[at].fetch_add(1, Ordering::Relaxed);
        }
        agree_on(&inputs, &plan, filter, &mut noise, &what);
    });
    let launches = launches.map(AtomicU64::into_inner);
    let named = Kernel::ALL.iter().zip(&launches).map(|(kernel, count)| format!("{} {count}", kernel.name()));
    println!("launches: {}", named.collect::<Vec<_>>().join(", "));
    assert!(
        count.into_inner() < 1000 || launches.iter().all(|count| *count > 0),
        "some kernel never ran: {launches:?}"
    );
}

#[test]
fn the_ladder_from_full_hd() {
    for (seed, format, layout) in
        [(1, Format::Nv12, Layout::Nv12), (2, Format::P010, Layout::Nv12), (3, Format::Yuv420, Layout::Planar)]
    {
        let mut noise = Noise::new(seed);
        let source = Source { width: FULL_HD.0, height: FULL_HD.1, format };
        let inputs = [Input::new(source, &mut noise)];
        let plan = Plan::new(source, &LADDER, Filter::CatmullRom, layout).unwrap();
        agree_on(&inputs, &plan, Filter::CatmullRom, &mut noise, "the field's ladder");
    }
}

#[test]
fn a_reduction_that_fits_no_tile() {
    let mut noise = Noise::new(5);
    let source = Source { width: 1800, height: 300, format: Format::Nv12 };
    let plan = Plan::new(source, &[(30, 6), (900, 150)], Filter::Lanczos3, Layout::Nv12).unwrap();
    assert!(plan.stages.iter().any(|stage| stage.kernel == Kernel::Direct));
    agree_on(&[Input::new(source, &mut noise)], &plan, Filter::Lanczos3, &mut noise, "30 to one");
}
