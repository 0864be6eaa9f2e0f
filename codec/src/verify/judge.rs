//! From findings to a verdict: pure integer arithmetic, one comparison a line.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::findings::{Both, Findings, FrameFindings, WorstTile};
use super::pixels::TILE;
use super::profile::Profile;

/// Whether a rendition is what was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Pass,
    /// It is not.
    Fail {
        /// In words.
        reason: String,
    },
    /// Nobody with this machine and this source can tell.
    Abstain {
        /// In words.
        reason: String,
    },
}

/// One thing measured, and what it was held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was measured.
    pub name: String,
    /// The measure.
    pub have: i64,
    /// The most it may be; the least where [`Check::at_least`] says so.
    pub bound: i64,
    /// Whether the bound is the least and not the most.
    pub at_least: bool,
    /// Where the measure is largest: the picture, counted from 0.
    pub picture: Option<u32>,
    /// Where in the picture: left, top, in samples.
    pub place: Option<(u32, u32)>,
}

impl Check {
    /// Whether the bound holds.
    pub fn holds(&self) -> bool {
        if self.at_least { self.have >= self.bound } else { self.have <= self.bound }
    }

    /// The measure in thousandths of its bound: beyond 1000 it fails (below, for a least).
    pub fn permille(&self) -> i64 {
        let part = i128::from(self.have) * 1000 / i128::from(self.bound).max(1);
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}

/// A verdict with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What is wrong with the rendition's form, if that is why it fails.
    pub fault: Option<Fault>,
    /// The profile's rendition.
    pub rendition: String,
    /// Pictures measured.
    pub pictures: u32,
    /// Luma samples per picture.
    pub samples: u64,
    /// Bytes delivered.
    pub bytes: u64,
    /// How far all pictures are early or late, 90 kHz ticks.
    pub shift_ticks: i64,
    /// Squared error of luma over all pictures.
    pub luma_error: Both,
    /// Everything measured. Empty where the form is at fault.
    pub checks: Vec<Check>,
}

/// Holds `findings` to the profile's bounds.
pub fn judge(findings: &Findings, profile: &Profile) -> Judgement {
    let whole = findings.fault.is_none() && findings.abstain.is_none();
    let totals = Totals::of(findings, profile);
    let checks = if whole { totals.checks(findings, profile) } else { Vec::new() };
    let verdict = match (&findings.fault, &findings.abstain, checks.iter().find(|check| !check.holds())) {
        (Some(fault), ..) => Verdict::Fail { reason: fault.to_string() },
        (None, Some(reason), _) => Verdict::Abstain { reason: reason.clone() },
        (None, None, Some(check)) => Verdict::Fail { reason: words(check) },
        (None, None, None) if totals.starved => Verdict::Abstain { reason: totals.hunger(profile) },
        (None, None, None) => Verdict::Pass,
    };
    Judgement {
        verdict,
        fault: findings.fault.clone(),
        rendition: profile.rendition.name.clone(),
        pictures: findings.frames.len() as u32,
        samples: totals.samples,
        bytes: findings.bytes,
        shift_ticks: findings.shift,
        luma_error: totals.luma,
        checks,
    }
}

fn words(check: &Check) -> String {
    let Check { name, have, bound, .. } = check;
    let at = match (check.picture, check.place) {
        (Some(picture), Some((x, y))) => format!(" in picture {picture} at {x},{y}"),
        (Some(picture), None) => format!(" in picture {picture}"),
        _ => String::new(),
    };
    format!("{name} is {have}{at}, {} {bound}", if check.at_least { "must be at least" } else { "may be at most" })
}

/// Pictures over which quantisers are averaged: half a second at the usual rates. Encoders swing from picture to picture,
/// by design, and spend a segment's bits at different times.
const WINDOW: usize = 15;

/// Squared change of a sample from picture to picture, on average, from which on pictures move so fast that all honest
/// encoders need most of their bits. A window that moves over a still picture has half of it.
const FAST: u64 = 150;

/// Sums over all pictures.
struct Totals<'a> {
    frames: &'a [FrameFindings],
    /// Luma samples of one picture.
    samples: u64,
    /// Of all pictures.
    all: u64,
    luma: Both,
    chroma: Both,
    means: Both,
    chroma_means: Both,
    /// Fine details of the ordered pictures, as squared error.
    details: u64,
    /// The reference loses so much of the fine details that others may lose other things: who loses yet other ones still
    /// fails, but who does not need not have tried.
    starved: bool,
    /// How much it loses, in thousandths.
    lost: u64,
    /// Squared quantiser steps, for each [`WINDOW`] of pictures. The rendition's is never the smaller one, so that a finer
    /// quantiser earns nothing.
    steps: Vec<Both>,
}

