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
        let so_far = rung.frames.saturating_add(frames);
        if frames == 0 || so_far > self.limits.frames {
            return Err(format!("{frames} pictures in a part, {so_far} so far"));
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
        rung.frames = so_far;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::worker::ipc::sealed;

    fn ladder() -> Ladder {
        let mut rungs = Ladder::standard().renditions()[..2].to_vec();
        rungs[1].container = Container::Cmaf;
        Ladder::new(rungs).unwrap()
    }

    fn head(rendition: usize, number: u32) -> PartHead {
        let init = (rendition == 1 && number == 0).then_some(4);
        let pts = (WRAP - 45_000 + i64::from(number) * 45_000) % WRAP;
        PartHead {
            rendition,
            number,
            init,
            len: 5,
            pts,
            duration: 45_000,
            frames: 15,
            independent: true,
            last: number == 1,
        }
    }

    fn file(head: &PartHead, seed: u8) -> Option<OwnedFd> {
        let bytes = [vec![b'i'; head.init.unwrap_or(0).min(9) as usize], vec![seed; head.len as usize]].concat();
        Some(sealed([&bytes[..]]).unwrap())
    }

    fn heads(frames: [u32; 2]) -> Vec<RenditionHead> {
        frames.map(|frames| RenditionHead { frames, codecs: "avc1.64001F".to_owned() }).into()
    }

    #[test]
    fn what_fits_is_put_together() {
        let (ladder, limits) = (ladder(), Limits::default());
        let mut parts = Parts::new(&ladder, &limits);
        for (rendition, number) in [(0, 0), (1, 0), (1, 1), (0, 1)] {
            let head = head(rendition, number);
            let file = file(&head, b'0' + number as u8);
            let part = parts.take(head, file).unwrap();
            assert_eq!((part.rendition, part.number, part.bytes.len()), (rendition, number, 5));
        }
        let made = parts.finish(heads([30, 30])).unwrap();
        assert!(made.iter().all(|rendition| rendition.bytes == b"0000011111"));
        assert_eq!((&made[0].init, made[1].init.as_deref()), (&None, Some(&b"iiii"[..])));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let ladder = ladder();
        let limits = Limits { output_bytes: 12, frames: 20, ..Limits::default() };
        let refused = |first: Option<PartHead>, second: PartHead| {
            let mut parts = Parts::new(&ladder, &limits);
            if let Some(first) = first {
                let file = file(&first, 1);
                parts.take(first, file).unwrap();
            }
            let file = file(&second, 1);
            parts.take(second, file).unwrap_err()
        };
        assert!(refused(None, head(2, 0)).contains("no rendition 2"));
        assert!(refused(None, head(0, 1)).contains("part 1"));
        assert!(refused(Some(head(0, 0)), head(0, 0)).contains("part 0"));
        assert!(refused(Some(PartHead { last: true, ..head(0, 0) }), head(0, 1)).contains("part 1"));
        assert!(refused(None, PartHead { init: Some(4), ..head(0, 0) }).contains("out of place"));
        assert!(refused(None, PartHead { init: None, ..head(1, 0) }).contains("out of place"));
        assert!(refused(None, PartHead { pts: -1, ..head(0, 0) }).contains("from -1"));
        assert!(refused(Some(head(0, 0)), PartHead { pts: 7, ..head(0, 1) }).contains("from 7"));
        assert!(refused(None, PartHead { duration: 0, ..head(0, 0) }).contains("for 0"));
        assert!(refused(None, PartHead { frames: 0, ..head(0, 0) }).contains("0 pictures"));
        assert!(refused(Some(head(0, 0)), head(0, 1)).contains("30 so far"));
        assert!(refused(None, PartHead { len: 0, ..head(0, 0) }).contains("no bytes"));
        assert!(refused(None, PartHead { len: 13, ..head(0, 0) }).contains("more than allowed"));
        assert!(refused(None, PartHead { init: Some(u64::MAX), ..head(1, 0) }).contains("more than allowed"));
        assert!(refused(Some(head(1, 0)), head(0, 0)).contains("more than allowed"), "together");
        let mut parts = Parts::new(&ladder, &limits);
        let short = file(&head(0, 0), 1);
        assert!(parts.take(PartHead { len: 4, ..head(0, 0) }, short).unwrap_err().contains("announced"));
        assert!(parts.take(head(0, 0), None).unwrap_err().contains("no file"));
        assert!(parts.finish(heads([0, 0])).unwrap_err().contains("0 pictures in parts"), "nothing was made");
    }

    #[test]
    fn another_attempt_goes_on_where_the_first_ended() {
        let (ladder, limits) = (ladder(), Limits::default());
        let take = |parts: &mut Parts<'_>, number, seed| {
            let head = head(0, number);
            let file = file(&head, seed);
            parts.take(head, file).unwrap()
        };
        let mut first = Parts::new(&ladder, &limits);
        take(&mut first, 0, 7);
        let mut second = Parts::new(&ladder, &limits);
        let again = take(&mut second, 0, 7);
        assert_eq!(second.repeats(&again, &first), Ok(true));
        let next = take(&mut second, 1, 8);
        assert_eq!(second.repeats(&next, &first), Ok(false));
        let mut other = Parts::new(&ladder, &limits);
        let changed = take(&mut other, 0, 9);
        assert!(other.repeats(&changed, &first).unwrap_err().contains("part 0"));
    }
}
