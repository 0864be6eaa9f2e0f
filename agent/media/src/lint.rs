//! Judges playlists by the text of RFC 8216: an `hls-lint` for tests and for `headframe check`.
//!
//! It shares no code with the writer in [`crate::playlist`]; what the two agree on has been read from the standard twice.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// A rule that a playlist breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1; 0 for the playlist as a whole.
    pub line: usize,
    /// Section of RFC 8216.
    pub section: &'static str,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} (RFC 8216 section {})", self.line, self.what, self.section)
    }
}

/// One segment as a media playlist tells of it.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    uri: String,
    duration: f64,
    discontinuity: bool,
    program_time: Option<i64>,
}

#[derive(Debug, Default)]
struct Media {
    target: Option<u64>,
    sequence: u64,
    discontinuity_sequence: u64,
    segments: Vec<Segment>,
    ended: bool,
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, line: usize, section: &'static str, what: impl Into<String>) {
        self.0.push(Fault { line, section, what: what.into() });
    }
}

/// Tags that may stand in a playlist once.
const ONCE: [&str; 6] = [
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-INDEPENDENT-SEGMENTS",
];
const MEDIA_ONLY: [&str; 9] = [
    "EXTINF",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-DISCONTINUITY",
    "EXT-X-ENDLIST",
    "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-BYTERANGE",
    "EXT-X-MAP",
];
/// Milliseconds by which program time may differ from the sum of durations: decoding order shifts segments by frames.
const TIME_TOLERANCE: i64 = 251;
const MASTER_ONLY: [&str; 3] = ["EXT-X-STREAM-INF", "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF"];

/// Judges one media playlist.
pub fn media(text: &str) -> Vec<Fault> {
    let mut faults = Faults::default();
    read_media(text, &mut faults);
    faults.0
}

/// Judges how a live media playlist changed between two loads.
pub fn evolution(before: &str, after: &str) -> Vec<Fault> {
    let mut faults = Faults::default();
    let old = read_media(before, &mut Faults::default());
    let new = read_media(after, &mut faults);
    if old.target != new.target {
        faults.add(0, "4.3.3.1", format!("EXT-X-TARGETDURATION changed from {:?} to {:?}", old.target, new.target));
    }
    if new.sequence < old.sequence {
        faults.add(0, "6.2.2", format!("EXT-X-MEDIA-SEQUENCE went back from {} to {}", old.sequence, new.sequence));
        return faults.0;
    }
    if old.ended && before != after {
        faults.add(0, "6.2.1", "the playlist changed after EXT-X-ENDLIST");
    }
    let removed = usize::try_from(new.sequence - old.sequence).unwrap_or(usize::MAX);
    let kept = old.segments.get(removed..).unwrap_or_default();
    for (was, is) in kept.iter().zip(&new.segments) {
        if was != is {
            faults.add(0, "6.2.1", format!("segment {} became {}", was.uri, is.uri));
        }
    }
    if kept.len() > new.segments.len() {
        faults.add(0, "6.2.2", format!("{} segments vanished from the end", kept.len() - new.segments.len()));
    }
    let gone = &old.segments[..removed.min(old.segments.len())];
    let discontinuities = gone.iter().filter(|segment| segment.discontinuity).count() as u64;
    let due = old.discontinuity_sequence.saturating_add(discontinuities);
    if removed <= old.segments.len() && new.discontinuity_sequence != due {
        let (was, is) = (old.discontinuity_sequence, new.discontinuity_sequence);
        faults.add(
            0,
            "6.2.2",
            format!("EXT-X-DISCONTINUITY-SEQUENCE went from {was} to {is} as {discontinuities} left"),
        );
    }
    let total: f64 = new.segments.iter().map(|segment| segment.duration).sum();
    if removed > 0 && !new.ended && total < 3.0 * new.target.unwrap_or(0) as f64 {
        faults.add(0, "6.2.2", format!("only {total:.3} s are listed: less than three target durations"));
    }
    faults.0
}

