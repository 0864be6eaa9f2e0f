//! Scaling by Vulkan compute on a graphics card without CUDA, while the processors decode and encode.
//!
//! Processor and device make the same samples ([`mod@headframe_kernels::reference`]), so either may scale any picture: where the
//! device cannot, the processor does from that picture on, and the bytes that come out are the same. Whether a device is
//! worth its while is measured on the machine ([`probe`]): each picture crosses its link twice.
//!
//! Every [`CHECKED`]th picture is scaled by the processor too. A card that computes something else, as overclocked ones do,
//! scales nothing any more.
//!
//! | file | knows |
//! | --- | --- |
//! | `device` | an open device: ladders that are kept warm, what it did, what failed |
//! | `absent` | the same in a program that was built without the feature `vulkan`: there is none |
//! | `proof` | whether a device computes what the processor does, and which of the two takes less |
//! | `probe` | which devices there are, and which one is worth its while |

#[cfg(not(feature = "vulkan"))]
mod absent;
#[cfg(feature = "vulkan")]
mod device;
mod probe;
#[cfg(feature = "vulkan")]
mod proof;

use std::time::Duration;

use headframe_kernels::{Orientation, SourceRef, Yuv420Mut};

use crate::error::Class;

#[cfg(not(feature = "vulkan"))]
pub use absent::Device;
#[cfg(feature = "vulkan")]
pub use device::Device;
pub use probe::{Chosen, Listed, Report, Times, probe};

/// Of so many pictures that a device scales, one is scaled by the processor too.
pub const CHECKED: u64 = 64;

/// What a device did for a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Pictures that it scaled to all rungs.
    pub pictures: u32,
    /// Pictures that were left to the processor.
    pub left: u32,
    /// Time from handing a picture over until its rungs were there, summed up.
    pub took: Duration,
    /// What went wrong first.
    pub failure: Option<Failure>,
}

/// Why a device did not scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose turn it is then.
    pub class: Class,
    /// In words.
    pub reason: String,
}

/// What a device made of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "vulkan"), expect(dead_code, reason = "where there is no device nothing is made"))]
pub(super) enum Made {
    /// All rungs.
    All,
    /// All rungs, and it is the turn of this picture to be made by the processor too.
    ToCheck,
    /// Nothing that may be used.
    Nothing,
}

/// A device while one segment is made.
pub(super) struct Turn<'a> {
    device: &'a Device,
    failed: bool,
}

impl<'a> Turn<'a> {
    pub(super) fn of(device: &'a Device) -> Self {
        Self { device, failed: false }
    }

    /// Scales a picture to rungs of these sizes, as they are shown.
    pub(super) fn scale(
        &mut self,
        source: &SourceRef<'_>,
        orientation: Orientation,
        sizes: &[(u32, u32)],
        out: &mut [Yuv420Mut<'_>],
    ) -> Made {
        if self.failed {
            self.device.left();
            return Made::Nothing;
        }
        let made = self.device.scale(source, orientation, sizes, out);
        self.failed = made == Made::Nothing;
        made
    }

    /// The processor made something else of the picture.
    pub(super) fn differs(&mut self) {
        self.failed = true;
        let reason = "it computed another picture than the processor".to_owned();
        self.device.failed(Failure { class: Class::Device, reason });
    }
}
