//! A segment of our own, made on a card when the sandbox has closed: the card works inside as well, the driver has everything
//! that it loads or compiles when it is first used.

use crate::budget::Limits;
use crate::engine::nvidia::Card;
use crate::ladder::{Ladder, Preset, Rendition};

/// Eight pictures, made by
/// `ffmpeg -f lavfi -i testsrc2=size=320x180:rate=30 -frames:v 8 -c:v libx264 -preset veryslow -crf 36 -bf 0 -g 8 -pix_fmt yuv420p
/// -muxdelay 0 -muxpreload 0 trial.ts`.
const SEGMENT: &[u8] = include_bytes!("trial.ts");
const PICTURES: u32 = 8;

/// Makes it, and encodes on the card where a session is to be had.
pub(super) fn works(card: &Card) -> Result<(), String> {
    let out = card.transcode(&ladder()?, SEGMENT, &[], &Limits::default()).map_err(|error| error.to_string())?;
    match card.tally().segments_left {
        0 if out.renditions.iter().all(|rendition| rendition.frames == PICTURES) => Ok(()),
        0 => Err("the card made more or fewer pictures than it was given".to_owned()),
        _ => Err("the card leaves a small segment of H.264 to the processors".to_owned()),
    }
}

/// Smaller than any card's least would not do.
fn ladder() -> Result<Ladder, String> {
    let rendition = Rendition {
        name: "trial".to_owned(),
        width: 256,
        height: 144,
        bitrate_bps: 200_000,
        preset: Preset::Density,
        ..Ladder::standard().renditions()[0].clone()
    };
    Ladder::new(vec![rendition]).map_err(|error| error.to_string())
}
