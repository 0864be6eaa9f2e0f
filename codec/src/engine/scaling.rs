//! From decoded pictures to every rung's own: one pass over the source, pictures in a small ring per rung.

use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use headframe_kernels::{Isa, Orientation, SourceRef, UprightScaler, Yuv420Mut};

use super::FILTER;
use super::job::{Job, Stop};
use super::timeline::Cadence;
use super::vulkan::{self, Made, Turn};
use crate::error::EngineError;
use crate::ffi::clock::thread_time;
use crate::ffi::picture::{Image, Look, Picture};
use crate::ladder::{Ladder, Rendition};

/// Pictures that may wait for one encoder: enough to ride out its uneven pace, few enough to keep a ladder below 190 MB.
const QUEUE: usize = 2;
/// Pictures of one rung: those in its queue, one that is being encoded, one whose end is not known yet, one being made.
const RING: usize = QUEUE + 3;

/// A picture for one rung.
pub(super) struct Shown {
    pub(super) image: Image,
    pub(super) look: Look,
    /// When it is shown, at least once.
    pub(super) times: Vec<i64>,
}

/// What a rung's encoder sees of it.
pub(super) struct Waiting {
    /// Pictures to encode.
    pub(super) pictures: Receiver<Shown>,
    /// Where pictures that were read go back. Nobody takes them any more when the source has ended.
    pub(super) spare: Sender<Image>,
}

/// One rung as the scaler sees it.
pub(super) struct Feed<'a> {
    rendition: &'a Rendition,
    cadence: Cadence,
    queue: SyncSender<Shown>,
    /// Where the encoder returns pictures that it has read.
    returned: Receiver<Image>,
    spare: Vec<Image>,
    made: usize,
    /// The last picture; it is shown until the next one's time, so it waits for that.
    held: Option<(Image, Look)>,
}

/// Scales and hands on.
pub(super) struct Scaling<'a> {
    job: &'a Job<'a>,
    sizes: Vec<(u32, u32)>,
    /// A device that scales instead of the processor.
    device: Option<Turn<'a>>,
    scaler: Option<UprightScaler>,
    feeds: Vec<Feed<'a>>,
    held_pts: i64,
    scale: Duration,
}

impl<'a> Scaling<'a> {
    pub(super) fn new(job: &'a Job<'a>, ladder: &'a Ladder, device: Option<&'a vulkan::Device>) -> Self {
        let sizes = ladder.renditions().iter().map(|rendition| (rendition.width, rendition.height)).collect();
        let (device, feeds) = (device.map(Turn::of), Vec::new());
        Self { job, sizes, device, scaler: None, feeds, held_pts: 0, scale: Duration::ZERO }
    }

    /// Adds the next rung of the ladder.
    pub(super) fn feed(&mut self, rendition: &'a Rendition) -> Waiting {
        let (feed, waiting) = Feed::new(rendition);
        self.feeds.push(feed);
        waiting
    }

    /// Makes every rung's picture of `picture`.
    pub(super) fn take(&mut self, picture: &Picture) -> Result<(), Stop> {
        self.show_held(picture.pts)?;
        let mut images = self.feeds.iter_mut().map(Feed::blank).collect::<Result<Vec<_>, _>>()?;
        let before = thread_time();
        let source = picture.view()?;
        let mut views = images.iter_mut().map(Image::view).collect::<Result<Vec<_>, _>>()?;
        self.make(&source, picture.orientation, &mut views)?;
        drop(views);
        for (feed, image) in self.feeds.iter_mut().zip(images) {
            let mut look = picture.look();
            look.aspect = shaped(look.aspect, picture.size(), picture.orientation, feed.rendition);
            feed.hold(image, look);
        }
        self.held_pts = picture.pts;
        self.scale += thread_time().saturating_sub(before);
        Ok(())
    }

