//! The report for a person.

use super::measured::Run;
use super::{Report, accept};
use std::fmt::Write as _;

/// What codec and report call a part, and what people do.
const PARTS: [(&str, &str); 4] = [
    ("decode", "decoding"),
    ("scale", "scaling to all sizes"),
    ("decode_and_scale", "decoding and scaling"),
    ("encode", "encoding, rung by rung"),
];

pub(super) fn text(report: &Report) -> String {
    let (mut text, it) = (String::new(), &report.measured);
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", report.head.lines());
    let (card, (major, minor)) = (&it.card, it.card.compute);
    let _ = writeln!(
        text,
        "{} ({} at {}), compute {major}.{minor}, {} MiB; driver {}, CUDA {}.{}, NVENC API {}, encoder sessions: {}",
        card.name,
        card.uuid,
        card.pci,
        card.memory_bytes >> 20,
        report.driver.as_deref().unwrap_or("of unknown version"),
        it.cuda.0,
        it.cuda.1,
        it.nvenc_api.as_deref().unwrap_or("none"),
        it.sessions
    );
    loud(&mut text, report);
    let _ = writeln!(text, "\n{:<46}{:>8}{:>14}{:>18}", "alone", "at once", "pictures/s", "as 1080p");
    for rate in &it.parts {
        let name = PARTS.iter().find(|(part, _)| *part == rate.part).map_or(rate.part.as_str(), |(_, name)| name);
        let _ = writeln!(
            text,
            "{name:<46}{:>8}{:>14.1}{:>18.1}",
            rate.at_once, rate.pictures_per_s, rate.hd_pictures_per_s
        );
    }
    let _ = writeln!(
        text,
        "\n{:<50}{:>8}{:>9}{:>12}{:>9}{:>13}{:>11}{:>11}{:>10}{:>8}{:>8}",
        "ladders at full speed",
        "at once",
        "ladders",
        "pictures/s",
        "CPU s/s",
        "+ SW encode",
        "MB/s in",
        "MB/s out",
        "VRAM MiB",
        "dec %",
        "enc %"
    );
    it.ladders.iter().for_each(|run| row(&mut text, run));
    if let Some(bytes) = report.memory_bytes_per_ladder {
        let _ = writeln!(text, "one more ladder takes {:.0} MiB of the card's memory", bytes / f64::from(1 << 20));
    }
    live(&mut text, report);
    if report.ffmpeg.is_empty() {
        let _ = writeln!(text, "\nffmpeg: NOT MEASURED: there is none here");
    }
    for theirs in &report.ffmpeg {
        let work = if theirs.encoded { "-hwaccel cuda, scale_cuda, NVENC" } else { "-hwaccel cuda, scale_cuda" };
        if let Some(reason) = &theirs.not_measured {
            let _ = writeln!(text, "\n{} {work}: NOT MEASURED: {reason}", theirs.ffmpeg);
            continue;
        }
        let _ = writeln!(text);
        for run in &theirs.runs {
            let name = format!("{} {work}", theirs.ffmpeg);
            let _ = writeln!(
                text,
                "{name:<50}{:>8}{:>9.2}{:>12.1}{:>9.3}",
                run.processes, run.ladders, run.pictures_per_s, run.cpu_s_per_video_s
            );
        }
        if let Some(reason) = &theirs.stopped {
            let _ = writeln!(text, "no more: {reason}");
        }
    }
    let _ = writeln!(text);
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if let Some(ratio) = report.ratio {
        let _ = writeln!(text, "\nladder_ratio {ratio:.3}");
    }
    if let Some(sustained) = report.sustained_ladders {
        let _ = writeln!(text, "sustained_ladders {sustained}");
    }
    if let Some(conclusion) = report.conclusion {
        text += &accept::text(&report.acceptance, conclusion);
    }
    // Again at the end, where the eye is.
    loud(&mut text, report);
    text
}

fn loud(text: &mut String, report: &Report) {
    if let Some(double) = &report.test_double {
        let _ = writeln!(text, "\n*** {double} ***");
    }
}

fn row(text: &mut String, run: &Run) {
    let who = if run.who == "card" { "the card encodes" } else { "the processors encode" };
    let riser = |link: super::measured::Link| format!("{who}, SIMULATED riser {} MB/s", link.bytes_per_s / 1_000_000);
    let name = run.link.map_or(who.to_owned(), riser);
    let percent = |it: Option<f64>| it.map_or("-".to_owned(), |percent| format!("{percent:.0}"));
    let _ = writeln!(
        text,
        "{name:<50}{:>8}{:>9.2}{:>12.1}{:>9.3}{:>13.3}{:>11.2}{:>11.2}{:>10}{:>8}{:>8}",
        run.streams,
        run.ladders,
        run.pictures_per_s,
        run.cpu_s_per_video_s,
        run.software_encoding_s_per_video_s,
        run.to_card_bytes_per_video_s / 1e6,
        run.to_host_bytes_per_video_s / 1e6,
        run.memory.most.saturating_sub(run.memory.before) >> 20,
        percent(run.decoders_busy_percent),
        percent(run.encoders_busy_percent)
    );
}

fn live(text: &mut String, report: &Report) {
    if report.sustained_ladders.is_none() {
        return;
    }
    let _ = writeln!(text, "\n{:<46}{:>8}{:>9}{:>12}{:>18}", "live ladders", "segments", "late", "p99", "worst");
    for it in &report.measured.live {
        let verdict = if it.on_time { "on time" } else { "LATE" };
        let name = format!("{} {verdict}", it.streams);
        let _ = writeln!(text, "{name:<46}{:>8}{:>9}{:>12.2}{:>18.2}", it.segments, it.late, it.p99, it.worst);
    }
    let _ = writeln!(text, "p99 and worst are shares of a segment's length; above 0.8 it is late");
}
