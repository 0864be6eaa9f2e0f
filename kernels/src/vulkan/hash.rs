//! Hashes of pictures, made on a device: their rows are hashed there, and the hashes of rows here.

use crate::filter::MAX_SIDE;
use crate::hash::{of_words, rows};
use crate::scale::ScaleError;
use crate::source::{Depth, Source, SourceRef};

use super::device::{Gpu, Place};
use super::error::Error;
use super::kernel::{Call, GROUP, Kernel};
use super::run::{Commands, Recorder, run};

/// Words of a hash.
const HASH_WORDS: usize = 8;

/// Hashes pictures of one size and format; see [`crate::hash`]. One hasher serves one thread at a time; its memory stays
/// from picture to picture.
pub struct Hasher {
    source: Source,
    /// Bytes at which the planes begin in the upload, and from row to row.
    planes: Vec<(usize, usize)>,
    commands: Commands,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("source", &self.source).finish()
    }
}

impl Hasher {
    /// For pictures of this size and format, with sides from 1 to [`MAX_SIDE`].
    pub fn new(gpu: &Gpu, source: Source) -> Result<Self, Error> {
        for side in [source.width, source.height] {
            if side == 0 || side > MAX_SIDE {
                return Err(ScaleError::Side { src: side, dst: side }.into());
            }
        }
        let format = source.format;
        let mut planes = Vec::new();
        let mut words = 0;
        for plane in 0..format.planes() {
            let (row, rows) = format.extent(plane, (source.width, source.height));
            let stride = row.div_ceil(4);
            planes.push((4 * words, 4 * stride));
            words += stride * rows;
        }
        let heights = rows(source);
        let input = gpu.buffer(words as u64, Place::Device, "pictures to hash")?;
        let hashes = (HASH_WORDS * heights.iter().sum::<usize>()) as u64;
        let output = gpu.buffer(hashes, Place::Device, "hashes of rows")?;
        let mut recorder = Recorder::new(gpu, input.len(), output.len())?;
        recorder.upload(0, &input)?;
        recorder.barrier()?;
        // Bindings 1 and 2 are not used.
        let set = gpu.set([&input, &input, &input, &output])?;
        let mut first = 0;
        for (channel, height) in heights.into_iter().enumerate() {
            let shared = channel > 0 && format.is_interleaved();
            let (plane, start, step) = if shared { (1, channel - 1, 2) } else { (channel, 0, 1) };
            // A grey picture has one plane, and no rows of the others.
            let Some((at, stride)) = planes.get(plane) else { continue };
            let depth = match format.depth() {
                Depth::Eight => 0,
                Depth::Ten => 1,
                Depth::HighTen => 2,
            };
            let width = format.siting(channel).0.samples(source.width) as usize;
            let call: Call = [at / 4, stride / 4, start, step, depth | channel << 4, width, height, HASH_WORDS * first]
                .map(|number| number as u32);
            recorder.dispatch(Kernel::Hash, &set, call, height.div_ceil(GROUP as usize) as u64)?;
            first += height;
        }
        recorder.barrier()?;
        recorder.download(&output, 0)?;
        Ok(Self { source, planes, commands: recorder.finish()? })
    }

    /// What [`crate::hash::picture`] gives for a picture of the size and format that this was made for.
    pub fn hash(&mut self, picture: &SourceRef<'_>) -> Result<[u8; 32], Error> {
        if picture.source() != self.source {
            return Err(ScaleError::Source { want: self.source, have: picture.source() }.into());
        }
        let size = (self.source.width, self.source.height);
        let mut upload = self.commands.upload()?;
        for (plane, (at, stride)) in self.planes.iter().enumerate() {
            let (row, rows) = self.source.format.extent(plane, size);
            for y in 0..rows {
                upload[at + y * stride..][..row].copy_from_slice(picture.row(plane, y));
            }
        }
        drop(upload);
        run([&mut self.commands])?;
        let download = self.commands.download()?;
        let words: Vec<u32> = download.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
        Ok(of_words(self.source, &words))
    }
}
