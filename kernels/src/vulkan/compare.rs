//! What two planes differ in, on a device: the sums that PSNR and SSIM are made from.

use std::num::NonZeroUsize;

use crate::filter::MAX_SIDE;
use crate::metric::ShapeMismatch;
use crate::plane::PlaneRef;
use crate::reference::{WindowSums, windows};

use super::device::{Gpu, Place};
use super::error::Error;
use super::kernel::{Call, GROUP, Kernel};
use super::run::{Commands, Recorder, run};

/// Samples to a side of what one invocation adds up; `compare.wgsl` says why not more.
const CELL: usize = 32;
/// Words of an SSIM window.
const WINDOW_WORDS: usize = 4;

/// What [`Comparer::compare`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measures {
    /// As [`crate::metric::tile_errors`] has them.
    pub tile_errors: Vec<u64>,
    /// As [`crate::metric::ssim_sums`] has them.
    pub ssim_sums: Vec<WindowSums>,
}

impl Measures {
    /// The sum over all tiles: [`crate::metric::squared_error`].
    pub fn squared_error(&self) -> u64 {
        self.tile_errors.iter().sum()
    }
}

/// Compares 8-bit planes of one size. One comparer serves one thread at a time; its memory stays from plane to plane.
pub struct Comparer {
    size: (usize, usize),
    tile: usize,
    commands: Commands,
}

impl std::fmt::Debug for Comparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comparer").field("size", &self.size).field("tile", &self.tile).finish()
    }
}

impl Comparer {
    /// For planes of `size` (width and height, 1 to [`MAX_SIDE`]), with errors of tiles of `tile` by `tile` samples.
    pub fn new(gpu: &Gpu, size: (usize, usize), tile: NonZeroUsize) -> Result<Self, Error> {
        let (width, height) = size;
        for side in [width, height] {
            if side == 0 || side > MAX_SIDE as usize {
                let (what, needed, limit) = ("samples to a side (at least 1)", side as u64, u64::from(MAX_SIDE));
                return Err(Error::TooLarge { what, needed, limit });
            }
        }
        // A tile larger than the plane is the plane.
        let tile = tile.get().min(width.max(height));
        let stride = width.div_ceil(4);
        let plane = || gpu.buffer((stride * height) as u64, Place::Device, "planes to compare");
        let (a, b) = (plane()?, plane()?);
        let (cells, windows) = (Cells::new(size, tile), (windows(width), windows(height)));
        let errors = gpu.buffer(cells.count() as u64, Place::Device, "errors")?;
        let sums = gpu.buffer((windows.0 * windows.1 * WINDOW_WORDS) as u64, Place::Device, "sums of windows")?;
        let mut recorder = Recorder::new(gpu, a.len() + b.len(), errors.len() + sums.len())?;
        recorder.upload(0, &a)?;
        recorder.upload(a.len(), &b)?;
        recorder.barrier()?;
        // Binding 2 is not used.
        let (to_errors, to_sums) = (gpu.set([&a, &b, &b, &errors])?, gpu.set([&a, &b, &b, &sums])?);
        let call = |across: usize, count: usize| -> Call {
            [width, height, stride, tile, cells.side, cells.to_tile, across, count].map(|number| number as u32)
        };
        let groups = |count: usize| count.div_ceil(GROUP as usize) as u64;
        recorder.dispatch(Kernel::Errors, &to_errors, call(cells.across, cells.count()), groups(cells.count()))?;
        let count = windows.0 * windows.1;
        recorder.dispatch(Kernel::Windows, &to_sums, call(windows.0, count), groups(count))?;
        recorder.barrier()?;
        recorder.download(&errors, 0)?;
        recorder.download(&sums, errors.len())?;
        Ok(Self { size, tile, commands: recorder.finish()? })
    }

    /// Compares two planes of the size that this was made for.
    pub fn compare(&mut self, a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> Result<Measures, Error> {
        for plane in [a, b] {
            let size = (plane.width(), plane.height());
            if size != self.size {
                return Err(ShapeMismatch { a: self.size, b: size }.into());
            }
        }
        let (width, height) = self.size;
        let stride = width.next_multiple_of(4);
        let mut upload = self.commands.upload()?;
        for (plane, upload) in [a, b].into_iter().zip(upload.chunks_exact_mut(stride * height)) {
            for (y, row) in upload.chunks_exact_mut(stride).enumerate() {
                row[..width].copy_from_slice(plane.row(y));
            }
        }
        drop(upload);
        run([&mut self.commands])?;
        let download = self.commands.download()?;
        let words: Vec<u32> = download.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
        drop(download);
        let cells = Cells::new(self.size, self.tile);
        let (errors, sums) = words.split_at(cells.count());
        Ok(Measures { tile_errors: cells.tiles(errors), ssim_sums: self.windows(sums) })
    }

    fn windows(&self, sums: &[u32]) -> Vec<WindowSums> {
        let (width, height) = self.size;
        // All windows are whole but those of a plane smaller than a window.
        let n = (width.min(8) * height.min(8)) as u64;
        let window = |[a, b, squares, product]: &[u32; WINDOW_WORDS]| WindowSums {
            n,
            a: u64::from(*a),
            b: u64::from(*b),
            squares: u64::from(*squares),
            product: u64::from(*product),
        };
        sums.as_chunks().0.iter().map(window).collect()
    }
}

/// Tiles cut into cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cells {
    /// Samples to a side.
    side: usize,
    /// To a side of a tile.
    to_tile: usize,
    /// In a row, and in a column, of all tiles.
    across: usize,
    down: usize,
}

impl Cells {
    fn new((width, height): (usize, usize), tile: usize) -> Self {
        let side = tile.min(CELL);
        let to_tile = tile.div_ceil(side);
        Self { side, to_tile, across: width.div_ceil(tile) * to_tile, down: height.div_ceil(tile) * to_tile }
    }

    fn count(self) -> usize {
        self.across * self.down
    }

    /// Sums of tiles from sums of cells.
    fn tiles(self, errors: &[u32]) -> Vec<u64> {
        let across = self.across / self.to_tile;
        let mut tiles = vec![0; across * (self.down / self.to_tile)];
        for (y, row) in errors.chunks_exact(self.across).enumerate() {
            for (x, error) in row.iter().enumerate() {
                tiles[y / self.to_tile * across + x / self.to_tile] += u64::from(*error);
            }
        }
        tiles
    }
}
