//! The initialisation segment: `ftyp` and `moov`. It says nothing that differs from segment to segment.

use mp4_atom::{
    Codec, Dinf, Dref, Encode, FourCC, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvex, Mvhd, Result, Smhd, Stbl, Stco, Stsd,
    Tkhd, Trak, Trex, Url, Vmhd,
};

use super::entry::Entry;
use super::fragment::{NOT_SYNC, SYNC};
use super::sound::Sound;
use super::{Shape, VIDEO_TRACK};
use crate::segment::TICKS_PER_SECOND;

/// Brands of a file with so many tracks. A CMAF track file (`cmfc`) has one.
pub(super) fn brands(tracks: usize) -> &'static [&'static [u8; 4]] {
    match tracks {
        1 => &[b"msdh", b"msix", b"iso6", b"cmfc"],
        _ => &[b"msdh", b"msix", b"iso6"],
    }
}

pub(super) fn write(entry: &Entry, sound: &[Sound], shape: Shape) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024 + 512 * sound.len());
    let brand = |brand: &[u8; 4]| FourCC::new(brand);
    let mut compatible_brands = vec![brand(b"iso6"), brand(b"mp41")];
    if sound.is_empty() {
        compatible_brands.push(brand(b"cmfc"));
    }
    Ftyp { major_brand: brand(b"iso6"), minor_version: 0, compatible_brands }.encode(&mut out)?;
    let mut trak = vec![video(entry, shape)?];
    let mut trex = vec![defaults(VIDEO_TRACK, NOT_SYNC)];
    for (track, sound) in (VIDEO_TRACK + 1..).zip(sound) {
        trak.push(audio(track, sound));
        trex.push(defaults(track, SYNC));
    }
    let mvhd = Mvhd {
        timescale: TICKS_PER_SECOND as u32,
        rate: 1.into(),
        volume: 1.into(),
        next_track_id: VIDEO_TRACK + 1 + sound.len() as u32,
        ..Mvhd::default()
    };
    Moov { mvhd, mvex: Some(Mvex { mehd: None, trex }), trak, ..Moov::default() }.encode(&mut out)?;
    Ok(out)
}

fn defaults(track_id: u32, default_sample_flags: u32) -> Trex {
    Trex { track_id, default_sample_description_index: 1, default_sample_flags, ..Trex::default() }
}

fn video(entry: &Entry, shape: Shape) -> Result<Trak> {
    // The size on a screen; square samples where nothing else is known.
    let shown = match shape.aspect {
        (num, den) if num > 0 && den > 0 => u64::from(shape.width) * num as u64 / den as u64,
        _ => u64::from(shape.width),
    };
    let width = u16::try_from(shown).unwrap_or(u16::MAX).into();
    let head = Tkhd { width, height: (shape.height as u16).into(), ..head(VIDEO_TRACK) };
    let minf = Minf { vmhd: Some(Vmhd::default()), ..minf(entry.describe(shape)?) };
    Ok(trak(head, TICKS_PER_SECOND as u32, "und", b"vide", minf))
}

fn audio(track: u32, sound: &Sound) -> Trak {
    // Tracks of sound are alternatives to each other.
    let head = Tkhd { volume: 1.into(), alternate_group: 1, ..head(track) };
    let minf = Minf { smhd: Some(Smhd::default()), ..minf(sound.describe()) };
    trak(head, sound.rate(), sound.language(), b"soun", minf)
}

fn head(track_id: u32) -> Tkhd {
    Tkhd { track_id, enabled: true, in_movie: true, ..Tkhd::default() }
}

fn trak(tkhd: Tkhd, timescale: u32, language: &str, handler: &[u8; 4], minf: Minf) -> Trak {
    let mdhd = Mdhd { timescale, language: language.to_owned(), ..Mdhd::default() };
    let hdlr = Hdlr { handler: FourCC::new(handler), name: String::new() };
    Trak { tkhd, mdia: Mdia { mdhd, hdlr, minf }, ..Trak::default() }
}

/// Samples come in fragments, so the table of samples is empty.
fn minf(codec: Codec) -> Minf {
    Minf {
        dinf: Dinf { dref: Dref { entries: vec![Url { location: String::new() }.into()] } },
        stbl: Stbl { stsd: Stsd { codecs: vec![codec] }, stco: Some(Stco::default()), ..Stbl::default() },
        ..Minf::default()
    }
}
