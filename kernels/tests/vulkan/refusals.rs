//! What cannot be done is an error of the right class, and leaves the device in order.

use crate::gpu;
use crate::noise::Noise;
use crate::pictures::{Input, Output};
use headframe_kernels::vulkan::{Choice, Class, Comparer, Error, Gpu, Kind, LadderScaler, devices};
use headframe_kernels::{Filter, Format, PlaneRef, ScaleError, Source};
use std::num::NonZeroUsize;

#[test]
fn devices_are_listed_best_first_and_chosen_by_name() {
    let Some(gpu) = gpu() else { return };
    let all = devices().unwrap();
    assert!(all.is_sorted_by_key(|info| info.kind));
    let info = gpu.info();
    assert!(all.contains(info) && info.memory > 0 && !info.driver.is_empty(), "{info:?}");
    assert_eq!(Gpu::open(&Choice::Named(info.name.clone())).unwrap().info(), info);
    let hardware = Gpu::open(&Choice::Hardware);
    match all.iter().find(|info| info.kind != Kind::Software) {
        Some(best) => assert_eq!(hardware.unwrap().info(), best),
        // Never by default what is slower than no device at all.
        None => assert!(matches!(hardware, Err(Error::NoDevice { .. })), "{hardware:?}"),
    }
    let error = Gpu::open(&Choice::Named("no such device".into())).unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.to_string().contains(&info.name), "{error}");
}

#[test]
fn pictures_that_do_not_fit() {
    let Some(gpu) = gpu() else { return };
    let mut noise = Noise::new(1);
    let source = Source { width: 64, height: 48, format: Format::Nv12 };
    let input = Input::new(source, &mut noise);
    let (mut right, mut wrong) = (Output::new((32, 24), &mut noise), Output::new((32, 25), &mut noise));
    let mut scaler = LadderScaler::new(gpu, source, &[(32, 24)], Filter::CatmullRom).unwrap();
    let other = Input::new(Source { format: Format::P010, ..source }, &mut noise);
    let refused = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.class(), Class::Input, "{error}");
        error
    };
    let error = refused(scaler.scale(&other.view(), &mut [right.view()]));
    assert!(matches!(error, Error::Scale(ScaleError::Source { .. })));
    assert!(matches!(refused(scaler.scale(&input.view(), &mut [])), Error::Scale(ScaleError::Outputs { .. })));
    let error = refused(scaler.scale(&input.view(), &mut [wrong.view()]));
    assert!(matches!(error, Error::Scale(ScaleError::Shape { .. })));
    scaler.scale(&input.view(), &mut [right.view()]).unwrap();
    let mut none = LadderScaler::new(gpu, source, &[], Filter::CatmullRom).unwrap();
    none.scale(&input.view(), &mut []).unwrap();
    let far = LadderScaler::new(gpu, source, &[(32, 24), (64, 4000)], Filter::CatmullRom);
    assert!(matches!(far, Err(Error::Scale(ScaleError::Ratio { .. }))));
    let mut comparer = Comparer::new(gpu, (8, 8), NonZeroUsize::MIN).unwrap();
    let bytes = [0; 80];
    let plane = |width| PlaneRef::new(&bytes, width, 8, width).unwrap();
    assert_eq!(comparer.compare(&plane(8), &plane(9)).unwrap_err().class(), Class::Input);
}

#[test]
fn more_than_there_is() {
    let Some(gpu) = gpu() else { return };
    let source = Source { width: 16_384, height: 16_384, format: Format::Yuv444Ten };
    let error = LadderScaler::new(gpu, source, &[(16_384, 16_384); 3], Filter::CatmullRom).unwrap_err();
    assert_eq!(error.class(), Class::Capacity, "{error}");
    let error = Comparer::new(gpu, (16_385, 1), NonZeroUsize::MIN).unwrap_err();
    assert_eq!(error.class(), Class::Capacity, "{error}");
    assert!(!gpu.is_lost());
}

/// Without a driver, and without a loader: in a process of its own, as the loader looks at the environment.
#[test]
fn machines_without_vulkan() {
    const CHILD: &str = "HEADFRAME_TEST_WITHOUT_VULKAN";
    if std::env::var_os(CHILD).is_some() {
        for error in [devices().unwrap_err(), Gpu::open(&Choice::Software).unwrap_err()] {
            println!("{error:?}");
            assert_eq!(error.class(), Class::Unavailable, "{error}");
        }
        return;
    }
    let child = |variables: &[(&str, &str)]| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "refusals::machines_without_vulkan", "--nocapture"]).env(CHILD, "1");
        let output = child.envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        said
    };
    // Two names, as the variable was renamed.
    let nothing = "/no/such/driver.json";
    let said = child(&[("VK_DRIVER_FILES", nothing), ("VK_ICD_FILENAMES", nothing)]);
    assert!(said.contains("NoDriver") || said.contains("NoLoader"), "{said}");
    let folder = std::env::temp_dir().join(format!("headframe-no-loader-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["libvulkan.so.1", "libvulkan.so"] {
        std::fs::write(folder.join(name), "no library").unwrap();
    }
    let said = child(&[("LD_LIBRARY_PATH", folder.to_str().unwrap())]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(said.contains("NoLoader"), "{said}");
}
