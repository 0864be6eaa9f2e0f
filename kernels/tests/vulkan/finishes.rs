//! Colours changed and pictures turned on a device, against the definition: scaled as they lie, converted, then turned.

use crate::cases::{Case, random_case, random_conversion};
use crate::gpu;
use crate::noise::{Noise, each_case};
use crate::pictures::Output;
use headframe_kernels::vulkan::{Finish, LadderScaler};
use headframe_kernels::{Orientation, reference};

/// Colours are changed, and the picture is turned or left as it lies.
fn converted(noise: &mut Noise) -> Finish {
    let conversion = random_conversion(noise);
    let mut flag = || noise.below(2) == 0;
    let orientation = Orientation { transpose: flag(), mirror_x: flag(), mirror_y: flag() };
    let orientation = if flag() { orientation } else { Orientation::default() };
    Finish { conversion: Some(conversion), orientation }
}

/// The picture is turned.
fn turned(noise: &mut Noise) -> Finish {
    let kind = noise.within(1, 7);
    let flag = |bit: u32| kind & bit != 0;
    let orientation = Orientation { transpose: flag(1), mirror_x: flag(2), mirror_y: flag(4) };
    Finish { conversion: None, orientation }
}

#[test]
fn random_conversions() {
    agree("vulkan conversions", converted);
}

#[test]
fn random_turns() {
    agree("vulkan turns", turned);
}

fn agree(kernel: &str, finish: impl Fn(&mut Noise) -> Finish + Sync) {
    let Some(gpu) = gpu() else { return };
    each_case(kernel, 200, |seed| {
        let Case { input, sizes, filter, mut noise } = random_case(seed);
        let finish = finish(&mut noise);
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
    });
}
