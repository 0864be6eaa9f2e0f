//! Random numbers that are the same everywhere, and the few distributions that attacks need.

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`; skewed by less than n / 2^64.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u32
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// How many of `n` events of probability `p` happen.
    pub fn count(&mut self, n: u32, p: f64) -> u32 {
        (0..n).map(|_| u32::from(self.chance(p))).sum()
    }
}

/// x to the n, by multiplication alone, so that it is the same to the last bit everywhere.
#[must_use]
pub fn power(x: f64, n: u32) -> f64 {
    (0..n).fold(1.0, |product, _| product * x)
}

/// The chance that exactly `hits` of `n` events of probability `p` happen.
#[must_use]
pub fn exactly(n: u32, p: f64, hits: u32) -> f64 {
    let ways = (0..hits).fold(1.0, |ways, i| ways * f64::from(n - i) / f64::from(i + 1));
    ways * power(p, hits) * power(1.0 - p, n - hits)
}

/// The chance that at least `hits` of `n` events of probability `p` happen.
#[must_use]
pub fn at_least(n: u32, p: f64, hits: u32) -> f64 {
    (hits..=n).map(|i| exactly(n, p, i)).sum()
}

/// The mean of `trials` values and the most by which it may miss the true one: four standard errors, and five times
/// `range`, which is between the least and the greatest value, over `trials`, for events so rare that none was seen.
pub fn mean(trials: u32, range: f64, mut value: impl FnMut() -> f64) -> (f64, f64) {
    let (mut sum, mut squares) = (0.0, 0.0);
    for _ in 0..trials {
        let x = value();
        sum += x;
        squares += x * x;
    }
    let n = f64::from(trials);
    let mean = sum / n;
    let variance = (squares / n - mean * mean).max(0.0);
    (mean, 4.0 * (variance / n).sqrt() + 5.0 * range / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binomial_distribution_adds_up_and_the_dice_follow_it() {
        let all: f64 = (0..=31).map(|i| exactly(31, 0.3, i)).sum();
        assert!((all - 1.0).abs() < 1e-12);
        assert!((at_least(2, 0.5, 1) - 0.75).abs() < 1e-15);
        assert_eq!((at_least(15, 1.0, 15), at_least(15, 0.0, 1)), (1.0, 0.0));
        let mut dice = Dice::new(5);
        let (seen, error) = mean(20_000, 1.0, || f64::from(dice.count(15, 0.3) >= 5));
        assert!((seen - at_least(15, 0.3, 5)).abs() <= error, "{seen}");
    }

    #[test]
    fn the_dice_are_splitmix() {
        // The first outputs of the published generator for seed 0.
        let mut dice = Dice::new(0);
        assert_eq!([dice.next(), dice.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert!((0..1000).all(|_| dice.below(7) < 7));
    }
}
