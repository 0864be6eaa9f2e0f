//! Vectors of `LeafStep` and `EquivocationStep`.

use super::{File, changed, spoilt};
use crate::evm::Dice;
use crate::receipts::Work;
use alloy::primitives::B256;
use alloy::sol_types::SolValue;
use headframe_contracts::{EquivocationStep, LeafStep};
use headframe_market::merkle::{Leaf, SumTree};
use headframe_market::proof::abi::{
    EquivocationEvidence, LeafEvidence, Opening, PlaceDetail, ReceiptAndLeaf, TwoReceipts, UnitsDetail,
};
use headframe_market::proof::{Accusation, Drawn, equivocation, leaf};

/// Puts some leaf elsewhere.
type Move = fn(&mut Vec<Leaf>);

/// A piece of work with five segments, the third of which is answered.
fn work() -> Work {
    let mut dice = Dice::new(33);
    loop {
        let work = Work::random(&mut dice);
        // Enough pixels for some units, and more than one rung.
        if work.leaves.len() == 5 && work.index == 2 && work.answer.rungs.len() == 2 && work.opening.leaf.units > 1 {
            return work;
        }
    }
}

fn within<D>(accusation: &Accusation, change: impl FnOnce(&mut D)) -> Accusation
where
    D: SolValue + From<<D::SolType as alloy::sol_types::SolType>::RustType>,
{
    changed::<LeafEvidence>(accusation, |evidence| {
        let mut detail = D::abi_decode(&evidence.detail).unwrap();
        change(&mut detail);
        evidence.detail = detail.abi_encode().into();
    })
}

fn within_receipts<D>(accusation: &Accusation, change: impl FnOnce(&mut D)) -> Accusation
where
    D: SolValue + From<<D::SolType as alloy::sol_types::SolType>::RustType>,
{
    changed::<EquivocationEvidence>(accusation, |evidence| {
        let mut detail = D::abi_decode(&evidence.detail).unwrap();
        change(&mut detail);
        evidence.detail = detail.abi_encode().into();
    })
}

#[test]
fn vectors_of_leaf_step() {
    let mut file = File::new("leaf", &LeafStep::BYTECODE);
    let honest = work();
    let look = honest.answered().look();
    file.add("an honest opening", &look, "NothingWrong");
    spoilt(&mut file, &look);
    file.add("no such kind", &changed::<LeafEvidence>(&look, |e| e.kind = 3), "Malformed");
    file.add("another opening", &within::<Opening>(&look, |o| o.srcBytes += 1), "NotCommitted");

    let mut convicted = |name: &str, change: fn(&mut Work), outcome: &str| {
        let mut work = work();
        let draw = work.drawn.draw;
        change(&mut work);
        if work.drawn.draw == draw {
            work.bind(draw);
        }
        file.add(name, &work.answered().accuse_opening().unwrap(), outcome);
    };
    convicted("other units", |work| work.opening.leaf.units += 1, "not in the claim");
    convicted("another job", |work| work.opening.leaf.jobId += 1, "not in the claim");
    convicted("before the claim", |work| work.opening.leaf.seq = 1, "not in the claim");
    convicted("behind the claim", |work| work.opening.leaf.seq += 5, "not in the claim");
    convicted("a longer path", |work| work.opening.path.push(Default::default()), "not in the claim");
    convicted("sums past 64 bits", |work| work.opening.path[0].sum = u64::MAX, "not in the claim");
    convicted("another total", |work| work.claim.totalUnits += 1, "not in the claim");
    convicted("a unit behind it", |work| work.drawn.draw += work.opening.leaf.units, "not drawn");
    convicted("a unit before it", |work| work.drawn.draw = 0, "not drawn");
    convicted("another length", |work| work.opening.srcBytes += 1, "not ordered");
    convicted("no signature", |work| work.opening.clientSig = Default::default(), "not ordered");
    let anothers = |work: &mut Work| {
        work.keys = crate::receipts::Keys::swapped();
        work.claim = work.keys.claim(work.leaves.len() as u32, &work.tree);
    };
    convicted("another client", anothers, "not ordered");

    let units = honest.answered().look_at_units(&honest.answer, &honest.renditions);
    file.add("the units of the pictures", &units, "NothingWrong");
    let mut refused = |name: &str, change: fn(&mut UnitsDetail), outcome: &str| {
        file.add(name, &within::<UnitsDetail>(&units, change), outcome);
    };
    refused("units of another opening", |u| u.opening.leaf.units += 1, "NotCommitted");
    refused("units of another answer", |u| u.answer.cascade = true, "NotCommitted");
    refused("a rung missing", |u| u.decoded.truncate(1), "OutOfShape");
    refused("another number of pictures", |u| u.decoded[0].count += 1, "NotCommitted");
    let mut more = work();
    let draw = more.drawn.draw;
    more.opening.leaf.units += 1;
    more.bind(draw);
    let accusation = more.answered().accuse_units(&more.answer, &more.renditions).unwrap();
    file.add("a unit too many", &accusation, "wrong units");

    let place = leaf::look_at_place(&honest.drawn, &honest.leaves, &honest.tree, 3).unwrap();
    file.add("a leaf in its place", &place, "NothingWrong");
    file.add("a leaf not in the claim", &within::<PlaceDetail>(&place, |p| p.index = 2), "NotCommitted");
    file.add("a leaf past the tree", &within::<PlaceDetail>(&place, |p| p.index = 11), "NotCommitted");
    let moved: [(&str, Move); 3] = [
        ("another job's leaf", |leaves| leaves[4].job.0 += 1),
        ("the same segment twice", |leaves| leaves[4].seq.0 -= 1),
        ("work in the padding", |leaves| leaves.push(leaves[4].clone())),
    ];
    for (name, change) in moved {
        let mut leaves = honest.leaves.clone();
        change(&mut leaves);
        let tree = SumTree::new(&leaves).unwrap();
        let claim = honest.keys.claim(5, &tree);
        let drawn = Drawn { claim, ..honest.drawn };
        file.add(name, &leaf::accuse_places(&drawn, &leaves).unwrap(), "wrong place");
    }
    file.close();
}

