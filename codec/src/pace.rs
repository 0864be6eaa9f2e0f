//! Rate control across segments: which quality fits the bit rate, learned from what earlier pictures took.
//!
//! An encoder that begins afresh with every segment has to guess how hard the pictures are; x264's own guess costs 0.1 to
//! 0.5 dB and 5 % more bits than one encoder that runs for ever. So pictures are encoded at a constant rate factor (x264's
//! CRF) under a buffer limit of one second, and the factor follows, picture by picture and from the segment before the last,
//! from two things: how hard the pictures of the last three seconds were, and by how much their bits missed the bit rate.
//! x264's own average bit rate works alike (`ratecontrol.c`: `cplxr_sum`, `wanted_bits_window`, `overflow`), but cannot be
//! carried from one encoder to the next.
//!
//! [`Pace`] is all that passes from segment to segment: it goes in with one and comes out for a later one, so the output
//! is a function of the input alone. Integers only: the same on every machine.

use serde::{Deserialize, Serialize};

use crate::ladder::{Fps, Rendition};

/// Rate factors are counted in these parts of one.
const PARTS: i64 = 64;
/// Parts that halve the bits.
const OCTAVE: i64 = 6 * PARTS;
/// The range of rate factors, in parts. Below, pictures are as good as perfect; above, there is nothing left to save.
const RANGE: std::ops::RangeInclusive<i64> = 10 * PARTS..=44 * PARTS;
/// The factor at which [`Pace::hardness`] counts bits as they are.
const REFERENCE: i64 = 20 * PARTS;
/// Bits are summed in these parts.
const BIT: u64 = 1 << 8;

/// Bits that a rendition may take, and how fast its rate control answers.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Of one picture, in 1/256.
    picture: u64,
    /// Of one second.
    second: i64,
    /// Pictures that are remembered: three seconds of them.
    window: u64,
}

impl Budget {
    /// Of a rendition with so many pictures per second.
    pub fn new(rendition: &Rendition, fps: Fps) -> Self {
        let (rate, num, den) = (u64::from(rendition.bitrate_bps), u64::from(fps.num.max(1)), u64::from(fps.den));
        // Of few pictures one would say too much.
        let window = (num * 3 / den.max(1)).max(16);
        Self { picture: rate * BIT * den / num, second: rate as i64, window }
    }
}

/// What the rate control of one rendition knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Bits of the last pictures had their rate factor been [`REFERENCE`], in 1/256; older ones count less.
    hardness: u64,
    /// Bits that these pictures may have taken, in 1/256.
    wanted: u64,
    /// Bits taken and not wanted; negative where there are some left.
    excess: i64,
}

impl Pace {
    /// For the first segments of a stream: what usual content takes for this many bits per sample, counted as half a second.
    pub fn start(rendition: &Rendition, budget: &Budget) -> Self {
        let samples = u64::from(rendition.width) * u64::from(rendition.height);
        let wanted = budget.second as u64 * BIT / 2;
        // 0.11 bits per sample: factor 20. Half of that: 3.6 more.
        let log = log2(samples * 11 * BIT, budget.picture * 100) * 3 / 5;
        // The buffer is full where a stream begins, and an encoder that runs for ever would use some of that.
        Self { hardness: scaled(wanted, log * OCTAVE / 1024), wanted, excess: -budget.second * 3 / 16 }
    }

    /// x264's rate factor for the next picture, in 1/64.
    pub fn parts(&self, budget: &Budget) -> i64 {
        // Half as many bits as wanted where all of this is overdrawn; twice as many where half of it is left.
        let buffer = budget.second * 9 / 4;
        let drawn = buffer + self.excess.clamp(-buffer / 2, buffer);
        let log = log2(self.hardness, self.wanted) + log2(drawn as u64, buffer as u64);
        (REFERENCE + log * OCTAVE / 1024).clamp(*RANGE.start(), *RANGE.end())
    }

    /// So many parts as x264 counts.
    pub fn of_parts(parts: i64) -> f64 {
        parts as f64 / PARTS as f64
    }

    /// After a picture that took `bits` at a rate factor of `parts`.
    pub fn add(&mut self, bits: u64, parts: i64, budget: &Budget) {
        let kept = |sum: u64| sum - sum.div_ceil(budget.window);
        let bits = bits.min(1 << 32);
        self.hardness = kept(self.hardness).saturating_add(scaled(bits * BIT, parts - REFERENCE));
        self.wanted = kept(self.wanted).saturating_add(budget.picture);
        // More than is ever looked at would only delay the answer to what comes next.
        let excess = self.excess.saturating_add(bits as i64 - (budget.picture / BIT) as i64);
        self.excess = excess.clamp(-budget.second * 9 / 8, budget.second * 9 / 4);
    }
}

/// `bits * 2^(parts / OCTAVE)`, to 1 in 5000.
fn scaled(bits: u64, parts: i64) -> u64 {
    let (whole, rest) = (parts.div_euclid(OCTAVE).clamp(-32, 31), (parts.rem_euclid(OCTAVE) << 16) / OCTAVE);
    // 2^x for 0 <= x < 1, in 1/65536.
    let power = 65536 + ((rest * (45580 + ((rest * (14829 + ((rest * 5127) >> 16))) >> 16))) >> 16);
    let product = u128::from(bits) * power as u128;
    let shifted = if whole < 0 { product >> -whole } else { product << whole };
    u64::try_from(shifted >> 16).unwrap_or(u64::MAX)
}

