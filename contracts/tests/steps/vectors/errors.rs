//! Vectors of `ErrorSumStep`.

use super::{File, changed, spoilt};
use crate::evm::Dice;
use crate::pictures::Stored;
use alloy::primitives::B256;
use alloy::sol_types::SolValue;
use headframe_contracts::ErrorSumStep;
use headframe_kernels::Source;
use headframe_market::commit::{ByteTree, Errors, FrameErrors, Picture, Pictures};
use headframe_market::proof::abi::{Counts, ErrorEvidence, FrameLimit, SegmentLimit, Tile, TileLimit};
use headframe_market::proof::error_sum::Measured;
use headframe_market::proof::{Accusation, Answer, Limits, answer};

struct Work {
    answer: Answer,
    scaled: Pictures,
    decoded: Pictures,
    errors: Errors,
    limits: Limits,
}

/// Lowers one of the limits.
type Lower = fn(&mut Limits);

const SIZE: (u32, u32) = (36, 6);
const LARGE: Limits = Limits {
    tileLuma: 1 << 40,
    tileChroma: 1 << 40,
    frameLuma: 1 << 40,
    frameChroma: 1 << 40,
    segmentLuma: 1 << 40,
    segmentChroma: 1 << 40,
};

fn pictures(dice: &mut Dice, size: (u32, u32), times: &[i64]) -> Vec<Picture> {
    times.iter().map(|time| Stored::noise(dice, Source::yuv420(size)).picture(*time)).collect()
}

impl Work {
    fn new(scaled: Vec<Picture>, decoded: Vec<Picture>, errors: Errors, limits: Limits) -> Self {
        let (scaled, decoded) = (Pictures::new(scaled), Pictures::new(decoded));
        let rungs = vec![answer::rung(SIZE, &ByteTree::new(&[1]), &scaled, &decoded, &errors, &limits)];
        Self { answer: Answer { rungs, ..Default::default() }, scaled, decoded, errors, limits }
    }

    fn honest(dice: &mut Dice, limits: Limits) -> Self {
        let (scaled, decoded) = (pictures(dice, SIZE, &[0, 1, 2]), pictures(dice, SIZE, &[0, 1, 2]));
        let errors = Errors::between(&Pictures::new(scaled.clone()), &Pictures::new(decoded.clone())).unwrap();
        Self::new(scaled, decoded, errors, limits)
    }

    fn measured(&self) -> Measured<'_> {
        let Self { answer, scaled, decoded, errors, limits } = self;
        Measured { answer, rung: 0, scaled, decoded, errors, limits }
    }
}

/// The accusation with a part of its detail changed.
fn within<D>(accusation: &Accusation, change: impl FnOnce(&mut D)) -> Accusation
where
    D: SolValue + From<<D::SolType as alloy::sol_types::SolType>::RustType>,
{
    changed::<ErrorEvidence>(accusation, |evidence| {
        let mut detail = D::abi_decode(&evidence.detail).unwrap();
        change(&mut detail);
        evidence.detail = detail.abi_encode().into();
    })
}

#[test]
fn vectors_of_error_sum_step() {
    let (mut file, mut dice) = (File::new("error_sum", &ErrorSumStep::BYTECODE), Dice::new(32));
    let work = Work::honest(&mut dice, LARGE);
    tiles(&mut file, &work);
    limits(&mut file, &work);
    shapes(&mut file, &mut dice, &work);
    file.close();
}

