//! Errors, SSIM sums, colour conversion and the layout of parameters.

use super::library::{Range, host};
use super::memory::Placed;
use crate::cases::random_conversion;
use crate::noise::{Noise, each_case};
use crate::pictures::Output;
use headframe_kernels::cuda::batch::{self, Pair, Pairs, Picture, Pictures, Shot, Shots, WINDOWS};
use headframe_kernels::cuda::plan::{MID_BYTES, THREADS, TILE_BYTES, WORDS};
use headframe_kernels::{Format, PlaneRef, Source, reference};
use std::mem::{offset_of, size_of};

#[test]
fn layouts_are_those_of_c() {
    let rust = [
        WORDS.map(|words| 4 * words).to_vec(),
        [size_of::<batch::Surface>(), offset_of!(batch::Surface, pitches), size_of::<batch::Batch>()].to_vec(),
        [size_of::<Pair>(), offset_of!(Pair, sums), size_of::<Pairs>()].to_vec(),
        [size_of::<batch::Conversion>(), offset_of!(batch::Conversion, chroma)].to_vec(),
        [size_of::<Picture>(), offset_of!(Picture, step), size_of::<Pictures>()].to_vec(),
        [size_of::<Shot>(), offset_of!(Shot, depth), size_of::<Shots>()].to_vec(),
        [THREADS as usize, TILE_BYTES, MID_BYTES, WINDOWS.0 as usize, WINDOWS.1 as usize].to_vec(),
    ];
    assert_eq!(host().layout(), rust.concat());
    // A launch takes no more, and a plan's address comes with the largest.
    assert!(
        [size_of::<batch::Batch>() + 8, size_of::<Pairs>() + 8, size_of::<Pictures>() + 40, size_of::<Shots>()]
            .iter()
            .all(|s| *s <= 4096)
    );
}

/// A channel of an 8-bit picture, without gaps.
struct Channel {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

impl Channel {
    fn of(placed: &mut Placed, channel: usize) -> Self {
        let half = |side: u32| if channel == 0 { side as usize } else { side.div_ceil(2) as usize };
        let (width, height) = (half(placed.source.width), half(placed.source.height));
        let samples = (0..width * height).map(|i| *placed.sample_mut(channel, i % width, i / width)).collect();
        Self { width, height, samples }
    }

    fn plane(&self) -> PlaneRef<'_> {
        PlaneRef::new(&self.samples, self.width, self.height, self.width).unwrap()
    }
}

/// Two pictures of one size, perhaps stored differently.
fn two(noise: &mut Noise, longest: u32) -> [Placed; 2] {
    let (width, height) = (noise.within(1, longest), noise.within(1, 40));
    [0, 1].map(|_| {
        let format = if noise.below(2) == 0 { Format::Yuv420 } else { Format::Nv12 };
        Placed::new(Source { width, height, format }, noise)
    })
}

/// Everything that a launch compares.
struct Compared {
    pictures: Vec<[Placed; 2]>,
    channels: Vec<[Channel; 2]>,
    /// Room for results.
    sums: Vec<Vec<u64>>,
    pairs: Pairs,
}

fn compared(noise: &mut Noise, results: impl Fn(&Channel) -> usize) -> Compared {
    let mut pictures: Vec<[Placed; 2]> = (0..noise.within(1, 4)).map(|_| two(noise, 200)).collect();
    let mut pairs = Pairs::default();
    let (mut channels, mut sums) = (Vec::new(), Vec::new());
    for (slot, pictures) in pairs.pairs.iter_mut().zip(&mut pictures) {
        let channel = noise.below(3) as usize;
        let both = pictures.each_mut().map(|picture| Channel::of(picture, channel));
        let mut room = vec![u64::MAX; results(&both[0])];
        let [a, b] = pictures.each_ref().map(|picture| picture.channel(channel));
        *slot = Pair {
            first: [a.0, b.0],
            pitches: [a.1, b.1],
            steps: [a.2, b.2],
            width: both[0].width as u32,
            height: both[0].height as u32,
            sums: room.as_mut_ptr() as u64,
        };
        channels.push(both);
        sums.push(room);
    }
    Compared { pictures, channels, sums, pairs }
}

fn ranges(pictures: &[[Placed; 2]], sums: &[Vec<u64>]) -> Vec<Range> {
    let room = |sums: &Vec<u64>| {
        let begin = sums.as_ptr() as u64;
        Range { begin, end: begin + 8 * sums.len() as u64, writable: 1 }
    };
    pictures.iter().flatten().flat_map(|picture| picture.ranges(false)).chain(sums.iter().map(room)).collect()
}

#[test]
fn errors_of_tiles() {
    each_case("cuda errors", 300, |seed| {
        let mut noise = Noise::new(seed);
        let side = noise.within(1, 70) as usize;
        let tiles = |channel: &Channel| channel.width.div_ceil(side) * channel.height.div_ceil(side);
        let Compared { pictures, channels, sums, pairs } = compared(&mut noise, tiles);
        let blocks = sums.iter().map(Vec::len).max().unwrap() as u32;
        host().with(&ranges(&pictures, &sums), noise.below(2) == 0, &format!("seed {seed}"), |host| {
            host.errors(&pairs, side as i32, blocks, sums.len() as u32);
        });
        for (sums, [a, b]) in sums.iter().zip(&channels) {
            assert_eq!(*sums, reference::tile_errors(&a.plane(), &b.plane(), side), "side {side}, seed {seed}");
        }
    });
}

