//! What is measured on two or three pictures of one size, in integers that are sums of squares and products: any order
//! of adding them up, any number of threads and any processor give the same.

use headframe_kernels::PlaneRef;

/// Side of a luma tile; chroma tiles are half as wide and high.
pub(super) const TILE: usize = 32;

/// Sums over one tile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tile {
    /// Samples.
    pub(super) n: u64,
    /// Squared differences.
    pub(super) error: u64,
    /// Differences.
    pub(super) offset: i64,
}

impl Tile {
    /// Squared error that the tile's mean alone makes, rounded down.
    pub(super) fn mean_error(&self) -> u64 {
        self.offset.unsigned_abs().pow(2) / self.n.max(1)
    }
}

/// Tiles of `side` in rows; the last of a row or column may be smaller.
pub(super) fn tiles(a: &PlaneRef<'_>, b: &PlaneRef<'_>, side: usize) -> Vec<Tile> {
    let across = a.width().div_ceil(side);
    let mut tiles = vec![Tile::default(); across * a.height().div_ceil(side)];
    for y in 0..a.height() {
        let row = &mut tiles[y / side * across..][..across];
        for ((tile, a), b) in row.iter_mut().zip(a.row(y).chunks(side)).zip(b.row(y).chunks(side)) {
            let (mut error, mut offset) = (0u32, 0i32);
            for (a, b) in a.iter().zip(b) {
                let d = i32::from(*a) - i32::from(*b);
                error += (d * d) as u32;
                offset += d;
            }
            tile.n += a.len() as u64;
            tile.error += u64::from(error);
            tile.offset += i64::from(offset);
        }
    }
    tiles
}

/// Differences between neighbouring samples at one scale: what a blur takes away first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// Three per block of two by two (left-right, top-bottom, crosswise), all blocks.
    values: Vec<i16>,
}

impl Details {
    /// Sum of products with `other`, which has the same shape.
    pub(super) fn dot(&self, other: &Self) -> i64 {
        let mut sum = 0;
        // 64 products of at most 2040^2 fit 32 bits.
        for (a, b) in self.values.chunks(64).zip(other.values.chunks(64)) {
            sum += i64::from(a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>());
        }
        sum
    }
}

/// The details of a plane at two scales: between samples, and between sums of two by two samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Pyramid {
    pub(super) levels: [Details; 2],
}

impl Pyramid {
    pub(super) fn of(plane: &PlaneRef<'_>) -> Self {
        let rows = |y: usize| plane.row(y).iter().map(|sample| i16::from(*sample)).collect::<Vec<_>>();
        let mut pyramid = Self::default();
        let mut above: Option<Vec<i16>> = None;
        for y in 0..plane.height() / 2 {
            let sums = block(&rows(2 * y), &rows(2 * y + 1), &mut pyramid.levels[0].values);
            match above.take() {
                Some(above) => drop(block(&above, &sums, &mut pyramid.levels[1].values)),
                None => above = Some(sums),
            }
        }
        pyramid
    }
}

/// Adds the details of two rows and returns the sums of their blocks.
fn block(top: &[i16], bottom: &[i16], details: &mut Vec<i16>) -> Vec<i16> {
    let half = top.len() / 2;
    let start = details.len();
    details.resize(start + 3 * half, 0);
    let (across, rest) = details[start..].split_at_mut(half);
    let (down, crosswise) = rest.split_at_mut(half);
    let mut sums = vec![0; half];
    let pairs = top.chunks_exact(2).zip(bottom.chunks_exact(2));
    for (i, (top, bottom)) in pairs.enumerate() {
        let (a, b, c, d) = (top[0], top[1], bottom[0], bottom[1]);
        across[i] = a - b + c - d;
        down[i] = a + b - c - d;
        crosswise[i] = a - b - c + d;
        sums[i] = a + b + c + d;
    }
    sums
}

/// How far a picture is displaced against another one, as least squares see it: twice the sum of difference times
/// slope, over the sum of slope times slope, is the displacement in samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Slide {
    /// Difference times slope.
    pub product: i64,
    /// Slope of the one times slope of the other.
    pub slope: i64,
}

impl Slide {
    fn add(&mut self, other: Self) {
        self.product += other.product;
        self.slope += other.slope;
    }
}