#[test]
fn vectors_of_equivocation_step() {
    let mut file = File::new("equivocation", &EquivocationStep::BYTECODE);
    let work = work();
    let accused = work.accused();
    let mut other = work.receipt();
    other.out_bytes += 1;
    let (a, b) = (work.signed(work.receipt()), work.signed(other));

    let two = equivocation::accuse_receipts(&accused, &a, &b).unwrap();
    file.add("two receipts", &two, "two receipts");
    spoilt(&mut file, &two);
    file.add("one receipt", &equivocation::look_at_receipts(&accused, &a, &a), "NothingWrong");
    file.add("no such kind", &changed::<EquivocationEvidence>(&two, |e| e.kind = 2), "Malformed");
    let mut refused = |name: &str, change: fn(&mut TwoReceipts), outcome: &str| {
        file.add(name, &within_receipts::<TwoReceipts>(&two, change), outcome);
    };
    refused("the first not signed", |two| two.a.units += 1, "NotSigned");
    refused("the second not signed", |two| two.b.units += 1, "NotSigned");
    refused("a signature cut off", |two| two.signatureA = two.signatureA.slice(..64), "NotSigned");
    refused("another job", |two| two.a.jobId += 1, "OutOfShape");
    let mut next = work.receipt();
    next.seq.0 += 1;
    let next = equivocation::look_at_receipts(&accused, &a, &work.signed(next));
    file.add("of two segments", &next, "OutOfShape");

    let claimed = equivocation::accuse_claim(&accused, &b, &work.leaves).unwrap();
    file.add("another receipt than the claim's", &claimed, "claimed otherwise");
    file.add("the claim's receipt", &equivocation::look_at_claim(&accused, &a, &work.leaves).unwrap(), "NothingWrong");
    let mut refused = |name: &str, change: fn(&mut ReceiptAndLeaf), outcome: &str| {
        file.add(name, &within_receipts::<ReceiptAndLeaf>(&claimed, change), outcome);
    };
    refused("a leaf not in the claim", |e| e.leaf.srcRoot = B256::ZERO, "NotCommitted");
    refused("a leaf of another segment", |e| e.leaf.seq += 1, "OutOfShape");
    refused("a leaf of another job", |e| e.leaf.jobId += 1, "OutOfShape");
    let far = work.signed({
        let mut receipt = work.receipt();
        receipt.seq.0 += 5;
        receipt
    });
    let far = within_receipts::<ReceiptAndLeaf>(&claimed, |e| {
        (e.receipt, e.signature) = ((&far.receipt.leaf()).into(), far.signature.clone());
        e.leaf.seq = far.receipt.seq.0;
    });
    file.add("a segment behind the claim", &far, "OutOfShape");
    file.close();
}
