//! Which codecs and depths a card decodes as the processors do. What its driver says that it decodes is tried with a short clip of
//! each, because a codec that comes out wrong would be a stream's whole picture, and its owner's stake.

use std::fmt;
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::job::Job;
use super::super::output::Outlet;
use super::super::timeline::Timeline;
use super::super::units;
use super::decoding::Decoded;
use super::{Card, opening};
use crate::budget::Limits;
use crate::error::{Class, EngineError};
use crate::nvidia::VideoCodec;
use crate::source;

/// Eight pictures of 256x144, and the SHA-256 of their hashes ([`headframe_kernels::hash`]) one after the other, as FFmpeg's software
/// decoders decode them: a test says so. Made by `ffmpeg -f lavfi -i testsrc2=size=256x144:rate=30 -frames:v 8 -pix_fmt FORMAT -c:v
/// ENCODER ... -fflags +bitexact -flags:v +bitexact -map_metadata -1 -movflags frag_keyframe+empty_moov+default_base_moof`, where the
/// dots are, of libx264 and libx265, `-crf 34`; of libaom-av1, `-cpu-used 6 -crf 45 -lag-in-frames 8`; of libvpx-vp9, `-crf 45 -b:v 0
/// -lag-in-frames 8 -auto-alt-ref 1`: with pictures that are shown later than they are decoded, or not at all.
struct Clip {
    codec: VideoCodec,
    bit_depth: u8,
    segment: &'static [u8],
    digest: &'static str,
}

const CLIPS: [Clip; 7] = [
    clip(
        VideoCodec::H264,
        10,
        include_bytes!("clips/h264-10.mp4"),
        "685bd0833263c48ef77bfa47ada380ec7f211ec9bf7ab45e7206070348c5580f",
    ),
    clip(
        VideoCodec::Hevc,
        8,
        include_bytes!("clips/hevc-8.mp4"),
        "8814de964037b8aeaa927277ac5e2e559b81ee2e56e9724905ca6602c9556241",
    ),
    clip(
        VideoCodec::Hevc,
        10,
        include_bytes!("clips/hevc-10.mp4"),
        "9ea45927a76977e5799c5cc78b74f6e2674558bedef7419575af51cbbd4aef0b",
    ),
    clip(
        VideoCodec::Vp9,
        8,
        include_bytes!("clips/vp9-8.mp4"),
        "fe7558bcffaec4fe5130e363a37ba196695549895ebe0811b225b4be0ef77b88",
    ),
    clip(
        VideoCodec::Vp9,
        10,
        include_bytes!("clips/vp9-10.mp4"),
        "ea4b989311f111ad69acd51f439c1f8d868b92202f37b9e19331e1adf12c2ef5",
    ),
    clip(
        VideoCodec::Av1,
        8,
        include_bytes!("clips/av1-8.mp4"),
        "aa85e0486b9e83160a65495f68046d0da6ad2c783ee971bd6a75ebee143a1bf6",
    ),
    clip(
        VideoCodec::Av1,
        10,
        include_bytes!("clips/av1-10.mp4"),
        "1d257f52b1e96ec5bc45e45936337f40b09153106607801be79e87f855931950",
    ),
];

const fn clip(codec: VideoCodec, bit_depth: u8, segment: &'static [u8], digest: &'static str) -> Clip {
    Clip { codec, bit_depth, segment, digest }
}

/// A codec that a card says it decodes and does not decode as the processors do, which make its streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// Which.
    pub codec: VideoCodec,
    /// 8 or 10.
    pub bit_depth: u8,
    /// Why, for a person.
    pub reason: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} bits: {}", self.codec, self.bit_depth, self.reason)
    }
}

/// Tries all that the card says it decodes, but for H.264 in 8 bits, of which the test of an engine makes more
/// ([`super::choose`]).
///
/// # Errors
/// The card itself fails.
pub(super) fn doubts(card: &Card) -> Result<Vec<Doubt>, EngineError> {
    let decodes = card.device.decodes()?;
    let mut doubts = Vec::new();
    for clip in &CLIPS {
        let Clip { codec, bit_depth, .. } = *clip;
        if !decodes.iter().any(|it| (it.codec, it.bit_depth) == (codec, bit_depth)) {
            continue;
        }
        let reason = match hashes(card, clip.segment) {
            Ok(hashes) if digest(&hashes) == clip.digest => continue,
            Ok(_) => "the card decodes other pictures than the processors".to_owned(),
            Err(error) if error.class() == Class::Device => return Err(error),
            Err(error) => error.to_string(),
        };
        doubts.push(Doubt { codec, bit_depth, reason });
    }
    Ok(doubts)
}

/// The hashes of all pictures as the card decodes them, in the order in which they are shown.
pub(super) fn hashes(card: &Card, segment: &[u8]) -> Result<Vec<[u8; 32]>, EngineError> {
    let limits = Limits::default();
    let media = source::demux(segment)?;
    let outlet = Outlet::new(&|_| Ok(()), limits.output_bytes);
    let timeline = Timeline::of(&media.video);
    let job = Job { media: &media, timeline, limits: &limits, started: Instant::now(), outlet };
    let units = units::cut(&job, media.video.iter().map(|unit| &unit.data))?;
    let opening = opening(media.kind.into(), &units);
    // Not kept: who knows whether such a stream ever comes.
    let mut decoder = card.warm.decoder(&card.device, &opening, limits.frame_pixels)?;
    let mut scaler = card.warm.scaler(&card.device)?;
    let mut hashes = Vec::new();
    let mut sink = |picture: &Decoded<'_>| {
        hashes.push(scaler.hash(&picture.planes)?);
        Ok(())
    };
    for (at, unit) in units.iter().enumerate() {
        decoder.feed(&unit.data, at as i64, &mut sink)?;
    }
    decoder.flush(&mut sink)?;
    card.warm.keep_scaler(scaler);
    Ok(hashes)
}

fn digest(hashes: &[[u8; 32]]) -> String {
    Sha256::digest(hashes.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::process::Command;

    use headframe_kernels::{Format, Source, SourceRef, hash};

    use super::*;

    #[test]
    fn the_digests_are_those_of_the_software_decoders() {
        let (width, height) = (256, 144);
        let due = CLIPS.map(|Clip { codec, bit_depth, segment, .. }| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("clip.mp4");
            std::fs::write(&path, segment).unwrap();
            let (format, pixels) = match bit_depth {
                8 => (Format::Yuv420, "yuv420p"),
                _ => (Format::Yuv420Ten, "yuv420p10le"),
            };
            let mut command = Command::new("ffmpeg");
            command.args(["-nostdin", "-loglevel", "error", "-i"]).arg(&path);
            let output = command.args(["-pix_fmt", pixels, "-f", "rawvideo", "-"]).output().unwrap();
            let source = Source { width, height, format };
            let extents = [0, 1, 2].map(|plane| format.extent(plane, (width, height)));
            let bytes: usize = extents.iter().map(|(row, rows)| row * rows).sum();
            assert_eq!(
                output.stdout.len(),
                8 * bytes,
                "{codec} {bit_depth}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let hashed = |picture: &[u8]| {
                let mut rest = picture;
                let planes = extents.map(|(row, rows)| {
                    let (plane, behind) = rest.split_at(row * rows);
                    rest = behind;
                    (plane, row)
                });
                hash::picture(&SourceRef::new(source, &planes).unwrap())
            };
            super::digest(&output.stdout.chunks(bytes).map(hashed).collect::<Vec<_>>())
        });
        assert_eq!(CLIPS.map(|clip| clip.digest), due);
    }
}