/// Displacement of `b` against `a`: across in the left and the right half, down in the upper and the lower half. Halves
/// tell a crop from a shift: it moves them in opposite directions.
pub(super) fn slides(a: &PlaneRef<'_>, b: &PlaneRef<'_>) -> [Slide; 4] {
    let mut slides = [Slide::default(); 4];
    let (width, height) = (a.width(), a.height());
    if width < 8 || height < 8 {
        return slides;
    }
    let middle = width / 2;
    for y in 1..height - 1 {
        let (a_row, b_row) = (a.row(y), b.row(y));
        slides[0].add(slide(&a_row[..middle], &b_row[..middle]));
        slides[1].add(slide(&a_row[middle..], &b_row[middle..]));
        let half = &mut slides[2 + usize::from(y >= height / 2)];
        let (mut product, mut slope) = (0i64, 0i64);
        let above = a.row(y - 1).iter().zip(b.row(y - 1));
        let below = a.row(y + 1).iter().zip(b.row(y + 1));
        for (((a, b), (a0, b0)), (a1, b1)) in a_row.iter().zip(b_row).zip(above).zip(below) {
            let a_slope = i32::from(*a1) - i32::from(*a0);
            product += i64::from((i32::from(*b) - i32::from(*a)) * a_slope);
            slope += i64::from((i32::from(*b1) - i32::from(*b0)) * a_slope);
        }
        half.add(Slide { product, slope });
    }
    slides
}

fn slide(a: &[u8], b: &[u8]) -> Slide {
    let (mut product, mut slope) = (0i64, 0i64);
    for (a, b) in a.windows(3).zip(b.windows(3)) {
        let a_slope = i32::from(a[2]) - i32::from(a[0]);
        product += i64::from((i32::from(b[1]) - i32::from(a[1])) * a_slope);
        slope += i64::from((i32::from(b[2]) - i32::from(b[0])) * a_slope);
    }
    Slide { product, slope }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn noise(width: usize, height: usize) -> Vec<u8> {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 25) as u8 + 60
        };
        (0..width * height).map(|_| next()).collect()
    }

    #[test]
    fn tiles_add_up() {
        let (a, b) = (noise(70, 45), vec![100; 70 * 45]);
        let (a, b) = (PlaneRef::new(&a, 70, 45, 70).unwrap(), PlaneRef::new(&b, 70, 45, 70).unwrap());
        let tiles = tiles(&a, &b, TILE);
        assert_eq!((tiles.len(), tiles[2].n, tiles[5].n), (6, 6 * 32, 6 * 13));
        assert_eq!(
            tiles.iter().map(|tile| tile.error).sum::<u64>(),
            headframe_kernels::metric::squared_error(&a, &b).unwrap()
        );
        assert!(tiles.iter().all(|tile| tile.mean_error() <= tile.error));
    }

    #[test]
    fn a_shift_by_one_sample_is_one() {
        let samples = noise(66, 64);
        let a = PlaneRef::new(&samples[1..], 64, 64, 66).unwrap();
        let b = PlaneRef::new(&samples, 64, 64, 66).unwrap();
        for (i, slide) in slides(&a, &b).iter().enumerate() {
            let [own, ..] = slides(&a, &a);
            let milli = 2000 * slide.product / own.slope;
            if i < 2 {
                assert!((-1150..-850).contains(&milli), "{i}: {milli}");
            } else {
                assert!(milli.abs() < 150, "{i}: {milli}");
            }
        }
        assert!(slides(&a, &a).iter().all(|slide| slide.product == 0 && slide.slope > 0));
    }

    #[test]
    fn flat_planes_have_no_details() {
        let (flat, rough) = (vec![9; 64 * 32], noise(64, 32));
        let (flat, rough) = (PlaneRef::new(&flat, 64, 32, 64).unwrap(), PlaneRef::new(&rough, 64, 32, 64).unwrap());
        let (flat, rough) = (Pyramid::of(&flat), Pyramid::of(&rough));
        for (flat, rough) in flat.levels.iter().zip(&rough.levels) {
            assert!(flat.dot(flat) == 0 && flat.dot(rough) == 0 && rough.dot(rough) > 0);
        }
    }
}
