//! The list of one stream: what is shown, what waits, what is on its way out. No disk and no clock: `now` is an argument.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Publication, Settings, StreamStatus, Variant, millis};
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::id::StreamId;
use crate::ingest::Resume;
use crate::playlist::hls::{MasterPlaylist, MediaPlaylist, MediaSegment, VariantStream, rounded_seconds};

const TICKS_PER_MS: Ticks = TICKS_PER_SECOND / 1000;
/// A step in time between two segments of more than this is a discontinuity even if nobody said so.
const MAX_STEP: Ticks = TICKS_PER_SECOND / 4;
/// Shorter segments say nothing about the bit rate: a single key frame would look like tens of megabits.
const MIN_MEASURED: Ticks = TICKS_PER_SECOND;
/// Segments after which the measured bit rate replaces the declared one.
const MEASURED_AFTER: u64 = 3;
/// The rendition that players begin with is the best one up to this rate, which most phones' networks carry.
const FIRST_VARIANT: u64 = 2_000_000;
/// Announced losses kept in mind at a time.
const MAX_SKIPPED: usize = 1024;

/// A file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileInfo {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// A segment in all its renditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) number: u64,
    first_pts: Ticks,
    duration: Ticks,
    discontinuity: bool,
    /// Program time: as captured until the entry is listed, then as the stream's timeline says.
    time_ms: i64,
    /// When it arrived.
    at_ms: i64,
    /// From the end of what it shows to its listing.
    #[serde(default)]
    delay_ms: i64,
    pub(super) files: BTreeMap<String, FileInfo>,
}

impl Entry {
    pub(super) fn new(segment: &Publication, files: BTreeMap<String, FileInfo>, now_ms: i64) -> Self {
        let time_ms = segment.captured_at.map_or(now_ms - segment.duration / TICKS_PER_MS, millis);
        let &Publication { number, first_pts, duration, discontinuity, .. } = segment;
        Self { number, first_pts, duration, discontinuity, time_ms, at_ms: now_ms, delay_ms: 0, files }
    }

    fn end(&self) -> Ticks {
        self.first_pts + self.duration
    }

    fn end_ms(&self) -> i64 {
        self.time_ms + self.duration / TICKS_PER_MS
    }
}

/// What a variant's segments have shown so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Rate {
    peak_bps: u64,
    bytes: u64,
    ticks: Ticks,
    segments: u64,
}

/// Why a number cannot be published.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Late {
    Passed { expected: u64 },
    Duplicate,
}

/// Numbers of segments and the renditions whose files are to be removed.
pub(super) type Doomed = Vec<(u64, Vec<String>)>;

/// The state of a stream, as it is kept on disk too.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Window {
    pub(super) variants: Vec<Variant>,
    /// Number of the source segment that is listed next.
    pub(super) next_number: u64,
    /// Whole seconds; 0 until the first segment is listed.
    target_duration: u32,
    /// Media sequence number of the next segment: source numbers have gaps, these must not.
    next_sequence: u64,
    discontinuities_gone: u64,
    pub(super) listed: VecDeque<Entry>,
    gone: VecDeque<Entry>,
    held: BTreeMap<u64, Entry>,
    skipped: BTreeSet<u64>,
    /// The next segment does not follow the last one.
    torn: bool,
    /// A point of the timeline and its program time in milliseconds.
    anchor: Option<(Ticks, i64)>,
    pub(super) ended_ms: Option<i64>,
    gaps: u64,
    rates: BTreeMap<String, Rate>,
    /// Numbers whose files are being written.
    #[serde(skip)]
    writing: BTreeSet<u64>,
}

impl Window {
    /// Takes new variants; gives what must be deleted because its renditions exist no longer.
    pub(super) fn declare(&mut self, variants: Vec<Variant>) -> Doomed {
        self.ended_ms = None;
        let names = |variants: &[Variant]| variants.iter().map(|variant| variant.name.clone()).collect::<BTreeSet<_>>();
        let decoder = |variants: &[Variant]| {
            let mut list: Vec<_> =
                variants.iter().map(|v| (v.name.clone(), v.codecs.clone(), v.width, v.height)).collect();
            list.sort();
            list
        };
        let mut doomed = Vec::new();
        if decoder(&self.variants) != decoder(&variants) {
            self.torn = self.next_sequence > 0;
            self.rates.clear();
            if names(&self.variants) != names(&variants) {
                self.discontinuities_gone += self.listed.iter().filter(|entry| entry.discontinuity).count() as u64;
                let held = std::mem::take(&mut self.held).into_values();
                doomed = self.gone.drain(..).chain(self.listed.drain(..)).chain(held).map(doom).collect();
                self.writing.clear();
            }
        }
        self.variants = variants;
        doomed
    }

    /// Reserves a number while its files are written.
    pub(super) fn begin(&mut self, number: u64) -> Result<(), Late> {
        if number < self.next_number || self.ended_ms.is_some() {
            return Err(Late::Passed { expected: self.next_number });
        }
        if self.held.contains_key(&number) || !self.writing.insert(number) {
            return Err(Late::Duplicate);
        }
        Ok(())
    }

