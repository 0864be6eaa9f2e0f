//! What attacks on the protocol earn and cost, over its real parameters: in closed form and by simulation, which have to
//! agree. Pure, and the same on every machine for a seed: `./run economics` prints it, docs/economics.md keeps it.
//!
//! Money is counted in fees of the claim under attack. Attackers are given every doubt: work they save is worth all of its
//! fee, they are their own finders wherever a finder is rewarded, and least locks and jail cost them nothing.

pub mod chance;
mod faking;
mod griefing;
mod jury;
mod rules;
mod seeds;
mod table;
mod verifiers;

pub use rules::Rules;
pub use table::{markdown, text};

use chance::Dice;
use serde::Serialize;

/// One attack in one setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Kind of attack.
    pub attack: &'static str,
    /// The setting.
    pub case: String,
    /// What the two next numbers are.
    pub measure: &'static str,
    /// In closed form.
    pub exact: f64,
    /// By simulation.
    pub simulated: f64,
    /// The most by which the two may differ: four standard errors and five single events.
    pub error: f64,
    /// The parameter that decides, its least value that holds, and its value.
    pub bound: Option<Bound>,
    /// Whether the parameters are enough in this setting.
    pub holds: bool,
}

/// A parameter against what the setting needs of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// Which.
    pub parameter: &'static str,
    /// The least value that holds, or the greatest where `most`.
    pub needs: f64,
    /// Its value.
    pub has: f64,
    /// Whether larger values are worse.
    pub most: bool,
}

impl Bound {
    fn at_least(parameter: &'static str, needs: f64, has: f64) -> Self {
        Self { parameter, needs, has, most: false }
    }

    fn at_most(parameter: &'static str, needs: f64, has: f64) -> Self {
        Self { parameter, needs, has, most: true }
    }

    /// Whether the parameter's value is enough.
    #[must_use]
    pub fn holds(&self) -> bool {
        if self.most { self.has <= self.needs } else { self.has >= self.needs }
    }
}

impl Row {
    /// Whether simulation and closed form agree within the stated error.
    #[must_use]
    pub fn agrees(&self) -> bool {
        (self.exact - self.simulated).abs() <= self.error
    }
}

/// Every attack, each simulated `trials` times.
#[must_use]
pub fn report(rules: &Rules, seed: u64, trials: u32) -> Vec<Row> {
    let mut dice = Dice::new(seed);
    let mut rows = Vec::new();
    rows.extend(faking::rows(rules, &mut dice, trials));
    rows.extend(faking::rows_of_the_design(rules, &mut dice, trials));
    rows.extend(verifiers::withholding(rules, &mut dice, trials));
    rows.extend(seeds::rows(rules, &mut dice, trials));
    rows.extend(jury::rows(rules, &mut dice, trials));
    rows.extend(verifiers::laziness(rules, &mut dice, trials));
    rows.extend(griefing::rows(rules, &mut dice, trials));
    rows
}

/// Seed and trials of the table in docs/economics.md.
pub const PUBLISHED: (u64, u32) = (1, 20_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulation_and_closed_form_agree_for_several_seeds() {
        for seed in [1, 2, 3] {
            for row in report(&Rules::main(), seed, 10_000) {
                assert!(row.agrees(), "seed {seed}: {row:?}");
                assert!(row.error > 0.0 && row.exact.is_finite(), "{row:?}");
                assert!(row.bound.as_ref().is_none_or(|b| b.needs.is_finite()), "{row:?}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_report() {
        assert_eq!(report(&Rules::main(), 7, 500), report(&Rules::main(), 7, 500));
        assert_ne!(report(&Rules::main(), 7, 500), report(&Rules::main(), 8, 500));
    }

    #[test]
    fn without_collateral_and_draws_hardly_anything_holds() {
        let mut bare = Rules::main();
        (bare.long_lock, bare.short_lock, bare.long_draws, bare.short_draws) = (0.0, 0.0, 1, 1);
        let held =
            |rules: &Rules| report(rules, 1, 500).iter().filter(|r| r.attack.starts_with("faking") && r.holds).count();
        assert!(held(&bare) * 4 < held(&Rules::main()));
    }
}
