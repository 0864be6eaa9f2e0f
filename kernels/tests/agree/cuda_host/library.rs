//! `cu/host.cpp` as a shared library, compiled once for each run of the tests.

use headframe_kernels::cuda::batch::{Batch, Conversion, Pairs, Pictures, Shots};
use headframe_kernels::cuda::plan::Kernel;
use libloading::Library;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Memory that kernels may touch, as `cu/host.cpp` has it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Range {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) writable: u64,
}

type Scale = unsafe extern "C" fn(u64, *const Batch, u32, u32);
type Convert = unsafe extern "C" fn(*const Conversion, *const Pictures, u32, u32);

/// Its functions.
pub(crate) struct Host {
    scale: [Scale; 3],
    errors: unsafe extern "C" fn(*const Pairs, i32, u32, u32),
    windows: unsafe extern "C" fn(*const Pairs, u32, u32),
    convert: [Convert; 2],
    hash: unsafe extern "C" fn(*const Shots, u32, u32),
    declare: unsafe extern "C" fn(*const Range, u64, i32),
    faults: unsafe extern "C" fn() -> u64,
    layout: unsafe extern "C" fn(*mut u32) -> u32,
    /// Keeps them there.
    _library: Library,
}

pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::load(&compiled()))
}

fn compiled() -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cuda-host.so");
    compile("cu/host.cpp", &library);
    library
}

/// Makes a shared library of a C++ source of this crate.
pub(crate) fn compile(source: &str, library: &Path) {
    let folder = library.parent().unwrap();
    let ours = library.with_extension(format!("{}", std::process::id()));
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).pic(true).target(&triple).host(&triple).out_dir(folder);
    let mut command = build.cargo_metadata(false).get_compiler().to_command();
    command.args([
        "-shared",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=undefined",
        "-fsanitize-undefined-trap-on-error",
    ]);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let output = command.arg(source).arg("-o").arg(&ours).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&ours, library).unwrap();
}

impl Host {
    fn load(path: &Path) -> Self {
        // SAFETY: the library was compiled from our own source; it has no initialisers.
        let library = unsafe { Library::new(path) }.unwrap();
        fn get<T: Copy>(library: &Library, name: &str) -> T {
            // SAFETY: `T` is the type that `cu/host.cpp` gives the function; `Host` keeps the library loaded.
            *unsafe { library.get::<T>(name) }.unwrap()
        }
        Self {
            scale: Kernel::ALL.map(|kernel| get(&library, kernel.name())),
            errors: get(&library, "error_tiles"),
            windows: get(&library, "window_sums"),
            convert: [get(&library, "convert_luma"), get(&library, "convert_chroma")],
            hash: get(&library, "hash_rows"),
            declare: get(&library, "declare"),
            faults: get(&library, "faults_seen"),
            layout: get(&library, "layout"),
            _library: library,
        }
    }

    /// Runs `work` with memory that may be touched, items in order or `backwards`, and fails if others were.
    pub(crate) fn with(&self, ranges: &[Range], backwards: bool, what: &str, work: impl FnOnce(&Self)) {
        // SAFETY: the ranges outlive the launches of `work`, and no later launch comes without its own.
        unsafe { (self.declare)(ranges.as_ptr(), ranges.len() as u64, i32::from(backwards)) };
        work(self);
        // SAFETY: no arguments; reads a number of this thread.
        let faults = unsafe { (self.faults)() };
        // SAFETY: no ranges at all.
        unsafe { (self.declare)(std::ptr::null(), 0, 0) };
        assert_eq!(faults, 0, "memory was touched that is not the kernel's; {what}");
    }

    pub(crate) fn scale(&self, kernel: Kernel, plan: &[u32], batch: &Batch, blocks: u32, pictures: u32) {
        let function = self.scale[Kernel::ALL.iter().position(|other| *other == kernel).unwrap()];
        // SAFETY: it touches, beyond its parameters, only memory that `with` declared.
        unsafe { function(plan.as_ptr() as u64, batch, blocks, pictures) };
    }

    pub(crate) fn errors(&self, pairs: &Pairs, side: i32, blocks: u32, count: u32) {
        // SAFETY: as in `scale`.
        unsafe { (self.errors)(pairs, side, blocks, count) };
    }

    pub(crate) fn windows(&self, pairs: &Pairs, blocks: u32, count: u32) {
        // SAFETY: as in `scale`.
        unsafe { (self.windows)(pairs, blocks, count) };
    }

    /// Luma or chroma.
    pub(crate) fn convert(&self, kind: usize, conversion: &Conversion, pictures: &Pictures, blocks: u32, count: u32) {
        // SAFETY: as in `scale`.
        unsafe { (self.convert[kind])(conversion, pictures, blocks, count) };
    }

    pub(crate) fn hash(&self, shots: &Shots, blocks: u32, count: u32) {
        // SAFETY: as in `scale`.
        unsafe { (self.hash)(shots, blocks, count) };
    }

    /// Sizes and offsets in C, in the order of `cu/host.cpp`.
    pub(crate) fn layout(&self) -> Vec<usize> {
        let mut out = [0; 64];
        // SAFETY: it writes fewer than 64 numbers.
        let count = unsafe { (self.layout)(out.as_mut_ptr()) };
        out[..count as usize].iter().map(|size| *size as usize).collect()
    }
}
