//! All rungs of a segment: each picture is scaled into all of them at once.

use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
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
use crate::nvidia::{Batcher, Format, Planes};
use crate::pace::Pace;

enum Rung<'a> {
    OnCard(Box<OnCard<'a>>),
    OnHost(Box<OnHost<'a>>),
}

impl Rung<'_> {
    fn blank(&mut self, card: &Card) -> Result<Planes<'_>, Halt> {
        match self {
            Self::OnCard(rung) => rung.blank(card),
            Self::OnHost(rung) => Ok(rung.blank()),
        }
    }
}

/// What the card made, with the rungs' places in the ladder, and processor time.
pub(super) struct Finished {
    pub(super) made: Vec<(usize, Made, bool)>,
    pub(super) scale: Duration,
    pub(super) encode: Duration,
    /// Of that, this thread's.
    pub(super) own: Duration,
}

pub(super) struct Rungs<'a, F> {
    job: &'a Job<'a>,
    ladder: &'a Ladder,
    paces: Vec<Pace>,
    /// Begins to encode a rung on the host.
    spawn: F,
    /// Made for the first picture.
    begun: Option<Vec<Rung<'a>>>,
    batcher: Option<Arc<Batcher>>,
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
        let (begun, batcher) = Default::default();
        Self { job, ladder, paces, spawn, begun, batcher, last: 0, scale: Duration::ZERO, encode: Duration::ZERO }
    }

    /// Makes every rung's picture of `picture`, shown at `pts`.
    pub(super) fn take(&mut self, card: &Card, picture: &Decoded<'_>, pts: i64) -> Result<(), Halt> {
        let begun = thread_time();
        let mut rungs = match self.begun.take() {
            Some(begun) => begun,
            None => self.begin(card, &picture.format)?,
        };
        show(&mut rungs, self.last, pts)?;
        let blanks = rungs.iter_mut().map(|rung| rung.blank(card)).collect::<Result<Vec<_>, _>>()?;
        let before = thread_time();
        let kind = (picture.planes.size(), picture.planes.bit_depth());
        let sizes: Vec<_> = blanks.iter().map(Planes::size).collect();
        let batcher = match self.batcher.take_if(|batcher| batcher.is_for(kind, &sizes)) {
            Some(batcher) => batcher,
            None => card.warm.batcher(&card.device, kind, &sizes)?,
        };
        let share = self.batcher.insert(batcher).scale(&picture.planes, &blanks)?;
        card.scaled(picture.format.size, share);
        let scaled = thread_time();
        drop(blanks);
        for rung in &mut rungs {
            match rung {
                Rung::OnCard(rung) => rung.scaled(),
                Rung::OnHost(rung) => rung.scaled()?,
            }
        }
        self.begun = Some(rungs);
        self.last = pts;
        let scale = scaled.saturating_sub(before);
        self.scale += scale;
        self.encode += thread_time().saturating_sub(begun + scale);
        Ok(())
    }

    /// Says who is to encode each rung.
    fn begin(&mut self, card: &Card, format: &Format) -> Result<Vec<Rung<'a>>, Halt> {
        let job = self.job;
        let mut rungs = Vec::new();
        for (index, rendition) in self.ladder.renditions().iter().enumerate() {
            let aspect = shaped(sample_aspect(format), format.size, Default::default(), rendition);
            let (told, look) =
                (settings::of(rendition, rate(rendition, job), aspect, format), Look::of(aspect, &format.colour));
            rungs.push(if card.encodes && card.warm.encodes(&card.device, &told)? {
                let pace = self.paces.get(index).copied();
                Rung::OnCard(Box::new(OnCard::new((index, rendition), job, told, look, pace)))
            } else {
                let (feed, waiting) = Feed::new(rendition);
                (self.spawn)((index, rendition), waiting)?;
                Rung::OnHost(Box::new(OnHost::new(rendition, job, card, feed, look)?))
            });
        }
        Ok(rungs)
    }

    /// The last picture ends at `end`. What waits in the card's memory is encoded, each rung for itself.
    pub(super) fn finish(&mut self, card: &Card, end: i64) -> Result<Finished, Halt> {
        let begun = thread_time();
        let Some(mut rungs) = self.begun.take() else {
            return Ok(Finished { made: Vec::new(), scale: self.scale, encode: self.encode, own: self.encode });
        };
        show(&mut rungs, self.last, end)?;
        let on_card = rungs.into_iter().filter_map(|rung| match rung {
            Rung::OnCard(rung) => Some(rung),
            Rung::OnHost(rung) => {
                rung.end(card);
                None
            }
        });
        let made = thread::scope(|scope| {
            let begin = |rung: Box<OnCard<'a>>| {
                let thread = thread::Builder::new().name("rung-on-card".to_owned());
                let failed = |_| EngineError::Memory { what: "start a thread for a rung".to_owned() };
                thread.spawn_scoped(scope, move || rung.make(card)).map_err(failed)
            };
            let begun: Vec<_> = on_card.map(begin).collect();
            let panicked = || EngineError::Codec {
                what: "encode".to_owned(),
                code: 0,
                reason: "the thread of a rung panicked; this is a bug".to_owned(),
            };
            let end = |thread: Result<ScopedJoinHandle<'_, _>, EngineError>| {
                thread?.join().unwrap_or_else(|_| Err(panicked().into()))
            };
            begun.into_iter().map(end).collect::<Result<Vec<_>, Halt>>()
        })?;
        let others: Duration = made.iter().map(|(_, made, _)| made.encode).sum();
        let own = self.encode + thread_time().saturating_sub(begun);
        Ok(Finished { made, scale: self.scale, encode: own + others, own })
    }
}

fn show(rungs: &mut [Rung<'_>], from: i64, until: i64) -> Result<(), Halt> {
    for rung in rungs {
        match rung {
            Rung::OnCard(rung) => rung.show(from, until)?,
            Rung::OnHost(rung) => rung.show(from, until)?,
        }
    }
    Ok(())
}