/// Details of the ordered pictures, fine (0) or coarse (1), and how much of them the reference loses.
fn details(frames: &[FrameFindings], level: usize) -> (u64, u64) {
    let levels = frames.iter().map(|frame| &frame.levels[level]);
    levels.fold((0, 0), |(all, lost), it| {
        (all + it.ordered.unsigned_abs(), lost + (it.ordered - it.reference_ordered).max(0) as u64)
    })
}

impl<'a> Totals<'a> {
    fn of(findings: &'a Findings, profile: &Profile) -> Self {
        let frames = &findings.frames[..];
        let sum = |of: fn(&FrameFindings) -> Both| {
            let mut sum = Both::default();
            frames.iter().for_each(|frame| sum.add(of(frame)));
            sum
        };
        let samples = u64::from(profile.rendition.width) * u64::from(profile.rendition.height);
        let window = |frames: &[FrameFindings]| {
            let mut steps = Both::default();
            frames.iter().for_each(|frame| steps.add(frame.squared_step));
            match steps.reference {
                0 => Both { rendition: 1, reference: 1 },
                reference => Both { rendition: steps.rendition.max(reference), reference },
            }
        };
        let (fine, fine_lost) = details(frames, 0);
        Self {
            frames,
            samples,
            all: samples * frames.len() as u64,
            luma: sum(|frame| frame.luma),
            chroma: sum(|frame| frame.chroma),
            means: sum(|frame| frame.luma_means),
            chroma_means: sum(|frame| frame.chroma_means),
            starved: fine_lost > permille(fine, profile.bounds.starved_permille),
            lost: (u128::from(fine_lost) * 1000 / u128::from(fine.max(1))) as u64,
            details: fine / 4,
            steps: frames.chunks(WINDOW).map(window).collect(),
        }
    }

    /// Why nobody can vouch for a rendition that keeps every bound.
    fn hunger(&self, profile: &Profile) -> String {
        format!(
            "nothing is wrong with it, but the ordered rate is too low for these pictures: the reference loses {} of 1000 of \
             their fine details itself (from {} on a mild blur cannot be told from honest work)",
            self.lost, profile.bounds.starved_permille
        )
    }

    /// The sum of `of` over all pictures, each for a quantiser as coarse as the rendition's at that time.
    fn coarser(&self, of: impl Fn(&FrameFindings) -> u64) -> u64 {
        let windows = self.frames.chunks(WINDOW).zip(&self.steps);
        windows.map(|(frames, steps)| scaled(frames.iter().map(&of).sum(), *steps)).fold(0, u64::saturating_add)
    }

