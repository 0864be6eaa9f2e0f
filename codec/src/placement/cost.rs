//! What a stream takes of a card, and how that is learned. Figures to begin with are those published of the card's
//! generation ([`super::generation`]); every card corrects those of encoding, scaling and memory by what it really
//! does. No clock of the driver shows what decoding takes of an engine, so those of decoding are corrected once, by what
//! the card decodes of H.264 when its worker starts: by one factor for all codecs, which keep the published ratio.

#[cfg(test)]
mod model;

use std::time::Duration;

use super::Equipment;
use super::generation::{Generation, Index as _};
use crate::admission::{self, blend};
use crate::ladder::{Codec, Ladder, Preset};

/// Luma samples of 1080p.
const HD: f64 = 1920.0 * 1080.0;
/// Small pictures fill an engine less well: 0.7 to 0.85 of its rate.
const SMALL: f64 = 0.8;
/// Seconds for scaling one 1080p picture to the standard ladder: 5.6 MB at 60 % of the 192 GB/s of a GTX 1060.
const SCALE: f64 = 48e-6;
/// How much more than planned scaling may be found to take: a quarter of the memory's bandwidth of the slowest card.
const SLOWEST: f64 = 4.0;
/// Bytes of one sample in the card's memory, 8 bits 4:2:0.
const SAMPLE_BYTES: f64 = 1.5;
/// Pictures that a decoder holds.
const DECODED: f64 = 20.0;
/// Memory of a process with its context and its sessions, bytes: 300 MB and two sessions of 150 MB.
const FIXED_BYTES: f64 = 600e6;
/// How far measured memory may be from the estimate to be believed.
const MEMORY_RANGE: (f64, f64) = (0.25, 4.0);
/// How much less or more than published decoding may be found to take. It is measured for a moment, when a worker
/// starts: another program may have the decoders then, and until the next start, in months maybe, nothing corrects it.
const DECODE_RANGE: (f64, f64) = (0.5, 2.0);

/// A source as its stream was announced or last seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Source {
    /// How pictures are coded.
    pub codec: Codec,
    /// Luma samples per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pictures per second.
    pub fps: f64,
    /// Playing time of a segment.
    pub segment: Duration,
}

#[derive(Debug, Clone, PartialEq)]
struct Rung {
    codec: Codec,
    preset: Preset,
    /// Luma samples per second, and how much harder they are for a processor than those of H.264 with the `live` preset.
    samples: f64,
    effort: f64,
}

/// What a stream asks of a machine for every second that it plays.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    codec: Codec,
    /// Luma samples per second and per picture of the source.
    samples: f64,
    picture: f64,
    segment: f64,
    rungs: Vec<Rung>,
}

impl Demand {
    /// Of `source` as `ladder`.
    pub fn new(source: &Source, ladder: &Ladder) -> Self {
        let picture = f64::from(source.width) * f64::from(source.height);
        let rungs = ladder.renditions().iter().map(|rendition| Rung {
            codec: rendition.codec,
            preset: rendition.preset,
            samples: admission::samples(rendition, source.fps),
            effort: admission::effort(rendition),
        });
        Self {
            codec: source.codec,
            samples: picture * source.fps,
            picture,
            segment: source.segment.as_secs_f64(),
            rungs: rungs.collect(),
        }
    }

    fn output(&self) -> f64 {
        self.rungs.iter().map(|rung| rung.samples).sum()
    }

    /// Samples of H.264 with the `live` preset that are as much work for processors, where no card encodes.
    pub(super) fn processor_samples(&self) -> f64 {
        self.rungs.iter().map(|rung| rung.samples * rung.effort).sum()
    }

    /// Bytes per second that its pictures are when they leave a card to be encoded.
    pub(super) fn raw_bytes(&self) -> f64 {
        self.output() * SAMPLE_BYTES
    }
}

/// What streams take of a card: engine seconds for each second, and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    pub(super) decode: f64,
    pub(super) scale: f64,
    pub(super) encode: f64,
    pub(super) memory: f64,
    pub(super) link: f64,
}

impl Load {
    pub(super) fn add(&mut self, other: &Self) {
        self.decode += other.decode;
        self.scale += other.scale;
        self.encode += other.encode;
        self.memory += other.memory;
        self.link += other.link;
    }
}

/// What a card needs for a luma sample, seconds of one of its engines.
#[derive(Debug, Clone)]
pub(super) struct Costs {
    decode: [f64; 3],
    scale: f64,
    encode: [[f64; 3]; 3],
    /// Memory used over memory expected.
    memory: f64,
}

