//! Where a double finds the CUDA library that it works with.
#![allow(unsafe_code, reason = "asks the loader which file this code is from")]

use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use headframe_nv_sys::Source;
use headframe_nv_sys::cuda::Cuda;

/// The CUDA library beside the double, or the system's, if there is none: so that one double can work with a real driver.
pub fn cuda() -> Option<&'static Cuda> {
    static CUDA: OnceLock<Option<Cuda>> = OnceLock::new();
    let open = || {
        let beside = folder().map(|folder| Source::Folder(folder.to_owned()));
        beside.and_then(|source| Cuda::load(&source).ok()).or_else(|| Cuda::load(&Source::System).ok())
    };
    CUDA.get_or_init(open).as_ref()
}

/// The folder of the file that this code was loaded from.
fn folder() -> Option<&'static Path> {
    // SAFETY: plain integers and pointers, all of which may be zero.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; this one is in the double, into which this crate is linked.
    let found = unsafe { libc::dladdr(folder as *const c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own terminated text, which stays as long as the library, and that is never closed.
    let file = unsafe { CStr::from_ptr::<'static>(info.dli_fname) };
    Path::new(OsStr::from_bytes(file.to_bytes())).parent()
}
