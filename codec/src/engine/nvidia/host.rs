//! A rung that the card decodes and scales, and the processors encode.

use super::super::job::{Job, Stop};
use super::super::scaling::Feed;
use super::{Card, Halt};
use crate::ffi::picture::Look;
use crate::ladder::Rendition;
use crate::nvidia::{Planes, Scaler, Surface};

pub(super) struct OnHost<'a> {
    rendition: &'a Rendition,
    job: &'a Job<'a>,
    surface: Surface,
    copier: Copier,
    feed: Feed<'a>,
    look: Look,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(
        rendition: &'a Rendition,
        job: &'a Job<'a>,
        card: &Card,
        feed: Feed<'a>,
        look: Look,
    ) -> Result<Self, Halt> {
        let surface = card.warm.surface(&card.device, (rendition.width, rendition.height))?;
        Ok(Self { rendition, job, surface, copier: Copier::new(card)?, feed, look })
    }

    /// No more pictures come, which the encoder hears.
    pub(super) fn end(self, card: &Card) {
        card.warm.keep_surface((self.rendition.width, self.rendition.height), self.surface);
        self.copier.end(card);
    }

    /// Where the next picture goes.
    pub(super) fn blank(&self) -> Planes<'_> {
        self.surface.planes((self.rendition.width, self.rendition.height))
    }

    /// The picture is there: it is copied from the card, and waits until it is known how long it is shown.
    pub(super) fn scaled(&mut self) -> Result<(), Halt> {
        let from = self.surface.planes((self.rendition.width, self.rendition.height));
        self.copier.copy(&from, &mut self.feed, self.look)
    }

    /// A picture that waits is shown from `from` until `until`.
    pub(super) fn show(&mut self, from: i64, until: i64) -> Result<(), Stop> {
        self.feed.show(from, until, self.job.limits.frames as usize)
    }
}

/// Copies pictures from the card.
pub(super) struct Copier {
    scaler: Scaler,
    /// The last one.
    picture: Vec<u8>,
}

impl Copier {
    pub(super) fn new(card: &Card) -> Result<Self, Halt> {
        Ok(Self { scaler: card.warm.scaler(&card.device)?, picture: Vec::new() })
    }

    /// Copies a picture to be held by `feed`; U and V are taken apart.
    pub(super) fn copy(&mut self, from: &Planes<'_>, feed: &mut Feed<'_>, look: Look) -> Result<(), Halt> {
        let mut image = feed.blank()?;
        self.scaler.download(from, &mut self.picture)?;
        let (width, height) = from.size();
        let (luma, chroma) = self.picture.split_at(width as usize * height as usize);
        image.fill(luma, chroma)?;
        feed.hold(image, look);
        Ok(())
    }

    pub(super) fn end(self, card: &Card) {
        card.warm.keep_scaler(self.scaler);
    }
}
