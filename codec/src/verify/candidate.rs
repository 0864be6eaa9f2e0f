//! A rendition as delivered: its form, checked before anything is decoded, and its pictures.

use super::fault::Fault;
use super::nal::Content;
use super::ordered::SourceLook;
use super::pictures::{AccessUnit, Pictures, cut, near};
use super::profile::Profile;
use crate::error::{Class, EngineError};
use crate::ffi::picture::Picture;
use crate::segment::TICKS_PER_SECOND;
use crate::ts::{self, PACKET, VideoKind};

/// What the source orders of every rendition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// A time of the source; all others are taken as near to it as they can be.
    pub(crate) reference: i64,
    /// Length of one source picture in ticks.
    pub(crate) frame: i64,
    /// Ticks from the first picture to the end of the last one, as far as the container says.
    pub(crate) duration: i64,
    /// More bytes than this are never looked at.
    pub(crate) most_bytes: u64,
    /// More pictures than this are never looked at.
    pub(crate) most_pictures: u32,
}

/// A rendition whose form is right.
pub(crate) struct Candidate {
    pictures: Pictures,
    taken: u32,
    /// How far the first picture's time is off.
    pub(crate) offset: i64,
    pub(crate) slice_bytes: u64,
}

/// Why a candidate cannot be looked at any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is at fault.
    Fault(Fault),
    /// This machine is.
    Machine(EngineError),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Most bytes of slices: the rate over the duration, somewhat more, and a full buffer.
pub(crate) fn most_slice_bytes(profile: &Profile, duration: i64) -> u64 {
    let rate = u128::from(profile.rendition.bitrate_bps);
    let mean = rate * duration.max(0) as u128 / (8 * TICKS_PER_SECOND as u128);
    let mean = mean * u128::from(1000 + profile.bounds.rate_over_permille) / 1000;
    let buffer = rate * u128::from(profile.reference.buffer_ms) / 8000;
    u64::try_from(mean + buffer).unwrap_or(u64::MAX)
}

/// Most bytes of a rendition: its slices, and room for sound, parameter sets and packet headers.
pub(crate) fn most_bytes(profile: &Profile, duration: i64) -> u64 {
    let video = most_slice_bytes(profile, duration);
    let seconds = duration.max(0) as u64 / TICKS_PER_SECOND as u64 + 1;
    let other = u64::from(profile.bounds.other_bytes_per_second).saturating_mul(seconds);
    video.saturating_add(video / 8).saturating_add(other)
}

impl Candidate {
    /// Checks everything that can be checked without decoding.
    pub(crate) fn open(bytes: &[u8], profile: &Profile, order: &Order) -> Result<Self, Refused> {
        let limit = most_bytes(profile, order.duration).min(order.most_bytes);
        if bytes.len() as u64 > limit {
            return Err(Fault::Bytes { bytes: bytes.len() as u64, limit }.into());
        }
        let broken = (0..bytes.len()).step_by(PACKET).find(|at| bytes[*at] != 0x47 || at + PACKET > bytes.len());
        if let Some(at) = broken {
            return Err(Fault::Packets { at: at as u64 }.into());
        }
        let media = ts::demux(bytes).map_err(|error| refused(error, |reason| Fault::Container { reason }))?;
        if media.lost > 0 {
            return Err(Fault::Continuity { gaps: media.lost }.into());
        }
        if media.kind != VideoKind::H264 {
            return Err(Fault::Codec.into());
        }
        let size = &profile.rendition;
        // Whole macroblocks: a decoder counts them before it crops.
        let most = u64::from(size.width.next_multiple_of(16)) * u64::from(size.height.next_multiple_of(16)) * 2;
        let pieces = near(&media, order.reference);
        let units = cut(media.kind, pieces, most, order.most_pictures).map_err(|error| match error {
            EngineError::FramePixels { width, height, .. } => geometry((width, height), profile).into(),
            EngineError::Frames { limit } => Fault::Count { have: limit.saturating_add(1), want: limit }.into(),
            other => refused(other, |reason| Fault::Container { reason }),
        })?;
        let contents: Vec<Content> = units.iter().map(|unit| Content::of(&unit.data)).collect();
        if contents.first().is_none_or(|first| !first.idr || !first.parameters) {
            return Err(Fault::Start.into());
        }
        if let Some(unit) = units.iter().position(|unit| unit.pts.is_none()) {
            return Err(Fault::Untimed { unit: unit as u32 }.into());
        }
        check_keys(&units, &contents, profile, order)?;
        let slice_bytes = contents.iter().map(|content| content.slice_bytes).sum();
        let pictures = Pictures::new(media.kind, media.orientation, units, most).map_err(Refused::Machine)?;
        Ok(Self { pictures, taken: 0, offset: 0, slice_bytes })
    }

