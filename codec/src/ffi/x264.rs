//! libx264 for a rung: its presets and options.

use ffmpeg_next::ffi;

use super::encoder::{Session, Settings};
use super::ffmpeg::check;
use crate::error::EngineError;
use crate::ladder::{Codec, Preset, Rate, Rendition};

pub(super) fn open(settings: &Settings<'_>) -> Result<Session, EngineError> {
    let rendition = settings.rendition;
    Session::open(Codec::H264.encoder(), |fields, options| {
        settings.apply(fields);
        let factor = match rendition.rate {
            Rate::Capped => Some(settings.rate_factor),
            Rate::Quality(factor) => Some(f64::from(factor)),
            Rate::Cbr => None,
        };
        match factor {
            Some(factor) => options.set("crf", &factor.to_string())?,
            None => fields.bit_rate = i64::from(rendition.bitrate_bps),
        }
        let (preset, changes) = tuning(rendition, factor);
        options.set("preset", preset)?;
        options.set("profile", "high")?;
        options.set("forced-idr", "1")?;
        options.set("aud", "1")?;
        options.set("sc_threshold", "0")?;
        // Otherwise the picture parameter set begins with the segment's own quality: players would have to be set up again
        // for each, and every segment of CMAF would need an initialisation segment of its own.
        options.set("x264-params", &format!("cpu-independent=1:stitchable=1:{changes}"))
    })
}

/// Changes the CRF from the next picture sent on.
pub(super) fn set_rate_factor(session: &mut Session, factor: f64) -> Result<(), EngineError> {
    let options = session.context().priv_data;
    // SAFETY: an open context's private data begins with its class, which has this option; the name is a constant.
    check("change the quality", unsafe { ffi::av_opt_set_double(options, c"crf".as_ptr(), factor, 0) })?;
    Ok(())
}

/// x264's preset to start from, and what differs.
///
/// What work pays depends on the pictures. At low rate factors they are good already, and small blocks make those of
/// moving cameras 0.4 dB better; at high ones they make no difference, but quantising by cost does (0.1 dB), and a weaker
/// deblocking filter. In the largest rendition only what costs nothing is worth it. A finer search below a pixel gains 0.1 to
/// 0.2 dB in the larger renditions but takes a fifth of their time: it is for the finest pictures, whose errors are so small
/// that little else is left to gain. Whatever a parameter set says, such as whether pictures are weighted, must not depend on
/// the factor: segments share their parameter sets.
/// Adaptive quantisation by variance at less than its usual strength measured 0.2 dB better (luma error) at equal SSIM;
/// rounding down less (dead zones) and better first pictures of a GOP are 0.1 dB for nothing.
/// Each picture of lookahead at all sizes of the standard ladder costs 6.4 MB; these keep it below 190 MB.
fn tuning(rendition: &Rendition, factor: Option<f64>) -> (&'static str, String) {
    const SMALL: u32 = 426 * 240;
    const MEDIUM: u32 = 640 * 360;
    const LARGE: u32 = 854 * 480;
    const COARSE: f64 = 23.0;
    const FINE: f64 = 18.0;
    const COMMON: &str = "me=dia:aq-mode=2:aq-strength=0.7:deadzone-inter=15:deadzone-intra=5:ipratio=1.6";
    let live = || {
        let samples = rendition.width * rendition.height;
        let coarse = factor.is_some_and(|factor| factor > COARSE);
        let fine = factor.is_some_and(|factor| factor < FINE);
        let changes = match (samples, coarse) {
            (..=SMALL, true) => "subme=2:trellis=1:rc-lookahead=12:deblock=-1,-1:ipratio=1.8",
            (..=MEDIUM, true) => "subme=1:partitions=none:trellis=1:rc-lookahead=9:deblock=-1,-1",
            (..=LARGE, true) => "subme=1:partitions=none:trellis=1:rc-lookahead=7:deblock=-1,-1",
            (_, true) => "subme=1:partitions=none:rc-lookahead=6:deblock=-1,-1",
            (..=SMALL, false) => "subme=1:partitions=p8x8,i8x8:rc-lookahead=17",
            (..=MEDIUM, false) => "subme=1:partitions=p8x8,i8x8:rc-lookahead=12",
            (..=LARGE, false) if fine => "subme=2:partitions=p8x8,i8x8:rc-lookahead=9",
            (..=LARGE, false) => "subme=1:partitions=p8x8,i8x8:rc-lookahead=9",
            (_, false) if fine => "subme=2:partitions=i8x8:rc-lookahead=8",
            (_, false) => "subme=1:partitions=i8x8:rc-lookahead=8",
        };
        format!("{COMMON}:{changes}")
    };
    let changes = match rendition.preset {
        Preset::Density => "partitions=none:subme=1:me=dia:weightp=0:rc-lookahead=10".to_owned(),
        Preset::Live => live(),
        Preset::Quality => "partitions=p8x8,i8x8,i4x4:subme=6:ref=2:trellis=1:rc-lookahead=30".to_owned(),
    };
    ("veryfast", changes)
}
