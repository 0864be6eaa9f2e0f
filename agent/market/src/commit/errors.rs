//! Squared errors and what they are bound to: Merkle trees whose nodes commit to the sums below them.

use super::pictures::{Picture, Pictures, TILE};
use crate::merkle::{self, Node};
use alloy_primitives::{B256, keccak256};

/// A frame, or a node above frames: its hash, the error of luma, that of both chroma planes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameNode {
    /// Its hash; zero for padding.
    pub hash: B256,
    /// Squared error of Y.
    pub luma: u64,
    /// Squared error of U and V.
    pub chroma: u64,
}

/// The errors of one frame: a tree for each plane.
#[derive(Clone, Debug)]
pub struct FrameErrors {
    planes: [Vec<Vec<Node>>; 3],
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
            let leaf = |sum: &u64| Node { hash: tile_hash(*sum), sum: *sum };
            merkle::levels(tiles.iter().map(leaf).collect())
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
    pub fn tops(&self) -> [Node; 3] {
        self.planes.each_ref().map(|levels| levels.last().map_or_else(Node::default, |top| top[0]))
    }

    /// The error of a tile.
    pub fn tile(&self, plane: usize, index: usize) -> Option<u64> {
        self.planes.get(plane)?[0].get(index).map(|node| node.sum)
    }

    /// The way from a tile to the top of its plane.
    pub fn path(&self, plane: usize, index: usize) -> Option<Vec<Node>> {
        self.planes.get(plane).and_then(|levels| merkle::path(levels, index))
    }

    /// `keccak256(0x02 || top of Y, its sum, 8 bytes || U || V)`, with both sums.
    pub fn node(&self) -> FrameNode {
        let tops = self.tops();
        let mut packed = vec![2];
        tops.iter().for_each(|top| {
            packed.extend(top.hash);
            packed.extend(top.sum.to_be_bytes());
        });
        // Both summands fitted when this was made.
        FrameNode { hash: keccak256(packed), luma: tops[0].sum, chroma: tops[1].sum.saturating_add(tops[2].sum) }
    }
}

/// `keccak256(0x00 || error, 8 bytes)`.
fn tile_hash(error: u64) -> B256 {
    let mut packed = [0; 9];
    packed[1..].copy_from_slice(&error.to_be_bytes());
    keccak256(packed)
}

/// `None` when a sum does not fit.
fn parent(left: FrameNode, right: FrameNode) -> Option<FrameNode> {
    let mut packed = vec![3];
    for node in [left, right] {
        packed.extend(node.hash);
        packed.extend(node.luma.to_be_bytes());
        packed.extend(node.chroma.to_be_bytes());
    }
    let (luma, chroma) = (left.luma.checked_add(right.luma)?, left.chroma.checked_add(right.chroma)?);
    Some(FrameNode { hash: keccak256(packed), luma, chroma })
}

impl Errors {
    /// Commits to the errors of a segment's frames. `None` when a sum does not fit 64 bits.
    pub fn new(frames: Vec<FrameErrors>) -> Option<Self> {
        let mut level: Vec<FrameNode> = frames.iter().map(FrameErrors::node).collect();
        level.resize(level.len().next_power_of_two().max(1), FrameNode::default());
        let mut levels = vec![level];
        while let Some(last) = levels.last().filter(|last| last.len() > 1) {
            let next = last.chunks_exact(2).map(|pair| parent(pair[0], pair[1])).collect::<Option<_>>()?;
            levels.push(next);
        }
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
    pub fn root(&self) -> B256 {
        let top = self.top();
        let mut packed = vec![4];
        packed.extend(self.count().to_be_bytes());
        packed.extend(top.hash);
        packed.extend(top.luma.to_be_bytes());
        packed.extend(top.chroma.to_be_bytes());
        keccak256(packed)
    }

    /// Frames.
    pub fn count(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// The node above all frames, with the sums of the segment.
    pub fn top(&self) -> FrameNode {
        self.levels.last().map_or_else(FrameNode::default, |top| top[0])
    }

    /// One frame.
    pub fn frame(&self, index: usize) -> Option<&FrameErrors> {
        self.frames.get(index)
    }

    /// The way from a frame to the top.
    pub fn path(&self, index: usize) -> Vec<FrameNode> {
        let below = &self.levels[..self.levels.len() - 1];
        let sibling = |(height, level): (usize, &Vec<FrameNode>)| level.get((index >> height) ^ 1).copied();
        below.iter().enumerate().map_while(sibling).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::pictures::Chroma;
    use super::*;

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
