//! Colour conversion in place, on a card.

use std::ffi::c_void;

use super::batch::{self, MAX_PICTURES, Picture, Pictures};
use super::device::{Entry, Queue};
use super::error::CudaError;
use super::picture::DevicePicture;
use super::plan::THREADS;
use crate::convert::Conversion;
use crate::source::Format;

/// Queues the conversion of 8-bit 4:2:0 pictures, planar or NV12; see [`crate::reference::convert`].
pub fn convert(queue: &Queue, conversion: &Conversion, pictures: &mut [&mut DevicePicture]) -> Result<(), CudaError> {
    if conversion.is_identity() {
        return Ok(());
    }
    for pictures in pictures.chunks(MAX_PICTURES) {
        let mut parameters = Pictures::default();
        let (mut luma, mut chroma) = (0, 0);
        for (slot, picture) in parameters.pictures.iter_mut().zip(pictures) {
            queue.same(picture.gpu())?;
            let source = picture.source();
            if !matches!(source.format, Format::Yuv420 | Format::Nv12) {
                return Err(CudaError::Picture { picture: source, reason: "only 8-bit 4:2:0 is converted" });
            }
            let [y, u, v] = [picture.channel(0)?, picture.channel(1)?, picture.channel(2)?];
            let (planes, pitches, step) = ([y.first, u.first, v.first], [y.pitch, u.pitch], u.step);
            *slot = Picture { planes, pitches, step, width: source.width, height: source.height, unused: 0 };
            luma = luma.max(y.width * y.height);
            chroma = chroma.max(u.width * u.height);
        }
        let mut conversion = batch::Conversion::from(conversion);
        // Y looks at the chroma that is still the old one.
        for (entry, samples) in [(Entry::ConvertLuma, luma), (Entry::ConvertChroma, chroma)] {
            let mut all = [(&raw mut conversion).cast::<c_void>(), (&raw mut parameters).cast::<c_void>()];
            // SAFETY: a `Conversion` and `Pictures`, as both kernels take them; blocks past a picture's end do nothing.
            unsafe { queue.launch(entry, samples.div_ceil(THREADS), pictures.len() as u32, &mut all) }?;
        }
    }
    Ok(())
}