/// `log2(have / want)` in 1/1024, rounded down.
fn log2(have: u64, want: u64) -> i64 {
    let (have, want) = (u128::from(have.max(1)), u128::from(want.max(1)));
    // The ratio with 32 fractional bits, brought into 1..2.
    let mut ratio = ((have << 64) / want).max(1);
    let whole = 127 - i64::from(ratio.leading_zeros()) - 64;
    ratio = if whole >= -32 { ratio >> (whole + 32) } else { ratio << (-32 - whole) };
    let mut log = whole;
    for _ in 0..10 {
        ratio = (ratio * ratio) >> 32;
        let bit = ratio >> 33;
        ratio >>= bit;
        log = 2 * log + bit as i64;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::Ladder;

    const THIRTY: Fps = Fps { num: 30, den: 1 };

    fn budget() -> Budget {
        Budget { picture: 100_000 * BIT, second: 3_000_000, window: 100 }
    }

    fn settled(hardness: u64) -> Pace {
        Pace { hardness: hardness * BIT, wanted: 3_000_000 * BIT, excess: 0 }
    }

    #[test]
    fn logarithms_and_powers() {
        for (have, want) in [(1u64, 1u64), (2, 1), (1, 2), (3, 1), (1, 3), (999, 1000), (1 << 40, 3), (7, 1 << 40)] {
            let exact = (have as f64 / want as f64).log2() * 1024.0;
            let found = log2(have, want) as f64;
            assert!(exact - found < 1.01 && found - exact < 0.01, "{have}/{want}: {found}, exactly {exact}");
        }
        for parts in -700..1600 {
            let exact = 1e9 * (parts as f64 / OCTAVE as f64).exp2();
            let found = scaled(1_000_000_000, parts) as f64;
            assert!((found / exact - 1.0).abs() < 2e-4, "{parts}: {found}, exactly {exact}");
        }
        assert_eq!(scaled(u64::MAX, 16_000), u64::MAX);
        assert!(scaled(u64::MAX, i64::MIN / 2) < 1 << 33);
    }

    #[test]
    fn usual_ladders_begin_at_usual_factors() {
        let factor = |at: usize, fps| {
            let ladder = Ladder::standard();
            let budget = Budget::new(&ladder.renditions()[at], fps);
            Pace::of_parts(Pace::start(&ladder.renditions()[at], &budget).parts(&budget))
        };
        assert!((19.0..20.0).contains(&factor(3, THIRTY)), "{}", factor(3, THIRTY));
        assert!((20.0..21.0).contains(&factor(0, THIRTY)), "{}", factor(0, THIRTY));
        assert!(factor(3, Fps { num: 60, den: 1 }) > factor(3, THIRTY) + 3.0);
    }

    #[test]
    fn twice_as_hard_is_six_factors_more() {
        let factor = |hardness| Pace::of_parts(settled(hardness).parts(&budget()));
        assert_eq!(factor(3_000_000), 20.0);
        assert_eq!(factor(6_000_000), 26.0);
        assert_eq!(factor(1_500_000), 14.0);
        let overdrawn = |excess| Pace::of_parts(Pace { excess, ..settled(3_000_000) }.parts(&budget()));
        assert!(overdrawn(1_000_000) > 21.0);
        assert!(overdrawn(-500_000) < 19.5);
        assert_eq!((overdrawn(i64::MAX), overdrawn(i64::MIN)), (26.0, 14.0));
    }

    #[test]
    fn settles_at_the_bit_rate_also_when_content_changes() {
        // Content that takes so many bits for a picture at factor 20, and half of them every six factors.
        let budget = budget();
        let mut pace = settled(3_000_000);
        for easy_or_hard in [40_000.0, 300_000.0, 100_000.0, 60_000.0] {
            let mut made = Vec::new();
            for _ in 0..1200 {
                let bits = (easy_or_hard * ((20.0 - Pace::of_parts(pace.parts(&budget))) / 6.0).exp2()) as u64;
                pace.add(bits, pace.parts(&budget), &budget);
                made.push(bits);
            }
            let late = made[600..].iter().sum::<u64>() / 600;
            assert!((99_000..101_000).contains(&late), "{late} of 100,000 for {easy_or_hard}");
            let worst = made[150..].iter().max();
            assert!(worst < Some(&130_000), "{worst:?}");
        }
    }

    #[test]
    fn nothing_overflows_and_what_was_saved_is_bounded() {
        for second in [32_000, 100_000_000] {
            for (num, den) in [(1, 1), (120, 1), (1_000_000, 10_000)] {
                let mut rendition = Ladder::standard().renditions()[0].clone();
                rendition.bitrate_bps = second;
                let budget = Budget::new(&rendition, Fps { num, den });
                for bits in [0, u64::MAX] {
                    let mut pace = Pace::start(&rendition, &budget);
                    for _ in 0..2000 {
                        pace.add(bits, pace.parts(&budget), &budget);
                        assert!(RANGE.contains(&pace.parts(&budget)), "{pace:?}");
                    }
                    assert!(pace.excess >= -budget.second * 9 / 8 && pace.excess <= budget.second * 9 / 4);
                }
            }
        }
        // A worker's answer is not trusted: whatever it says gives a factor.
        for (hardness, wanted) in [(0, 0), (u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX)] {
            let mut pace = Pace { hardness, wanted, excess: i64::MIN };
            pace.add(u64::MAX, i64::MAX / 2, &budget());
            assert!(RANGE.contains(&pace.parts(&budget())));
        }
    }
}
