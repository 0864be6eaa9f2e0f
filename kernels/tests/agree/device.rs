//! The kernels on a card, through the public API, against the reference. Skipped, and said so, where there is none, unless
//! the environment's `HEADFRAME_EXPECT_CARD` says that there must be one. `double.rs` runs these tests on a stand-in.
//!
//! `HEADFRAME_CASES=100000 cargo test --release -p headframe-kernels --test agree device` for more than the quick share.

use crate::cases::random_conversion;
use crate::cuda_host::RandomBatch;
use crate::ladders::{FULL_HD, LADDER, views};
use crate::noise::{Noise, seeds};
use crate::pictures::{Input, Output, extent};
use headframe_kernels::cuda::batch::Surface;
use headframe_kernels::cuda::plan::Plan;
use headframe_kernels::cuda::{
    self, Class, CudaHash, CudaLadder, CudaMetric, DevicePicture, Gpu, Job, Layout, Queue, Uuid,
};
use headframe_kernels::{Filter, Format, PlaneRef, Source, SourceRef, hash, metric, reference};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// The first card, or what the environment's `HEADFRAME_GPU` names.
fn card() -> Option<(Gpu, Queue)> {
    let wanted = std::env::var("HEADFRAME_GPU").ok().map(|uuid| uuid.parse::<Uuid>().unwrap());
    let opened = cuda::devices().and_then(|cards| Gpu::open(wanted.unwrap_or(cards[0].uuid)));
    match opened {
        Ok(gpu) => {
            let queue = gpu.queue().unwrap();
            Some((gpu, queue))
        }
        Err(error) => {
            assert!(std::env::var_os("HEADFRAME_EXPECT_CARD").is_none(), "{error}");
            println!("skipped: {error}");
            None
        }
    }
}

/// A picture of this content: half of the time in memory of its own, else somewhere in `arena` with an odd pitch.
fn placed(queue: &Queue, input: &Input, arena: &DevicePicture, noise: &mut Noise) -> DevicePicture {
    let source = input.source();
    let mut picture = match noise.below(2) {
        0 => DevicePicture::new(queue.gpu(), source).unwrap(),
        _ => {
            let sample = if source.format.bits() > 8 { 2 } else { 1 };
            let mut gap = || (noise.below(40) * sample) as u32;
            let mut pitch = |plane: usize| extent(source, plane).0 as u32 + gap();
            let last = source.format.planes() - 1;
            let pitches = [pitch(0), pitch(last)];
            let size = |plane: usize| pitches[plane.min(1)] * extent(source, plane).1 as u32;
            let begin = gap();
            let offsets = [size(0) + gap(), size(0) + size(last) + 80 + gap()];
            let base = arena.surface().base + u64::from(begin);
            // SAFETY: the arena is larger than all of that, and outlives what the tests make in it.
            unsafe { DevicePicture::foreign(queue.gpu(), source, Surface { base, offsets, pitches }) }.unwrap()
        }
    };
    queue.upload(&input.view(), &mut picture).unwrap();
    picture
}

/// Larger than any random picture.
fn arena(gpu: &Gpu) -> DevicePicture {
    DevicePicture::new(gpu, Source { width: 1 << 14, height: 64, format: Format::Grey }).unwrap()
}

/// The samples of Y, U and V.
fn channels(queue: &Queue, picture: &DevicePicture) -> Vec<Vec<u8>> {
    let source = picture.source();
    let mut planes: Vec<Vec<u8>> =
        (0..source.format.planes()).map(|plane| vec![0; extent(source, plane).0 * extent(source, plane).1]).collect();
    let mut buffers: Vec<(&mut [u8], usize)> =
        planes.iter_mut().enumerate().map(|(plane, bytes)| (&mut bytes[..], extent(source, plane).0)).collect();
    queue.download(picture, &mut buffers).unwrap();
    if source.format == Format::Nv12 {
        let pairs = planes.pop().unwrap();
        planes.extend([0, 1].map(|channel| pairs.iter().skip(channel).step_by(2).copied().collect()));
    }
    planes
}

