//! From a segment's access units to decoded pictures, one at a time.

use std::collections::VecDeque;

use headframe_kernels::Orientation;

use crate::engine::orientation::Turning;
use crate::error::EngineError;
use crate::ffi::decoder::{Decoder, Parser, Sent};
use crate::ffi::picture::Picture;
use crate::ts::{Media, VideoKind, nearest};

/// One access unit in Annex B form, or a temporal unit.
pub(crate) struct AccessUnit {
    pub(crate) data: Vec<u8>,
    /// On the source's timeline, without wraps.
    pub(crate) pts: Option<i64>,
}

/// The video of `media` in the pieces in which it came, their times as near to `reference` as they can be.
pub(crate) fn near(media: &Media, reference: i64) -> impl Iterator<Item = (&[u8], Option<i64>)> {
    media.video.iter().map(move |unit| (&unit.data[..], unit.pts.map(|pts| nearest(pts, reference))))
}

/// Cuts video that comes in pieces with their times, at most `limit` units; more are an error.
pub(crate) fn cut<'a>(
    kind: VideoKind,
    pieces: impl Iterator<Item = (&'a [u8], Option<i64>)>,
    max_pixels: u64,
    limit: u32,
) -> Result<Vec<AccessUnit>, EngineError> {
    let mut parser = Parser::new(kind)?;
    let mut units = Vec::new();
    // To the parser, no bytes mean the end.
    for (data, pts) in pieces.filter(|(data, _)| !data.is_empty()).chain([(&[][..], None)]) {
        parser.feed(data, pts, |unit| {
            if units.len() >= limit as usize {
                return Err(EngineError::Frames { limit });
            }
            units.push(AccessUnit { data: unit.data, pts: unit.time });
            Ok(())
        })?;
        let (width, height) = parser.size();
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(EngineError::FramePixels { width, height, limit: max_pixels });
        }
    }
    Ok(units)
}

/// Decodes access units in the order in which they come.
pub(crate) struct Pictures {
    decoder: Decoder,
    units: VecDeque<AccessUnit>,
    turning: Turning,
    flushed: bool,
    /// Access units of which the decoder could make nothing.
    pub(crate) refused: u32,
}

impl Pictures {
    pub(crate) fn new(
        kind: VideoKind,
        usual: Orientation,
        units: Vec<AccessUnit>,
        max_pixels: u64,
    ) -> Result<Self, EngineError> {
        let mut decoder = Decoder::new(kind, max_pixels)?;
        decoder.export_quantisers();
        Ok(Self { decoder, units: units.into(), turning: Turning::new(kind, usual), flushed: false, refused: 0 })
    }

    /// The next picture in the order in which they are shown.
    pub(crate) fn next(&mut self) -> Result<Option<Picture>, EngineError> {
        loop {
            if let Some(mut picture) = self.decoder.receive()? {
                picture.orientation = self.turning.of(&picture);
                return Ok(Some(picture));
            }
            let unit = self.units.pop_front();
            let sent = match &unit {
                Some(unit) => {
                    self.turning.sent(&unit.data, unit.pts);
                    self.decoder.send(Some((&unit.data, unit.pts)))?
                }
                None if self.flushed => return Ok(None),
                None => {
                    self.flushed = true;
                    self.decoder.send(None)?
                }
            };
            if sent == Sent::Damaged && unit.is_some() {
                self.refused += 1;
            }
        }
    }
}
