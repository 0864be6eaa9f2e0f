//! Access units of a segment's video, and whether their times are in the order in which pictures are shown.

use super::job::Job;
use super::sei::Tail;
use crate::error::EngineError;
use crate::ffi::decoder::{Parser, Unit};
use crate::syntax::{av1, vp9};
use crate::ts::VideoKind;

/// Pictures are reordered by at most 16.
const REORDERED: i64 = 16;

/// Which picture has which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The one that came with it.
    AsGiven,
    /// The earliest that is left: a multiplexer mixed up the times of pictures that are near to each other. Where nothing
    /// is mixed up that is the picture's own.
    Sorted,
}

impl Order {
    /// Of units in the order of decoding, with pictures `frame` ticks apart.
    pub(super) fn of(units: &[Unit], frame: i64) -> Self {
        let mut before = None;
        // What follows a key is shown after what came before it; in between, the order counts decide. They need a key to
        // count from.
        for group in units.chunk_by(|_, next| !next.key).filter(|group| group[0].key) {
            let mut shown: Vec<_> = group.iter().filter_map(|unit| Some((unit.shown, unit.time?))).collect();
            shown.sort_by_key(|(shown, _)| *shown);
            for (_, time) in shown {
                let back = before.replace(time).map_or(0, |before: i64| before.saturating_sub(time));
                if (1..=REORDERED * frame).contains(&back) {
                    return Self::Sorted;
                }
            }
        }
        Self::AsGiven
    }
}

/// The units in the order in which their pictures are shown, as their order counts have it: decoders on cards want times that
/// rise in that order. What follows a key is shown after what came before it.
pub(super) fn as_shown(units: &[Unit]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..units.len()).collect();
    for group in order.chunk_by_mut(|_, next| !units[*next].key) {
        // Those without counts stay in the order in which they came.
        group.sort_by_key(|unit| units[*unit].shown);
    }
    order
}

/// Cuts the `video` of a job, which comes in the pieces that the timeline was made of, into access units, before anything
/// of it is decoded.
pub(super) fn cut<T: AsRef<[u8]>>(job: &Job<'_>, video: impl IntoIterator<Item = T>) -> Result<Vec<Unit>, EngineError> {
    let kind = job.media.kind;
    let mut parser = Parser::new(kind)?;
    let mut units = Vec::with_capacity(job.timeline.times.len());
    let mut tail = Tail::new(kind);
    let mut vp9 = vp9::Reader::default();
    let all = video.into_iter().zip(&job.timeline.times).map(|(data, time)| (Some(data), *time));
    for (data, time) in all.chain([(None, None)]) {
        job.check_time()?;
        let end = data.is_none();
        let data = data.as_ref().map_or(&[][..], AsRef::as_ref);
        // To the parser, no bytes mean the end.
        if data.is_empty() && !end {
            continue;
        }
        parser.feed(&tail.moved(data), time, |mut unit| {
            match kind {
                VideoKind::H264 | VideoKind::Hevc => {}
                VideoKind::Av1 if av1::all_sized(&unit.data) => {}
                VideoKind::Av1 => unit.format = None,
                VideoKind::Vp9 => {
                    let said = vp9.read(&unit.data);
                    (unit.key, unit.format, unit.size) = (said.key, said.format, said.size);
                }
            }
            let (width, height) = unit.size;
            if u64::from(width) * u64::from(height) > job.limits.frame_pixels {
                return Err(EngineError::FramePixels { width, height, limit: job.limits.frame_pixels });
            }
            // A picture may come as two fields.
            if units.len() >= 2 * job.limits.frames as usize {
                return Err(EngineError::Frames { limit: job.limits.frames });
            }
            units.push(unit);
            Ok(())
        })?;
        let (width, height) = parser.size();
        if u64::from(width) * u64::from(height) > job.limits.frame_pixels {
            return Err(EngineError::FramePixels { width, height, limit: job.limits.frame_pixels });
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: &[(bool, i32, Option<i64>)]) -> Vec<Unit> {
        let unit = |&(key, shown, time): &(bool, i32, Option<i64>)| Unit {
            data: Vec::new(),
            time,
            key,
            shown,
            format: None,
            size: (0, 0),
        };
        units.iter().map(unit).collect()
    }

    fn order(given: &[(bool, i32, Option<i64>)]) -> Order {
        Order::of(&units(given), 3000)
    }

    #[test]
    fn pictures_are_shown_by_their_counts_from_key_to_key() {
        let shown = |given: &[(bool, i32)]| {
            as_shown(&units(&given.iter().map(|(key, shown)| (*key, *shown, None)).collect::<Vec<_>>()))
        };
        assert_eq!(shown(&[(true, 0), (false, 8), (false, 4), (false, 2), (true, 0), (false, 2)]), [0, 3, 2, 1, 4, 5]);
        // Pictures that lead an open group are shown before its key.
        assert_eq!(shown(&[(true, 0), (false, 2), (true, 10), (false, 6), (false, 8)]), [0, 1, 3, 4, 2]);
        assert_eq!(shown(&[(true, 0), (false, 0), (false, 0)]), [0, 1, 2], "no counts");
        assert_eq!(shown(&[]), [0; 0]);
    }

    #[test]
    fn times_that_go_with_the_pictures_stay() {
        let reordered = [(true, 0, Some(0)), (false, 4, Some(6000)), (false, 2, Some(3000)), (true, 0, Some(9000))];
        assert_eq!(order(&reordered), Order::AsGiven);
        assert_eq!(order(&[]), Order::AsGiven);
        let gap = [(true, 0, Some(90_000)), (false, 2, None), (false, 4, Some(96_000)), (true, 0, Some(0))];
        assert_eq!(order(&gap), Order::AsGiven, "a jump far back is another timeline");
    }

    #[test]
    fn without_a_key_nothing_is_known() {
        let torn = [(false, 4, Some(0)), (false, 2, Some(3000)), (false, 9, Some(6000)), (true, 0, Some(9000))];
        assert_eq!(order(&torn), Order::AsGiven);
    }

    #[test]
    fn times_of_neighbours_that_changed_places_are_noticed() {
        let mixed = [(true, 0, Some(0)), (false, 4, Some(3000)), (false, 2, Some(6000)), (true, 0, Some(9000))];
        assert_eq!(order(&mixed), Order::Sorted);
        assert_eq!(order(&[(true, 0, Some(3000)), (true, 0, Some(0))]), Order::Sorted);
    }
}
