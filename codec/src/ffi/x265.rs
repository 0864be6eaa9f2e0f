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
        options.set("x265-params", &format!("{FIXED}:ctu={}:{changes}", coding_unit(rendition)))
    })
}

/// One thread and no message with the options: the same bytes everywhere. Keys come when they are asked for. Parameter sets
/// depend on the rendition alone, not on the segment: x265 would write the quality of the last group into them.
const FIXED: &str = "pools=none:frame-threads=1:wpp=0:lookahead-slices=0:info=0:log-level=none:aud=1:open-gop=0:\
    scenecut=0:opt-qp-pps=0:opt-ref-list-length-pps=0";

/// x265's preset to start from, and what differs.
fn tuning(rendition: &Rendition) -> (&'static str, &'static str) {
    match rendition.preset {
        Preset::Density => ("ultrafast", "subme=1:rc-lookahead=10"),
        Preset::Live => ("veryfast", "rc-lookahead=10"),
        Preset::Quality => ("slow", "rc-lookahead=20"),
    }
}

/// The largest coding unit. Small ones take less time; of them, large pictures have more than x265 can count.
fn coding_unit(rendition: &Rendition) -> u32 {
    if rendition.width * rendition.height <= 1920 * 1088 { 32 } else { 64 }
}
