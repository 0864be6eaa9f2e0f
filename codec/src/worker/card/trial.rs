//! A segment of our own, made on a card before and after the sandbox closes: the card works, what it decodes and scales is
//! exact, and the driver has everything that it loads or compiles when it is first used.

use crate::budget::Limits;
use crate::engine::{self, nvidia::Card};
use crate::ladder::{Ladder, Preset, Rendition};
use crate::segment::SegmentOut;

/// Eight pictures, made by
/// `ffmpeg -f lavfi -i testsrc2=size=320x180:rate=30 -frames:v 8 -c:v libx264 -preset veryslow -crf 36 -bf 0 -g 8 -pix_fmt yuv420p
/// -muxdelay 0 -muxpreload 0 trial.ts`.
const SEGMENT: &[u8] = include_bytes!("trial.ts");
const PICTURES: u32 = 8;

/// Decodes and scales on the card, encodes here: what comes out must be what the processors make, byte for byte.
pub(super) fn is_exact(card: &Card) -> Result<(), String> {
    let due = engine::transcode(&ladder()?, SEGMENT, &[], &Limits::default()).map_err(|error| error.to_string())?;
    match made(card)? == due.renditions {
        true => Ok(()),
        false => Err("what the card decodes and scales is not what the processors make".to_owned()),
    }
}

/// Makes it, and encodes on the card where a session is to be had.
pub(super) fn works(card: &Card) -> Result<(), String> {
    match made(card)?.iter().all(|rendition| rendition.frames == PICTURES) {
        true => Ok(()),
        false => Err("the card made more or fewer pictures than it was given".to_owned()),
    }
}

fn made(card: &Card) -> Result<Vec<crate::RenditionOut>, String> {
    let out: SegmentOut =
        card.transcode(&ladder()?, SEGMENT, &[], &Limits::default()).map_err(|error| error.to_string())?;
    match card.tally().segments_left {
        0 => Ok(out.renditions),
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
