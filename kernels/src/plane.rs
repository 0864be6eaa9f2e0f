//! Borrowed 8-bit planes and 4:2:0 pictures: shapes are checked here once, so that kernels can rely on them.

use thiserror::Error;

/// Why a buffer does not hold the picture it is said to hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaneError {
    /// Width or height is zero.
    #[error("a plane of {width}x{height} samples is empty; both sides must be at least 1")]
    Empty {
        /// Samples per row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Rows would overlap.
    #[error("stride {stride} is smaller than the row of {width} samples")]
    Stride {
        /// Bytes from one row to the next.
        stride: usize,
        /// Samples per row.
        width: usize,
    },
    /// The buffer ends before the last row does.
    #[error("the buffer holds {have} bytes, the plane needs {need}")]
    Short {
        /// Bytes given.
        have: usize,
        /// Bytes needed: `stride * (height - 1) + width`.
        need: usize,
    },
    /// A picture of this format has another number of planes.
    #[error("the format has {want} planes, {have} were given")]
    Planes {
        /// Planes of the format.
        want: usize,
        /// Planes given.
        have: usize,
    },
    /// A chroma plane is not half the luma plane, rounded up, in each direction.
    #[error("chroma plane is {have_w}x{have_h}, 4:2:0 wants {want_w}x{want_h}")]
    Chroma {
        /// Width given.
        have_w: usize,
        /// Height given.
        have_h: usize,
        /// Width expected.
        want_w: usize,
        /// Height expected.
        want_h: usize,
    },
}

fn check(len: usize, width: usize, height: usize, stride: usize) -> Result<(), PlaneError> {
    if width == 0 || height == 0 {
        return Err(PlaneError::Empty { width, height });
    }
    if stride < width {
        return Err(PlaneError::Stride { stride, width });
    }
    let need = stride.checked_mul(height - 1).and_then(|bytes| bytes.checked_add(width)).unwrap_or(usize::MAX);
    if len < need {
        return Err(PlaneError::Short { have: len, need });
    }
    Ok(())
}

/// A readable plane of 8-bit samples. The last row may be shorter than the stride.
#[derive(Debug, Clone, Copy)]
pub struct PlaneRef<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
}

impl<'a> PlaneRef<'a> {
    /// Borrows `data` as `height` rows of `width` samples, `stride` bytes apart.
    pub fn new(data: &'a [u8], width: usize, height: usize, stride: usize) -> Result<Self, PlaneError> {
        check(data.len(), width, height, stride)?;
        Ok(Self { data, width, height, stride })
    }

    /// Samples per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y`, counted from the top.
    ///
    /// # Panics
    /// If `y` is not below the height.
    #[inline(always)]
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width]
    }

    /// All of it from the first to the last sample, and the bytes from row to row.
    #[cfg(feature = "cuda")]
    pub(crate) fn bytes(&self) -> (&'a [u8], usize) {
        (&self.data[..self.stride * (self.height - 1) + self.width], self.stride)
    }
}

/// A writable plane of 8-bit samples; bytes between the rows are left alone.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    data: &'a mut [u8],
    width: usize,
    height: usize,
    stride: usize,
}

impl<'a> PlaneMut<'a> {
    /// Borrows `data` as `height` rows of `width` samples, `stride` bytes apart.
    pub fn new(data: &'a mut [u8], width: usize, height: usize, stride: usize) -> Result<Self, PlaneError> {
        check(data.len(), width, height, stride)?;
        Ok(Self { data, width, height, stride })
    }

    /// Samples per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y`, counted from the top.
    ///
    /// # Panics
    /// If `y` is not below the height.
    #[inline(always)]
    pub fn row_mut(&mut self, y: usize) -> &mut [u8] {
        &mut self.data[y * self.stride..][..self.width]
    }

