//! What the driver says when it cannot, and whose turn it is then.

use headframe_kernels::cuda::{Class as CudaClass, CudaError};
use headframe_nv_sys::cuda::{self, CUresult};
use headframe_nv_sys::nvenc::{self, NVENCSTATUS};
use headframe_nv_sys::{Api, LoadError};
use thiserror::Error;

use super::device::Device;
use crate::error::Class;

/// Why something could not be done with an NVIDIA card.
///
/// | [`class`](Self::class) | means | NVENC | CUDA and NVDEC |
/// | --- | --- | --- | --- |
/// | input | the stream is at fault | | invalid value or image while parsing or decoding; sizes that cannot be scaled |
/// | transient | try again | encoder or lock busy | not ready, card held by another process |
/// | capacity | no more of it here, or the chip cannot | session cap (out of memory, client key), no encoder, unsupported | out of memory, not supported |
/// | device | end this process, then this card | all others, also unknown ones | all others, also unknown ones |
///
/// What a code of CUDA means on every call, decoding or scaling, is written down once, in
/// [`headframe_kernels::cuda::CudaError::class`]; here are those that mean more to a decoder.
///
/// FFmpeg's codes say less: where its log has what the driver said, the error is that; otherwise what it does not support and
/// what it has no memory for is capacity, and the rest the device's.
///
/// A driver call that never returns has no error: the process that made it is ended from outside, and its segments are
/// tried again (`TranscodeError::WorkerDied`, transient).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NvidiaError {
    /// A library of the driver is missing or too old.
    #[error(transparent)]
    Library(#[from] LoadError),
    /// The driver's encoder library is older than any that is spoken here.
    #[error(
        "the driver speaks NVENC API {major}.{minor}; {} is the oldest that is known here (driver 470.57.02)",
        Api::V11_1
    )]
    TooOld {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// There is no such card, or none at all.
    #[error("no NVIDIA card {which}")]
    NoDevice {
        /// What was looked for.
        which: String,
    },
    /// A call of CUDA or the decoder failed.
    #[error("{call}: {name} (CUDA error {code})")]
    Cuda {
        /// The function.
        call: &'static str,
        /// `CUresult`.
        code: u32,
        /// The driver's name of it.
        name: String,
    },
    /// A call of the encoder failed.
    #[error("{call}: {reason} (NVENC status {code})")]
    Nvenc {
        /// The function.
        call: &'static str,
        /// `NVENCSTATUS`.
        code: u32,
        /// The driver's words, if it has any.
        reason: String,
    },
    /// FFmpeg could not, and nothing is known of what the driver said.
    #[error("{what}: code {code}{}{said}", if said.is_empty() { "" } else { ": " })]
    Ffmpeg {
        /// What it was asked for.
        what: &'static str,
        /// `AVERROR`.
        code: i32,
        /// What it wrote into its log.
        said: String,
    },
    /// The kernels that scale could not be loaded or run.
    #[error(transparent)]
    Kernels(#[from] CudaError),
    /// The driver answered something impossible.
    #[error("{call} gave {what}")]
    Nonsense {
        /// The function.
        call: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// This card or session cannot do what is asked.
    #[error("{what}")]
    Unsupported {
        /// What, in a sentence.
        what: String,
    },
    /// The stream exceeds a limit that it was opened with.
    #[error("{what}")]
    Stream {
        /// What, in a sentence.
        what: String,
    },
    /// Too many pictures or surfaces are held already.
    #[error("all {limit} {what} are in use")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there are.
        limit: usize,
    },
    /// An earlier error of this session left it in an unknown state.
    #[error("this {what} failed before and can only be closed")]
    Broken {
        /// Encoder session or decoder.
        what: &'static str,
    },
}

/// Calls that tell the driver what a session is to make.
const SETTING_UP: [&str; 3] = ["nvEncInitializeEncoder", "nvEncGetEncodePresetConfigEx", "nvEncReconfigureEncoder"];

/// Calls whose errors may be the stream's fault.
pub(super) const OF_STREAM: [&str; 2] = ["cuvidParseVideoData", "cuvidDecodePicture"];

impl NvidiaError {
    /// A session could not be opened because the system has no more of them. The cap of consumer cards counts the sessions
    /// of all processes on all cards, and drivers report it in two ways, of which one also means that memory ran out.
    pub fn no_more_sessions(&self) -> bool {
        let capped = [nvenc::NV_ENC_ERR_OUT_OF_MEMORY, nvenc::NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY];
        matches!(self, Self::Nvenc { call: "nvEncOpenEncodeSessionEx", code, .. } if capped.contains(&NVENCSTATUS(*code)))
    }

    /// The encoder had no room for what a session was to become.
    pub fn no_room(&self) -> bool {
        matches!(self, Self::Nvenc { code, .. } if NVENCSTATUS(*code) == nvenc::NV_ENC_ERR_OUT_OF_MEMORY)
    }

    /// The card has too little memory, where other things may have been too large or unknown to it.
    pub fn no_memory(&self) -> bool {
        match self {
            Self::Cuda { code, .. } | Self::Kernels(CudaError::Driver { code, .. }) => {
                CUresult(*code) == cuda::CUDA_ERROR_OUT_OF_MEMORY
            }
            Self::Ffmpeg { code, .. } => *code == -libc::ENOMEM,
            other => other.no_room(),
        }
    }

    /// Drivers say "unknown error" of streams that they do not like, and of cards that are lost. It is the stream's where the
    /// card still answers.
    pub(super) fn of_stream(self, device: &Device) -> Self {
        let unknown = matches!(&self, Self::Cuda { call, code, .. }
            if OF_STREAM.contains(call) && CUresult(*code) == cuda::CUDA_ERROR_UNKNOWN);
        match unknown && device.memory().is_ok() {
            true => Self::Stream { what: format!("the driver does not take this stream: {self}") },
            false => self,
        }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Library(_) | Self::TooOld { .. } | Self::NoDevice { .. } => Class::Device,
            Self::Nonsense { .. } | Self::Broken { .. } => Class::Device,
            Self::Unsupported { .. } | Self::Full { .. } => Class::Capacity,
            Self::Stream { .. } => Class::Input,
            Self::Cuda { call, code, .. } => {
                let of_stream = OF_STREAM.contains(call);
                match CUresult(*code) {
                    // Of a profile, say, of which a driver does not tell beforehand that the chip lacks it.
                    cuda::CUDA_ERROR_INVALID_VALUE if *call == "cuvidCreateDecoder" => Class::Capacity,
                    cuda::CUDA_ERROR_INVALID_VALUE | cuda::CUDA_ERROR_INVALID_IMAGE if of_stream => Class::Input,
                    CUresult(code) => class_of(&CudaError::Driver { call, code }),
                }
            }
            Self::Kernels(error) => class_of(error),
            Self::Ffmpeg { code, .. } => match -code {
                libc::ENOMEM | libc::ENOSYS | libc::ENOENT | libc::EINVAL => Class::Capacity,
                libc::EAGAIN => Class::Transient,
                _ if *code == ffmpeg_next::ffi::AVERROR_INVALIDDATA => Class::Input,
                _ => Class::Device,
            },
            Self::Nvenc { call, code, .. } => match NVENCSTATUS(*code) {
                nvenc::NV_ENC_ERR_LOCK_BUSY | nvenc::NV_ENC_ERR_ENCODER_BUSY => Class::Transient,
                // What it says to a size below its least, or to a level that the rate does not fit: of what was ordered.
                nvenc::NV_ENC_ERR_INVALID_PARAM if SETTING_UP.contains(call) => Class::Capacity,
                // Of the session, whose buffers its driver took for large enough.
                nvenc::NV_ENC_ERR_NOT_ENOUGH_BUFFER => Class::Transient,
                nvenc::NV_ENC_ERR_OUT_OF_MEMORY
                | nvenc::NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY
                | nvenc::NV_ENC_ERR_NO_ENCODE_DEVICE
                | nvenc::NV_ENC_ERR_UNSUPPORTED_DEVICE
                | nvenc::NV_ENC_ERR_UNSUPPORTED_PARAM
                | nvenc::NV_ENC_ERR_UNIMPLEMENTED => Class::Capacity,
                _ => Class::Device,
            },
        }
    }
}

