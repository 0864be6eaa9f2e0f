//! Which cards of this machine have workers: what the operator chose, and what the worker program finds.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::ask::{AskError, ask};

/// Characters of a card's name for good.
const UUID: usize = "GPU-01234567-89ab-cdef-0123-456789abcdef".len();
/// Cards of one machine.
const MOST: usize = 64;
/// Bytes that are read of an answer: some kilobytes a card.
const MAX_ANSWER: u64 = 1 << 20;

/// Which graphics cards transcode. Written `all`, `none`, or as a list of their UUIDs, as `headframe-codec gpu` prints them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Cards {
    /// All that work.
    All,
    /// None: the processors do everything.
    #[default]
    None,
    /// These, where they work.
    These(Vec<String>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    List(Vec<String>),
}

impl TryFrom<Written> for Cards {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Word(word) => word.parse(),
            Written::List(list) => list.iter().map(|uuid| checked(uuid)).collect::<Result<_, _>>().map(Self::These),
        }
    }
}

impl From<Cards> for Written {
    fn from(cards: Cards) -> Self {
        match cards {
            Cards::These(list) => Self::List(list),
            word => Self::Word(word.to_string()),
        }
    }
}

impl FromStr for Cards {
    type Err = String;

    /// `all`, `none`, or UUIDs with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            list => list.split(',').map(|uuid| checked(uuid.trim())).collect::<Result<_, _>>().map(Self::These),
        }
    }
}

impl fmt::Display for Cards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::These(list) => f.write_str(&list.join(",")),
        }
    }
}

fn checked(uuid: &str) -> Result<String, String> {
    match is_uuid(uuid) {
        true => Ok(uuid.to_owned()),
        false => Err(format!(
            "{uuid:?} names no cards: write all, none, or UUIDs as `headframe-codec gpu` prints them, such as \
             GPU-01234567-89ab-cdef-0123-456789abcdef"
        )),
    }
}

/// Whether this is a card's name for good, in small letters as every program prints it.
pub(super) fn is_uuid(text: &str) -> bool {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let digits = |rest: &str| {
        rest.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => dash(at),
            b'0'..=b'9' | b'a'..=b'f' => !dash(at),
            _ => false,
        })
    };
    text.len() == UUID && text.strip_prefix("GPU-").is_some_and(digits)
}

/// A card that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) uuid: String,
    pub(super) name: String,
    /// Compute capability, major and minor.
    pub(super) compute: (u32, u32),
    pub(super) memory_bytes: u64,
    pub(super) decoders: u32,
    pub(super) encoders: u32,
}

#[derive(Deserialize)]
struct Listed {
    devices: Vec<Device>,
    broken: Vec<Broken>,
    problems: Vec<String>,
}

/// A card that cannot be described.
#[derive(Deserialize)]
struct Broken {
    uuid: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
struct Device {
    uuid: String,
    name: String,
    compute: (u32, u32),
    memory_bytes: u64,
    decodes: Vec<Engines>,
    encodes: Vec<Engines>,
}

#[derive(Deserialize)]
struct Engines {
    engines: u32,
}

/// The cards that the worker program finds, in its order, and why there are no more. Blocks for as long as it takes, at most
/// `patience`.
pub(super) fn find(
    program: &Path,
    libraries: Option<&Path>,
    patience: Duration,
) -> Result<(Vec<Found>, Vec<String>), String> {
    let mut arguments: Vec<OsString> = vec!["gpu".into(), "--json".into()];
    arguments.extend(libraries.into_iter().flat_map(|folder| ["--libraries".into(), folder.into()]));
    let said = ask(program, &arguments, patience, MAX_ANSWER).map_err(|error| match error {
        AskError::Run(reason) => reason,
        AskError::Late => format!("`{} gpu` does not answer within {} s", program.display(), patience.as_secs()),
    })?;
    let listed: Listed = serde_json::from_slice(&said.answer)
        .ok()
        .filter(|_| said.status.success())
        .ok_or_else(|| format!("`{} gpu --json` does not list cards ({})", program.display(), said.status))?;
    let most = |engines: &[Engines]| engines.iter().map(|it| it.engines).max().unwrap_or(0);
    let found = listed.devices.into_iter().filter(|device| is_uuid(&device.uuid)).take(MOST).map(|device| Found {
        decoders: most(&device.decodes),
        encoders: most(&device.encodes),
        uuid: device.uuid,
        name: device.name,
        compute: device.compute,
        memory_bytes: device.memory_bytes,
    });
    let broken = listed.broken.into_iter().map(|it| match it.uuid {
        Some(uuid) => format!("{uuid}: {}", it.reason),
        None => it.reason,
    });
    Ok((found.collect(), listed.problems.into_iter().chain(broken).collect()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const ONE: &str = "GPU-01234567-89ab-cdef-0123-456789abcdef";

    #[test]
    fn cards_are_chosen_by_word_or_uuid() {
        let json = |text: &str| serde_json::from_str::<Cards>(text);
        assert_eq!((json("\"all\"").unwrap(), json("\"none\"").unwrap()), (Cards::All, Cards::None));
        let these = Cards::These(vec![ONE.to_owned()]);
        assert_eq!(json(&format!("[\"{ONE}\"]")).unwrap(), these);
        assert_eq!(format!("{ONE}, {ONE}").parse(), Ok(Cards::These(vec![ONE.to_owned(); 2])));
        for cards in [Cards::All, Cards::None, these] {
            assert_eq!(json(&serde_json::to_string(&cards).unwrap()).unwrap(), cards);
            assert_eq!(cards.to_string().parse(), Ok(cards));
        }
    }

    #[test]
    fn what_names_no_card_is_refused() {
        for wrong in ["", "some", "0", &ONE.to_uppercase(), &ONE[..39], "GPU-0123456-789ab-cdef-0123-456789abcdef"] {
            assert!(wrong.parse::<Cards>().unwrap_err().contains("names no cards"), "{wrong}");
        }
        assert!(serde_json::from_str::<Cards>("[\"GPU-1\"]").is_err() && serde_json::from_str::<Cards>("1").is_err());
    }
}
