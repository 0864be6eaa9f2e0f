//! Verifiers: their seats are drawn by stake; friends of the attacker among them see nothing.

use super::chance::{Dice, at_least, mean, power};
use super::faking::Claim;
use super::{Bound, Row, Rules};

/// Answering, but keeping the bytes: both verifiers of a segment have to miss them before they can be demanded.
pub(super) fn withholding(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for segments in [60, 1800] {
        for friends in [0.1, 0.25, 0.5] {
            let detection = 0.9 * power(1.0 - friends, rules.verifiers);
            let lost = rules.lock(segments) * (1.0 - rules.caller);
            let claim = Claim { detection, lost, ..Claim::of(rules, segments, 0.9) };
            let best = claim.best();
            let part = f64::from(best) / f64::from(segments);
            let (simulated, error) = mean(trials, 1.0 + lost, || {
                let mut found = false;
                for _ in 0..claim.draws {
                    let faked = dice.below(segments) < best;
                    let strangers = dice.count(rules.verifiers, 1.0 - friends) == rules.verifiers;
                    found |= faked && strangers && dice.chance(0.9);
                }
                part - f64::from(found) * (1.0 + lost)
            });
            let bound = Bound::at_least("lock, fees", claim.needed() / (1.0 - rules.caller), rules.lock(segments));
            let percent = friends * 100.0;
            rows.push(Row {
                attack: "withholding data",
                case: format!(
                    "{segments} segments, {percent:.0} % of the verifiers are friends, q = 0.9; {best} faked"
                ),
                measure: "most gained over honest work, fees",
                exact: claim.gain(best),
                simulated,
                error,
                holds: bound.holds(),
                bound: Some(bound),
            });
        }
    }
    rows
}

/// What it takes for a drawn segment to be looked at, what that earns, and what staying away costs.
pub(super) fn laziness(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for diligent in [0.9, 0.5, 0.25, 0.1] {
        let exact = 1.0 - power(1.0 - diligent, rules.verifiers);
        let (simulated, error) = mean(trials, 1.0, || f64::from(dice.count(rules.verifiers, diligent) > 0));
        let bound = Bound::at_least(
            "lock, fees",
            Claim::of(rules, 1800, exact).needed() / (1.0 - rules.finder),
            rules.long_lock,
        );
        rows.push(Row {
            attack: "lazy verifiers",
            case: format!("{:.0} % of them work, and nobody else looks; long claim", diligent * 100.0),
            measure: "q: chance that a drawn fake is seen",
            exact,
            simulated,
            error,
            holds: bound.holds(),
            bound: Some(bound),
        });
    }
    for segments in [60, 255, 256, 800, 1800] {
        rows.push(reward(rules, segments, dice, trials));
    }
    rows.push(junk(rules, dice, trials));
    for present in [0.99, 0.95, 0.9, 0.0] {
        rows.push(absent(rules, present, dice, trials));
    }
    rows
}

/// A verifier's part of the fee against the work: as dear as making the segment, at most.
fn reward(rules: &Rules, segments: u32, dice: &mut Dice, trials: u32) -> Row {
    const PRESENT: f64 = 0.95;
    let seats = rules.verifiers * rules.draws(segments);
    // The mean of 1 / (1 + others) where each of the others reveals with probability PRESENT.
    let part = (1.0 - power(1.0 - PRESENT, seats)) / (f64::from(seats) * PRESENT);
    let (simulated, error) =
        mean(trials, rules.verifier_share, || rules.verifier_share / f64::from(1 + dice.count(seats - 1, PRESENT)));
    let bound = Bound::at_least("verifierShare", 1.0 / f64::from(segments) / part, rules.verifier_share);
    Row {
        attack: "verifying that does not pay",
        case: format!("{segments} segments, {seats} seats; {PRESENT} of the others come"),
        measure: "pay of a seat, fees",
        exact: rules.verifier_share * part,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

/// Any 32 bytes instead of work.
fn junk(rules: &Rules, dice: &mut Dice, trials: u32) -> Row {
    let seats = rules.verifiers * rules.long_draws;
    let pay = if rules.pays_agreement_only { 0.0 } else { rules.verifier_share / f64::from(seats) };
    let exact = pay - (rules.verifier_share / f64::from(seats) - 1.0 / 1800.0);
    let (simulated, error) = mean(trials, rules.verifier_share, || {
        // A guess of 32 bits here, of 256 there.
        let agrees = dice.below(u32::MAX) == 0 || !rules.pays_agreement_only;
        f64::from(agrees) * rules.verifier_share / f64::from(seats) - rules.verifier_share / f64::from(seats)
            + 1.0 / 1800.0
    });
    let bound = Bound::at_least("only agreement is paid", 1.0, f64::from(rules.pays_agreement_only));
    Row {
        attack: "lazy verifiers",
        case: "reveal any 32 bytes; 1800 segments, 16 seats".to_owned(),
        measure: "gained over working, fees",
        exact,
        simulated,
        error,
        holds: exact <= 0.0,
        bound: Some(bound),
    }
}

/// The chance of the fine within the seats that are remembered.
fn absent(rules: &Rules, present: f64, dice: &mut Dice, trials: u32) -> Row {
    let (seats, limit) = rules.absences;
    let exact = at_least(seats, 1.0 - present, limit);
    let (simulated, error) = mean(trials, 1.0, || f64::from(dice.count(seats, 1.0 - present) >= limit));
    // Who never comes has to be fined, who is there 99 times in 100 hardly ever.
    let bound = match present {
        0.0 => Some(Bound::at_least("chance wanted", 1.0, exact)),
        0.99 => Some(Bound::at_most("chance wanted", 0.01, exact)),
        _ => None,
    };
    Row {
        attack: "absent verifiers",
        case: format!("there {:.0} % of the time", present * 100.0),
        measure: "chance of the fine in 20 seats",
        exact,
        simulated,
        error,
        holds: bound.as_ref().is_none_or(Bound::holds),
        bound,
    }
}