impl Costs {
    /// Those to begin with.
    pub(super) fn new(generation: Generation) -> Self {
        let presets = [Preset::Density, Preset::Live, Preset::Quality];
        let codecs = [Codec::H264, Codec::Hevc, Codec::Av1];
        let encode =
            codecs.map(|codec| presets.map(|preset| 1.0 / (generation.encode(codec, preset).fps() * HD * SMALL)));
        Self { decode: published(generation), scale: SCALE / HD, encode, memory: 1.0 }
    }

    /// What was measured of the card's decode engines, or that nothing was; what was measured before counts no more.
    pub(super) fn decodes(&mut self, have: &Equipment) {
        let factor = decode_factor(have.generation, have.decoders, have.decode_samples);
        self.decode = published(have.generation).map(|cost| cost * factor);
    }

    /// What `demand` takes; `here` says whether the card encodes too.
    pub(super) fn load(&self, demand: &Demand, here: bool) -> Load {
        let encode = |rung: &Rung| rung.samples * self.encode[rung.codec.index()][rung.preset.index()];
        // The rungs of one segment wait in the card's memory until each has had its session.
        let memory = (DECODED * demand.picture + demand.output() * demand.segment) * SAMPLE_BYTES;
        Load {
            decode: demand.samples * self.decode[demand.codec.index()],
            scale: demand.samples * self.scale,
            encode: if here { demand.rungs.iter().map(encode).sum() } else { 0.0 },
            memory: memory * self.memory,
            link: if here { 0.0 } else { demand.raw_bytes() },
        }
    }

    /// Bytes taken whatever the streams.
    pub(super) fn fixed_bytes(&self) -> f64 {
        FIXED_BYTES * self.memory
    }

    pub(super) fn encode_time(&self, of: Codec, effort: Preset, samples: f64) -> f64 {
        samples * self.encode[of.index()][effort.index()]
    }

    pub(super) fn scale_time(&self, samples: f64) -> f64 {
        samples * self.scale
    }

    /// Where other programs have the card, or its worker does not tell the truth, it is not believed beyond [`SLOWEST`].
    pub(super) fn scaled(&mut self, samples: f64, took: Duration) {
        let most = samples * SCALE / HD * SLOWEST;
        learn(&mut self.scale, samples, took.min(Duration::try_from_secs_f64(most).unwrap_or(Duration::MAX)));
    }

    pub(super) fn encoded(&mut self, of: Codec, effort: Preset, samples: f64, took: Duration) {
        learn(&mut self.encode[of.index()][effort.index()], samples, took);
    }

    pub(super) fn used(&mut self, bytes: f64, expected: f64) {
        if expected > 0.0 && bytes > 0.0 {
            // What was expected holds the last correction already.
            let ratio = (bytes / expected * self.memory).clamp(MEMORY_RANGE.0, MEMORY_RANGE.1);
            blend(&mut self.memory, ratio);
        }
    }
}

/// Seconds of a decode engine for a luma sample of H.264, HEVC and AV1.
fn published(generation: Generation) -> [f64; 3] {
    [Codec::H264, Codec::Hevc, Codec::Av1].map(|codec| 1.0 / (generation.decode(codec).fps() * HD))
}

/// How much more than published decoding takes, where so many engines decode so many samples of H.264 a second.
fn decode_factor(generation: Generation, engines: u32, measured: u64) -> f64 {
    if measured == 0 {
        return 1.0;
    }
    let published = generation.decode(Codec::H264).fps() * HD * f64::from(engines);
    (published / measured as f64).clamp(DECODE_RANGE.0, DECODE_RANGE.1)
}

