//! Pictures and what they are bound to: tiles of 32 by 32 samples, planes, frames, the segment.
//!
//! A picture is committed as its source lies: one that is shown turned is turned back first.

use crate::shape::{Chroma, PictureError, Shape, TILE};
use crate::tree::{levels, path, top};
use crate::{Hash, keccak, sha256};

/// A decoded picture: rows without gaps, a byte per sample of 8 bits, two (high byte first) per sample of 10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    shape: Shape,
    time: i64,
    planes: Vec<Vec<u8>>,
}

impl Picture {
    /// Joins the planes Y, U and V (Y alone of a grey picture). `time` is when it is shown, in ticks of 1/90000 s.
    pub fn new(
        size: (u32, u32),
        chroma: Chroma,
        bits: u8,
        time: i64,
        planes: Vec<Vec<u8>>,
    ) -> Result<Self, PictureError> {
        let shape = Shape::new(size, chroma, bits)?;
        let (have, want) = (planes.len(), shape.planes());
        if have != want {
            return Err(PictureError::Plane { plane: have, have, want });
        }
        for (plane, bytes) in planes.iter().enumerate() {
            let (width, height) = shape.extent(plane);
            let (have, want) = (bytes.len(), width * height * shape.sample_bytes());
            if have != want {
                return Err(PictureError::Plane { plane, have, want });
            }
        }
        Ok(Self { shape, time, planes })
    }

    /// Size and format.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Luma width and height.
    pub fn size(&self) -> (u32, u32) {
        self.shape.size()
    }

    /// How much colour it has.
    pub fn chroma(&self) -> Chroma {
        self.shape.chroma
    }

    /// Bits of a sample: 8 or 10.
    pub fn bits(&self) -> u8 {
        self.shape.bits
    }

    /// When it is shown, in ticks of 1/90000 s.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// Planes: 1 or 3.
    pub fn planes(&self) -> usize {
        self.planes.len()
    }

    /// Samples across and down of a plane.
    pub fn extent(&self, plane: usize) -> (usize, usize) {
        self.shape.extent(plane)
    }

    /// Tiles across and down of a plane.
    pub fn tiles(&self, plane: usize) -> (usize, usize) {
        self.shape.tiles(plane)
    }

    /// One sample, or `None` outside.
    pub fn sample(&self, plane: usize, x: usize, y: usize) -> Option<u16> {
        let (width, _) = self.extent(plane);
        let at = y.checked_mul(width)?.checked_add(x)?;
        let bytes = self.planes.get(plane).filter(|_| x < width)?;
        match self.shape.bits {
            8 => bytes.get(at).map(|sample| u16::from(*sample)),
            _ => Some(u16::from_be_bytes([*bytes.get(2 * at)?, *bytes.get(2 * at + 1)?])),
        }
    }

    /// The bytes of a plane.
    pub fn plane(&self, plane: usize) -> &[u8] {
        self.planes.get(plane).map_or(&[], Vec::as_slice)
    }

    /// What is hashed of a tile: its samples, row after row. Empty outside.
    pub fn tile(&self, plane: usize, column: usize, row: usize) -> Vec<u8> {
        let (width, height) = self.extent(plane);
        let (left, right) = ((column * TILE).min(width), ((column + 1) * TILE).min(width));
        let rows = (row * TILE).min(height)..((row + 1) * TILE).min(height);
        let size = self.shape.sample_bytes();
        let bytes = self.plane(plane);
        rows.flat_map(|y| &bytes[(y * width + left) * size..(y * width + right) * size]).copied().collect()
    }

    fn tree(&self, plane: usize) -> Tree {
        let (across, down) = self.tiles(plane);
        Tree::new((0..across * down).map(|i| sha256(&self.tile(plane, i % across, i / across))).collect())
    }
}