    fn checks(&self, findings: &Findings, profile: &Profile) -> Vec<Check> {
        let bounds = &profile.bounds;
        let scaler = permille(self.details, bounds.scaler_permille);
        let half = self.all / 2;
        let (luma, chroma) = (self.luma, self.chroma);
        let mut checks = vec![most("bytes of slices", findings.slice_bytes.rendition, findings.slice_bytes_limit)];
        // What says most about the cause comes first.
        checks.extend(self.motion(bounds.repeat_permille, bounds.motion_permille));
        checks.extend(self.slides(bounds.slide_permille));
        checks.extend(self.rate(findings, profile));
        let error = permille(luma.reference + half, bounds.luma_permille) + self.all + 2 * scaler;
        checks.push(most("luma error", luma.rendition, error));
        let error =
            permille(self.coarser(|frame| frame.luma.reference) + half, bounds.fidelity_permille) + half + scaler;
        checks.push(most("luma error for its quantiser", luma.rendition, error));
        for (level, name, factor, divisor) in [
            (0, "fine details lost for its quantiser", bounds.fine_loss_permille, 4),
            (1, "coarse details lost for its quantiser", bounds.coarse_loss_permille, 64),
        ] {
            let lost = |frame: &FrameFindings, own: i64| frame.levels[level].ordered - own;
            let have: i64 = self.frames.iter().map(|f| lost(f, f.levels[level].rendition_ordered)).sum();
            let have = have.max(0) as u64 / divisor;
            let yardstick = self.coarser(|f| lost(f, f.levels[level].reference_ordered).max(0) as u64) / divisor;
            let (details, plain) = details(self.frames, level);
            // Where the reference itself loses much, a quantiser twice as coarse loses less than twice as much.
            let few = level == 0 && plain > details / 5;
            let yardstick = match few {
                true => (u128::from(plain / divisor) * u128::from(yardstick)).isqrt() as u64,
                false => yardstick,
            };
            let factor = match few {
                true if self.starved => bounds.fine_loss_of_starved_permille,
                true => bounds.fine_loss_of_lost(self.lost),
                false => factor,
            };
            let scaler = permille(details / divisor, bounds.scaler_permille);
            let allowance = self.all / 20;
            let bound = permille(yardstick + allowance, factor) + scaler + allowance;
            checks.push(most(name, have, bound));
        }
        let means = permille(self.means.reference + half, bounds.means_permille);
        let fidelity = match self.starved {
            true => bounds.means_fidelity_of_starved_permille,
            false => bounds.means_fidelity_permille,
        };
        let finer = permille(self.coarser(|frame| frame.luma_means.reference) + half, fidelity);
        checks.push(most("error of tile means", self.means.rendition, means.min(finer)));
        // Both chroma planes together have half as many samples as luma.
        checks.push(most("chroma error", chroma.rendition, permille(chroma.reference + half, bounds.chroma_permille)));
        let means =
            permille(self.coarser(|frame| frame.chroma_means.reference) + self.all / 8, bounds.chroma_means_permille);
        checks.push(most("error of chroma tile means", self.chroma_means.rendition, means));
        checks.extend(self.worst_picture(bounds.picture_permille));
        let fidelity = match self.starved {
            true => bounds.tile_fidelity_of_starved_permille,
            false => bounds.tile_fidelity_permille,
        };
        let luma = (bounds.tile_permille, fidelity);
        checks.extend(self.worst_tile("error of a tile", luma, TILE as u32, profile, |frame| frame.luma_tile));
        let chroma = (bounds.chroma_tile_permille, bounds.chroma_tile_fidelity_permille);
        checks
            .extend(self.worst_tile("chroma error of a tile", chroma, TILE as u32, profile, |frame| frame.chroma_tile));
        checks
    }

    /// Fewer bits than the reference needs are fine where nothing moves or nothing is left to improve.
    fn rate(&self, findings: &Findings, profile: &Profile) -> Option<Check> {
        let change: u64 = self.frames.iter().map(|frame| frame.step.change).sum();
        let needed = change > self.all && self.luma.rendition > self.all / 2;
        let least = match change > FAST * self.all {
            true => profile.bounds.rate_under_of_fast_permille,
            false => profile.bounds.rate_under_permille,
        };
        let least = permille(findings.slice_bytes.reference, least);
        let check = most("bytes of slices for moving pictures", findings.slice_bytes.rendition, least);
        needed.then_some(Check { at_least: true, ..check })
    }

    /// The picture with the largest error for its surroundings in time.
    fn worst_picture(&self, factor: u32) -> Option<Check> {
        let mean = self.luma.reference / (self.frames.len() as u64).max(1);
        let check = |(i, frame): (usize, &FrameFindings)| {
            let near = &self.frames[i.saturating_sub(3)..(i + 4).min(self.frames.len())];
            let near = near.iter().map(|frame| frame.luma.reference).max().unwrap_or(0);
            let bound = permille(near + mean + 2 * self.samples, factor);
            Check { picture: Some(i as u32), ..most("error of a picture", frame.luma.rendition, bound) }
        };
        self.frames.iter().enumerate().map(check).reduce(worse)
    }

    fn worst_tile(
        &self,
        name: &str,
        (factor, fidelity): (u32, u32),
        side: u32,
        profile: &Profile,
        tile: fn(&FrameFindings) -> WorstTile,
    ) -> Option<Check> {
        let across = profile.rendition.width.div_ceil(side);
        let check = |(i, frame): (usize, &FrameFindings)| {
            let WorstTile { index, samples, error, near, mean } = tile(frame);
            let plain = permille(near + mean + 4 * samples, factor);
            let finer = permille(scaled(near + mean, self.steps[i / WINDOW]) + 5 * samples, fidelity);
            let place = Some((index % across * side, index / across * side));
            Check { picture: Some(i as u32), place, ..most(name, error, plain.min(finer)) }
        };
        self.frames.iter().enumerate().map(check).reduce(worse)
    }

