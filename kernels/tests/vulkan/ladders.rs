//! Scaling on a device against the definition.

use crate::cases::{Case, random_case};
use crate::gpu;
use crate::noise::{Noise, each_group};
use crate::pictures::{Input, Output};
use headframe_kernels::vulkan::{Gpu, LadderScaler, Task, scale_together};
use headframe_kernels::{Filter, Format, Source, Yuv420Mut, reference};

/// Cases of one submission.
const TOGETHER: u64 = 64;

fn views(outputs: &mut [Output]) -> Vec<Yuv420Mut<'_>> {
    outputs.iter_mut().map(Output::view).collect()
}

/// A case, a scaler for it, what the device makes of it and what the reference does.
struct Trial {
    input: Input,
    scaler: LadderScaler,
    have: Vec<Output>,
    want: Vec<Output>,
    what: String,
}

impl Trial {
    fn new(gpu: &Gpu, input: Input, sizes: &[(u32, u32)], filter: Filter, noise: &mut Noise, what: String) -> Self {
        let scaler = LadderScaler::new(gpu, input.source(), sizes, filter).unwrap();
        let have: Vec<Output> = sizes.iter().map(|size| Output::new(*size, noise)).collect();
        let mut want = have.clone();
        reference::scale_ladder(&input.view(), &mut views(&mut want), filter).unwrap();
        let what = format!("{:?} -> {sizes:?}, {filter:?}; {what}", input.source());
        Self { input, scaler, have, want, what }
    }

    fn check(&self) {
        for (i, (have, want)) in self.have.iter().zip(&self.want).enumerate() {
            assert!(have == want, "output {i} differs: {}", self.what);
        }
    }

    fn scale(&mut self) {
        self.scaler.scale(&self.input.view(), &mut views(&mut self.have)).unwrap();
        self.check();
    }
}

#[test]
fn random_ladders() {
    let Some(gpu) = gpu() else { return };
    each_group("vulkan scaling", 2_000, TOGETHER, |seeds| {
        let trial = |seed: u64| {
            let Case { input, sizes, filter, mut noise } = random_case(seed);
            Trial::new(gpu, input, &sizes, filter, &mut noise, format!("seed {seed}"))
        };
        let mut trials: Vec<Trial> = seeds.map(trial).collect();
        // Twice through one scaler: what a first picture left behind must not show in the second.
        for _ in 0..2 {
            together(&mut trials);
        }
    });
}

fn together(trials: &mut [Trial]) {
    let mut outputs: Vec<Vec<Yuv420Mut<'_>>> = Vec::new();
    let mut rest = Vec::new();
    for Trial { input, scaler, have, .. } in trials.iter_mut() {
        outputs.push(views(have));
        rest.push((scaler, input.view()));
    }
    let pairs = rest.into_iter().zip(&mut outputs);
    let mut tasks: Vec<Task<'_, '_>> =
        pairs.map(|((scaler, source), outputs)| Task { scaler, source, outputs }).collect();
    scale_together(&mut tasks).unwrap();
    drop(tasks);
    drop(outputs);
    trials.iter().for_each(Trial::check);
}

/// Every format with both filters, through rungs of rungs of rungs.
#[test]
fn all_formats_and_both_filters() {
    let Some(gpu) = gpu() else { return };
    for (seed, format) in (0..).zip(Format::ALL) {
        for filter in [Filter::CatmullRom, Filter::Lanczos3] {
            let mut noise = Noise::new(seed);
            let input = Input::new(Source { width: 331, height: 187, format }, &mut noise);
            let sizes = [(11, 7), (320, 180), (331, 187), (100, 57), (33, 19), (213, 121), (400, 200)];
            Trial::new(gpu, input, &sizes, filter, &mut noise, String::new()).scale();
        }
    }
}

/// Real sizes: more than one workgroup in a row, tables of many taps.
#[test]
fn large_pictures() {
    let Some(gpu) = gpu() else { return };
    let mut noise = Noise::new(1);
    let input = Input::new(Source { width: 1920, height: 1080, format: Format::P010 }, &mut noise);
    let ladder = [(426, 240), (320, 180), (1280, 720), (640, 360)];
    Trial::new(gpu, input, &ladder, Filter::CatmullRom, &mut noise, String::new()).scale();
    for (from, to) in [((16_384, 2), (256, 1)), ((2, 4096), (3, 64)), ((300, 2), (16_384, 64))] {
        let input = Input::new(Source { width: from.0, height: from.1, format: Format::Nv12 }, &mut noise);
        Trial::new(gpu, input, &[to], Filter::Lanczos3, &mut noise, String::new()).scale();
    }
}

/// One scaler, picture after picture: no memory is added, and none shows through.
#[test]
fn pictures_one_after_the_other() {
    let Some(gpu) = gpu() else { return };
    let source = Source { width: 97, height: 55, format: Format::Yuv422Ten };
    let sizes = [(64, 36), (16, 9)];
    let mut scaler = LadderScaler::new(gpu, source, &sizes, Filter::CatmullRom).unwrap();
    let memory = scaler.memory();
    for seed in 0..20 {
        let mut noise = Noise::new(seed);
        let input = Input::new(source, &mut noise);
        let mut have: Vec<Output> = sizes.iter().map(|size| Output::new(*size, &mut noise)).collect();
        let mut want = have.clone();
        reference::scale_ladder(&input.view(), &mut views(&mut want), Filter::CatmullRom).unwrap();
        scaler.scale(&input.view(), &mut views(&mut have)).unwrap();
        assert!(have == want, "picture {seed}");
    }
    assert_eq!(scaler.memory(), memory);
}

/// Several threads, one device.
#[test]
fn threads_share_a_device() {
    let Some(gpu) = gpu() else { return };
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                for seed in 1_000_000 + 40 * thread..1_000_000 + 40 * (thread + 1) {
                    let Case { input, sizes, filter, mut noise } = random_case(seed);
                    Trial::new(gpu, input, &sizes, filter, &mut noise, format!("seed {seed}")).scale();
                }
            });
        }
    });
}
