//! Harm for its own sake, and slashing oneself as a way out.

use super::chance::{Dice, mean, power};
use super::{Bound, Row, Rules};

/// What money costs in a year: what an operator whose fee and lock are held up could earn elsewhere.
const INTEREST: f64 = 0.1;
/// Gas of a publication of one piece, 16 KiB, nearly all of it calldata: contracts/snapshots/verification.json.
const PUBLICATION: f64 = 704_400.0;
/// Gas of the demand before it, from the same file.
const DEMAND: f64 = 109_900.0;

/// Contests without ground, false reports of missing data, and slashing oneself.
pub(super) fn rows(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = vec![spam(rules, dice, trials)];
    for friends in [0.1, 0.25, 0.5] {
        rows.push(false_reports(rules, friends, dice, trials));
    }
    rows.push(way_out(rules, dice, trials));
    rows
}

/// A lost game pays its victim more than the delay cost it. Games end evenly between a day and the longest way.
fn spam(rules: &Rules, dice: &mut Dice, trials: u32) -> Row {
    let held = (1.0 + rules.long_lock) * INTEREST / 365.0;
    let bond = rules.bond_share * rules.long_lock;
    let exact = held * f64::midpoint(1.0, rules.dispute_days);
    let (simulated, error) =
        mean(trials, held * rules.dispute_days, || held * (1.0 + dice.unit() * (rules.dispute_days - 1.0)));
    let longest = held * rules.dispute_days;
    let bound =
        Bound::at_least("bondShare of the lock", longest / rules.bond_to_winner / rules.long_lock, rules.bond_share);
    Row {
        attack: "contests without ground",
        case: format!("fee and lock held up to {} days, bond {bond} fees", rules.dispute_days),
        measure: "cost of the delay to the operator, fees",
        exact,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

/// Two friends in both seats of a segment may make the operator publish a piece, at its cost.
fn false_reports(rules: &Rules, friends: f64, dice: &mut Dice, trials: u32) -> Row {
    let both = power(friends, rules.verifiers);
    let exact = f64::from(rules.long_draws) * both * PUBLICATION;
    let (simulated, error) = mean(trials, f64::from(rules.long_draws) * PUBLICATION, || {
        let demands = (0..rules.long_draws).filter(|_| dice.count(rules.verifiers, friends) == rules.verifiers).count();
        demands as f64 * PUBLICATION
    });
    let bound = Bound::at_most("gas to the operator for each of the demander's", 1.0, PUBLICATION / DEMAND);
    Row {
        attack: "false reports of missing data",
        case: format!("{:.0} % of the verifiers collude; long claim", friends * 100.0),
        measure: "gas that a claim's operator has to spend",
        exact,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

/// An operator that slashes itself, as its own finder, against waiting for the unbonding time; integers, as on chain.
fn way_out(rules: &Rules, dice: &mut Dice, trials: u32) -> Row {
    let exact = 1.0 - rules.finder;
    let whole = 10_000_u32;
    let cut = (rules.finder * f64::from(whole)) as u64;
    let (simulated, error) = mean(trials, 1.0, || {
        let stake = u64::from(1_000_000 + dice.below(1_000_000_000));
        let back = stake * cut / u64::from(whole);
        (stake - back) as f64 / stake as f64
    });
    let bound = Bound::at_least("part that is burned", 0.5, exact);
    Row {
        attack: "slashing oneself as a way out",
        case: "own finder; the alternative is to wait 14 days".to_owned(),
        measure: "part of the stake that is lost",
        exact,
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn gas_is_what_the_contracts_were_measured_to_use() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/snapshots/verification.json");
        let measured: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let gas = |name: &str| measured[name].as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!(gas("publish a chunk of 16 KiB"), PUBLICATION);
        assert_eq!(gas("demand a chunk"), DEMAND);
    }
}
