//! A segment's pictures as the tree that a dispute walks down: kept whole, since any node may be asked for.

use alloy_primitives::{B256, keccak256};

/// The most pictures that a game can be about.
pub const MAX_PICTURES: usize = 65_536;
/// Levels that a move opens.
const STEP: u8 = 4;

/// All levels of an `IndexTree` over the hashes of frames, and their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    count: u32,
    /// From the padded leaves to the top.
    levels: Vec<Vec<B256>>,
}

impl Board {
    /// Over the hashes of all frames, in order. `None` for no pictures and for more than [`MAX_PICTURES`].
    pub fn new(mut frames: Vec<B256>) -> Option<Self> {
        let count = u32::try_from(frames.len()).ok().filter(|_| (1..=MAX_PICTURES).contains(&frames.len()))?;
        frames.resize(frames.len().next_power_of_two(), B256::ZERO);
        let mut levels = vec![frames];
        while let Some(last) = levels.last().filter(|last| last.len() > 1) {
            let next = above(last);
            levels.push(next);
        }
        Some(Self { count, levels })
    }

    /// What the operator commits to: `keccak256(0x03 || number of frames, 4 bytes || top)`.
    pub fn root(&self) -> B256 {
        root(self.count, self.row(self.depth(), 0).and_then(fold).unwrap_or_default())
    }

    /// How many pictures there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Levels below the top: at most 16.
    pub fn depth(&self) -> u8 {
        u8::try_from(self.levels.len() - 1).unwrap_or(u8::MAX)
    }

    /// The 1, 2, 4, 8 or 16 nodes that a move opens of the node with `level` levels below it and `first` as its first leaf.
    /// `None` where there is no such node.
    pub fn row(&self, level: u8, first: u32) -> Option<&[B256]> {
        let step = level.min(STEP);
        let height = level - step;
        let aligned = level < 32 && first.trailing_zeros() >= u32::from(level);
        let from = usize::try_from(first.checked_shr(height.into())?).ok().filter(|_| aligned)?;
        self.levels.get(usize::from(height))?.get(from..from + (1 << step))
    }
}

/// What stands for `count` pictures below `top`.
pub(super) fn root(count: u32, top: B256) -> B256 {
    let mut packed = vec![3];
    packed.extend(count.to_be_bytes());
    packed.extend(top);
    keccak256(packed)
}

/// The level above nodes, which are a power of two and more than one.
fn above(nodes: &[B256]) -> Vec<B256> {
    let node = |pair: &[B256]| {
        let mut packed = vec![1];
        pair.iter().for_each(|child| packed.extend(child));
        keccak256(packed)
    };
    nodes.chunks_exact(2).map(node).collect()
}

/// The node above 1, 2, 4, 8 or 16 children; `None` for another number.
pub(super) fn fold(children: &[B256]) -> Option<B256> {
    if !children.len().is_power_of_two() || children.len() > 1 << STEP {
        return None;
    }
    let mut row = children.to_vec();
    while row.len() > 1 {
        row = above(&row);
    }
    row.first().copied()
}

/// The siblings on the way from a child to the node above all.
pub(super) fn path(children: &[B256], child: usize) -> Vec<B256> {
    let (mut row, mut at, mut path) = (children.to_vec(), child, Vec::new());
    while row.len() > 1 {
        path.extend(row.get(at ^ 1));
        (row, at) = (above(&row), at >> 1);
    }
    path
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frames(count: usize) -> Vec<B256> {
        (0..count).map(|frame| keccak256(frame.to_be_bytes())).collect()
    }

    #[test]
    fn known_bytes() {
        let (a, b) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let hash = |parts: &[&[u8]]| keccak256(parts.concat());
        let top =
            hash(&[&[1], &hash(&[&[1], a.as_slice(), b.as_slice()])[..], &hash(&[&[1], a.as_slice(), &[0; 32]])[..]]);
        let root = hash(&[&[3, 0, 0, 0, 3], top.as_slice()]);
        assert_eq!(Board::new(vec![a, b, a]).unwrap().root(), root);
        assert_eq!(Board::new(vec![a]).unwrap().root(), hash(&[&[3, 0, 0, 0, 1], a.as_slice()]));
    }

    #[test]
    fn rows_lead_from_the_top_to_every_leaf() {
        for count in [1, 2, 3, 16, 17, 100, 300, 4096] {
            let leaves = frames(count);
            let board = Board::new(leaves.clone()).unwrap();
            for leaf in [0, count / 3, count - 1] {
                let (mut level, mut first, mut node) = (board.depth(), 0, None);
                loop {
                    let row = board.row(level, first).unwrap();
                    assert!(node.is_none_or(|node| fold(row) == Some(node)));
                    level -= level.min(STEP);
                    let child = (leaf - first as usize) >> level;
                    assert_eq!(path(row, child).len(), row.len().ilog2() as usize);
                    node = Some(row[child]);
                    first += (child as u32) << level;
                    if level == 0 {
                        break;
                    }
                }
                assert_eq!((first as usize, node), (leaf, Some(leaves[leaf])));
            }
        }
    }

    #[test]
    fn there_is_nothing_outside() {
        assert_eq!(Board::new(vec![]), None);
        assert_eq!(Board::new(frames(MAX_PICTURES + 1)), None);
        let board = Board::new(frames(40)).unwrap();
        assert_eq!(board.row(7, 0), None);
        assert_eq!(board.row(5, 16), None); // not a node
        assert_eq!(board.row(2, 64), None);
        assert_eq!(board.row(255, 0), None);
        assert_eq!(board.row(2, 60).unwrap(), [B256::ZERO; 4]);
        assert_eq!(fold(&[]), None);
        assert_eq!(fold(&frames(3)), None);
        assert_eq!(fold(&frames(32)), None);
    }
}
