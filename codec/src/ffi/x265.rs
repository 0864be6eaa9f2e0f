//! libx265 for a rung: its presets and options.

use super::encoder::{Session, Settings};
use crate::error::EngineError;
use crate::ladder::{Codec, Preset, Rate, Rendition};

pub(super) fn open(settings: &Settings<'_>) -> Result<Session, EngineError> {
    let rendition = settings.rendition;
    Session::open(Codec::Hevc.encoder(), |fields, options| {
        settings.apply(fields);
        match rendition.rate {
            Rate::Capped => options.set("crf", &settings.rate_factor.to_string())?,
            Rate::Quality(factor) => options.set("crf", &factor.to_string())?,
            Rate::Cbr => fields.bit_rate = i64::from(rendition.bitrate_bps),
        }
        let (preset, changes) = tuning(rendition);
        options.set("preset", preset)?;
        options.set("profile", "main")?;
        options.set("forced-idr", "1")?;
        // One thread and no message with the options: the same bytes everywhere. Keys come when they are asked for.
        let fixed =
            "pools=none:frame-threads=1:wpp=0:lookahead-slices=0:info=0:log-level=none:aud=1:open-gop=0:scenecut=0";
        options.set("x265-params", &format!("{fixed}:ctu={}:{changes}", coding_unit(rendition)))
    })
}

/// x265's preset to start from, and what differs.
fn tuning(rendition: &Rendition) -> (&'static str, &'static str) {
    match rendition.preset {
        Preset::Density => ("ultrafast", "rc-lookahead=10"),
        Preset::Live => ("superfast", "rc-lookahead=10"),
        Preset::Quality => ("fast", "rc-lookahead=20"),
    }
}

/// The largest coding unit. Small ones take less time; of them, large pictures have more than x265 can count.
fn coding_unit(rendition: &Rendition) -> u32 {
    if rendition.width * rendition.height <= 1920 * 1088 { 32 } else { 64 }
}