    /// The next picture, which should be shown at `time` with the source's `look`.
    pub(crate) fn next(&mut self, time: i64, look: SourceLook, profile: &Profile) -> Result<Option<Picture>, Refused> {
        let number = self.taken;
        let decoded = self.pictures.next().map_err(Refused::Machine)?;
        if self.pictures.refused > 0 {
            return Err(Fault::Decode { picture: number }.into());
        }
        let Some(picture) = decoded else { return Ok(None) };
        self.taken += 1;
        if picture.is_damaged() {
            return Err(Fault::Decode { picture: number }.into());
        }
        let (width, height) = picture.size();
        if (width, height) != (profile.rendition.width, profile.rendition.height) {
            return Err(geometry((width, height), profile).into());
        }
        let format = match picture.view() {
            Ok(view) if view.yuv420().is_some() => None,
            Ok(view) => Some(format!("{:?}", view.source().format)),
            Err(EngineError::PixelFormat { format }) => Some(format),
            Err(error) => return Err(Refused::Machine(error)),
        };
        if let Some(format) = format {
            return Err(Fault::Format { picture: number, format }.into());
        }
        check_look(&picture, number, look)?;
        self.check_time(&picture, number, time, profile)?;
        Ok(Some(picture))
    }

    /// Pictures that come after the last one ordered.
    pub(crate) fn rest(&mut self) -> Result<u32, Refused> {
        let mut rest = 0;
        while self.pictures.next().map_err(Refused::Machine)?.is_some() {
            rest += 1;
        }
        Ok(rest)
    }

    /// One shift for all pictures is allowed up to a bound, on top of it only what rounding does.
    fn check_time(&mut self, picture: &Picture, number: u32, time: i64, profile: &Profile) -> Result<(), Fault> {
        let Some(have) = picture.sent_pts() else { return Err(Fault::Decode { picture: number }) };
        let off = have - time;
        if number == 0 {
            self.offset = off;
        }
        let bounds = &profile.bounds;
        let (shift, jitter) = (i64::from(bounds.shift_ticks), i64::from(bounds.jitter_ticks));
        if off.abs() > shift {
            return Err(Fault::Time { picture: number, off, limit: shift });
        }
        if (off - self.offset).abs() > jitter {
            return Err(Fault::Time { picture: number, off: off - self.offset, limit: jitter });
        }
        Ok(())
    }
}

fn geometry((width, height): (u32, u32), profile: &Profile) -> Fault {
    Fault::Geometry { width, height, want_width: profile.rendition.width, want_height: profile.rendition.height }
}

/// The candidate's fault where the bytes are to blame, this machine's otherwise.
fn refused(error: EngineError, fault: impl FnOnce(String) -> Fault) -> Refused {
    match (error.class(), error) {
        (Class::Input, error) => Refused::Fault(fault(error.to_string())),
        // The parser gives errors of its own for bytes it cannot read.
        (_, EngineError::Codec { reason, .. }) => Refused::Fault(fault(reason)),
        (_, error) => Refused::Machine(error),
    }
}

/// IDR pictures at most as far apart as ordered. More of them are fine: their cost is counted by the bit rate.
fn check_keys(units: &[AccessUnit], contents: &[Content], profile: &Profile, order: &Order) -> Result<(), Fault> {
    let frame = profile
        .rendition
        .fps
        .map_or(order.frame, |fps| (TICKS_PER_SECOND * i64::from(fps.den) / i64::from(fps.num)).max(1));
    let gop = i64::from(profile.rendition.gop_ms) * TICKS_PER_SECOND / 1000;
    // An IDR picture belongs to the picture nearest to its time.
    let limit = gop + frame / 2 + i64::from(profile.bounds.jitter_ticks);
    let times = || units.iter().zip(contents).filter_map(|(unit, content)| Some((unit.pts?, content.idr)));
    let mut keys: Vec<i64> = times().filter(|(_, idr)| *idr).map(|(pts, _)| pts).collect();
    keys.sort_unstable();
    let last = times().map(|(pts, _)| pts).max().unwrap_or_default();
    let ends = keys.iter().skip(1).copied().chain([last.saturating_add(frame)]);
    for (from, to) in keys.iter().zip(ends) {
        let have = to.saturating_sub(*from);
        if have > limit {
            return Err(Fault::KeyDistance { from: *from, have, limit });
        }
    }
    Ok(())
}

/// Range as the source; primaries, transfer and matrix as the source or not said.
fn check_look(picture: &Picture, number: u32, source: SourceLook) -> Result<(), Fault> {
    let look = picture.look();
    let range = |full: bool| if full { "full" } else { "limited" }.to_owned();
    let wrong = |what: &str, have, want| Fault::Colour { picture: number, what: what.to_owned(), have, want };
    if look.is_full_range() != source.full_range {
        return Err(wrong("range", range(look.is_full_range()), range(source.full_range)));
    }
    let names = ["primaries", "transfer", "matrix"];
    for ((what, have), want) in names.iter().zip(look.colours()).zip(source.colours) {
        if let (Some(have), Some(want)) = (have, want)
            && have != want
        {
            return Err(wrong(what, have.to_string(), want.to_string()));
        }
    }
    Ok(())
}