/// Corrects the seconds known for a sample.
pub(super) fn learn(known: &mut f64, samples: f64, took: Duration) {
    if samples >= 1.0 && !took.is_zero() {
        blend(known, took.as_secs_f64() / samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Demand {
        coded_in(Codec::H264)
    }

    fn coded_in(codec: Codec) -> Demand {
        let segment = Duration::from_secs(2);
        Demand::new(&Source { codec, width: 1920, height: 1080, fps: 30.0, segment }, &Ladder::standard())
    }

    /// A card of the generation, with so many decode engines of which so many 1080p pictures a second were measured.
    fn measured(generation: Generation, decoders: u32, pictures: u64) -> Equipment {
        let decode_samples = pictures * 1920 * 1080;
        Equipment { generation, decoders, encoders: 1, memory_bytes: 8 << 30, link_bytes: 200_000_000, decode_samples }
    }

    #[test]
    fn the_standard_ladder_is_what_the_model_says() {
        let load = Costs::new(Generation::Unknown).load(&usual(), true);
        // 30 of 750 pictures; 0.8 of a 1080p30 of 525 times 0.8.
        assert!((load.decode - 0.04).abs() < 1e-6 && (load.encode - 0.0574).abs() < 1e-3, "{load:?}");
        assert!((load.memory - 212e6).abs() < 2e6 && load.link == 0.0, "{load:?}");
        assert!((usual().raw_bytes() - 75e6).abs() < 1e6 && (usual().processor_samples() - 50e6).abs() < 1e6);
        let apart = Costs::new(Generation::Unknown).load(&usual(), false);
        assert_eq!((apart.encode, apart.link), (0.0, usual().raw_bytes()));
    }

    #[test]
    fn each_generation_begins_with_its_own_figures() {
        let load = |generation| Costs::new(generation).load(&usual(), true);
        let (old, new) = (load(Generation::Pascal), load(Generation::Blackwell));
        // 30 of 694 and of 2172 pictures; 0.8 of 30 of 359 and of 438 times 0.8.
        assert!((old.decode - 0.0432).abs() < 1e-4 && (new.decode - 0.0138).abs() < 1e-4, "{old:?} {new:?}");
        assert!((old.encode - 0.0839).abs() < 1e-3 && (new.encode - 0.0688).abs() < 1e-3, "{old:?} {new:?}");
    }

    #[test]
    fn decoding_takes_as_much_more_than_published_as_was_measured() {
        let factor = |engines, pictures: u64| decode_factor(Generation::Ampere, engines, pictures * 1920 * 1080);
        assert_eq!((factor(1, 748), factor(5, 5 * 748)), (1.0, 1.0), "as published");
        assert!((factor(1, 935) - 0.8).abs() < 1e-9 && (factor(2, 935) - 1.6).abs() < 1e-9);
        // Engines that others had, or a worker that does not tell the truth.
        assert_eq!((factor(1, 1), factor(1, 100_000)), (2.0, 0.5));
        assert_eq!([1, u64::MAX].map(|samples| decode_factor(Generation::Ampere, 1, samples)), [2.0, 0.5]);
        assert_eq!((factor(1, 0), factor(0, 0)), (1.0, 1.0), "not measured");
    }

    #[test]
    fn codecs_keep_the_ratio_that_is_published_and_the_newest_measurement_counts() {
        let mut costs = Costs::new(Generation::Ampere);
        let decode = |costs: &Costs, codec| costs.load(&coded_in(codec), true).decode;
        // 30 of 748, 1415 and 790 pictures.
        let published = Codec::ALL.map(|codec| decode(&costs, codec));
        for (found, due) in published.iter().zip([0.04011, 0.02120, 0.03797]) {
            assert!((found - due).abs() < 1e-5, "{found} {due}");
        }
        for (decoders, pictures, factor) in [(1, 935, 0.8), (2, 935, 1.6), (1, 200, 2.0), (1, 0, 1.0)] {
            costs.decodes(&measured(Generation::Ampere, decoders, pictures));
            for (codec, published) in Codec::ALL.into_iter().zip(published) {
                let found = decode(&costs, codec);
                assert!((found / published - factor).abs() < 1e-9, "{codec:?}: {found} {published}");
            }
        }
    }

    #[test]
    fn what_is_measured_replaces_the_guess() {
        let mut costs = Costs::new(Generation::Unknown);
        for _ in 0..100 {
            costs.encoded(Codec::H264, Preset::Live, HD, Duration::from_millis(4));
            costs.scaled(HD, Duration::from_micros(10));
            let expected = costs.load(&usual(), true).memory;
            costs.used(424e6, expected);
        }
        let load = costs.load(&usual(), true);
        assert!((load.decode - 0.04).abs() < 1e-6 && (load.scale - 3e-4).abs() < 1e-5, "{load:?}");
        assert!((load.encode - 0.0963).abs() < 1e-3 && (load.memory - 424e6).abs() < 5e6, "{load:?}");
        // Nothing done, nothing learned.
        costs.scaled(0.0, Duration::from_secs(1));
        costs.encoded(Codec::H264, Preset::Live, HD, Duration::ZERO);
        assert_eq!(costs.load(&usual(), true), load);
        // A card that seems to stand still is not taken for that slow.
        (0..100).for_each(|_| costs.scaled(HD, Duration::from_secs(1)));
        assert!((costs.scale_time(HD) - 4.0 * SCALE).abs() < 1e-7, "{costs:?}");
    }
}
