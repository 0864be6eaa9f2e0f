//! The tests of `device.rs` where there is no card, on a test double: a `libcuda.so.1` that keeps the card's memory in the
//! process and runs the host build of the kernels (`double/libcuda.cpp`). It is found by the same search as the real one, so
//! all of `src/cuda` runs; it watches for calls without a context, memory that is not allocated, and leaks.

use crate::cuda_host::compile;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The folder that has the double.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cuda-double");
        std::fs::create_dir_all(&folder).unwrap();
        compile("tests/agree/double/libcuda.cpp", &folder.join("libcuda.so.1"));
        folder
    })
}

/// Runs tests of this program with the double in place of a driver.
fn on_the_double(tests: &str, failing: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([tests, "--nocapture", "--test-threads=2"]).env("LD_LIBRARY_PATH", folder());
    command.env("HEADFRAME_EXPECT_CARD", "yes").env("DOUBLE_FAILS", failing);
    command.env_remove("HEADFRAME_CASES").env_remove("HEADFRAME_GPU").output().unwrap()
}

#[test]
fn everything_on_the_double() {
    let output = on_the_double("device::", "");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    // All of them ran: only one is about machines without a card.
    assert_eq!(out.matches("skipped: ").count(), 1, "{out}");
    assert!(err.contains("double: nothing leaked"), "{err}");
}

#[test]
fn failures_have_their_class() {
    let cases = [
        ("cuInit:100", "NoDevice"),
        ("cuDevicePrimaryCtxRetain:46", "Transient"),
        ("cuDevicePrimaryCtxRetain:2", "Capacity"),
        ("cuModuleLoadData:222", "NotInstalled"),
        ("cuMemAlloc_v2:2", "Capacity"),
        ("cuLaunchKernel:700", "Lost"),
        ("cuStreamSynchronize:719", "Lost"),
        ("cuStreamSynchronize:4711", "Lost"),
    ];
    for (failing, class) in cases {
        let output = on_the_double("double::child_scales_a_picture", failing);
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(out.contains(&format!("class {class}\n")), "{failing}: {out}");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains("double: nothing leaked"), "{failing}: {err}");
    }
}

/// What `failures_have_their_class` starts; by itself it says how scaling goes here.
#[test]
fn child_scales_a_picture() {
    use headframe_kernels::cuda::{self, CudaError, CudaLadder, DevicePicture, Gpu, Job, Layout};
    use headframe_kernels::{Filter, Format, Source};
    let scale = || -> Result<(), CudaError> {
        let gpu = Gpu::open(cuda::devices()?[0].uuid)?;
        let queue = gpu.queue()?;
        let source = Source { width: 64, height: 36, format: Format::Nv12 };
        let scaler = CudaLadder::new(&gpu, source, &[(32, 18)], Filter::CatmullRom, Layout::Nv12)?;
        let picture = DevicePicture::new(&gpu, source)?;
        let mut outputs = [DevicePicture::new(&gpu, Source { width: 32, height: 18, ..source })?];
        scaler.scale(&queue, &mut [Job { source: &picture, outputs: &mut outputs }])?;
        queue.finish()
    };
    match scale() {
        Ok(()) => println!("scaled"),
        Err(error) => println!("{error}\nclass {:?}", error.class()),
    }
}
