//! Cards of NVIDIA: what they can do, decoders, encoder sessions, memory on the card. All of it is found at run time; a
//! machine without a driver gets an error that says so.
//!
//! What never ran on a real card is marked so in the README. In the tests, doubles of the driver's libraries
//! (`codec/doubles`) stand in, which decode and encode on the CPU.
//!
//! [`crate::engine::nvidia`] makes segments with it, or with FFmpeg's way to the driver where [`crate::engine::nvidia::choose`] finds
//! that this one does not work on a card:
//! 1. [`Decoder::feed`] with every access unit, [`Decoder::flush`] at the end, [`Decoder::restart`] before the next stream or
//!    segment. Its sink gets each [`Picture`] where it lies on the card.
//! 2. In the sink, for every rung: [`EncoderSession::input`] gives the surface that [`Scaler::scale`] writes, or [`Batcher::scale`]
//!    together with what other threads have; both return when the card is done.
//! 3. [`EncoderSession::encode`] with the picture's time and whether it is to be an IDR picture; the picture is dropped.
//! 4. [`EncoderSession::output`] where [`EncoderSession::has_room`] says no; [`EncoderSession::drain`] at the segment's end.
//! 5. Between segments, [`EncoderSession::reconfigure`] with the next rung's settings where
//!    [`EncoderSettings::can_become`] allows it, also when nothing changes: it begins anew, and the output is that of a new
//!    session. Where the driver refuses, the session is dropped and another one opened.
//!
//! How many sessions there are to share is learned with [`Device::free_sessions`] and from
//! [`NvidiaError::no_more_sessions`]. [`NvidiaError::class`] says what an error means for the segment, the session and the card.
//!
//! ```no_run
//! use headframe_codec::nvidia::{Capabilities, Device, Driver, Source};
//! println!("{:?}", Capabilities::probe(&Source::System));
//! let driver = Driver::open(&Source::System)?;
//! for card in driver.devices()? {
//!     let device = Device::open(&driver, card.uuid)?;
//!     println!("{}: {:?}", card.name, device.decodes()?);
//! }
//! # Ok::<(), headframe_codec::nvidia::NvidiaError>(())
//! ```

pub use crate::ffi::nvidia::{
    Batcher, BrokenDevice, Capabilities, Colour, Decoder, DecoderLimits, Decodes, Device, DeviceCapabilities,
    DeviceInfo, Driver, EncodedPicture, EncoderSession, EncoderSettings, Encodes, Format, Health, IdleSession,
    NvidiaError, Picture, Planes, RateControl, Scaler, Share, Surface, Traffic, Tuning, VideoCodec,
};
pub use headframe_kernels::cuda::Uuid;
pub use headframe_nv_sys::{Api, LoadError, Source, doubles};
