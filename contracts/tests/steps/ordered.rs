//! What was answered and what its headers say, beside the profile that was ordered: `ShapeStep`, `OrderedHeaderStep`; and
//! accusations as calls of `ChallengeManager`.

use crate::evm::{Dice, Outcome, Step, cases};
use crate::headers::{PACKET, looks, rendition};
use crate::receipts::Work;
use alloy::primitives::{Address, B256, keccak256};
use alloy::sol_types::{SolCall, SolValue};
use headframe_contracts::bindings::{OrderedHeaderStep, ShapeStep};
use headframe_contracts::{ChallengeManager, HeaderStep};
use headframe_market::commit::ByteTree;
use headframe_market::profile::{self, Limits, Profile};
use headframe_market::proof::challenge::{self, Revealed, Step as By};
use headframe_market::proof::header::Rendition;
use headframe_market::proof::ordered::{self, Fault, Order};
use headframe_market::proof::{Accusation, Answer, Rung, answer, equivocation};
use headframe_market::{ClaimId, JobId};

/// A profile of so many rungs; the first is what [`rendition`] was made for.
pub(crate) fn profile(rungs: u32) -> Profile {
    let rung = |i| profile::Rung {
        width: 320 + 2 * i,
        height: 180 + 2 * i,
        profiles: vec![66, 77, 100],
        level: 40,
        max_bytes_per_second: 1 << 20,
        limits: Limits { tile_luma: 1000 + u64::from(i), ..Limits::NONE },
    };
    Profile { filter: 1, cascade: true, ladder: B256::repeat_byte(7), rungs: (0..rungs).map(rung).collect() }
}

/// An answer as this profile wants it, whose first rung's bytes are these.
pub(crate) fn answer(profile: &Profile, content: &ByteTree) -> Answer {
    let rung = |ordered: &profile::Rung| Rung {
        width: ordered.width,
        height: ordered.height,
        content: content.root().into(),
        decoded: B256::repeat_byte(3),
        limits: ordered.limits.hash(),
        ..Default::default()
    };
    let rungs = profile.rungs.iter().map(rung).collect();
    Answer { source: B256::repeat_byte(1), filter: profile.filter, cascade: profile.cascade, rungs }
}

/// `OrderedHeaderStep` and the step behind it.
pub(crate) fn header_step() -> Step {
    Step::beside(&OrderedHeaderStep::BYTECODE, &HeaderStep::BYTECODE)
}

#[test]
fn an_answer_of_another_shape_is_convicted_of_each_fault() {
    let (mut step, profile) = (Step::new(&ShapeStep::BYTECODE), profile(3));
    let honest = answer(&profile, &ByteTree::new(&[1]));
    let order = Order { answer: &honest, profile: &profile };
    assert_eq!(order.accuse(), None);
    assert_eq!(step.prove(&order.look()).0, Outcome::NothingWrong);

    let mut convicted = |want: Fault, change: fn(&mut Answer)| {
        let mut given = honest.clone();
        change(&mut given);
        let order = Order { answer: &given, profile: &profile };
        assert_eq!(order.fault(), Some(want));
        let accusation = order.accuse().unwrap();
        let (outcome, gas) = step.prove(&accusation);
        println!("{}: {gas} gas", want.name());
        assert_eq!(outcome, Outcome::Fault(want.name().into()));
        assert!(gas < 100_000, "{gas}");
        // Against who gave the right answer the same call is refused.
        let statement = ordered::statement(answer::statement(&honest), profile.id());
        assert!(matches!(step.prove(&Accusation { statement, ..accusation }).0, Outcome::Refused(_)));
    };
    convicted(Fault::Curve, |answer| answer.filter = 0);
    convicted(Fault::Cascade, |answer| answer.cascade = false);
    convicted(Fault::Rungs, |answer| answer.rungs.truncate(2));
    convicted(Fault::Rungs, |answer| answer.rungs.push(Rung::default()));
    convicted(Fault::Rungs, |answer| answer.rungs.clear());
    convicted(Fault::Size, |answer| answer.rungs[2].width -= 2);
    convicted(Fault::Size, |answer| answer.rungs[0].height += 2);
    convicted(Fault::Limits, |answer| answer.rungs[1].limits = Limits::NONE.hash());
    // The first of several.
    convicted(Fault::Cascade, |answer| (answer.cascade, answer.rungs[0].width) = (false, 2));
    convicted(Fault::Limits, |answer| (answer.rungs[0].limits, answer.rungs[1].width) = (B256::ZERO, 2));
}

