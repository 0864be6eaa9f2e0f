//! Opening a driver library, and finding functions in it.
#![allow(unsafe_code, reason = "running a library's initialisers and taking its word for a function's type")]

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use thiserror::Error;

/// Where driver libraries are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    /// Where the system's loader finds them: the driver's own.
    #[default]
    System,
    /// In this folder and nowhere else. A file that is not there counts as not installed.
    Folder(PathBuf),
}

impl Source {
    fn path(&self, file: &str) -> OsString {
        match self {
            Self::System => file.into(),
            Self::Folder(folder) => folder.join(file).into(),
        }
    }
}

/// Why a library cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// It is not there, or not a library.
    #[error("{file} cannot be opened: {reason}")]
    Open {
        /// The library.
        file: String,
        /// The loader's words.
        reason: String,
    },
    /// It is too old, or something else under this name.
    #[error("{file} has no function {function}: the driver is too old")]
    Function {
        /// The library.
        file: String,
        /// What was looked for.
        function: String,
    },
}

/// An open library. It is never closed: the driver has threads of its own which would go on in memory that is gone.
pub(crate) struct Library {
    file: &'static str,
    handle: ManuallyDrop<libloading::Library>,
}

impl Library {
    pub(crate) fn open(source: &Source, file: &'static str) -> Result<Self, LoadError> {
        // SAFETY: initialisers of NVIDIA's driver libraries (or of what stands in for them in a test's own folder) have no
        // preconditions.
        let opened = unsafe { libloading::Library::new(source.path(file)) };
        let handle = opened.map_err(|error| LoadError::Open { file: file.into(), reason: error.to_string() })?;
        Ok(Self { file, handle: ManuallyDrop::new(handle) })
    }

    /// The function of this name, which the caller says has type `F`, a function pointer.
    pub(crate) fn function<F: Copy>(&self, name: &str) -> Result<F, LoadError> {
        // SAFETY: `F` is the function's type in the library's header, written down once in this crate's tables. The copy may
        // outlive the handle, because the library is never closed.
        let found = unsafe { self.handle.get::<F>(name.as_bytes()) };
        match found {
            Ok(symbol) => Ok(*symbol),
            Err(_) => Err(LoadError::Function { file: self.file.into(), function: name.into() }),
        }
    }
}

/// Every library of the driver that is used.
const LIBRARIES: [&str; 4] = ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-ml.so.1"];

/// Those of the driver's libraries that are test doubles and say so themselves: what is measured over them says nothing
/// about a card.
pub fn doubles(source: &Source) -> Vec<&'static str> {
    let is_double = |file: &&'static str| {
        // Every double has a function to be asked with; nothing of NVIDIA's has one of this name. It is not called.
        Library::open(source, file)
            .is_ok_and(|it| it.function::<unsafe extern "C" fn()>("headframe_double_report").is_ok())
    };
    LIBRARIES.into_iter().filter(is_double).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_has_no_library() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Folder(folder.path().to_owned());
        let error = crate::cuda::Cuda::load(&source).err().unwrap();
        assert!(matches!(&error, LoadError::Open { file, .. } if file == "libcuda.so.1"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libnvidia-encode.so.1"), "not a library").unwrap();
        let source = Source::Folder(folder.path().to_owned());
        assert!(matches!(crate::nvenc::Nvenc::load(&source), Err(LoadError::Open { .. })));
    }

    #[test]
    fn a_library_without_the_functions_is_too_old() {
        // Any library at all will do for one that has none of them.
        let folder = tempfile::tempdir().unwrap();
        let own = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = own.lines().find_map(|line| line.split_whitespace().nth(5).filter(|path| path.contains("/libc.so")));
        std::os::unix::fs::symlink(libc.unwrap(), folder.path().join("libcuda.so.1")).unwrap();
        let source = Source::Folder(folder.path().to_owned());
        let error = crate::cuda::Cuda::load(&source).err().unwrap();
        assert_eq!(error.to_string(), "libcuda.so.1 has no function cuInit: the driver is too old");
    }
}
