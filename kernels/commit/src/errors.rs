//! Squared errors and what they are bound to: Merkle trees whose nodes commit to the sums below them.

use crate::pictures::{Picture, Pictures};
use crate::shape::TILE;
use crate::tree::{Node, levels, path, top};
use crate::{Hash, keccak};

/// A tile, or a node above tiles: its hash and the error below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumNode {
    /// Its hash; zero for padding.
    pub hash: Hash,
    /// Squared error.
    pub sum: u64,
}

/// `keccak256(0x01 || left || its sum, 8 bytes || right || its sum)`, as in the tree of a claim.
impl Node for SumNode {
    fn above(left: Self, right: Self) -> Option<Self> {
        let hash = keccak(&[&[1], &left.hash, &left.sum.to_be_bytes(), &right.hash, &right.sum.to_be_bytes()]);
        Some(Self { hash, sum: left.sum.checked_add(right.sum)? })
    }
}

/// A frame, or a node above frames: its hash, the error of luma, that of both chroma planes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameNode {
    /// Its hash; zero for padding.
    pub hash: Hash,
    /// Squared error of Y.
    pub luma: u64,
    /// Squared error of U and V.
    pub chroma: u64,
}

/// The errors of one frame: a tree for each plane.
#[derive(Clone, Debug)]
pub struct FrameErrors {
    planes: [Vec<Vec<SumNode>>; 3],
}

/// The errors of a segment.
#[derive(Clone, Debug)]
pub struct Errors {
    frames: Vec<FrameErrors>,
    levels: Vec<Vec<FrameNode>>,
}

/// Squared error of each tile of two planes of one shape, row after row of tiles, as the kernels' reference has it.
/// `None` for planes of different shapes, or of 10 bits: outputs have 8.
pub fn tile_errors(a: &Picture, b: &Picture, plane: usize) -> Option<Vec<u64>> {
    let (width, _) = a.extent(plane);
    if a.extent(plane) != b.extent(plane) || a.bits() != 8 || b.bits() != 8 || plane >= a.planes().min(b.planes()) {
        return None;
    }
    let (across, down) = a.tiles(plane);
    let mut sums = vec![0; across * down];
    for (i, (a, b)) in a.plane(plane).iter().zip(b.plane(plane)).enumerate() {
        sums[i / width / TILE * across + i % width / TILE] += u64::from(a.abs_diff(*b)).pow(2);
    }
    Some(sums)
}

impl FrameErrors {
    /// From the errors of the tiles of Y, U and V. `None` when a plane has no tile or a sum does not fit 64 bits.
    pub fn new(tiles: [&[u64]; 3]) -> Option<Self> {
        let [y, u, v] = tiles.map(|tiles| {
            let leaf = |sum: &u64| SumNode { hash: keccak(&[&[0], &sum.to_be_bytes()]), sum: *sum };
            levels(tiles.iter().map(leaf).collect()).filter(|_| !tiles.is_empty())
        });
        let errors = Self { planes: [y?, u?, v?] };
        let [_, u, v] = errors.tops();
        u.sum.checked_add(v.sum)?;
        Some(errors)
    }

    /// The errors between two pictures. `None` unless both are 8-bit 4:2:0 of one size.
    pub fn between(a: &Picture, b: &Picture) -> Option<Self> {
        let [y, u, v] = [0, 1, 2].map(|plane| tile_errors(a, b, plane));
        Self::new([&y?, &u?, &v?])
    }

    /// The tops of the three planes.
    pub fn tops(&self) -> [SumNode; 3] {
        self.planes.each_ref().map(|levels| top(levels))
    }

    /// The error of a tile.
    pub fn tile(&self, plane: usize, index: usize) -> Option<u64> {
        self.planes.get(plane)?[0].get(index).map(|node| node.sum)
    }

    /// The way from a tile to the top of its plane.
    pub fn path(&self, plane: usize, index: usize) -> Option<Vec<SumNode>> {
        self.planes.get(plane).and_then(|levels| path(levels, index))
    }

    /// `keccak256(0x02 || top of Y, its sum, 8 bytes || U || V)`, with both sums.
    pub fn node(&self) -> FrameNode {
        let [y, u, v] = self.tops();
        let sums = [y, u, v].map(|top| top.sum.to_be_bytes());
        let hash = keccak(&[&[2], &y.hash, &sums[0], &u.hash, &sums[1], &v.hash, &sums[2]]);
        // Both summands fitted when this was made.
        FrameNode { hash, luma: y.sum, chroma: u.sum.saturating_add(v.sum) }
    }
}

