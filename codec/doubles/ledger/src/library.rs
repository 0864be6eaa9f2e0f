//! Which libraries a driver has, and the doubles that stand in for them.

use std::path::Path;

/// A library as it is looked for, and the name of its double.
pub const LIBRARIES: [(&str, &str); 4] = [
    ("libcuda.so.1", "cuda"),
    ("libnvcuvid.so.1", "cuvid"),
    ("libnvidia-encode.so.1", "nvenc"),
    ("libnvidia-ml.so.1", "nvml"),
];

/// Copies the doubles of these names into a folder, as a driver that a test has to itself. They must be dependencies of the test:
/// cargo puts them beside it.
///
/// # Panics
/// If one is not there or cannot be copied.
pub fn install(folder: &Path, names: &[&str]) {
    let built = std::env::current_exe().unwrap_or_else(|error| panic!("where this test is: {error}"));
    for (file, name) in LIBRARIES.into_iter().filter(|(_, name)| names.contains(name)) {
        let double = built.with_file_name(format!("libheadframe_double_{name}.so"));
        std::fs::copy(&double, folder.join(file)).unwrap_or_else(|error| panic!("{}: {error}", double.display()));
    }
}
