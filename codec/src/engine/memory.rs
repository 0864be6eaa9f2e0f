//! Whether a ladder fits into a worker. x265 and SVT-AV1 end the process when they get no memory, which would look as if
//! the segment had done it; so what they take is reckoned before any work.
//!
//! The figures are upper bounds of address space (what `RLIMIT_AS` counts; a third of it is really used), measured with
//! ladders of 1 to 10 renditions from 240p to 2160p in all presets, x265 3.5 and SVT-AV1 1.4.1.

use crate::budget::Limits;
use crate::error::EngineError;
use crate::ladder::{Codec, Ladder, Rendition};

const MIB: u64 = 1 << 20;
/// The program, the segment, and a decoder of 2160p with its pictures.
const BASE: u64 = 400 * MIB;

/// Address space of one rung, bytes: its threads' stacks of 8 MiB and what goes with the size.
fn rung(rendition: &Rendition) -> u64 {
    let (threads, per_sample) = match rendition.codec {
        Codec::H264 => (1, 110),
        Codec::Hevc => (2, 200),
        Codec::Av1 => (17, 170),
    };
    let samples = u64::from(rendition.width) * u64::from(rendition.height);
    (16 + 8 * threads) * MIB + per_sample * samples
}

/// Refuses a ladder that could bring a worker to its memory limit. x264 says so itself when it gets none, so H.264 alone
/// is tried in any case.
pub(super) fn check(ladder: &Ladder, limits: &Limits) -> Result<(), EngineError> {
    let need = BASE + ladder.renditions().iter().map(rung).sum::<u64>();
    let careful = ladder.renditions().iter().any(|rendition| rendition.codec != Codec::H264);
    match careful && need > limits.memory_bytes {
        true => Err(EngineError::LadderMemory { need_mib: need / MIB, limit_mib: limits.memory_bytes / MIB }),
        false => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn ladder(codec: Codec, sizes: &[(u32, u32)]) -> Ladder {
        let usual = Ladder::standard().renditions()[0].clone();
        let rung = |(i, (width, height)): (usize, &(u32, u32))| Rendition {
            name: i.to_string(),
            width: *width,
            height: *height,
            codec,
            ..usual.clone()
        };
        Ladder::new(sizes.iter().enumerate().map(rung).collect()).unwrap()
    }

    #[test]
    fn usual_ladders_fit_and_huge_ones_do_not() {
        let limits = Limits::default();
        let usual = [(426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080)];
        for codec in [Codec::H264, Codec::Hevc] {
            check(&ladder(codec, &usual), &limits).unwrap();
            check(&ladder(codec, &[(3840, 2160)]), &limits).unwrap();
        }
        let huge = [(3840, 2160); 4];
        check(&ladder(Codec::H264, &huge), &limits).unwrap();
        let error = check(&ladder(Codec::Hevc, &huge), &limits).unwrap_err();
        assert!(matches!(error, EngineError::LadderMemory { limit_mib: 2048, .. }), "{error}");
    }
}
