//! `ScaleStep` is the reference scaler: every sample of every plane, all formats, curves and ratios; and it convicts
//! exactly those pictures that have a wrong sample.

use crate::evm::{Dice, Outcome, Step, cases};
use crate::pictures::{Stored, committed, corrupted, ladder};
use headframe_contracts::ScaleStep;
use headframe_kernels::{Format, Source};
use headframe_market::commit::{Picture, Pictures};
use headframe_market::proof::answer::{Curve, parent};
use headframe_market::proof::scale::Scaling;
use headframe_market::proof::{Answer, Block, Rung};

/// One source picture, the right rungs, and what they are bound to.
struct Case {
    answer: Answer,
    source: Pictures,
    right: Vec<Picture>,
    scaled: Vec<Pictures>,
}

fn answer(source: &Pictures, scaled: &[Pictures], sizes: &[(u32, u32)], curve: Curve, cascade: bool) -> Answer {
    let rung = |(pictures, size): (&Pictures, &(u32, u32))| Rung {
        width: size.0,
        height: size.1,
        scaled: pictures.root().into(),
        ..Default::default()
    };
    let rungs = scaled.iter().zip(sizes).map(rung).collect();
    Answer { source: source.root().into(), filter: curve as u8, cascade, rungs }
}

impl Case {
    fn new(stored: &Stored, sizes: &[(u32, u32)], curve: Curve, cascade: bool) -> Self {
        let source = committed(&[stored.picture(0)]);
        let right = ladder(stored, sizes, curve, cascade, 0);
        let scaled: Vec<Pictures> = right.iter().map(|picture| committed(std::slice::from_ref(picture))).collect();
        let answer = answer(&source, &scaled, sizes, curve, cascade);
        Self { answer, source, right, scaled }
    }

    /// Any format, curve and sizes; small pictures, and strips as long as sides may be.
    fn random(dice: &mut Dice) -> Self {
        let format = Format::ALL[dice.below(Format::ALL.len())];
        let curve = [Curve::CatmullRom, Curve::Lanczos3][dice.below(2)];
        let cascade = dice.below(4) == 0;
        let side = |dice: &mut Dice, long: bool| {
            let small = dice.between(1, 90);
            if !long {
                // The other end within 64 to 1.
                return (small, dice.between(small.div_ceil(64), 90.min(small * 64)));
            }
            let large = dice.between(1000, 16_384);
            let low = large.div_ceil(64);
            let other = dice.between(low, (2 * large).min(16_384));
            if dice.below(2) == 0 { (large, other) } else { (other, large.min(64 * other)) }
        };
        let strip = dice.below(if cascade { 1_000_000 } else { 12 });
        let (across, down) = match strip {
            0 => (side(dice, true), (dice.between(1, 4), dice.between(1, 4))),
            1 => ((dice.between(1, 4), dice.between(1, 4)), side(dice, true)),
            _ => (side(dice, false), side(dice, false)),
        };
        let source = Source { width: across.0 as u32, height: down.0 as u32, format };
        let mut sizes = vec![(across.1 as u32, down.1 as u32)];
        if cascade {
            // A rung that is to be made from the first one, where that is smaller than the source.
            sizes
                .push((sizes[0].0.div_ceil(dice.between(4, 6) as u32), sizes[0].1.div_ceil(dice.between(4, 6) as u32)));
            let fits = |src: u32, dst: u32| src <= dst * 64 && dst <= src * 64;
            sizes.retain(|size| fits(source.width, size.0) && fits(source.height, size.1));
        }
        Self::new(&Stored::noise(dice, source), &sizes, curve, cascade)
    }

    fn scaling(&self) -> Scaling<'_> {
        Scaling { answer: &self.answer, source: &self.source, scaled: &self.scaled }
    }

    /// Any rung and a block of it that lies in one tile, edges more often than they come by themselves.
    fn place(&self, dice: &mut Dice) -> (usize, Block) {
        let rung = dice.below(self.right.len());
        let plane = dice.below(3);
        let (width, height) = self.right[rung].extent(plane);
        let corner = |dice: &mut Dice, side: usize| {
            let begin = match dice.below(4) {
                0 => 0,
                1 => side - 1 - dice.below(side.min(8)),
                _ => dice.below(side),
            };
            let room = (side - begin).min(32 - begin % 32).min(8);
            (begin as u32, dice.between(1, room) as u32)
        };
        let ((x, width), (y, height)) = (corner(dice, width), corner(dice, height));
        (rung, Block { plane: plane as u8, x, y, width, height })
    }
}

fn samples(picture: &Picture, block: Block) -> Vec<u8> {
    let at = |i: u32| {
        let (x, y) = (block.x + i % block.width, block.y + i / block.width);
        picture.sample(usize::from(block.plane), x as usize, y as usize).unwrap() as u8
    };
    (0..block.width * block.height).map(at).collect()
}

#[test]
fn scale_step_is_the_reference() {
    let (mut step, mut dice) = (Step::new(&ScaleStep::BYTECODE), Dice::new(1));
    let (mut from_rungs, mut done) = (0, 0);
    while done < cases(400) {
        let case = Case::random(&mut dice);
        for _ in 0..8 {
            let (rung, block) = case.place(&mut dice);
            let accusation = case.scaling().look(rung, 0, block).unwrap();
            let made = step.ask(&ScaleStep::scaledCall { evidence: accusation.evidence.clone() });
            let seen = (case.source.picture(0).map(Picture::size), &case.answer, block);
            assert_eq!(made, samples(&case.right[rung], block), "{seen:?}");
            let size = case.source.picture(0).unwrap().size();
            from_rungs += usize::from(parent(&case.answer, rung, size).is_some());
            done += 1;
        }
    }
    assert!(from_rungs > 0, "no rung was made from another");
}

#[test]
fn the_honest_are_never_convicted_and_every_wrong_sample_is() {
    let (mut step, mut dice) = (Step::new(&ScaleStep::BYTECODE), Dice::new(2));
    for _ in 0..cases(150) / 2 {
        let mut case = Case::random(&mut dice);
        let (rung, block) = case.place(&mut dice);
        let honest = case.scaling().look(rung, 0, block).unwrap();
        assert_eq!(step.prove(&honest).0, Outcome::NothingWrong);
        assert_eq!(case.scaling().accuse(rung, &case.right[rung..=rung]), None);

        let plane = usize::from(block.plane);
        let at = dice.below(case.right[rung].plane(plane).len());
        let sizes: Vec<(u32, u32)> = case.right.iter().map(Picture::size).collect();
        case.scaled[rung] = committed(&[corrupted(&case.right[rung], plane, at, &mut dice)]);
        let curve = Curve::of(case.answer.filter).unwrap();
        let wrong = answer(&case.source, &case.scaled, &sizes, curve, case.answer.cascade);
        let accusation = Scaling { answer: &wrong, ..case.scaling() }.accuse(rung, &case.right[rung..=rung]).unwrap();
        assert_eq!(step.prove(&accusation).0, Outcome::Fault("wrong sample".into()));
        // The same evidence does not touch the honest answer, nor does the honest one's touch this.
        for (statement, evidence) in [(&honest, &accusation), (&accusation, &honest)] {
            let mixed = headframe_market::proof::Accusation { statement: statement.statement, ..evidence.clone() };
            assert!(matches!(step.prove(&mixed).0, Outcome::Refused(_)));
        }
    }
}
