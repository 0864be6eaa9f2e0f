//! Merkle trees that prove a place: leaves in order, padded to a power of two, one leaf is its own top.

use crate::{Hash, keccak};

/// A leaf, or a node above others. The default value is padding.
pub trait Node: Copy + Default {
    /// The node above two others. `None` where a sum below them does not fit.
    fn above(left: Self, right: Self) -> Option<Self>;
}

/// `keccak256(0x01 || left || right)`: `IndexTree` of the contracts.
impl Node for Hash {
    fn above(left: Self, right: Self) -> Option<Self> {
        Some(keccak(&[&[1], &left, &right]))
    }
}

/// All levels of the tree over `leaves`, the leaves first; over none it is one leaf of padding. `None` where a sum does not fit.
pub fn levels<N: Node>(mut leaves: Vec<N>) -> Option<Vec<Vec<N>>> {
    leaves.resize(leaves.len().next_power_of_two(), N::default());
    let mut levels = vec![leaves];
    while let Some(last) = levels.last().filter(|last| last.len() > 1) {
        let next = last.chunks_exact(2).map(|pair| N::above(pair[0], pair[1])).collect::<Option<_>>()?;
        levels.push(next);
    }
    Some(levels)
}

/// The siblings on the way from leaf `index` to the top. `None` past the end.
pub fn path<N: Node>(levels: &[Vec<N>], index: usize) -> Option<Vec<N>> {
    let (_, below) = levels.split_last()?;
    levels.first()?.get(index)?;
    Some(below.iter().enumerate().map(|(height, level)| level[(index >> height) ^ 1]).collect())
}

/// The node above all leaves.
pub(crate) fn top<N: Node>(levels: &[Vec<N>]) -> N {
    levels.last().and_then(|top| top.first()).copied().unwrap_or_default()
}

/// A tree that grows leaf by leaf and keeps one node a level.
#[derive(Clone, Debug, Default)]
pub struct Growing<N> {
    /// By height: the left node that still lacks its sibling.
    waiting: Vec<Option<N>>,
}

impl<N: Node> Growing<N> {
    /// Without leaves.
    pub fn new() -> Self {
        Self { waiting: Vec::new() }
    }

    /// Adds the next leaf. `None` where a sum does not fit: the tree is of no more use then.
    pub fn push(&mut self, leaf: N) -> Option<()> {
        let mut node = leaf;
        for place in &mut self.waiting {
            match place.take() {
                Some(left) => node = N::above(left, node)?,
                None => {
                    *place = Some(node);
                    return Some(());
                }
            }
        }
        self.waiting.push(Some(node));
        Some(())
    }

    /// The node above all leaves so far, padded as [`levels`] does it.
    pub fn top(&self) -> Option<N> {
        let Some((highest, below)) = self.waiting.split_last() else { return Some(N::default()) };
        // What stands right of the waiting nodes, at their height; nothing where the leaves fill a tree.
        let (mut rest, mut padding) = (None, N::default());
        for place in below {
            rest = match (*place, rest) {
                (Some(left), Some(right)) => Some(N::above(left, right)?),
                (Some(only), None) | (None, Some(only)) => Some(N::above(only, padding)?),
                (None, None) => None,
            };
            padding = N::above(padding, padding)?;
        }
        match (*highest, rest) {
            (Some(left), Some(right)) => N::above(left, right),
            // The highest place is never empty.
            (only, _) => only,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_growing_tree_has_the_top_of_a_whole_one() {
        let leaf = |i: usize| keccak(&[&i.to_be_bytes()]);
        let mut growing = Growing::new();
        for count in 0..70 {
            let whole = levels((0..count).map(leaf).collect()).unwrap();
            assert_eq!(growing.top(), Some(top(&whole)), "{count} leaves");
            growing.push(leaf(count)).unwrap();
        }
        assert!(growing.waiting.len() <= 7);
    }

    #[test]
    fn paths_lead_to_the_top() {
        for count in 1..20usize {
            let whole = levels((0..count).map(|i| [i as u8 + 1; 32]).collect::<Vec<Hash>>()).unwrap();
            for (index, leaf) in whole[0].iter().enumerate() {
                let climb = |(node, index): (Hash, usize), sibling: &Hash| {
                    let (left, right) = if index & 1 == 0 { (node, *sibling) } else { (*sibling, node) };
                    (Hash::above(left, right).unwrap(), index >> 1)
                };
                assert_eq!(path(&whole, index).unwrap().iter().fold((*leaf, index), climb).0, top(&whole));
            }
            assert_eq!(path(&whole, count.next_power_of_two()), None);
        }
        assert_eq!(levels(Vec::<Hash>::new()).unwrap(), [[[0; 32]]]);
    }
}
