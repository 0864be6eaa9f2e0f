//! What to make of a source: up to ten renditions, checked once, so that nobody downstream checks again.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most renditions of one ladder.
pub const MAX_RENDITIONS: usize = 10;

/// What is wrong with a ladder.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LadderError {
    /// No or too many renditions.
    #[error("a ladder has 1 to {MAX_RENDITIONS} renditions, not {have}")]
    Count {
        /// Renditions given.
        have: usize,
    },
    /// A name that cannot be part of a URL or path.
    #[error("rendition name {name:?} must be 1 to 32 of a-z, 0-9, '-' and '_'")]
    Name {
        /// The name given.
        name: String,
    },
    /// Two renditions of one name.
    #[error("two renditions are named {name}")]
    Twice {
        /// The name.
        name: String,
    },
    /// A value out of range.
    #[error("rendition {name}: {what} is {have}, must be {want}")]
    Value {
        /// The rendition.
        name: String,
        /// The field.
        what: &'static str,
        /// Its value.
        have: String,
        /// What is allowed.
        want: &'static str,
    },
}

/// Pictures per second, a ratio: `30000/1001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fps {
    /// Pictures.
    pub num: u32,
    /// Seconds.
    pub den: u32,
}

impl fmt::Display for Fps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

impl FromStr for Fps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a frame rate; write 30 or 30000/1001");
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        let (num, den) = (num.trim().parse().map_err(|_| bad())?, den.trim().parse().map_err(|_| bad())?);
        if num == 0 || den == 0 {
            return Err(bad());
        }
        Ok(Self { num, den })
    }
}

impl TryFrom<String> for Fps {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fps> for String {
    fn from(fps: Fps) -> Self {
        fps.to_string()
    }
}

/// How much work goes into a rendition. Measured points on the frontier of speed and quality; figures in
/// `bench/results/README.md`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The most streams for each core.
    Density,
    /// For live streams: as good as x264's `veryfast` for about two thirds of its time.
    #[default]
    Live,
    /// About 1 dB better than `live`, for four times its time: few viewers far away, or dear bandwidth.
    Quality,
}

impl Preset {
    /// The name used in ladders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Density => "density",
            Self::Live => "live",
            Self::Quality => "quality",
        }
    }
}

/// How pictures are coded. A machine makes what its FFmpeg has an encoder for (`headframe-codec codecs` lists it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// ITU-T H.264, High profile, by libx264: what every player knows.
    #[default]
    H264,
    /// ITU-T H.265, Main profile, by libx265. Sizes from 64 up.
    Hevc,
    /// AV1, Main profile, by SVT-AV1: fewest bits. Sizes from 64 up; not in MPEG-TS, for which no mapping is agreed.
    Av1,
}

impl Codec {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// All there are.
    pub const ALL: [Self; 3] = [Self::H264, Self::Hevc, Self::Av1];

    /// The name used in ladders.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
        }
    }

    /// FFmpeg's name of the encoder that makes it.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::Hevc => "libx265",
            Self::Av1 => "libsvtav1",
        }
    }
}

/// What a rendition is wrapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// MPEG transport stream: every segment stands alone.
    #[default]
    Mpegts,
    /// Fragmented MP4 as CMAF has it: an initialisation segment that is the same all along, and segments of chunks.
    Cmaf,
}

impl Container {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The name used in ladders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mpegts => "mpegts",
            Self::Cmaf => "cmaf",
        }
    }
}

/// What the bit rate means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rate {
    /// Mean over some segments, and most over a buffer of one second: easy segments take less, hard ones more. The
    /// quality that fits is learned from segment to segment ([`crate::Pace`]).
    #[default]
    Capped,
    /// Mean and most of every segment by itself, as constant as the encoder makes it. Not for AV1: over one segment SVT-AV1
    /// is off by up to a third.
    Cbr,
    /// Constant quality, 1 (best) to 51, as the CRF of x264 or x265 counts it; for AV1 stretched to SVT-AV1's 63. The bit
    /// rate is only the most over one second.
    Quality(u8),
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capped => f.write_str("capped"),
            Self::Cbr => f.write_str("cbr"),
            Self::Quality(factor) => write!(f, "quality:{factor}"),
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.strip_prefix("quality:").map(str::parse)) {
            ("capped", _) => Ok(Self::Capped),
            ("cbr", _) => Ok(Self::Cbr),
            (_, Some(Ok(factor @ 1..=51))) => Ok(Self::Quality(factor)),
            _ => Err(format!("{text:?} is no rate control; write capped, cbr or quality:N with N from 1 to 51")),
        }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

