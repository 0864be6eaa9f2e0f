//! The yardstick: the ordered pictures, encoded by the pinned encoder and decoded again.

use std::collections::VecDeque;

use headframe_kernels::{Isa, Scaler};

use super::nal::{Content, words};
use super::ordered::Shown;
use super::profile::Profile;
use super::spans::Stop;
use crate::error::EngineError;
use crate::ffi::decoder::{Decoder, Sent};
use crate::ffi::picture::{Image, Picture};
use crate::ffi::pinned::{Encoder, Settings};
use crate::segment::TICKS_PER_SECOND;
use crate::ts::VideoKind;

/// An ordered picture and what the reference encoder makes of it.
pub(super) struct Pair {
    pub(super) shown: Shown,
    pub(super) reference: Picture,
    /// The encoder's words about itself; with the first picture only.
    pub(super) build: Option<String>,
    /// Bytes of slices that the encoder has written up to now, which may include pictures to come.
    pub(super) slice_bytes: u64,
}

/// Encodes what `ordered` yields. It is over after an error.
pub(super) struct Reference<'a, I> {
    profile: &'a Profile,
    isa: Isa,
    /// Length of one source picture in ticks.
    frame: i64,
    ordered: I,
    encoder: Option<Encoder>,
    decoder: Decoder,
    image: Image,
    copy: Scaler,
    /// Sent to the encoder, not yet decoded.
    waiting: VecDeque<Shown>,
    ready: VecDeque<Picture>,
    build: Option<String>,
    slice_bytes: u64,
    sent: i64,
    start: i64,
    next_key: i64,
    over: bool,
}

impl<'a, I: Iterator<Item = Result<Shown, Stop>>> Reference<'a, I> {
    pub(super) fn new(profile: &'a Profile, isa: Isa, frame: i64, ordered: I) -> Result<Self, EngineError> {
        let size = (profile.rendition.width, profile.rendition.height);
        let same =
            Scaler::with_isa(size, size, isa).map_err(|error| EngineError::Scale { reason: error.to_string() })?;
        let mut decoder = Decoder::new(VideoKind::H264, u64::MAX)?;
        decoder.export_quantisers();
        Ok(Self {
            profile,
            isa,
            frame,
            ordered,
            encoder: None,
            decoder,
            image: Image::new(size.0, size.1)?,
            copy: same,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            build: None,
            slice_bytes: 0,
            sent: 0,
            start: 0,
            next_key: i64::MIN,
            over: false,
        })
    }

    fn open(&self) -> Result<Encoder, EngineError> {
        let Profile { rendition, reference, .. } = self.profile;
        // From whole ticks: a ratio that rounds the same way everywhere.
        let rate = match rendition.fps {
            Some(fps) => (fps.num, fps.den),
            None => (TICKS_PER_SECOND as u32, u32::try_from(self.frame).unwrap_or(u32::MAX)),
        };
        let rate = reduced(rate);
        let pictures = u64::from(rendition.gop_ms) * u64::from(rate.0) / (u64::from(rate.1) * 1000);
        let buffer = u64::from(rendition.bitrate_bps) * u64::from(reference.buffer_ms) / 1000;
        // The bytes must not depend on the machine; without fast code they are made without any, so that tests can tell.
        let options = match self.isa {
            Isa::Portable => format!("{}:asm=0", reference.options),
            _ => reference.options.clone(),
        };
        Encoder::new(&Settings {
            size: (rendition.width, rendition.height),
            bitrate_bps: rendition.bitrate_bps,
            buffer_bits: u32::try_from(buffer).unwrap_or(u32::MAX),
            rate,
            gop: u32::try_from(pictures).unwrap_or(u32::MAX).min(5000) + 2,
            preset: &reference.preset,
            options: &options,
        })
    }

    fn advance(&mut self) -> Result<(), Stop> {
        let Some(shown) = self.ordered.next().transpose()? else {
            self.over = true;
            if let Some(encoder) = &mut self.encoder {
                encoder.send(None)?;
                self.drain()?;
                self.decode(None)?;
            }
            return match self.ready.len() == self.waiting.len() {
                true => Ok(()),
                false => Err(lost().into()),
            };
        };
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                self.start = shown.time;
                self.open()?
            }
        };
        let key = shown.time + self.frame / 2 >= self.next_key;
        if key {
            let gop = i64::from(self.profile.rendition.gop_ms) * TICKS_PER_SECOND / 1000;
            let due = shown.time + self.frame / 2 - self.start;
            self.next_key = self.start + (due / gop + 1) * gop;
        }
        // Equal sizes: this only copies.
        let copied = self.copy.scale_yuv420(&shown.raster.view(), &mut self.image.view()?);
        copied.map_err(|_| lost())?;
        encoder.send(Some((&mut self.image, self.sent, key)))?;
        self.encoder = Some(encoder);
        self.sent += 1;
        self.waiting.push_back(shown);
        Ok(self.drain()?)
    }

    fn drain(&mut self) -> Result<(), EngineError> {
        while let Some(unit) = self.encoder.as_mut().map_or(Ok(None), Encoder::receive)? {
            if self.build.is_none() && self.slice_bytes == 0 {
                self.build = Some(words(&unit, "x264 - core").unwrap_or("unknown").to_owned());
            }
            self.slice_bytes += Content::of(&unit).slice_bytes;
            self.decode(Some(&unit))?;
        }
        Ok(())
    }

    fn decode(&mut self, unit: Option<&[u8]>) -> Result<(), EngineError> {
        if self.decoder.send(unit.map(|unit| (unit, None)))? == Sent::Damaged {
            return Err(lost());
        }
        while let Some(picture) = self.decoder.receive()? {
            self.ready.push_back(picture);
        }
        Ok(())
    }
}

/// This machine's encoder or decoder does not do what it says.
fn lost() -> EngineError {
    EngineError::Codec {
        what: "make the reference encode".to_owned(),
        code: 0,
        reason: "libx264's pictures do not come back one for one".to_owned(),
    }
}

fn reduced((num, den): (u32, u32)) -> (u32, u32) {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (num / a.max(1), den / a.max(1))
}

impl<I: Iterator<Item = Result<Shown, Stop>>> Iterator for Reference<'_, I> {
    type Item = Result<Pair, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if !self.ready.is_empty()
                && let (Some(shown), Some(reference)) = (self.waiting.pop_front(), self.ready.pop_front())
            {
                let (build, slice_bytes) = (self.build.take(), self.slice_bytes);
                return Some(Ok(Pair { shown, reference, build, slice_bytes }));
            }
            if self.over {
                return None;
            }
            if let Err(stop) = self.advance() {
                self.over = true;
                return Some(Err(stop));
            }
        }
    }
}