#[test]
fn the_largest_error_fits() {
    let mut pictures = [0u8, 255].map(|value| {
        let mut picture = Placed::new(Source { width: 600, height: 300, format: Format::Grey }, &mut Noise::new(1));
        (0..300).for_each(|y| picture.row_mut(0, y).fill(value));
        picture
    });
    let [a, b] = pictures.each_mut().map(|picture| picture.channel(0));
    let sums = vec![vec![0u64]];
    let mut pairs = Pairs::default();
    let address = sums[0].as_ptr() as u64;
    let (first, pitches) = ([a.0, b.0], [a.1, b.1]);
    pairs.pairs[0] = Pair { first, pitches, steps: [1, 1], width: 600, height: 300, sums: address };
    host().with(&ranges(&[pictures], &sums), false, "black and white", |host| host.errors(&pairs, 16_384, 1, 1));
    // More than 32 bits hold.
    assert_eq!(sums[0], [600 * 300 * 255 * 255]);
}

#[test]
fn windows_of_ssim() {
    each_case("cuda windows", 300, |seed| {
        let mut noise = Noise::new(seed);
        let windows = |channel: &Channel| reference::windows(channel.width) * reference::windows(channel.height);
        // Four words of 32 bits each.
        let Compared { pictures, channels, sums, pairs } = compared(&mut noise, |channel| 2 * windows(channel));
        let blocks = channels.iter().map(|[a, _]| {
            let [across, down] = [a.width, a.height].map(|side| reference::windows(side) as u32);
            across.div_ceil(WINDOWS.0) * down.div_ceil(WINDOWS.1)
        });
        let (blocks, count) = (blocks.max().unwrap(), channels.len() as u32);
        host().with(&ranges(&pictures, &sums), noise.below(2) == 0, &format!("seed {seed}"), |host| {
            host.windows(&pairs, blocks, count);
        });
        for (sums, [a, b]) in sums.iter().zip(&channels) {
            let across = reference::windows(a.width);
            for (i, pair) in sums.chunks(2).enumerate() {
                let want = reference::window_sums(&a.plane(), &b.plane(), 4 * (i % across), 4 * (i / across));
                let half = |i: usize| pair[i / 2] >> (32 * (i % 2)) & 0xffff_ffff;
                let have = [half(0), half(1), half(2), half(3)];
                assert_eq!(have, [want.a, want.b, want.squares, want.product], "window {i}, seed {seed}");
            }
        }
    });
}

#[test]
fn conversions() {
    each_case("cuda conversions", 300, |seed| {
        let mut noise = Noise::new(seed);
        let conversion = random_conversion(&mut noise);
        let mut pictures = Vec::new();
        let mut want = Vec::new();
        for _ in 0..noise.within(1, 3) {
            let size = (noise.within(1, 150), noise.within(1, 12));
            let mut output = Output::new(size, &mut noise);
            let format = if noise.below(2) == 0 { Format::Yuv420 } else { Format::Nv12 };
            let mut picture = Placed::new(Source { width: size.0, height: size.1, format }, &mut noise);
            fill(&mut picture, &output);
            reference::convert(&mut output.view(), &conversion);
            let mut converted = picture.copy();
            fill(&mut converted, &output);
            pictures.push(picture);
            want.push(converted);
        }
        let mut parameters = Pictures::default();
        for (slot, picture) in parameters.pictures.iter_mut().zip(&pictures) {
            let [y, u, v] = [0, 1, 2].map(|channel| picture.channel(channel));
            let (width, height) = (picture.source.width, picture.source.height);
            let (planes, pitches) = ([y.0, u.0, v.0], [y.1, u.1]);
            *slot = Picture { planes, pitches, step: u.2, width, height, unused: 0 };
        }
        let ranges: Vec<Range> = pictures.iter().flat_map(|picture| picture.ranges(true)).collect();
        host().with(&ranges, noise.below(2) == 0, &format!("seed {seed}"), |host| {
            let blocks = (150 * 12u32).div_ceil(THREADS);
            for kind in [0, 1] {
                host.convert(kind, &(&conversion).into(), &parameters, blocks, pictures.len() as u32);
            }
        });
        for (have, want) in pictures.iter().zip(&want) {
            assert!(have.same(want), "{conversion:?}, {:?}, seed {seed}", have.source);
        }
    });
}

fn fill(picture: &mut Placed, from: &Output) {
    for channel in 0..3 {
        let half = |side: u32| if channel == 0 { side as usize } else { side.div_ceil(2) as usize };
        let width = half(picture.source.width);
        for (i, sample) in from.samples(channel).into_iter().enumerate() {
            *picture.sample_mut(channel, i % width, i / width) = sample;
        }
    }
}
