//! What a double is told, what it counts, and what it saw.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::System;

/// The book of one double.
///
/// It is told `key`, `value` by [`set`](Self::set), or by an environment variable `HEADFRAME_DOUBLE_NAME` (the double's name
/// in capitals) with `key=value` joined by semicolons:
/// - `fault`: `FUNCTION=CODE`, then if wanted `@SKIP` (calls that still succeed) and `xTIMES` (calls that fail, otherwise
///   all). `*` means every function.
/// - `hang`: a function that does not return until `release`.
/// - `stray`: `FUNCTION=NUMBER`, a system call without arguments that the function makes each time.
/// - `clear`: forgets faults, and that any struck.
/// - `client`: `ffmpeg`, or nothing again, see [`is_for_ffmpeg`](Self::is_for_ffmpeg).
/// - `system`: the number of the [`System`] that it is a part of.
/// - all others are the double's own.
pub struct Ledger {
    name: &'static str,
    inner: Mutex<Option<Inner>>,
    released: Condvar,
}

#[derive(Default)]
struct Inner {
    values: BTreeMap<String, String>,
    system: Option<&'static System>,
    faults: Vec<Fault>,
    hang: Option<String>,
    hanging: u32,
    stray: Option<(String, i64)>,
    calls: BTreeMap<&'static str, u64>,
    violations: Vec<String>,
    struck: bool,
}

struct Fault {
    function: String,
    code: u32,
    skip: u64,
    times: u64,
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        let (function, rest) = text.split_once('=')?;
        let (rest, times) = rest.split_once('x').map_or((rest, None), |(rest, times)| (rest, Some(times)));
        let (code, skip) = rest.split_once('@').map_or((rest, None), |(code, skip)| (code, Some(skip)));
        Some(Self {
            function: function.into(),
            code: code.parse().ok()?,
            skip: skip.map_or(Some(0), |skip| skip.parse().ok())?,
            times: times.map_or(Some(u64::MAX), |times| times.parse().ok())?,
        })
    }

    /// The code, if this call is one that fails.
    fn strike(&mut self, function: &str) -> Option<u32> {
        if (self.function != "*" && self.function != function) || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.code)
    }
}

impl Ledger {
    /// An empty book.
    pub const fn new(name: &'static str) -> Self {
        Self { name, inner: Mutex::new(None), released: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Inner>> {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            let mut inner = Inner::default();
            let told = std::env::var(format!("HEADFRAME_DOUBLE_{}", self.name.to_uppercase())).unwrap_or_default();
            for (key, value) in told.split(';').filter_map(|pair| pair.split_once('=')) {
                if !inner.set(key, value) {
                    inner.violations.push(format!("told something unknown: {key}={value}"));
                }
            }
            *guard = Some(inner);
        }
        guard
    }

    fn with<T>(&self, run: impl FnOnce(&mut Inner) -> T) -> T {
        run(self.lock().get_or_insert_default())
    }

    /// Tells it something; says whether it was understood.
    pub fn set(&self, key: &str, value: &str) -> bool {
        let known = self.with(|inner| inner.set(key, value));
        self.released.notify_all();
        known
    }

    /// A value that it was told.
    pub fn value(&self, key: &str) -> Option<String> {
        self.with(|inner| inner.values.get(key).cloned())
    }

    /// A number that it was told, or this one.
    pub fn number(&self, key: &str, otherwise: u64) -> u64 {
        self.value(key).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    /// The machine that it is a part of, if that is modelled.
    pub fn system(&self) -> Option<&'static System> {
        self.with(|inner| inner.system)
    }

    /// Whether it was told that FFmpeg is the client: a double then takes what FFmpeg leaves out, because drivers do. Our own
    /// engine is held to more.
    pub fn is_for_ffmpeg(&self) -> bool {
        self.value("client").as_deref() == Some("ffmpeg")
    }

    /// Every function of a double begins with this. The error is the code to be returned instead of doing anything.
    pub fn enter(&self, function: &'static str) -> Result<(), u32> {
        let mut guard = self.lock();
        if let Some((_, number)) = guard.get_or_insert_default().stray.as_ref().filter(|(of, _)| of == function) {
            call_system(*number);
        }
        let mut counted = false;
        loop {
            let inner = guard.get_or_insert_default();
            if !counted {
                *inner.calls.entry(function).or_default() += 1;
                counted = true;
            }
            if inner.hang.as_deref() != Some(function) {
                return match inner.faults.iter_mut().find_map(|fault| fault.strike(function)) {
                    Some(code) => {
                        inner.struck = true;
                        Err(code)
                    }
                    None => Ok(()),
                };
            }
            if inner.hanging == 0 {
                eprintln!("double {}: {function} hangs", self.name);
            }
            inner.hanging += 1;
            guard = self.released.wait(guard).unwrap_or_else(PoisonError::into_inner);
            guard.get_or_insert_default().hanging -= 1;
        }
    }

    /// A fault has struck since the last `clear`: what follows may be out of order.
    pub fn struck(&self) -> bool {
        self.with(|inner| inner.struck)
    }

    /// Writes down that something was done wrong.
    pub fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.with(|inner| {
            if inner.violations.len() < 100 {
                inner.violations.push(what);
            }
        });
    }

