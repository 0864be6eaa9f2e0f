//! Pictures for the steps: random ones in any format, and what the kernels' reference makes of them.

use crate::evm::Dice;
use headframe_kernels::{Filter, Format, PlaneMut, Source, SourceRef, Yuv420Mut, reference};
use headframe_market::commit::{Chroma, Picture, Pictures};
use headframe_market::proof::answer::Curve;

/// The samples of a source as they are stored.
pub(crate) struct Stored {
    pub(crate) source: Source,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Stored {
    /// Noise, or noise of two extreme values, which makes the scaler overshoot.
    pub(crate) fn noise(dice: &mut Dice, source: Source) -> Self {
        let extreme = dice.below(3) == 0;
        let plane = |plane: usize, dice: &mut Dice| {
            let (width, height) = source.format.extent(plane, (source.width, source.height));
            let byte = |dice: &mut Dice| match (extreme, dice.next()) {
                (false, random) => random as u8,
                (true, random) => (random % 2) as u8 * 255,
            };
            ((0..width * height).map(|_| byte(dice)).collect(), width)
        };
        Self { source, planes: (0..source.format.planes()).map(|i| plane(i, dice)).collect() }
    }

    /// A chessboard of extreme values: the scaler overshoots in both directions.
    pub(crate) fn checks(source: Source) -> Self {
        let plane = |plane: usize| {
            let (width, height) = source.format.extent(plane, (source.width, source.height));
            let square = |i: usize| if (i % width / 2 + i / width / 2).is_multiple_of(2) { 255 } else { 0 };
            ((0..width * height).map(square).collect(), width)
        };
        Self { source, planes: (0..source.format.planes()).map(plane).collect() }
    }

    /// The words of the first plane of a ten-bit format as they are stored, high byte first.
    pub(crate) fn words(&self) -> Vec<u8> {
        self.planes[0].0.chunks(2).flat_map(|word| [word[1], word[0]]).collect()
    }

    pub(crate) fn view(&self) -> SourceRef<'_> {
        let planes: Vec<(&[u8], usize)> = self.planes.iter().map(|(bytes, stride)| (&bytes[..], *stride)).collect();
        SourceRef::new(self.source, &planes).unwrap()
    }

    /// As it is committed to.
    pub(crate) fn picture(&self, time: i64) -> Picture {
        let view = self.view();
        let (chroma, planes) = match self.source.format {
            Format::Grey | Format::GreyTen => (Chroma::Grey, 1),
            Format::Yuv420 | Format::Nv12 | Format::Yuv420Ten | Format::P010 => (Chroma::Yuv420, 3),
            Format::Yuv422 | Format::Yuv422Ten => (Chroma::Yuv422, 3),
            Format::Yuv444 | Format::Yuv444Ten => (Chroma::Yuv444, 3),
        };
        let bits = self.source.format.bits() as u8;
        let plane = |channel| {
            let (width, height) = view.extent(channel);
            let words = (0..width * height).map(|i| view.sample(channel, i % width, i / width).to_be_bytes());
            words.flat_map(|word| word[usize::from(bits == 8)..].to_vec()).collect()
        };
        let size = (self.source.width, self.source.height);
        Picture::new(size, chroma, bits, time, (0..planes).map(plane).collect()).unwrap()
    }
}

pub(crate) fn filter(curve: Curve) -> Filter {
    match curve {
        Curve::CatmullRom => Filter::CatmullRom,
        Curve::Lanczos3 => Filter::Lanczos3,
    }
}

/// Room for a 4:2:0 picture.
struct Room {
    size: (u32, u32),
    planes: [Vec<u8>; 3],
}

impl Room {
    fn new(size: (u32, u32)) -> Self {
        let half = (size.0.div_ceil(2), size.1.div_ceil(2));
        Self { size, planes: [size, half, half].map(|(w, h)| vec![0; w as usize * h as usize]) }
    }

    fn view(&mut self) -> Yuv420Mut<'_> {
        let (w, h) = (self.size.0 as usize, self.size.1 as usize);
        let [y, u, v] = &mut self.planes;
        let half = (w.div_ceil(2), h.div_ceil(2));
        let plane = |data, (w, h): (usize, usize)| PlaneMut::new(data, w, h, w).unwrap();
        Yuv420Mut::new(plane(y, (w, h)), plane(u, half), plane(v, half)).unwrap()
    }
}

/// Pictures of planes that lie behind each other.
pub(crate) fn raw(source: Source, bytes: &[u8]) -> Vec<Stored> {
    let extents: Vec<(usize, usize)> =
        (0..source.format.planes()).map(|plane| source.format.extent(plane, (source.width, source.height))).collect();
    let picture = |mut rest: &[u8]| {
        let plane = |(width, height): &(usize, usize)| {
            let (plane, behind) = rest.split_at(width * height);
            rest = behind;
            (plane.to_vec(), *width)
        };
        Stored { source, planes: extents.iter().map(plane).collect() }
    };
    bytes.chunks_exact(extents.iter().map(|(width, height)| width * height).sum()).map(picture).collect()
}

/// What the reference makes of a picture: each rung from the source, or as a cascade.
pub(crate) fn ladder(from: &Stored, sizes: &[(u32, u32)], curve: Curve, cascade: bool, time: i64) -> Vec<Picture> {
    let mut rooms: Vec<Room> = sizes.iter().map(|size| Room::new(*size)).collect();
    let mut views: Vec<Yuv420Mut<'_>> = rooms.iter_mut().map(Room::view).collect();
    if cascade {
        reference::scale_ladder(&from.view(), &mut views, filter(curve)).unwrap();
    } else {
        views.iter_mut().for_each(|view| reference::scale(&from.view(), view, filter(curve)).unwrap());
    }
    drop(views);
    let picture = |room: Room| Picture::new(room.size, Chroma::Yuv420, 8, time, room.planes.to_vec()).unwrap();
    rooms.into_iter().map(picture).collect()
}

/// The same picture with one sample changed by something.
pub(crate) fn corrupted(picture: &Picture, plane: usize, at: usize, dice: &mut Dice) -> Picture {
    let mut planes: Vec<Vec<u8>> = (0..picture.planes()).map(|plane| picture.plane(plane).to_vec()).collect();
    planes[plane][at] ^= dice.between(1, 255) as u8;
    Picture::new(picture.size(), picture.chroma(), picture.bits(), picture.time(), planes).unwrap()
}

pub(crate) fn committed(pictures: &[Picture]) -> Pictures {
    Pictures::new(pictures.to_vec())
}
