//! Every implementation gives the reference's bytes, on any size, stride and content.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use headframe_kernels::filter::{Axis, Siting};
use headframe_kernels::{Isa, PlaneMut, PlaneRef, Scaler, Yuv420Mut, Yuv420Ref, metric, reference, simd};
use proptest::prelude::*;

/// A small fast generator: the content must be reproducible, not good.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes of one of four characters: noise, extremes only, a ramp, flat.
    fn fill(&mut self, len: usize) -> Vec<u8> {
        let kind = self.next() % 4;
        (0..len)
            .map(|i| match kind {
                0 => self.next() as u8,
                1 => (self.next() & 1) as u8 * 255,
                2 => (i * 3) as u8,
                _ => 200,
            })
            .collect()
    }
}

struct Picture {
    sizes: [(usize, usize, usize); 3],
    data: [Vec<u8>; 3],
}

impl Picture {
    fn new((width, height): (u32, u32), gaps: [usize; 3], noise: &mut Noise) -> Self {
        let (w, h) = (width as usize, height as usize);
        let chroma = (w.div_ceil(2), h.div_ceil(2));
        let sizes =
            [(w, h, w + gaps[0]), (chroma.0, chroma.1, chroma.0 + gaps[1]), (chroma.0, chroma.1, chroma.0 + gaps[2])];
        let data = sizes.map(|(_, h, stride)| noise.fill(stride * h));
        Self { sizes, data }
    }

    fn plane(&self, i: usize) -> PlaneRef<'_> {
        let (w, h, stride) = self.sizes[i];
        PlaneRef::new(&self.data[i], w, h, stride).unwrap()
    }

    fn view(&self) -> Yuv420Ref<'_> {
        Yuv420Ref::new(self.plane(0), self.plane(1), self.plane(2)).unwrap()
    }

    fn planes_mut(&mut self) -> [PlaneMut<'_>; 3] {
        let sizes = self.sizes;
        let [y, u, v] = &mut self.data;
        let plane = |data, i: usize| PlaneMut::new(data, sizes[i].0, sizes[i].1, sizes[i].2).unwrap();
        [plane(y, 0), plane(u, 1), plane(v, 2)]
    }
}

fn by_reference(src: &Picture, dst: &mut Picture, from: (u32, u32), to: (u32, u32)) {
    for (i, mut out) in dst.planes_mut().into_iter().enumerate() {
        let siting = if i == 0 { Siting::Centre } else { Siting::Left };
        let horizontal = Axis::new(from.0, to.0, out.width(), siting).unwrap();
        let vertical = Axis::new(from.1, to.1, out.height(), Siting::Centre).unwrap();
        reference::scale_plane(&src.plane(i), &mut out, &horizontal, &vertical);
    }
}

fn agree_on(from: (u32, u32), to: (u32, u32), gaps: [usize; 3], seed: u64) {
    let mut noise = Noise(seed | 1);
    let src = Picture::new(from, gaps, &mut noise);
    let blank = Picture::new(to, [gaps[2], gaps[0], gaps[1]], &mut noise);
    let mut want = Picture { sizes: blank.sizes, data: blank.data.clone() };
    by_reference(&src, &mut want, from, to);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut scaler = Scaler::with_isa(from, to, isa).unwrap();
        // Twice through one scaler: scratch left by a first picture must not show in the second.
        for _ in 0..2 {
            let mut have = Picture { sizes: blank.sizes, data: blank.data.clone() };
            let [y, u, v] = have.planes_mut();
            scaler.scale_yuv420(&src.view(), &mut Yuv420Mut::new(y, u, v).unwrap()).unwrap();
            for i in 0..3 {
                assert!(have.data[i] == want.data[i], "{isa:?} {from:?} -> {to:?} plane {i} differs (seed {seed})");
            }
        }
    }
}

fn close(side: u32) -> impl Strategy<Value = u32> {
    (1u32..=300).prop_filter("within the ratio limit", move |other| side.max(*other) <= 64 * side.min(*other))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scaler(
        (from, to) in (1u32..=300, 1u32..=200).prop_flat_map(|(w, h)| (Just((w, h)), (close(w), close(h).prop_map(|h| h.min(200))))),
        gaps in [0usize..40, 0usize..40, 0usize..40],
        seed: u64,
    ) {
        prop_assume!(from.1.max(to.1) <= 64 * from.1.min(to.1));
        agree_on(from, to, gaps, seed);
    }

    #[test]
    fn errors(width in 1usize..5000, height in 1usize..6, gap in 0usize..30, seed: u64) {
        let mut noise = Noise(seed | 1);
        let stride = width + gap;
        let (a, b) = (noise.fill(stride * height), noise.fill(stride * height));
        let (a, b) = (PlaneRef::new(&a, width, height, stride).unwrap(), PlaneRef::new(&b, width, height, stride).unwrap());
        let want = reference::squared_error(&a, &b);
        for isa in Isa::ALL {
            prop_assert_eq!(simd::squared_error(isa, &a, &b), want);
        }
        prop_assert_eq!(metric::squared_error(&a, &b).unwrap(), want);
    }
}

#[test]
fn the_ladder_from_full_hd() {
    for to in [(1280, 720), (854, 480), (640, 360), (426, 240), (1920, 1080)] {
        agree_on((1920, 1080), to, [0, 0, 0], 7);
    }
}

#[test]
fn flat_stays_flat_and_a_ramp_stays_in_place() {
    let (from, to) = ((640u32, 360u32), (426u32, 240u32));
    let mut noise = Noise(1);
    let mut src = Picture::new(from, [0; 3], &mut noise);
    for (i, data) in src.data.iter_mut().enumerate() {
        let width = src.sizes[i].0;
        let step = if i == 0 { 1.0 } else { 2.0 };
        // The value of a sample is a third of its luma position; left-sited chroma lies on even luma samples.
        data.iter_mut().enumerate().for_each(|(at, v)| *v = ((at % width) as f64 * step / 3.0).round() as u8);
    }
    let mut dst = Picture::new(to, [0; 3], &mut noise);
    let mut scaler = Scaler::new(from, to).unwrap();
    let [y, u, v] = dst.planes_mut();
    scaler.scale_yuv420(&src.view(), &mut Yuv420Mut::new(y, u, v).unwrap()).unwrap();
    for (i, step) in [(0, 1.0), (1, 2.0), (2, 2.0)] {
        for x in 10..dst.sizes[i].0 - 10 {
            let luma = (x as f64 * step + 0.5) * 640.0 / 426.0 - 0.5;
            let have = f64::from(dst.data[i][50 * dst.sizes[i].2 + x]);
            assert!((have - luma / 3.0).abs() <= 0.75, "plane {i} at {x}: {have} is not {}", luma / 3.0);
        }
    }
}
