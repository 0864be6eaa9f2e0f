//! A whole segment of 1080p: what the proofs cost, and the transcoder that blurs one tile of one frame.

use crate::evm::{Dice, Outcome, Step};
use crate::pictures::{Stored, committed, ladder};
use crate::vectors::File;
use headframe_contracts::{ErrorSumStep, ScaleStep};
use headframe_kernels::{Format, Source};
use headframe_market::commit::{ByteTree, Errors, Picture, Pictures};
use headframe_market::proof::answer::{self, Curve};
use headframe_market::proof::error_sum::Measured;
use headframe_market::proof::scale::Scaling;
use headframe_market::proof::{Accusation, Answer, Block, Limits};
use std::sync::LazyLock;

/// Commitments to 60 pictures of 1080p take a while: one segment of the usual curve serves all tests.
pub(crate) static SEGMENT: LazyLock<Segment> = LazyLock::new(|| Segment::new(Curve::CatmullRom));

pub(crate) const FRAMES: usize = 60;
pub(crate) const FRAME: usize = 37;
/// Twice, three and four and a half times smaller, and the usual 480p and 720p.
pub(crate) const SIZES: [(u32, u32); 5] = [(960, 540), (640, 360), (426, 240), (854, 480), (1280, 720)];

/// Two seconds of one picture, and the right rungs.
pub(crate) struct Segment {
    curve: Curve,
    pub(crate) source: Pictures,
    pub(crate) right: Vec<Vec<Picture>>,
    pub(crate) scaled: Vec<Pictures>,
}

fn at_all_times(picture: &Picture) -> Vec<Picture> {
    let planes: Vec<Vec<u8>> = (0..picture.planes()).map(|plane| picture.plane(plane).to_vec()).collect();
    let at = |time| Picture::new(picture.size(), picture.chroma(), picture.bits(), time, planes.clone()).unwrap();
    (0..FRAMES).map(|frame| at(3000 * frame as i64)).collect()
}

impl Segment {
    fn new(curve: Curve) -> Self {
        let mut dice = Dice::new(8);
        let stored = Stored::noise(&mut dice, Source { width: 1920, height: 1080, format: Format::Yuv420 });
        let source = committed(&at_all_times(&stored.picture(0)));
        let right: Vec<Vec<Picture>> = ladder(&stored, &SIZES, curve, false, 0).iter().map(at_all_times).collect();
        let scaled = right.iter().map(|pictures| committed(pictures)).collect();
        Self { curve, source, right, scaled }
    }

    /// The rungs with the first one's tile of column 11, row 7 of one frame blurred.
    pub(crate) fn blurred(&self) -> Vec<Pictures> {
        let mut shown = self.right[0].clone();
        shown[FRAME] = blurred(&shown[FRAME], 0, 11, 7);
        let mut scaled = self.scaled.clone();
        scaled[0] = committed(&shown);
        scaled
    }

    pub(crate) fn answer(&self, scaled: &[Pictures], errors: &Errors, limits: &Limits) -> Answer {
        let content = ByteTree::new(&[1]);
        let rung = |scaled: &Pictures| {
            answer::rung(scaled.picture(0).unwrap().size(), &content, scaled, scaled, errors, limits)
        };
        let rungs = scaled.iter().map(rung).collect();
        Answer { source: self.source.root().into(), filter: self.curve as u8, cascade: false, rungs }
    }
}

/// Each sample of the tile becomes the mean of itself and its neighbours, as far as they are in the tile.
fn blurred(picture: &Picture, plane: usize, column: usize, row: usize) -> Picture {
    let mut planes: Vec<Vec<u8>> = (0..picture.planes()).map(|plane| picture.plane(plane).to_vec()).collect();
    let (width, height) = picture.extent(plane);
    let (columns, rows) = (column * 32..(column * 32 + 32).min(width), row * 32..(row * 32 + 32).min(height));
    for y in rows.clone() {
        for x in columns.clone() {
            let around =
                |at: usize, range: &std::ops::Range<usize>| at.max(range.start + 1) - 1..(at + 2).min(range.end);
            let near = around(y, &rows).flat_map(|y| around(x, &columns).map(move |x| (x, y)));
            let values: Vec<usize> = near.map(|(x, y)| usize::from(picture.sample(plane, x, y).unwrap())).collect();
            planes[plane][y * width + x] = (values.iter().sum::<usize>() / values.len()) as u8;
        }
    }
    Picture::new(picture.size(), picture.chroma(), picture.bits(), picture.time(), planes).unwrap()
}

#[test]
fn a_transcoder_that_blurs_one_tile_of_one_frame() {
    let mut step = Step::new(&ScaleStep::BYTECODE);
    let segment = &*SEGMENT;
    let honest = &segment.scaled;
    let (errors, limits) = (Errors::between(&honest[0], &honest[0]).unwrap(), Limits::default());
    let honest_answer = segment.answer(honest, &errors, &limits);

    let scaled = segment.blurred();
    let answer = segment.answer(&scaled, &errors, &limits);
    let cheat = Scaling { answer: &answer, source: &segment.source, scaled: &scaled };
    let accusation = cheat.accuse(0, &segment.right[0]).unwrap();
    let (outcome, gas) = step.prove(&accusation);
    println!("a blurred tile of 960x540 is proved with {gas} gas");
    assert_eq!(outcome, Outcome::Fault("wrong sample".into()));
    assert!(gas < 400_000, "{gas}");

    // The same call against the honest one: the same place of its pictures, and the very same evidence.
    let truth = Scaling { answer: &honest_answer, source: &segment.source, scaled: honest };
    let place = place_of(&accusation);
    assert_eq!(step.prove(&truth.look(0, FRAME, place).unwrap()).0, Outcome::NothingWrong);
    let same = Accusation { statement: answer::statement(&honest_answer), ..accusation.clone() };
    assert!(matches!(step.prove(&same).0, Outcome::Refused(_)));
    assert_eq!(truth.accuse(0, &segment.right[0]), None);

    // The market's tests tell the whole story with these.
    let mut file = File::new("blur", &ScaleStep::BYTECODE);
    file.add("one blurred tile of one frame", &accusation, "wrong sample");
    file.add("the same place of the honest one", &truth.look(0, FRAME, place).unwrap(), "NothingWrong");
    file.add("the same evidence against the honest one", &same, "OtherStatement");
    file.close();
}

