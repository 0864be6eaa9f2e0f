//! Fast implementations, chosen at run time.
//!
//! `portable` is safe Rust; `avx2`, `avx512` and `neon` have the passes written out for wider registers, over weights
//! that `table` lays out for them. What they share is the shape: source rows mixed vertically into a row of `i16` whose
//! edges are then repeated on both sides, so that the horizontal pass needs no clamping; a few rows at a time, so that
//! the horizontal weights are loaded once for all of them.

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector loads, and calls of functions compiled for more than the base instruction set")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector loads, and calls of functions compiled for more than the base instruction set")]
mod avx512;
mod colour;
mod compare;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector loads, and calls of functions compiled for more than the base instruction set")]
mod compare_avx2;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
#[allow(unsafe_code, reason = "vector loads and stores")]
mod neon;
mod portable;
pub(crate) mod table;

use std::num::NonZeroUsize;
use std::sync::OnceLock;

use crate::convert::Conversion;
use crate::plane::{PlaneRef, Yuv420Mut};
use crate::source::Depth;
use table::{Shape, Table};

/// Output rows that go through the horizontal pass together.
pub(crate) const BATCH: usize = 4;

/// An instruction set the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What every machine of the architecture has.
    Portable,
    /// 64-bit Arm, little-endian.
    Neon,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// The same with VNNI and VBMI.
    Avx512Vnni,
}

impl Isa {
    /// All of them, slowest first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512, Self::Avx512Vnni];

    /// Whether this machine runs it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Neon => cfg!(all(target_arch = "aarch64", target_endian = "little")),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx512.is_available()
                    && std::arch::is_x86_feature_detected!("avx512vnni")
                    && std::arch::is_x86_feature_detected!("avx512vbmi")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 | Self::Avx512Vnni => false,
        }
    }

    /// The fastest one this machine runs.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable))
    }

    /// Its passes, or the portable ones if this machine does not run it.
    pub(crate) fn passes(self) -> &'static Passes {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni if self.is_available() => &avx512::VNNI,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 if self.is_available() => &avx512::BASE,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 if self.is_available() => &avx2::PASSES,
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => &neon::PASSES,
            _ => &portable::PASSES,
        }
    }
}

/// The horizontal pass over a few rows.
pub(crate) struct Job<'a> {
    pub(crate) table: &'a Table,
    /// Padded rows, `table.row_len` samples each.
    pub(crate) mid: &'a [i16],
    /// Output rows of `table.len` samples, `stride` bytes apart.
    pub(crate) out: &'a mut [u8],
    pub(crate) stride: usize,
    /// How many rows there are in both.
    pub(crate) rows: usize,
}

/// The vertical pass over one row.
pub(crate) struct Mix<'a, 'b> {
    pub(crate) depth: Depth,
    /// An even number of weights.
    pub(crate) coefs: &'a [i16],
    /// As many rows, of at least as many samples as `out`.
    pub(crate) rows: &'a [&'b [u8]],
    /// One sum per column.
    pub(crate) out: &'a mut [i16],
    /// Rows that will be read soon, at least as long as the others.
    pub(crate) ahead: &'a [&'b [u8]],
}

/// The vertical pass over [`BATCH`] rows of eight bits, which share what they read.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only AVX-512 gains from it"))]
pub(crate) struct Mixes<'a, 'b> {
    /// For every two rows of `rows`, what they weigh in each output row: the first weight in the lower 16 bits. 0 where
    /// an output row does not read them.
    pub(crate) weights: &'a [[i32; BATCH]],
    /// Twice as many rows as `weights`, of at least as many samples as each of `out`.
    pub(crate) rows: &'a [&'b [u8]],
    /// One sum per column; all of one length.
    pub(crate) out: [&'a mut [i16]; BATCH],
    /// Rows that will be read soon, at least as long as the others.
    pub(crate) ahead: &'a [&'b [u8]],
}

/// One implementation. Its functions must run only where its instruction set is available.
#[derive(Debug)]
pub(crate) struct Passes {
    /// What [`Table::new`] should lay its weights out for.
    pub(crate) shape: Option<Shape>,
    /// The vertical pass.
    pub(crate) vertical: fn(Mix<'_, '_>),
    /// The same for a batch, where that is faster than row by row.
    pub(crate) vertical_batch: Option<fn(Mixes<'_, '_>)>,
    /// Rows and outputs must have the shapes that [`Job`] says.
    pub(crate) horizontal: fn(&mut Job<'_>),
    /// (pairs, their first halves, their second halves).
    pub(crate) split: fn(&[i16], &mut [i16], &mut [i16]),
}

/// Sum of squared differences of two planes of one shape.
pub fn squared_error(isa: Isa, a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> u64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 | Isa::Avx2 if isa.is_available() => compare_avx2::squared_error(a, b),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Isa::Neon => neon::squared_error(a, b),
        _ => compare::squared_error(a, b),
    }
}

/// Sums of squared differences of the tiles of two planes of one shape; see [`crate::reference::tile_errors`].
pub fn tile_errors(isa: Isa, a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: NonZeroUsize) -> Vec<u64> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 | Isa::Avx2 if isa.is_available() => compare_avx2::tile_errors(a, b, side.get()),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Isa::Neon => neon::tile_errors(a, b, side.get()),
        _ => compare::tile_errors(a, b, side.get()),
    }
}

/// For the blocks of 4x4 samples of rows `y..y + 4` of two planes of one shape, which must have these rows: the sums of
/// `a`, of `b`, of `a^2 + b^2` and of `a b`. As many blocks as `out` is long, and no more than are whole.
pub(crate) fn block_sums(isa: Isa, a: &PlaneRef<'_>, b: &PlaneRef<'_>, y: usize, out: &mut [[u32; 4]]) {
    let a = std::array::from_fn(|i| &a.row(y + i)[..4 * out.len()]);
    let b = std::array::from_fn(|i| &b.row(y + i)[..4 * out.len()]);
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 | Isa::Avx2 if isa.is_available() => compare_avx2::block_sums(a, b, out),
        _ => compare::block_sums(a, b, out),
    }
}

/// See [`crate::reference::convert`].
pub(crate) fn convert(isa: Isa, conversion: &Conversion, picture: &mut Yuv420Mut<'_>) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 if isa.is_available() => avx512::convert(conversion, picture),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if isa.is_available() => avx2::convert(conversion, picture),
        _ => colour::convert(conversion, picture),
    }
}