/// Changes nobody, one or two fields of a right answer.
fn spoil(answer: &mut Answer, dice: &mut Dice) {
    for _ in 0..dice.below(3) {
        let rungs = answer.rungs.len();
        let at = dice.below(rungs.max(1));
        match (dice.below(7), answer.rungs.get_mut(at)) {
            (0, _) => answer.filter ^= 1,
            (1, _) => answer.cascade ^= true,
            (2, _) => answer.rungs.truncate(at),
            (3, Some(rung)) => rung.width ^= 2,
            (4, Some(rung)) => rung.height ^= 4,
            (5, Some(rung)) => rung.limits = Limits { tile_luma: 1000 + dice.next() % 4, ..Limits::NONE }.hash(),
            // What no profile fixes.
            (_, Some(rung)) => rung.errors = B256::repeat_byte(9),
            (_, None) => {}
        }
    }
}

#[test]
fn builder_and_step_find_the_same_fault_of_an_answer() {
    let (mut step, mut dice) = (Step::new(&ShapeStep::BYTECODE), Dice::new(31));
    let (mut accused, mut passed) = (0, 0);
    for _ in 0..cases(400) {
        let profile = profile(dice.between(1, 16) as u32);
        let mut given = answer(&profile, &ByteTree::new(&[1]));
        spoil(&mut given, &mut dice);
        let order = Order { answer: &given, profile: &profile };
        let want = order.fault().map_or(Outcome::NothingWrong, |fault| Outcome::Fault(fault.name().into()));
        assert_eq!(step.prove(&order.look()).0, want, "{given:?}");
        assert_eq!(order.accuse().is_some(), order.fault().is_some());
        match order.accuse() {
            Some(_) => accused += 1,
            None => passed += 1,
        }
    }
    assert!(accused > 100 && passed > 100, "{accused} accused, {passed} passed");
}

#[test]
fn ordered_headers_are_never_convicted_and_others_are() {
    let (mut step, bytes) = (header_step(), rendition());
    let (tree, right) = (ByteTree::new(&bytes), profile(2));
    let given = answer(&right, &tree);
    let order = Order { answer: &given, profile: &right };
    assert_eq!(order.accuse_headers(0, &bytes, &tree), None);
    let mut sound = 0;
    for (kind, packet, chunk, count) in looks(&bytes) {
        let Some(look) = order.look_at_headers(0, (&bytes, &tree), kind, packet, (chunk, count)) else { continue };
        let outcome = step.prove(&look).0;
        assert!(matches!(outcome, Outcome::NothingWrong | Outcome::OutOfShape), "{kind:?} {packet}: {outcome:?}");
        sound += usize::from(outcome == Outcome::NothingWrong);
    }
    assert!(sound > bytes.len() / PACKET, "{sound}");
    // The second rung is of another size, and there is no third.
    let wrong = order.accuse_headers(1, &bytes, &tree).unwrap();
    assert_eq!(step.prove(&wrong).0, Outcome::Fault("wrong size".into()));
    assert_eq!(order.accuse_headers(2, &bytes, &tree), None);

    let mut convicted = |want: &str, change: fn(&mut profile::Rung)| {
        let mut profile = right.clone();
        change(&mut profile.rungs[0]);
        let order = Order { answer: &given, profile: &profile };
        let (outcome, gas) = step.prove(&order.accuse_headers(0, &bytes, &tree).unwrap());
        println!("{want}: {gas} gas");
        assert_eq!(outcome, Outcome::Fault(want.into()));
        assert!(gas < 350_000, "{gas}");
    };
    convicted("wrong profile", |rung| rung.profiles = vec![77]);
    convicted("wrong level", |rung| rung.level = 11);
    convicted("wrong size", |rung| rung.width = 322);
    convicted("wrong size", |rung| rung.height = 178);

    // Bytes that the answer does not name convict nobody, neither here nor there.
    let other = ByteTree::new(&bytes[1..]);
    assert_eq!(order.accuse_headers(0, &bytes[1..], &other), None);
    let bound = Order { answer: &answer(&right, &other), profile: &right };
    let accusation = bound.accuse_headers(0, &bytes[1..], &other).unwrap();
    assert_eq!(step.prove(&accusation).0, Outcome::Fault("not packets".into()));
    let statement = ordered::statement(answer::statement(&given), right.id());
    assert!(matches!(step.prove(&Accusation { statement, ..accusation }).0, Outcome::Refused(_)));
}

