//! Proofs over video that was really decoded. `vectors/decoded` holds a source, two renditions and what each decodes to, with
//! the answer that the codec computes; its own tests (`codec/tests/commit.rs`) hold these files to the streams.

use crate::evm::{Dice, Outcome, Step};
use crate::headers::mask;
use crate::pictures::{committed, corrupted, ladder, raw};
use headframe_contracts::{ErrorSumStep, HeaderStep, ScaleStep};
use headframe_kernels::Source;
use headframe_market::commit::errors::tile_errors;
use headframe_market::commit::{self, ByteTree, Errors, FrameErrors, Picture, Pictures};
use headframe_market::proof::answer::{self, Curve};
use headframe_market::proof::error_sum::Measured;
use headframe_market::proof::header::Rendition;
use headframe_market::proof::scale::Scaling;
use headframe_market::proof::{Accusation, Answer, Block, Limits, Ordered};
use serde::Deserialize;

const SIZES: [(u32, u32); 2] = [(96, 64), (24, 16)];
const SOURCE: (u32, u32) = (112, 72);
/// Those whose hash is in the answer.
const LARGE: Limits = Limits {
    tileLuma: 1 << 40,
    tileChroma: 1 << 40,
    frameLuma: 1 << 40,
    frameChroma: 1 << 40,
    segmentLuma: 1 << 40,
    segmentChroma: 1 << 40,
};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/vectors/decoded/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn name((width, height): (u32, u32), what: &str) -> String {
    format!("{width}x{height}.{what}")
}

/// What the codec wrote.
#[derive(Deserialize)]
struct Said {
    answer: commit::Answer,
    times: Vec<i64>,
}

/// Everything behind the answer, from the decoded pictures alone.
struct Segment {
    answer: Answer,
    source: Pictures,
    right: Vec<Vec<Picture>>,
    scaled: Vec<Pictures>,
    decoded: Vec<Pictures>,
    errors: Vec<Errors>,
}

impl Segment {
    fn read() -> Self {
        let said: Said = serde_json::from_slice(&file("answer.json")).unwrap();
        let source = raw(Source::yuv420(SOURCE), &file("source.yuv"));
        let frames = source.iter().zip(&said.times);
        let made: Vec<Vec<Picture>> =
            frames.clone().map(|(frame, time)| ladder(frame, &SIZES, Curve::CatmullRom, true, *time)).collect();
        let right: Vec<Vec<Picture>> =
            (0..2).map(|rung| made.iter().map(|made| made[rung].clone()).collect()).collect();
        let decoded = |size: &(u32, u32)| {
            let frames = raw(Source::yuv420(*size), &file(&name(*size, "yuv")));
            Pictures::new(frames.iter().zip(&said.times).map(|(frame, time)| frame.picture(*time)).collect())
        };
        let decoded: Vec<Pictures> = SIZES.iter().map(decoded).collect();
        let scaled: Vec<Pictures> = right.iter().map(|pictures| committed(pictures)).collect();
        let errors = scaled.iter().zip(&decoded).map(|(a, b)| Errors::between(a, b).unwrap()).collect();
        let source = Pictures::new(frames.map(|(frame, time)| frame.picture(*time)).collect());
        Self { answer: (&said.answer).into(), source, right, scaled, decoded, errors }
    }

    fn scaling(&self) -> Scaling<'_> {
        Scaling { answer: &self.answer, source: &self.source, scaled: &self.scaled }
    }

    fn measured<'a>(&'a self, rung: usize, limits: &'a Limits) -> Measured<'a> {
        let (scaled, decoded, errors) = (&self.scaled[rung], &self.decoded[rung], &self.errors[rung]);
        Measured { answer: &self.answer, rung, scaled, decoded, errors, limits }
    }

    /// The operator commits to the trees as they are now.
    fn bind(&mut self, limits: &Limits) {
        for (i, rung) in self.answer.rungs.iter_mut().enumerate() {
            rung.scaled = self.scaled[i].root().into();
            rung.decoded = self.decoded[i].root().into();
            rung.errors = self.errors[i].root().into();
            rung.limits = answer::limits_hash(limits);
        }
    }
}