/// One output, its pictures stored in the order in which they are shown.
///
/// A rendition larger than its source is made all the same, so that a player always finds the whole ladder. Pictures
/// are scaled to exactly this size; where that changes their shape, the sample aspect ratio says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rendition {
    /// 1 to 32 of `a-z`, `0-9`, `-`, `_`; unique in the ladder. It becomes part of URLs.
    pub name: String,
    /// Luma samples per row: even, 16 to 4096; HEVC and AV1 from 64.
    pub width: u32,
    /// Rows: even, 16 to 4096; HEVC and AV1 from 64.
    pub height: u32,
    /// Bits per second of video, 32,000 to 100,000,000; [`Rate`] says how they are meant.
    pub bitrate_bps: u32,
    /// Fixed pictures per second, 1 to 120; absent means the source's.
    #[serde(default)]
    pub fps: Option<Fps>,
    /// Time from IDR to IDR, 250 to 10,000 ms. Every segment begins with one in any case.
    #[serde(default = "one_second")]
    pub gop_ms: u32,
    /// How pictures are coded. Left out of what is written where it is the usual one: ladders are known by their hash.
    #[serde(default, skip_serializing_if = "Codec::is_usual")]
    pub codec: Codec,
    /// Encoder effort.
    #[serde(default)]
    pub preset: Preset,
    /// What the bit rate means.
    #[serde(default)]
    pub rate: Rate,
    /// What it is wrapped in. Left out of what is written where it is the usual one: ladders are known by their hash.
    #[serde(default, skip_serializing_if = "Container::is_usual")]
    pub container: Container,
}

fn one_second() -> u32 {
    1000
}

impl Rendition {
    fn check(&self) -> Result<(), LadderError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(plain) {
            return Err(LadderError::Name { name: self.name.clone() });
        }
        let need = |good: bool, what, have: String, want| match good {
            true => Ok(()),
            false => Err(LadderError::Value { name: self.name.clone(), what, have, want }),
        };
        // SVT-AV1 takes no smaller ones; x265 3.5 takes them and writes past its memory.
        let (least, sides) = match self.codec {
            Codec::Hevc | Codec::Av1 => (64, "even, 64 to 4096 for hevc and av1"),
            Codec::H264 => (16, "even, 16 to 4096"),
        };
        let side = |side: u32| (least..=4096).contains(&side) && side.is_multiple_of(2);
        need(side(self.width), "width", self.width.to_string(), sides)?;
        need(side(self.height), "height", self.height.to_string(), sides)?;
        let steady = self.codec == Codec::Av1 && self.rate == Rate::Cbr;
        need(!steady, "rate", self.rate.to_string(), "capped or quality:N for av1, which misses cbr by a third")?;
        let carried = self.codec != Codec::Av1 || self.container == Container::Cmaf;
        need(carried, "container", self.container.name().to_owned(), "cmaf for av1, which MPEG-TS cannot carry")?;
        let rate = (32_000..=100_000_000).contains(&self.bitrate_bps);
        need(rate, "bitrate_bps", self.bitrate_bps.to_string(), "32000 to 100000000")?;
        need((250..=10_000).contains(&self.gop_ms), "gop_ms", self.gop_ms.to_string(), "250 to 10000")?;
        if let Some(fps) = self.fps {
            let whole = fps.num.checked_div(fps.den).unwrap_or(0);
            let small = fps.num <= 1_000_000 && fps.den <= 10_000;
            need(small && (1..=120).contains(&whole), "fps", fps.to_string(), "1 to 120")?;
        }
        Ok(())
    }
}

/// All renditions of a stream: 1 to 10, valid, in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rendition>", into = "Vec<Rendition>")]
pub struct Ladder(Vec<Rendition>);

impl Ladder {
    /// Checks `renditions`.
    pub fn new(renditions: Vec<Rendition>) -> Result<Self, LadderError> {
        if renditions.is_empty() || renditions.len() > MAX_RENDITIONS {
            return Err(LadderError::Count { have: renditions.len() });
        }
        let mut names = HashSet::new();
        for rendition in &renditions {
            rendition.check()?;
            if !names.insert(rendition.name.as_str()) {
                return Err(LadderError::Twice { name: rendition.name.clone() });
            }
        }
        Ok(Self(renditions))
    }

    /// The field's usual four: 240p, 360p, 480p and 720p at 250, 800, 1600 and 3000 kbit/s.
    pub fn standard() -> Self {
        let rung = |name: &str, width, height, kbps: u32| Rendition {
            name: name.to_owned(),
            width,
            height,
            bitrate_bps: kbps * 1000,
            fps: None,
            gop_ms: one_second(),
            codec: Codec::H264,
            preset: Preset::Live,
            rate: Rate::Capped,
            container: Container::Mpegts,
        };
        Self(vec![
            rung("240p", 426, 240, 250),
            rung("360p", 640, 360, 800),
            rung("480p", 854, 480, 1600),
            rung("720p", 1280, 720, 3000),
        ])
    }

    /// The renditions.
    pub fn renditions(&self) -> &[Rendition] {
        &self.0
    }

