//! A [`LadderScaler`] that also turns: sources are scaled as they lie, then the small pictures are turned. That takes less
//! than turning the source, and works for sources of every format, whose chroma may not be as fine in both directions.

use crate::filter::Filter;
use crate::ladder::LadderScaler;
use crate::plane::{PlaneMut, Yuv420Mut};
use crate::rotate::Orientation;
use crate::scale::ScaleError;
use crate::simd::Isa;
use crate::source::{Source, SourceRef};

/// Scales sources of one kind and one orientation to upright pictures.
#[derive(Debug)]
pub struct UprightScaler {
    orientation: Orientation,
    scaler: LadderScaler,
    /// What is to be turned; empty where nothing is.
    lying: Vec<Lying>,
}

impl UprightScaler {
    /// For outputs of these sizes, as they are shown.
    pub fn new(
        source: Source,
        orientation: Orientation,
        outputs: &[(u32, u32)],
        filter: Filter,
        isa: Isa,
    ) -> Result<Self, ScaleError> {
        let sizes: Vec<_> = outputs.iter().map(|size| orientation.turned(*size)).collect();
        let scaler = LadderScaler::with_isa(source, &sizes, filter, isa)?;
        let turns = orientation != Orientation::UPRIGHT;
        let lying = sizes.into_iter().filter(|_| turns).map(Lying::new).collect();
        Ok(Self { orientation, scaler, lying })
    }

    /// Whether it was made for such pictures.
    pub fn takes(&self, source: Source, orientation: Orientation) -> bool {
        self.scaler.source() == source && self.orientation == orientation
    }

    /// Makes all outputs of `src`; see [`LadderScaler::scale`].
    pub fn scale(&mut self, src: &SourceRef<'_>, out: &mut [Yuv420Mut<'_>]) -> Result<(), ScaleError> {
        if self.lying.is_empty() {
            return self.scaler.scale(src, out);
        }
        let mut lying: Vec<_> = self.lying.iter_mut().map(Lying::view).collect();
        self.scaler.scale(src, &mut lying)?;
        if out.len() != lying.len() {
            return Err(ScaleError::Outputs { want: lying.len(), have: out.len() });
        }
        lying.iter().zip(out).try_for_each(|(lying, out)| self.orientation.apply(&lying.to_ref(), out))
    }
}

/// A picture with memory of its own: three planes behind each other.
#[derive(Debug)]
struct Lying {
    size: (usize, usize),
    data: Vec<u8>,
}

impl Lying {
    fn new((width, height): (u32, u32)) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { size: (width, height), data: vec![0; width * height + 2 * width.div_ceil(2) * height.div_ceil(2)] }
    }

    fn view(&mut self) -> Yuv420Mut<'_> {
        let (width, height) = self.size;
        let (half, rows) = (width.div_ceil(2), height.div_ceil(2));
        let (luma, chroma) = self.data.split_at_mut(width * height);
        let (u, v) = chroma.split_at_mut(half * rows);
        fn plane(data: &mut [u8], width: usize, height: usize) -> PlaneMut<'_> {
            PlaneMut::new(data, width, height, width).expect("made with this size")
        }
        let picture = Yuv420Mut::new(plane(luma, width, height), plane(u, half, rows), plane(v, half, rows));
        picture.expect("chroma planes are half as large")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn turned_pictures_are_scaled_pictures_turned() {
        let source = Source::yuv420((96, 64));
        let bytes: Vec<u8> = (0..96 * 64).map(|i| (i % 96 * 2 + i / 96) as u8).collect();
        let planes = [(&bytes[..], 96), (&bytes[..], 48), (&bytes[50..], 48)];
        let source_ref = SourceRef::new(source, &planes).unwrap();
        let how = Orientation { transpose: true, mirror_x: true, mirror_y: false };
        let (mut plain, mut want, mut have) = (Lying::new((40, 24)), Lying::new((24, 40)), Lying::new((24, 40)));
        LadderScaler::with_isa(source, &[(40, 24)], Filter::CatmullRom, Isa::Portable)
            .unwrap()
            .scale(&source_ref, &mut [plain.view()])
            .unwrap();
        how.apply(&plain.view().to_ref(), &mut want.view()).unwrap();
        let mut scaler = UprightScaler::new(source, how, &[(24, 40)], Filter::CatmullRom, Isa::Portable).unwrap();
        assert!(scaler.takes(source, how) && !scaler.takes(source, Orientation::UPRIGHT));
        scaler.scale(&source_ref, &mut [have.view()]).unwrap();
        assert_eq!(have.data, want.data);
        assert!(scaler.scale(&source_ref, &mut [plain.view()]).is_err(), "an output that lies");
        assert!(scaler.scale(&source_ref, &mut []).is_err());
    }
}
