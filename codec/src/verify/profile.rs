//! What a verdict is measured against: the order, the reference encoder, and the bounds. All of it is data, so that two
//! sides can agree on a profile by its hash.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::bounds::Bounds;
use crate::ladder::{Codec, Container, Ladder, LadderError, Rendition};

/// The version of the measures; a profile made for others is refused.
pub const VERSION: u32 = 1;

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// Not JSON of the right shape.
    #[error("the profile cannot be read: {0}")]
    Json(String),
    /// Made for other measures.
    #[error("the profile has version {have}, this program measures version {VERSION}")]
    Version {
        /// The profile's version.
        have: u32,
    },
    /// What it orders is impossible.
    #[error("the profile's rendition is invalid: {0}")]
    Rendition(#[from] LadderError),
    /// Ordered in a codec that is not measured.
    #[error("the profile's rendition is ordered in {codec}; only h264 can be verified so far")]
    Codec {
        /// What was ordered.
        codec: &'static str,
    },
    /// Ordered in a container that is not read.
    #[error("the profile's rendition is ordered in {container}; only mpegts can be verified so far")]
    Container {
        /// What was ordered.
        container: &'static str,
    },
    /// No such rendition.
    #[error("no rendition is named {name:?}; there are: {known}")]
    Name {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A reference that no encoder takes.
    #[error("the profile's reference encoder is invalid: {0}")]
    Reference(&'static str),
}

/// x264's own names, as far as they make a sensible yardstick.
const PRESETS: [&str; 7] = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"];

/// The encoder that serves as the yardstick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceEncoder {
    /// How libx264 names itself in its streams, up to and including the revision.
    pub build: String,
    /// x264's preset.
    pub preset: String,
    /// x264's options on top of it, joined by colons.
    pub options: String,
    /// The rate control's buffer as time at the ordered rate, 100 to 10,000 ms.
    pub buffer_ms: u32,
}

impl Default for ReferenceEncoder {
    fn default() -> Self {
        Self {
            build: "x264 - core 164 r3095 baee400".to_owned(),
            preset: "veryfast".to_owned(),
            options: "cpu-independent=1:rc-lookahead=10:sync-lookahead=0".to_owned(),
            buffer_ms: 1000,
        }
    }
}

/// Everything a verdict depends on besides the two inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`VERSION`].
    pub version: u32,
    /// What was ordered.
    pub rendition: Rendition,
    /// The yardstick.
    #[serde(default)]
    pub reference: ReferenceEncoder,
    /// The bounds.
    #[serde(default)]
    pub bounds: Bounds,
}

impl Profile {
    /// The built-in yardstick and bounds for `rendition`.
    pub fn of(rendition: Rendition) -> Result<Self, ProfileError> {
        let (reference, bounds) = (ReferenceEncoder::default(), Bounds::default());
        Self { version: VERSION, rendition, reference, bounds }.checked()
    }

    /// A rung of `ladder` by its name.
    pub fn of_rung(ladder: &Ladder, name: &str) -> Result<Self, ProfileError> {
        match ladder.renditions().iter().find(|rendition| rendition.name == name) {
            Some(rendition) => Self::of(rendition.clone()),
            None => {
                let known: Vec<&str> = ladder.renditions().iter().map(|rendition| rendition.name.as_str()).collect();
                Err(ProfileError::Name { name: name.to_owned(), known: known.join(", ") })
            }
        }
    }

    /// From a profile's JSON.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = serde_json::from_str(text).map_err(|error| ProfileError::Json(error.to_string()))?;
        profile.checked()
    }

    fn checked(self) -> Result<Self, ProfileError> {
        if self.version != VERSION {
            return Err(ProfileError::Version { have: self.version });
        }
        Ladder::new(vec![self.rendition.clone()])?;
        if self.rendition.codec != Codec::H264 {
            return Err(ProfileError::Codec { codec: self.rendition.codec.name() });
        }
        if self.rendition.container != Container::Mpegts {
            return Err(ProfileError::Container { container: self.rendition.container.name() });
        }
        let ReferenceEncoder { build, preset, options, buffer_ms } = &self.reference;
        if !build.starts_with("x264 - core ") {
            return Err(ProfileError::Reference("build must begin with \"x264 - core \""));
        }
        if !PRESETS.contains(&preset.as_str()) {
            return Err(ProfileError::Reference("preset must be one of x264's, ultrafast to slow"));
        }
        let option = |c: char| c.is_ascii_alphanumeric() || "=:-_.,".contains(c);
        if options.len() > 512 || !options.chars().all(option) {
            return Err(ProfileError::Reference("options must be at most 512 of a-z, 0-9 and =:-_.,"));
        }
        // More threads, or code picked by the processor, would give each machine another yardstick.
        if !options.split(':').any(|option| option == "cpu-independent=1") || options.contains("threads") {
            return Err(ProfileError::Reference("options must have cpu-independent=1 and no threads"));
        }
        if !(100..=10_000).contains(buffer_ms) {
            return Err(ProfileError::Reference("buffer_ms must be 100 to 10000"));
        }
        Ok(self)
    }
}