    /// With `HEADFRAME_DOUBLES_STRICT` in the environment: ends the process with exit code 86 if something was done wrong or
    /// not given back, after saying what.
    pub fn judge_at_exit(&self, live: &[(&str, usize)]) {
        if std::env::var_os("HEADFRAME_DOUBLES_STRICT").is_none() {
            return;
        }
        let report = self.report(live);
        let bad = |line: &&str| line.starts_with("live ") || line.starts_with("violation ");
        let wrong: Vec<&str> = report.lines().filter(bad).collect();
        if !wrong.is_empty() {
            eprintln!("double {}: {}", self.name, wrong.join("; "));
            end(86);
        }
    }

    /// All that was seen, a line each.
    pub fn report(&self, live: &[(&str, usize)]) -> String {
        let mut text = String::new();
        for (kind, count) in live.iter().filter(|(_, count)| *count > 0) {
            let _ = writeln!(text, "live {count} {kind}");
        }
        self.with(|inner| {
            for violation in &inner.violations {
                let _ = writeln!(text, "violation {violation}");
            }
            for (function, count) in &inner.calls {
                let _ = writeln!(text, "call {count} {function}");
            }
            let _ = writeln!(text, "hanging {}", inner.hanging);
        });
        text
    }
}

/// A system call without arguments, whatever comes of it.
#[allow(unsafe_code, reason = "calls by number have no safe interface")]
fn call_system(number: i64) {
    // SAFETY: no memory is passed, and tests choose calls that do nothing without arguments.
    unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
}

/// Ends the process at once: it is exiting already, and destructors have run.
#[allow(unsafe_code, reason = "the standard library has no such function")]
fn end(code: i32) {
    // SAFETY: no preconditions; does not return.
    unsafe { libc::_exit(code) };
}

impl Inner {
    fn set(&mut self, key: &str, value: &str) -> bool {
        match key {
            "fault" => match Fault::parse(value) {
                Some(fault) => self.faults.push(fault),
                None => return false,
            },
            "clear" => {
                self.faults.clear();
                self.struck = false;
            }
            "hang" => self.hang = Some(value.into()),
            "release" => self.hang = None,
            "stray" => {
                let stray = value.split_once('=').and_then(|(of, number)| Some((of.to_owned(), number.parse().ok()?)));
                self.stray = stray;
                return self.stray.is_some();
            }
            // Attached at once: later a sandbox may be in the way.
            "system" => {
                self.system = value.parse().ok().and_then(System::of);
                return self.system.is_some();
            }
            "client" if !["", "ffmpeg"].contains(&value) => return false,
            _ => {
                self.values.insert(key.into(), value.into());
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_when_they_are_due() {
        let ledger = Ledger::new("test");
        assert!(ledger.set("fault", "f=10@2x1"));
        let outcomes: Vec<_> = (0..4).map(|_| ledger.enter("f").err()).collect();
        assert_eq!(outcomes, [None, None, Some(10), None]);
        assert!(ledger.enter("g").is_ok());
        assert!(ledger.set("fault", "*=5"));
        assert_eq!((ledger.enter("f"), ledger.enter("g")), (Err(5), Err(5)));
        assert!(ledger.set("clear", "") && ledger.enter("f").is_ok());
        assert!(!ledger.set("fault", "f") && !ledger.set("fault", "f=x"));
    }

    #[test]
    fn nobody_is_taken_for_ffmpeg_who_is_not_said_to_be() {
        let ledger = Ledger::new("test");
        assert!(!ledger.is_for_ffmpeg());
        assert!(ledger.set("client", "ffmpeg") && ledger.is_for_ffmpeg());
        assert!(!ledger.set("client", "other") && ledger.is_for_ffmpeg());
        assert!(ledger.set("client", "") && !ledger.is_for_ffmpeg());
    }

    #[test]
    fn the_report_says_what_lives_and_what_was_wrong() {
        let ledger = Ledger::new("test");
        ledger.violation("freed twice");
        assert!(ledger.enter("f").is_ok());
        assert_eq!(
            ledger.report(&[("memory", 2), ("context", 0)]),
            "live 2 memory\nviolation freed twice\ncall 1 f\nhanging 0\n"
        );
    }
}