fn read_media(text: &str, faults: &mut Faults) -> Media {
    let mut media = Media::default();
    let tags = lines(text, faults, &MASTER_ONLY);
    let (mut duration, mut discontinuity, mut program_time) = (None, false, None);
    let (mut version, mut decimals) = (1, false);
    let mut uris = HashSet::new();
    for (line, item) in tags {
        let number = |faults: &mut Faults, value: &str| {
            value.parse::<u64>().unwrap_or_else(|_| {
                faults.add(line, "4.2", format!("{value:?} is not a decimal integer"));
                0
            })
        };
        match item {
            Line::Tag("EXT-X-VERSION", value) => version = number(faults, value),
            Line::Tag("EXT-X-TARGETDURATION", value) => media.target = Some(number(faults, value)),
            Line::Tag(name @ ("EXT-X-MEDIA-SEQUENCE" | "EXT-X-DISCONTINUITY-SEQUENCE"), value) => {
                if !media.segments.is_empty() || duration.is_some() || discontinuity {
                    faults.add(line, "4.3.3", format!("{name} comes after the first segment"));
                }
                let value = number(faults, value);
                *(if name == "EXT-X-MEDIA-SEQUENCE" {
                    &mut media.sequence
                } else {
                    &mut media.discontinuity_sequence
                }) = value;
            }
            Line::Tag("EXTINF", value) => {
                if duration.is_some() {
                    faults.add(line, "4.3.2.1", "two EXTINF for one segment");
                }
                let text = value.split_once(',').map_or(value, |(seconds, _)| seconds);
                if !value.contains(',') {
                    faults.add(line, "4.3.2.1", "EXTINF without a comma");
                }
                let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                let seconds = text.parse::<f64>().ok().filter(|_| plain);
                if seconds.is_none() {
                    faults.add(line, "4.3.2.1", format!("{text:?} is not a duration"));
                }
                decimals |= text.contains('.');
                duration = Some(seconds.unwrap_or(0.0));
            }
            Line::Tag("EXT-X-DISCONTINUITY", _) => discontinuity = true,
            Line::Tag("EXT-X-PROGRAM-DATE-TIME", value) => {
                program_time = date_ms(value);
                if program_time.is_none() {
                    faults.add(line, "4.3.2.6", format!("{value:?} is not a date with time and zone"));
                }
            }
            Line::Tag("EXT-X-ENDLIST", _) => media.ended = true,
            Line::Tag(..) => {}
            Line::Uri(uri) => {
                if duration.is_none() {
                    faults.add(line, "4.3.2.1", format!("segment {uri} has no EXTINF"));
                }
                if !uris.insert(uri) {
                    faults.add(line, "4.3.2", format!("segment {uri} is listed twice"));
                }
                let segment = Segment {
                    uri: uri.to_owned(),
                    duration: duration.take().unwrap_or(0.0),
                    discontinuity: std::mem::take(&mut discontinuity),
                    program_time: program_time.take(),
                };
                judge_segment(line, &segment, &media, faults);
                media.segments.push(segment);
            }
        }
    }
    if duration.is_some() {
        faults.add(0, "4.3.2.1", "the last EXTINF has no URI");
    }
    if media.target.is_none() {
        faults.add(0, "4.3.3.1", "EXT-X-TARGETDURATION is missing");
    }
    if decimals && version < 3 {
        faults.add(0, "7", format!("decimal durations need version 3, the playlist says {version}"));
    }
    media
}

fn judge_segment(line: usize, segment: &Segment, media: &Media, faults: &mut Faults) {
    if media.target.is_some_and(|target| segment.duration.round() > target as f64) {
        faults.add(line, "4.3.3.1", format!("{} s are more than the target duration", segment.duration));
    }
    let Some(last) = media.segments.last() else { return };
    if let (Some(was), Some(is)) = (last.program_time, segment.program_time) {
        let off = is - was - (last.duration * 1000.0).round() as i64;
        if is <= was {
            faults.add(line, "4.3.2.6", "program time does not grow");
        } else if !segment.discontinuity && off.abs() > TIME_TOLERANCE {
            faults.add(line, "4.3.2.6", format!("program time is {off} ms off without a discontinuity"));
        }
    }
}

/// Judges a master playlist.
pub fn master(text: &str) -> Vec<Fault> {
    let mut faults = Faults::default();
    let mut pending: Option<(usize, &str)> = None;
    let mut variants = 0;
    for (line, item) in lines(text, &mut faults, &MEDIA_ONLY) {
        match item {
            Line::Tag("EXT-X-STREAM-INF", value) => {
                if let Some((line, _)) = pending.replace((line, value)) {
                    faults.add(line, "4.3.4.2", "EXT-X-STREAM-INF without a URI on the next line");
                }
            }
            Line::Tag(..) => {
                if let Some((line, _)) = pending.take() {
                    faults.add(line, "4.3.4.2", "EXT-X-STREAM-INF without a URI on the next line");
                }
            }
            Line::Uri(uri) => match pending.take() {
                None => faults.add(line, "4.3.4.2", format!("{uri} has no EXT-X-STREAM-INF")),
                Some((line, value)) => {
                    variants += 1;
                    judge_variant(line, value, &mut faults);
                }
            },
        }
    }
    if pending.is_some() {
        faults.add(0, "4.3.4.2", "the last EXT-X-STREAM-INF has no URI");
    }
    if variants == 0 {
        faults.add(0, "4.3.4", "no variant");
    }
    faults.0
}

