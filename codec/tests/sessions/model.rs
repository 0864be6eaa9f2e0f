//! The modelled machine: figures and the driver.

use std::collections::BTreeSet;
use std::time::Duration;

use headframe_codec::sessions::SessionId;

/// 1080p pictures a second of one engine, the worked example of an RTX 3060: NVDEC H.264, and NVENC H.264 with P4 at 0.8 of
/// its rate for small pictures. Planning figures, not measurements.
const DECODE_FPS: f64 = 700.0;
const ENCODE_FPS: f64 = 500.0 * 0.8;
const HD: f64 = 1920.0 * 1080.0;
/// Processor seconds per sample: x264 with the `live` preset on a 2.6 GHz Zen 4 core, measured.
const PROCESSOR: f64 = 7e-9;
/// What calls to the driver take: "tens of ms" for making a session, the rest assumed in proportion.
pub(crate) const OPEN: Duration = Duration::from_millis(40);
pub(crate) const CLOSE: Duration = Duration::from_millis(10);
pub(crate) const REFUSE: Duration = Duration::from_millis(2);
pub(crate) const BEGIN: f64 = 0.03;
pub(crate) const RECONFIGURE: f64 = 0.005;
pub(crate) const RECREATE: f64 = 0.06;
/// From closing a session to opening it again while it is made anew; someone else may come in between.
pub(crate) const GAP: Duration = Duration::from_millis(20);
/// A segment, the pictures in it, and the share of its time in which it must be made.
pub(crate) const SEGMENT: Duration = Duration::from_secs(2);
pub(crate) const FRAMES: f64 = 60.0;
pub(crate) const IN_TIME: f64 = 0.8;

pub(crate) fn encode_time(samples: f64) -> f64 {
    samples / (ENCODE_FPS * HD)
}

pub(crate) fn decode_time() -> Duration {
    Duration::from_secs_f64(FRAMES / DECODE_FPS)
}

pub(crate) fn processor_time(samples: f64) -> f64 {
    samples * PROCESSOR
}

/// The driver's side of all sessions of the system.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) cap: u32,
    /// Sessions that another program holds, and would like to hold.
    pub(crate) others: u32,
    pub(crate) wish: u32,
    /// Sessions of ours, and those of them that no longer work.
    pub(crate) ours: BTreeSet<SessionId>,
    pub(crate) broken: BTreeSet<SessionId>,
    pub(crate) reconfigures: bool,
    pub(crate) most: usize,
}

impl Driver {
    pub(crate) fn new(cap: u32) -> Self {
        let (ours, broken) = (BTreeSet::new(), BTreeSet::new());
        Self { cap, others: 0, wish: 0, ours, broken, reconfigures: true, most: 0 }
    }

    /// Opens a session for us.
    pub(crate) fn open(&mut self, id: SessionId) -> bool {
        let room = (self.ours.len() as u32) + self.others < self.cap;
        if room {
            self.ours.insert(id);
            self.most = self.most.max(self.ours.len());
        }
        room
    }

    /// Closes one of ours; the other program is waiting for that.
    pub(crate) fn close(&mut self, id: SessionId) {
        assert!(self.ours.remove(&id), "closed twice: {id:?}");
        self.broken.remove(&id);
        self.others_move();
    }

    /// The other program takes what it can of what it likes.
    pub(crate) fn others_move(&mut self) {
        let room = self.cap.saturating_sub(self.ours.len() as u32);
        self.others = self.wish.min(room);
    }

    /// Less may be open from now on; what is more breaks.
    pub(crate) fn cap_to(&mut self, cap: u32) {
        self.cap = cap;
        let surplus = (self.ours.len() as u32 + self.others).saturating_sub(cap) as usize;
        let breaking: Vec<SessionId> = self.ours.iter().rev().take(surplus).copied().collect();
        self.broken.extend(breaking);
    }
}

/// A small generator, so that a seed says everything.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub u64);

impl Dice {
    /// From 0 to below 1.
    pub(crate) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
