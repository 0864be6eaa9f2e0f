//! Juries: drawn by stake, with replacement, so that an attacker's seats follow its share of the enlisted stake.

use super::chance::{Dice, at_least, exactly, mean, power};
use super::faking::Claim;
use super::{Bound, Row, Rules};

/// Acquitting the guilty, convicting the innocent, buying seats, and empty seats.
pub(super) fn rows(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for share in [0.1, 0.2, 0.25, 1.0 / 3.0, 0.4, 0.5] {
        rows.push(acquitted(rules, share, dice, trials));
    }
    for share in [1.0 / 3.0, 0.5, 0.6, 0.7] {
        rows.push(convicted(rules, share, dice, trials));
    }
    for share in [0.0, 0.1, 0.2, 0.25] {
        rows.push(bribed(rules, share, dice, trials));
    }
    for enlisted in [0.1, 0.25, 0.5] {
        rows.push(empty(rules, rules.juror_tries, enlisted, dice, trials));
    }
    rows.push(empty(rules, 2 * rules.juror_tries, 0.25, dice, trials));
    rows
}

/// Seats that keep the others from a quorum.
fn blocking((seats, quorum): (u32, u32)) -> u32 {
    seats - quorum + 1
}

fn acquitted(rules: &Rules, share: f64, dice: &mut Dice, trials: u32) -> Row {
    let (first, second) = (blocking(rules.trial), blocking(rules.appeal));
    let exact = at_least(rules.trial.0, share, first) * at_least(rules.appeal.0, share, second);
    let (simulated, error) = mean(trials, 1.0, || {
        f64::from(dice.count(rules.trial.0, share) >= first && dice.count(rules.appeal.0, share) >= second)
    });
    // What juries let go was not detected.
    let claim = Claim { detection: 0.9 * (1.0 - exact), ..Claim::of(rules, 1800, 0.9) };
    let bound = Bound::at_least("lock, fees", claim.needed() / (1.0 - rules.challenger), rules.long_lock);
    Row {
        attack: "guilty before a jury",
        case: format!("attacker has {:.0} % of the jurors' stake; long claim, q = 0.9", share * 100.0),
        measure: "chance of acquittal, appeal included",
        exact,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

fn convicted(rules: &Rules, share: f64, dice: &mut Dice, trials: u32) -> Row {
    let exact = at_least(rules.trial.0, share, rules.trial.1) * at_least(rules.appeal.0, share, rules.appeal.1);
    let (simulated, error) = mean(trials, 1.0, || {
        let both =
            dice.count(rules.trial.0, share) >= rules.trial.1 && dice.count(rules.appeal.0, share) >= rules.appeal.1;
        f64::from(both)
    });
    // A game costs its challenger the bond when it is lost and wins a part of the lock.
    let (bond, prize) = (rules.bond_share * rules.long_lock, rules.challenger * rules.long_lock);
    let bound = Bound::at_most("chance that pays, by the bond's share of the lock alone", bond / (bond + prize), exact);
    Row {
        attack: "innocent before a jury",
        case: format!("attacker has {:.0} % of the jurors' stake", share * 100.0),
        measure: "chance of conviction, appeal included",
        exact,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

/// What has to be bought beside the attacker's own seats, against what the guilty would lose.
fn bribed(rules: &Rules, share: f64, dice: &mut Dice, trials: u32) -> Row {
    let rounds = [(rules.trial.0, blocking(rules.trial)), (rules.appeal.0, blocking(rules.appeal))];
    let expected = |(seats, needed): (u32, u32)| {
        (0..needed).map(|own| f64::from(needed - own) * exactly(seats, share, own)).sum::<f64>()
    };
    let exact: f64 = rounds.into_iter().map(expected).sum();
    let most: u32 = rounds.iter().map(|r| r.1).sum();
    let (simulated, error) = mean(trials, f64::from(most), || {
        let bought = |(seats, needed): (u32, u32)| needed.saturating_sub(dice.count(seats, share));
        rounds.into_iter().map(bought).map(f64::from).sum()
    });
    let stakes = 1.0 + rules.long_lock * (1.0 - rules.challenger);
    let reward = rules.jurors * rules.long_lock / f64::from(rules.trial.1);
    let bound = Bound::at_least("what a juror loses by selling a seat, fees", stakes / exact, reward);
    Row {
        attack: "bribing a jury to acquit",
        case: format!("attacker has {:.0} % of the jurors' stake; long claim", share * 100.0),
        measure: "seats to buy, appeal included",
        exact,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

/// A seat stays empty when no draw falls on an enlisted operator; then a quorum may be out of reach.
fn empty(rules: &Rules, tries: u32, enlisted: f64, dice: &mut Dice, trials: u32) -> Row {
    let taken = 1.0 - power(1.0 - enlisted, tries);
    let exact = at_least(rules.trial.0, taken, rules.trial.1);
    let (simulated, error) = mean(trials, 1.0, || {
        let seats = (0..rules.trial.0).filter(|_| dice.count(tries, enlisted) > 0).count();
        f64::from(seats >= rules.trial.1 as usize)
    });
    let bound = Bound::at_least("chance wanted", 0.98, exact);
    Row {
        attack: "few jurors",
        case: format!("{:.0} % of the active stake enlisted, {tries} draws for a seat", enlisted * 100.0),
        measure: "chance that a quorum can be reached at all",
        exact,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}
