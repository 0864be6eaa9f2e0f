//! Hashes of pictures on a device against the definition.

use crate::gpu;
use crate::noise::{Noise, each_case};
use crate::pictures::Input;
use headframe_kernels::vulkan::{Class, Hasher};
use headframe_kernels::{Format, Source, hash};

#[test]
fn random_pictures() {
    let Some(gpu) = gpu() else { return };
    each_case("vulkan hashes", 200, |seed| {
        let mut noise = Noise::new(seed);
        let (width, height) = (noise.within(1, 150), noise.within(1, 90));
        let source = Source { width, height, format: Format::ALL[noise.below(10) as usize] };
        let mut hasher = Hasher::new(gpu, source).unwrap();
        for _ in 0..2 {
            let input = Input::new(source, &mut noise);
            assert_eq!(hasher.hash(&input.view()).unwrap(), hash::picture(&input.view()), "{source:?}, seed {seed}");
        }
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(gpu) = gpu() else { return };
    let source = Source { width: 64, height: 48, format: Format::Nv12 };
    let other = Input::new(Source { format: Format::P010, ..source }, &mut Noise::new(1));
    let error = Hasher::new(gpu, source).unwrap().hash(&other.view()).unwrap_err();
    assert_eq!(error.class(), Class::Input, "{error}");
    assert_eq!(Hasher::new(gpu, Source { height: 0, ..source }).unwrap_err().class(), Class::Input);
}