/// With changed bytes: what the plain step convicts, the wrapped one convicts of the same.
#[test]
fn wrapped_evidence_is_judged_as_the_plain_is() {
    let (mut plain, mut wrapped) = (Step::new(&HeaderStep::BYTECODE), header_step());
    let (mut dice, original, profile) = (Dice::new(32), rendition(), profile(1));
    let (mut accused, mut passed) = (0, 0);
    for _ in 0..cases(60) {
        let mut bytes = original.clone();
        for _ in 0..dice.below(3) {
            let at = 3 * PACKET + dice.below(120);
            bytes[at] ^= 1 << dice.below(8);
        }
        let tree = ByteTree::new(&bytes);
        let given = answer(&profile, &tree);
        let order = Order { answer: &given, profile: &profile };
        let ordered = order.headers(0).unwrap();
        let bare = Rendition { ordered: &ordered, bytes: &bytes, tree: &tree }.accuse();
        let full = order.accuse_headers(0, &bytes, &tree);
        assert_eq!(bare.is_some(), full.is_some());
        let outcomes = bare.zip(full).map(|(bare, full)| (plain.prove(&bare).0, wrapped.prove(&full).0));
        match outcomes {
            Some((bare, full)) => {
                assert!(matches!(bare, Outcome::Fault(_)), "{bare:?}");
                assert_eq!(bare, full);
                accused += 1;
            }
            None => passed += 1,
        }
    }
    assert!(accused > 5 && passed > 5, "{accused} accused, {passed} passed");
}

/// The calls are those of the contract's ABI, for any values.
#[test]
fn accusations_become_calls_of_the_challenge_manager() {
    let mut dice = Dice::new(33);
    let profile = profile(1).id();
    for _ in 0..50 {
        let mut words = |count| (0..count).map(|_| keccak256(dice.next().to_be_bytes())).collect::<Vec<_>>();
        let (openings, digests, random) = (words(4), words(4), words(2));
        let finder = Address::from_word(random[0]);
        for (slot, digest) in digests.iter().enumerate() {
            let claim = ClaimId(5 << 32 | slot as u64);
            let revealed = Revealed { claim, slot, openings: &openings, digests: &digests, profile };
            let of_the_digest = |statement| Accusation { statement, evidence: random[1].abi_encode().into() };
            let ordered = ordered::statement(*digest, profile);
            let steps = [(By::Leaf, random[0]), (By::Scale, *digest), (By::ErrorSum, *digest)];
            for (number, (step, statement)) in
                steps.into_iter().chain([(By::Header, ordered), (By::Shape, ordered)]).enumerate()
            {
                let accusation = of_the_digest(statement);
                let data = revealed.prove(step, &accusation, finder).unwrap();
                let call = ChallengeManager::proveCall::abi_decode_validate(&data).unwrap();
                assert_eq!(call.abi_encode(), data);
                assert_eq!((call.claimId, call.slot.to::<usize>(), usize::from(call.step)), (claim.0, slot, number));
                assert_eq!((&call.answered.openings, &call.answered.digests), (&openings, &digests));
                assert_eq!((call.evidence, call.finder), (accusation.evidence, finder));
                // About something else the chain would refuse it.
                let other = revealed.prove(step, &of_the_digest(B256::ZERO), finder);
                assert_eq!(other.is_some(), step == By::Leaf);
            }
            let none = Revealed { slot: 4, ..revealed };
            assert_eq!(none.prove(By::Scale, &of_the_digest(*digest), finder), None);
        }
    }
}

#[test]
fn two_receipts_become_a_call_of_the_challenge_manager() {
    let work = Work::random(&mut Dice::new(34));
    let (receipt, finder) = (work.receipt(), Address::repeat_byte(5));
    let other = work.signed(headframe_market::Receipt { out_root: B256::repeat_byte(1), ..receipt });
    let accused = work.accused();
    let accusation = equivocation::accuse_receipts(&accused, &work.signed(receipt), &other).unwrap();
    let (job, claim) = (JobId(accused.claim.jobId), ClaimId(9 << 32 | 40));
    for claim in [None, Some(claim)] {
        let data = challenge::prove_equivocation(job, accused.operator, claim, &accusation, finder);
        let call = ChallengeManager::proveEquivocationCall::abi_decode_validate(&data).unwrap();
        assert_eq!(call.abi_encode(), data);
        assert_eq!((call.jobId, call.signer, call.claimId), (job.0, accused.operator, claim.map_or(0, |id| id.0)));
        assert_eq!((call.evidence, call.finder), (accusation.evidence.clone(), finder));
    }
    let call = ChallengeManager::reserveCall::abi_decode_validate(&challenge::reserve(&accusation, finder)).unwrap();
    assert_eq!(call.ticket, keccak256((keccak256(&accusation.evidence), finder).abi_encode()));
}
