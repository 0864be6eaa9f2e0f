//! Names that end up in URLs and in file paths, checked once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest stream id or rendition name, in bytes.
pub const MAX_NAME: usize = 64;

/// The public name of a stream: 1 to 64 of `A-Z a-z 0-9 _ -`, not starting with `-`. It is safe in URLs and as a folder
/// name, and it is never the key that publishes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(Arc<str>);

/// A name that is empty, too long, or has characters which a path or a URL would read as something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid name: use 1 to 64 letters, digits, '_' or '-', and do not start with '-'")]
pub struct BadName(pub String);

impl StreamId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `name` may be a stream id or the name of a rendition.
pub fn is_valid_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn check(name: &str) -> Result<(), BadName> {
    // The message quotes at most 80 characters of what may be megabytes.
    is_valid_name(name).then_some(()).ok_or_else(|| BadName(name.chars().take(80).collect()))
}

impl FromStr for StreamId {
    type Err = BadName;
    fn from_str(name: &str) -> Result<Self, BadName> {
        check(name).map(|()| Self(name.into()))
    }
}

impl TryFrom<String> for StreamId {
    type Error = BadName;
    fn try_from(name: String) -> Result<Self, BadName> {
        name.parse()
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl AsRef<str> for StreamId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        let long = "x".repeat(65);
        for bad in ["", ".", "..", "../etc", "a/b", "a\\b", "a b", "%2e%2e", "-rf", "a\0b", "é", "a.b", long.as_str()]
        {
            assert!(bad.parse::<StreamId>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "Stage_2-main", "0", &"x".repeat(64)] {
            assert_eq!(good.parse::<StreamId>().map(String::from), Ok(good.to_owned()));
        }
    }
}
