//! FLV files, whose tags are the messages of RTMP (Adobe Flash Video File Format Specification 10.1, annex E).

use crate::support;
use anyhow::{Context, ensure};
use std::path::Path;
use tokio::process::Command;

/// The kind of a tag or message with sound.
pub(crate) const AUDIO: u8 = 8;
/// With video.
pub(crate) const VIDEO: u8 = 9;

/// One tag.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) kind: u8,
    pub(crate) ms: u32,
    pub(crate) body: Vec<u8>,
}

impl Tag {
    /// The NAL units of an H.264 picture; none for anything else.
    pub(crate) fn units(&self) -> Vec<Vec<u8>> {
        let mut units = Vec::new();
        let mut rest = self.body.get(5..).filter(|_| self.is_picture()).unwrap_or_default();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let (unit, after) = tail.split_at((u32::from_be_bytes(*len) as usize).min(tail.len()));
            units.push(unit.to_vec());
            rest = after;
        }
        units
    }

    /// The same picture with other units.
    pub(crate) fn with_units(&self, units: &[Vec<u8>]) -> Self {
        let mut body = self.body[..5].to_vec();
        for unit in units {
            body.extend((unit.len() as u32).to_be_bytes());
            body.extend(unit);
        }
        Self { body, ..self.clone() }
    }

    pub(crate) fn is_picture(&self) -> bool {
        self.kind == VIDEO && self.body.len() > 5 && self.body[1] == 1
    }

    /// The decoder's configuration.
    pub(crate) fn is_config(&self) -> bool {
        self.kind == VIDEO && self.body.len() > 5 && self.body[1] == 0
    }
}

/// Makes a clip of a picture source of ffmpeg's with a tone and reads its tags; `options` come before the output.
pub(crate) async fn clip(path: &Path, picture: &str, seconds: f64, options: &str) -> anyhow::Result<Vec<Tag>> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", picture]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", &seconds.to_string()]);
    ffmpeg.args("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -sc_threshold 0 -c:a aac -b:a 48k".split(' '));
    ffmpeg.args(options.split_whitespace()).args(["-f", "flv"]).arg(path);
    support::run(ffmpeg).await?;
    tags(&std::fs::read(path)?)
}

fn tags(file: &[u8]) -> anyhow::Result<Vec<Tag>> {
    ensure!(file.starts_with(b"FLV"), "not an FLV file");
    let mut rest = file.get(13..).context("an FLV file without tags")?;
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_first_chunk::<11>().context("a tag's header is cut off")?;
        let len = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        let ms = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let body = tail.get(..len).context("a tag is cut off")?.to_vec();
        tags.push(Tag { kind: head[0], ms, body });
        rest = tail.get(len + 4..).context("a tag's end is cut off")?;
    }
    Ok(tags)
}