fn tiles(file: &mut File, work: &Work) {
    let measured = work.measured();
    for (plane, column) in [(0, 0), (0, 1), (1, 0), (2, 0)] {
        let look = measured.tile(1, plane, column, 0).unwrap();
        file.add(&format!("tile {column} of plane {plane}"), &look, "NothingWrong");
    }
    let honest = measured.tile(2, 0, 1, 0).unwrap();
    spoilt(file, &honest);
    file.add("no such rung", &changed::<ErrorEvidence>(&honest, |e| e.rung = 1), "OutOfShape");
    file.add("no such kind", &changed::<ErrorEvidence>(&honest, |e| e.kind = 5), "Malformed");
    let mut refused = |name: &str, change: fn(&mut Tile), outcome: &str| {
        file.add(name, &within::<Tile>(&honest, change), outcome);
    };
    refused("plane 3", |t| t.plane = 3, "OutOfShape");
    refused("another picture's errors", |t| t.errors.index = 1, "OutOfShape");
    refused("another scaled picture", |t| t.scaled.index = 1, "NotCommitted");
    refused("another decoded picture", |t| t.decoded.frame.time = 0, "NotCommitted");
    refused("no such column", |t| t.column = 2, "OutOfShape");
    refused("no such row", |t| t.row = 1, "OutOfShape");
    refused("a changed scaled tile", |t| t.scaledTile.samples = vec![0; 24].into(), "NotCommitted");
    refused("a changed decoded tile", |t| t.decodedTile.samples = vec![0; 24].into(), "NotCommitted");
    refused("a changed error", |t| t.tile.value += 1, "NotCommitted");
    refused("a changed sum beside it", |t| t.tile.path[0].sum += 1, "NotCommitted");
    refused("sums past 64 bits", |t| t.tile.path[0].sum = u64::MAX, "NotCommitted");
    refused("an error's path too long", |t| t.tile.path.push(Default::default()), "OutOfShape");
    refused("chroma past 64 bits", |t| t.errors.planes[1].sum = u64::MAX, "Panic");
    refused("luma of frames past 64 bits", |t| t.errors.path[0].luma = u64::MAX, "Panic");
    refused("errors of a changed frame", |t| t.errors.path[0].luma += 1, "NotCommitted");
    refused("errors of a frame that is not there", |t| t.errors.count = 2, "OutOfShape");
    refused("errors' path too long", |t| t.errors.path.push(Default::default()), "OutOfShape");
    // Pictures of other numbers, each rightly opened.
    let other = measured.tile(1, 0, 1, 0).unwrap();
    let detail = ErrorEvidence::abi_decode(&other.evidence).unwrap().detail;
    let other = Tile::abi_decode(&detail).unwrap();
    let mixed = within::<Tile>(&honest, |t| t.decoded = other.decoded);
    file.add("pictures of two numbers", &mixed, "OutOfShape");

    // One number wrong, in both directions.
    for (name, delta) in [("an error too large", 1i64), ("an error too small", -1)] {
        let frame = work.errors.frame(0).unwrap();
        let luma: Vec<u64> = (0..2).map(|tile| frame.tile(0, tile).unwrap()).collect();
        let chroma = [1, 2].map(|plane| [frame.tile(plane, 0).unwrap()]);
        let changed = [luma[0], luma[1].checked_add_signed(delta).unwrap()];
        let frames = [
            FrameErrors::new([&changed, &chroma[0], &chroma[1]]).unwrap(),
            work.errors.frame(1).unwrap().clone(),
            work.errors.frame(2).unwrap().clone(),
        ];
        let [scaled, decoded] = [&work.scaled, &work.decoded].map(|pictures| pictures.iter().cloned().collect());
        let wrong = Work::new(scaled, decoded, Errors::new(frames.to_vec()).unwrap(), work.limits);
        file.add(name, &wrong.measured().accuse().unwrap(), "wrong error");
    }
}

