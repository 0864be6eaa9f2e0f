//! One `moof` and its `mdat`.

use mp4_atom::{Encode, FourCC, Mfhd, Moof, Result, Styp, Tfdt, Tfhd, Traf, Trun, TrunEntry};

/// `sample_flags` (14496-12 8.8.3.1) of a sample that needs no other one.
pub(super) const SYNC: u32 = 0x0200_0000;
/// Of one that does.
pub(super) const NOT_SYNC: u32 = 0x0101_0000;

/// One sample. It is shown when it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// In the track's own time scale.
    pub(super) duration: u32,
    /// Bytes.
    pub(super) size: u32,
    /// Whether decoding can begin here.
    pub(super) sync: bool,
}

/// Samples of one track that follow each other.
pub(super) struct Run {
    pub(super) track: u32,
    /// Decoding time of the first one, in the track's own time scale.
    pub(super) start: u64,
    pub(super) samples: Vec<Sample>,
    /// The samples' bytes, one behind the other.
    pub(super) data: Vec<u8>,
}

/// A fragment to be written.
pub(super) struct Fragment {
    /// Number within the segment, from 0.
    number: u32,
    brands: &'static [&'static [u8; 4]],
    runs: Vec<Run>,
}

impl Fragment {
    pub(super) fn new(number: u32, brands: &'static [&'static [u8; 4]]) -> Self {
        Self { number, brands, runs: Vec::new() }
    }

    /// Adds a track's samples, if there are any.
    pub(super) fn add(&mut self, run: Run) {
        if !run.samples.is_empty() {
            self.runs.push(run);
        }
    }

    pub(super) fn write(self) -> Result<Vec<u8>> {
        let data: usize = self.runs.iter().map(|run| run.data.len()).sum();
        let mut out =
            Vec::with_capacity(data + 32 * self.runs.iter().map(|run| run.samples.len()).sum::<usize>() + 256);
        if self.number == 0 {
            let brand = |brand: &&[u8; 4]| FourCC::new(brand);
            let compatible_brands: Vec<FourCC> = self.brands.iter().map(brand).collect();
            Styp { major_brand: FourCC::new(b"msdh"), minor_version: 0, compatible_brands }.encode(&mut out)?;
        }
        // Offsets count from the start of `moof`, whose length does not depend on them.
        let offset = {
            let mut probe = Vec::new();
            self.moof(0).encode(&mut probe)?;
            probe.len() as i32 + 8
        };
        self.moof(offset).encode(&mut out)?;
        out.extend((data as u32 + 8).to_be_bytes());
        out.extend(b"mdat");
        for run in &self.runs {
            out.extend_from_slice(&run.data);
        }
        Ok(out)
    }

    /// With data that begins `offset` bytes behind its own start.
    fn moof(&self, mut offset: i32) -> Moof {
        let mut traf = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            traf.push(run.traf(offset));
            offset += run.data.len() as i32;
        }
        Moof { mfhd: Mfhd { sequence_number: self.number + 1 }, traf }
    }
}

impl Run {
    fn traf(&self, offset: i32) -> Traf {
        let first = self.samples.first();
        let duration = first.map(|first| first.duration);
        let even = self.samples.iter().all(|sample| Some(sample.duration) == duration);
        // The usual run of pictures has an IDR first or none; sound has nothing else. Both fit defaults.
        let default = if self.samples.iter().all(|sample| sample.sync) { SYNC } else { NOT_SYNC };
        let flags = |sample: &Sample| if sample.sync { SYNC } else { NOT_SYNC };
        let plain = self.samples.iter().skip(1).all(|sample| flags(sample) == default);
        let entry = |(i, sample): (usize, &Sample)| TrunEntry {
            duration: (!even).then_some(sample.duration),
            size: Some(sample.size),
            flags: (!plain || (i == 0 && flags(sample) != default)).then_some(flags(sample)),
            cts: None,
        };
        let samples: Vec<TrunEntry> = self.samples.iter().enumerate().map(entry).collect();
        Traf {
            tfhd: Tfhd {
                track_id: self.track,
                default_sample_duration: duration.filter(|_| even),
                default_sample_flags: Some(default),
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: self.start }),
            trun: vec![Trun { data_offset: Some(offset), samples: samples.into() }],
            ..Traf::default()
        }
    }
}
