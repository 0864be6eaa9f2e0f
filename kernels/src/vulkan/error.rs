//! What can go wrong on a device, and whose turn it is then.

use thiserror::Error;
use vulkano::buffer::AllocateBufferError;
use vulkano::memory::allocator::MemoryAllocatorError;
use vulkano::{Validated, VulkanError};

use crate::metric::ShapeMismatch;
use crate::scale::ScaleError;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// This machine cannot do it at all: no loader, no driver, no such device. Use the processor.
    Unavailable,
    /// What was asked is at fault: no machine will do better.
    Input,
    /// More than the device holds now, or ever. Ask for less, or use another device.
    Capacity,
    /// The device or its driver does not work any more. End this process and start another one.
    Device,
}

/// Why something could not be done with a device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The Vulkan loader is not installed, or broken.
    #[error("no Vulkan loader: {reason}; install libvulkan1 (Debian's name)")]
    NoLoader {
        /// What the system says.
        reason: String,
    },
    /// There is a loader, but no driver that works.
    #[error("no Vulkan driver: {reason}; install the one of the graphics card, or mesa-vulkan-drivers")]
    NoDriver {
        /// What the loader says.
        reason: String,
    },
    /// No device fits the choice.
    #[error("no Vulkan device is {wanted}; there are: {found}")]
    NoDevice {
        /// The choice in words.
        wanted: String,
        /// Names of those that are there.
        found: String,
    },
    /// Sizes that cannot be scaled, or a picture that does not fit the scaler.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// Planes that cannot be compared.
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
    /// Work for one device was handed to another.
    #[error("the scalers of one submission are on several devices")]
    SeveralDevices,
    /// More than the device or the shaders can address.
    #[error("{needed} {what} are needed, the device takes {limit}")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How many are needed.
        needed: u64,
        /// How many are possible.
        limit: u64,
    },
    /// No memory was to be had.
    #[error("{what}: out of memory on the device or in the driver")]
    Memory {
        /// What was being done.
        what: &'static str,
    },
    /// The device was lost, now or earlier.
    #[error("the device was lost; see the kernel's log for the reason")]
    Lost,
    /// The device does not come to an end.
    #[error("the device did not finish within {seconds} s")]
    Hung {
        /// How long was waited.
        seconds: u64,
    },
    /// The driver refused for another reason.
    #[error("{what}: {reason}")]
    Driver {
        /// What was being done.
        what: &'static str,
        /// What the driver says.
        reason: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NoLoader { .. } | Self::NoDriver { .. } | Self::NoDevice { .. } => Class::Unavailable,
            Self::Scale(_) | Self::Shape(_) | Self::SeveralDevices => Class::Input,
            Self::TooLarge { .. } | Self::Memory { .. } => Class::Capacity,
            Self::Lost | Self::Hung { .. } | Self::Driver { .. } => Class::Device,
        }
    }
}

/// What the library's errors mean; `what` was being done.
pub(super) trait Explain {
    fn explain(self, what: &'static str) -> Error;
}

impl Explain for VulkanError {
    fn explain(self, what: &'static str) -> Error {
        match self {
            Self::DeviceLost => Error::Lost,
            Self::OutOfHostMemory
            | Self::OutOfDeviceMemory
            | Self::OutOfPoolMemory
            | Self::FragmentedPool
            | Self::Fragmentation
            | Self::TooManyObjects
            | Self::MemoryMapFailed => Error::Memory { what },
            other => Error::Driver { what, reason: other.to_string() },
        }
    }
}

impl<E: Explain> Explain for Validated<E> {
    fn explain(self, what: &'static str) -> Error {
        match self {
            Self::Error(error) => error.explain(what),
            Self::ValidationError(error) => error.explain(what),
        }
    }
}

impl Explain for Box<vulkano::ValidationError> {
    fn explain(self, what: &'static str) -> Error {
        Error::Driver { what, reason: self.to_string() }
    }
}

impl Explain for AllocateBufferError {
    fn explain(self, what: &'static str) -> Error {
        match self {
            Self::CreateBuffer(error) | Self::BindMemory(error) => error.explain(what),
            Self::AllocateMemory(MemoryAllocatorError::AllocateDeviceMemory(error)) => error.explain(what),
            Self::AllocateMemory(error) => Error::Driver { what, reason: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_says_has_a_class() {
        let class = |error: VulkanError| error.explain("testing").class();
        assert_eq!(class(VulkanError::DeviceLost), Class::Device);
        assert_eq!(class(VulkanError::OutOfDeviceMemory), Class::Capacity);
        assert_eq!(class(VulkanError::OutOfHostMemory), Class::Capacity);
        assert_eq!(class(VulkanError::Unknown), Class::Device);
        let memory = MemoryAllocatorError::AllocateDeviceMemory(VulkanError::OutOfDeviceMemory.into());
        let error = Validated::Error(AllocateBufferError::AllocateMemory(memory)).explain("testing");
        assert_eq!(error, Error::Memory { what: "testing" });
        assert_eq!(Error::NoLoader { reason: String::new() }.class(), Class::Unavailable);
        assert_eq!(Error::from(ScaleError::Side { src: 0, dst: 1 }).class(), Class::Input);
    }
}
