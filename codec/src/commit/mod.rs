//! What an operator is bound to when a segment of its work is drawn: roots over the pictures of the source, over those that
//! the scaler makes of them and those that each rendition decodes to, over the errors between the two, and over the
//! renditions' bytes. `docs/fraud-proofs.md` says what they are for.
//!
//! [`commit`] is a pure function of its inputs, so operator and verifiers agree on every root. It decodes, scales and pairs
//! pictures exactly as [`mod@crate::verify`] does, and refuses by name what that would not measure: a damaged source, times
//! that do not rise, a rendition whose form is at fault. Pictures are made, hashed and dropped one at a time.
//!
//! | file | knows |
//! | --- | --- |
//! | `steps` | the source: decoded, scaled to every rung, hashed |
//! | `track` | a rendition: decoded, compared, hashed |
//! | `make` | both in step |

#[cfg(feature = "engine")]
mod make;
#[cfg(feature = "engine")]
mod steps;
#[cfg(feature = "engine")]
mod track;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use headframe_commit::answer::hex;
pub use headframe_commit::{Answer, ByteTree, Curve, Hash, Rung};
#[cfg(feature = "engine")]
pub use make::commit;

use crate::budget::Limits;
use crate::error::{Class, EngineError, TranscodeError};
use crate::ladder::{Codec, Container, Ladder};
use crate::segment::SegmentIn;

/// How every engine scales, which is what an answer says.
pub const CURVE: Curve = Curve::CatmullRom;
/// The same: small rungs are made from larger ones ([`headframe_kernels::cascade`](../../headframe_kernels/cascade/index.html)).
pub const CASCADE: bool = true;

/// A segment, what was ordered of it and what was made.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// What was ordered: H.264 in MPEG-TS.
    pub ladder: &'a Ladder,
    /// For each rendition, the hash of the errors that the order allows; it becomes part of the answer as it is.
    pub error_limits: &'a [Hash],
    /// As it was sent.
    pub source: SegmentIn<'a>,
    /// In the ladder's order.
    pub renditions: &'a [&'a [u8]],
}

/// Why there is no answer for a segment.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommitError {
    /// There are not as many as the ladder has renditions.
    #[error("the ladder has {want} renditions, {have} {what} were given")]
    Number {
        /// What there are too many or too few of.
        what: String,
        /// Given.
        have: usize,
        /// Renditions of the ladder.
        want: usize,
    },
    /// Ordered in a form whose pictures are not compared.
    #[error("rendition {rendition} is ordered in {form}; only h264 in mpegts can be committed to so far")]
    Form {
        /// Its name.
        rendition: String,
        /// Codec and container.
        form: String,
    },
    /// The source is no segment that can be transcoded, or costs more than it may.
    #[error("the source: {error}")]
    Source {
        /// What is wrong with it.
        error: EngineError,
    },
    /// Engines may conceal that each in its own way, so nobody is bound by it.
    #[error("the source is damaged: {reason}")]
    Unclean {
        /// Where.
        reason: String,
    },
    /// Pictures are committed as the source lies, which has to be one way.
    #[error("the source is turned otherwise from picture {picture} on")]
    Turned {
        /// Counted from 0.
        picture: u32,
    },
    /// A rendition is not of the ordered form.
    #[error("rendition {rendition}: {fault}")]
    Rendition {
        /// Its name.
        rendition: String,
        /// As the verification predicate says it.
        fault: String,
    },
    /// This machine cannot go on.
    #[error("this machine: {error}")]
    Machine {
        /// Why.
        error: EngineError,
    },
}

impl CommitError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Machine { error } => error.class(),
            _ => Class::Input,
        }
    }
}

impl CommitError {
    /// Whether no machine can make an answer, whatever the renditions are: by what was ordered, or by the source.
    pub fn is_of_the_order(&self) -> bool {
        match self {
            Self::Form { .. } | Self::Source { .. } | Self::Unclean { .. } | Self::Turned { .. } => true,
            Self::Number { .. } | Self::Rendition { .. } | Self::Machine { .. } => false,
        }
    }
}

/// Either the source's fault or this machine's.
impl From<EngineError> for CommitError {
    fn from(error: EngineError) -> Self {
        match error.class() {
            Class::Input => Self::Source { error },
            _ => Self::Machine { error },
        }
    }
}

/// Why a pool has no answer for a segment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitFailed {
    /// The worker said no.
    #[error("segment {number} of stream {stream}: {source}")]
    Refused {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
        /// The worker's reason.
        source: CommitError,
    },
    /// No worker could say anything.
    #[error(transparent)]
    Pool(#[from] TranscodeError),
}

impl CommitFailed {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { source, .. } => source.class(),
            Self::Pool(error) => error.class(),
        }
    }
}

