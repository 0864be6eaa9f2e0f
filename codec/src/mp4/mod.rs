//! Fragmented MP4 (ISO/IEC 14496-12 and 14496-15, AV1 and VP9 in ISOBMFF), only what a segment needs, and only read: the
//! initialisation segment and fragments, one behind the other in one file. [`crate::cmaf`] writes.
//!
//! Written in safe Rust for the same reason as [`crate::ts`]. What comes out is what a transport stream with the same pictures
//! and sound would give, so nobody behind this cares what it was wrapped in: NAL units behind start codes with a delimiter in
//! front, AV1 in temporal units, AAC with ADTS headers.
//!
//! Shape and colours of pictures are those that the stream itself tells; `pasp` and `colr` are not read.

mod atoms;
mod coding;
mod fragment;
mod movie;

use headframe_kernels::Orientation;

use self::atoms::{Atom, atoms};
use self::coding::{Audio, Refused, Video};
use self::fragment::{Sample, Samples};
use self::movie::Track;
use crate::error::EngineError;
use crate::segment::TICKS_PER_SECOND;
use crate::ts::{AudioTrack, MAX_AUDIO, Media, Unit, WRAP};

fn broken(what: &str) -> EngineError {
    EngineError::Mp4 { what: what.to_owned() }
}

/// Whether it is a file of this kind. A transport packet begins with another byte than any box that fits into memory.
pub fn is(bytes: &[u8]) -> bool {
    let known = [b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free", b"skip"];
    bytes.first() != Some(&0x47) && bytes.get(4..8).is_some_and(|kind| known.iter().any(|known| *known == kind))
}

/// Reads a whole segment: the first track of pictures and up to eight of sound. Copies little more than the input's size;
/// samples of which the bytes are missing are left out.
///
/// # Errors
/// Class input: it is no fragmented MP4, begins without its initialisation segment, is encrypted, or has no pictures that are
/// read here.
pub fn demux(bytes: &[u8]) -> Result<Media, EngineError> {
    if bytes.is_empty() {
        return Err(EngineError::Empty);
    }
    let (moov, moofs) = parts(bytes)?;
    let tracks = movie::tracks(moov);
    let (video, coding) = pictures(&tracks)?;
    let sound = sounds(&tracks)?;
    if moofs.is_empty() {
        return Err(broken("there is no movie fragment (moof)"));
    }
    let mut samples = Samples::new(tracks.len());
    for moof in &moofs {
        samples.add(moof, &tracks).map_err(broken)?;
    }
    // Samples may share bytes, but a file that makes much of it is up to something.
    let wanted = sound.iter().map(|(at, _)| *at).chain([video]).flat_map(|at| &samples.of[at]);
    let total: usize = wanted.filter_map(|sample| data(bytes, sample)).map(<[u8]>::len).sum();
    if total > bytes.len() {
        return Err(broken("its samples have more bytes than the file"));
    }
    let mut lost = 0;
    let mut units = Vec::with_capacity(samples.of[video].len());
    for sample in &samples.of[video] {
        let Some(data) = data(bytes, sample) else {
            lost += 1;
            continue;
        };
        let (data, torn) = coding.unit(data, units.is_empty());
        lost += u32::from(torn);
        units.push(Unit { pts: Some(ticks(&tracks[video], sample.time)), dts: None, data });
    }
    let audio = sound.into_iter().map(|(at, audio)| {
        let track = &tracks[at];
        let (stream_type, descriptors) = audio.described(track.language);
        let unit = |sample: &Sample| {
            let data = audio.unit(data(bytes, sample)?);
            Some(Unit { pts: Some(ticks(track, sample.time)), dts: None, data })
        };
        let units: Vec<Unit> = samples.of[at].iter().filter_map(unit).filter(|unit| !unit.data.is_empty()).collect();
        AudioTrack { stream_type, descriptors, units }
    });
    Ok(Media {
        kind: coding.kind(),
        orientation: Orientation::of_map(tracks[video].matrix).unwrap_or_default(),
        video: units,
        audio: audio.filter(|track| !track.units.is_empty()).collect(),
        lost,
    })
}

/// The initialisation segment, and the fragments.
fn parts(bytes: &[u8]) -> Result<(&[u8], Vec<Atom<'_>>), EngineError> {
    let mut moov: Option<&[u8]> = None;
    let mut moofs = Vec::new();
    for atom in atoms(bytes).filter(|atom| atom.whole) {
        match (&atom.kind, moov) {
            (b"moov", None) => moov = Some(atom.body),
            // Segments that were joined may say it again.
            (b"moov", Some(before)) if before != atom.body => {
                return Err(broken("a second initialisation segment (moov) says something else"));
            }
            (b"moof", Some(_)) => moofs.push(atom),
            (b"moof", None) => return Err(broken("the initialisation segment (moov) is missing in front")),
            _ => {}
        }
    }
    let moov = moov.ok_or_else(|| broken("the initialisation segment (moov) is missing or cut off"))?;
    Ok((moov, moofs))
}

/// The first track of pictures that are read here.
fn pictures(tracks: &[Track<'_>]) -> Result<(usize, Video), EngineError> {
    let mut found = Vec::new();
    for (at, track) in tracks.iter().enumerate().filter(|(_, track)| track.handler == *b"vide") {
        match Video::of(&track.entry) {
            Ok(video) => return Ok((at, video)),
            Err(Refused::Encrypted) => return Err(EngineError::Scrambled),
            Err(Refused::Broken(what)) => return Err(broken(what)),
            Err(Refused::Foreign) => found.push(name(track)),
        }
    }
    let sound = tracks.iter().any(|track| track.handler == *b"soun");
    if found.is_empty() && sound {
        return Err(EngineError::AudioOnly);
    }
    let found = if found.is_empty() { tracks.iter().map(name).collect() } else { found };
    Err(EngineError::NoVideo { found: found.join(", ") })
}

/// Tracks of sound that can be read. An error where there are tracks, but none of those.
fn sounds(tracks: &[Track<'_>]) -> Result<Vec<(usize, Audio)>, EngineError> {
    let mut found = Vec::new();
    let mut foreign = None;
    for (at, track) in tracks.iter().enumerate().filter(|(_, track)| track.handler == *b"soun") {
        match Audio::of(&track.entry) {
            Ok(audio) if found.len() < MAX_AUDIO => found.push((at, audio)),
            Ok(_) => {}
            Err(Refused::Encrypted) => return Err(EngineError::Scrambled),
            Err(Refused::Broken(what)) => return Err(broken(what)),
            Err(Refused::Foreign) => foreign = Some(name(track)),
        }
    }
    match (found.is_empty(), foreign) {
        (true, Some(name)) => Err(broken(&format!("sound in {name} is not read (AAC, MPEG audio, AC-3 and Opus are)"))),
        _ => Ok(found),
    }
}

/// For people.
fn name(track: &Track<'_>) -> String {
    track.entry.kind.escape_ascii().to_string()
}

fn data<'a>(bytes: &'a [u8], sample: &Sample) -> Option<&'a [u8]> {
    let at = usize::try_from(sample.at).ok()?;
    bytes.get(at..at.checked_add(sample.size as usize)?)
}

/// When it is shown, in ticks modulo 2^33, to the nearest.
fn ticks(track: &Track<'_>, time: i64) -> i64 {
    let ticks = |time: i64, scale: u32| {
        let scale = i128::from(scale.max(1));
        (2 * i128::from(time) * i128::from(TICKS_PER_SECOND) + scale).div_euclid(2 * scale)
    };
    let shown = ticks(time.saturating_sub(track.edit.from), track.scale) + ticks(track.edit.delay, track.edit.scale);
    shown.rem_euclid(i128::from(WRAP)) as i64
}

#[cfg(test)]
mod tests;
