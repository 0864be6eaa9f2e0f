//! Openings of a claim: those of the tree lead to its root, and no changed one does.
#![no_main]

use arbitrary::Arbitrary;
use headframe_market::merkle::{Leaf, Node, SumTree, open};
use headframe_market::{B256, JobId, SegmentNo, Units};

#[derive(Arbitrary, Debug)]
struct Case {
    units: Vec<u64>,
    index: u16,
    /// Which of the path's nodes is changed, and how.
    height: u8,
    hash: u8,
    sum: u64,
    as_index: u64,
}

libfuzzer_sys::fuzz_target!(|case: Case| {
    let leaf = |(seq, units): (usize, &u64)| Leaf {
        job: JobId(1),
        seq: SegmentNo(seq as u64),
        src_root: B256::repeat_byte(1),
        out_root: B256::repeat_byte(2),
        units: Units(*units),
        out_bytes: 1,
    };
    let leaves: Vec<Leaf> = case.units.iter().take(4096).enumerate().map(leaf).collect();
    let total = leaves.iter().try_fold(0u64, |sum, leaf| sum.checked_add(leaf.units.0));
    let Some(tree) = SumTree::new(&leaves) else { return assert!(leaves.is_empty() || total.is_none()) };
    assert_eq!(Some(tree.root().sum), total);
    let index = usize::from(case.index) % leaves.len();
    let path = tree.path(index).expect("the leaf is there");
    let before: u64 = leaves[..index].iter().map(|leaf| leaf.units.0).sum();
    assert_eq!(open(&leaves[index], index as u64, &path), Some((tree.root(), before)));
    if leaves[index].units.0 > 0 {
        assert_eq!(tree.index_at(before), Some(index));
    }
    let mut forged = path.clone();
    if !forged.is_empty() {
        let at = usize::from(case.height) % forged.len();
        let was = forged[at];
        forged[at] = Node { hash: was.hash ^ B256::with_last_byte(case.hash), sum: was.sum ^ case.sum };
        if forged[at] != was {
            assert!(open(&leaves[index], index as u64, &forged).is_none_or(|(root, _)| root != tree.root()));
        }
    }
    if case.as_index != index as u64 {
        assert!(open(&leaves[index], case.as_index, &path).is_none_or(|(root, _)| root != tree.root() || path.is_empty()));
    }
    assert_eq!(tree.path(leaves.len().next_power_of_two()), None);
});
