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
/// A live rendition gets more work the smaller it is: there it costs little, and a coarse search shows most. What works
/// depends on the pictures as well. At low rate factors they are good already, and finer motion and smaller blocks make
/// them 0.2 to 0.4 dB better; at high ones they make no difference, but quantising by cost does (0.2 dB), and a weaker
/// deblocking filter. Adaptive quantisation by variance at less than its usual strength measured 0.2 dB better (luma
/// error) at equal SSIM.
/// Each picture of lookahead at all sizes of the standard ladder costs 6.4 MB; these keep it below 190 MB.
fn tuning(rendition: &Rendition, factor: Option<f64>) -> (&'static str, String) {
    const SMALL: u32 = 426 * 240;
    const MEDIUM: u32 = 640 * 360;
    const LARGE: u32 = 854 * 480;
    const COARSE: f64 = 23.0;
    let live = || {
        let coarse = factor.is_some_and(|factor| factor > COARSE);
        let (lookahead, search) = match (rendition.width * rendition.height, coarse) {
            (..=SMALL, false) => (17, "subme=2"),
            (..=MEDIUM, false) => (12, "subme=2"),
            (..=LARGE, false) => (9, "subme=2:partitions=i8x8"),
            (_, false) => (8, "subme=1:partitions=i8x8"),
            (..=SMALL, true) => (17, "subme=4:trellis=1"),
            (..=MEDIUM, true) => (12, "subme=1:partitions=none:trellis=1"),
            (..=LARGE, true) => (9, "subme=1:partitions=none:trellis=1"),
            (_, true) => (8, "subme=1:partitions=none"),
        };
        let deblock = if coarse { -1 } else { 0 };
        format!("me=dia:aq-mode=2:aq-strength=0.7:{search}:deblock={deblock},{deblock}:rc-lookahead={lookahead}")
    };
    let changes = match rendition.preset {
        Preset::Density => "partitions=none:subme=1:me=dia:weightp=0:rc-lookahead=10".to_owned(),
        Preset::Live => live(),
        Preset::Quality => "partitions=p8x8,i8x8,i4x4:subme=6:ref=2:trellis=1:rc-lookahead=30".to_owned(),
    };
    ("veryfast", changes)
}
