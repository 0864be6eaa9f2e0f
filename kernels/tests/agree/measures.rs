//! Errors, SSIM sums and colour conversion: every implementation gives the reference's numbers.

use crate::cases::random_conversion;
use crate::isas;
use crate::noise::{Noise, seeds};
use crate::pictures::Output;
use headframe_kernels::{PlaneRef, metric, reference, simd};
use std::num::NonZeroUsize;

/// Two planes of random content, of the same shape but with strides of their own.
fn pair(noise: &mut Noise, longest: u32, check: impl Fn(PlaneRef<'_>, PlaneRef<'_>)) {
    let (width, height) = (noise.within(1, longest) as usize, noise.within(1, 24) as usize);
    let strides = [0, 1].map(|_| width + noise.below(30) as usize);
    let data = strides.map(|stride| noise.fill(stride * height));
    let plane = |i: usize| PlaneRef::new(&data[i], width, height, strides[i]).unwrap();
    check(plane(0), plane(1));
}

#[test]
fn squared_errors() {
    for seed in seeds(2000) {
        let mut noise = Noise::new(seed);
        let side = NonZeroUsize::new(noise.within(1, 40) as usize).unwrap();
        pair(&mut noise, 300, |a, b| {
            let (want, tiles) = (reference::squared_error(&a, &b), reference::tile_errors(&a, &b, side.get()));
            assert_eq!(tiles.iter().sum::<u64>(), want);
            for isa in isas() {
                assert_eq!(simd::squared_error(isa, &a, &b), want, "{isa:?}, seed {seed}");
                assert_eq!(simd::tile_errors(isa, &a, &b, side), tiles, "{isa:?}, seed {seed}");
            }
            assert_eq!(metric::squared_error(&a, &b).unwrap(), want);
        });
    }
}

#[test]
fn the_largest_errors_do_not_overflow() {
    let (black, white) = (vec![0; 70_000 * 2], vec![255; 70_000 * 2]);
    let plane = |data| PlaneRef::new(data, 70_000, 2, 70_000).unwrap();
    for isa in isas() {
        assert_eq!(simd::squared_error(isa, &plane(&black), &plane(&white)), 140_000 * 255 * 255);
    }
}

#[test]
fn ssim_sums() {
    for seed in seeds(2000) {
        let mut noise = Noise::new(seed);
        pair(&mut noise, 150, |a, b| {
            let (across, down) = (reference::windows(a.width()), reference::windows(a.height()));
            let window = |i: usize| reference::window_sums(&a, &b, 4 * (i % across), 4 * (i / across));
            let want: Vec<_> = (0..across * down).map(window).collect();
            for isa in isas() {
                assert_eq!(metric::ssim_sums_with(isa, &a, &b).unwrap(), want, "{isa:?}, seed {seed}");
            }
        });
    }
}

#[test]
fn conversions() {
    for seed in seeds(2000) {
        let mut noise = Noise::new(seed);
        let size = (noise.within(1, 150), noise.within(1, 12));
        let conversion = random_conversion(&mut noise);
        let picture = Output::new(size, &mut noise);
        let mut want = picture.clone();
        reference::convert(&mut want.view(), &conversion);
        for isa in isas() {
            let mut have = picture.clone();
            conversion.apply_with(isa, &mut have.view());
            assert!(have == want, "{isa:?}, {conversion:?}, {size:?}, seed {seed}");
        }
    }
}