/// `keccak256(0x03 || left || its luma, its chroma: 8 bytes each || right || its luma, its chroma)`.
impl Node for FrameNode {
    fn above(left: Self, right: Self) -> Option<Self> {
        let sums = [left.luma, left.chroma, right.luma, right.chroma].map(u64::to_be_bytes);
        let hash = keccak(&[&[3], &left.hash, &sums[0], &sums[1], &right.hash, &sums[2], &sums[3]]);
        let (luma, chroma) = (left.luma.checked_add(right.luma)?, left.chroma.checked_add(right.chroma)?);
        Some(Self { hash, luma, chroma })
    }
}

/// `keccak256(0x04 || number of frames, 4 bytes || top, its two sums, 8 bytes each)`.
pub(crate) fn root(count: u32, top: &FrameNode) -> Hash {
    keccak(&[&[4], &count.to_be_bytes(), &top.hash, &top.luma.to_be_bytes(), &top.chroma.to_be_bytes()])
}

impl Errors {
    /// Commits to the errors of a segment's frames. `None` when a sum does not fit 64 bits.
    pub fn new(frames: Vec<FrameErrors>) -> Option<Self> {
        let levels = levels(frames.iter().map(FrameErrors::node).collect())?;
        Some(Self { frames, levels })
    }

    /// The errors between pictures of the same number. `None` unless all are 8-bit 4:2:0 and pairwise of one size.
    pub fn between(a: &Pictures, b: &Pictures) -> Option<Self> {
        if a.count() != b.count() {
            return None;
        }
        Self::new(a.iter().zip(b.iter()).map(|(a, b)| FrameErrors::between(a, b)).collect::<Option<_>>()?)
    }

    /// What stands for all: `keccak256(0x04 || number of frames, 4 bytes || top, its two sums, 8 bytes each)`.
    pub fn root(&self) -> Hash {
        root(self.count(), &self.top())
    }

    /// Frames.
    pub fn count(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// The node above all frames, with the sums of the segment.
    pub fn top(&self) -> FrameNode {
        top(&self.levels)
    }

    /// One frame.
    pub fn frame(&self, index: usize) -> Option<&FrameErrors> {
        self.frames.get(index)
    }

    /// The way from a frame to the top.
    pub fn path(&self, index: usize) -> Vec<FrameNode> {
        path(&self.levels, index).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::shape::Chroma;

    fn picture(size: (u32, u32), fill: u8) -> Picture {
        let (w, h) = (size.0 as usize, size.1 as usize);
        let planes = [w * h, w.div_ceil(2) * h.div_ceil(2), w.div_ceil(2) * h.div_ceil(2)].map(|len| vec![fill; len]);
        Picture::new(size, Chroma::Yuv420, 8, 0, planes.to_vec()).unwrap()
    }

    #[test]
    fn sums_are_those_of_the_tiles() {
        let (a, b) = (picture((40, 33), 10), picture((40, 33), 13));
        assert_eq!(tile_errors(&a, &b, 0).unwrap(), [32 * 32 * 9, 8 * 32 * 9, 32 * 9, 8 * 9]);
        let frame = FrameErrors::between(&a, &b).unwrap();
        assert_eq!((frame.node().luma, frame.node().chroma), (40 * 33 * 9, 2 * 20 * 17 * 9));
        let pictures = |fill: u8| Pictures::new((0..3).map(|n| picture((40, 33), fill + n)).collect());
        let errors = Errors::between(&pictures(10), &pictures(13)).unwrap();
        assert_eq!((errors.count(), errors.top().luma), (3, 3 * 40 * 33 * 9));
    }

    #[test]
    fn what_cannot_be_compared_has_no_errors() {
        let (a, b) = (picture((40, 33), 1), picture((33, 40), 1));
        assert!(tile_errors(&a, &b, 0).is_none() && tile_errors(&a, &a, 3).is_none());
        assert!(Errors::between(&Pictures::new(vec![a.clone()]), &Pictures::new(vec![a.clone(), a])).is_none());
        assert!(FrameErrors::new([&[u64::MAX, 1], &[0], &[0]]).is_none());
        assert!(FrameErrors::new([&[0], &[u64::MAX], &[1]]).is_none());
        let huge = FrameErrors::new([&[u64::MAX], &[0], &[0]]).unwrap();
        assert!(Errors::new(vec![huge.clone(), huge]).is_none());
    }

    #[test]
    fn every_error_and_its_place_count() {
        let root = |tiles: [&[u64]; 3]| Errors::new(vec![FrameErrors::new(tiles).unwrap()]).unwrap().root();
        let right = root([&[1, 2, 3], &[4], &[5]]);
        assert_ne!(root([&[2, 1, 3], &[4], &[5]]), right);
        assert_ne!(root([&[1, 2, 3], &[5], &[4]]), right);
        assert_ne!(root([&[1, 2, 3, 0], &[4], &[5]]), right);
    }
}