fn judge_variant(line: usize, value: &str, faults: &mut Faults) {
    let list = attributes(line, value, faults);
    let integer = |name: &str| list.get(name).map(|value| value.parse::<u64>());
    match (integer("BANDWIDTH"), integer("AVERAGE-BANDWIDTH")) {
        (None, _) => faults.add(line, "4.3.4.2", "BANDWIDTH is missing"),
        (Some(Ok(0) | Err(_)), _) | (_, Some(Err(_))) => {
            faults.add(line, "4.3.4.2", "a bandwidth is not a positive integer")
        }
        (Some(Ok(peak)), Some(Ok(average))) if average > peak => {
            faults.add(line, "4.3.4.2", format!("AVERAGE-BANDWIDTH {average} exceeds BANDWIDTH {peak}"));
        }
        _ => {}
    }
    let quoted = |value: &&&str| value.len() > 2 && value.starts_with('"') && value.ends_with('"');
    if list.get("CODECS").filter(quoted).is_none() {
        faults.add(line, "4.3.4.2", "CODECS is missing or not a quoted string");
    }
    let size =
        |value: &&str| value.split_once('x').is_some_and(|(w, h)| w.parse::<u32>().is_ok() && h.parse::<u32>().is_ok());
    if !list.get("RESOLUTION").is_some_and(size) {
        faults.add(line, "4.3.4.2", "RESOLUTION is missing or not WIDTHxHEIGHT");
    }
    let rate = |value: &&str| {
        value.parse::<f64>().is_ok_and(|rate| rate > 0.0) && value.split('.').nth(1).is_none_or(|d| d.len() <= 3)
    };
    if list.get("FRAME-RATE").is_some_and(|value| !rate(value)) {
        faults.add(line, "4.3.4.2", "FRAME-RATE is not a number with at most three decimals");
    }
}

/// An attribute list, section 4.2; commas inside quotes do not separate.
fn attributes<'a>(line: usize, mut rest: &'a str, faults: &mut Faults) -> BTreeMap<&'a str, &'a str> {
    let mut list = BTreeMap::new();
    while !rest.is_empty() {
        let Some((name, tail)) = rest.split_once('=') else {
            faults.add(line, "4.2", format!("{rest:?} is not NAME=VALUE"));
            break;
        };
        let end = match tail.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map_or(tail.len(), |end| end + 2),
            None => tail.find(',').unwrap_or(tail.len()),
        };
        let (value, after) = tail.split_at(end);
        if list.insert(name, value).is_some() {
            faults.add(line, "4.2", format!("attribute {name} is given twice"));
        }
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
            || value.is_empty()
        {
            faults.add(line, "4.2", format!("{name}={value} is not an attribute"));
        }
        rest = after.strip_prefix(',').unwrap_or(after);
        if !after.is_empty() && (!after.starts_with(',') || rest.is_empty()) {
            faults.add(line, "4.2", "attributes are not separated by single commas");
            break;
        }
    }
    list
}

enum Line<'a> {
    Tag(&'a str, &'a str),
    Uri(&'a str),
}

/// Tags and URIs with their line numbers, and what is wrong with the lines as such.
fn lines<'a>(text: &'a str, faults: &mut Faults, foreign: &[&str]) -> Vec<(usize, Line<'a>)> {
    if text.lines().next() != Some("#EXTM3U") {
        faults.add(1, "4.3.1.1", "the first line is not #EXTM3U");
    }
    if text.starts_with('\u{feff}') {
        faults.add(1, "4.1", "a byte order mark");
    }
    if !text.ends_with('\n') {
        faults.add(0, "4.1", "the last line is not terminated");
    }
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let at = index + 1;
        if line.chars().any(|c| c.is_control()) {
            faults.add(at, "4.1", "a control character");
        }
        if line != line.trim() {
            faults.add(at, "4.1", "white space around a line");
        }
        if let Some(tag) = line.strip_prefix("#EXT") {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            let name = &line[1..4 + name.len()];
            if ONCE.contains(&name) && !seen.insert(name) {
                faults.add(at, "4.3", format!("{name} appears twice"));
            }
            if foreign.contains(&name) {
                faults.add(at, "4.1", format!("{name} belongs to the other kind of playlist"));
            }
            items.push((at, Line::Tag(name, value)));
        } else if !line.starts_with('#') && !line.is_empty() {
            if line.contains([' ', '"', '<', '>', '\\']) {
                faults.add(at, "4.1", format!("{line:?} is not a URI"));
            }
            items.push((at, Line::Uri(line)));
        }
    }
    items
}

/// Milliseconds since 1970 of `YYYY-MM-DDThh:mm:ss[.sss](Z|+hh:mm)`.
fn date_ms(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| text.as_bytes().get(*at) != Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let millis = match fraction.strip_prefix('.') {
        Some(digits) => (format!("0.{digits}").parse::<f64>().ok()? * 1000.0).round() as i64,
        None if fraction.is_empty() => 0,
        None => return None,
    };
    let offset = match zone.split_at(1) {
        ("Z", "") => 0,
        (sign, clock) => {
            let (h, m) = clock.split_once(':')?;
            let minutes = h.parse::<i64>().ok()? * 60 + m.parse::<i64>().ok()?;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    // Days since 1970 by counting leap years before this one, then months.
    let before = year - 1;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let months = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month_days = months.get(usize::try_from(month - 1).ok()?)? + i64::from(leap && month > 2);
    let days = before * 365 + before / 4 - before / 100 + before / 400 - 719_162 + month_days + day - 1;
    Some((((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000 + millis)
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
