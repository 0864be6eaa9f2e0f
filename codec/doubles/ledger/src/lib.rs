//! What the test doubles of NVIDIA's driver libraries share. A double is a shared library that has the functions of a
//! driver's and is opened in its place by the code under test. It works on the CPU, takes nothing that the real one need
//! not take, and writes down what was done wrong. No double is ever installed or shipped.
//!
//! A test has a copy of each double's file in a folder of its own, so every test has a driver to itself. It speaks to a
//! double through [`Control`]; a child process is told by the environment, see [`Ledger`]. `README.md` in `codec/doubles`
//! says how to use them by hand.
#![deny(unsafe_code)]

mod control;
mod faults;
mod library;
mod sibling;
mod system;
mod table;

pub use control::{Control, Report};
pub use faults::Ledger;
pub use library::{LIBRARIES, install, real};
pub use sibling::cuda;
pub use system::{Engines, System, modelled, takes, wait_until};
pub use table::{Table, number, pointer};

/// Holds functions of a double against the types that the real ones have.
#[macro_export]
macro_rules! same_types {
    ($($name:ident),* $(,)?) => { $(const _: types::$name = $name;)* };
}

/// Exports functions that are only looked up. A call of one is written down as something done wrong, and returns the code.
#[macro_export]
macro_rules! looked_up {
    ($ledger:ident, $result:ty, $code:expr; $($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name() -> $result {
                $ledger.violation(concat!(stringify!($name), ", which this double does not do"));
                $code
            }
        )*
    };
}

/// Exports the functions by which a test speaks to a double.
#[macro_export]
macro_rules! export_control {
    ($ledger:expr, $live:expr) => {
        /// Tells the double something: two terminated texts.
        ///
        /// # Safety
        /// Both must point to terminated texts.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn headframe_double_set(
            key: *const ::std::ffi::c_char,
            value: *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: the caller's promise.
            let (key, value) = unsafe { (::std::ffi::CStr::from_ptr(key), ::std::ffi::CStr::from_ptr(value)) };
            ::std::ffi::c_int::from($ledger.set(&key.to_string_lossy(), &value.to_string_lossy()))
        }

        /// Writes what the double saw, as much of it as there is room for, and gives the length of all of it.
        ///
        /// # Safety
        /// `buffer` must have `len` writable bytes.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn headframe_double_report(buffer: *mut u8, len: usize) -> usize {
            let text = $ledger.report(&$live);
            // SAFETY: the caller's promise; no more than `len` bytes.
            unsafe { ::std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, text.len().min(len)) };
            text.len()
        }

        extern "C" fn headframe_double_at_exit() {
            $ledger.judge_at_exit(&$live);
        }

        // Run when the process exits in good order, as the driver's own clean-up is.
        #[used]
        #[unsafe(link_section = ".fini_array")]
        static AT_EXIT: extern "C" fn() = headframe_double_at_exit;
    };
}
