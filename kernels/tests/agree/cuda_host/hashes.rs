//! Hashes of rows.

use super::library::{Range, host};
use super::memory::Placed;
use crate::noise::{Noise, each_case};
use crate::pictures::Input;
use headframe_kernels::cuda::batch::{Shot, Shots};
use headframe_kernels::cuda::hash::shot;
use headframe_kernels::cuda::plan::THREADS;
use headframe_kernels::{Format, Source, hash};

#[test]
fn pictures() {
    each_case("cuda hashes", 300, |seed| {
        let mut noise = Noise::new(seed);
        let inputs: Vec<Input> = (0..noise.within(1, 3))
            .map(|_| {
                let (width, height) = (noise.within(1, 150), noise.within(1, 12));
                let format = Format::ALL[noise.below(10) as usize];
                Input::new(Source { width, height, format }, &mut noise)
            })
            .collect();
        let pictures: Vec<Placed> = inputs.iter().map(|input| Placed::of(input, &mut noise)).collect();
        let rows = |picture: &Placed| shot(picture.source, &picture.surface(), 0).rows() as usize;
        // Vectors of 16 bytes are written.
        let mut hashes: Vec<Vec<u128>> = pictures.iter().map(|picture| vec![0; 2 * rows(picture)]).collect();
        let mut shots = Shots::default();
        for ((slot, picture), hashes) in shots.shots.iter_mut().zip(&pictures).zip(&mut hashes) {
            *slot = shot(picture.source, &picture.surface(), hashes.as_mut_ptr() as u64);
        }
        let room = |hashes: &Vec<u128>| {
            let begin = hashes.as_ptr() as u64;
            Range { begin, end: begin + 16 * hashes.len() as u64, writable: 1 }
        };
        let ranges = pictures.iter().flat_map(|picture| picture.ranges(false)).chain(hashes.iter().map(room));
        let ranges: Vec<Range> = ranges.collect();
        let blocks = shots.shots.iter().map(Shot::rows).max().unwrap().div_ceil(THREADS);
        host().with(&ranges, noise.below(2) == 0, &format!("seed {seed}"), |host| {
            host.hash(&shots, blocks, pictures.len() as u32);
        });
        for (input, hashes) in inputs.iter().zip(&hashes) {
            let words: Vec<u32> =
                hashes.iter().flat_map(|four| (0..4).map(move |i| (four >> (32 * i)) as u32)).collect();
            let (have, want) = (hash::of_words(input.source(), &words), hash::picture(&input.view()));
            assert_eq!(have, want, "{:?}, seed {seed}", input.source());
        }
    });
}