    /// Displacement of the four halves, in thousandths of a sample.
    fn slides(&self, most_permille: u32) -> Option<Check> {
        let names = ["left", "right", "upper", "lower"];
        let check = |(half, name): (usize, &str)| {
            let product: i64 = self.frames.iter().map(|frame| frame.slides[half].product).sum();
            let slope: i64 = self.frames.iter().map(|frame| frame.reference_slides[half].slope).sum();
            // Two per sample, of which a half has half as many: smooth pictures have no slope to speak of.
            let slope = slope.max(0) as u64 + self.all;
            let have = u64::try_from(u128::from(product.unsigned_abs()) * 2000 / u128::from(slope.max(1)));
            most(&format!("displacement of the {name} half"), have.unwrap_or(u64::MAX), u64::from(most_permille))
        };
        names.into_iter().enumerate().map(check).reduce(worse)
    }

    /// Pictures that look like a neighbour in time, one by one, and how much of the motion is there at all.
    fn motion(&self, most_permille: u32, motion_permille: u32) -> Vec<Check> {
        let (mut shown, mut due) = (0i128, 0i128);
        let (mut repeats, mut jumps) = (None, None);
        for (i, pair) in self.frames.windows(2).enumerate() {
            let (before, frame) = (&pair[0], &pair[1]);
            let step = &frame.step;
            // Only where the source changes more than coding does.
            let noise = before.luma.reference.max(frame.luma.reference);
            if step.change < 5 * self.samples || 5 * u128::from(step.change) <= 2 * u128::from(noise) {
                continue;
            }
            let likeness = |name, picture: usize, have| Check {
                have,
                picture: Some(picture as u32),
                ..most(name, 0, u64::from(most_permille))
            };
            if let Some((have, want)) = gains(step.back, frame.luma, step.change) {
                shown += have.clamp(-want, want);
                due += want;
                // A copy of the picture before hardly moves, on top of looking like it.
                let least = step.own.reference.min(step.change).max(1);
                let moves = u128::from(step.own.rendition) * 1000 / u128::from(least);
                let have = away(have, want) - moves.min(1000) as i64;
                repeats = largest(repeats, likeness("likeness to the picture before", i + 1, have));
            }
            if let Some((have, want)) = gains(step.ahead, before.luma, step.change) {
                jumps = largest(jumps, likeness("likeness to the picture after", i, away(have, want)));
            }
        }
        let mut checks: Vec<Check> = repeats.into_iter().chain(jumps).collect();
        if due > 0 {
            let have = (shown * 1000 / due) as i64;
            let check = most("motion shown, of 1000", 0, u64::from(motion_permille));
            checks.push(Check { have, at_least: true, ..check });
        }
        checks
    }
}

/// By how much rendition and reference are nearer to their own picture than to its neighbour; `None` where the reference
/// does not show the `change` between them either.
fn gains(neighbour: Both, own: Both, change: u64) -> Option<(i128, i128)> {
    let gain = |neighbour: u64, own: u64| i128::from(neighbour) - i128::from(own);
    let want = gain(neighbour.reference, own.reference);
    (4 * want > i128::from(change)).then(|| (gain(neighbour.rendition, own.rendition), want))
}

/// 1000 for a copy of the neighbour, -1000 for a picture as it should be.
fn away(have: i128, want: i128) -> i64 {
    (-have * 1000 / want).clamp(-1000, 1000) as i64
}

fn largest(old: Option<Check>, new: Check) -> Option<Check> {
    Some(match old {
        Some(old) if old.have >= new.have => old,
        _ => new,
    })
}

fn scaled(value: u64, steps: Both) -> u64 {
    let scaled = u128::from(value) * u128::from(steps.rendition) / u128::from(steps.reference);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The one nearer to its bound, or further beyond it.
fn worse(a: Check, b: Check) -> Check {
    let cross = |x: &Check, y: &Check| i128::from(x.have) * i128::from(y.bound.max(1));
    if cross(&b, &a) > cross(&a, &b) { b } else { a }
}

fn permille(value: u64, factor: u32) -> u64 {
    u64::try_from(u128::from(value) * u128::from(factor) / 1000).unwrap_or(u64::MAX)
}

fn most(name: &str, have: u64, bound: u64) -> Check {
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Check { name: name.to_owned(), have: whole(have), bound: whole(bound), at_least: false, picture: None, place: None }
}
