//! Whether a rendition is what was ordered: the verification predicate.
//!
//! [`verify`] is a pure function of the source, the rendition and the [`Profile`]. Everything that decides is integer
//! arithmetic on exactly decoded pictures, so two honest machines always agree, whatever their processors and however
//! many threads they use ([`How`]). `docs/verification.md` says what is measured, against what, and why the bounds are
//! where they are.
//!
//! | file | knows |
//! | --- | --- |
//! | `profile`, `bounds` | the order, the reference encoder and the thresholds: all data |
//! | `nal`, `pictures` | access units, and how they are decoded |
//! | `candidate`, `fault` | a rendition's form: container, times, geometry, IDR pictures, colours |
//! | `spans`, `ordered` | the source's pictures and when they are shown; the same, scaled, when they are due |
//! | `reference` | the same after the pinned encoder |
//! | `pixels`, `findings` | what is measured on pictures |
//! | `judge` | the verdict, from findings and bounds alone |

mod bounds;
pub(crate) mod candidate;
mod fault;
mod findings;
mod judge;
mod nal;
pub(crate) mod ordered;
pub(crate) mod pictures;
mod pixels;
mod profile;
pub(crate) mod raster;
mod reference;
pub(crate) mod spans;

use std::sync::mpsc::sync_channel;
use std::thread;

use headframe_kernels::{Isa, Orientation, Yuv420Ref};
use thiserror::Error;

pub use bounds::Bounds;
pub use fault::Fault;
pub use findings::{Both, Findings, FrameFindings, Level, Step, WorstTile};
pub use judge::{Check, Judgement, Verdict, judge};
pub use pixels::Slide;
pub use profile::{Profile, ProfileError, ReferenceEncoder, VERSION};

use crate::budget::Limits;
use crate::engine::timeline::Timeline;
use crate::error::EngineError;
use crate::ffi::picture::Picture;
use crate::ladder::Rendition;
use crate::{source, ts};
use candidate::{Candidate, Order, Refused};
use findings::{Shared, Trio};
use ordered::{Ordered, Shown};
use pictures::Pictures;
use reference::{Pair, Reference};
use spans::{SourceClock, Stop};

/// How to compute a verdict. It never changes one.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Instruction set of the kernels; [`Isa::Portable`] also turns off the reference encoder's.
    pub isa: Isa,
    /// 1: everything on the caller's thread; 2 and more: source and reference encode on threads of their own.
    pub threads: usize,
}

impl Default for How {
    fn default() -> Self {
        Self { isa: Isa::best(), threads: 2 }
    }
}

/// Why there is no verdict at all. Nothing here is the rendition's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The source is no segment that can be transcoded.
    #[error("the source: {0}")]
    Source(EngineError),
    /// This machine cannot go on.
    #[error("this machine: {0}")]
    Machine(EngineError),
}

impl VerifyError {
    fn of(error: EngineError) -> Self {
        match error.class() {
            crate::Class::Input => Self::Source(error),
            _ => Self::Machine(error),
        }
    }
}

/// Pictures decoded ahead of the measuring: enough to even out the encoder's pace.
const QUEUE: usize = 3;

/// The verdict on one rendition of `source`, with its evidence.
pub fn verify(
    source: &[u8],
    rendition: &[u8],
    profile: &Profile,
    limits: &Limits,
    how: How,
) -> Result<Judgement, VerifyError> {
    let found = examine(source, &[rendition], profile, limits, how)?;
    Ok(judge(found.first().unwrap_or(&Findings::default()), profile))
}

/// Measures several renditions of one source against one profile: source and reference are made once. Findings come in
/// the order of `renditions`.
pub fn examine(
    source: &[u8],
    renditions: &[&[u8]],
    profile: &Profile,
    limits: &Limits,
    how: How,
) -> Result<Vec<Findings>, VerifyError> {
    let sent = Sent::open(source, limits)?;
    if sent.lost > 0 {
        let unclean = || Findings { abstain: Some(UNCLEAN.to_owned()), ..Findings::default() };
        return Ok(renditions.iter().map(|_| unclean()).collect());
    }
    let order = sent.order(&profile.rendition, limits);
    let mut tracks: Vec<Track> =
        renditions.iter().map(|bytes| Track::open(bytes, profile, &order)).collect::<Result<_, _>>()?;
    if tracks.iter().all(|track| track.candidate.is_none()) {
        return Ok(tracks.into_iter().map(|track| track.findings).collect());
    }
    let (frame, clock) = (sent.clock.timeline.frame, sent.clock.clone());
    let ordered = Ordered::new(&profile.rendition, limits, how.isa, clock, sent.pictures(limits)?);
    thread::scope(|scope| {
        let ordered = ahead(scope, how.threads > 2, ordered)?;
        let pairs = Reference::new(profile, how.isa, frame, ordered).map_err(VerifyError::of)?;
        let pairs = ahead(scope, how.threads > 1, pairs)?;
        measure(pairs, &mut tracks, profile)
    })?;
    Ok(tracks.into_iter().map(|track| track.findings).collect())
}

