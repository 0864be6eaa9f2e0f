//! Scaling: every implementation gives the reference's bytes, on any size, stride, format and content.

use crate::cases::{Case, random_case};
use crate::isas;
use crate::noise::{Noise, seeds};
use crate::pictures::{Input, Output};
use headframe_kernels::filter::{Axis, Siting};
use headframe_kernels::{Filter, Format, LadderScaler, Scaler, Source, SourceRef, Yuv420Mut, reference};

pub(crate) const FULL_HD: (u32, u32) = (1920, 1080);
pub(crate) const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];

/// One ladder on one picture, by every instruction set, against the reference.
fn agree_on(input: &Input, sizes: &[(u32, u32)], filter: Filter, noise: &mut Noise, what: &str) {
    let source = input.source();
    let blank: Vec<Output> = sizes.iter().map(|size| Output::new(*size, noise)).collect();
    let mut want = blank.clone();
    reference::scale_ladder(&input.view(), &mut views(&mut want), filter).unwrap();
    for isa in isas() {
        let mut ladder = LadderScaler::with_isa(source, sizes, filter, isa).unwrap();
        // Twice through one scaler: what a first picture left behind must not show in the second.
        for _ in 0..2 {
            let mut have = blank.clone();
            ladder.scale(&input.view(), &mut views(&mut have)).unwrap();
            for (i, (have, want)) in have.iter().zip(&want).enumerate() {
                assert!(have == want, "{isa:?} {source:?} -> {sizes:?}, {filter:?}: output {i} differs; {what}");
            }
        }
    }
}

pub(crate) fn views(outputs: &mut [Output]) -> Vec<Yuv420Mut<'_>> {
    outputs.iter_mut().map(Output::view).collect()
}

#[test]
fn random_ladders() {
    for seed in seeds(3000) {
        let Case { input, sizes, filter, mut noise } = random_case(seed);
        agree_on(&input, &sizes, filter, &mut noise, &format!("seed {seed}"));
    }
}

#[test]
fn the_ladder_from_full_hd() {
    for (seed, format) in [(1, Format::Yuv420), (2, Format::P010), (3, Format::Yuv422Ten)] {
        let mut noise = Noise::new(seed);
        let input = Input::new(Source { width: FULL_HD.0, height: FULL_HD.1, format }, &mut noise);
        // The smallest is made from 720p.
        let turned = [LADDER[3], FULL_HD, LADDER[0], (320, 180), LADDER[2], LADDER[1]];
        agree_on(&input, &turned, Filter::CatmullRom, &mut noise, "the field's ladder");
    }
    let mut noise = Noise::new(4);
    let input = Input::new(Source::yuv420(FULL_HD), &mut noise);
    agree_on(&input, &LADDER, Filter::Lanczos3, &mut noise, "the field's ladder");
    // Straight from the source, past what one window of registers holds.
    for to in [(426, 240), (300, 170), (60, 34)] {
        agree_on(&input, &[to], Filter::CatmullRom, &mut noise, "one rung");
    }
}

#[test]
fn a_single_output_is_a_ladder_of_one() {
    let mut noise = Noise::new(9);
    let input = Input::new(Source::yuv420((333, 77)), &mut noise);
    let (mut one, mut other) = (Output::new((211, 50), &mut noise), Output::new((211, 50), &mut noise));
    let mut scaler = Scaler::new((333, 77), (211, 50)).unwrap();
    scaler.scale_yuv420(&input.yuv420(), &mut one.view()).unwrap();
    reference::scale(&input.view(), &mut other.view(), Filter::CatmullRom).unwrap();
    for i in 0..3 {
        assert_eq!(one.samples(i), other.samples(i));
    }
}

#[test]
fn the_order_of_outputs_changes_nothing() {
    let mut noise = Noise::new(11);
    let input = Input::new(Source::yuv420((640, 360)), &mut noise);
    let scaled = |sizes: &[(u32, u32)], noise: &mut Noise| {
        let mut outputs: Vec<Output> = sizes.iter().map(|size| Output::new(*size, noise)).collect();
        let mut ladder = LadderScaler::new(input.source(), sizes, Filter::CatmullRom).unwrap();
        ladder.scale(&input.view(), &mut views(&mut outputs)).unwrap();
        outputs.iter().map(|out| [0, 1, 2].map(|i| out.samples(i))).collect::<Vec<_>>()
    };
    let one = scaled(&[(426, 240), (106, 60), (426, 240), (26, 14)], &mut noise);
    let other = scaled(&[(26, 14), (426, 240), (106, 60)], &mut noise);
    assert!(one[0] == other[1] && one[1] == other[2] && one[2] == other[1] && one[3] == other[0]);
}

#[test]
fn flat_stays_flat_and_a_ramp_stays_in_place() {
    for format in Format::ALL {
        let (from, to) = ((640u32, 360u32), (426u32, 240u32));
        let mut noise = Noise::new(1);
        // The value of a sample is a third of its luma position, whatever the format.
        let input = Input::of(Source { width: from.0, height: from.1, format }, &mut noise, |luma| luma / 3.0);
        let mut output = Output::new(to, &mut noise);
        let mut ladder = LadderScaler::new(input.source(), &[to], Filter::CatmullRom).unwrap();
        ladder.scale(&input.view(), &mut [output.view()]).unwrap();
        for (i, step) in [(0, 1.0), (1, 2.0), (2, 2.0)] {
            let samples = output.samples(i);
            let width = Siting::Left.samples(to.0) as usize * if i == 0 { 2 } else { 1 };
            for x in 10..width - 10 {
                let luma = (x as f64 * step + 0.5) * 640.0 / 426.0 - 0.5;
                let have = f64::from(samples[50 * width + x]);
                let want = if i > 0 && format.planes() == 1 { 128.0 } else { luma / 3.0 };
                // Left-sited chroma lies on even luma samples, in the source as in the output.
                assert!((have - want).abs() <= 0.75, "{format:?} channel {i} at {x}: {have} is not {want}");
            }
        }
    }
}

#[test]
fn ten_bits_round_to_the_nearest_eight() {
    let words: Vec<u8> = (0..1024u16).flat_map(u16::to_le_bytes).collect();
    let source = Source { width: 1024, height: 1, format: Format::GreyTen };
    let mut output = Output::new((1024, 1), &mut Noise::new(1));
    let mut ladder = LadderScaler::new(source, &[(1024, 1)], Filter::CatmullRom).unwrap();
    ladder.scale(&SourceRef::new(source, &[(&words, 2048)]).unwrap(), &mut [output.view()]).unwrap();
    for (word, byte) in output.samples(0).into_iter().enumerate() {
        assert_eq!(usize::from(byte), ((word + 2) / 4).min(255));
    }
}

#[test]
fn tables_of_all_sitings_have_their_samples() {
    for siting in [Siting::Full, Siting::Centre, Siting::Left] {
        let axis = Axis::new(Filter::CatmullRom, (77, Siting::Full), (33, siting)).unwrap();
        assert_eq!(axis.len(), siting.samples(33) as usize);
    }
}
