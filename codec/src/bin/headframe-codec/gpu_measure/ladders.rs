//! Ladders at once, as fast as they go, and what each costs: processor time, bytes over the link, memory of the card.

use std::num::NonZeroU64;

use headframe_codec::engine::nvidia::{Card, Tally};
use headframe_codec::nvidia::Traffic;
use serde::Serialize;

use super::watch::{Watched, watched};
use super::{Bench, say};
use crate::streams::{self, process_seconds};

/// Who encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    Card,
    /// What the card decoded and scaled.
    Processors,
}

/// A link that is simulated.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Link {
    bytes_per_s: NonZeroU64,
}

impl Link {
    pub(super) fn new(bytes_per_s: NonZeroU64) -> Self {
        Self { bytes_per_s }
    }
}

/// What so many streams came to. Processor time and bytes are also told for one second of one ladder's video, which is for
/// each second of a live ladder.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) who: Who,
    /// Simulated; none: the machine's own.
    pub(super) link: Option<Link>,
    pub(super) streams: usize,
    wall_s: f64,
    video_s: f64,
    pictures: u64,
    /// Seconds of video for each second.
    ladders: f64,
    pictures_per_s: f64,
    /// Of the process, without encoding in software.
    cpu_s_per_video_s: f64,
    software_encoding_s_per_video_s: f64,
    traffic: Traffic,
    to_card_bytes_per_video_s: f64,
    to_host_bytes_per_video_s: f64,
    #[serde(flatten)]
    watched: Watched,
    made: Tally,
    #[serde(skip)]
    pub(super) problems: Vec<String>,
}

impl Run {
    pub(super) fn ladders(&self) -> f64 {
        self.ladders
    }
}

/// A card that nobody used yet.
pub(super) fn card(bench: &Bench<'_>, who: Who) -> Card {
    match who {
        Who::Card => Card::new(bench.device.clone()),
        Who::Processors => Card::new(bench.device.clone()).leave_encoding(),
    }
}

pub(super) fn run(bench: &Bench<'_>, who: Who, link: Option<Link>, streams: usize) -> Result<Run, String> {
    let encoder = if who == Who::Card { "the card" } else { "the processors" };
    let simulated = if link.is_some() { ", over a simulated link" } else { "" };
    say(&format!("{streams} ladders at once, {encoder} encoding{simulated}"));
    let card = card(bench, who);
    bench.device.simulate_link(link.map(|link| link.bytes_per_s));
    let (cpu, traffic) = (process_seconds(), bench.device.traffic());
    let make = |segment: &[u8]| bench.transcode(&card, segment);
    let work = || streams::run(streams, bench.length(), &bench.segments, &make);
    let done = watched(bench, bench.length(), work);
    bench.device.simulate_link(None);
    let (done, watched) = done?;
    let (cpu, video) = (process_seconds() - cpu, done.video_s().max(0.001));
    let encoding = card.software_encoding().as_secs_f64();
    let now = bench.device.traffic();
    let traffic = Traffic { to_card: now.to_card - traffic.to_card, to_host: now.to_host - traffic.to_host };
    Ok(Run {
        who,
        link,
        streams,
        wall_s: done.wall_s,
        video_s: done.video_s(),
        pictures: done.pictures,
        ladders: done.video_s() / done.wall_s,
        pictures_per_s: done.pictures as f64 / done.wall_s,
        cpu_s_per_video_s: (cpu - encoding).max(0.0) / video,
        software_encoding_s_per_video_s: encoding / video,
        traffic,
        to_card_bytes_per_video_s: traffic.to_card as f64 / video,
        to_host_bytes_per_video_s: traffic.to_host as f64 / video,
        watched,
        made: card.tally(),
        problems: done.errors.iter().map(|error| format!("{streams} streams: {error}")).collect(),
    })
}
