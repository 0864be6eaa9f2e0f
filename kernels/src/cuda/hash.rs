//! Hashes of pictures, made on a card: their rows are hashed there, and the hashes of rows here.

use std::ffi::c_void;

use super::batch::{MAX_SHOTS, Shot, Shots, Surface};
use super::device::{Entry, Gpu, Memory, Queue};
use super::error::CudaError;
use super::picture::DevicePicture;
use super::plan::THREADS;
use crate::hash::{of_words, rows};
use crate::source::{Depth, Source};

/// Hashes pictures; see [`crate::hash`]. Keeps memory for results from call to call.
#[derive(Debug)]
pub struct CudaHash {
    gpu: Gpu,
    /// As many `u64` as that.
    results: Option<(Memory, usize)>,
}

impl CudaHash {
    /// For pictures on this card.
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), results: None }
    }

    /// What [`crate::hash::picture`] gives for each of the pictures, of any [`crate::Format`]. Waits for the result.
    pub fn pictures(&mut self, queue: &Queue, pictures: &[&DevicePicture]) -> Result<Vec<[u8; 32]>, CudaError> {
        let mut all = Vec::new();
        for pictures in pictures.chunks(MAX_SHOTS) {
            self.launch(queue, pictures, &mut all)?;
        }
        Ok(all)
    }

    fn launch(&mut self, queue: &Queue, pictures: &[&DevicePicture], all: &mut Vec<[u8; 32]>) -> Result<(), CudaError> {
        queue.same(&self.gpu)?;
        pictures.iter().try_for_each(|picture| queue.same(picture.gpu()))?;
        let counts: Vec<usize> = pictures.iter().map(|picture| rows(picture.source()).iter().sum()).collect();
        // Four `u64` for each row.
        let mut words = vec![0; 4 * counts.iter().sum::<usize>()];
        let results = self.results(words.len())?;
        let mut parameters = Shots::default();
        let mut address = results.address();
        for (slot, picture) in parameters.shots.iter_mut().zip(pictures) {
            *slot = shot(picture.source(), picture.surface(), address);
            address += 32 * u64::from(slot.rows());
        }
        let blocks = parameters.shots.iter().map(Shot::rows).max().unwrap_or(0).div_ceil(THREADS);
        // SAFETY: `Shots`, as the kernel takes them, each with room for the hashes of its rows; pictures are there until the
        // wait below.
        unsafe {
            let mut parameters = [(&raw mut parameters).cast::<c_void>()];
            queue.launch(Entry::Hash, blocks, pictures.len() as u32, &mut parameters)
        }?;
        queue.download_words(results, &mut words)?;
        // The card's words in its order, two in one of these.
        let words: Vec<u32> = words.iter().flat_map(|pair| [*pair as u32, (*pair >> 32) as u32]).collect();
        let mut rest = &words[..];
        for (picture, count) in pictures.iter().zip(&counts) {
            let (own, behind) = rest.split_at(8 * count);
            all.push(of_words(picture.source(), own));
            rest = behind;
        }
        Ok(())
    }

    fn results(&mut self, len: usize) -> Result<&Memory, CudaError> {
        let enough = self.results.take().filter(|(_, room)| *room >= len);
        let results = match enough {
            Some(results) => results,
            None => (Memory::new(&self.gpu, 8 * len)?, len),
        };
        Ok(&self.results.insert(results).0)
    }
}

/// A picture as the kernel sees it; its hashes go to the address `hashes`.
pub fn shot(source: Source, surface: &Surface, hashes: u64) -> Shot {
    let format = source.format;
    let [second, third] = surface.offsets.map(|offset| surface.base + u64::from(offset));
    // Where U and V share a plane, one sample is behind the other.
    let v = if format.is_interleaved() { second + format.depth().bytes() as u64 } else { third };
    let width = |channel| format.siting(channel).0.samples(source.width);
    let [heights @ .., _] = rows(source).map(|rows| rows as u32);
    let depth = match format.depth() {
        Depth::Eight => 8,
        Depth::Ten => 10,
        Depth::HighTen => 16,
    };
    Shot {
        channels: [surface.base, second, v],
        hashes,
        pitches: surface.pitches,
        widths: [width(0), width(1)],
        heights,
        step: if format.is_interleaved() { 2 } else { 1 },
        depth,
    }
}