fn place_of(accusation: &Accusation) -> Block {
    headframe_market::proof::scale::place(&accusation.evidence).unwrap()
}

/// The dearest of the blocks along a diagonal, some of which reach over two borders of source tiles.
fn dearest(step: &mut Step, scaling: &Scaling<'_>, rung: usize, side: u32) -> (Accusation, u64) {
    let blocks =
        (0..SIZES[rung].1 / 8).step_by(5).map(|i| Block { plane: 0, x: 8 * i, y: 8 * i, width: side, height: side });
    let gas = |block| {
        let look = scaling.look(rung, FRAME, block).unwrap();
        let (outcome, gas) = step.prove(&look);
        assert_eq!(outcome, Outcome::NothingWrong);
        (look, gas)
    };
    blocks.map(gas).max_by_key(|(_, gas)| *gas).unwrap()
}

#[test]
fn proofs_over_1080p_cost_what_was_promised() {
    let (mut step, mut file) = (Step::new(&ScaleStep::BYTECODE), File::new("gas_scale", &ScaleStep::BYTECODE));
    for (c, curve) in [Curve::CatmullRom, Curve::Lanczos3].into_iter().enumerate() {
        let made;
        let segment = match curve {
            Curve::CatmullRom => &*SEGMENT,
            Curve::Lanczos3 => {
                made = Segment::new(curve);
                &made
            }
        };
        let (errors, limits) = (Errors::between(&segment.scaled[0], &segment.scaled[0]).unwrap(), Limits::default());
        let answer = segment.answer(&segment.scaled, &errors, &limits);
        let scaling = Scaling { answer: &answer, source: &segment.source, scaled: &segment.scaled };
        // Up to twelve taps 400k; of the others Lanczos has fourteen at 854x480 and more at 640x360, and both have twenty
        // and more at 426x240.
        let most = [[400_000; 2], [400_000, 1_300_000], [1_300_000; 2], [400_000, 1_300_000], [400_000; 2]];
        for (rung, most) in most.into_iter().enumerate() {
            let (look, one) = dearest(&mut step, &scaling, rung, 1);
            let (block, whole) = dearest(&mut step, &scaling, rung, 8);
            let name = format!("{curve:?} 1920x1080 to {}x{}", SIZES[rung].0, SIZES[rung].1);
            println!("{name}: {one} gas for one sample, {whole} for a block of 8x8");
            assert!(one <= most[c], "{name}: {one}");
            assert!(whole < 16_777_216, "a transaction could not hold it");
            file.add(&format!("{name}, one sample"), &look, "NothingWrong");
            if rung == 0 {
                file.add(&format!("{name}, 8x8"), &block, "NothingWrong");
            }
        }
    }
    file.close();
}

#[test]
fn proofs_of_errors_cost_what_was_promised() {
    let (mut step, mut file) =
        (Step::new(&ErrorSumStep::BYTECODE), File::new("gas_error_sum", &ErrorSumStep::BYTECODE));
    let segment = &*SEGMENT;
    let (right, rung) = (&segment.right[4], 0);
    let (scaled, mut decoded) = (&segment.scaled[4], right.clone());
    decoded[FRAME] = blurred(&decoded[FRAME], 0, 3, 5);
    let decoded = committed(&decoded);
    let errors = Errors::between(scaled, &decoded).unwrap();
    let limits = Limits::default();
    let rungs = vec![answer::rung(SIZES[4], &ByteTree::new(&[1]), scaled, &decoded, &errors, &limits); 5];
    let answer = &Answer { source: segment.source.root().into(), filter: 0, cascade: false, rungs };
    let measured = Measured { answer, rung, scaled, decoded: &decoded, errors: &errors, limits: &limits };
    let mut gas = |name: &str, accusation: Option<Accusation>, want: &str, limit: u64| {
        let accusation = accusation.unwrap();
        let (_, gas) = step.prove(&accusation);
        println!("{name}, 1280x720: {gas} gas");
        assert!(gas <= limit, "{name}: {gas}");
        file.add(&format!("1280x720, {name}"), &accusation, want);
    };
    gas("tile error", measured.tile(FRAME, 0, 3, 5), "NothingWrong", 250_000);
    gas("tile limit", measured.tile_limit(FRAME, 0, 3, 5), "tile limit", 110_000);
    gas("frame limit", measured.frame_limit(FRAME), "frame limit", 90_000);
    gas("segment limit", measured.segment_limit(), "segment limit", 70_000);
    gas("counts", measured.counts(), "NothingWrong", 70_000);
    file.close();
}
