//! Which libraries a driver has, and the doubles that stand in for them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A library as it is looked for, and the name of its double.
pub const LIBRARIES: [(&str, &str); 4] = [
    ("libcuda.so.1", "cuda"),
    ("libnvcuvid.so.1", "cuvid"),
    ("libnvidia-encode.so.1", "nvenc"),
    ("libnvidia-ml.so.1", "nvml"),
];

/// The file that stands in for a double, where the environment names one: `HEADFRAME_REAL_CUDA` and so on, for a run on a
/// machine with a card. Nothing can be told to it, and it tells nothing.
pub fn real(name: &str) -> Option<PathBuf> {
    std::env::var_os(format!("HEADFRAME_REAL_{}", name.to_uppercase())).map(PathBuf::from)
}

/// Copies the doubles of these names, or links to what is [`real`], into a folder, as a driver that a test has to itself. They must be dependencies of the test:
/// cargo puts them beside it.
///
/// # Panics
/// If one is not there or cannot be copied.
pub fn install(folder: &Path, names: &[&str]) {
    let built = std::env::current_exe().unwrap_or_else(|error| panic!("where this test is: {error}"));
    for (file, name) in LIBRARIES.into_iter().filter(|(_, name)| names.contains(name)) {
        let double = built.with_file_name(format!("libheadframe_double_{name}.so"));
        let put = match real(name) {
            Some(real) => symlink(&real, folder.join(file)).map_err(|error| (real, error)),
            None => std::fs::copy(&double, folder.join(file)).map(|_| ()).map_err(|error| (double, error)),
        };
        put.unwrap_or_else(|(file, error)| panic!("{}: {error}", file.display()));
    }
}
