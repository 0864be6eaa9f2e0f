//! No device: this program was built without the feature `vulkan`.

use headframe_kernels::{Orientation, SourceRef, Yuv420Mut};

use super::{Done, Failure, Made};

/// Never there.
#[derive(Debug)]
pub enum Device {}

impl Device {
    /// Fails.
    pub fn open(_name: &str) -> Result<Self, String> {
        Err("this headframe-codec was built without Vulkan (cargo's feature `vulkan`)".to_owned())
    }

    /// Its name and driver.
    pub fn describe(&self) -> String {
        match *self {}
    }

    /// Whether it computes what the processor does.
    pub fn works(&self) -> Result<(), String> {
        match *self {}
    }

    /// What it did since this was last asked.
    pub fn take_done(&self) -> Done {
        match *self {}
    }

    pub(super) fn scale(
        &self,
        _source: &SourceRef<'_>,
        _orientation: Orientation,
        _sizes: &[(u32, u32)],
        _out: &mut [Yuv420Mut<'_>],
    ) -> Made {
        match *self {}
    }

    pub(super) fn left(&self) {
        match *self {}
    }

    pub(super) fn failed(&self, _failure: Failure) {
        match *self {}
    }
}
