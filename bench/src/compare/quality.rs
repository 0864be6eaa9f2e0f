//! How good the renditions are, against two references: the source scaled by our scaler and by FFmpeg's.
//!
//! Each side is nearest to the reference that its own scaler made, so both are given and neither alone is fair.

use crate::ffmpeg::{Ffmpeg, Frame};
use anyhow::Result;
use headframe_codec::Rendition;
use headframe_kernels::{Scaler, metric};
use serde::Serialize;
use std::path::Path;

/// SSIM is taken of every so many pictures: it costs more than decoding them.
pub(crate) const SSIM_EVERY: u64 = 4;
/// What a perfect match is reported as, dB.
const PERFECT_DB: f64 = 100.0;
/// The other reference: as exact as FFmpeg's default kind of scaler gets.
pub(crate) const SWSCALE_FLAGS: &str = "bicubic+accurate_rnd";

/// Closeness to one reference, over all pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Scores {
    /// Luma, dB, from the mean squared error of all pictures.
    pub(crate) psnr_y_db: f64,
    /// All three planes together.
    pub(crate) psnr_db: f64,
    /// Luma, mean of every fourth picture; 0 when it was not asked for.
    pub(crate) ssim_y: f64,
}

/// A rendition's pictures and their closeness to the source.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) source_frames: u64,
    pub(crate) frames: u64,
    pub(crate) by_headframe_scaler: Scores,
    pub(crate) by_swscale: Scores,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    luma: (u64, u64),
    all: (u64, u64),
    ssim: (f64, u64),
}

impl Sums {
    fn add(&mut self, reference: &Frame, picture: &Frame, ssim: bool) -> Result<()> {
        let (reference, picture) = (reference.view()?, picture.view()?);
        for (plane, (a, b)) in reference.planes().iter().zip(picture.planes()).enumerate() {
            let (error, samples) = (metric::squared_error(a, b)?, (a.width() * a.height()) as u64);
            for sum in std::iter::once(&mut self.all).chain((plane == 0).then_some(&mut self.luma)) {
                sum.0 += error;
                sum.1 += samples;
            }
        }
        if ssim {
            self.ssim.0 += metric::ssim(&reference.planes()[0], &picture.planes()[0])?;
            self.ssim.1 += 1;
        }
        Ok(())
    }

    fn scores(self) -> Scores {
        let psnr = |(error, samples): (u64, u64)| metric::psnr_db(error, samples.max(1)).min(PERFECT_DB);
        let ssim_y = if self.ssim.1 == 0 { 0.0 } else { self.ssim.0 / self.ssim.1 as f64 };
        Scores { psnr_y_db: psnr(self.luma), psnr_db: psnr(self.all), ssim_y }
    }
}

/// Decodes `source` (pictures of `size`) once and each of `outputs` (made as `rendition`), and compares picture by
/// picture as far as both go. Unequal counts show in the result; they make the figures meaningless.
pub(crate) fn measure(
    ffmpeg: &Ffmpeg,
    (source, size): (&Path, (u32, u32)),
    rendition: &Rendition,
    outputs: &[&Path],
    with_ssim: bool,
) -> Result<Vec<Measured>> {
    let to = (rendition.width, rendition.height);
    let filter = format!("scale={}:{}:flags={SWSCALE_FLAGS}", to.0, to.1);
    let mut pictures = ffmpeg.pictures(source, None, size)?;
    let mut swscaled = ffmpeg.pictures(source, Some(&filter), to)?;
    let mut sides = Vec::new();
    for output in outputs {
        sides.push((ffmpeg.pictures(output, None, to)?, 0u64, Sums::default(), Sums::default()));
    }
    let (mut scaler, mut scaled) = (Scaler::new(size, to)?, Frame::new(to));
    let mut source_frames = 0;
    while let Some(picture) = pictures.next()? {
        scaler.scale_yuv420(&picture.view()?, &mut scaled.view_mut()?)?;
        let other = swscaled.next()?;
        let ssim = with_ssim && source_frames % SSIM_EVERY == 0;
        for (decoder, frames, ours, theirs) in &mut sides {
            if let Some(picture) = decoder.next()? {
                *frames += 1;
                ours.add(&scaled, picture, ssim)?;
                if let Some(other) = other {
                    theirs.add(other, picture, ssim)?;
                }
            }
        }
        source_frames += 1;
    }
    let mut measured = Vec::new();
    for (mut decoder, mut frames, ours, theirs) in sides {
        while decoder.next()?.is_some() {
            frames += 1;
        }
        let (by_headframe_scaler, by_swscale) = (ours.scores(), theirs.scores());
        measured.push(Measured { source_frames, frames, by_headframe_scaler, by_swscale });
    }
    Ok(measured)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn equal_pictures_are_perfect_and_different_ones_are_not() {
        let (black, mut grey) = (Frame::new((64, 36)), Frame::new((64, 36)));
        let mut sums = Sums::default();
        sums.add(&black, &black, true).unwrap();
        assert_eq!(sums.scores(), Scores { psnr_y_db: 100.0, psnr_db: 100.0, ssim_y: 1.0 });
        grey.fill_luma(16);
        sums.add(&black, &grey, true).unwrap();
        let scores = sums.scores();
        // Half the luma samples are off by 16: 10 log10(255^2 / 128).
        assert!((scores.psnr_y_db - 27.06).abs() < 0.01, "{scores:?}");
        assert!(scores.psnr_db > scores.psnr_y_db && scores.ssim_y < 1.0, "{scores:?}");
    }
}