/// What the kernels' classes mean here.
fn class_of(error: &CudaError) -> Class {
    match error {
        CudaError::Driver { code, .. } if CUresult(*code) == cuda::CUDA_ERROR_NOT_SUPPORTED => Class::Capacity,
        // As the CPU engine has it: sizes too far apart are the order's fault.
        CudaError::Plan(_) | CudaError::Scale(_) => Class::Input,
        _ => match error.class() {
            CudaClass::Capacity => Class::Capacity,
            CudaClass::Transient => Class::Transient,
            CudaClass::NotInstalled | CudaClass::NoDevice | CudaClass::Lost | CudaClass::Input => Class::Device,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_class_and_unknown_ones_are_the_devices() {
        let nvenc = |code| NvidiaError::Nvenc { call: "nvEncOpenEncodeSessionEx", code, reason: String::new() }.class();
        for (code, due) in [(10, Class::Capacity), (21, Class::Capacity), (1, Class::Capacity), (2, Class::Capacity)] {
            assert_eq!(nvenc(code), due, "{code}");
        }
        for (code, due) in [(13, Class::Transient), (18, Class::Transient), (12, Class::Capacity), (5, Class::Device)] {
            assert_eq!(nvenc(code), due, "{code}");
        }
        for code in [3, 8, 15, 20, 26, 999, u32::MAX] {
            assert_eq!(nvenc(code), Class::Device, "{code}");
        }
        for (call, due) in [("nvEncInitializeEncoder", Class::Capacity), ("nvEncEncodePicture", Class::Device)] {
            assert_eq!(NvidiaError::Nvenc { call, code: 8, reason: String::new() }.class(), due, "{call}");
        }
        assert_eq!(nvenc(14), Class::Transient);
        let cuda = |call, code| NvidiaError::Cuda { call, code, name: String::new() }.class();
        assert_eq!(cuda("cuvidParseVideoData", 1), Class::Input);
        assert_eq!(cuda("cuMemcpy2D_v2", 1), Class::Device);
        assert_eq!(cuda("cuMemAllocPitch_v2", 2), Class::Capacity);
        assert_eq!(cuda("cuvidCreateDecoder", 801), Class::Capacity);
        assert_eq!(cuda("cuvidCreateDecoder", 1), Class::Capacity);
        assert_eq!(cuda("cuCtxPushCurrent_v2", 600), Class::Transient);
        // A card in exclusive mode that another process holds, as the kernels' table has it.
        assert_eq!(cuda("cuDevicePrimaryCtxRetain", 46), Class::Transient);
        // The same codes mean the same where the kernels meet them.
        let kernels = |code| NvidiaError::from(CudaError::Driver { call: "cuLaunchKernel", code }).class();
        for (code, due) in [(2, Class::Capacity), (801, Class::Capacity), (600, Class::Transient), (700, Class::Device)]
        {
            assert_eq!(kernels(code), due, "{code}");
        }
        assert_eq!(NvidiaError::from(CudaError::NotInstalled).class(), Class::Device);
        assert_eq!(NvidiaError::from(CudaError::OtherCard).class(), Class::Device);
        let far = headframe_kernels::ScaleError::Ratio { src: 4096, dst: 16 };
        assert_eq!(NvidiaError::from(CudaError::from(far)).class(), Class::Input);
        for code in [100, 214, 304, 700, 702, 719, 999, 123_456] {
            assert_eq!(cuda("cuvidParseVideoData", code), Class::Device, "{code}");
        }
    }
}
