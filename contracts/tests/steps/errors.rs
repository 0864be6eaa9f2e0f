//! `ErrorSumStep` sums what the kernels' reference sums, and convicts wrong errors, wrong shapes and what is above a limit.

use crate::evm::{Dice, Outcome, Step, cases};
use crate::pictures::{Stored, committed, corrupted};
use headframe_contracts::ErrorSumStep;
use headframe_kernels::{PlaneRef, Source, reference};
use headframe_market::commit::errors::tile_errors;
use headframe_market::commit::{ByteTree, Errors, FrameErrors, Picture, Pictures};
use headframe_market::proof::answer;
use headframe_market::proof::error_sum::Measured;
use headframe_market::proof::{Accusation, Answer, Limits};

/// One of the limits.
type Limit = fn(&mut Limits) -> &mut u64;

/// An answer of one rung with everything behind it.
struct Case {
    answer: Answer,
    scaled: Pictures,
    decoded: Pictures,
    errors: Errors,
    limits: Limits,
}

fn noise(dice: &mut Dice, size: (u32, u32), time: i64) -> Picture {
    Stored::noise(dice, Source::yuv420(size)).picture(time)
}

/// The largest errors that are not above any limit.
fn exact(errors: &Errors, frames: usize) -> Limits {
    let mut limits = Limits { segmentLuma: errors.top().luma, segmentChroma: errors.top().chroma, ..Limits::default() };
    for frame in (0..frames).map(|frame| errors.frame(frame).unwrap()) {
        limits.frameLuma = limits.frameLuma.max(frame.node().luma);
        limits.frameChroma = limits.frameChroma.max(frame.node().chroma);
        let tiles = |plane| (0..).map_while(move |tile| frame.tile(plane, tile));
        limits.tileLuma = limits.tileLuma.max(tiles(0).max().unwrap());
        limits.tileChroma = limits.tileChroma.max(tiles(1).chain(tiles(2)).max().unwrap());
    }
    limits
}

impl Case {
    fn new(scaled: Vec<Picture>, decoded: Vec<Picture>, errors: Errors, limits: Limits) -> Self {
        let size = scaled[0].size();
        let (scaled, decoded) = (committed(&scaled), committed(&decoded));
        let rungs = vec![answer::rung(size, &ByteTree::new(&[1]), &scaled, &decoded, &errors, &limits)];
        Self { answer: Answer { rungs, ..Default::default() }, scaled, decoded, errors, limits }
    }

    /// Pictures of any size with honest errors and limits that fit them exactly.
    fn random(dice: &mut Dice) -> Self {
        let (size, frames) = ((dice.between(1, 100) as u32, dice.between(1, 100) as u32), dice.between(1, 5));
        let mut pictures = || (0..frames).map(|time| noise(dice, size, time as i64)).collect::<Vec<_>>();
        let (scaled, decoded) = (pictures(), pictures());
        let errors = Errors::between(&committed(&scaled), &committed(&decoded)).unwrap();
        let limits = exact(&errors, frames);
        Self::new(scaled, decoded, errors, limits)
    }

    fn pictures(&self) -> [Vec<Picture>; 2] {
        [&self.scaled, &self.decoded].map(|pictures| pictures.iter().cloned().collect())
    }

    fn measured(&self) -> Measured<'_> {
        let Self { answer, scaled, decoded, errors, limits } = self;
        Measured { answer, rung: 0, scaled, decoded, errors, limits }
    }

    /// Any tile of any plane of any frame, as (frame, plane, column, row).
    fn tile(&self, dice: &mut Dice) -> (usize, usize, usize, usize) {
        let (frame, plane) = (dice.below(self.scaled.count() as usize), dice.below(3));
        let (across, down) = self.scaled.picture(frame).unwrap().tiles(plane);
        (frame, plane, dice.below(across), dice.below(down))
    }

    /// All calls that look at this tile, its frame and the segment.
    fn looks(&self, (frame, plane, column, row): (usize, usize, usize, usize)) -> [Accusation; 5] {
        let measured = self.measured();
        [
            measured.counts(),
            measured.tile(frame, plane, column, row),
            measured.tile_limit(frame, plane, column, row),
            measured.frame_limit(frame),
            measured.segment_limit(),
        ]
        .map(Option::unwrap)
    }
}

#[test]
fn error_sum_step_is_the_reference() {
    let (mut step, mut dice) = (Step::new(&ErrorSumStep::BYTECODE), Dice::new(3));
    let mut done = 0;
    while done < cases(400) {
        let (size, plane) = ((dice.between(1, 100) as u32, dice.between(1, 100) as u32), dice.below(3));
        let (a, b) = (noise(&mut dice, size, 0), noise(&mut dice, size, 0));
        let (width, height) = a.extent(plane);
        let view = |picture| {
            let picture: &Picture = picture;
            reference_plane(picture.plane(plane), width, height)
        };
        let want = reference::tile_errors(&view(&a), &view(&b), 32);
        assert_eq!(tile_errors(&a, &b, plane).unwrap(), want);
        let (across, _) = a.tiles(plane);
        for (tile, want) in want.iter().enumerate() {
            let samples = |picture: &Picture| picture.tile(plane, tile % across, tile / across).into();
            let have = step.ask(&ErrorSumStep::squaredErrorCall { a: samples(&a), b: samples(&b) });
            assert_eq!(have, *want, "{size:?}, plane {plane}, tile {tile}");
            done += 1;
        }
    }
}

