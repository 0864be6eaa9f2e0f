//! The roots of pictures and errors as they come: nothing is kept but one node a level and the tiles of one row of them.

use crate::errors::{self, FrameNode};
use crate::pictures;
use crate::shape::{Shape, TILE};
use crate::tree::Growing;
use crate::{Hash, sha256};

/// The tops of the trees over the planes of one picture, zero for those it has not.
///
/// `row(plane, y, bytes)` writes all samples of a row, a byte each of 8 bits, two (high byte first) of 10. It is asked for
/// every row once, from the top of Y to the bottom of V.
pub fn plane_tops(shape: &Shape, mut row: impl FnMut(usize, usize, &mut [u8])) -> [Hash; 3] {
    let size = shape.sample_bytes();
    let (mut line, mut band) = (Vec::new(), Vec::new());
    let mut top_of = |plane: usize| {
        let (width, height) = shape.extent(plane);
        let (across, down) = shape.tiles(plane);
        line.resize(width * size, 0);
        // A row of tiles, each with room for a full one.
        let room = TILE * TILE * size;
        band.resize(across * room, 0);
        let mut tree = Growing::new();
        for tile_row in 0..down {
            let rows = (height - tile_row * TILE).min(TILE);
            for y in 0..rows {
                row(plane, tile_row * TILE + y, &mut line);
                for (part, tile) in line.chunks(TILE * size).zip(band.chunks_exact_mut(room)) {
                    tile[y * part.len()..][..part.len()].copy_from_slice(part);
                }
            }
            for (part, tile) in line.chunks(TILE * size).zip(band.chunks_exact(room)) {
                // Hashes have no sums that could not fit.
                let _ = tree.push(sha256(&tile[..rows * part.len()]));
            }
        }
        tree.top().unwrap_or_default()
    };
    std::array::from_fn(|plane| if plane < shape.planes() { top_of(plane) } else { Hash::default() })
}

/// The pictures of a segment, in order of presentation.
#[derive(Clone, Debug, Default)]
pub struct PictureStream {
    tree: Growing<Hash>,
    count: u32,
}

impl PictureStream {
    /// Adds the next one: of this shape, shown at `time` (ticks of 1/90000 s), with the tops that [`plane_tops`] makes.
    pub fn push(&mut self, shape: &Shape, time: i64, tops: &[Hash; 3]) {
        // As above.
        let _ = self.tree.push(pictures::frame_hash(shape, time, tops));
        self.count = self.count.saturating_add(1);
    }

    /// Pictures so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// As [`crate::Pictures::root`] of the same pictures.
    pub fn root(&self) -> Hash {
        pictures::root(self.count, self.tree.top().unwrap_or_default())
    }
}

/// The errors of a segment's frames, in order.
#[derive(Clone, Debug, Default)]
pub struct ErrorStream {
    tree: Growing<FrameNode>,
    count: u32,
}

impl ErrorStream {
    /// Adds those of the next frame. `None` where a sum does not fit 64 bits.
    pub fn push(&mut self, frame: FrameNode) -> Option<()> {
        self.count = self.count.saturating_add(1);
        self.tree.push(frame)
    }

    /// The node above all frames, with the sums of the segment. `None` as above.
    pub fn top(&self) -> Option<FrameNode> {
        self.tree.top()
    }

    /// As [`crate::Errors::root`] of the same errors. `None` as above.
    pub fn root(&self) -> Option<Hash> {
        Some(errors::root(self.count, &self.top()?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{Chroma, Errors, FrameErrors, Picture, Pictures};

    fn picture(size: (u32, u32), chroma: Chroma, bits: u8, time: i64, seed: usize) -> Picture {
        let shape = Shape::new(size, chroma, bits).unwrap();
        let plane = |plane| {
            let (width, height) = shape.extent(plane);
            (0..width * height * shape.sample_bytes()).map(|i| ((i + seed) * 7919 % 253) as u8).collect()
        };
        Picture::new(size, chroma, bits, time, (0..shape.planes()).map(plane).collect()).unwrap()
    }

    fn streamed<'a>(all: impl Iterator<Item = &'a Picture>) -> Hash {
        let mut stream = PictureStream::default();
        for picture in all {
            let (shape, mut rows) = (picture.shape(), 0usize);
            let tops = plane_tops(&shape, |plane, y, bytes| {
                let length = bytes.len();
                bytes.copy_from_slice(&picture.plane(plane)[y * length..][..length]);
                rows += 1;
            });
            assert_eq!(rows, (0..shape.planes()).map(|plane| shape.extent(plane).1).sum::<usize>());
            stream.push(&shape, picture.time(), &tops);
        }
        stream.root()
    }

    #[test]
    fn pictures_that_come_have_the_root_of_those_kept() {
        let formats = [(Chroma::Grey, 8), (Chroma::Yuv420, 8), (Chroma::Yuv422, 10), (Chroma::Yuv444, 8)];
        for (n, (chroma, bits)) in formats.into_iter().enumerate() {
            for size in [(1, 1), (32, 32), (33, 31), (65, 64), (130, 97)] {
                let all: Vec<_> = (0..=n).map(|i| picture(size, chroma, bits, 3000 * i as i64 - 7, 31 * i)).collect();
                let kept = Pictures::new(all);
                assert_eq!(streamed(kept.iter()), kept.root(), "{size:?} {chroma:?} {bits}");
            }
        }
        assert_eq!(PictureStream::default().root(), Pictures::new(Vec::new()).root());
    }

    #[test]
    fn errors_that_come_have_the_root_of_those_kept() {
        let mut frames = Vec::new();
        for n in 0..9 {
            let [a, b] = [n, 2 * n].map(|seed| picture((70, 40), Chroma::Yuv420, 8, 0, seed));
            frames.push(FrameErrors::between(&a, &b).unwrap());
            let mut stream = ErrorStream::default();
            frames.iter().for_each(|frame| stream.push(frame.node()).unwrap());
            let kept = Errors::new(frames.clone()).unwrap();
            assert_eq!((stream.root(), stream.top()), (Some(kept.root()), Some(kept.top())));
        }
        let huge = FrameErrors::new([&[u64::MAX], &[0], &[0]]).unwrap().node();
        let mut stream = ErrorStream::default();
        assert_eq!((stream.push(huge), stream.push(huge)), (Some(()), None));
    }
}