fn limits(file: &mut File, work: &Work) {
    let measured = work.measured();
    let (tile, frame, segment) = (measured.tile_limit(0, 0, 1, 0), measured.frame_limit(0), measured.segment_limit());
    let (tile, frame, segment) = (tile.unwrap(), frame.unwrap(), segment.unwrap());
    file.add("a tile within its limit", &tile, "NothingWrong");
    file.add("chroma within its limit", &measured.tile_limit(0, 2, 0, 0).unwrap(), "NothingWrong");
    file.add("a frame within its limit", &frame, "NothingWrong");
    file.add("a segment within its limit", &segment, "NothingWrong");
    let mut refused = |name: &str, accusation: Accusation, outcome: &str| file.add(name, &accusation, outcome);
    refused("other limits of a tile", within::<TileLimit>(&tile, |t| t.limits.tileLuma = 0), "NotCommitted");
    refused("other limits of a frame", within::<FrameLimit>(&frame, |f| f.limits.frameLuma = 0), "NotCommitted");
    refused("other limits", within::<SegmentLimit>(&segment, |s| s.limits.segmentLuma = 0), "NotCommitted");
    refused("limit of plane 3", within::<TileLimit>(&tile, |t| t.plane = 3), "OutOfShape");
    refused("limit of no such column", within::<TileLimit>(&tile, |t| t.column = 2), "OutOfShape");
    refused("limit of no such row", within::<TileLimit>(&tile, |t| t.row = 1), "OutOfShape");
    refused("another frame's sums", within::<FrameLimit>(&frame, |f| f.errors.index = 1), "NotCommitted");
    refused("other sums of the segment", within::<SegmentLimit>(&segment, |s| s.top.luma += 1), "NotCommitted");

    let lower: [(&str, &str, Lower); 6] = [
        ("luma of a tile", "tile limit", |limits| limits.tileLuma = 1),
        ("chroma of a tile", "tile limit", |limits| limits.tileChroma = 1),
        ("luma of a frame", "frame limit", |limits| limits.frameLuma = 1),
        ("chroma of a frame", "frame limit", |limits| limits.frameChroma = 1),
        ("luma of the segment", "segment limit", |limits| limits.segmentLuma = 1),
        ("chroma of the segment", "segment limit", |limits| limits.segmentChroma = 1),
    ];
    for (name, fault, lower) in lower {
        let mut limits = LARGE;
        lower(&mut limits);
        let [scaled, decoded] = [&work.scaled, &work.decoded].map(|pictures| pictures.iter().cloned().collect());
        let over = Work::new(scaled, decoded, work.errors.clone(), limits);
        file.add(name, &over.measured().accuse().unwrap(), fault);
    }
}

fn shapes(file: &mut File, dice: &mut Dice, work: &Work) {
    let [scaled, decoded]: [Vec<Picture>; 2] =
        [&work.scaled, &work.decoded].map(|pictures| pictures.iter().cloned().collect());
    let with = |scaled: &[Picture], decoded: &[Picture]| {
        Work::new(scaled.to_vec(), decoded.to_vec(), work.errors.clone(), LARGE)
    };
    let mut other = decoded.clone();
    other[1] = pictures(dice, (38, 6), &[1]).remove(0);
    file.add("another size", &with(&scaled, &other).measured().accuse().unwrap(), "wrong shape");
    other[1] = pictures(dice, SIZE, &[7]).remove(0);
    file.add("another time", &with(&scaled, &other).measured().accuse().unwrap(), "wrong shape");
    // A scaled picture of another shape is ScaleStep's to convict: here its tiles are not to be compared.
    let mut wide = scaled.clone();
    wide[1] = pictures(dice, (38, 6), &[1]).remove(0);
    let accusation = with(&wide, &decoded).measured().tile(1, 0, 1, 0).unwrap();
    file.add("a scaled picture of another size", &accusation, "OutOfShape");

    let honest = work.measured().counts().unwrap();
    file.add("as many errors as pictures", &honest, "NothingWrong");
    file.add("a decoded picture missing", &with(&scaled, &decoded[..2]).measured().accuse().unwrap(), "wrong count");
    let errors = Errors::new((0..2).map(|frame| work.errors.frame(frame).unwrap().clone()).collect()).unwrap();
    let fewer = Work::new(scaled, decoded, errors, LARGE);
    file.add("an error missing", &fewer.measured().accuse().unwrap(), "wrong count");
    let mut refused = |name: &str, change: fn(&mut Counts)| {
        file.add(name, &within::<Counts>(&honest, change), "NotCommitted");
    };
    refused("another number of scaled pictures", |c| c.scaledCount += 1);
    refused("another number of decoded pictures", |c| c.decodedCount += 1);
    refused("another number of errors", |c| c.errorCount += 1);
    refused("other scaled pictures", |c| c.scaledTop = B256::ZERO);
}
