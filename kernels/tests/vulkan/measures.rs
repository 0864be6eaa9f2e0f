//! Comparing planes on a device against the definition.

use crate::gpu;
use crate::noise::{Noise, each_case};
use headframe_kernels::vulkan::Comparer;
use headframe_kernels::{PlaneRef, metric, reference};
use std::num::NonZeroUsize;

fn agree(comparer: &mut Comparer, a: &PlaneRef<'_>, b: &PlaneRef<'_>, tile: usize, what: &str) {
    let have = comparer.compare(a, b).unwrap();
    assert_eq!(have.tile_errors, reference::tile_errors(a, b, tile), "{what}");
    assert_eq!(have.squared_error(), reference::squared_error(a, b), "{what}");
    assert_eq!(have.ssim_sums, metric::ssim_sums(a, b).unwrap(), "{what}");
}

#[test]
fn random_planes() {
    let Some(gpu) = gpu() else { return };
    // Fewer than ladders: there is less to get wrong.
    each_case("vulkan errors and windows", 200, |seed| {
        let mut noise = Noise::new(seed);
        let (width, height) = (noise.within(1, 150) as usize, noise.within(1, 90) as usize);
        let tile = [noise.within(1, 20), noise.within(20, 200), 8, 64][noise.below(4) as usize] as usize;
        let mut comparer = Comparer::new(gpu, (width, height), NonZeroUsize::new(tile).unwrap()).unwrap();
        for _ in 0..2 {
            let strides = [0, 1].map(|_| width + noise.below(30) as usize);
            let data = strides.map(|stride| noise.fill(stride * height));
            let plane = |i: usize| PlaneRef::new(&data[i], width, height, strides[i]).unwrap();
            agree(&mut comparer, &plane(0), &plane(1), tile, &format!("{width}x{height}, tile {tile}, seed {seed}"));
        }
    });
}

#[test]
fn the_largest_sums_do_not_overflow() {
    let Some(gpu) = gpu() else { return };
    let (width, height) = (16_384, 40);
    let (black, white) = (vec![0; width * height], vec![255; width * height]);
    let plane = |data| PlaneRef::new(data, width, height, width).unwrap();
    for tile in [32, 33, 16_384, usize::MAX] {
        let mut comparer = Comparer::new(gpu, (width, height), NonZeroUsize::new(tile).unwrap()).unwrap();
        agree(&mut comparer, &plane(&black), &plane(&white), tile, "black and white");
        agree(&mut comparer, &plane(&white), &plane(&white), tile, "white");
    }
}
