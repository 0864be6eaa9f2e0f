//! libx264 as the verification predicate pins it: every option comes from a profile, none from the engine, so that the
//! engine's encoder can change without changing a verdict.

use std::ffi::c_int;

use super::encoder::{Session, Shape};
use super::picture::Image;
use crate::error::EngineError;

/// What to encode, and how.
pub(crate) struct Settings<'a> {
    pub(crate) size: (u32, u32),
    pub(crate) bitrate_bps: u32,
    /// Bits of the rate control's buffer.
    pub(crate) buffer_bits: u32,
    /// Pictures per second, a ratio.
    pub(crate) rate: (u32, u32),
    /// Most pictures from IDR to IDR.
    pub(crate) gop: u32,
    pub(crate) preset: &'a str,
    /// x264's own, joined by colons.
    pub(crate) options: &'a str,
}

/// An encoder with one thread and no B-frames: pictures come back in the order in which they were sent.
pub(crate) struct Encoder(Session);

impl Encoder {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, EngineError> {
        let session = Session::open("libx264", |fields, options| {
            Shape { size: settings.size, rate: settings.rate, gop: settings.gop }.apply(fields);
            fields.bit_rate = i64::from(settings.bitrate_bps);
            fields.rc_max_rate = i64::from(settings.bitrate_bps);
            fields.rc_buffer_size = c_int::try_from(settings.buffer_bits).unwrap_or(c_int::MAX);
            options.set("preset", settings.preset)?;
            options.set("profile", "high")?;
            options.set("forced-idr", "1")?;
            options.set("sc_threshold", "0")?;
            options.set("x264-params", settings.options)
        });
        session.map(Self)
    }

    /// Sends one picture, or the end of all with `None`. Receive everything before sending more.
    pub(crate) fn send(&mut self, image: Option<(&mut Image, i64, bool)>) -> Result<(), EngineError> {
        self.0.send_picture(image)
    }

    /// The next access unit (Annex B); `None` when the encoder wants more pictures or has ended.
    pub(crate) fn receive(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.0.receive()?.map(|encoded| encoded.data))
    }
}
