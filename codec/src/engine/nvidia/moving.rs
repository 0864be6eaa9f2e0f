//! Moving pictures in H.264, made here by the encoder of the processors: what a card is tried and measured with.

use crate::error::EngineError;
use crate::ffi::encoder::{Encoder, Settings};
use crate::ffi::picture::{Image, Look};
use crate::ladder::{Fps, Rendition};
use crate::nvidia::Colour;
use crate::segment::TICKS_PER_SECOND;
use crate::ts::VideoUnit;

/// Pictures a second.
pub(super) const RATE: u32 = 30;
const FRAME: i64 = TICKS_PER_SECOND / RATE as i64;

/// So many pictures as the rendition has them, the first of them the only key picture. One access unit each.
pub(super) fn moving(rendition: &Rendition, rate_factor: f64, pictures: u32) -> Result<Vec<VideoUnit>, EngineError> {
    let size = (rendition.width, rendition.height);
    let colour = Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 };
    let look = Look::of((1, 1), &colour);
    let fps = Fps { num: RATE, den: 1 };
    let mut encoder = Encoder::new(&Settings { rendition, rate_factor, fps, gop: pictures, look })?;
    let mut units = Vec::new();
    let mut take = |encoder: &mut Encoder<'_>| {
        while let Some(encoded) = encoder.receive()? {
            let pts = TICKS_PER_SECOND + encoded.index * FRAME;
            units.push(VideoUnit { pts, key: encoded.key, data: encoded.data });
        }
        Ok::<_, EngineError>(())
    };
    let mut image = Image::new(size.0, size.1)?;
    for number in 0..pictures {
        let (luma, chroma) = picture(size, number);
        image.fill(&luma, &chroma)?;
        encoder.send(Some((&mut image, number.into(), number == 0)))?;
        take(&mut encoder)?;
    }
    encoder.send(None)?;
    take(&mut encoder)?;
    Ok(units)
}

/// Soft waves that move, and colours that do not: luma, and U and V in turn.
fn picture((width, height): (u32, u32), number: u32) -> (Vec<u8>, Vec<u8>) {
    let wave = |at: u32| {
        let phase = at % 128;
        if phase < 64 { phase } else { 127 - phase }
    };
    let samples = width as usize * height as usize;
    let (mut luma, mut chroma) = (Vec::with_capacity(samples), Vec::with_capacity(samples / 2));
    // By rows, whose length is known: a card's worker that starts waits for this.
    for y in 0..height {
        luma.extend((0..width).map(|x| (48 + wave(x + 20 * number) + wave(2 * y + x / 2 + 7 * number)) as u8));
    }
    for y in 0..height / 2 {
        chroma.extend((0..width).map(|x| (96 + if x % 2 == 0 { wave(x) } else { wave(2 * y) }) as u8));
    }
    (luma, chroma)
}
