//! Choosing among seeds: proposers of blocks, and the client that keeps its link of the chain to itself.

use super::chance::{Dice, mean, power};
use super::faking::Claim;
use super::{Bound, Row, Rules};

/// Slots of Ethereum for which proposers are known ahead, at most: two epochs (consensus-specs, phase0, `MIN_SEED_LOOKAHEAD`).
const LOOKAHEAD: f64 = 64.0;

/// An operator that proposes the last blocks before the seed chooses among 2^t seeds; a client alone among two. What aiming
/// earns is of no use to who cannot aim, because no proposer is known yet when the block is named.
pub(super) fn rows(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for tail in [0_u32, 1, 2, 3] {
        let claim = Claim { seeds: 1 << tail, ..Claim::of(rules, 1800, 0.9) };
        let best = claim.best();
        let (simulated, error) = claim.simulate(best, dice, trials);
        // Without a choice nothing is aimed at.
        let bound =
            (tail > 0).then(|| Bound::at_least("seedDelay, blocks", LOOKAHEAD + 1.0, f64::from(rules.seed_delay)));
        let holds = claim.gain(best) <= 0.0 || bound.as_ref().is_some_and(Bound::holds);
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
    for share in [0.01, 0.1, 0.3] {
        rows.push(by_luck(rules, share, dice, trials));
    }
    rows.push(withheld_chain(rules, dice, trials));
    rows
}

/// Who cannot aim, because proposers are not known yet when the block is named, has t blocks at the end of it with
/// probability share^t (1 - share), here three at most, and has to fake the same part every time.
fn by_luck(rules: &Rules, share: f64, dice: &mut Dice, trials: u32) -> Row {
    const MOST: u32 = 3;
    let claims: Vec<Claim> = (0..=MOST).map(|tail| Claim { seeds: 1 << tail, ..Claim::of(rules, 1800, 0.9) }).collect();
    let weight = |tail: u32| power(share, tail) * if tail == MOST { 1.0 } else { 1.0 - share };
    let gain = |j: u32| (0..=MOST).zip(&claims).map(|(tail, claim)| weight(tail) * claim.gain(j)).sum::<f64>();
    let best = (1..=1800).fold(1, |best, j| if gain(j) > gain(best) { j } else { best });
    let part = f64::from(best) / 1800.0;
    let at_stake = 1.0 + claims[0].lost;
    let (simulated, error) = mean(trials, at_stake, || {
        let tail = (0..MOST).take_while(|_| dice.chance(share)).count();
        part - f64::from(claims[tail].play(best, dice)) * at_stake
    });
    Row {
        attack: "grinding the seed, no client chain",
        case: format!("{:.0} % of all proposers, not known when claiming; {best} of 1800 faked", share * 100.0),
        measure: "most gained over honest work, fees",
        exact: gain(best),
        simulated,
        error,
        holds: gain(best) <= 0.0,
        bound: None,
    }
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
