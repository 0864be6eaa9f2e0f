//! What FFmpeg writes into its log while it works for us: its codes alone do not tell what the driver said.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;

use ffmpeg_next::ffi;

#[cfg(target_arch = "x86_64")]
type Arguments = *mut ffi::__va_list_tag;
#[cfg(not(target_arch = "x86_64"))]
type Arguments = ffi::va_list;

/// More is not kept.
const MOST: usize = 2048;

thread_local! {
    /// Of the call that this thread is in.
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes a call of FFmpeg that must not make another one of these; gives what it warned of, too.
pub(super) fn listen<T>(call: impl FnOnce() -> T) -> (T, String) {
    static ONCE: Once = Once::new();
    // SAFETY: replaces one pointer of the library by a function that does as the one before it for all that is not listened to.
    ONCE.call_once(|| unsafe { ffi::av_log_set_callback(Some(hear)) });
    HEARD.set(Some(String::new()));
    let outcome = call();
    (outcome, HEARD.take().unwrap_or_default())
}

unsafe extern "C" fn hear(of: *mut c_void, level: c_int, format: *const c_char, arguments: Arguments) {
    // Nothing in here can panic: FFmpeg's frames are above.
    let listening = HEARD.try_with(|heard| heard.try_borrow().is_ok_and(|heard| heard.is_some()));
    if listening != Ok(true) {
        // SAFETY: the library's own arguments, passed on as they are.
        unsafe { ffi::av_log_default_callback(of, level, format, arguments) };
        return;
    }
    if level > ffi::AV_LOG_WARNING {
        return;
    }
    let (mut line, mut prefix) = ([0; 512], 0);
    // SAFETY: the library's own arguments, read once; the buffer has its length, and what is written is terminated.
    unsafe {
        ffi::av_log_format_line2(of, level, format, arguments, line.as_mut_ptr(), line.len() as c_int, &mut prefix)
    };
    // SAFETY: a local buffer, terminated by the call or zero from the start.
    let line = unsafe { CStr::from_ptr(line.as_ptr()) }.to_string_lossy();
    let _ = HEARD.try_with(|heard| {
        if let Ok(mut heard) = heard.try_borrow_mut()
            && let Some(heard) = heard.as_mut().filter(|heard| heard.len() + line.len() <= MOST)
        {
            heard.push_str(&line);
        }
    });
}