    fn make(
        &mut self,
        source: &SourceRef<'_>,
        orientation: Orientation,
        out: &mut [Yuv420Mut<'_>],
    ) -> Result<(), EngineError> {
        let device = self.device.as_mut();
        match device.map_or(Made::Nothing, |device| device.scale(source, orientation, &self.sizes, out)) {
            Made::All => Ok(()),
            Made::Nothing => self.make_here(source, orientation, out),
            Made::ToCheck => {
                let made = samples(out);
                self.make_here(source, orientation, out)?;
                if let Some(device) = self.device.as_mut().filter(|_| samples(out) != made) {
                    device.differs();
                }
                Ok(())
            }
        }
    }

    fn make_here(
        &mut self,
        source: &SourceRef<'_>,
        orientation: Orientation,
        out: &mut [Yuv420Mut<'_>],
    ) -> Result<(), EngineError> {
        let refused = |error: headframe_kernels::ScaleError| EngineError::Scale { reason: error.to_string() };
        let kind = source.source();
        // Made again when the source changes its size, format or orientation on the way.
        let scaler = match self.scaler.take_if(|scaler| scaler.takes(kind, orientation)) {
            Some(scaler) => scaler,
            None => UprightScaler::new(kind, orientation, &self.sizes, FILTER, Isa::best()).map_err(refused)?,
        };
        self.scaler.insert(scaler).scale(source, out).map_err(refused)
    }

    /// Shows what is held until `end`. Returns the processor time spent scaling.
    pub(super) fn finish(mut self, end: i64) -> Result<Duration, Stop> {
        self.show_held(end)?;
        Ok(self.scale)
    }

    fn show_held(&mut self, until: i64) -> Result<(), Stop> {
        let most = self.job.limits.frames as usize;
        self.feeds.iter_mut().try_for_each(|feed| feed.show(self.held_pts, until, most))
    }
}

/// All samples of all rungs.
fn samples(rungs: &[Yuv420Mut<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    for rung in rungs {
        for plane in rung.to_ref().planes() {
            (0..plane.height()).for_each(|y| all.extend_from_slice(plane.row(y)));
        }
    }
    all
}

impl<'a> Feed<'a> {
    pub(super) fn new(rendition: &'a Rendition) -> (Self, Waiting) {
        let (queue, pictures) = sync_channel(QUEUE);
        let (spare, returned) = channel();
        let cadence = Cadence::of(rendition);
        let feed = Self { rendition, cadence, queue, returned, spare: Vec::new(), made: 0, held: None };
        (feed, Waiting { pictures, spare })
    }

    /// A picture to be overwritten; waits for the encoder when all are in use.
    pub(super) fn blank(&mut self) -> Result<Image, Stop> {
        if let Some(image) = self.spare.pop() {
            return Ok(image);
        }
        match self.returned.try_recv() {
            Ok(image) => Ok(image),
            Err(TryRecvError::Empty) if self.made < RING => {
                self.made += 1;
                Ok(Image::new(self.rendition.width, self.rendition.height)?)
            }
            Err(TryRecvError::Empty) => self.returned.recv().map_err(|_| Stop::HungUp),
            Err(TryRecvError::Disconnected) => Err(Stop::HungUp),
        }
    }

    /// Takes the next picture, which waits until it is known how long it is shown.
    pub(super) fn hold(&mut self, image: Image, look: Look) {
        self.held = Some((image, look));
    }

    /// The picture that is held is shown from `from` until `until`: at no more than `most` times.
    pub(super) fn show(&mut self, from: i64, until: i64, most: usize) -> Result<(), Stop> {
        self.show_at(self.cadence.times(from, until).take(most + 1).collect())
    }

    /// The picture that is held is shown at these times.
    pub(super) fn show_at(&mut self, times: Vec<i64>) -> Result<(), Stop> {
        let Some((image, look)) = self.held.take() else { return Ok(()) };
        if times.is_empty() {
            self.spare.push(image);
            return Ok(());
        }
        self.queue.send(Shown { image, look, times }).map_err(|_| Stop::HungUp)
    }
}

/// The sample aspect ratio that keeps the shape of a source whose samples are `aspect` (0 where that is not known) and
/// whose pictures are of `size` before they are turned. Less than 1.5 % off square is square: the usual sizes (426x240,
/// 854x480) are meant to be.
pub(super) fn shaped(
    aspect: (i32, i32),
    size: (u32, u32),
    orientation: Orientation,
    rendition: &Rendition,
) -> (i32, i32) {
    let (width, height) = orientation.turned(size);
    let (num, den) = match aspect {
        (num, den) if num > 0 && den > 0 => (num as u64, den as u64),
        _ => (1, 1),
    };
    let (num, den) = if orientation.transpose { (den, num) } else { (num, den) };
    let num = num * u64::from(width) * u64::from(rendition.height);
    let den = den * u64::from(height) * u64::from(rendition.width);
    let square = num.abs_diff(den) * 1000 < 15 * num.max(den);
    if square { (1, 1) } else { reduced(num, den) }
}

/// The ratio with both numbers below 2^16, as the bitstream wants it.
pub(super) fn reduced(num: u64, den: u64) -> (i32, i32) {
    let common = gcd(num, den).max(1);
    let (mut num, mut den) = (num / common, den / common);
    while num > 65_535 || den > 65_535 {
        (num, den) = (num / 2, den / 2);
    }
    (num.max(1) as i32, den.max(1) as i32)
}

/// What both can be divided by; 0 of two zeros.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_reduced() {
        assert_eq!(reduced(1920 * 240, 1080 * 426), (640, 639));
        let (num, den) = reduced(1_000_003, 2_000_003);
        assert!(num < 65_536 && den < 65_536 && (f64::from(num) / f64::from(den) - 0.5).abs() < 1e-4);
    }
}