fn agree_on(queue: &Queue, inputs: &[Input], plan: Plan, filter: Filter, noise: &mut Noise, what: &str) {
    let gpu = queue.gpu();
    let sizes = plan.outputs.clone();
    let scaler = CudaLadder::from_plan(gpu, plan).unwrap();
    let arenas: Vec<DevicePicture> = inputs.iter().map(|_| arena(gpu)).collect();
    let sources: Vec<DevicePicture> =
        inputs.iter().zip(&arenas).map(|(input, arena)| placed(queue, input, arena, noise)).collect();
    let output = |i: usize| DevicePicture::new(gpu, scaler.output(i).unwrap()).unwrap();
    let mut outputs: Vec<Vec<DevicePicture>> = inputs.iter().map(|_| (0..sizes.len()).map(output).collect()).collect();
    let mut jobs: Vec<Job<'_>> =
        sources.iter().zip(&mut outputs).map(|(source, outputs)| Job { source, outputs }).collect();
    scaler.scale(queue, &mut jobs).unwrap();
    for (input, outputs) in inputs.iter().zip(&outputs) {
        let mut want: Vec<Output> = sizes.iter().map(|size| Output::new(*size, noise)).collect();
        reference::scale_ladder(&input.view(), &mut views(&mut want), filter).unwrap();
        for (have, want) in outputs.iter().zip(&want) {
            let (have, source) = (channels(queue, have), input.source());
            let same = have.iter().enumerate().all(|(channel, have)| *have == want.samples(channel));
            assert!(same, "{source:?} -> {sizes:?}, {filter:?}; {what}");
        }
    }
}

#[test]
fn ladders() {
    let Some((_, queue)) = card() else { return };
    for seed in seeds(200) {
        let RandomBatch { inputs, plan, filter, mut noise, what } = RandomBatch::new(seed);
        agree_on(&queue, &inputs, plan, filter, &mut noise, &what);
    }
}

#[test]
fn the_ladder_from_full_hd() {
    let Some((_, queue)) = card() else { return };
    for (seed, format, layout) in
        [(1, Format::Nv12, Layout::Nv12), (2, Format::P010, Layout::Nv12), (3, Format::Yuv420, Layout::Planar)]
    {
        let mut noise = Noise::new(seed);
        let source = Source { width: FULL_HD.0, height: FULL_HD.1, format };
        let plan = Plan::new(source, &LADDER, Filter::CatmullRom, layout).unwrap();
        // Of the arena's size at most: this is larger, so it gets memory of its own.
        let input = Input::new(source, &mut noise);
        let gpu = queue.gpu();
        let mut picture = DevicePicture::new(gpu, source).unwrap();
        queue.upload(&input.view(), &mut picture).unwrap();
        let scaler = CudaLadder::from_plan(gpu, plan).unwrap();
        let mut outputs: Vec<DevicePicture> =
            (0..LADDER.len()).map(|i| DevicePicture::new(gpu, scaler.output(i).unwrap()).unwrap()).collect();
        scaler.scale(&queue, &mut [Job { source: &picture, outputs: &mut outputs }]).unwrap();
        let mut want: Vec<Output> = LADDER.iter().map(|size| Output::new(*size, &mut noise)).collect();
        reference::scale_ladder(&input.view(), &mut views(&mut want), Filter::CatmullRom).unwrap();
        for (have, want) in outputs.iter().zip(&want) {
            for (channel, have) in channels(&queue, have).into_iter().enumerate() {
                assert!(have == want.samples(channel), "{format:?}, channel {channel}");
            }
        }
    }
}

#[test]
fn more_pictures_than_a_launch_takes() {
    let Some((_, queue)) = card() else { return };
    let mut noise = Noise::new(70);
    let source = Source { width: 96, height: 54, format: Format::Nv12 };
    let sizes = [(64, 36), (48, 26), (32, 18), (20, 12)];
    let inputs: Vec<Input> = (0..70).map(|_| Input::new(source, &mut noise)).collect();
    let plan = Plan::new(source, &sizes, Filter::CatmullRom, Layout::Nv12).unwrap();
    agree_on(&queue, &inputs, plan, Filter::CatmullRom, &mut noise, "70 pictures");
}

