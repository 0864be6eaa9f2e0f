//! Claims, orders and receipts with their signatures: `LeafStep` and `EquivocationStep` convict what does not fit.

use crate::evm::{Dice, Outcome, Step, cases};
use crate::pictures::Stored;
use alloy::primitives::{Address, B256, Bytes};
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use headframe_contracts::{EquivocationStep, LeafStep};
use headframe_kernels::Source;
use headframe_market::commit::Pictures;
use headframe_market::merkle::{Leaf, SumTree};
use headframe_market::proof::equivocation::{self, Signed};
use headframe_market::proof::leaf::{self, Answered};
use headframe_market::proof::{Accused, Answer, Claim, Drawn, Opening, Rung, answer};
use headframe_market::typed_data::Domain;
use headframe_market::{JobId, Receipt, Segment, SegmentNo, Units};

const DOMAIN: Domain = Domain { chain_id: 31_337, market: Address::repeat_byte(7) };
const JOB: JobId = JobId(9);
const FIRST: SegmentNo = SegmentNo(40);

/// Who signs.
pub(crate) struct Keys {
    client: PrivateKeySigner,
    operator: PrivateKeySigner,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let key = |byte| PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap();
        Self { client: key(1), operator: key(2) }
    }

    /// A claim from its tree.
    pub(crate) fn claim(&self, count: u32, tree: &SumTree) -> Claim {
        leaf::claim((JOB, self.client.address()), self.operator.address(), FIRST, count, tree)
    }

    /// Each in the other's place.
    pub(crate) fn swapped() -> Self {
        let Self { client, operator } = Self::new();
        Self { client: operator, operator: client }
    }
}

fn sign(key: &PrivateKeySigner, hash: B256) -> Bytes {
    key.sign_hash_sync(&hash).unwrap().as_bytes().to_vec().into()
}

/// A claim of some segments and an answer for one of them.
pub(crate) struct Work {
    pub(crate) keys: Keys,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) tree: SumTree,
    pub(crate) claim: Claim,
    pub(crate) index: usize,
    pub(crate) opening: Opening,
    pub(crate) drawn: Drawn,
    pub(crate) answer: Answer,
    pub(crate) renditions: Vec<Pictures>,
}

fn order(leaf: &Leaf) -> Segment {
    Segment { job: leaf.job, seq: leaf.seq, src_root: leaf.src_root, src_bytes: 777_777, duration_ms: 2000 }
}

impl Work {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let keys = Keys::new();
        let sizes: Vec<(u32, u32)> =
            (0..dice.between(1, 4)).map(|_| (dice.between(1, 90) as u32, dice.between(1, 90) as u32)).collect();
        let frames = dice.between(1, 5);
        let pictures = |size: &(u32, u32), dice: &mut Dice| {
            Pictures::new(
                (0..frames).map(|time| Stored::noise(dice, Source::yuv420(*size)).picture(time as i64)).collect(),
            )
        };
        let renditions: Vec<Pictures> = sizes.iter().map(|size| pictures(size, dice)).collect();
        let rung = |(of, size): (&Pictures, &(u32, u32))| Rung {
            width: size.0,
            height: size.1,
            decoded: of.root().into(),
            ..Default::default()
        };
        let answer = Answer { rungs: renditions.iter().zip(&sizes).map(rung).collect(), ..Default::default() };
        let units = Units::of_segment(sizes.iter().map(|(w, h)| (frames as u32, *w, *h))).unwrap();

        let count = dice.between(1, 20);
        let index = dice.below(count);
        let mut leaf = |number: usize| Leaf {
            job: JOB,
            seq: SegmentNo(FIRST.0 + number as u64),
            src_root: B256::repeat_byte(number as u8),
            out_root: B256::repeat_byte(0x80 | number as u8),
            units: if number == index { units } else { Units(dice.next() % 1000) },
            out_bytes: dice.next(),
        };
        let mut leaves: Vec<Leaf> = (0..count).map(&mut leaf).collect();
        // What is drawn has some work in it.
        leaves[index].units.0 = leaves[index].units.0.max(1);
        Self::new(keys, leaves, index, answer, renditions, dice)
    }

    fn new(
        keys: Keys,
        leaves: Vec<Leaf>,
        index: usize,
        answer: Answer,
        renditions: Vec<Pictures>,
        dice: &mut Dice,
    ) -> Self {
        let tree = SumTree::new(&leaves).unwrap();
        let claim = keys.claim(leaves.len() as u32, &tree);
        let signature = sign(&keys.client, order(&leaves[index]).signing_hash(&DOMAIN));
        let opening = leaf::opening(&leaves[index], &order(&leaves[index]), &signature, &tree, index).unwrap();
        let before: u64 = leaves[..index].iter().map(|leaf| leaf.units.0).sum();
        let draw = before + dice.next() % leaves[index].units.0.max(1);
        let mut work = Self { keys, leaves, tree, claim, index, opening, drawn: Drawn::default(), answer, renditions };
        work.bind(draw);
        work
    }

    /// The operator commits to the opening as it stands.
    pub(crate) fn bind(&mut self, draw: u64) {
        self.drawn = Drawn {
            domain: DOMAIN.separator(),
            claim: self.claim,
            draw,
            opening: leaf::opening_hash(&self.opening),
            answer: answer::statement(&self.answer),
        };
    }

    pub(crate) fn answered(&self) -> Answered<'_> {
        Answered { domain: DOMAIN, drawn: &self.drawn, opening: &self.opening }
    }

    pub(crate) fn signed(&self, receipt: Receipt) -> Signed {
        Signed { signature: sign(&self.keys.operator, receipt.signing_hash(&DOMAIN)), receipt }
    }

    pub(crate) fn receipt(&self) -> Receipt {
        let Leaf { job, seq, src_root, out_root, units, out_bytes } = self.leaves[self.index].clone();
        Receipt { job, seq, src_root, out_root, units, out_bytes }
    }

    pub(crate) fn accused(&self) -> Accused {
        Accused { domain: DOMAIN.separator(), operator: self.keys.operator.address(), claim: self.claim }
    }
}

