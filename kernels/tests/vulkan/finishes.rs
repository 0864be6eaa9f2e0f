//! Colours changed and pictures turned on a device, against the definition: scaled as they lie, converted, then turned.

use crate::cases::{Case, random_case, random_conversion};
use crate::gpu;
use crate::noise::{Noise, seeds};
use crate::pictures::Output;
use headframe_kernels::vulkan::{Finish, LadderScaler};
use headframe_kernels::{Orientation, reference};

fn random(noise: &mut Noise) -> Finish {
    let conversion = random_conversion(noise);
    let mut flag = || noise.below(2) == 0;
    let orientation = Orientation { transpose: flag(), mirror_x: flag(), mirror_y: flag() };
    Finish { conversion: flag().then_some(conversion), orientation }
}

#[test]
fn random_finishes() {
    let Some(gpu) = gpu() else { return };
    let seeds = seeds(2_000);
    for seed in seeds.clone().take(seeds.count().div_ceil(10)) {
        let Case { input, sizes, filter, mut noise } = random_case(seed);
        let finish = random(&mut noise);
        let mut lying: Vec<Output> = sizes.iter().map(|size| Output::new(*size, &mut noise)).collect();
        let mut views: Vec<_> = lying.iter_mut().map(Output::view).collect();
        reference::scale_ladder(&input.view(), &mut views, filter).unwrap();
        let shown: Vec<_> = sizes.iter().map(|size| finish.orientation.turned(*size)).collect();
        let mut have: Vec<Output> = shown.iter().map(|size| Output::new(*size, &mut noise)).collect();
        let mut want = have.clone();
        for (lying, want) in views.iter_mut().zip(&mut want) {
            if let Some(conversion) = &finish.conversion {
                reference::convert(lying, conversion);
            }
            finish.orientation.apply(&lying.to_ref(), &mut want.view()).unwrap();
        }
        let mut scaler = LadderScaler::with_finish(gpu, input.source(), &shown, filter, &finish).unwrap();
        for _ in 0..2 {
            scaler.scale(&input.view(), &mut have.iter_mut().map(Output::view).collect::<Vec<_>>()).unwrap();
            assert!(have == want, "{:?} -> {shown:?}, {filter:?}, {finish:?}, seed {seed}", input.source());
        }
    }
}
