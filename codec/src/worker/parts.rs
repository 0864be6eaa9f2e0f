//! The parts that a worker sends, checked and put together. The worker is not trusted: what it says must fit what it was
//! asked.

use std::os::fd::OwnedFd;

use super::ipc::{PartHead, RenditionHead, Sealed};
use crate::budget::Limits;
use crate::ladder::{Container, Ladder, Rendition};
use crate::segment::{Part, RenditionOut, WRAP};

/// The renditions of one segment so far.
pub(super) struct Parts<'a> {
    ladder: &'a Ladder,
    limits: &'a Limits,
    rungs: Vec<Rung>,
    /// Bytes of all of them.
    bytes: u64,
}

#[derive(Default, Clone)]
struct Rung {
    init: Option<Vec<u8>>,
    bytes: Vec<u8>,
    parts: u32,
    frames: u32,
    /// When the next part begins.
    due: Option<i64>,
    done: bool,
}

impl<'a> Parts<'a> {
    pub(super) fn new(ladder: &'a Ladder, limits: &'a Limits) -> Self {
        Self { ladder, limits, rungs: vec![Rung::default(); ladder.renditions().len()], bytes: 0 }
    }

    /// The next part, if it is what may come next.
    pub(super) fn take(&mut self, head: PartHead, file: Option<OwnedFd>) -> Result<Part, String> {
        let PartHead { rendition, number, init, len, pts, duration, frames, independent, last } = head;
        let wanted = self.ladder.renditions().get(rendition).ok_or_else(|| format!("no rendition {rendition}"))?;
        let rung = &mut self.rungs[rendition];
        if rung.done || number != rung.parts {
            return Err(format!("part {number} of {} where {} of them were given", wanted.name, rung.parts));
        }
        if init.is_some() != (wanted.container == Container::Cmaf && number == 0) {
            return Err(format!("an initialisation segment out of place, part {number} of {}", wanted.name));
        }
        let on_time = (0..WRAP).contains(&pts) && rung.due.is_none_or(|due| due == pts);
        if !on_time || !(1..WRAP).contains(&duration) {
            return Err(format!("a part from {pts} for {duration} where {:?} is due", rung.due));
        }
        rung.frames = rung.frames.saturating_add(frames);
        if frames == 0 || rung.frames > self.limits.frames {
            return Err(format!("{frames} pictures in a part, {} so far", rung.frames));
        }
        let total = len.checked_add(init.unwrap_or(0));
        let total = total.filter(|total| len > 0 && *total <= self.limits.output_bytes - self.bytes);
        let total = total.ok_or("no bytes, or more than allowed")?;
        let mut file = Sealed::open(file, total).map_err(|error| error.to_string())?;
        let mut read = |len| file.take(len).map_err(|error| error.to_string());
        let init = init.map(&mut read).transpose()?;
        let bytes = read(len)?;
        self.bytes += total;
        if number == 0 {
            rung.init.clone_from(&init);
        }
        rung.bytes.extend_from_slice(&bytes);
        (rung.parts, rung.due, rung.done) = (number + 1, Some((pts + duration) % WRAP), last);
        Ok(Part { rendition, number, init, bytes, pts, duration, frames, independent, last })
    }

    /// Whether `part`, which this has taken last, was taken by `earlier` too: another attempt at the same segment.
    pub(super) fn repeats(&self, part: &Part, earlier: &Self) -> Result<bool, String> {
        let (rung, before) = (&self.rungs[part.rendition], &earlier.rungs[part.rendition]);
        if part.number >= before.parts {
            return Ok(false);
        }
        match before.bytes.starts_with(&rung.bytes) && before.init == rung.init {
            true => Ok(true),
            false => Err(format!("part {} is not what the first worker had made of it", part.number)),
        }
    }

    /// The whole renditions, if nothing is missing.
    pub(super) fn finish(&mut self, heads: Vec<RenditionHead>) -> Result<Vec<RenditionOut>, String> {
        let wanted = self.ladder.renditions();
        if heads.len() != wanted.len() {
            return Err(format!("{} renditions instead of {}", heads.len(), wanted.len()));
        }
        for ((want, head), rung) in wanted.iter().zip(&heads).zip(&self.rungs) {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ',';
            if head.codecs.len() > 64 || !head.codecs.chars().all(plain) {
                return Err("a codecs parameter that is none".to_owned());
            }
            if !rung.done || head.frames != rung.frames {
                return Err(format!("{}: {} pictures in parts, {} in all", want.name, rung.frames, head.frames));
            }
        }
        let rungs = std::mem::take(&mut self.rungs);
        let whole = |((want, head), rung): ((&Rendition, RenditionHead), Rung)| RenditionOut {
            name: want.name.clone(),
            width: want.width,
            height: want.height,
            init: rung.init,
            bytes: rung.bytes,
            frames: head.frames,
            codecs: head.codecs,
        };
        Ok(wanted.iter().zip(heads).zip(rungs).map(whole).collect())
    }
}