#[test]
fn sums() {
    let Some((gpu, queue)) = card() else { return };
    let mut meter = CudaMetric::new(&gpu);
    let (first, second) = (arena(&gpu), arena(&gpu));
    for seed in seeds(60) {
        let mut noise = Noise::new(seed);
        let (width, height) = (noise.within(1, 200), noise.within(1, 40));
        let mut one = |arena: &DevicePicture| {
            let format = if noise.below(2) == 0 { Format::Yuv420 } else { Format::Nv12 };
            placed(&queue, &Input::new(Source { width, height, format }, &mut noise), arena, &mut noise)
        };
        let pictures = [one(&first), one(&second)];
        let [first, second] = pictures.each_ref().map(|picture| channels(&queue, picture));
        let pairs = [(&pictures[0], &pictures[1]), (&pictures[1], &pictures[0])];
        for (channel, samples) in first.iter().zip(&second).enumerate() {
            let side = |side: u32| if channel == 0 { side as usize } else { side.div_ceil(2) as usize };
            let (width, height) = (side(width), side(height));
            let plane = |samples| PlaneRef::new(samples, width, height, width).unwrap();
            let (a, b) = (plane(samples.0), plane(samples.1));
            let tile = NonZeroUsize::new(noise.within(1, 70) as usize).unwrap();
            let want = reference::tile_errors(&a, &b, tile.get());
            let have = meter.tile_errors(&queue, &pairs, channel, tile).unwrap();
            assert_eq!(have, [want.clone(), want], "channel {channel}, seed {seed}");
            let want = reference::squared_error(&a, &b);
            assert_eq!(meter.squared_errors(&queue, &pairs, channel).unwrap(), [want, want], "seed {seed}");
            let have = meter.ssim_sums(&queue, &pairs, channel).unwrap();
            assert_eq!(have[0], metric::ssim_sums(&a, &b).unwrap(), "channel {channel}, seed {seed}");
            assert_eq!(metric::ssim_of(&have[1]), metric::ssim(&b, &a).unwrap());
        }
    }
    // More pairs than a launch takes, and none.
    let picture = &first;
    assert_eq!(meter.squared_errors(&queue, &[(picture, picture); 70], 0).unwrap(), [0; 70]);
    assert_eq!(meter.squared_errors(&queue, &[], 0).unwrap(), []);
}

#[test]
fn colours() {
    let Some((gpu, queue)) = card() else { return };
    let arena = arena(&gpu);
    for seed in seeds(60) {
        let mut noise = Noise::new(seed);
        let conversion = random_conversion(&mut noise);
        let (width, height) = (noise.within(1, 150), noise.within(1, 12));
        let format = if noise.below(2) == 0 { Format::Yuv420 } else { Format::Nv12 };
        let input = Input::new(Source { width, height, format }, &mut noise);
        let mut picture = placed(&queue, &input, &arena, &mut noise);
        let mut want = Output::new((width, height), &mut noise);
        want.fill(&channels(&queue, &picture));
        reference::convert(&mut want.view(), &conversion);
        cuda::colour::convert(&queue, &conversion, &mut [&mut picture]).unwrap();
        for (channel, have) in channels(&queue, &picture).into_iter().enumerate() {
            assert!(have == want.samples(channel), "{conversion:?}, {format:?}, channel {channel}, seed {seed}");
        }
    }
}

#[test]
fn hashes() {
    let Some((gpu, queue)) = card() else { return };
    let mut hasher = CudaHash::new(&gpu);
    let arenas = [arena(&gpu), arena(&gpu)];
    for seed in seeds(60) {
        let mut noise = Noise::new(seed);
        let inputs = [0, 1].map(|_| {
            let (width, height) = (noise.within(1, 150), noise.within(1, 12));
            let format = Format::ALL[noise.below(10) as usize];
            Input::new(Source { width, height, format }, &mut noise)
        });
        let placed = |(input, arena)| placed(&queue, input, arena, &mut noise);
        let pictures: Vec<DevicePicture> = inputs.iter().zip(&arenas).map(placed).collect();
        let have = hasher.pictures(&queue, &pictures.iter().collect::<Vec<_>>()).unwrap();
        let want = inputs.each_ref().map(|input| hash::picture(&input.view()));
        assert_eq!(have, want, "{:?}, seed {seed}", inputs.each_ref().map(Input::source));
    }
    // Large ones, and more than a launch takes.
    let source = Source { width: FULL_HD.0, height: FULL_HD.1, format: Format::P010 };
    let input = Input::new(source, &mut Noise::new(1));
    let mut picture = DevicePicture::new(&gpu, source).unwrap();
    queue.upload(&input.view(), &mut picture).unwrap();
    assert_eq!(hasher.pictures(&queue, &[&picture]).unwrap(), [hash::picture(&input.view())]);
    let small = Source { width: 16, height: 2, format: Format::Grey };
    let input = Input::new(small, &mut Noise::new(2));
    let mut picture = DevicePicture::new(&gpu, small).unwrap();
    queue.upload(&input.view(), &mut picture).unwrap();
    assert_eq!(hasher.pictures(&queue, &[&picture; 130]).unwrap(), [hash::picture(&input.view()); 130]);
    assert_eq!(hasher.pictures(&queue, &[]).unwrap(), [[0; 32]; 0]);
}

