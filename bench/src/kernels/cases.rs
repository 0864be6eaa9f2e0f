//! Our kernels as cases to time: each does one 1080p picture a call and says how many bytes it reads and writes.

use anyhow::Result;
use headframe_kernels::{
    Filter, Format, Isa, LadderScaler, PlaneMut, PlaneRef, Source, SourceRef, Yuv420Mut, metric, simd,
};

/// Sources take turns, as a decoder's pictures do; together more than most machines' share of the last cache.
const SOURCES: usize = 16;

/// One thing to time.
pub(super) struct Case {
    pub(super) kernel: String,
    pub(super) isa: Option<Isa>,
    /// Read and written for each picture, each sample counted once.
    pub(super) bytes: usize,
    /// Does it for the picture of this number.
    pub(super) frame: Box<dyn FnMut(usize) -> Result<()>>,
}

/// Everything, on every instruction set of this machine.
pub(super) fn all(size: (u32, u32), rungs: &[(u32, u32)]) -> Result<Vec<Case>> {
    let mut cases = vec![copy(size)];
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let eight = Source { width: size.0, height: size.1, format: Format::Yuv420 };
        let ten = Source { format: Format::Yuv420Ten, ..eight };
        let single: Vec<_> = rungs.iter().map(std::slice::from_ref).collect();
        cases.push(ladder("ladder 8-bit", isa, eight, &[rungs])?);
        cases.push(ladder("ladder 10-bit", isa, ten, &[rungs])?);
        cases.push(ladder("rungs apart 8-bit", isa, eight, &single)?);
        cases.push(squared_error(isa, size));
        cases.push(ssim(isa, size));
    }
    Ok(cases)
}

/// The floor under everything: copying the source.
fn copy(size: (u32, u32)) -> Case {
    let len = size.0 as usize * size.1 as usize * 3 / 2;
    let sources: Vec<_> = (0..SOURCES).map(|n| noise(len, n)).collect();
    let mut to = vec![0u8; len];
    let frame = move |n: usize| {
        to.copy_from_slice(&sources[n % SOURCES]);
        std::hint::black_box(&mut to);
        Ok(())
    };
    Case { kernel: super::COPY.into(), isa: None, bytes: 2 * len, frame: Box::new(frame) }
}

/// Bytes that no kernel finds easy; words of ten bits that are too large count as the largest.
fn noise(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * i + seed) >> 7) as u8).collect()
}

/// Each group of sizes is a ladder of its own, made from the source.
fn ladder(name: &str, isa: Isa, source: Source, groups: &[&[(u32, u32)]]) -> Result<Case> {
    let extents: Vec<_> =
        (0..source.format.planes()).map(|plane| source.format.extent(plane, (source.width, source.height))).collect();
    let picture = |n: usize| -> Vec<Vec<u8>> {
        extents.iter().enumerate().map(|(p, (row, rows))| noise(row * rows, 3 * n + p)).collect()
    };
    let pictures: Vec<_> = (0..SOURCES).map(picture).collect();
    let mut scalers = Vec::new();
    let mut written = 0;
    for sizes in groups {
        let scaler = LadderScaler::with_isa(source, sizes, Filter::CatmullRom, isa)?;
        let outputs: Vec<[Vec<u8>; 3]> = sizes.iter().map(|size| planes(*size).map(|(w, h)| vec![0; w * h])).collect();
        written += outputs.iter().flatten().map(Vec::len).sum::<usize>();
        scalers.push((scaler, sizes.to_vec(), outputs));
    }
    let read: usize = extents.iter().map(|(row, rows)| row * rows).sum();
    let frame = move |n: usize| {
        let planes_of: Vec<(&[u8], usize)> =
            pictures[n % SOURCES].iter().zip(&extents).map(|(plane, (row, _))| (&plane[..], *row)).collect();
        let view = SourceRef::new(source, &planes_of)?;
        for (scaler, sizes, outputs) in &mut scalers {
            let mut views = Vec::new();
            for ([y, u, v], size) in outputs.iter_mut().zip(sizes.iter()) {
                let [luma, chroma, _] = planes(*size);
                let plane = |data, (w, h)| PlaneMut::new(data, w, h, w);
                views.push(Yuv420Mut::new(plane(y, luma)?, plane(u, chroma)?, plane(v, chroma)?)?);
            }
            scaler.scale(&view, &mut views)?;
        }
        Ok(())
    };
    Ok(Case { kernel: name.into(), isa: Some(isa), bytes: read + written, frame: Box::new(frame) })
}

/// Width and height of the three planes of 4:2:0.
fn planes((width, height): (u32, u32)) -> [(usize, usize); 3] {
    let (w, h) = (width as usize, height as usize);
    let chroma = (w.div_ceil(2), h.div_ceil(2));
    [(w, h), chroma, chroma]
}

/// Luma of two pictures.
fn squared_error(isa: Isa, size: (u32, u32)) -> Case {
    pair("squared error", isa, size, move |a, b| {
        std::hint::black_box(simd::squared_error(isa, a, b));
        Ok(())
    })
}

fn ssim(isa: Isa, size: (u32, u32)) -> Case {
    pair("ssim sums", isa, size, move |a, b| {
        std::hint::black_box(metric::ssim_sums_with(isa, a, b)?);
        Ok(())
    })
}

fn pair(
    name: &str,
    isa: Isa,
    size: (u32, u32),
    compare: impl Fn(&PlaneRef<'_>, &PlaneRef<'_>) -> Result<()> + 'static,
) -> Case {
    let (w, h) = (size.0 as usize, size.1 as usize);
    let pictures: Vec<_> = (0..SOURCES).map(|n| noise(w * h, n)).collect();
    let frame = move |n: usize| {
        let plane = |n: usize| PlaneRef::new(&pictures[n % SOURCES], w, h, w);
        compare(&plane(n)?, &plane(n + 1)?)
    };
    Case { kernel: name.into(), isa: Some(isa), bytes: 2 * w * h, frame: Box::new(frame) }
}