/// An `IndexTree` of the contracts, kept whole.
#[derive(Clone, Debug)]
pub(crate) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    pub(crate) fn new(leaves: Vec<Hash>) -> Self {
        // There are no sums that could not fit.
        Self(levels(leaves).unwrap_or_default())
    }

    pub(crate) fn top(&self) -> Hash {
        top(&self.0)
    }

    /// Empty past the end.
    pub(crate) fn path(&self, index: usize) -> Vec<Hash> {
        path(&self.0, index).unwrap_or_default()
    }
}

/// The pictures of a segment with their trees, in order of presentation.
#[derive(Clone, Debug)]
pub struct Pictures {
    frames: Vec<(Picture, Vec<Tree>)>,
    tree: Tree,
}

impl Pictures {
    /// Commits to pictures.
    pub fn new(pictures: Vec<Picture>) -> Self {
        let with_trees = |picture: Picture| {
            let trees = (0..picture.planes()).map(|plane| picture.tree(plane)).collect();
            (picture, trees)
        };
        let frames: Vec<(Picture, Vec<Tree>)> = pictures.into_iter().map(with_trees).collect();
        let tree = Tree::new(
            frames.iter().map(|(picture, trees)| frame_hash(&picture.shape, picture.time, &tops(trees))).collect(),
        );
        Self { frames, tree }
    }

    /// What stands for all of them: `keccak256(0x03 || number of frames, 4 bytes || top of the tree over the frames)`.
    pub fn root(&self) -> Hash {
        root(self.count(), self.top())
    }

