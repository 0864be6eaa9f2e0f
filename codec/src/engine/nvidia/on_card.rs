//! A rung that the card is to encode: its pictures wait in the card's memory until it has a session.

use std::thread;

use super::super::job::{Job, Stop};
use super::super::output::Output;
use super::super::rung::{self, Keys, Made};
use super::super::scaling::Feed;
use super::super::timeline::Cadence;
use super::encoding::Encoding;
use super::host::Copier;
use super::lend::{Failed, Wish};
use super::{Card, Halt};
use crate::error::EngineError;
use crate::ffi::clock::thread_time;
use crate::ffi::picture::Look;
use crate::ladder::{Fps, Rendition};
use crate::nvidia::{EncodedPicture, EncoderSettings, NvidiaError, Planes, Surface};
use crate::pace::{Budget, Pace};
use crate::sessions::Spec;
use crate::ts::VideoUnit;

pub(super) struct OnCard<'a> {
    index: usize,
    rendition: &'a Rendition,
    job: &'a Job<'a>,
    told: EncoderSettings,
    look: Look,
    pace: Option<Pace>,
    /// With the times at which each is shown; the last one waits until it is known how long that is.
    pictures: Vec<(Surface, Vec<i64>)>,
    last: Option<Surface>,
    /// One to be written to.
    blank: Option<Surface>,
    /// Times of all of them.
    sent: usize,
}

impl<'a> OnCard<'a> {
    pub(super) fn new(
        (index, rendition): (usize, &'a Rendition),
        job: &'a Job<'a>,
        told: EncoderSettings,
        look: Look,
        pace: Option<Pace>,
    ) -> Self {
        let (pictures, last, blank, sent) = (Vec::new(), None, None, 0);
        Self { index, rendition, job, told, look, pace, pictures, last, blank, sent }
    }

    /// Where the next picture goes.
    pub(super) fn blank(&mut self, card: &Card) -> Result<Planes<'_>, Halt> {
        let blank = match self.blank.take() {
            Some(blank) => blank,
            None => card.warm.surface(&card.device, self.size())?,
        };
        let size = self.size();
        Ok(self.blank.insert(blank).planes(size))
    }

    /// The picture is there.
    pub(super) fn scaled(&mut self) {
        self.last = self.blank.take();
    }

    /// The last picture is shown from `from` until `until`.
    pub(super) fn show(&mut self, from: i64, until: i64) -> Result<(), Stop> {
        let Some(last) = self.last.take() else { return Ok(()) };
        let most = self.job.limits.frames as usize;
        let times: Vec<i64> = Cadence::of(self.rendition).times(from, until).take(most + 1).collect();
        self.sent += times.len();
        if self.sent > most {
            return Err(EngineError::Frames { limit: self.job.limits.frames }.into());
        }
        match times.is_empty() {
            true => self.blank = Some(last),
            false => self.pictures.push((last, times)),
        }
        Ok(())
    }

    /// Waits for a session and encodes all pictures, or has the processors do it. Says who did.
    pub(super) fn make(mut self, card: &Card) -> Result<(usize, Made, bool), Halt> {
        let made = self.encode(card);
        let size = self.size();
        let surfaces = self.pictures.drain(..).map(|(surface, _)| surface).chain(self.blank.take());
        surfaces.for_each(|surface| card.warm.keep_surface(size, surface));
        made.map(|(made, on_card)| (self.index, made, on_card))
    }

