//! `headframe-bench gpu`: what one NVIDIA card does, and what it costs the machine that it is in.

mod accept;
mod measured;
mod opponent;
mod table;

use crate::figures::{self, Head};
use crate::machine::Meter;
use crate::options::GpuOptions;
use crate::progress::Progress;
use crate::stage::Stage;
pub(crate) use accept::SECONDS as SOAK_SECONDS;
use accept::{Conclusion, Demand};
use anyhow::Result;
use measured::Measured;
use opponent::Outcome;
use serde::Serialize;

/// Everything that was found, as it is stored.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    /// Only there when no card was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    test_double: Option<String>,
    driver: Option<String>,
    #[serde(flatten)]
    measured: Measured,
    /// Live ladders that were on time; none: not tried.
    sustained_ladders: Option<usize>,
    /// Bytes of the card for one more ladder.
    memory_bytes_per_ladder: Option<f64>,
    ffmpeg: Vec<Outcome>,
    /// Our ladders over the best ffmpeg's, at full speed. On a card that does not encode: pictures decoded and scaled.
    ratio: Option<f64>,
    others_cores: f64,
    /// With --accept: what a card has to show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acceptance: Vec<Demand>,
    /// What those say together.
    #[serde(skip_serializing_if = "Option::is_none")]
    conclusion: Option<Conclusion>,
    notes: Vec<String>,
}

/// Nothing was missed, but not everything that --accept asks for was measured: what, and how to get it.
#[derive(Debug, thiserror::Error)]
#[error("the acceptance is incomplete; not measured: {0}")]
pub(crate) struct Incomplete(String);

/// Measures, prints, and stores where asked.
pub(crate) fn run(options: &GpuOptions) -> Result<()> {
    let codec = options.input.codec.clone().unwrap_or_else(headframe_codec::worker::codec_program);
    // First of all: without a card nothing needs to be prepared.
    let found = measured::find(&codec, options)?;
    let progress = Progress::new();
    let stage = Stage::set_at_best(&options.input, 20, &progress)?;
    let meter = Meter::start();
    let measured = measured::measure(&stage.codec, options, &stage.cut.segments, &progress)?;
    let size = (stage.probe.width, stage.probe.height);
    let acceptance = match options.accept {
        true => accept::judge(&measured, &accept::check(&stage, options, &measured.card.uuid, &progress)?, size),
        false => Vec::new(),
    };
    let conclusion = options.accept.then(|| accept::conclude(&acceptance, !measured.doubles.is_empty()));
    let double = (!measured.doubles.is_empty()).then(|| double_note(&measured.doubles));
    let (card, encodes) = (measured.card.ordinal, measured.encodes);
    let ffmpeg = opponent::all(&stage, card, encodes, double.is_some(), &|what| progress.step(what));
    let cost = meter.cost(meter.wall(), 0.0);
    let report = Report {
        head: stage.head(),
        driver: found.driver,
        sustained_ladders: sustained(options, &measured),
        memory_bytes_per_ladder: measured.memory_of_a_ladder(),
        ratio: ratio(&measured, &ffmpeg),
        notes: notes(options, &measured, cost.others_cores),
        test_double: double,
        measured,
        ffmpeg,
        others_cores: cost.others_cores,
        acceptance,
        conclusion,
    };
    progress.done();
    print!("{}", table::text(&report));
    figures::store(options.json.as_deref(), &report)?;
    conclusion.map_or(Ok(()), |conclusion| accept::end(&report.acceptance, conclusion))
}

fn double_note(libraries: &[String]) -> String {
    format!(
        "TEST DOUBLE, NOT A CARD: {} only stand in for NVIDIA's and work on the processor. No figure here says anything about \
         the speed of a card; counts of bytes are those of the engine",
        libraries.join(", ")
    )
}

/// The last try, if it was on time; nothing was if the fastest run did not reach one ladder.
fn sustained(options: &GpuOptions, measured: &Measured) -> Option<usize> {
    let last = measured.live.last().map(|last| if last.on_time { last.streams } else { 0 });
    last.or((options.live > 0).then_some(0))
}

fn ratio(measured: &Measured, ffmpeg: &[Outcome]) -> Option<f64> {
    let runs = ffmpeg.iter().filter_map(Outcome::best);
    if measured.encodes {
        let theirs = runs.map(|run| run.ladders).reduce(f64::max)?;
        return Some(measured.best()?.ladders / theirs);
    }
    let theirs = runs.map(|run| run.pictures_per_s).reduce(f64::max)?;
    Some(measured.part("decode_and_scale")? / theirs)
}

fn notes(options: &GpuOptions, measured: &Measured, others_cores: f64) -> Vec<String> {
    let mut notes = vec![
        "a live ladder costs CPU s, MB and MiB as in its row, for each second that it plays; MB/s are bytes handed to the \
         driver and taken from it, without what the driver sends for itself"
            .to_owned(),
        "scaling and encoding alone: pictures that lie on the card; each is copied there once before it is encoded".to_owned(),
    ];
    if options.riser > 0 {
        notes.push(format!(
            "the riser is SIMULATED: what is counted takes its time at {} MB/s in each direction; latency, launches and \
             the driver's own traffic are not slowed down",
            options.riser
        ));
    }
    if !measured.encodes {
        notes.push("this card has no encoder that could be used: the processors encode".to_owned());
    }
    let shared = measured.best().is_some_and(|run| run.made.rungs_on_host > 0);
    if measured.encodes && shared {
        notes.push("there were too few encoder sessions for all rungs: the processors encoded the rest".to_owned());
    }
    notes.extend(figures::circumstances(others_cores));
    notes.extend(measured.problems.iter().map(|problem| format!("problem: {problem}")));
    notes
}

#[cfg(test)]
mod tests {
    use super::measured::tests::{measured, run};
    use super::*;

    fn outcome(ladders: f64) -> Outcome {
        let run = opponent::Run {
            processes: 1,
            wall_s: 1.0,
            ladders,
            pictures_per_s: 30.0 * ladders,
            cpu_s_per_video_s: 0.1,
        };
        Outcome {
            ffmpeg: "ffmpeg-1".into(),
            encoded: true,
            not_measured: None,
            runs: vec![run],
            stopped: None,
            command: None,
        }
    }

    #[test]
    fn the_ratio_is_against_the_best_and_none_without_one() {
        let ours = measured(vec![run("card", 1, 5.0, 400), run("card", 2, 8.0, 500)], &[]);
        assert_eq!(ratio(&ours, &[outcome(2.0), outcome(4.0)]), Some(2.0));
        let none = Outcome { runs: Vec::new(), not_measured: Some("no".into()), ..outcome(1.0) };
        assert_eq!(ratio(&ours, &[none]), None);
    }
}
