//! Movie fragments (14496-12 8.8): where samples lie and when they are decoded and shown.

use super::atoms::{Atom, Fields, atoms, find};
use super::movie::{Default, Track};

/// No segment has more samples: their table may be longer than the file.
const MOST_SAMPLES: usize = 1 << 17;

/// A sample: a picture with all that belongs to it, or a frame of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Where it lies in the file.
    pub(super) at: u64,
    pub(super) size: u32,
    /// When it is shown, in its track's units, before the edit list.
    pub(super) time: i64,
}

/// Samples of every track, in the order of the tracks, and within one in that of decoding.
pub(super) struct Samples {
    pub(super) of: Vec<Vec<Sample>>,
    /// When the next sample of each is decoded.
    next: Vec<i64>,
    count: usize,
}

impl Samples {
    pub(super) fn new(tracks: usize) -> Self {
        Self { of: vec![Vec::new(); tracks], next: vec![0; tracks], count: 0 }
    }

    /// Adds those of a fragment. `Err` says what is wrong with it.
    pub(super) fn add(&mut self, moof: &Atom<'_>, tracks: &[Track<'_>]) -> Result<(), &'static str> {
        // Where data of the track fragment before ends, unless a track fragment says something else.
        let mut behind = moof.start as u64;
        for traf in atoms(moof.body).filter(|atom| atom.kind == *b"traf") {
            let Some(head) = find(traf.body, b"tfhd").and_then(|tfhd| Head::read(tfhd, tracks)) else {
                return Err("a fragment has no header (tfhd)");
            };
            let track = tracks.iter().position(|track| track.id == head.id);
            if track.is_some_and(|track| head.default.description > 1 || tracks[track].entries != 1) {
                return Err("samples of one track have several descriptions");
            }
            if let (Some(track), Some(tfdt)) = (track, find(traf.body, b"tfdt")) {
                let time = decode_time(tfdt).and_then(|time| i64::try_from(time).ok());
                self.next[track] = time.ok_or("a time (tfdt) that cannot be")?;
            }
            let base = head.base.unwrap_or(if head.from_moof { moof.start as u64 } else { behind });
            let mut at = base;
            for trun in atoms(traf.body).filter(|atom| atom.kind == *b"trun") {
                self.run(trun.body, track, &head.default, base, &mut at)?;
            }
            behind = at;
        }
        Ok(())
    }

    /// A run of samples, of which the first lies `at` unless it says something else.
    fn run(
        &mut self,
        trun: &[u8],
        track: Option<usize>,
        default: &Default,
        base: u64,
        at: &mut u64,
    ) -> Result<(), &'static str> {
        let mut fields = Fields(trun);
        let head = || "a run of samples (trun) ends early";
        let (_, flags) = fields.version().ok_or_else(head)?;
        let count = fields.u32().ok_or_else(head)?;
        let mut given = |flag: u32| if flags & flag != 0 { fields.u32().map(Some) } else { Some(None) };
        if let Some(offset) = given(0x1).ok_or_else(head)? {
            *at = base.checked_add_signed(offset.cast_signed().into()).ok_or("a sample lies in front of the file")?;
        }
        // Flags of the first sample: the stream itself says where decoding can begin.
        given(0x4).ok_or_else(head)?;
        for _ in 0..count {
            self.count += 1;
            if self.count > MOST_SAMPLES {
                return Err("it has too many samples");
            }
            let (duration, size) = (given(0x100).ok_or_else(head)?, given(0x200).ok_or_else(head)?);
            given(0x400).ok_or_else(head)?;
            // Signed in version 1, and written so in version 0 as well.
            let offset = given(0x800).ok_or_else(head)?.unwrap_or(0).cast_signed();
            let (duration, size) = (duration.unwrap_or(default.duration), size.unwrap_or(default.size));
            if let Some(track) = track {
                let time = self.next[track].saturating_add(offset.into());
                self.of[track].push(Sample { at: *at, size, time });
                self.next[track] = self.next[track].saturating_add(duration.into());
            }
            *at = at.saturating_add(size.into());
        }
        Ok(())
    }
}

/// `tfhd`.
struct Head {
    id: u32,
    base: Option<u64>,
    from_moof: bool,
    default: Default,
}

impl Head {
    fn read(tfhd: &[u8], tracks: &[Track<'_>]) -> Option<Self> {
        let mut fields = Fields(tfhd);
        let (_, flags) = fields.version()?;
        let id = fields.u32()?;
        let base = if flags & 0x1 != 0 { Some(fields.u64()?) } else { None };
        let mut default = tracks.iter().find(|track| track.id == id).map(|track| track.default).unwrap_or_default();
        for (flag, field) in [(0x2, &mut default.description), (0x8, &mut default.duration), (0x10, &mut default.size)]
        {
            if flags & flag != 0 {
                *field = fields.u32()?;
            }
        }
        Some(Self { id, base, from_moof: flags & 0x2_0000 != 0, default })
    }
}

fn decode_time(tfdt: &[u8]) -> Option<u64> {
    let mut fields = Fields(tfdt);
    let (version, _) = fields.version()?;
    fields.wide(version)
}