#[test]
fn queues_wait_for_each_other() {
    let Some((gpu, first)) = card() else { return };
    let second = gpu.queue().unwrap();
    let source = Source { width: 64, height: 36, format: Format::Nv12 };
    let input = Input::new(source, &mut Noise::new(3));
    let [mut a, mut b, mut c] = [0; 3].map(|_| DevicePicture::new(&gpu, source).unwrap());
    first.upload(&input.view(), &mut a).unwrap();
    first.wait_for_shared().unwrap();
    first.copy(&a, &mut b).unwrap();
    let copied = first.record().unwrap();
    second.wait(&copied).unwrap();
    second.copy(&b, &mut c).unwrap();
    let end = second.record().unwrap();
    end.finish().unwrap();
    assert!(copied.is_done().unwrap() && end.is_done().unwrap());
    assert!(end.since(&copied).unwrap() < Duration::from_secs(10));
    assert_eq!(channels(&second, &c), channels(&first, &a));
}

#[test]
fn a_card_is_the_same_however_often_it_is_opened() {
    let Some((gpu, queue)) = card() else { return };
    let again = Gpu::open(gpu.description().uuid).unwrap();
    assert_eq!(gpu, again);
    let source = Source { width: 64, height: 36, format: Format::Nv12 };
    let input = Input::new(source, &mut Noise::new(4));
    let mut picture = DevicePicture::new(&again, source).unwrap();
    queue.upload(&input.view(), &mut picture).unwrap();
    assert_eq!(channels(&queue, &picture), channels(&again.queue().unwrap(), &picture));
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some((gpu, queue)) = card() else { return };
    let source = Source { width: 64, height: 36, format: Format::Nv12 };
    let scaler = CudaLadder::new(&gpu, source, &[(32, 18)], Filter::CatmullRom, Layout::Nv12).unwrap();
    let picture = |source| DevicePicture::new(&gpu, source).unwrap();
    let (good, other) = (picture(source), picture(Source { width: 62, ..source }));
    let (small, planar) = (Source { width: 32, height: 18, ..source }, Format::Yuv420);
    let mut outputs = [picture(small)];
    let scale = |source: &DevicePicture, outputs: &mut [DevicePicture]| {
        scaler.scale(&queue, &mut [Job { source, outputs }]).map_err(|error| error.class())
    };
    assert_eq!(scale(&good, &mut outputs), Ok(()));
    assert_eq!(scale(&other, &mut outputs), Err(Class::Input));
    assert_eq!(scale(&good, &mut []), Err(Class::Input));
    assert_eq!(scale(&good, &mut [picture(Source { format: planar, ..small })]), Err(Class::Input));
    for pitches in [[63, 64], [u32::MAX, 64]] {
        let surface = Surface { pitches, ..*good.surface() };
        // SAFETY: refused before anything is done with it.
        let foreign = unsafe { DevicePicture::foreign(&gpu, source, surface) };
        assert_eq!(foreign.unwrap_err().class(), Class::Input);
    }
    assert_eq!(DevicePicture::new(&gpu, Source { height: 0, ..source }).unwrap_err().class(), Class::Input);
    let mut meter = CudaMetric::new(&gpu);
    assert_eq!(meter.squared_errors(&queue, &[(&good, &other)], 0).unwrap_err().class(), Class::Input);
    assert_eq!(Gpu::open(Uuid([7; 16])).unwrap_err().class(), Class::NoDevice);
    let planes = [(&[0; 64][..], 32)];
    let grey = SourceRef::new(Source { width: 32, height: 2, format: Format::Grey }, &planes).unwrap();
    assert_eq!(queue.upload(&grey, &mut outputs[0]).unwrap_err().class(), Class::Input);
    // One buffer of two is too small.
    let (mut luma, mut chroma) = ([0; 32 * 18], [0; 32 * 9 - 1]);
    let error = queue.download(&outputs[0], &mut [(&mut luma, 32), (&mut chroma, 32)]).unwrap_err();
    assert_eq!((error.class(), luma), (Class::Input, [0; 32 * 18]));
}

#[test]
fn a_machine_without_a_card_says_so_at_once() {
    let begun = Instant::now();
    let Err(error) = cuda::devices() else {
        println!("skipped: this machine has a card");
        return;
    };
    let opened = Gpu::open(Uuid([0; 16])).unwrap_err();
    let took = begun.elapsed();
    assert!(matches!(error.class(), Class::NotInstalled | Class::NoDevice), "{error}");
    assert_eq!(error, opened);
    // Five milliseconds or so; but machines that run tests are busy.
    assert!(took < Duration::from_millis(500), "{took:?}");
    println!("{error} ({took:?})");
}