fn fault(name: &str) -> Outcome {
    Outcome::Fault(name.into())
}

#[test]
fn honest_openings_are_never_convicted() {
    let (mut step, mut dice) = (Step::new(&LeafStep::BYTECODE), Dice::new(11));
    for _ in 0..cases(60) / 2 {
        let mut work = Work::random(&mut dice);
        assert_eq!(work.answered().accuse_opening(), None);
        assert_eq!(step.prove(&work.answered().look()).0, Outcome::NothingWrong);
        for index in 0..work.leaves.len() {
            let place = leaf::look_at_place(&work.drawn, &work.leaves, &work.tree, index).unwrap();
            assert_eq!(step.prove(&place).0, Outcome::NothingWrong);
        }
        assert_eq!(leaf::accuse_places(&work.drawn, &work.leaves), None);
        let units = work.answered().look_at_units(&work.answer, &work.renditions);
        match work.answered().accuse_units(&work.answer, &work.renditions) {
            None => assert_eq!(step.prove(&units).0, Outcome::NothingWrong),
            // Too few pixels for a unit: this work claims one all the same.
            Some(accusation) => {
                assert_eq!(work.opening.leaf.units, 1);
                assert_eq!(step.prove(&accusation).0, fault("wrong units"));
            }
        }
        work.opening.leaf.outBytes ^= 1;
        let other = work.answered().look();
        assert!(matches!(step.prove(&other).0, Outcome::Refused(_)), "not what the operator opened");
    }
}

#[test]
fn openings_that_do_not_fit_are_convicted() {
    let (mut step, mut dice) = (Step::new(&LeafStep::BYTECODE), Dice::new(12));
    let mut convicted = |change: &dyn Fn(&mut Work, &mut Dice), name: &str| {
        for _ in 0..cases(20) / 4 {
            let mut work = Work::random(&mut dice);
            let draw = work.drawn.draw;
            change(&mut work, &mut dice);
            if work.drawn.draw == draw {
                work.bind(draw);
            }
            let accusation = work.answered().accuse_opening().unwrap();
            let (outcome, gas) = step.prove(&accusation);
            assert_eq!(outcome, fault(name));
            assert!(gas <= 80_000, "{name}: {gas}");
        }
    };
    convicted(&|work, _| work.opening.leaf.units += 1, "not in the claim");
    convicted(&|work, _| work.opening.leaf.outRoot = B256::ZERO, "not in the claim");
    convicted(&|work, _| work.opening.leaf.jobId += 1, "not in the claim");
    convicted(&|work, _| work.opening.leaf.seq += 1, "not in the claim");
    convicted(&|work, _| work.opening.leaf.seq = 0, "not in the claim");
    convicted(&|work, _| work.opening.path.push(Default::default()), "not in the claim");
    convicted(&|work, _| work.claim.totalUnits += 1, "not in the claim");
    convicted(
        &|work, dice| {
            let other = dice.next() as u8 | 1;
            work.opening.path = vec![Default::default(); work.opening.path.len()];
            work.opening.path.iter_mut().for_each(|node| node.sum = u64::MAX - u64::from(other));
            work.opening.leaf.units = u64::MAX;
        },
        "not in the claim",
    );
    convicted(
        &|work, _| {
            let (leaf, draw) = (&work.opening.leaf, work.drawn.draw);
            work.drawn.draw = draw + leaf.units;
        },
        "not drawn",
    );
    convicted(&|work, _| work.opening.srcBytes += 1, "not ordered");
    convicted(&|work, _| work.opening.durationMs += 1, "not ordered");
    convicted(&|work, _| work.opening.clientSig = Bytes::new(), "not ordered");
    convicted(
        &|work, _| {
            let hash = order(&work.leaves[work.index]).signing_hash(&DOMAIN);
            work.opening.clientSig = sign(&work.keys.operator, hash);
        },
        "not ordered",
    );
    convicted(
        &|work, _| {
            // The same signature with a high s, which is another one.
            let raw = alloy::primitives::Signature::from_raw(&work.opening.clientSig).unwrap();
            let order =
                alloy::primitives::uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
            let high = alloy::primitives::Signature::new(raw.r(), order - raw.s(), !raw.v());
            work.opening.clientSig = high.as_bytes().to_vec().into();
        },
        "not ordered",
    );
}