#[test]
fn the_codec_is_bound_to_the_pictures_as_they_are() {
    let segment = Segment::read();
    let rung = |i: usize| {
        let content = ByteTree::new(&file(&name(SIZES[i], "ts")));
        answer::rung(SIZES[i], &content, &segment.scaled[i], &segment.decoded[i], &segment.errors[i], &LARGE)
    };
    let source = segment.source.root().into();
    let want = Answer { source, filter: Curve::CatmullRom as u8, cascade: true, rungs: vec![rung(0), rung(1)] };
    assert_eq!(segment.answer, want);
    assert_eq!(answer::parent(&segment.answer, 1, SOURCE), Some(0), "the small rung is made from the large one");

    let (mut scale, mut sums) = (Step::new(&ScaleStep::BYTECODE), Step::new(&ErrorSumStep::BYTECODE));
    for rung in 0..2 {
        assert_eq!(segment.scaling().accuse(rung, &segment.right[rung]), None);
        let measured = segment.measured(rung, &LARGE);
        assert_eq!(measured.accuse(), None);
        assert_eq!(sums.prove(&measured.tile(1, 0, 0, 0).unwrap()).0, Outcome::NothingWrong);
        let place = Block { plane: 0, x: 9, y: 7, width: 1, height: 1 };
        assert_eq!(scale.prove(&segment.scaling().look(rung, 2, place).unwrap()).0, Outcome::NothingWrong);
    }
}

#[test]
fn whatever_is_wrong_with_an_answer_over_decoded_video_is_convicted() {
    let (mut scale, mut sums) = (Step::new(&ScaleStep::BYTECODE), Step::new(&ErrorSumStep::BYTECODE));
    let mut dice = Dice::new(40);
    let convicted = |step: &mut Step, accusation: Option<Accusation>, fault: &str| {
        assert_eq!(step.prove(&accusation.unwrap()).0, Outcome::Fault(fault.into()));
    };
    for rung in 0..2 {
        // A sample that the scaler did not make.
        let mut wrong = Segment::read();
        let mut shown = wrong.right[rung].clone();
        shown[1] = corrupted(&shown[1], 0, 77, &mut dice);
        wrong.scaled[rung] = committed(&shown);
        wrong.bind(&LARGE);
        let accusation = wrong.scaling().accuse(rung, &wrong.right[rung]);
        convicted(&mut scale, accusation, "wrong sample");

        // A rendition that is said to be closer than it is.
        let mut wrong = Segment::read();
        let frames = wrong.scaled[rung].iter().zip(wrong.decoded[rung].iter()).enumerate().map(|(number, (a, b))| {
            let mut tiles = [0, 1, 2].map(|plane| tile_errors(a, b, plane).unwrap());
            assert!(tiles[0][0] > 0);
            tiles[0][0] -= u64::from(number == 2);
            FrameErrors::new(tiles.each_ref().map(Vec::as_slice)).unwrap()
        });
        wrong.errors[rung] = Errors::new(frames.collect()).unwrap();
        wrong.bind(&LARGE);
        convicted(&mut sums, wrong.measured(rung, &LARGE).accuse(), "wrong error");

        // Further from the source than the order allows, by one.
        let mut strict = Segment::read();
        let luma = strict.errors[rung].frame(0).unwrap().node().luma;
        let limits = Limits { frameLuma: luma - 1, ..LARGE };
        strict.bind(&limits);
        convicted(&mut sums, strict.measured(rung, &limits).accuse(), "frame limit");

        // A picture less than the scaler made.
        let mut short = Segment::read();
        let fewer: Vec<Picture> = short.decoded[rung].iter().take(2).cloned().collect();
        short.decoded[rung] = Pictures::new(fewer);
        short.bind(&LARGE);
        convicted(&mut sums, short.measured(rung, &LARGE).accuse(), "wrong count");
    }
}

/// The bytes that an answer binds are those whose headers `HeaderStep` reads.
#[test]
fn an_answer_binds_the_headers_of_its_renditions() {
    let (segment, mut step) = (Segment::read(), Step::new(&HeaderStep::BYTECODE));
    for (rung, size) in segment.answer.rungs.iter().zip(SIZES) {
        let bytes = file(&name(size, "ts"));
        let (content, profiles) = (rung.content, mask(&[66, 77, 100]));
        let mut ordered = Ordered { content, profiles, level: 40, width: size.0, height: size.1 };
        let tree = ByteTree::new(&bytes);
        assert_eq!(Rendition { ordered: &ordered, bytes: &bytes, tree: &tree }.accuse(), None);
        ordered.width += 2;
        let accusation = Rendition { ordered: &ordered, bytes: &bytes, tree: &tree }.accuse().unwrap();
        assert_eq!(step.prove(&accusation).0, Outcome::Fault("wrong size".into()));
    }
}
