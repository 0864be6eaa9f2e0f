//! What one segment may cost. A worker that goes over is stopped, by itself where it can tell, by its parent or the
//! kernel otherwise.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Ceilings for one segment. The defaults fit 10 s of 2160p60 with room to spare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of the input segment.
    pub input_bytes: u64,
    /// Luma samples of one source picture.
    pub frame_pixels: u64,
    /// Pictures, of the source and of each rendition.
    pub frames: u32,
    /// Luma samples decoded and encoded for one segment, everything together.
    pub pixels: u64,
    /// Bytes of all renditions together; also the largest file (`RLIMIT_FSIZE`) a worker can make.
    pub output_bytes: u64,
    /// Real time for one attempt at a segment.
    pub wall: Duration,
    /// Address space of a worker process (`RLIMIT_AS`), bytes.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 32 << 20,
            frame_pixels: 4096 * 2304,
            frames: 1200,
            pixels: 16_000_000_000,
            output_bytes: 64 << 20,
            wall: Duration::from_secs(20),
            memory_bytes: 2 << 30,
        }
    }
}