fn reference_plane(bytes: &[u8], width: usize, height: usize) -> PlaneRef<'_> {
    PlaneRef::new(bytes, width, height, width).unwrap()
}

#[test]
fn honest_errors_are_never_convicted() {
    let (mut step, mut dice) = (Step::new(&ErrorSumStep::BYTECODE), Dice::new(4));
    for _ in 0..cases(60) / 2 {
        let case = Case::random(&mut dice);
        assert_eq!(case.measured().accuse(), None);
        let tile = case.tile(&mut dice);
        for look in case.looks(tile) {
            assert_eq!(step.prove(&look).0, Outcome::NothingWrong);
        }
    }
}

#[test]
fn a_wrong_error_or_a_changed_sample_is_convicted() {
    let (mut step, mut dice) = (Step::new(&ErrorSumStep::BYTECODE), Dice::new(5));
    for _ in 0..cases(60) / 2 {
        let honest = Case::random(&mut dice);
        let [scaled, mut decoded] = honest.pictures();
        let (frame, plane, column, row) = honest.tile(&mut dice);
        let tile = row * scaled[frame].tiles(plane).0 + column;

        // One number of the tree, up or down.
        let frames = (0..scaled.len()).map(|number| {
            let mut tiles = [0, 1, 2].map(|plane| tile_errors(&scaled[number], &decoded[number], plane).unwrap());
            if number == frame {
                let value = &mut tiles[plane][tile];
                *value = if dice.below(2) == 0 { value.saturating_sub(1) } else { *value + 1 };
                if *value == honest.errors.frame(frame).unwrap().tile(plane, tile).unwrap() {
                    *value += 1;
                }
            }
            FrameErrors::new(tiles.each_ref().map(Vec::as_slice)).unwrap()
        });
        let errors = Errors::new(frames.collect()).unwrap();
        let wrong = Case::new(scaled.clone(), decoded.clone(), errors, honest.limits);
        let accusation = wrong.measured().accuse().unwrap();
        assert_eq!(accusation, wrong.measured().tile(frame, plane, column, row).unwrap());
        assert_eq!(step.prove(&accusation).0, Outcome::Fault("wrong error".into()));

        // One sample of what the rendition decodes to, under the old errors: seen unless the square is the same.
        let (width, at) = (scaled[frame].extent(plane).0, column * 32 + row * 32 * scaled[frame].extent(plane).0);
        assert!(at % width == column * 32);
        decoded[frame] = corrupted(&decoded[frame], plane, at, &mut dice);
        let same = tile_errors(&scaled[frame], &decoded[frame], plane).unwrap()[tile]
            == honest.errors.frame(frame).unwrap().tile(plane, tile).unwrap();
        let moved = Case::new(scaled, decoded, honest.errors.clone(), honest.limits);
        let outcome = moved.measured().accuse().map(|accusation| step.prove(&accusation).0);
        assert_eq!(outcome, (!same).then(|| Outcome::Fault("wrong error".into())));
    }
}

#[test]
fn what_is_above_a_limit_is_convicted() {
    let (mut step, mut dice) = (Step::new(&ErrorSumStep::BYTECODE), Dice::new(6));
    let lower: [(&str, Limit); 6] = [
        ("segment limit", |limits| &mut limits.segmentLuma),
        ("segment limit", |limits| &mut limits.segmentChroma),
        ("frame limit", |limits| &mut limits.frameLuma),
        ("frame limit", |limits| &mut limits.frameChroma),
        ("tile limit", |limits| &mut limits.tileLuma),
        ("tile limit", |limits| &mut limits.tileChroma),
    ];
    for _ in 0..cases(20) {
        let honest = Case::random(&mut dice);
        for (fault, limit) in lower {
            let mut limits = honest.limits;
            let value = limit(&mut limits);
            if *value == 0 {
                continue;
            }
            *value -= 1;
            let [scaled, decoded] = honest.pictures();
            let over = Case::new(scaled, decoded, honest.errors.clone(), limits);
            assert_eq!(step.prove(&over.measured().accuse().unwrap()).0, Outcome::Fault(fault.into()));
        }
    }
}

#[test]
fn other_shapes_times_and_numbers_are_convicted() {
    let (mut step, mut dice) = (Step::new(&ErrorSumStep::BYTECODE), Dice::new(7));
    let honest = Case::random(&mut dice);
    let fault = |name: &str| Some(Outcome::Fault(name.into()));
    let mut outcome = |scaled: Vec<Picture>, decoded: Vec<Picture>| {
        let case = Case::new(scaled, decoded, honest.errors.clone(), honest.limits);
        case.measured().accuse().map(|accusation| step.prove(&accusation).0)
    };
    let [scaled, decoded] = honest.pictures();
    let size = scaled[0].size();
    let mut other = decoded.clone();
    other[0] = noise(&mut dice, (size.0 + 1, size.1), 0);
    assert_eq!(outcome(scaled.clone(), other.clone()), fault("wrong shape"));
    other[0] = noise(&mut dice, size, 1);
    assert_eq!(outcome(scaled.clone(), other), fault("wrong shape"));
    let mut longer = decoded.clone();
    longer.push(noise(&mut dice, size, 99));
    assert_eq!(outcome(scaled.clone(), longer.clone()), fault("wrong count"));
    assert_eq!(outcome(longer, decoded), fault("wrong count"));
}
