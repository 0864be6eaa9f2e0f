//! Sums for quality metrics on pairs of pictures, on a card.

use std::ffi::c_void;
use std::num::NonZeroUsize;

use super::batch::{MAX_PAIRS, Pair, Pairs, WINDOWS};
use super::device::{Entry, Gpu, Memory, Queue};
use super::error::CudaError;
use super::picture::{Channel, DevicePicture};
use crate::metric::ShapeMismatch;
use crate::reference::{WindowSums, windows};

/// Tiles that a whole plane's error is summed over, in samples to a side: enough of them to fill a card.
const TILE: NonZeroUsize = NonZeroUsize::new(128).expect("it is not zero");

/// Compares pictures; see [`crate::metric`] for what the numbers mean. Keeps memory for results from call to call.
#[derive(Debug)]
pub struct CudaMetric {
    gpu: Gpu,
    /// As many `u64` as that.
    results: Option<(Memory, usize)>,
}

/// Two pictures.
pub type Both<'a> = (&'a DevicePicture, &'a DevicePicture);

impl CudaMetric {
    /// For pictures on this card.
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), results: None }
    }

    /// Sum of squared differences of channel Y, U or V (0, 1, 2) of each pair of 8-bit pictures. Waits for the result.
    pub fn squared_errors(&mut self, queue: &Queue, pairs: &[Both<'_>], channel: usize) -> Result<Vec<u64>, CudaError> {
        let tiles = self.tile_errors(queue, pairs, channel, TILE)?;
        Ok(tiles.iter().map(|tiles| tiles.iter().sum()).collect())
    }

    /// The same for each tile of `side` by `side` samples; see [`crate::metric::tile_errors`].
    pub fn tile_errors(
        &mut self,
        queue: &Queue,
        pairs: &[Both<'_>],
        channel: usize,
        side: NonZeroUsize,
    ) -> Result<Vec<Vec<u64>>, CudaError> {
        // No plane is longer than what fits into an `i32`.
        let side = side.get().min(1 << 20) as u32;
        let tiles = |pair: &Pair| pair.width.div_ceil(side) * pair.height.div_ceil(side);
        let mut all = Vec::new();
        for pairs in pairs.chunks(MAX_PAIRS) {
            let launch = |queue: &Queue, pairs: &mut Pairs, count: u32| {
                let blocks = pairs.pairs[..count as usize].iter().map(tiles).max().unwrap_or(0);
                let mut side = side as i32;
                let mut parameters = [(&raw mut *pairs).cast::<c_void>(), (&raw mut side).cast::<c_void>()];
                // SAFETY: `Pairs` and an `i32`, as the kernel takes them; `compare` gave each pair room for its tiles.
                unsafe { queue.launch(Entry::Errors, blocks, count, &mut parameters) }
            };
            all.extend(self.compare(queue, pairs, channel, |pair| tiles(pair) as usize, launch)?);
        }
        Ok(all)
    }

    /// The sums that SSIM is made from, of each pair; see [`crate::metric::ssim_sums`], and [`crate::metric::ssim_of`] for
    /// the figure.
    pub fn ssim_sums(
        &mut self,
        queue: &Queue,
        pairs: &[Both<'_>],
        channel: usize,
    ) -> Result<Vec<Vec<WindowSums>>, CudaError> {
        let across = |pair: &Pair| (windows(pair.width as usize), windows(pair.height as usize));
        let mut all = Vec::new();
        for pairs in pairs.chunks(MAX_PAIRS) {
            let launch = |queue: &Queue, pairs: &mut Pairs, count: u32| {
                let blocks = pairs.pairs[..count as usize].iter().map(|pair| {
                    let (across, down) = across(pair);
                    (across as u32).div_ceil(WINDOWS.0) * (down as u32).div_ceil(WINDOWS.1)
                });
                let blocks = blocks.max().unwrap_or(0);
                // SAFETY: `Pairs`, as the kernel takes them; `compare` gave each pair room for its windows.
                unsafe { queue.launch(Entry::Windows, blocks, count, &mut [(&raw mut *pairs).cast::<c_void>()]) }
            };
            // Four words of 32 bits for each window.
            let room = |pair: &Pair| 2 * across(pair).0 * across(pair).1;
            let sums = self.compare(queue, pairs, channel, room, launch)?;
            for (sums, (picture, _)) in sums.iter().zip(pairs) {
                let Channel { width, height, .. } = picture.channel(channel)?;
                let n = u64::from(width.min(8)) * u64::from(height.min(8));
                let window = |pair: &[u64]| {
                    let half = |i: usize| pair[i / 2] >> (32 * (i % 2)) & u64::from(u32::MAX);
                    WindowSums { n, a: half(0), b: half(1), squares: half(2), product: half(3) }
                };
                all.push(sums.chunks_exact(2).map(window).collect());
            }
        }
        Ok(all)
    }

    /// Has pairs compared by one launch; `room` is how many `u64` the results of a pair take.
    fn compare(
        &mut self,
        queue: &Queue,
        pairs: &[Both<'_>],
        channel: usize,
        room: impl Fn(&Pair) -> usize,
        launch: impl FnOnce(&Queue, &mut Pairs, u32) -> Result<(), CudaError>,
    ) -> Result<Vec<Vec<u64>>, CudaError> {
        queue.same(&self.gpu)?;
        let mut parameters = Pairs::default();
        let mut rooms = Vec::new();
        for (slot, (a, b)) in parameters.pairs.iter_mut().zip(pairs) {
            queue.same(a.gpu())?;
            queue.same(b.gpu())?;
            let (a, b) = (a.channel(channel)?, b.channel(channel)?);
            let shape = |of: Channel| (of.width as usize, of.height as usize);
            if shape(a) != shape(b) {
                return Err(ShapeMismatch { a: shape(a), b: shape(b) }.into());
            }
            let (first, pitches, steps) = ([a.first, b.first], [a.pitch, b.pitch], [a.step, b.step]);
            *slot = Pair { first, pitches, steps, width: a.width, height: a.height, sums: 0 };
            // Vectors of 16 bytes are written.
            rooms.push(room(slot).next_multiple_of(2));
        }
        let total = rooms.iter().sum();
        let results = self.results(total)?;
        let mut begin = 0;
        for (slot, room) in parameters.pairs.iter_mut().zip(&rooms) {
            slot.sums = results.address() + 8 * begin as u64;
            begin += room;
        }
        launch(queue, &mut parameters, pairs.len() as u32)?;
        let mut words = vec![0; total];
        queue.download_words(results, &mut words)?;
        let mut rest = &words[..];
        let each = rooms.iter().zip(&parameters.pairs).map(|(len, pair)| {
            let (sums, behind) = rest.split_at(*len);
            rest = behind;
            sums[..room(pair)].to_vec()
        });
        Ok(each.collect())
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
