//! What follows the scaler on the device, as jobs for the shaders. Knows nothing of devices.

use crate::convert::Conversion;
use crate::rotate::Orientation;
use crate::source::Format;

use super::error::Error;
use super::kernel::GROUP;
use super::plan::{Batch, JOB_WORDS, Rows, rows_in, word};

/// What is done to every output once it is scaled, in this order. By default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finish {
    /// Another colour description; see [`crate::reference::convert`].
    pub conversion: Option<Conversion>,
    /// How to turn it; see [`Orientation::apply`].
    pub orientation: Orientation,
}

/// Jobs of `finish.wgsl` for a ladder, and where they leave its planes.
#[derive(Debug)]
pub(super) struct Finishing {
    pub(super) jobs: Vec<u32>,
    /// The numbers of the conversion.
    pub(super) weights: Vec<u32>,
    pub(super) convert: Option<Batch>,
    pub(super) turn: Option<Batch>,
    /// [`Orientation`] as the shader has it.
    pub(super) orientation: u32,
    pub(super) outputs: Vec<Vec<Rows>>,
    /// Words of all of them.
    pub(super) words: u64,
}

impl Finishing {
    /// For outputs of `sizes` whose planes lie at `made`, in a buffer of `words`.
    pub(super) fn new(finish: &Finish, sizes: &[(u32, u32)], made: &[Vec<Rows>], words: u64) -> Result<Self, Error> {
        let Orientation { transpose, mirror_x, mirror_y } = finish.orientation;
        let mut finishing = Self {
            jobs: Vec::new(),
            weights: Vec::new(),
            convert: None,
            turn: None,
            orientation: u32::from(transpose) | u32::from(mirror_x) << 1 | u32::from(mirror_y) << 2,
            outputs: made.to_vec(),
            words,
        };
        if let Some(conversion) = finish.conversion.as_ref().filter(|conversion| !conversion.is_identity()) {
            let Conversion { black, luma, luma_from, chroma } = conversion;
            let numbers =
                [black.0, black.1, *luma].into_iter().chain(*luma_from).chain(chroma.iter().flatten().copied());
            finishing.weights = numbers.map(|number| number as u32).collect();
            // Planes stay where they were, in another buffer.
            finishing.convert = Some(finishing.batch(Orientation::UPRIGHT, sizes, made, made)?);
        }
        if finish.orientation != Orientation::UPRIGHT {
            finishing.words = 0;
            let mut turned = Vec::new();
            for (planes, size) in made.iter().zip(sizes) {
                let mut rows = Vec::new();
                for plane in 0..planes.len() {
                    let (bytes, height) = Format::Yuv420.extent(plane, finish.orientation.turned(*size));
                    rows.push(rows_in(&mut finishing.words, bytes.div_ceil(4), height)?);
                }
                turned.push(rows);
            }
            finishing.turn = Some(finishing.batch(finish.orientation, sizes, made, &turned)?);
            finishing.outputs = turned;
        }
        Ok(finishing)
    }

    /// A job for every plane of every output, which has its new size in `to`.
    fn batch(
        &mut self,
        orientation: Orientation,
        sizes: &[(u32, u32)],
        from: &[Vec<Rows>],
        to: &[Vec<Rows>],
    ) -> Result<Batch, Error> {
        let mut batch = Batch { first: (self.jobs.len() / JOB_WORDS) as u32, ..Batch::default() };
        for ((size, from), to) in sizes.iter().zip(from).zip(to) {
            let (chroma, coloured) = match from[..] {
                [_, u, v] => ([u.at, v.at, u.stride], 1),
                _ => ([0; 3], 0),
            };
            let (chroma_width, chroma_height) = samples(1, *size);
            for (channel, (from, to)) in from.iter().zip(to).enumerate() {
                let (width, height) = samples(channel, *size);
                let (made_width, made_height) = orientation.turned((width, height));
                let words = made_width.div_ceil(4);
                let across = words.div_ceil(GROUP);
                self.jobs.extend([word(batch.groups)?, across, words, channel as u32]);
                self.jobs.extend([to.at, to.stride, from.at, from.stride]);
                self.jobs.extend(chroma);
                self.jobs.extend([width, height, chroma_width, chroma_height, coloured]);
                batch.count += 1;
                batch.groups += u64::from(across) * u64::from(made_height);
            }
        }
        Ok(batch)
    }
}

/// Samples per row and rows of a channel of an output.
fn samples(channel: usize, size: (u32, u32)) -> (u32, u32) {
    let (across, down) = Format::Yuv420.siting(channel);
    (across.samples(size.0), down.samples(size.1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::convert::{Colour, Matrix, Range};

    const MADE: [Rows; 3] = [Rows { at: 0, stride: 9 }, Rows { at: 90, stride: 5 }, Rows { at: 115, stride: 5 }];

    #[test]
    fn by_default_nothing_follows() {
        let finishing = Finishing::new(&Finish::default(), &[(34, 10)], &[MADE.to_vec()], 140).unwrap();
        assert!(finishing.convert.is_none() && finishing.turn.is_none() && finishing.jobs.is_empty());
        assert_eq!((finishing.outputs, finishing.words), (vec![MADE.to_vec()], 140));
    }

    #[test]
    fn turned_planes_lie_elsewhere() {
        let colour = |matrix| Colour { matrix, range: Range::Limited };
        let finish = Finish {
            conversion: Some(Conversion::new(colour(Matrix::Bt601), colour(Matrix::Bt709))),
            orientation: Orientation { transpose: true, mirror_x: false, mirror_y: true },
        };
        let finishing = Finishing::new(&finish, &[(34, 10)], &[MADE.to_vec()], 140).unwrap();
        assert_eq!(finishing.convert, Some(Batch { first: 0, count: 3, groups: 10 + 5 + 5 }));
        assert_eq!(finishing.turn, Some(Batch { first: 3, count: 3, groups: 34 + 17 + 17 }));
        assert_eq!((finishing.orientation, finishing.weights.len()), (5, 9));
        let rows = |at, stride| Rows { at, stride };
        assert_eq!(finishing.outputs, [[rows(0, 3), rows(102, 2), rows(136, 2)]]);
        assert_eq!((finishing.words, finishing.jobs.len()), (170, 6 * JOB_WORDS));
    }
}
