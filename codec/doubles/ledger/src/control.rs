//! A test's side: tells a double what to do wrong, and reads what it saw.
#![allow(unsafe_code, reason = "opens a double and calls the two functions of its control")]

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int};
use std::mem::ManuallyDrop;
use std::path::Path;

/// A double that is, or will be, opened by the code under test: the same file is the same double.
pub struct Control {
    /// Never closed, as the code under test never closes it.
    library: ManuallyDrop<libloading::Library>,
}

/// What a double saw.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Objects that were not given back, by kind.
    pub live: BTreeMap<String, u64>,
    /// What was done wrong.
    pub violations: Vec<String>,
    /// Calls, by function.
    pub calls: BTreeMap<String, u64>,
    /// Calls that hang now.
    pub hanging: u64,
}

impl Control {
    /// Opens the double in this file.
    ///
    /// # Panics
    /// If there is none.
    pub fn open(file: &Path) -> Self {
        // SAFETY: a double has no initialisers that need anything.
        let library = unsafe { libloading::Library::new(file) };
        let library = library.unwrap_or_else(|error| panic!("no double in {}: {error}", file.display()));
        Self { library: ManuallyDrop::new(library) }
    }

    /// Tells it something.
    ///
    /// # Panics
    /// If it does not understand.
    pub fn set(&self, key: &str, value: &str) {
        type Set = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
        let (key, value) = (CString::new(key).unwrap_or_default(), CString::new(value).unwrap_or_default());
        // SAFETY: of this type in every double, see `export_control`.
        let set = unsafe { self.library.get::<Set>(b"headframe_double_set") };
        // SAFETY: two terminated texts.
        let known = set.is_ok_and(|set| unsafe { set(key.as_ptr(), value.as_ptr()) } != 0);
        assert!(known, "the double does not know {key:?} {value:?}");
    }

    /// What it saw so far.
    ///
    /// # Panics
    /// If it does not say, or too much: that nothing was seen must not pass for nothing wrong.
    pub fn report(&self) -> Report {
        type Read = unsafe extern "C" fn(*mut u8, usize) -> usize;
        let mut text = vec![0; 1 << 16];
        // SAFETY: of this type in every double, see `export_control`.
        let read = unsafe { self.library.get::<Read>(b"headframe_double_report") };
        let read = read.unwrap_or_else(|error| panic!("the double tells nothing: {error}"));
        // SAFETY: as many writable bytes as it says.
        let len = unsafe { read(text.as_mut_ptr(), text.len()) };
        assert!(len <= text.len(), "a report of {len} bytes");
        text.truncate(len);
        Report::parse(&String::from_utf8_lossy(&text))
    }
}

impl Report {
    fn parse(text: &str) -> Self {
        let mut report = Self::default();
        let counted = |rest: &str| {
            let (count, what) = rest.split_once(' ')?;
            Some((what.to_owned(), count.parse().ok()?))
        };
        for (kind, rest) in text.lines().filter_map(|line| line.split_once(' ')) {
            match kind {
                "live" => report.live.extend(counted(rest)),
                "call" => report.calls.extend(counted(rest)),
                "violation" => report.violations.push(rest.to_owned()),
                "hanging" => report.hanging = rest.parse().unwrap_or(0),
                _ => {}
            }
        }
        report
    }
}
