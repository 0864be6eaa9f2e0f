//! Order statistics of few values, and what few values can prove.

use serde::Serialize;

/// Middle and ends of some measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// `None` without values. The median of an even number is the mean of the middle two.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let upper = sorted.len() / 2;
    let lower = (sorted.len() - 1) / 2;
    Some(Spread { median: (sorted[lower] + sorted[upper]) / 2.0, min, max })
}

/// The least of `sorted` values that `per_mille` of them do not exceed (nearest rank); 0 without values.
pub(crate) fn percentile(sorted: &[u64], per_mille: u64) -> u64 {
    let rank = (sorted.len() as u64 * per_mille).div_ceil(1000).max(1);
    sorted.get(rank as usize - 1).copied().unwrap_or(0)
}

/// The largest true share that still gives at most `failures` of `total` with a chance of 5 % (Clopper and Pearson's
/// one-sided bound). 1 without trials.
pub(crate) fn upper_bound_95(failures: u64, total: u64) -> f64 {
    if failures >= total {
        return 1.0;
    }
    let (mut low, mut high) = (failures as f64 / total as f64, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match chance_of_at_most(failures, total, middle) > 0.05 {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// Probability of at most `k` of `n` at a true share of `p`, strictly between 0 and 1 or 0 itself.
fn chance_of_at_most(k: u64, n: u64, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    let mut term = n as f64 * (1.0 - p).ln();
    let mut sum = term.exp();
    for i in 0..k {
        term += ((n - i) as f64 / (i + 1) as f64).ln() + p.ln() - (1.0 - p).ln();
        sum += term.exp();
    }
    sum
}

/// Deterministic pseudo-random numbers: SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..end` up to a bias of `end / 2^64`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(spread([]), None);
        assert_eq!(spread([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread([4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!([500, 950, 990, 1000].map(|p| percentile(&values, p)), [100, 190, 198, 200]);
        assert_eq!((percentile(&[7], 500), percentile(&[7], 990), percentile(&[], 990)), (7, 7, 0));
    }

    #[test]
    fn bounds_agree_with_tables() {
        // The rule of three, and Clopper-Pearson tables: 1 of 100 -> 4.66 %, 5 of 50 -> 19.9 %.
        for (failures, total, bound) in [(0, 300, 0.009_94), (1, 100, 0.0466), (5, 50, 0.1990), (0, 15, 0.1810)] {
            let found = upper_bound_95(failures, total);
            assert!((found - bound).abs() < 2e-4, "{failures} of {total}: {found}");
        }
        assert_eq!((upper_bound_95(3, 3), upper_bound_95(0, 0)), (1.0, 1.0));
    }

    #[test]
    fn random_is_the_published_sequence() {
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        assert!((0..1000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
    }
}