    /// How many renditions have more samples in a picture.
    pub fn larger(&self, than: &Rendition) -> usize {
        let samples = |rendition: &Rendition| u64::from(rendition.width) * u64::from(rendition.height);
        self.0.iter().filter(|rendition| samples(rendition) > samples(than)).count()
    }
}

impl TryFrom<Vec<Rendition>> for Ladder {
    type Error = LadderError;

    fn try_from(renditions: Vec<Rendition>) -> Result<Self, LadderError> {
        Self::new(renditions)
    }
}

impl From<Ladder> for Vec<Rendition> {
    fn from(ladder: Ladder) -> Self {
        ladder.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn standard_is_valid_and_survives_json() {
        let ladder = Ladder::standard();
        assert_eq!(Ladder::new(ladder.renditions().to_vec()).unwrap(), ladder);
        let json = serde_json::to_string(&ladder).unwrap();
        assert_eq!(serde_json::from_str::<Ladder>(&json).unwrap(), ladder);
    }

    #[test]
    fn defaults_and_rates_from_json() {
        let json = r#"[{"name":"a","width":64,"height":36,"bitrate_bps":50000,"fps":"30000/1001"}]"#;
        let ladder: Ladder = serde_json::from_str(json).unwrap();
        let rendition = &ladder.renditions()[0];
        assert_eq!((rendition.gop_ms, rendition.codec, rendition.preset), (1000, Codec::H264, Preset::Live));
        assert_eq!(rendition.container, Container::Mpegts);
        let cmaf = json.replace("}]", r#","container":"cmaf"}]"#);
        assert_eq!(serde_json::from_str::<Ladder>(&cmaf).unwrap().renditions()[0].container, Container::Cmaf);
        let written = serde_json::to_string(&serde_json::from_str::<Ladder>(&cmaf).unwrap()).unwrap();
        assert!(written.contains("cmaf") && !serde_json::to_string(&ladder).unwrap().contains("container"));
        assert!(serde_json::from_str::<Ladder>(&json.replace("}]", r#","container":"mkv"}]"#)).is_err());
        assert_eq!(rendition.fps, Some(Fps { num: 30000, den: 1001 }));
        let rate = |text: &str| Rate::try_from(text.to_owned());
        for known in [Rate::Capped, Rate::Cbr, Rate::Quality(23)] {
            assert_eq!(rate(&known.to_string()), Ok(known));
        }
        assert!(rate("quality:0").is_err() && rate("quality:52").is_err() && rate("vbr").is_err());
    }

    #[test]
    fn codecs_have_the_names_of_their_json() {
        for codec in Codec::ALL {
            assert_eq!(serde_json::to_string(&codec).unwrap(), format!("{:?}", codec.name()));
            let mut rung = Ladder::standard().renditions()[0].clone();
            (rung.codec, rung.container) = (codec, Container::Cmaf);
            let written = serde_json::to_string(&rung).unwrap();
            assert_eq!(written.contains("codec"), codec != Codec::H264, "{written}");
            assert_eq!(serde_json::from_str::<Rendition>(&written).unwrap(), rung);
        }
    }

    #[test]
    fn bad_ladders_are_named() {
        let good = Ladder::standard().renditions()[0].clone();
        let with = |change: fn(&mut Rendition)| {
            let mut rendition = good.clone();
            change(&mut rendition);
            Ladder::new(vec![rendition]).unwrap_err().to_string()
        };
        assert_eq!(Ladder::new(vec![]).unwrap_err(), LadderError::Count { have: 0 });
        assert_eq!(Ladder::new(vec![good.clone(); 11]).unwrap_err(), LadderError::Count { have: 11 });
        assert_eq!(Ladder::new(vec![good.clone(); 2]).unwrap_err(), LadderError::Twice { name: "240p".into() });
        assert!(with(|r| r.name = "../x".into()).contains("../x"));
        assert!(with(|r| r.width = 427).contains("width is 427"));
        assert!(with(|r| r.height = 5000).contains("height is 5000"));
        assert!(with(|r| r.bitrate_bps = 1).contains("bitrate_bps is 1"));
        assert!(with(|r| r.gop_ms = 0).contains("gop_ms is 0"));
        assert!(with(|r| (r.codec, r.height) = (Codec::Av1, 62)).contains("64 to 4096 for hevc and av1"));
        assert!(with(|r| (r.codec, r.rate) = (Codec::Av1, Rate::Cbr)).contains("rate is cbr"));
        assert!(with(|r| r.codec = Codec::Av1).contains("container is mpegts, must be cmaf for av1"));
        assert!(with(|r| r.fps = Some(Fps { num: 500, den: 1 })).contains("fps is 500"));
        assert!("0/1".parse::<Fps>().is_err() && "x".parse::<Fps>().is_err());
    }
}
