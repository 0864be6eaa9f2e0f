//! Pictures as they lie in a card's memory: one buffer, planes behind each other, one pitch for luma and one for chroma.

use super::library::Range;
use crate::noise::Noise;
use crate::pictures::{Input, extent};
use headframe_kernels::cuda::batch::Surface;
use headframe_kernels::{Format, Source};

#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) source: Source,
    bytes: Vec<u8>,
    /// Where planes begin in `bytes`.
    starts: Vec<usize>,
    pitches: [usize; 2],
}

impl Placed {
    /// Random content, pitches and distances; half of the time such that vectors can be loaded.
    pub(crate) fn new(source: Source, noise: &mut Noise) -> Self {
        let sample = if source.format.bits() > 8 { 2 } else { 1 };
        let align = if noise.below(2) == 0 { 16 } else { sample };
        let mut gap = |limit: u64| noise.below(limit) as usize * align;
        let pitch = |row: usize, gap: usize| row.next_multiple_of(align) + gap;
        let last = source.format.planes() - 1;
        let pitches = [pitch(extent(source, 0).0, gap(20)), pitch(extent(source, last).0, gap(20))];
        let mut end = gap(4);
        let starts: Vec<usize> = (0..=last)
            .map(|plane| {
                let start = end + gap(4);
                end = start + pitches[plane.min(1)] * extent(source, plane).1;
                start
            })
            .collect();
        // Room to begin at an aligned address.
        Self { source, bytes: noise.fill(end + 16), starts, pitches }
    }

    pub(crate) fn of(input: &Input, noise: &mut Noise) -> Self {
        let mut placed = Self::new(input.source(), noise);
        for plane in 0..placed.starts.len() {
            for y in 0..extent(placed.source, plane).1 {
                placed.row_mut(plane, y).copy_from_slice(input.row(plane, y));
            }
        }
        placed
    }

    /// The first aligned byte. The buffer does not move while this is used.
    fn origin(&self) -> usize {
        self.bytes.as_ptr().align_offset(16)
    }

    pub(crate) fn row_mut(&mut self, plane: usize, y: usize) -> &mut [u8] {
        let (row, start) = (extent(self.source, plane).0, self.origin() + self.starts[plane]);
        &mut self.bytes[start + y * self.pitches[plane.min(1)]..][..row]
    }

    /// The sample of an 8-bit picture in channel `channel`.
    pub(crate) fn sample_mut(&mut self, channel: usize, x: usize, y: usize) -> &mut u8 {
        match self.source.format {
            Format::Nv12 if channel > 0 => &mut self.row_mut(1, y)[2 * x + channel - 1],
            _ => &mut self.row_mut(channel, y)[x],
        }
    }

    fn address(&self, plane: usize) -> u64 {
        self.bytes.as_ptr() as u64 + (self.origin() + self.starts[plane]) as u64
    }

    /// Address of the first sample, bytes from row to row, bytes from sample to sample of a channel of an 8-bit picture.
    pub(crate) fn channel(&self, channel: usize) -> (u64, u32, u32) {
        let pitch = self.pitches[channel.min(1)] as u32;
        match self.source.format {
            Format::Nv12 if channel > 0 => (self.address(1) + channel as u64 - 1, pitch, 2),
            _ => (self.address(channel), pitch, 1),
        }
    }

    pub(crate) fn surface(&self) -> Surface {
        let offset = |plane: usize| {
            if plane < self.starts.len() { (self.starts[plane] - self.starts[0]) as u32 } else { 0 }
        };
        Surface { base: self.address(0), offsets: [offset(1), offset(2)], pitches: self.pitches.map(|p| p as u32) }
    }

    /// What of it may be touched: from the first sample to the last of each plane.
    pub(crate) fn ranges(&self, writable: bool) -> impl Iterator<Item = Range> {
        (0..self.starts.len()).map(move |plane| {
            let (row, rows) = extent(self.source, plane);
            let begin = self.address(plane);
            let end = begin + (self.pitches[plane.min(1)] * (rows - 1) + row) as u64;
            Range { begin, end, writable: u64::from(writable) }
        })
    }

    /// Whether all bytes are equal, those between rows too. Buffers may begin differently.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let len = self.bytes.len() - 16;
        self.bytes[self.origin()..][..len] == other.bytes[other.origin()..][..len]
    }

    /// A copy whose aligned part is the same.
    pub(crate) fn copy(&self) -> Self {
        let mut copy = self.clone();
        let (from, to, len) = (self.origin(), copy.origin(), self.bytes.len() - 16);
        copy.bytes[to..][..len].copy_from_slice(&self.bytes[from..][..len]);
        copy
    }
}

/// A table that kernels read.
pub(crate) fn table(words: &[u32]) -> Range {
    let begin = words.as_ptr() as u64;
    Range { begin, end: begin + 4 * words.len() as u64, writable: 0 }
}