/// A source, cut into access units and not decoded yet.
pub(crate) struct Sent {
    kind: ts::VideoKind,
    orientation: Orientation,
    units: Vec<pictures::AccessUnit>,
    /// The clock that engines go by.
    pub(crate) clock: SourceClock,
    /// Packets of video that are missing.
    pub(crate) lost: u32,
}

impl Sent {
    pub(crate) fn open(bytes: &[u8], limits: &Limits) -> Result<Self, VerifyError> {
        if bytes.len() as u64 > limits.input_bytes {
            let error = EngineError::InputBytes { bytes: bytes.len() as u64, limit: limits.input_bytes };
            return Err(VerifyError::Source(error));
        }
        let media = source::demux(bytes).map_err(VerifyError::of)?;
        let timeline = Timeline::of(&media.video);
        let pieces = media.video.iter().zip(&timeline.times).map(|(unit, time)| (&unit.data[..], *time));
        let units =
            pictures::cut(media.kind, pieces, limits.frame_pixels, limits.frames).map_err(VerifyError::Source)?;
        Ok(Self {
            kind: media.kind,
            orientation: media.orientation,
            units,
            clock: SourceClock::of(timeline),
            lost: media.lost,
        })
    }

    /// What it orders of a rendition.
    pub(crate) fn order(&self, rendition: &Rendition, limits: &Limits) -> Order {
        let times = || self.units.iter().filter_map(|unit| unit.pts);
        let span = times().max().zip(times().min()).map_or(0, |(last, first)| last - first);
        // Twice as many as the order's rate needs can only be a mistake; they are not worth decoding.
        let count = rendition.fps.map_or(self.units.len() as i64, |fps| {
            span / crate::segment::TICKS_PER_SECOND * i64::from(fps.num) / i64::from(fps.den) + 1
        });
        let most_pictures = u32::try_from(count.saturating_mul(2) + 240).unwrap_or(u32::MAX).min(limits.frames);
        Order {
            reference: self.clock.timeline.first,
            frame: self.clock.timeline.frame,
            duration: span + self.clock.timeline.frame,
            most_bytes: limits.output_bytes,
            most_pictures,
        }
    }

    pub(crate) fn pictures(self, limits: &Limits) -> Result<Pictures, VerifyError> {
        Pictures::new(self.kind, self.orientation, self.units, limits.frame_pixels).map_err(VerifyError::of)
    }
}

const UNCLEAN: &str = "the source is damaged, and encoders may conceal that each in its own way";

/// Runs `iterator` on a thread of its own, if asked to.
pub(crate) fn ahead<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    apart: bool,
    iterator: impl Iterator<Item = T> + Send + 'scope,
) -> Result<Box<dyn Iterator<Item = T> + Send + 'scope>, VerifyError> {
    if !apart {
        return Ok(Box::new(iterator));
    }
    let (queue, items) = sync_channel(QUEUE);
    let run = move || {
        for item in iterator {
            // The other side hangs up when it has seen enough.
            if queue.send(item).is_err() {
                break;
            }
        }
    };
    let failed = |_| VerifyError::Machine(EngineError::Memory { what: "start a thread".to_owned() });
    thread::Builder::new().spawn_scoped(scope, run).map_err(failed)?;
    Ok(Box::new(items.into_iter()))
}

/// One rendition on its way.
struct Track {
    /// Absent once it is known to be at fault.
    candidate: Option<Candidate>,
    before: Option<Picture>,
    findings: Findings,
}

impl Track {
    fn open(bytes: &[u8], profile: &Profile, order: &Order) -> Result<Self, VerifyError> {
        let mut findings = Findings {
            bytes: bytes.len() as u64,
            bytes_limit: candidate::most_bytes(profile, order.duration).min(order.most_bytes),
            slice_bytes_limit: candidate::most_slice_bytes(profile, order.duration),
            ..Findings::default()
        };
        let candidate = match Candidate::open(bytes, profile, order) {
            Ok(candidate) => Some(candidate),
            Err(Refused::Machine(error)) => return Err(VerifyError::Machine(error)),
            Err(Refused::Fault(fault)) => {
                findings.fault = Some(fault);
                None
            }
        };
        if let Some(candidate) = &candidate {
            findings.slice_bytes.rendition = candidate.slice_bytes;
        }
        Ok(Self { candidate, before: None, findings })
    }