    fn encode(&mut self, card: &Card) -> Result<(Made, bool), Halt> {
        let Rendition { codec, preset, width, height, .. } = *self.rendition;
        let spec = Spec { codec, ten_bit: false, bframes: 0, preset, width, height };
        let samples = f64::from(width) * f64::from(height) * self.sent as f64;
        let until = self.job.started + self.job.limits.wall;
        let wish = Wish { spec, settings: self.told, samples, until };
        let mut units = Vec::new();
        let mut with = |session: &mut Encoding, stopped: &dyn Fn() -> bool| {
            units.clear();
            self.with(card, session, stopped, &mut units)
        };
        match card.lend(&wish, &mut with) {
            Ok(true) => {}
            Ok(false) => return self.by_processors(card).map(|made| (made, false)),
            Err(Failed::Card(error)) => return Err(error.into()),
            Err(Failed::Else(error)) => return Err(error.into()),
        }
        if units.len() != self.sent || units.is_empty() {
            let reason = format!("the encoder returned {} of {} pictures", units.len(), self.sent);
            return Err(EngineError::Codec { what: "encode".to_owned(), code: 0, reason }.into());
        }
        let mut output = Output::new(self.rendition, self.index, self.job);
        output.aspect = self.look.aspect;
        for EncodedPicture { time, key, data } in units {
            output.push(VideoUnit { pts: time, key, data })?;
        }
        let budget = Budget::new(self.rendition, rate(self.rendition, self.job));
        let pace = self.pace.unwrap_or_else(|| Pace::start(self.rendition, &budget));
        Ok((Made { out: output.finish()?, pace, encode: thread_time() }, true))
    }

    /// Everything with one session, which comes back drained unless it failed.
    fn with(
        &self,
        card: &Card,
        session: &mut Encoding,
        stopped: &dyn Fn() -> bool,
        units: &mut Vec<EncodedPicture>,
    ) -> Result<(), Failed> {
        let mut keys = Keys::new(self.rendition, self.job.timeline.frame);
        let mut copier = card.warm.scaler(&card.device)?;
        for (surface, times) in &self.pictures {
            for time in times {
                let late = self.job.check_time().err();
                let stop = late.or_else(|| {
                    stopped().then_some(EngineError::Wall { limit_ms: self.job.limits.wall.as_millis() as u64 })
                });
                if let Some(error) = stop {
                    session.drain()?;
                    return Err(error.into());
                }
                while !session.has_room() {
                    let limit = session.in_flight();
                    let full = NvidiaError::Full { what: "surfaces of the encoder session", limit };
                    units.push(session.output()?.ok_or(full)?);
                }
                copier.copy(&surface.planes(self.size()), &session.input()?)?;
                session.encode(*time, keys.due(*time))?;
            }
        }
        units.extend(session.drain()?);
        card.warm.keep_scaler(copier);
        Ok(())
    }

    /// The pictures are copied from the card and encoded here.
    fn by_processors(&mut self, card: &Card) -> Result<Made, Halt> {
        let (feed, waiting) = Feed::new(self.rendition);
        let (rung, job, pace) = ((self.index, self.rendition), self.job, self.pace);
        thread::scope(|scope| {
            let thread = thread::Builder::new().name(format!("rung-{}", self.rendition.name));
            let spawned = thread.spawn_scoped(scope, move || rung::run(rung, job, pace, &waiting));
            let encoder = spawned.map_err(|_| EngineError::Memory { what: "start an encoder thread".to_owned() })?;
            let (mut feed, size) = (feed, self.size());
            let sent = Copier::new(card).and_then(|mut copier| {
                for (surface, times) in &self.pictures {
                    copier.copy(&surface.planes(size), &mut feed, self.look)?;
                    feed.show_at(times.clone())?;
                }
                copier.end(card);
                Ok(())
            });
            // It hears that no more pictures come.
            drop(feed);
            let panicked = || EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: "the encoder thread panicked; this is a bug".to_owned(),
            };
            let made = encoder.join().unwrap_or_else(|_| Err(panicked()));
            // Each side stops when the other does; what counts is who stopped for a reason of its own.
            match (sent, made) {
                (Err(Halt::Stop(Stop::HungUp)), Err(error)) => Err(error.into()),
                (Err(halt), _) => Err(halt),
                (Ok(()), made) => Ok(made?),
            }
        })
    }

    fn size(&self) -> (u32, u32) {
        (self.rendition.width, self.rendition.height)
    }
}

/// Pictures a second of a rendition.
pub(super) fn rate(rendition: &Rendition, job: &Job<'_>) -> Fps {
    rendition.fps.unwrap_or(job.timeline.fps)
}
