//! Fast implementations, chosen at run time.
//!
//! `body` holds the loops in safe Rust, which the compiler vectorises for the base architecture (on 64-bit Arm that
//! includes NEON); `x86` has the passes written out for wider registers.

mod body;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector loads, and calls of functions compiled for more than the base instruction set")]
mod x86;

use std::sync::OnceLock;

use crate::plane::{PlaneMut, PlaneRef};
use crate::scale::Plan;

/// An instruction set the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What every machine of the architecture has.
    Portable,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// All of them, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this machine runs it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The fastest one this machine runs.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable))
    }
}

/// Scales one plane. `isa` must be available: both callers take it from [`Isa::best`] or test it. `row` has at least
/// `plan.row_len` samples.
pub(crate) fn scale_plane(isa: Isa, plan: &Plan, src: &PlaneRef<'_>, dst: &mut PlaneMut<'_>, row: &mut [i16]) {
    let passes = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &x86::AVX512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &x86::AVX2,
        _ => &body::PORTABLE,
    };
    body::scale_plane(passes, plan, src, dst, row);
}

/// Sum of squared differences of two planes of one shape.
pub fn squared_error(isa: Isa, a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 if isa.is_available() => x86::squared_error_avx2(a, b),
        _ => body::squared_error(a, b),
    }
}