#[test]
fn wrong_units_are_convicted() {
    let (mut step, mut dice) = (Step::new(&LeafStep::BYTECODE), Dice::new(13));
    for _ in 0..cases(20) / 2 {
        let work = Work::random(&mut dice);
        let mut leaves = work.leaves.clone();
        leaves[work.index].units.0 += 1 + dice.next() % 9;
        let work = Work::new(work.keys, leaves, work.index, work.answer, work.renditions, &mut dice);
        assert_eq!(work.answered().accuse_opening(), None, "the tree itself is sound");
        let accusation = work.answered().accuse_units(&work.answer, &work.renditions).unwrap();
        let (outcome, gas) = step.prove(&accusation);
        assert_eq!(outcome, fault("wrong units"));
        assert!(gas <= 110_000, "{gas}");
    }
}

#[test]
fn leaves_in_the_wrong_place_are_convicted() {
    let (mut step, mut dice) = (Step::new(&LeafStep::BYTECODE), Dice::new(14));
    let changes: [fn(&mut Vec<Leaf>, usize); 4] = [
        |leaves, index| leaves[index].job.0 += 1,
        |leaves, index| leaves[index].seq.0 += 1,
        |leaves, index| leaves[index].seq.0 = 0,
        // Work in the padding.
        |leaves, _| leaves.push(leaves[0].clone()),
    ];
    for number in 0..cases(40) {
        let work = Work::random(&mut dice);
        let (mut leaves, count) = (work.leaves.clone(), work.claim.count);
        changes[number % changes.len()](&mut leaves, work.index);
        if leaves.len().next_power_of_two() != work.leaves.len().next_power_of_two() {
            continue;
        }
        let tree = SumTree::new(&leaves).unwrap();
        let drawn = Drawn { claim: work.keys.claim(count, &tree), ..work.drawn };
        let accusation = leaf::accuse_places(&drawn, &leaves).unwrap();
        assert_eq!(step.prove(&accusation).0, fault("wrong place"));
    }
}

#[test]
fn two_receipts_for_one_segment_are_convicted() {
    let (mut step, mut dice) = (Step::new(&EquivocationStep::BYTECODE), Dice::new(15));
    let changes: [fn(&mut Receipt); 4] = [
        |receipt| receipt.src_root = B256::repeat_byte(0x70),
        |receipt| receipt.out_root = B256::repeat_byte(0x71),
        |receipt| receipt.units.0 += 1,
        |receipt| receipt.out_bytes ^= 1,
    ];
    for number in 0..cases(20) {
        let work = Work::random(&mut dice);
        let accused = work.accused();
        let mut other = work.receipt();
        changes[number % changes.len()](&mut other);
        let (a, b) = (work.signed(work.receipt()), work.signed(other.clone()));
        let (outcome, gas) = step.prove(&equivocation::accuse_receipts(&accused, &a, &b).unwrap());
        assert_eq!(outcome, fault("two receipts"));
        assert!(gas <= 65_000, "{gas}");

        // Against the claim: its leaf is the first receipt.
        let (outcome, gas) = step.prove(&equivocation::accuse_claim(&accused, &b, &work.leaves).unwrap());
        assert_eq!(outcome, fault("claimed otherwise"));
        assert!(gas <= 80_000, "{gas}");

        // The honest: one receipt, twice shown; the claimed one.
        assert_eq!(equivocation::accuse_receipts(&accused, &a, &a), None);
        assert_eq!(step.prove(&equivocation::look_at_receipts(&accused, &a, &a)).0, Outcome::NothingWrong);
        assert_eq!(equivocation::accuse_claim(&accused, &a, &work.leaves), None);
        let claimed = equivocation::look_at_claim(&accused, &a, &work.leaves).unwrap();
        assert_eq!(step.prove(&claimed).0, Outcome::NothingWrong);

        // Somebody else's signature, another segment, another job, another market are nobody's fault.
        let forged = Signed { signature: sign(&work.keys.client, other.signing_hash(&DOMAIN)), receipt: other.clone() };
        assert!(matches!(step.prove(&equivocation::look_at_receipts(&accused, &a, &forged)).0, Outcome::Refused(_)));
        let mut next = other.clone();
        next.seq.0 += 1;
        let next = work.signed(next);
        assert_eq!(equivocation::accuse_receipts(&accused, &a, &next), None);
        assert_eq!(step.prove(&equivocation::look_at_receipts(&accused, &a, &next)).0, Outcome::OutOfShape);
        other.job.0 += 1;
        let elsewhere = work.signed(other);
        assert_eq!(
            step.prove(&equivocation::look_at_receipts(&accused, &elsewhere, &elsewhere)).0,
            Outcome::OutOfShape
        );
        let market = Accused { domain: B256::ZERO, ..accused };
        assert!(matches!(step.prove(&equivocation::look_at_receipts(&market, &a, &b)).0, Outcome::Refused(_)));
    }
}
