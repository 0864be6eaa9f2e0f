//! NVIDIA's driver: what a machine has, device memory, decoders and encoder sessions. Raw types are
//! [`headframe_nv_sys`]'s; what leaves this folder is safe.
//!
//! `libcuda` is opened here and in [`headframe_kernels::cuda`]. They need different parts of it, and the kernels know
//! nothing of this crate; the loader gives both the same library, and a card's primary context is one for the process. They
//! look for it by its name, which finds what is open under that name already, also where it came from a folder: so the driver
//! is opened here first. What both meet is written there: [`Uuid`](headframe_kernels::cuda::Uuid) and the class of a code.
//! [`Scaler`] is where the two come together, and [`Batcher`] streams with each other. [`libav`] is another way to decoders and encoders, through FFmpeg.
//!
//! Every object holds what it lives in: a session its device, a device the driver. So things are given back in the right
//! order however an error unwinds: pictures before their decoder, registrations before the session, memory before the
//! context.

mod batcher;
mod decoder;
mod device;
mod driver;
mod encoder;
mod failure;
mod health;
pub(crate) mod libav;
mod link;
mod scaler;
mod session;
mod settings;
mod stream;

pub use batcher::{Batcher, Share};
pub use decoder::{Decoder, DecoderLimits, Format, Picture};
pub use device::{Device, Planes, Surface};
pub use driver::{BrokenDevice, Capabilities, Decodes, DeviceCapabilities, DeviceInfo, Driver, Encodes};
pub use encoder::{EncodedPicture, EncoderSession, IdleSession};
pub use failure::NvidiaError;
pub use health::Health;
pub use link::Traffic;
pub use scaler::Scaler;
pub use settings::{Colour, EncoderSettings, RateControl, Tuning};
pub use stream::VideoCodec;