    /// The files could not be written.
    pub(super) fn abandon(&mut self, number: u64) {
        self.writing.remove(&number);
    }

    /// The files are there. False when the reservation has lapsed and they must be deleted.
    #[must_use]
    pub(super) fn arrive(&mut self, entry: Entry) -> bool {
        let wanted = self.writing.remove(&entry.number) && entry.number >= self.next_number && self.ended_ms.is_none();
        if wanted {
            self.held.insert(entry.number, entry);
        }
        wanted
    }

    /// The segment will never come.
    pub(super) fn skip(&mut self, number: u64) {
        if number >= self.next_number && self.skipped.len() < MAX_SKIPPED && !self.held.contains_key(&number) {
            self.skipped.insert(number);
        }
    }

    /// No segment before `number` will come.
    pub(super) fn expect(&mut self, number: u64) {
        let number = self.held.first_key_value().map_or(number, |(first, _)| number.min(*first));
        if number > self.next_number {
            self.pass(number);
        }
    }

    /// Lists what can be listed, and gives up gaps that have been waited for long enough.
    pub(super) fn advance(&mut self, settings: &Settings, now_ms: i64) {
        loop {
            if let Some(entry) = self.held.remove(&self.next_number) {
                self.list(entry, settings, now_ms);
            } else if self.skipped.remove(&self.next_number) {
                self.pass(self.next_number + 1);
            } else if let Some((&first, _)) = self.held.first_key_value() {
                let waiting_since = self.held.values().map(|entry| entry.at_ms).min().unwrap_or(now_ms);
                let waited = u128::try_from(now_ms - waiting_since).unwrap_or(0);
                if self.held.len() <= settings.max_held && waited < settings.gap_wait.as_millis() {
                    return;
                }
                warn!(missing = self.next_number, next = first, "a segment never came; going on with a discontinuity");
                self.pass(first);
            } else {
                return;
            }
        }
    }

    /// Gives up everything before `number`.
    fn pass(&mut self, number: u64) {
        if self.next_sequence > 0 {
            self.gaps += number - self.next_number;
            self.torn = true;
        }
        self.next_number = number;
        self.skipped = self.skipped.split_off(&number);
    }

    fn list(&mut self, mut entry: Entry, settings: &Settings, now_ms: i64) {
        let last = self.listed.back();
        let torn = std::mem::take(&mut self.torn) || entry.discontinuity;
        let jumped = last.is_some_and(|last| (entry.first_pts - last.end()).abs() > MAX_STEP);
        entry.discontinuity = (torn || jumped) && self.next_sequence > 0;
        let rounded = rounded_seconds(entry.duration);
        if self.target_duration == 0 {
            self.target_duration = rounded.max(settings.target_duration).max(1);
        } else if rounded > self.target_duration {
            // The standard forbids it and refusing the segment would help nobody; players cope with a longer one.
            let (number, was) = (entry.number, self.target_duration);
            warn!(number, seconds = rounded, was, "a segment is longer than the target duration, which has to grow");
            self.target_duration = rounded;
        }
        // By the clock that captured it: program time does not know of the pauses between two publishers.
        entry.delay_ms = (now_ms - entry.end_ms()).max(0);
        if self.anchor.is_none() || entry.discontinuity {
            // Program time never runs backwards, whatever the wall clock does.
            let not_before = last.map_or(i64::MIN, Entry::end_ms);
            self.anchor = Some((entry.first_pts, entry.time_ms.max(not_before)));
        }
        if let Some((pts, time)) = self.anchor {
            entry.time_ms = time + (entry.first_pts - pts) / TICKS_PER_MS;
        }
        for (name, file) in entry.files.iter().filter(|_| entry.duration >= MIN_MEASURED) {
            let rate = self.rates.entry(name.clone()).or_default();
            rate.peak_bps = rate.peak_bps.max(bits_per_second(file.bytes, entry.duration));
            rate.bytes += file.bytes;
            rate.ticks += entry.duration;
            rate.segments += 1;
        }
        self.next_number = entry.number + 1;
        self.next_sequence += 1;
        self.listed.push_back(entry);
    }

    /// Moves the window; gives what must be deleted.
    pub(super) fn expire(&mut self, settings: &Settings) -> Doomed {
        // RFC 8216 section 6.2.2: three target durations stay listed, and what leaves stays fetchable for as long again.
        let enough = 3 * Ticks::from(self.target_duration) * TICKS_PER_SECOND;
        let mut total: Ticks = self.listed.iter().map(|entry| entry.duration).sum();
        let window = settings.window.max(3);
        while self.ended_ms.is_none()
            && self.listed.len() > window
            && let Some(first) = self.listed.front()
            && (total - first.duration >= enough || self.listed.len() > 8 * window)
            && let Some(first) = self.listed.pop_front()
        {
            total -= first.duration;
            self.discontinuities_gone += u64::from(first.discontinuity);
            self.gone.push_back(first);
        }
        let keep = window.max(self.listed.len());
        let excess = self.gone.len().saturating_sub(keep);
        self.gone.drain(..excess).map(doom).collect()
    }

