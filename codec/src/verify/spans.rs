//! The source's pictures, decoded exactly, each with the time from which and until which it is shown.

use super::pictures::Pictures;
use crate::budget::Limits;
use crate::engine::timeline::{Clock, Timeline};
use crate::error::EngineError;
use crate::ffi::picture::Picture;

/// Why there is no further picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The source is damaged at this picture: encoders may conceal that each in its own way.
    Unclean(u32),
    /// The source cannot be used, or this machine cannot go on.
    Failed(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// One picture of the source.
pub(crate) struct Span {
    pub(crate) picture: Picture,
    /// On the source's timeline, later than the one before.
    pub(crate) from: i64,
    /// The next one's time, or one picture's length later.
    pub(crate) until: i64,
}

/// When engines show the pictures of a source.
#[derive(Clone)]
pub(crate) struct SourceClock {
    /// Without the times, which the access units have.
    pub(crate) timeline: Timeline,
    clock: Clock,
}

impl SourceClock {
    pub(crate) fn of(timeline: Timeline) -> Self {
        Self { timeline: Timeline { times: Vec::new(), ..timeline }, clock: Clock::default() }
    }

    /// When a picture is shown whose own time is `given`. `None` where that is not its own time: it does not rise, or engines
    /// take the source's clock to have been set.
    fn show(&mut self, given: Option<i64>) -> Option<i64> {
        let time = self.clock.next(given, &self.timeline);
        given.is_none_or(|given| given == time).then_some(time)
    }
}

/// All of them, in order. It is over after an error.
pub(crate) struct Spans {
    pictures: Pictures,
    clock: SourceClock,
    /// The picture that is current until the next one's time.
    held: Option<(Picture, i64)>,
    decoded: u32,
    /// Luma samples made of each picture, which count as the picture's own do.
    made: u64,
    pixels: u64,
    most_pixels: u64,
    over: bool,
}

impl Spans {
    pub(crate) fn new(pictures: Pictures, clock: SourceClock, made: u64, limits: &Limits) -> Self {
        Self { pictures, clock, held: None, decoded: 0, made, pixels: 0, most_pixels: limits.pixels, over: false }
    }

    /// Counts luma samples that are worked on elsewhere.
    pub(crate) fn spend(&mut self, pixels: u64) -> Result<(), EngineError> {
        self.pixels = self.pixels.saturating_add(pixels);
        if self.pixels > self.most_pixels { Err(EngineError::Pixels { limit: self.most_pixels }) } else { Ok(()) }
    }

    /// Decodes on until it is known how long a picture is shown. `None` where the source has ended.
    fn advance(&mut self) -> Result<Option<Span>, Stop> {
        loop {
            let next = self.pictures.next()?;
            if self.pictures.refused > 0 {
                return Err(Stop::Unclean(self.decoded));
            }
            let Some(picture) = next else {
                self.over = true;
                return match self.held.take() {
                    Some((picture, from)) => Ok(Some(Span { picture, from, until: from + self.clock.timeline.frame })),
                    None => Err(EngineError::NoFrames { units: 0 }.into()),
                };
            };
            picture.view()?;
            let (width, height) = picture.size();
            self.spend(u64::from(width) * u64::from(height) + self.made)?;
            let time = self.clock.show(picture.sent_pts());
            let (Some(time), false) = (time, picture.is_damaged()) else { return Err(Stop::Unclean(self.decoded)) };
            self.decoded += 1;
            if let Some((picture, from)) = self.held.replace((picture, time)) {
                return Ok(Some(Span { picture, from, until: time }));
            }
        }
    }
}

impl Iterator for Spans {
    type Item = Result<Span, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let span = self.advance();
        self.over |= span.is_err();
        span.transpose()
    }
}