impl Work<'_> {
    /// What can be said before anything is decoded.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), CommitError> {
        let want = self.ladder.renditions().len();
        for (what, have) in [("files", self.renditions.len()), ("hashes of limits", self.error_limits.len())] {
            if have != want {
                return Err(CommitError::Number { what: what.to_owned(), have, want });
            }
        }
        for rendition in self.ladder.renditions() {
            if (rendition.codec, rendition.container) != (Codec::H264, Container::Mpegts) {
                let form = format!("{} in {}", rendition.codec.name(), rendition.container.name());
                return Err(CommitError::Form { rendition: rendition.name.clone(), form });
            }
        }
        let bytes = self.source.bytes.len() as u64;
        if bytes == 0 {
            return Err(EngineError::Empty.into());
        }
        if bytes > limits.input_bytes {
            return Err(EngineError::InputBytes { bytes, limit: limits.input_bytes }.into());
        }
        if self.renditions.iter().map(|bytes| bytes.len() as u64).sum::<u64>() > limits.output_bytes {
            return Err(EngineError::OutputBytes { limit: limits.output_bytes }.into());
        }
        Ok(())
    }

    /// What is wrong with an answer that a worker, which is not trusted, gives; of the roots over pictures nothing can be
    /// said without decoding.
    pub(crate) fn contradicts(&self, answer: &Answer, limits: &Limits) -> Option<String> {
        let Answer { source_pictures, curve, cascade, rungs, .. } = answer;
        if (*curve, *cascade) != (CURVE, CASCADE) || rungs.len() != self.ladder.renditions().len() {
            return Some(format!("{} rungs, {curve:?}, cascade: {cascade}", rungs.len()));
        }
        let count = |count: u32| (1..=limits.frames).contains(&count);
        if !count(*source_pictures) {
            return Some(format!("{source_pictures} pictures of the source"));
        }
        let upright = |rung: &Rung| (rung.width, rung.height);
        let turned = |rung: &Rung| (rung.height, rung.width);
        let sizes = || self.ladder.renditions().iter().map(|rendition| (rendition.width, rendition.height));
        if !sizes().eq(rungs.iter().map(upright)) && !sizes().eq(rungs.iter().map(turned)) {
            return Some("other sizes than ordered".to_owned());
        }
        for ((rung, bytes), allowed) in rungs.iter().zip(self.renditions).zip(self.error_limits) {
            let own = rung.bytes == bytes.len() as u64 && rung.limits == *allowed;
            if !own || !count(rung.pictures) || rung.content != ByteTree::new(bytes).root() {
                return Some(format!("another rendition: {rung:?}"));
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn ladder(change: impl Fn(&mut crate::Rendition)) -> Ladder {
        let mut renditions = Ladder::standard().renditions()[..2].to_vec();
        change(&mut renditions[1]);
        Ladder::new(renditions).unwrap()
    }

    #[test]
    fn what_cannot_be_committed_to_is_named_before_anything_is_decoded() {
        let (usual, limits) = (ladder(|_| ()), Limits { input_bytes: 10, output_bytes: 10, ..Limits::default() });
        let work = |ladder, source: &'static [u8], renditions| Work {
            ladder,
            error_limits: &[[1; 32], [2; 32]],
            source: SegmentIn { stream: "s", number: 3, bytes: source },
            renditions,
        };
        let said = |work: Work<'_>| work.check(&limits).map_err(|error| error.to_string()).unwrap_err();
        let files: &[&[u8]] = &[b"a", b"b"];
        assert_eq!(work(&usual, b"x", files).check(&limits), Ok(()));
        assert!(said(work(&usual, b"x", &files[..1])).contains("1 files"));
        assert!(said(Work { error_limits: &[], ..work(&usual, b"x", files) }).contains("0 hashes"));
        assert!(said(work(&usual, b"", files)).contains("no bytes"));
        assert!(said(work(&usual, b"eleven bytes", files)).contains("limit is 10"));
        assert!(said(work(&usual, b"x", &[b"eleven bytes", b""])).contains("exceed 10"));
        let hevc = ladder(|rendition| rendition.codec = Codec::Hevc);
        assert!(said(work(&hevc, b"x", files)).contains("360p is ordered in hevc in mpegts"));
        let cmaf = ladder(|rendition| rendition.container = Container::Cmaf);
        assert!(said(work(&cmaf, b"x", files)).contains("h264 in cmaf"));
    }

    #[test]
    fn a_worker_that_answers_something_else_is_caught() {
        let (ladder, limits) = (ladder(|_| ()), Limits::default());
        let files: &[&[u8]] = &[b"a", b"bc"];
        let error_limits = [[1; 32], [2; 32]];
        let source = SegmentIn { stream: "s", number: 3, bytes: b"x" };
        let work = Work { ladder: &ladder, error_limits: &error_limits, source, renditions: files };
        let rung = |(i, rendition): (usize, &crate::Rendition)| Rung {
            width: rendition.width,
            height: rendition.height,
            content: ByteTree::new(files[i]).root(),
            bytes: files[i].len() as u64,
            scaled: [0; 32],
            decoded: [0; 32],
            errors: [0; 32],
            limits: error_limits[i],
            pictures: 60,
            luma: 0,
            chroma: 0,
            worst_luma: 0,
            worst_chroma: 0,
        };
        let rungs = ladder.renditions().iter().enumerate().map(rung).collect();
        let honest = Answer { source: [0; 32], source_pictures: 60, curve: CURVE, cascade: CASCADE, rungs };
        assert_eq!(work.contradicts(&honest, &limits), None);
        let turned = |answer: &mut Answer| {
            answer.rungs.iter_mut().for_each(|rung| (rung.width, rung.height) = (rung.height, rung.width));
        };
        let mut lying = honest.clone();
        turned(&mut lying);
        assert_eq!(work.contradicts(&lying, &limits), None, "as a source lies that is shown turned");
        let lies: [fn(&mut Answer); 10] = [
            |answer| answer.curve = Curve::Lanczos3,
            |answer| answer.cascade = false,
            |answer| answer.source_pictures = 0,
            |answer| answer.source_pictures = u32::MAX,
            |answer| answer.rungs.truncate(1),
            |answer| answer.rungs[1].width += 2,
            |answer| answer.rungs[0].content[31] ^= 1,
            |answer| answer.rungs[1].bytes += 1,
            |answer| answer.rungs[1].limits = [9; 32],
            |answer| answer.rungs[0].pictures = u32::MAX,
        ];
        for (number, lie) in lies.into_iter().enumerate() {
            let mut answer = honest.clone();
            lie(&mut answer);
            assert!(work.contradicts(&answer, &limits).is_some(), "lie {number}");
        }
    }
}
