//! A rung that the card decodes and scales, and the processors encode.

use super::super::job::{Job, Stop};
use super::super::scaling::Feed;
use super::Halt;
use crate::ffi::picture::{Image, Look};
use crate::ladder::Rendition;
use crate::nvidia::{Device, Planes, Surface};

pub(super) struct OnHost<'a> {
    rendition: &'a Rendition,
    job: &'a Job<'a>,
    surface: Surface,
    feed: Feed<'a>,
    look: Look,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(
        rendition: &'a Rendition,
        job: &'a Job<'a>,
        surface: Surface,
        feed: Feed<'a>,
        look: Look,
    ) -> Self {
        Self { rendition, job, surface, feed, look }
    }

    /// Where the next picture goes.
    pub(super) fn blank(&self) -> Planes<'_> {
        self.surface.planes((self.rendition.width, self.rendition.height))
    }

    /// The picture is there: it is copied from the card, and waits until it is known how long it is shown.
    pub(super) fn scaled(&mut self, device: &Device) -> Result<(), Halt> {
        let mut image = self.feed.blank()?;
        let picture = device.download(&self.blank())?;
        self.part(&picture, &mut image)?;
        self.feed.hold(image, self.look);
        Ok(())
    }

    /// Takes U and V apart.
    fn part(&self, picture: &[u8], image: &mut Image) -> Result<(), Stop> {
        let (width, height) = (self.rendition.width as usize, self.rendition.height as usize);
        let (luma, chroma) = picture.split_at(width * height);
        image.fill(luma, chroma)?;
        Ok(())
    }

    /// A picture that waits is shown from `from` until `until`.
    pub(super) fn show(&mut self, from: i64, until: i64) -> Result<(), Stop> {
        self.feed.show(from, until, self.job.limits.frames as usize)
    }
}
