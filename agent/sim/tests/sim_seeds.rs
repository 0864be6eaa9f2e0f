//! A row of seeds, the same run twice, and runs with a protection taken away, which must be noticed.
#![allow(clippy::unwrap_used)]

use headframe_sim::{Broken, Focus, Length, Outcome, Plan, Summary, run};

const LONG_RUN: Plan = Plan { length: Length::Long, only: None, broken: None };
const SHORT_RUN: Plan = Plan { length: Length::Short, ..LONG_RUN };

/// Seeds that failed once, each with what was wrong then. They stay.
const LONG: [(u64, &str); 10] = [
    (3, "bytes that a claim needs were overwritten by a second transcoding"),
    (5, "the same, and a draw that another branch had drawn otherwise"),
    (7, "an invented event stopped the rig"),
    (14, "an invented event stopped the rig"),
    (25, "an invented event stopped the rig"),
    (28, "one provider's word for a transaction stopped the rig"),
    (33, "one provider's word for a transaction stopped the rig"),
    (34, "an invented event stopped the rig"),
    (2182, "a reveal that a reorganisation had undone was not sent again while one provider was left"),
    (3384, "a liar's draw took the place of the answer to the real one, which could not be revealed then"),
];
/// The same, of short runs.
const SHORT: [(u64, &str); 13] = [
    (5037, "what was reorganised while the rig was down was never looked at again"),
    (6242, "of two providers, one of which was far behind, the other one was set aside"),
    (100_778, "what could not be looked at after a reorganisation, because too few answered, never was"),
    (200_099, "a seed that was made up drew the same segments, and the answer to it could not be revealed"),
    (300_297, "a proof that was sent and reverted while one provider was left was not sent again"),
    (301_203, "a proof that had reverted rested while it could have been sent, and then no block came"),
    (301_763, "an undone proof had a new nonce while its old one, too cheap by now, stood before it"),
    (302_693, "an undone claim stood before undone proofs, and while one provider was left it was not sent"),
    (402_006, "what had been asked for again, and was undone, stood before proofs and was never raised"),
    (602_972, "a claim that was lost in blocks that a reorganisation undid had been given up"),
    (
        2_004_358,
        "below a quorum a seal that could not be run yet rested five blocks, and the next claim's, and the next",
    ),
    (
        3_017_327,
        "a slow provider was asked about forty undone transactions one by one, and never got through its own check",
    ),
    (5_003_988, "below a quorum a proof that was signed anew when its nonce was spent already was not asked for again"),
];

fn assert_good(outcome: &Outcome) {
    let Outcome { seed, violations, missed, halted, .. } = outcome;
    assert!(
        outcome.is_good(),
        "replay: ./run sim --seed {seed} --trace (or --long, too)\nslashable: {violations:?}\nmissed: {missed:?}\nhalted: {halted:?}"
    );
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    for (seed, _) in LONG {
        assert_good(&run(seed, LONG_RUN, false).unwrap());
    }
    for (seed, _) in SHORT {
        assert_good(&run(seed, SHORT_RUN, false).unwrap());
    }
}

#[test]
fn nothing_punishable_happens_and_everything_that_may_go_wrong_does() {
    let mut summary = Summary::default();
    for seed in 1000..1060 {
        let outcome = run(seed, if seed % 3 == 0 { LONG_RUN } else { SHORT_RUN }, false).unwrap();
        assert_good(&outcome);
        summary.add(outcome);
    }
    println!("{summary}");
    let happened = [
        "claims settled",
        "claims told to the signer",
        "crash: between two steps of the outbox",
        "crash: before the guard's record",
        "crash: between the guard's record and its answer",
        "crash: kill at any moment",
        "reorganisations of 1",
        "reorganisations of 33 to 64",
        "all providers gone but one",
        "lies told",
        "providers that fail",
        "gas a hundredfold",
        "halts of the chain",
        "transactions dropped by the pool",
        "failed work",
        "late work",
        "work that differs",
        "old segments again",
        "other sources for old numbers",
    ];
    for what in happened {
        assert!(summary.counts.contains_key(what), "{what}: never");
    }
}

/// Each kind of trouble alone shows what the others hide: nothing here excuses a missed deadline.
#[test]
fn a_scenario_has_its_own_troubles_and_no_others() {
    let kinds = [
        (Focus::Reorgs, "reorganisations of 33 to 64"),
        (Focus::Rpc, "lies told"),
        (Focus::Gas, "gas a hundredfold"),
        (Focus::Crashes, "crash: between two steps of the outbox"),
        (Focus::Deadlines, "halts of the chain"),
    ];
    for (focus, own) in kinds {
        let mut summary = Summary::default();
        for seed in 2000..2006 {
            let outcome = run(seed, Plan { only: Some(focus), ..SHORT_RUN }, false).unwrap();
            assert_good(&outcome);
            summary.add(outcome);
        }
        for (_, what) in kinds {
            assert_eq!(summary.counts.contains_key(what), what == own, "{focus:?}: {what}");
        }
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 11] {
        let run = |seed| run(seed, SHORT_RUN, true).unwrap();
        let (one, two) = (run(seed), run(seed));
        assert_eq!(one.lines, two.lines);
        assert_eq!(one, two);
        assert_ne!(one.trace_hash, run(seed + 1).trace_hash);
    }
}

/// The first seed in which it is noticed, of thirty.
fn noticed(broken: Broken, how: impl Fn(&Outcome) -> bool) -> u64 {
    let found = (0..30).find(|seed| how(&run(*seed, Plan { broken: Some(broken), ..LONG_RUN }, false).unwrap()));
    found.unwrap_or_else(|| panic!("thirty seeds do not show that {broken:?} is broken"))
}

#[test]
fn without_the_guard_a_slashable_act_is_found() {
    let seed = noticed(Broken::Guard, |outcome| !outcome.violations.is_empty());
    println!("found in seed {seed}");
}

#[test]
fn with_an_outbox_that_forgets_a_halt_or_worse_is_found() {
    let seed = noticed(Broken::Outbox, |outcome| !outcome.is_good());
    println!("found in seed {seed}");
}

#[test]
fn without_urgency_a_missed_deadline_is_found() {
    let seed = noticed(Broken::Urgency, |outcome| !outcome.missed.is_empty());
    println!("found in seed {seed}");
}
