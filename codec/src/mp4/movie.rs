//! The initialisation segment (14496-12 8.2 to 8.6): which tracks there are, and what their samples are.

use super::atoms::{Atom, Fields, atoms, find};

/// No file has more.
const MOST_TRACKS: usize = 64;

/// A track as the initialisation segment describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track<'a> {
    pub(super) id: u32,
    /// `vide`, `soun` or something else.
    pub(super) handler: [u8; 4],
    /// Units of its times in a second.
    pub(super) scale: u32,
    /// ISO 639-2.
    pub(super) language: [u8; 3],
    /// How its pictures are turned: `x' = a x + c y`, `y' = b x + d y`.
    pub(super) matrix: [i32; 4],
    /// The description of its samples; the first one.
    pub(super) entry: Atom<'a>,
    /// How many descriptions there are.
    pub(super) entries: u32,
    /// Its time at which the presentation begins, and how much later than its own beginning that is, in the movie's units.
    pub(super) edit: Edit,
    /// What samples are like where their fragment does not say it.
    pub(super) default: Default,
}

/// What an edit list does to times. Only its first edit counts: a segment has no others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) from: i64,
    pub(super) delay: i64,
    /// Units of the delay in a second.
    pub(super) scale: u32,
}

/// Of samples that are described together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Default {
    pub(super) description: u32,
    pub(super) duration: u32,
    pub(super) size: u32,
}

/// All tracks that can be read.
pub(super) fn tracks(moov: &[u8]) -> Vec<Track<'_>> {
    let scale = find(moov, b"mvhd").and_then(movie_scale).unwrap_or(0);
    let extends = find(moov, b"mvex").unwrap_or_default();
    let defaults: Vec<_> = atoms(extends).filter(|atom| atom.kind == *b"trex").filter_map(extends_of).collect();
    let all = atoms(moov).filter(|atom| atom.kind == *b"trak");
    let tracks = all.filter_map(|trak| {
        let mut track = track(trak.body, scale)?;
        track.default = defaults.iter().find(|(id, _)| *id == track.id).map(|(_, of)| *of).unwrap_or_default();
        Some(track)
    });
    tracks.take(MOST_TRACKS).collect()
}

fn movie_scale(mvhd: &[u8]) -> Option<u32> {
    let mut fields = Fields(mvhd);
    let (version, _) = fields.version()?;
    // When it was made and changed.
    fields.wide(version)?;
    fields.wide(version)?;
    fields.u32()
}

fn extends_of(trex: Atom<'_>) -> Option<(u32, Default)> {
    let mut fields = Fields(trex.body);
    fields.version()?;
    let id = fields.u32()?;
    Some((id, Default { description: fields.u32()?, duration: fields.u32()?, size: fields.u32()? }))
}

fn track(trak: &[u8], movie_scale: u32) -> Option<Track<'_>> {
    let (id, matrix) = head(find(trak, b"tkhd")?)?;
    let media = find(trak, b"mdia")?;
    let (scale, language) = media_head(find(media, b"mdhd")?)?;
    let handler = *find(media, b"hdlr")?.get(8..)?.first_chunk()?;
    let table = find(find(find(media, b"minf")?, b"stbl")?, b"stsd")?;
    let mut fields = Fields(table);
    fields.version()?;
    let entries = fields.u32()?;
    let entry = atoms(fields.0).next().filter(|entry| entry.whole)?;
    let list = find(trak, b"edts").and_then(|edits| find(edits, b"elst"));
    let edit = list.and_then(|list| edit(list, movie_scale)).unwrap_or_default();
    (scale > 0).then_some(Track {
        id,
        handler,
        scale,
        language,
        matrix,
        entry,
        entries,
        edit,
        default: Default::default(),
    })
}

/// Number and matrix of `tkhd`.
fn head(tkhd: &[u8]) -> Option<(u32, [i32; 4])> {
    let mut fields = Fields(tkhd);
    let (version, _) = fields.version()?;
    fields.wide(version)?;
    fields.wide(version)?;
    let id = fields.u32()?;
    fields.u32()?;
    fields.wide(version)?;
    // Nothing, layer, group, volume, nothing.
    fields.bytes(16)?;
    let mut number = || fields.u32().map(u32::cast_signed);
    let (a, b, _, c, d) = (number()?, number()?, number()?, number()?, number()?);
    Some((id, [a, b, c, d]))
}

/// Units in a second, and language, of `mdhd`.
fn media_head(mdhd: &[u8]) -> Option<(u32, [u8; 3])> {
    let mut fields = Fields(mdhd);
    let (version, _) = fields.version()?;
    fields.wide(version)?;
    fields.wide(version)?;
    let scale = fields.u32()?;
    fields.wide(version)?;
    let word = fields.u16()?;
    // Five bits each, from 'a' less one on.
    let letter = |at: u16| 0x60 + (word >> at & 0x1f) as u8;
    Some((scale, [letter(10), letter(5), letter(0)]))
}

fn edit(elst: &[u8], scale: u32) -> Option<Edit> {
    let mut fields = Fields(elst);
    let (version, _) = fields.version()?;
    let count = fields.u32()?;
    let mut delay: i64 = 0;
    for _ in 0..count {
        let duration = fields.wide(version)?;
        let from = match version {
            1 => fields.u64()?.cast_signed(),
            _ => fields.u32()?.cast_signed().into(),
        };
        // The rate.
        fields.u32()?;
        if from >= 0 {
            return Some(Edit { from, delay, scale });
        }
        // Nothing is shown meanwhile.
        delay = delay.saturating_add(i64::try_from(duration).ok()?);
    }
    None
}