    /// Lists what waits and ends the stream.
    pub(super) fn end(&mut self, settings: &Settings, now_ms: i64) {
        while let Some((&first, _)) = self.held.first_key_value() {
            if first > self.next_number {
                self.pass(first);
            }
            self.advance(settings, now_ms);
        }
        self.close(now_ms);
    }

    /// Takes nothing any more; files being written will be removed by whoever writes them.
    pub(super) fn close(&mut self, now_ms: i64) {
        self.writing.clear();
        self.ended_ms.get_or_insert(now_ms);
    }

    pub(super) fn file(&self, rendition: &str, number: u64) -> Option<&FileInfo> {
        self.listed
            .iter()
            .rev()
            .chain(self.gone.iter().rev())
            .find(|entry| entry.number == number)?
            .files
            .get(rendition)
    }

    pub(super) fn resume(&self) -> Option<Resume> {
        let last = self.held.values().next_back().or(self.listed.back())?;
        Some(Resume { number: self.next_number.max(last.number + 1), pts: last.end() })
    }

    pub(super) fn media(&self) -> MediaPlaylist {
        let segment = |entry: &Entry| MediaSegment {
            uri: format!("{}.ts", entry.number),
            duration: entry.duration,
            discontinuity: entry.discontinuity,
            program_time_ms: entry.time_ms,
        };
        MediaPlaylist {
            target_duration: self.target_duration,
            media_sequence: self.next_sequence - self.listed.len() as u64,
            discontinuity_sequence: self.discontinuities_gone,
            segments: self.listed.iter().map(segment).collect(),
            ended: self.ended_ms.is_some(),
        }
    }

    pub(super) fn master(&self) -> MasterPlaylist {
        let variant = |variant: &Variant| {
            let rate = self.rates.get(&variant.name).cloned().unwrap_or_default();
            let declared = if rate.segments < MEASURED_AFTER { variant.bitrate } else { 1 };
            let average = if rate.ticks > 0 { bits_per_second(rate.bytes, rate.ticks) } else { variant.bitrate };
            VariantStream {
                uri: format!("{}/index.m3u8", variant.name),
                bandwidth: rate.peak_bps.max(declared),
                average_bandwidth: average.max(1),
                codecs: variant.codecs.clone(),
                resolution: (variant.width, variant.height),
                frame_rate: variant.fps,
            }
        };
        let mut variants: Vec<_> = self.variants.iter().map(variant).collect();
        variants.sort_by_key(|variant| variant.bandwidth);
        let first = variants.iter().rposition(|variant| variant.bandwidth <= FIRST_VARIANT).unwrap_or(0);
        variants[..=first].rotate_right(1);
        MasterPlaylist { variants }
    }

    pub(super) fn status(&self, id: &StreamId) -> StreamStatus {
        let all = || self.listed.iter().chain(&self.gone).chain(self.held.values());
        StreamStatus {
            id: id.clone(),
            ready: !self.listed.is_empty(),
            ended: self.ended_ms.is_some(),
            variants: self.variants.clone(),
            segments: self.listed.len(),
            held: self.held.len(),
            next_number: self.next_number,
            bytes: all().flat_map(|entry| entry.files.values()).map(|file| file.bytes).sum(),
            gaps: self.gaps,
            delay_ms: self.listed.back().map_or(0, |last| last.delay_ms),
        }
    }

    /// All files that should exist, as (number, rendition, length).
    pub(super) fn files(&self) -> impl Iterator<Item = (u64, &str, u64)> {
        let all = self.gone.iter().chain(&self.listed).chain(self.held.values());
        all.flat_map(|entry| entry.files.iter().map(|(name, file)| (entry.number, name.as_str(), file.bytes)))
    }

    /// After a restart: drops entries of which a file is not as it should be, and those before them, so that no hole is
    /// listed.
    pub(super) fn keep_intact(&mut self, intact: impl Fn(&Entry) -> bool) {
        self.held.retain(|_, entry| intact(entry));
        if let Some(bad) = self.listed.iter().rposition(|entry| !intact(entry)) {
            self.gone.clear();
            let dropped = self.listed.drain(..=bad);
            self.discontinuities_gone += dropped.filter(|entry| entry.discontinuity).count() as u64;
            self.torn |= self.listed.is_empty();
        }
        self.gone.retain(|entry| intact(entry));
    }
}

fn doom(entry: Entry) -> (u64, Vec<String>) {
    (entry.number, entry.files.into_keys().collect())
}

fn bits_per_second(bytes: u64, ticks: Ticks) -> u64 {
    let bits = u128::from(bytes) * 8 * TICKS_PER_SECOND.unsigned_abs() as u128;
    u64::try_from(bits.div_ceil(u128::from(ticks.max(1).unsigned_abs()))).unwrap_or(u64::MAX)
}
