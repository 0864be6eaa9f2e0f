//! Pictures with gaps between their rows, for any format.

use crate::noise::Noise;
use headframe_kernels::filter::Siting;
use headframe_kernels::{Format, PlaneMut, PlaneRef, Source, SourceRef, Yuv420Mut, Yuv420Ref};

pub(crate) struct Input {
    source: Source,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Input {
    /// Random content and strides.
    pub(crate) fn new(source: Source, noise: &mut Noise) -> Self {
        let planes = (0..source.format.planes())
            .map(|plane| {
                let (width, height) = extent(source, plane);
                let stride = width + noise.below(40) as usize;
                // The last row needs no gap behind it.
                (noise.fill(stride * (height - 1) + width), stride)
            })
            .collect();
        Self { source, planes }
    }

    /// Every sample is given, in 8-bit steps, by its luma column.
    pub(crate) fn of(source: Source, noise: &mut Noise, value: impl Fn(f64) -> f64) -> Self {
        let mut input = Self::new(source, noise);
        let wide = source.format.bits() > 8;
        for (i, (data, stride)) in input.planes.iter_mut().enumerate() {
            let interleaved = i > 0 && source.format.planes() == 2;
            let step = if source.format.siting(i).0 == Siting::Full { 1.0 } else { 2.0 };
            let (width, height) = extent(source, i);
            for y in 0..height {
                let row = &mut data[y * *stride..][..width];
                let samples = width / if wide { 2 } else { 1 };
                for at in 0..samples {
                    let x = if interleaved { at / 2 } else { at };
                    let value = value(x as f64 * step);
                    match source.format {
                        Format::P010 => {
                            row[2 * at..][..2].copy_from_slice(&(((value * 4.0).round() as u16) << 6).to_le_bytes());
                        }
                        _ if wide => row[2 * at..][..2].copy_from_slice(&((value * 4.0).round() as u16).to_le_bytes()),
                        _ => row[at] = value.round() as u8,
                    }
                }
            }
        }
        input
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    pub(crate) fn view(&self) -> SourceRef<'_> {
        let planes: Vec<(&[u8], usize)> = self.planes.iter().map(|(data, stride)| (&data[..], *stride)).collect();
        SourceRef::new(self.source, &planes).unwrap()
    }

    /// The bytes of row `y` of a plane.
    #[cfg(feature = "cuda")]
    pub(crate) fn row(&self, plane: usize, y: usize) -> &[u8] {
        let (data, stride) = &self.planes[plane];
        &data[y * stride..][..extent(self.source, plane).0]
    }

    /// The same as 4:2:0, which it must be.
    pub(crate) fn yuv420(&self) -> Yuv420Ref<'_> {
        assert_eq!(self.source.format, Format::Yuv420);
        let plane = |i: usize| {
            let (width, height) = extent(self.source, i);
            PlaneRef::new(&self.planes[i].0, width, height, self.planes[i].1).unwrap()
        };
        Yuv420Ref::new(plane(0), plane(1), plane(2)).unwrap()
    }
}

/// Bytes per row and rows.
pub(crate) fn extent(source: Source, plane: usize) -> (usize, usize) {
    let (across, down) = source.format.siting(plane);
    let pairs = if plane > 0 && source.format.planes() == 2 { 2 } else { 1 };
    let bytes = if source.format.bits() > 8 { 2 } else { 1 };
    (across.samples(source.width) as usize * pairs * bytes, down.samples(source.height) as usize)
}

/// Gaps are compared too: nothing may be written there.
#[derive(Clone, PartialEq)]
pub(crate) struct Output {
    sizes: [(usize, usize, usize); 3],
    data: [Vec<u8>; 3],
}

impl Output {
    pub(crate) fn new((width, height): (u32, u32), noise: &mut Noise) -> Self {
        let (w, h) = (width as usize, height as usize);
        let mut gap = || noise.below(40) as usize;
        let sizes = [(w, h), (w.div_ceil(2), h.div_ceil(2)), (w.div_ceil(2), h.div_ceil(2))];
        let sizes = sizes.map(|(w, h)| (w, h, w + gap()));
        Self { sizes, data: sizes.map(|(w, h, stride)| noise.fill(stride * (h - 1) + w)) }
    }

    pub(crate) fn view(&mut self) -> Yuv420Mut<'_> {
        let sizes = self.sizes;
        let [y, u, v] = &mut self.data;
        let plane = |data, i: usize| PlaneMut::new(data, sizes[i].0, sizes[i].1, sizes[i].2).unwrap();
        Yuv420Mut::new(plane(y, 0), plane(u, 1), plane(v, 2)).unwrap()
    }

    /// Sets all samples of the three planes.
    #[cfg(feature = "cuda")]
    pub(crate) fn fill(&mut self, samples: &[Vec<u8>]) {
        for ((data, (w, h, stride)), samples) in self.data.iter_mut().zip(self.sizes).zip(samples) {
            (0..h).for_each(|y| data[y * stride..][..w].copy_from_slice(&samples[y * w..][..w]));
        }
    }

    /// The samples of a plane without gaps.
    pub(crate) fn samples(&self, plane: usize) -> Vec<u8> {
        let (w, h, stride) = self.sizes[plane];
        (0..h).flat_map(|y| self.data[plane][y * stride..][..w].iter().copied()).collect()
    }
}
