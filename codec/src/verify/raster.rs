//! A 4:2:0 picture with memory of its own.

use headframe_kernels::{PlaneMut, PlaneRef, Yuv420Mut, Yuv420Ref};

/// Three planes behind each other, without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raster {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Raster {
    /// Black luma, no chroma; sizes are even and positive, as a checked rendition has them.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, height, data: vec![0; width * height + 2 * width.div_ceil(2) * height.div_ceil(2)] }
    }

    fn half(&self) -> (usize, usize) {
        (self.width.div_ceil(2), self.height.div_ceil(2))
    }

    pub(crate) fn view(&self) -> Yuv420Ref<'_> {
        let (w, h) = self.half();
        let (luma, chroma) = self.data.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(w * h);
        let plane = |data, width, height| PlaneRef::new(data, width, height, width).expect("made with this size");
        let picture = Yuv420Ref::new(plane(luma, self.width, self.height), plane(u, w, h), plane(v, w, h));
        picture.expect("chroma planes are half as large")
    }

    pub(crate) fn view_mut(&mut self) -> Yuv420Mut<'_> {
        let (w, h) = self.half();
        let (luma, chroma) = self.data.split_at_mut(self.width * self.height);
        let (u, v) = chroma.split_at_mut(w * h);
        fn plane(data: &mut [u8], width: usize, height: usize) -> PlaneMut<'_> {
            PlaneMut::new(data, width, height, width).expect("made with this size")
        }
        let picture = Yuv420Mut::new(plane(luma, self.width, self.height), plane(u, w, h), plane(v, w, h));
        picture.expect("chroma planes are half as large")
    }
}
