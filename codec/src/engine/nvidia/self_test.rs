//! A short stream made here, run through a card and judged: whether an engine works on it at all.

use headframe_kernels::{Orientation, hash};

use super::moving::{RATE, moving};
use super::proof::{ladder_of, looks_like};
use super::{Card, probe};
use crate::budget::Limits;
use crate::error::EngineError;
use crate::ffi::picture::Picture;
use crate::ladder::{Fps, Ladder, Rate, Rendition};
use crate::segment::{SegmentOut, TICKS_PER_SECOND};
use crate::ts::{self, VideoKind};
use crate::verify::pictures::{AccessUnit, Pictures, cut, near};

const SIZE: (u32, u32) = (640, 360);
const PICTURES: u32 = 20;

/// Pictures that are decoded in another order than they are shown in, which our own encoder does not make: twelve of 640x360, as
/// those of [`super::probe`], with `-crf 34 -bf 3 -x264-params b-pyramid=normal:b-adapt=0:ref=4:scenecut=0`.
const REORDERED: &[u8] = include_bytes!("clips/h264-8.mp4");

/// Runs it on the cards that `card` makes. Says whether the card encoded, too: it may have no encoder, or no session left.
///
/// # Errors
/// Why it does not work, for a person.
pub(super) fn run(card: impl Fn() -> Card) -> Result<bool, String> {
    let said = |error: EngineError| error.to_string();
    let source = source().map_err(said)?;
    // As good as lossless, so that a sample that is off shows in the bytes.
    let exact = ladder(Rate::Quality(1), 40_000_000).map_err(said)?;
    let scaling = card().leave_encoding();
    decoded_alike(&scaling, &source).map_err(said)??;
    let due = made_alike(&scaling, &exact, &source).map_err(said)??;
    let reordered = made_alike(&scaling, &exact, REORDERED).map_err(said)?;
    reordered
        .map_err(|error| format!("{error}, where pictures are shown in another order than they are decoded in"))?;
    drop(scaling);
    let encoding = card();
    let have =
        encoding.transcode(&ladder(Rate::Capped, 3_000_000).map_err(said)?, &source, &[], &limits()).map_err(said)?;
    if encoding.tally().segments_left > 0 {
        return Err("the card decoded and scaled only once".to_owned());
    }
    like(&due, &have).map_err(said)??;
    Ok(encoding.tally().rungs_on_host == 0)
}

/// Whether what the card decodes and scales is, to the byte and with all times, what the processors make; gives that.
fn made_alike(card: &Card, ladder: &Ladder, source: &[u8]) -> Result<Result<SegmentOut, String>, EngineError> {
    let due = super::super::transcode(ladder, source, &[], &limits())?;
    let have = card.transcode(ladder, source, &[], &limits())?;
    if card.tally().segments_left > 0 {
        return Ok(Err("the card did not decode and scale".to_owned()));
    }
    let same = (&have.renditions, &have.source) == (&due.renditions, &due.source);
    Ok(if same {
        Ok(due)
    } else {
        Err("what the card decodes and scales differs from what the processors make".to_owned())
    })
}

/// Whether the card decodes every picture to the samples that the processors decode. The hashes are compared, each made where its
/// picture is.
fn decoded_alike(card: &Card, source: &[u8]) -> Result<Result<(), String>, EngineError> {
    let due =
        pictures(source)?.iter().map(|it| Ok(hash::picture(&it.view()?))).collect::<Result<Vec<_>, EngineError>>()?;
    let have = probe::hashes(card, source)?;
    if have.len() != due.len() {
        return Ok(Err(format!("the card decodes {} of {} pictures", have.len(), due.len())));
    }
    let differs = have.iter().zip(&due).position(|(have, due)| have != due);
    Ok(differs.map_or(Ok(()), |at| {
        Err(format!("picture {at} that the card decodes is not the one that the processors decode"))
    }))
}

/// Whether two ladders show the same.
fn like(due: &SegmentOut, have: &SegmentOut) -> Result<Result<(), String>, EngineError> {
    let mut found = looks_like(due, have)?.into_iter();
    Ok(found.try_for_each(|one| one.and_then(|it| it.complaint().map_or(Ok(()), Err))))
}

fn limits() -> Limits {
    Limits { wall: std::time::Duration::from_secs(60), ..Limits::default() }
}

/// Two rungs, of which one has a frame rate of its own.
fn ladder(rate: Rate, bitrate_bps: u32) -> Result<Ladder, EngineError> {
    let usual = Ladder::standard().renditions()[0].clone();
    let rung = |name: &str, width, height, fps| Rendition {
        name: name.to_owned(),
        width,
        height,
        bitrate_bps,
        fps,
        gop_ms: 500,
        rate,
        ..usual.clone()
    };
    let slow = Fps { num: RATE / 2, den: 1 };
    ladder_of(vec![rung("test", 320, 180, None), rung("test-slow", 256, 144, Some(slow))])
}

/// The access units of a segment.
fn units(bytes: &[u8]) -> Result<(VideoKind, Vec<AccessUnit>), EngineError> {
    let media = ts::demux(bytes)?;
    let units = cut(media.kind, near(&media, TICKS_PER_SECOND), limits().frame_pixels, 2 * PICTURES)?;
    Ok((media.kind, units))
}

/// Decodes a segment with the processors.
fn pictures(bytes: &[u8]) -> Result<Vec<Picture>, EngineError> {
    let (kind, units) = units(bytes)?;
    let mut left = Pictures::new(kind, Orientation::UPRIGHT, units, limits().frame_pixels)?;
    let mut pictures = Vec::new();
    while let Some(picture) = left.next()? {
        pictures.push(picture);
    }
    Ok(pictures)
}

/// A segment of moving pictures in H.264.
fn source() -> Result<Vec<u8>, EngineError> {
    let usual = Ladder::standard().renditions()[0].clone();
    let (width, height) = SIZE;
    let rendition = Rendition { width, height, bitrate_bps: 20_000_000, ..usual };
    Ok(ts::mux(&moving(&rendition, 18.0, PICTURES)?, &[], ts::H264))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::proof::{LEAST_PSNR, luma_psnr};
    use super::*;

    #[test]
    fn wrong_pictures_are_told_from_right_ones() {
        let source = source().unwrap();
        let made = |rate, bitrate| {
            super::super::super::transcode(&ladder(rate, bitrate).unwrap(), &source, &[], &limits()).unwrap()
        };
        let due = made(Rate::Quality(1), 40_000_000);
        let mut have = made(Rate::Capped, 3_000_000);
        assert_eq!(like(&due, &have).unwrap(), Ok(()));
        assert_eq!((have.renditions[0].frames, have.renditions[1].frames), (PICTURES, PICTURES / 2));
        let all = pictures(&due.renditions[0].bytes).unwrap();
        let apart = luma_psnr(&all[3], &all[4]).unwrap().unwrap();
        assert!(apart < LEAST_PSNR - 5.0, "a picture that is late would not be noticed: {apart} dB");
        have.renditions[0].bytes = made(Rate::Quality(51), 40_000).renditions[0].bytes.clone();
        let error = like(&due, &have).unwrap().unwrap_err();
        assert!(error.contains("of test is not what was encoded"), "{error}");
        have.renditions[0].bytes = due.renditions[1].bytes.clone();
        assert!(like(&due, &have).unwrap().unwrap_err().contains("10 of 20"));
    }
}
