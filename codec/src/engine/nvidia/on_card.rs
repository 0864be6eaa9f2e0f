//! A rung that the card encodes.

use super::super::job::Job;
use super::super::output::Output;
use super::super::rung::{Keys, Made};
use super::super::timeline::Cadence;
use super::Halt;
use super::encoding::Encoding;
use crate::error::EngineError;
use crate::ladder::{Fps, Rendition};
use crate::nvidia::{EncodedPicture, NvidiaError, Planes, Scaler, Surface};
use crate::pace::{Budget, Pace};
use crate::ts::VideoUnit;

pub(super) struct OnCard<'a> {
    rendition: &'a Rendition,
    job: &'a Job<'a>,
    session: Encoding,
    /// Of a rendition with a frame rate of its own: its picture waits here until it is known how long it is shown.
    held: Option<Surface>,
    /// Something waits there.
    full: bool,
    keys: Keys,
    output: Output<'a>,
    sent: usize,
    received: usize,
    pace: Pace,
}

impl<'a> OnCard<'a> {
    pub(super) fn new(
        (index, rendition): (usize, &'a Rendition),
        job: &'a Job<'a>,
        session: Encoding,
        held: Option<Surface>,
        aspect: (i32, i32),
        pace: Option<Pace>,
    ) -> Self {
        let mut output = Output::new(rendition, index, job);
        output.aspect = aspect;
        let keys = Keys::new(rendition, job.timeline.frame);
        let pace = pace.unwrap_or_else(|| Pace::start(rendition, &Budget::new(rendition, rate(rendition, job))));
        Self { rendition, job, session, held, full: false, keys, output, sent: 0, received: 0, pace }
    }

    /// Where the next picture goes. It is read by [`Self::scaled`], so it must be written by then.
    pub(super) fn blank(&mut self) -> Result<Planes<'_>, Halt> {
        if self.held.is_none() {
            self.make_room()?;
        }
        match &self.held {
            Some(surface) => Ok(surface.planes((self.rendition.width, self.rendition.height))),
            None => Ok(self.session.input()?),
        }
    }

    /// The picture is there; it is shown at `pts`.
    pub(super) fn scaled(&mut self, pts: i64) -> Result<(), Halt> {
        match self.held {
            Some(_) => self.full = true,
            None => self.encode(pts)?,
        }
        Ok(())
    }

    /// A picture that waits is shown from `from` until `until`.
    pub(super) fn show(&mut self, scaler: &mut Scaler, from: i64, until: i64) -> Result<(), Halt> {
        if !std::mem::take(&mut self.full) {
            return Ok(());
        }
        let size = (self.rendition.width, self.rendition.height);
        for time in Cadence::of(self.rendition).times(from, until) {
            self.job.check_time()?;
            self.make_room()?;
            if let Some(surface) = &self.held {
                scaler.copy(&surface.planes(size), &self.session.input()?)?;
            }
            self.encode(time)?;
        }
        Ok(())
    }

    fn encode(&mut self, time: i64) -> Result<(), Halt> {
        if self.sent >= self.job.limits.frames as usize {
            return Err(EngineError::Frames { limit: self.job.limits.frames }.into());
        }
        self.session.encode(time, self.keys.due(time))?;
        self.sent += 1;
        Ok(())
    }

    /// Waits for encoded pictures until a surface is free. As many as there are stay in work, so the card is not idle.
    fn make_room(&mut self) -> Result<(), Halt> {
        while !self.session.has_room() {
            let limit = self.session.in_flight();
            let full = NvidiaError::Full { what: "surfaces of the encoder session", limit };
            let picture = self.session.output()?.ok_or(full)?;
            self.push(picture)?;
        }
        Ok(())
    }

    fn push(&mut self, picture: EncodedPicture) -> Result<(), EngineError> {
        self.received += 1;
        self.output.push(VideoUnit { pts: picture.time, key: picture.key, data: picture.data })
    }

    /// Takes what is left. The session comes back drained.
    pub(super) fn finish(mut self) -> Result<(Made, Encoding), Halt> {
        for picture in self.session.drain()? {
            self.push(picture)?;
        }
        if self.received != self.sent || self.sent == 0 {
            let reason = format!("the encoder returned {} of {} pictures", self.received, self.sent);
            return Err(EngineError::Codec { what: "encode".to_owned(), code: 0, reason }.into());
        }
        let made = Made { out: self.output.finish()?, pace: self.pace, encode: std::time::Duration::ZERO };
        Ok((made, self.session))
    }
}

/// Pictures a second of a rendition.
pub(super) fn rate(rendition: &Rendition, job: &Job<'_>) -> Fps {
    rendition.fps.unwrap_or(job.timeline.fps)
}
