//! What can go wrong on a card, and what to do about it.

use std::ffi::CStr;

use super::device::Uuid;
use super::plan::PlanError;
use crate::metric::ShapeMismatch;
use crate::scale::ScaleError;
use crate::source::Source;
use cudarc::driver::sys::CUresult;
use thiserror::Error;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// There is no usable driver: use another engine.
    NotInstalled,
    /// There is no such card: use another one.
    NoDevice,
    /// The card is full: do less at once.
    Capacity,
    /// The same call may work a little later.
    Transient,
    /// The context is gone, with everything in it: end the process and start another.
    Lost,
    /// The arguments do not fit together: a mistake of the caller.
    Input,
}

/// Why something could not be done on a card.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CudaError {
    /// No libcuda.
    #[error("NVIDIA's driver is not installed: libcuda.so.1 was not found")]
    NotInstalled,
    /// A libcuda that lacks something.
    #[error("NVIDIA's driver is too old: its libcuda has no {missing}; 525 or later is needed")]
    DriverTooOld {
        /// The function.
        missing: &'static str,
    },
    /// A driver without cards.
    #[error("NVIDIA's driver sees no card")]
    NoDevice,
    /// Not this card.
    #[error("there is no card {uuid}")]
    UnknownDevice {
        /// The one asked for.
        uuid: Uuid,
    },
    /// A card from before Pascal, or the first one of it.
    #[error("{name} has compute capability {major}.{minor}; 6.1 or later is needed")]
    CardTooOld {
        /// The card.
        name: String,
        /// Its compute capability.
        major: i32,
        /// Its compute capability.
        minor: i32,
    },
    /// A call of the driver failed.
    #[error("{call}: {} ({code})", name_of(*code))]
    Driver {
        /// The function.
        call: &'static str,
        /// What it returned, also where this version knows no name for it.
        code: u32,
    },
    /// No such ladder.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Pictures that are not what the scaler was made for.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// Planes of different shapes.
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
    /// A picture that cannot be, or not where it is said to be.
    #[error("{picture:?}: {reason}")]
    Picture {
        /// The picture.
        picture: Source,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Things of two cards in one call.
    #[error("a picture or queue belongs to another card")]
    OtherCard,
}

impl CudaError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NotInstalled | Self::DriverTooOld { .. } => Class::NotInstalled,
            Self::NoDevice | Self::UnknownDevice { .. } | Self::CardTooOld { .. } => Class::NoDevice,
            Self::Driver { code, .. } => class_of(*code),
            Self::Plan(_) | Self::Scale(_) | Self::Shape(_) | Self::Picture { .. } | Self::OtherCard => Class::Input,
        }
    }
}

/// Codes that mean the same on every call. Whatever is unknown counts as the worst.
fn class_of(code: u32) -> Class {
    use CUresult as R;
    let is = |codes: &[CUresult]| codes.iter().any(|known| *known as u32 == code);
    if is(&[R::CUDA_ERROR_OUT_OF_MEMORY, R::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES])
        || is(&[R::CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, R::CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED])
    {
        Class::Capacity
    } else if is(&[R::CUDA_ERROR_NOT_READY, R::CUDA_ERROR_SYSTEM_NOT_READY, R::CUDA_ERROR_MPS_SERVER_NOT_READY])
        // A card in exclusive mode that another process holds.
        || is(&[R::CUDA_ERROR_DEVICE_UNAVAILABLE])
    {
        Class::Transient
    } else if is(&[R::CUDA_ERROR_NO_DEVICE, R::CUDA_ERROR_INVALID_DEVICE, R::CUDA_ERROR_DEVICE_NOT_LICENSED]) {
        Class::NoDevice
    } else if is(&[R::CUDA_ERROR_STUB_LIBRARY, R::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH])
        || is(&[R::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, R::CUDA_ERROR_UNSUPPORTED_PTX_VERSION])
        // What a driver without its JIT compiler says to PTX.
        || is(&[R::CUDA_ERROR_JIT_COMPILER_NOT_FOUND, R::CUDA_ERROR_NO_BINARY_FOR_GPU])
    {
        Class::NotInstalled
    } else {
        Class::Lost
    }
}

/// The driver's own name for a code.
fn name_of(code: u32) -> String {
    let Ok(driver) = super::driver::driver() else { return "unknown".into() };
    let mut name = std::ptr::null();
    // SAFETY: `name` is a place for one pointer; the function reads no memory of ours.
    let status = unsafe { (driver.error_name)(code, &mut name) };
    if status != 0 || name.is_null() {
        return "unknown".into();
    }
    // SAFETY: the driver gave a pointer to a constant string of its own.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_class() {
        let class = |code: u32| CudaError::Driver { call: "cuLaunchKernel", code }.class();
        assert_eq!([2, 701].map(class), [Class::Capacity; 2]);
        assert_eq!([100, 101].map(class), [Class::NoDevice; 2]);
        assert_eq!([46, 600, 802].map(class), [Class::Transient; 3]);
        assert_eq!([34, 222, 803].map(class), [Class::NotInstalled; 3]);
        // Illegal address, launch failure, uncorrectable memory error, unknown, and what no version knows yet.
        assert_eq!([700, 719, 214, 999, 4711].map(class), [Class::Lost; 5]);
    }
}
