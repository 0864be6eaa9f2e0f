//! Judges saved findings and prints the table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::recipes::{Kind, has_no_effect};
use headframe_codec::Rendition;
use headframe_codec::verify::{Check, Fault, Findings, FrameFindings, Profile, Verdict, judge};
use serde::{Deserialize, Serialize};

/// One rendition of the corpus.
#[derive(Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) content: String,
    pub(crate) order: String,
    pub(crate) recipe: String,
    pub(crate) rendition: Rendition,
    pub(crate) findings: Findings,
}

/// How far a measure is from its bound, in thousandths of it: over 1000 fails.
fn strain(check: &Check) -> i64 {
    match check.at_least {
        false => check.permille(),
        true => check.bound.saturating_mul(1000) / check.have.max(1),
    }
}

#[derive(Default)]
struct Row {
    pass: u32,
    fail: u32,
    abstain: u32,
    /// Of each rendition the measure nearest to, or furthest beyond, its bound; here the one that decides the row.
    edge: Option<(i64, String)>,
}

/// Largest strain of honest renditions, and how many cheats a measure catches, alone and at all.
#[derive(Default)]
struct Measure {
    honest: (i64, String),
    caught: u32,
    alone: u32,
}

/// Prints the confusion table and the margins; whether there is no wrong verdict.
pub(crate) fn report(path: &Path) -> Result<bool, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut rows: BTreeMap<(Kind, String), Row> = BTreeMap::new();
    let mut measures: BTreeMap<String, Measure> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).map_err(|error| format!("{}: {error}", path.display()))?;
        if has_no_effect(&line.content, &line.recipe) {
            continue;
        }
        let profile = Profile::of(line.rendition.clone()).map_err(|error| error.to_string())?;
        let judgement = judge(&line.findings, &profile);
        let findings = &line.findings;
        // An encoder that cannot keep the ordered rate has not made what was ordered, however honest.
        let seconds = findings.frames.len() as u64 / 30;
        let due = u64::from(line.rendition.bitrate_bps) / 8 * seconds;
        let slices = findings.slice_bytes.rendition;
        let too_much = matches!(findings.fault, Some(Fault::Bytes { .. })) || slices > findings.slice_bytes_limit;
        let off_rate = too_much || slices * 1000 < due * 550;
        let kind = match Kind::of(&line.recipe) {
            Kind::Honest if off_rate => Kind::Limit,
            Kind::Cheat if changes_little(&line.recipe, &line.rendition, &findings.frames) => Kind::Limit,
            kind => kind,
        };
        let (honest, cheat) = (kind == Kind::Honest, kind == Kind::Cheat);
        let place = format!("{} {} {}", line.content, line.order, line.recipe);
        let row = rows.entry((kind, line.recipe.clone())).or_default();
        match &judgement.verdict {
            Verdict::Pass => row.pass += 1,
            Verdict::Fail { .. } => row.fail += 1,
            Verdict::Abstain { .. } => row.abstain += 1,
        }
        let top = judgement.checks.iter().max_by_key(|check| strain(check));
        let top = top.map_or((i64::MAX, "form".to_owned()), |check| (strain(check), check.name.clone()));
        let replaces = |edge: &(i64, String)| if honest { top.0 > edge.0 } else { top.0 < edge.0 };
        if row.edge.as_ref().is_none_or(replaces) {
            row.edge = Some((top.0, format!("{} ({} {})", top.1, line.content, line.order)));
        }
        let broken: Vec<&Check> = judgement.checks.iter().filter(|check| !check.holds()).collect();
        for check in &judgement.checks {
            let measure = measures.entry(check.name.clone()).or_default();
            let strain = strain(check);
            if honest && strain > measure.honest.0 {
                measure.honest = (strain, place.clone());
            }
            if cheat && !check.holds() {
                measure.caught += 1;
                measure.alone += u32::from(broken.len() == 1);
            }
        }
        if kind == Kind::Limit
            && line.recipe.starts_with("engine")
            && let Verdict::Fail { reason } = &judgement.verdict
        {
            println!("{place}: {reason}");
        }
        match judgement.verdict {
            Verdict::Fail { reason } if honest => wrong.push(format!("{place}: {reason}")),
            Verdict::Pass if cheat => wrong.push(format!("{place}: passes; nearest bound {} at {}", top.1, top.0)),
            _ => {}
        }
    }
    println!(
        "\n{:<28} {:>5} {:>5} {:>7}  worst margin (thousandths of the bound)",
        "recipe", "pass", "fail", "abstain"
    );
    let mut sums = [[0; 3]; 3];
    for ((kind, recipe), row) in &rows {
        let (strain, name) = row.edge.clone().unwrap_or_default();
        let strain = if strain == i64::MAX { "-".to_owned() } else { strain.to_string() };
        let recipe = if *kind == Kind::Limit { format!("({recipe})") } else { recipe.clone() };
        println!("{recipe:<28} {:>5} {:>5} {:>7}  {strain:>6} {name}", row.pass, row.fail, row.abstain);
        for (sum, count) in sums[*kind as usize].iter_mut().zip([row.pass, row.fail, row.abstain]) {
            *sum += count;
        }
    }
    println!("\n{:<38} {:>7} {:>7} {:>6}  worst honest rendition", "measure", "honest", "caught", "alone");
    for (name, measure) in &measures {
        let (strain, place) = &measure.honest;
        println!("{name:<38} {strain:>7} {:>7} {:>6}  {place}", measure.caught, measure.alone);
    }
    println!("\n            pass   fail abstain");
    for (name, [pass, fail, abstain]) in ["honest", "cheats", "limits"].iter().zip(sums) {
        println!("{name:<8} {pass:>7} {fail:>6} {abstain:>7}");
    }
    println!("\n{} wrong verdicts", wrong.len());
    for line in &wrong {
        println!("  {line}");
    }
    Ok(wrong.is_empty())
}

/// What loses details of pictures that are near-perfect all the same: 47 dB.
fn changes_little(recipe: &str, rendition: &Rendition, frames: &[FrameFindings]) -> bool {
    let softens = ["blur", "upscaled", "third-rate", "half-rate"].iter().any(|kind| recipe.starts_with(kind));
    let error: u64 = frames.iter().map(|frame| frame.luma.rendition).sum();
    let samples = u64::from(rendition.width) * u64::from(rendition.height) * frames.len() as u64;
    // 255^2 / 10^4.7 = 1.3
    softens && error * 10 < samples * 13
}
