//! Choosing among seeds: proposers of blocks, and the client that keeps its link of the chain to itself.

use super::chance::{Dice, mean};
use super::faking::Claim;
use super::{Bound, Row, Rules};

/// Slots of Ethereum for which proposers are known ahead, at most: two epochs (consensus-specs, phase0, `MIN_SEED_LOOKAHEAD`).
const LOOKAHEAD: f64 = 64.0;
/// The share of all proposers that an attacker has who cannot choose its slot.
const PROPOSERS: f64 = 0.01;

/// An operator that proposes the last blocks before the seed chooses among 2^t seeds; a client alone among two.
pub(super) fn rows(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for tail in [0_u32, 1, 2, 3] {
        let claim = Claim { seeds: 1 << tail, ..Claim::of(rules, 1800, 0.9) };
        let best = claim.best();
        let (simulated, error) = claim.simulate(best, dice, trials);
        let holds = claim.gain(best) <= 0.0;
        // Without a choice nothing is aimed at.
        let bound = (tail > 0).then(|| Bound::at_least("seedDelay, blocks", LOOKAHEAD + 1.0, f64::from(rules.seed_delay)));
        rows.push(Row {
            attack: "grinding the seed, no client chain",
            case: format!("{} seeds to choose from ({tail} slots aimed at); {best} of 1800 faked", claim.seeds),
            measure: "most gained over honest work, fees",
            exact: claim.gain(best),
            simulated,
            error,
            holds,
            bound,
        });
    }
    // Who cannot aim fakes the same part every time and seldom has the choice.
    let lucky = Claim { seeds: 2, ..Claim::of(rules, 1800, 0.9) };
    let plain = Claim::of(rules, 1800, 0.9);
    let gain = |j: u32| PROPOSERS * lucky.gain(j) + (1.0 - PROPOSERS) * plain.gain(j);
    let best = (1..=1800).fold(1, |best, j| if gain(j) > gain(best) { j } else { best });
    let (simulated, error) = mean(trials, 1.0 + plain.lost, || {
        let claim = if dice.chance(PROPOSERS) { &lucky } else { &plain };
        f64::from(best) / 1800.0 - f64::from(claim.play(best, dice)) * (1.0 + claim.lost)
    });
    rows.push(Row {
        attack: "grinding the seed, no client chain",
        case: format!("a hundredth of all proposers, slot not known when claiming; {best} of 1800 faked"),
        measure: "most gained over honest work, fees",
        exact: gain(best),
        simulated,
        error,
        holds: gain(best) <= 0.0,
        bound: None,
    });
    rows.push(withheld_chain(rules, dice, trials));
    rows
}

/// The client sees both seeds and takes the one that catches: only whoever fakes has to fear it.
fn withheld_chain(rules: &Rules, dice: &mut Dice, trials: u32) -> Row {
    let claim = Claim::of(rules, 1800, 0.9);
    let faked = 180;
    let missed = 1.0 - claim.caught(faked);
    let (simulated, error) = mean(trials, 1.0, || {
        let (one, two) = (claim.play(faked, dice), claim.play(faked, dice));
        f64::from(one || two)
    });
    Row {
        attack: "client withholds its chain",
        case: format!("{faked} of 1800 faked; an honest claim has nothing to catch"),
        measure: "chance that the claim is caught",
        exact: 1.0 - missed * missed,
        simulated,
        error,
        holds: true,
        bound: None,
    }
}