    /// How many there are; a segment never has as many as fit 32 bits.
    pub fn count(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// One of them.
    pub fn picture(&self, index: usize) -> Option<&Picture> {
        self.frames.get(index).map(|(picture, _)| picture)
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Picture> + ExactSizeIterator {
        self.frames.iter().map(|(picture, _)| picture)
    }

    /// The node above all frames.
    pub fn top(&self) -> Hash {
        self.tree.top()
    }

    /// The way from a frame to the top.
    pub fn path(&self, index: usize) -> Vec<Hash> {
        self.tree.path(index)
    }

    /// The tops of a frame's three planes, zero for those it has not.
    pub fn plane_tops(&self, index: usize) -> Option<[Hash; 3]> {
        self.frames.get(index).map(|(_, trees)| tops(trees))
    }

    /// The way from a tile to the top of its plane.
    pub fn tile_path(&self, index: usize, plane: usize, column: usize, row: usize) -> Option<Vec<Hash>> {
        let (picture, trees) = self.frames.get(index)?;
        let (across, _) = picture.tiles(plane);
        Some(trees.get(plane)?.path(row * across + column))
    }
}

fn tops(trees: &[Tree]) -> [Hash; 3] {
    std::array::from_fn(|plane| trees.get(plane).map_or(Hash::default(), Tree::top))
}

/// `keccak256(0x02 || width, height: 4 bytes each || chroma, bits: a byte each || time, 8 bytes || tops of Y, U, V)`.
pub fn frame_hash(shape: &Shape, time: i64, tops: &[Hash; 3]) -> Hash {
    let Shape { width, height, chroma, bits } = *shape;
    let [y, u, v] = tops;
    keccak(&[&[2], &width.to_be_bytes(), &height.to_be_bytes(), &[chroma as u8, bits], &time.to_be_bytes(), y, u, v])
}

/// `keccak256(0x03 || number of frames, 4 bytes || top of the tree over the frames)`.
pub(crate) fn root(count: u32, top: Hash) -> Hash {
    keccak(&[&[3], &count.to_be_bytes(), &top])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn picture(chroma: Chroma, bits: u8) -> Picture {
        let size = |plane: usize| match (plane, chroma) {
            (0, _) | (_, Chroma::Yuv444) => 35 * 33,
            (_, Chroma::Yuv422) => 18 * 33,
            _ => 18 * 17,
        };
        let planes = if chroma == Chroma::Grey { 1 } else { 3 };
        let bytes = |plane: usize| (0..size(plane) * usize::from(bits / 8 + bits % 8 / 2)).map(|i| (i % 251) as u8);
        Picture::new((35, 33), chroma, bits, 7, (0..planes).map(|plane| bytes(plane).collect()).collect()).unwrap()
    }

    #[test]
    fn tiles_are_cut_at_the_edges() {
        let picture = picture(Chroma::Yuv420, 8);
        assert_eq!((picture.tiles(0), picture.tiles(1)), ((2, 2), (1, 1)));
        assert_eq!(picture.tile(0, 0, 0).len(), 32 * 32);
        assert_eq!(picture.tile(0, 1, 0).len(), 3 * 32);
        assert_eq!(
            picture.tile(0, 1, 1),
            [(32 * 35 + 32) % 251, (32 * 35 + 33) % 251, (32 * 35 + 34) % 251].map(|i| i as u8)
        );
        assert_eq!(picture.tile(2, 0, 0).len(), 18 * 17);
        assert!(picture.tile(0, 2, 0).is_empty() && picture.tile(0, 0, 2).is_empty());
    }

    #[test]
    fn ten_bits_are_two_bytes_high_byte_first() {
        let picture = picture(Chroma::Yuv422, 10);
        assert_eq!(picture.sample(0, 1, 0), Some(0x0203));
        assert_eq!(picture.sample(0, 35, 0), None);
        assert_eq!(picture.sample(0, 0, 33), None);
        assert_eq!(picture.tile(1, 0, 0).len(), 18 * 32 * 2);
    }

    #[test]
    fn every_sample_and_every_field_counts() {
        for (chroma, bits) in [(Chroma::Grey, 8), (Chroma::Yuv420, 8), (Chroma::Yuv422, 10), (Chroma::Yuv444, 8)] {
            let right = picture(chroma, bits);
            let root = |picture: &Picture| Pictures::new(vec![picture.clone()]).root();
            for plane in 0..right.planes() {
                for at in [0, right.plane(plane).len() / 2, right.plane(plane).len() - 1] {
                    let mut wrong = right.clone();
                    wrong.planes[plane][at] ^= 1;
                    assert_ne!(root(&wrong), root(&right), "{chroma:?}, plane {plane}, byte {at}");
                }
            }
            let mut later = right.clone();
            later.time += 1;
            assert_ne!(root(&later), root(&right));
            let pair = |a: &Picture, b: &Picture| Pictures::new(vec![a.clone(), b.clone()]).root();
            assert_ne!(pair(&right, &later), pair(&later, &right));
            assert_ne!(pair(&right, &right), root(&right));
        }
    }

    #[test]
    fn known_bytes() {
        // The description above, spelled out for one small picture.
        let picture = Picture::new((2, 1), Chroma::Yuv420, 8, -1, vec![vec![1, 2], vec![3], vec![4]]).unwrap();
        let mut frame = vec![2, 0, 0, 0, 2, 0, 0, 0, 1, 1, 8];
        frame.extend([0xff; 8]);
        [&[1u8, 2][..], &[3], &[4]].iter().for_each(|tile| frame.extend(sha256(tile)));
        let mut root = vec![3, 0, 0, 0, 1];
        root.extend(keccak(&[&frame]));
        assert_eq!(Pictures::new(vec![picture]).root(), keccak(&[&root]));
    }

    #[test]
    fn refusals() {
        let new = |size, bits, planes: &[usize]| {
            Picture::new(size, Chroma::Yuv420, bits, 0, planes.iter().map(|len| vec![0; *len]).collect()).map(|_| ())
        };
        assert_eq!(new((4, 2), 8, &[8, 2, 2]), Ok(()));
        assert_eq!(new((0, 2), 8, &[0, 0, 0]), Err(PictureError::Side { width: 0, height: 2 }));
        assert_eq!(new((20_000, 2), 8, &[]), Err(PictureError::Side { width: 20_000, height: 2 }));
        assert_eq!(new((4, 2), 9, &[8, 2, 2]), Err(PictureError::Bits(9)));
        assert_eq!(new((4, 2), 8, &[8]), Err(PictureError::Plane { plane: 1, have: 1, want: 3 }));
        assert_eq!(new((4, 2), 10, &[16, 4, 3]), Err(PictureError::Plane { plane: 2, have: 3, want: 4 }));
    }
}
