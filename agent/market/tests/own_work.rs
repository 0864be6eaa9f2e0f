//! Rules G4 and G5: what a rig says of its own work, by the machines that decide it. `./run test guard-rules` takes each out of a
//! copy and sees the test named after it fail.

#![allow(clippy::unwrap_used)]

use headframe_market::action::Secret;
use headframe_market::machine::claim::{self, Evidence};
use headframe_market::machine::operator::{self, ClaimRules, Local, Step};
use headframe_market::machine::{ClaimState, ClaimView, JobState, JobView, Now};
use headframe_market::merkle::{Leaf, SumTree, bound};
use headframe_market::{
    Action, Address, B256, BlockNo, Bytes, ClaimId, JobId, Price, SegmentNo, Timestamp, Units, Wei,
};

const ME: Address = Address::repeat_byte(7);

fn leaf(seq: u64) -> Leaf {
    Leaf {
        job: JobId(1),
        seq: SegmentNo(seq),
        src_root: B256::repeat_byte(seq as u8),
        out_root: B256::ZERO,
        units: Units(10 + seq),
        out_bytes: 1,
    }
}

#[test]
fn g4_an_answer_to_another_draw_is_none() {
    let kept: Vec<Evidence> = (0..11)
        .map(|seq| Evidence { leaf: leaf(seq), src_bytes: 9, duration_ms: 2000, client_signature: Bytes::new() })
        .collect();
    let leaves: Vec<Leaf> = kept.iter().map(|one| one.leaf.clone()).collect();
    let root = SumTree::new(&leaves).unwrap().root();
    let sealed = ClaimView {
        id: ClaimId(2),
        job: JobId(1),
        client: Address::ZERO,
        operator: ME,
        first: SegmentNo(0),
        count: 11,
        units: Units(root.sum),
        state: ClaimState::Sealed,
        root: bound(root.hash, Address::ZERO, ME),
        drawn: 4,
        seed: B256::repeat_byte(9),
        seed_block: BlockNo(100),
        answer_until: Timestamp(2000),
        attest_until: Timestamp(3000),
        reveal_until: Timestamp(4000),
        contest_until: Timestamp(5000),
        holds: 0,
        fee: Wei(0),
    };
    let secrets = vec![Secret { digest: B256::ZERO, salt: B256::ZERO }; 4];
    let answer = claim::answer(&sealed, claim::openings(&sealed, &kept).unwrap(), secrets);
    assert!(claim::answers(&sealed, &answer));
    let redrawn = ClaimView { seed: B256::repeat_byte(77), ..sealed };
    assert!(!claim::answers(&redrawn, &answer), "a reorganisation drew other segments: the answer is made anew");
}

#[test]
fn g5_work_that_was_not_looked_at_is_not_claimed() {
    let job = JobView {
        id: JobId(1),
        client: Address::ZERO,
        operator: ME,
        state: JobState::Active,
        samples: 4,
        deadline: Timestamp(900),
        start_until: Timestamp(20),
        drain_until: Timestamp(0),
        price: Price::new(2).unwrap(),
        max_price: Price::new(5).unwrap(),
        escrow: Wei(1 << 60),
        reserved: Wei(0),
        profile: B256::ZERO,
        seed_tip: B256::ZERO,
        next_seq: SegmentNo(0),
        open_claims: 0,
        released: false,
    };
    let unclaimed: Vec<Leaf> = (0..5).map(leaf).collect();
    let (rules, now) = (ClaimRules { batch: 3, max_wait_blocks: 50 }, Now::default());
    let step =
        |checked| operator::next(ME, &job, &Local { unclaimed: &unclaimed, checked, ..Local::default() }, &rules, &now);
    assert_eq!(step(0), Step::Check(5));
    for (checked, claimed) in [(4, 4), (5, 5), (9, 5)] {
        assert!(matches!(step(checked), Step::Send(Action::Claim { count, .. }) if count == claimed), "{checked}");
    }
    assert_eq!([1, 100, 101, 4096].map(operator::sample_size), [1, 1, 2, 41]);
}