    /// Row `y`, to read.
    ///
    /// # Panics
    /// If `y` is not below the height.
    #[inline(always)]
    pub fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.stride..][..self.width]
    }

    /// The same plane, to read.
    pub fn to_ref(&self) -> PlaneRef<'_> {
        PlaneRef { data: self.data, width: self.width, height: self.height, stride: self.stride }
    }

    /// The rows from `y` on, each `stride` bytes behind the one before; only the width's worth of each is this plane's.
    #[inline(always)]
    pub(crate) fn rows_mut(&mut self, y: usize) -> (&mut [u8], usize) {
        (&mut self.data[y * self.stride..], self.stride)
    }
}

fn check_chroma(luma: (usize, usize), planes: [(usize, usize); 2]) -> Result<(), PlaneError> {
    let (want_w, want_h) = (luma.0.div_ceil(2), luma.1.div_ceil(2));
    for (have_w, have_h) in planes {
        if (have_w, have_h) != (want_w, want_h) {
            return Err(PlaneError::Chroma { have_w, have_h, want_w, want_h });
        }
    }
    Ok(())
}

/// A readable planar 4:2:0 picture; chroma sizes are half the luma sizes, rounded up.
#[derive(Debug, Clone, Copy)]
pub struct Yuv420Ref<'a> {
    pub(crate) planes: [PlaneRef<'a>; 3],
}

impl<'a> Yuv420Ref<'a> {
    /// Joins three planes.
    pub fn new(y: PlaneRef<'a>, u: PlaneRef<'a>, v: PlaneRef<'a>) -> Result<Self, PlaneError> {
        check_chroma((y.width, y.height), [(u.width, u.height), (v.width, v.height)])?;
        Ok(Self { planes: [y, u, v] })
    }

    /// Luma width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.planes[0].width, self.planes[0].height)
    }

    /// The Y, U and V planes.
    pub fn planes(&self) -> &[PlaneRef<'a>; 3] {
        &self.planes
    }
}

/// A writable planar 4:2:0 picture.
#[derive(Debug)]
pub struct Yuv420Mut<'a> {
    pub(crate) planes: [PlaneMut<'a>; 3],
}

impl<'a> Yuv420Mut<'a> {
    /// Joins three planes.
    pub fn new(y: PlaneMut<'a>, u: PlaneMut<'a>, v: PlaneMut<'a>) -> Result<Self, PlaneError> {
        check_chroma((y.width, y.height), [(u.width, u.height), (v.width, v.height)])?;
        Ok(Self { planes: [y, u, v] })
    }

    /// The same picture, to read.
    pub fn to_ref(&self) -> Yuv420Ref<'_> {
        let [y, u, v] = &self.planes;
        Yuv420Ref { planes: [y.to_ref(), u.to_ref(), v.to_ref()] }
    }

    /// Luma width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.planes[0].width, self.planes[0].height)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        let data = [0u8; 20];
        assert!(PlaneRef::new(&data, 4, 5, 4).is_ok());
        assert!(PlaneRef::new(&data, 4, 4, 5).is_ok(), "the last row needs no padding");
        assert_eq!(PlaneRef::new(&data, 0, 4, 5).unwrap_err(), PlaneError::Empty { width: 0, height: 4 });
        assert_eq!(PlaneRef::new(&data, 6, 2, 5).unwrap_err(), PlaneError::Stride { stride: 5, width: 6 });
        assert_eq!(PlaneRef::new(&data, 5, 5, 5).unwrap_err(), PlaneError::Short { have: 20, need: 25 });
        assert!(matches!(PlaneRef::new(&data, 1, usize::MAX, usize::MAX), Err(PlaneError::Short { .. })));
    }

    #[test]
    fn chroma_is_half_rounded_up() {
        let data = [0u8; 64];
        let plane = |w, h| PlaneRef::new(&data, w, h, w).unwrap();
        assert!(Yuv420Ref::new(plane(5, 3), plane(3, 2), plane(3, 2)).is_ok());
        assert!(Yuv420Ref::new(plane(5, 3), plane(2, 2), plane(3, 2)).is_err());
    }
}
