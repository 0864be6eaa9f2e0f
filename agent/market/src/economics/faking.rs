//! Faking a part of a claim: it is caught when a drawn segment is a faked one and somebody looks closely enough.

use super::chance::{Dice, mean, power};
use super::{Bound, Row, Rules};

/// A claim somebody fakes a part of.
pub(super) struct Claim {
    pub(super) segments: u32,
    pub(super) draws: u32,
    /// That a faked segment which is drawn is found out.
    pub(super) detection: f64,
    /// What is lost with the fee, after what comes back to the operator as its own finder.
    pub(super) lost: f64,
    /// Seeds that it may choose from.
    pub(super) seeds: u32,
}

impl Claim {
    pub(super) fn of(rules: &Rules, segments: u32, detection: f64) -> Self {
        let lost = rules.lock(segments) * (1.0 - rules.finder);
        Self { segments, draws: rules.draws(segments), detection, lost, seeds: 1 }
    }

    /// The chance to be caught with `faked` segments, whatever seed is chosen.
    pub(super) fn caught(&self, faked: u32) -> f64 {
        let hit = self.detection * f64::from(faked) / f64::from(self.segments);
        power(1.0 - power(1.0 - hit, self.draws), self.seeds)
    }

    /// What is earned more than by honest work: the faked part's fee, against fee and collateral when caught.
    pub(super) fn gain(&self, faked: u32) -> f64 {
        f64::from(faked) / f64::from(self.segments) - self.caught(faked) * (1.0 + self.lost)
    }

    /// The number of faked segments that earns most.
    pub(super) fn best(&self) -> u32 {
        (1..=self.segments).fold(1, |best, j| if self.gain(j) > self.gain(best) { j } else { best })
    }

    /// The loss besides the fee from which on no number of faked segments pays.
    pub(super) fn needed(&self) -> f64 {
        let least = |j: u32| f64::from(j) / f64::from(self.segments) / self.caught(j) - 1.0;
        (1..=self.segments).map(least).fold(0.0, f64::max)
    }

    /// One claim drawn for: whether it is caught.
    pub(super) fn play(&self, faked: u32, dice: &mut Dice) -> bool {
        (0..self.seeds).all(|_| {
            let mut found = false;
            for _ in 0..self.draws {
                found |= dice.below(self.segments) < faked && dice.chance(self.detection);
            }
            found
        })
    }

    pub(super) fn simulate(&self, faked: u32, dice: &mut Dice, trials: u32) -> (f64, f64) {
        let fee = f64::from(faked) / f64::from(self.segments);
        mean(trials, 1.0 + self.lost, || fee - f64::from(self.play(faked, dice)) * (1.0 + self.lost))
    }
}

const MEASURE: &str = "most gained over honest work, fees";

/// Over all parts that could be faked, and the part that earns most.
pub(super) fn rows(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for segments in [1, 2, 60, 255, 256, 1800, 4096] {
        for detection in [1.0, 0.9, 0.5, 0.25] {
            let attack = if segments < rules.long_claim { "faking, short claim" } else { "faking, long claim" };
            rows.push(row(rules, attack, &Claim::of(rules, segments, detection), rules.lock(segments), dice, trials));
        }
    }
    for draws in [1, 2, 4] {
        let claim = Claim { draws, ..Claim::of(rules, 1800, 0.9) };
        rows.push(row(rules, "faking, client asks for fewer draws", &claim, rules.long_lock, dice, trials));
    }
    rows
}

fn row(rules: &Rules, attack: &'static str, claim: &Claim, lock: f64, dice: &mut Dice, trials: u32) -> Row {
    let best = claim.best();
    let (simulated, error) = claim.simulate(best, dice, trials);
    let bound = Bound::at_least("lock, fees", claim.needed() / (1.0 - rules.finder), lock);
    let (n, k, q) = (claim.segments, claim.draws, claim.detection);
    let case = format!("{n} segments, {k} drawn, q = {q}; {best} faked");
    Row {
        attack,
        case,
        measure: MEASURE,
        exact: claim.gain(best),
        simulated,
        error,
        holds: bound.holds(),
        bound: Some(bound),
    }
}

/// By the design's stricter rule, which does not count the fee as lost: F / (k q) for the smallest part.
pub(super) fn rows_of_the_design(rules: &Rules, dice: &mut Dice, trials: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for segments in [255, 4096] {
        for detection in [1.0, 0.9, 0.5, 0.25] {
            let claim = Claim::of(rules, segments, detection);
            let part = 1.0 / f64::from(segments);
            let gain = |caught: f64| (1.0 - caught) * part - caught * claim.lost;
            let (simulated, error) = mean(trials, part + claim.lost, || gain(f64::from(claim.play(1, dice))));
            let caught = claim.caught(1);
            let needs = (1.0 - caught) * part / caught / (1.0 - rules.finder);
            let bound = Bound::at_least("lock, fees", needs, rules.lock(segments));
            rows.push(Row {
                attack: "faking, by the design's rule (fee not lost)",
                case: format!("{segments} segments, {} drawn, q = {detection}; 1 faked", claim.draws),
                measure: "gained, fees",
                exact: gain(caught),
                simulated,
                error,
                holds: bound.holds(),
                bound: Some(bound),
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_part_needs_what_the_limit_says() {
        // 1 / (k q) - 1 for parts near 0: more than nothing only when k q is below 1.
        let claim = Claim { segments: 4096, draws: 1, detection: 0.5, lost: 0.0, seeds: 1 };
        assert!((claim.needed() - 1.0).abs() < 1e-9);
        assert_eq!(Claim { draws: 8, detection: 1.0, ..claim }.needed(), 0.0);
    }

    #[test]
    fn what_is_needed_is_just_enough() {
        for (segments, draws, detection) in [(1, 1, 0.25), (60, 2, 0.25), (1800, 1, 0.9), (1800, 3, 0.2)] {
            let mut claim = Claim { segments, draws, detection, lost: 0.0, seeds: 1 };
            let needed = claim.needed();
            assert!(needed > 0.0);
            claim.lost = needed + 1e-9;
            assert!(claim.gain(claim.best()) <= 0.0);
            claim.lost = needed * 0.99;
            assert!(claim.gain(claim.best()) > 0.0);
        }
    }
}
