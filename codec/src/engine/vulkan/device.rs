//! An open device, what is kept warm on it, and what it did.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use headframe_kernels::vulkan::{Choice, Class as Kind, Error, Finish, Gpu, LadderScaler};
use headframe_kernels::{Orientation, Source, SourceRef, Yuv420Mut};

use super::super::FILTER;
use super::{CHECKED, Done, Failure, Made, proof};
use crate::error::Class;

/// Ladders kept, each of which holds a source picture and all of its rungs, twice: some 15 MB for 1080p. The streams of
/// a worker are of few kinds.
const KEPT: usize = 4;

/// A device of this machine that scales.
pub struct Device {
    gpu: Gpu,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one was used last.
    kept: Vec<(Orientation, LadderScaler)>,
    /// Pictures that it scaled in all.
    pictures: u64,
    done: Done,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Device").field(self.gpu.info()).finish()
    }
}

impl Device {
    /// Opens the device with this name or UUID.
    pub fn open(name: &str) -> Result<Self, String> {
        let gpu = Gpu::open(&Choice::Named(name.to_owned())).map_err(|error| error.to_string())?;
        Ok(Self { gpu, state: Mutex::default() })
    }

    /// Its name and driver.
    pub fn describe(&self) -> String {
        let info = self.gpu.info();
        format!("{} ({})", info.name, info.driver)
    }

    /// Whether it computes what the processor does, with pictures of every kind that takes another way. What a driver loads
    /// or compiles when it is first used is there then.
    pub fn works(&self) -> Result<(), String> {
        proof::equals(self)
    }

    /// What it did since this was last asked.
    pub fn take_done(&self) -> Done {
        std::mem::take(&mut self.lock().done)
    }

    /// One picture to rungs of these sizes, as they are shown.
    pub(super) fn scale(
        &self,
        source: &SourceRef<'_>,
        orientation: Orientation,
        sizes: &[(u32, u32)],
        out: &mut [Yuv420Mut<'_>],
    ) -> Made {
        let began = Instant::now();
        let mut state = self.lock();
        let scaled = self.scaler(&mut state.kept, source.source(), orientation, sizes);
        match scaled.and_then(|scaler| scaler.scale(source, out)) {
            Ok(()) => {
                state.done.pictures += 1;
                state.done.took += began.elapsed();
                state.pictures += 1;
                if state.pictures % CHECKED == 1 { Made::ToCheck } else { Made::All }
            }
            Err(error) => {
                // Its memory may be what is missing.
                state.kept.clear();
                state.done.left += 1;
                drop(state);
                self.failed(Failure { class: class(&error), reason: error.to_string() });
                Made::Nothing
            }
        }
    }

    /// The scaler for such pictures: one that was kept, or a new one.
    fn scaler<'a>(
        &self,
        kept: &'a mut Vec<(Orientation, LadderScaler)>,
        source: Source,
        orientation: Orientation,
        sizes: &[(u32, u32)],
    ) -> Result<&'a mut LadderScaler, Error> {
        let fits = |(turned, scaler): &(Orientation, LadderScaler)| {
            *turned == orientation && scaler.source() == source && scaler.outputs() == sizes
        };
        let scaler = match kept.iter().position(fits) {
            Some(at) => kept.remove(at),
            None => {
                if kept.len() >= KEPT {
                    kept.remove(0);
                }
                let finish = Finish { orientation, ..Finish::default() };
                (orientation, LadderScaler::with_finish(&self.gpu, source, sizes, FILTER, &finish)?)
            }
        };
        kept.push(scaler);
        let last = kept.len() - 1;
        Ok(&mut kept[last].1)
    }

    /// A picture was left to the processor.
    pub(super) fn left(&self) {
        self.lock().done.left += 1;
    }

    /// The first reason is the one that counts.
    pub(super) fn failed(&self, failure: Failure) {
        self.lock().done.failure.get_or_insert(failure);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn class(error: &Error) -> Class {
    match error.class() {
        Kind::Input => Class::Input,
        Kind::Capacity => Class::Capacity,
        Kind::Unavailable | Kind::Device => Class::Device,
    }
}
