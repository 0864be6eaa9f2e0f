//! The compute shaders agree with the reference, bit for bit, on a device of this machine.
//!
//! Without further notice that is Mesa's software driver; `HEADFRAME_GPU=hardware`, or the name or UUID of a device, makes
//! it another. Where there is none, the tests say `skipped:` and pass, unless
//! `HEADFRAME_EXPECT_DEVICE` says that there must be one.
//!
//! `HEADFRAME_CASES=100000 cargo test -p headframe-kernels --features vulkan --test vulkan` for more cases than the quick
//! default; `HEADFRAME_SEED=N` begins with the N-th, so that a long run can be done in parts. A failure names its seed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../agree/cases.rs"]
mod cases;
mod finishes;
mod hashes;
mod ladders;
mod measures;
#[path = "../agree/noise.rs"]
mod noise;
#[path = "../agree/pictures.rs"]
#[allow(dead_code, reason = "shared with the tests of the processor's kernels, which need more of it")]
mod pictures;
mod refusals;

use headframe_kernels::vulkan::{Choice, Class, Gpu};
use std::sync::OnceLock;

const MISSING: &str = "Debian: mesa-vulkan-drivers";

/// What to test on.
fn choice() -> Choice {
    match std::env::var("HEADFRAME_GPU") {
        Err(_) => Choice::Software,
        Ok(name) if name == "hardware" => Choice::Hardware,
        Ok(name) => Choice::Named(name),
    }
}

/// The device to test on, one for all tests. `None` where there is none, and nothing else may go wrong.
fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let open = || match Gpu::open(&choice()) {
        Ok(gpu) => {
            let info = gpu.info();
            println!("on {} ({:?}, {})", info.name, info.kind, info.driver);
            Some(gpu)
        }
        Err(error) => {
            assert_eq!(error.class(), Class::Unavailable, "{error}");
            // Asked for by name it has to be there.
            assert_eq!(choice(), Choice::Software, "{error}");
            None
        }
    };
    let gpu = GPU.get_or_init(open).as_ref();
    if gpu.is_none() {
        assert!(std::env::var_os("HEADFRAME_EXPECT_DEVICE").is_none(), "no Vulkan software driver ({MISSING})");
        println!("skipped: no Vulkan software driver ({MISSING})");
    }
    gpu
}