    fn fail(&mut self, refused: Refused) -> Result<(), VerifyError> {
        let Refused::Fault(fault) = refused else {
            let Refused::Machine(error) = refused else { return Ok(()) };
            return Err(VerifyError::Machine(error));
        };
        self.findings.fault = Some(fault);
        self.candidate = None;
        Ok(())
    }

    fn take(
        &mut self,
        pair: &Pair,
        last: Option<&Pair>,
        shared: &Shared,
        profile: &Profile,
    ) -> Result<(), VerifyError> {
        let Some(candidate) = &mut self.candidate else { return Ok(()) };
        let Shown { time, raster, look } = &pair.shown;
        let picture = match candidate.next(*time, *look, profile) {
            Ok(Some(picture)) => picture,
            // Counted at the end.
            Ok(None) => return Ok(()),
            Err(refused) => return self.fail(refused),
        };
        self.findings.shift = candidate.offset;
        let (ordered, rendition, reference) = (raster.view(), planes(&picture)?, planes(&pair.reference)?);
        let now = Trio { ordered: &ordered, rendition: &rendition, reference: &reference };
        let mut frame = match (last, &self.before) {
            (Some(last), Some(before)) => {
                let ordered = last.shown.raster.view();
                let (rendition, reference) = (planes(before)?, planes(&last.reference)?);
                let before = Trio { ordered: &ordered, rendition: &rendition, reference: &reference };
                FrameFindings::of(&now, Some(&before), shared)
            }
            _ => FrameFindings::of(&now, None, shared),
        };
        frame.squared_step = Both {
            rendition: picture.squared_step().unwrap_or(0),
            reference: pair.reference.squared_step().unwrap_or(0),
        };
        self.findings.frames.push(frame);
        self.before = Some(picture);
        Ok(())
    }
}

/// The planes of a picture that was checked to be 8-bit 4:2:0.
fn planes(picture: &Picture) -> Result<Yuv420Ref<'_>, VerifyError> {
    let odd = || EngineError::PixelFormat { format: "other than 8-bit 4:2:0".to_owned() };
    picture.view().and_then(|view| view.yuv420().ok_or_else(odd)).map_err(VerifyError::Machine)
}

/// Walks through all pictures in step.
fn measure(
    pairs: impl Iterator<Item = Result<Pair, Stop>>,
    tracks: &mut [Track],
    profile: &Profile,
) -> Result<(), VerifyError> {
    let mut last: Option<Pair> = None;
    let (mut ordered, mut slice_bytes) = (0, 0);
    for pair in pairs {
        let pair = match pair {
            Ok(pair) => pair,
            Err(Stop::Failed(error)) => return Err(VerifyError::of(error)),
            Err(Stop::Unclean(picture)) => {
                abstain(tracks, &format!("{UNCLEAN} (picture {picture})"));
                return Ok(());
            }
        };
        if let Some(build) = &pair.build
            && !build.starts_with(&profile.reference.build)
        {
            let have = build.split(" - H.264").next().unwrap_or_default();
            abstain(
                tracks,
                &format!("the reference encoder is {:?}, this machine has {have:?}", profile.reference.build),
            );
            return Ok(());
        }
        let view = planes(&pair.reference)?;
        let shared = Shared::of(&pair.shown.raster.view(), &view);
        for track in tracks.iter_mut() {
            track.take(&pair, last.as_ref(), &shared, profile)?;
        }
        (ordered, slice_bytes) = (ordered + 1, pair.slice_bytes);
        if tracks.iter().all(|track| track.candidate.is_none()) {
            return Ok(());
        }
        last = Some(pair);
    }
    for track in tracks {
        track.findings.ordered = ordered;
        track.findings.slice_bytes.reference = slice_bytes;
        let Some(candidate) = &mut track.candidate else { continue };
        match candidate.rest() {
            Ok(rest) => {
                let have = track.findings.frames.len() as u32 + rest;
                if have != ordered {
                    track.findings.fault = Some(Fault::Count { have, want: ordered });
                }
            }
            Err(refused) => track.fail(refused)?,
        }
    }
    Ok(())
}

/// Says so of every rendition that is not at fault already.
fn abstain(tracks: &mut [Track], why: &str) {
    for track in tracks.iter_mut().filter(|track| track.findings.fault.is_none()) {
        track.findings.abstain = Some(why.to_owned());
    }
}
