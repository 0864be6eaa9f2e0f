//! A rung that the card decodes and scales, and the processors encode.

use super::super::job::{Job, Stop};
use super::super::scaling::Feed;
use super::Halt;
use crate::ffi::picture::Look;
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
        let from = self.surface.planes((self.rendition.width, self.rendition.height));
        copied(device, &from, &mut self.feed, self.look)
    }

    /// A picture that waits is shown from `from` until `until`.
    pub(super) fn show(&mut self, from: i64, until: i64) -> Result<(), Stop> {
        self.feed.show(from, until, self.job.limits.frames as usize)
    }
}

/// Copies a picture from the card, to be held by `feed`; U and V are taken apart.
pub(super) fn copied(device: &Device, from: &Planes<'_>, feed: &mut Feed<'_>, look: Look) -> Result<(), Halt> {
    let mut image = feed.blank()?;
    let picture = device.download(from)?;
    let (width, height) = from.size();
    let (luma, chroma) = picture.split_at(width as usize * height as usize);
    image.fill(luma, chroma)?;
    feed.hold(image, look);
    Ok(())
}
