//! Rate control across segments: which quality fits the bit rate, learned from what earlier segments took.
//!
//! An encoder that begins afresh with every segment has to guess how hard the pictures are; x264's own guess costs 0.1 to
//! 0.4 dB and 5 % more bits than one encoder that runs for ever. So each segment is encoded at a constant rate factor
//! (x264's CRF) under a buffer limit of one second, and the factor follows from the bits that the segment before the last
//! one took. Quality then hardly moves within a segment, which measured 0.1 to 0.3 dB better (mean squared error of 60 s of
//! mixed content) than x264's constant bit rate without interruptions, at bits within 2.5 % of it.
//!
//! Where content gets much harder, the buffer limit holds; where it gets much easier, the factor falls within the segment
//! ([`Pace::lags`]), so that a picture is not kept coarse for bits that nobody needs.
//!
//! [`Pace`] is all that passes from segment to segment: it goes in with one and comes out for a later one, so the output
//! is a function of the input alone. Integers only: the same on every machine.

use serde::{Deserialize, Serialize};

use crate::ladder::{Fps, Rendition};

/// Rate factors are counted in these parts of one.
const PARTS: i64 = 64;
/// The range of rate factors, in parts. Below, pictures are as good as perfect; above, there is nothing left to save.
const RANGE: std::ops::RangeInclusive<i64> = 10 * PARTS..=44 * PARTS;
/// Thousandths of the budget that are aimed at. Every segment begins with a full buffer, so hard ones take up to a fifth
/// more than their budget before they are held back; with this aim the mean of mixed content comes to the bit rate.
const AIM: u64 = 900;

/// Parts by which the factor falls at a time where content turns out to be much easier than it was.
const EASE: i64 = PARTS * 5 / 4;
/// Pictures that are looked at for that.
pub const RECENT: usize = 4;

/// What the rate control of one rendition knows from an earlier segment: x264's rate factor, in 1/64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace(u16);

impl Pace {
    /// For the first segments of a stream: what usual content takes for this many bits per sample.
    pub fn start(rendition: &Rendition, fps: Fps) -> Self {
        let samples = u64::from(rendition.width) * u64::from(rendition.height) * u64::from(fps.num);
        let bits = u64::from(rendition.bitrate_bps) * u64::from(fps.den);
        // 0.11 bits per sample: factor 20. Half of that: 3.6 more.
        let factor = 20 * PARTS - steps(bits * 100, samples * 11);
        Self::clamped(factor)
    }

    /// x264's rate factor.
    pub fn rate_factor(self) -> f64 {
        f64::from(self.0) / PARTS as f64
    }

    /// A little better than this, for the rest of a segment that turns out to be easy.
    pub fn eased(self) -> Self {
        Self::clamped(i64::from(self.0) - EASE)
    }

    /// The mean of several, of which `sum` is the sum of [`Self::parts`].
    pub fn mean(sum: u64, count: u64) -> Self {
        Self::clamped((sum / count.max(1)) as i64)
    }

    /// The factor in 1/64.
    pub fn parts(self) -> u64 {
        u64::from(self.0)
    }

    /// Whether `bits` for `done` of `all` pictures are so few that the rest should be better: under 70 % of what is aimed
    /// at, and the `last` bits, of the last [`RECENT`] pictures, under what they might take.
    pub fn lags(bits: u64, last: u64, done: u64, all: u64, budget: u64) -> bool {
        let aim = |pictures: u64| budget * AIM / 1000 * pictures / all.max(1);
        done >= RECENT as u64 && 10 * bits < 7 * aim(done) && last < aim(RECENT as u64)
    }

    /// After a segment that took `bits` of `budget`.
    pub fn after(self, bits: u64, budget: u64) -> Self {
        Self::clamped(i64::from(self.0) + steps(bits, budget * AIM / 1000))
    }

    fn clamped(factor: i64) -> Self {
        Self(factor.clamp(*RANGE.start(), *RANGE.end()) as u16)
    }
}

/// 3.6 rate factors, in parts, for each doubling of `have` over `want`: a factor of 6 halves the bits, and 60 % of the way at
/// a time does not overshoot.
fn steps(have: u64, want: u64) -> i64 {
    log2(have, want) * 18 * PARTS / (5 << 10)
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

    #[test]
    fn logarithms() {
        for (have, want) in [(1u64, 1u64), (2, 1), (1, 2), (3, 1), (1, 3), (999, 1000), (1 << 40, 3), (7, 1 << 40)] {
            let exact = (have as f64 / want as f64).log2() * 1024.0;
            let found = log2(have, want) as f64;
            assert!(exact - found < 1.01 && found - exact < 0.01, "{have}/{want}: {found}, exactly {exact}");
        }
    }

    #[test]
    fn usual_ladders_begin_at_usual_factors() {
        let factor = |at: usize, fps| Pace::start(&Ladder::standard().renditions()[at], fps).rate_factor();
        let thirty = Fps { num: 30, den: 1 };
        assert!((20.0..21.0).contains(&factor(3, thirty)), "{}", factor(3, thirty));
        assert!((21.0..22.0).contains(&factor(0, thirty)), "{}", factor(0, thirty));
        assert!(factor(3, Fps { num: 60, den: 1 }) > factor(3, thirty) + 3.0);
    }

    #[test]
    fn easy_content_is_noticed_and_the_mean_counts() {
        // 60 pictures, 6 Mbit: 90,000 bits a picture are aimed at.
        assert!(Pace::lags(300_000, 200_000, 10, 60, 6_000_000));
        assert!(!Pace::lags(640_000, 200_000, 10, 60, 6_000_000), "more than 70 %");
        assert!(!Pace::lags(300_000, 540_000, 10, 60, 6_000_000), "it has caught up");
        assert!(!Pace::lags(0, 0, 3, 60, 6_000_000), "too early");
        let pace = Pace(20 * 64);
        assert_eq!(pace.eased(), Pace(20 * 64 - 80));
        assert_eq!(Pace::mean(pace.parts() + pace.eased().parts(), 2), Pace(20 * 64 - 40));
        assert_eq!(Pace(10 * 64).eased(), Pace(10 * 64));
    }

    #[test]
    fn settles_at_the_budget_and_stays_in_range() {
        // Content whose bits halve every six factors.
        let bits = |pace: Pace| (9_000_000.0 * (-pace.rate_factor() / 6.0).exp2() * 10.0) as u64;
        let mut pace = Pace(40 * 64);
        let mut made = Vec::new();
        for _ in 0..40 {
            made.push(bits(pace));
            pace = pace.after(bits(pace), 6_000_000);
        }
        let late = made[20..].iter().sum::<u64>() / 20;
        assert!((5_200_000..5_600_000).contains(&late), "{late}: {made:?}");
        for (bits, budget) in [(0, 0), (0, u64::from(u32::MAX)), (u64::from(u32::MAX), 0), (1, 1)] {
            let mut pace = pace;
            for _ in 0..50 {
                pace = pace.after(bits, budget);
                assert!(RANGE.contains(&i64::from(pace.0)), "{pace:?}");
            }
        }
    }
}
