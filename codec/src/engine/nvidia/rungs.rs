//! All rungs of a segment: each picture is scaled into all of them at once.

use std::time::Duration;

use super::super::job::Job;
use super::super::rung::Made;
use super::super::scaling::{Feed, Waiting, shaped};
use super::decoding::Decoded;
use super::host::OnHost;
use super::on_card::{OnCard, rate};
use super::settings::{self, sample_aspect};
use super::{Card, Halt};
use crate::error::EngineError;
use crate::ffi::clock::thread_time;
use crate::ffi::picture::Look;
use crate::ladder::{Ladder, Rendition};
use crate::nvidia::{Format, Planes, Scaler, Surface};
use crate::pace::Pace;

enum Rung<'a> {
    OnCard(Box<OnCard<'a>>),
    OnHost(OnHost<'a>),
}

impl Rung<'_> {
    fn blank(&mut self) -> Result<Planes<'_>, Halt> {
        match self {
            Self::OnCard(rung) => rung.blank(),
            Self::OnHost(rung) => Ok(rung.blank()),
        }
    }
}

/// What the card made, with the rungs' places in the ladder, and processor time.
pub(super) struct Finished {
    pub(super) made: Vec<(usize, Made)>,
    pub(super) scale: Duration,
    pub(super) encode: Duration,
}

pub(super) struct Rungs<'a, F> {
    job: &'a Job<'a>,
    ladder: &'a Ladder,
    paces: Vec<Pace>,
    /// Begins to encode a rung on the host.
    spawn: F,
    /// Made for the first picture.
    begun: Option<(Vec<Rung<'a>>, Scaler)>,
    last: i64,
    scale: Duration,
    encode: Duration,
}

impl<'a, F> Rungs<'a, F>
where
    F: FnMut((usize, &'a Rendition), Waiting) -> Result<(), EngineError>,
{
    pub(super) fn new(job: &'a Job<'a>, ladder: &'a Ladder, paces: &[Pace], spawn: F) -> Self {
        let paces = paces.to_vec();
        Self { job, ladder, paces, spawn, begun: None, last: 0, scale: Duration::ZERO, encode: Duration::ZERO }
    }

    /// Makes every rung's picture of `picture`, shown at `pts`.
    pub(super) fn take(&mut self, card: &Card, picture: &Decoded<'_>, pts: i64) -> Result<(), Halt> {
        let begun = thread_time();
        let (mut rungs, mut scaler) = match self.begun.take() {
            Some(begun) => begun,
            None => (self.begin(card, &picture.format)?, card.warm.scaler(&card.device)?),
        };
        show(&mut rungs, &mut scaler, self.last, pts)?;
        let blanks = rungs.iter_mut().map(Rung::blank).collect::<Result<Vec<_>, _>>()?;
        let before = thread_time();
        scaler.scale(&picture.planes, &blanks)?;
        let scaled = thread_time();
        drop(blanks);
        for rung in &mut rungs {
            match rung {
                Rung::OnCard(rung) => rung.scaled(pts)?,
                Rung::OnHost(rung) => rung.scaled(&card.device)?,
            }
        }
        self.begun = Some((rungs, scaler));
        self.last = pts;
        let scale = scaled.saturating_sub(before);
        self.scale += scale;
        self.encode += thread_time().saturating_sub(begun + scale);
        Ok(())
    }

    /// Finds an encoder for every rung.
    fn begin(&mut self, card: &Card, format: &Format) -> Result<Vec<Rung<'a>>, Halt> {
        let job = self.job;
        let mut rungs = Vec::new();
        for (index, rendition) in self.ladder.renditions().iter().enumerate() {
            let aspect = shaped(sample_aspect(format), format.size, Default::default(), rendition);
            let told = settings::of(rendition, rate(rendition, job), aspect, format);
            let surface = || Surface::new(&card.device, (rendition.width, rendition.height), 8);
            let session = if card.encodes { card.warm.session(&card.device, &told)? } else { None };
            rungs.push(match session {
                Some(session) => {
                    let held = rendition.fps.map(|_| surface()).transpose()?;
                    let pace = self.paces.get(index).copied();
                    Rung::OnCard(Box::new(OnCard::new((index, rendition), job, session, held, aspect, pace)))
                }
                None => {
                    let (feed, waiting) = Feed::new(rendition);
                    (self.spawn)((index, rendition), waiting)?;
                    Rung::OnHost(OnHost::new(rendition, job, surface()?, feed, Look::of(aspect, &format.colour)))
                }
            });
        }
        Ok(rungs)
    }

    /// The last picture ends at `end`. Sessions go back to the card.
    pub(super) fn finish(&mut self, card: &Card, end: i64) -> Result<Finished, Halt> {
        let begun = thread_time();
        let mut made = Vec::new();
        if let Some((mut rungs, mut scaler)) = self.begun.take() {
            show(&mut rungs, &mut scaler, self.last, end)?;
            for (index, rung) in rungs.into_iter().enumerate() {
                // Dropped, a rung on the host hears that no more pictures come.
                if let Rung::OnCard(rung) = rung {
                    let (rung, session) = rung.finish()?;
                    card.warm.keep_session(session);
                    made.push((index, rung));
                }
            }
            card.warm.keep_scaler(scaler);
        }
        let encode = self.encode + thread_time().saturating_sub(begun);
        Ok(Finished { made, scale: self.scale, encode })
    }
}

fn show(rungs: &mut [Rung<'_>], scaler: &mut Scaler, from: i64, until: i64) -> Result<(), Halt> {
    for rung in rungs {
        match rung {
            Rung::OnCard(rung) => rung.show(scaler, from, until)?,
            Rung::OnHost(rung) => rung.show(from, until)?,
        }
    }
    Ok(())
}
