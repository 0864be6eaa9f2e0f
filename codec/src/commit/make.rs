//! Source and renditions in step, picture by picture.

use std::thread;
use std::time::Instant;

use headframe_commit::Answer;
use headframe_commit::stream::PictureStream;

use super::steps::{Steps, pixels};
use super::track::Track;
use super::{CASCADE, CURVE, CommitError, Work};
use crate::budget::Limits;
use crate::error::EngineError;
use crate::verify::spans::Spans;
use crate::verify::{How, Sent, VerifyError, ahead};

impl From<VerifyError> for CommitError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Source(error) => Self::Source { error },
            VerifyError::Machine(error) => Self::Machine { error },
        }
    }
}

/// The answer for a segment, whatever the machine: `how` changes nothing but the time it takes.
///
/// Ends with an error when it takes longer than `limits.wall`. With 2 threads and more the source has one of its own.
pub fn commit(work: &Work<'_>, limits: &Limits, how: How) -> Result<Answer, CommitError> {
    let started = Instant::now();
    let in_time = || match started.elapsed() > limits.wall {
        true => Err(EngineError::Wall { limit_ms: limits.wall.as_millis() as u64 }),
        false => Ok(()),
    };
    work.check(limits)?;
    match answer(work, limits, how, &in_time) {
        // What a source orders where engines do not go by its own times is no measure of a rendition.
        Err(error @ CommitError::Rendition { .. }) => Err(sound(work, limits, how, &in_time).err().unwrap_or(error)),
        answer => answer,
    }
}

type InTime<'a> = &'a dyn Fn() -> Result<(), EngineError>;

/// Whether the source alone is one of which an answer can be made.
fn sound(work: &Work<'_>, limits: &Limits, how: How, in_time: InTime<'_>) -> Result<(), CommitError> {
    let sent = Sent::open(work.source.bytes, limits)?;
    let clock = sent.clock.clone();
    let spans = Spans::new(sent.pictures(limits)?, clock, pixels(work.ladder), limits);
    for step in Steps::new(work.ladder, limits, how.isa, spans) {
        step?;
        in_time()?;
    }
    Ok(())
}

fn answer(work: &Work<'_>, limits: &Limits, how: How, in_time: InTime<'_>) -> Result<Answer, CommitError> {
    let sent = Sent::open(work.source.bytes, limits)?;
    if sent.lost > 0 {
        return Err(CommitError::Unclean { reason: format!("{} gaps in its packets", sent.lost) });
    }
    let mut tracks = Vec::with_capacity(work.renditions.len());
    for (rendition, bytes) in work.ladder.renditions().iter().zip(work.renditions) {
        in_time()?;
        tracks.push(Track::open(rendition, bytes, &sent.order(rendition, limits))?);
    }
    let clock = sent.clock.clone();
    let spans = Spans::new(sent.pictures(limits)?, clock, pixels(work.ladder), limits);
    let steps = Steps::new(work.ladder, limits, how.isa, spans);
    let source = thread::scope(|scope| {
        let mut source = PictureStream::default();
        for step in ahead(scope, how.threads > 1, steps)? {
            let step = step?;
            in_time()?;
            source.push(&step.shape, step.time, &step.tops);
            for (track, shown) in tracks.iter_mut().zip(&step.rungs) {
                track.take(&step, shown, how.isa)?;
            }
        }
        Ok::<_, CommitError>(source)
    })?;
    let finished = tracks.into_iter().zip(work.error_limits).map(|(track, limits)| track.finish(*limits));
    Ok(Answer {
        source: source.root(),
        source_pictures: source.count(),
        curve: CURVE,
        cascade: CASCADE,
        rungs: finished.collect::<Result<_, _>>()?,
    })
}
