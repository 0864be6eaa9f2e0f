//! Vectors of `ScaleStep`.

use super::{File, changed, spoilt};
use crate::evm::Dice;
use crate::pictures::{Stored, corrupted, ladder};
use alloy::primitives::{B256, keccak256};
use alloy::sol_types::SolValue;
use headframe_contracts::ScaleStep;
use headframe_kernels::{Format, Source};
use headframe_market::commit::{Chroma, Picture, Pictures};
use headframe_market::proof::abi::{Frame, ScaleEvidence};
use headframe_market::proof::answer::{Curve, statement};
use headframe_market::proof::scale::Scaling;
use headframe_market::proof::{Accusation, Answer, Block, Rung};

type Size = (u32, u32);
/// Makes a picture's header senseless.
type Spoil = fn(&mut Frame);

/// Source pictures at some times and, for each rung, what is committed at some times.
struct Work {
    answer: Answer,
    source: Pictures,
    scaled: Vec<Pictures>,
}

const WHOLE: Block = Block { plane: 0, x: 0, y: 0, width: 8, height: 8 };

impl Work {
    fn new(source: Vec<Picture>, scaled: Vec<Vec<Picture>>, sizes: &[Size], curve: Curve, cascade: bool) -> Self {
        let (source, scaled) = (Pictures::new(source), scaled.into_iter().map(Pictures::new).collect::<Vec<_>>());
        let rung = |(of, size): (&Pictures, &Size)| Rung {
            width: size.0,
            height: size.1,
            scaled: of.root().into(),
            ..Default::default()
        };
        let rungs = scaled.iter().zip(sizes).map(rung).collect();
        let answer = Answer { source: source.root().into(), filter: curve as u8, cascade, rungs };
        Self { answer, source, scaled }
    }

    /// One source picture shown from 0 on, honest rungs at these times.
    fn simple(stored: &Stored, sizes: &[Size], curve: Curve, cascade: bool, times: &[i64]) -> Self {
        let mut scaled = vec![Vec::new(); sizes.len()];
        for time in times {
            let made = ladder(stored, sizes, curve, cascade, *time);
            scaled.iter_mut().zip(made).for_each(|(rung, picture)| rung.push(picture));
        }
        Self::new(vec![stored.picture(0)], scaled, sizes, curve, cascade)
    }

    fn look(&self, rung: usize, index: usize, place: Block) -> Accusation {
        let scaling = Scaling { answer: &self.answer, source: &self.source, scaled: &self.scaled };
        scaling.look(rung, index, place).unwrap()
    }
}

fn noise(dice: &mut Dice, width: u32, height: u32, format: Format) -> Stored {
    Stored::noise(dice, Source { width, height, format })
}

/// The accusation after a change of the answer too, which makes another statement.
fn restated(accusation: &Accusation, change: impl FnOnce(&mut ScaleEvidence)) -> Accusation {
    let mut other = B256::ZERO;
    let changed = changed::<ScaleEvidence>(accusation, |evidence| {
        change(evidence);
        other = statement(&evidence.answer);
    });
    Accusation { statement: other, ..changed }
}

/// Pictures of the segment whose only frame is this.
fn alone(frame: &Frame) -> B256 {
    let mut packed = vec![2];
    packed.extend(frame.width.to_be_bytes());
    packed.extend(frame.height.to_be_bytes());
    packed.extend([frame.chroma, frame.bits]);
    packed.extend(frame.time.to_be_bytes());
    frame.planes.iter().for_each(|plane| packed.extend(plane));
    let mut root = vec![3, 0, 0, 0, 1];
    root.extend(keccak256(packed));
    keccak256(root)
}

#[test]
fn vectors_of_scale_step() {
    let (mut file, mut dice) = (File::new("scale", &ScaleStep::BYTECODE), Dice::new(31));
    computed(&mut file, &mut dice);
    convicted(&mut file, &mut dice);
    cut(&mut file, &mut dice);
    timed(&mut file, &mut dice);
    cascaded(&mut file, &mut dice);
    file.close();
}

/// Honest blocks of all kinds.
fn computed(file: &mut File, dice: &mut Dice) {
    for (curve, name) in [(Curve::CatmullRom, "Catmull-Rom"), (Curve::Lanczos3, "Lanczos")] {
        for (width, height, size) in [(34, 9, (17, 12)), (9, 34, (20, 11)), (20, 10, (20, 10))] {
            let work = Work::simple(&noise(dice, width, height, Format::Yuv420), &[size], curve, false, &[0]);
            file.add(&format!("{name}, {width}x{height} to {size:?}"), &work.look(0, 0, WHOLE), "NothingWrong");
            let corner = Block { x: size.0 - 5, y: size.1 - 3, width: 5, height: 3, ..WHOLE };
            file.add(&format!("{name}, {width}x{height}, corner"), &work.look(0, 0, corner), "NothingWrong");
            let chroma = Block { plane: 1, width: 5, height: 5, ..WHOLE };
            file.add(&format!("{name}, {width}x{height}, chroma"), &work.look(0, 0, chroma), "NothingWrong");
        }
    }
    let checks = Stored::checks(Source { width: 12, height: 12, format: Format::Yuv420 });
    let work = Work::simple(&checks, &[(16, 16)], Curve::Lanczos3, false, &[0]);
    file.add("over- and undershoot", &work.look(0, 0, Block { x: 4, y: 4, ..WHOLE }), "NothingWrong");
    for format in [Format::Yuv422, Format::Yuv444, Format::Yuv420Ten, Format::Yuv422Ten, Format::Yuv444Ten] {
        let work = Work::simple(&noise(dice, 16, 12, format), &[(12, 10)], Curve::CatmullRom, false, &[0]);
        for plane in [0, 2] {
            let place = Block { plane, width: 4, height: 4, ..WHOLE };
            file.add(&format!("{format:?}, plane {plane}"), &work.look(0, 0, place), "NothingWrong");
        }
    }
    // A source that is said to have ten bits and has more: they count as the largest value.
    let stored = noise(dice, 8, 8, Format::GreyTen);
    let work = Work::simple(&stored, &[(8, 8)], Curve::CatmullRom, false, &[0]);
    let wide = Picture::new((8, 8), Chroma::Grey, 10, 0, vec![stored.words()]).unwrap();
    let right = work.scaled[0].iter().cloned().collect();
    let wide = Work::new(vec![wide], vec![right], &[(8, 8)], Curve::CatmullRom, false);
    file.add("words above ten bits", &wide.look(0, 0, WHOLE), "NothingWrong");
    // Grey has no chroma: it becomes neutral, and nothing of the source is looked at.
    let grey = work.look(0, 0, Block { plane: 1, width: 4, height: 4, ..WHOLE });
    file.add("chroma of grey", &grey, "NothingWrong");
    let more = changed::<ScaleEvidence>(&grey, |evidence| evidence.tiles.push(Default::default()));
    file.add("chroma of grey with a tile", &more, "OutOfShape");
}

fn convicted(file: &mut File, dice: &mut Dice) {
    let stored = noise(dice, 40, 20, Format::Yuv420);
    let size = (20, 10);
    let right = ladder(&stored, &[size], Curve::CatmullRom, false, 0).remove(0);
    for plane in 0..3 {
        let at = right.plane(plane).len() - 1;
        let wrong = corrupted(&right, plane, at, dice);
        let work = Work::new(vec![stored.picture(0)], vec![vec![wrong]], &[size], Curve::CatmullRom, false);
        let scaling = Scaling { answer: &work.answer, source: &work.source, scaled: &work.scaled };
        let accusation = scaling.accuse(0, std::slice::from_ref(&right)).unwrap();
        file.add(&format!("last sample of plane {plane}"), &accusation, "wrong sample");
    }
    let shapes = [
        noise(dice, 22, 10, Format::Yuv420),
        noise(dice, 20, 10, Format::Yuv422),
        noise(dice, 20, 10, Format::Yuv420Ten),
    ];
    for shape in shapes {
        let work = Work::new(vec![stored.picture(0)], vec![vec![shape.picture(0)]], &[size], Curve::CatmullRom, false);
        let scaling = Scaling { answer: &work.answer, source: &work.source, scaled: &work.scaled };
        let accusation = scaling.accuse(0, std::slice::from_ref(&right)).unwrap();
        file.add(&format!("{:?}", shape.source), &accusation, "wrong shape");
    }
}

/// Evidence that does not fit what it is about.
fn cut(file: &mut File, dice: &mut Dice) {
    let work = Work::simple(&noise(dice, 70, 8, Format::Yuv420), &[(40, 6)], Curve::CatmullRom, false, &[0, 1]);
    let honest = work.look(0, 1, Block { x: 16, width: 8, height: 6, ..WHOLE });
    file.add("across two tiles of the source", &honest, "NothingWrong");
    spoilt(file, &honest);
    let mut refused = |name: &str, change: fn(&mut ScaleEvidence), outcome: &str| {
        file.add(name, &changed::<ScaleEvidence>(&honest, change), outcome);
    };
    refused("no such rung", |e| e.rung = 1, "OutOfShape");
    refused("another output picture", |e| e.output.index = 0, "NotCommitted");
    refused("no such picture", |e| e.output.index = 2, "OutOfShape");
    refused("other number of pictures", |e| e.output.count = 1, "OutOfShape");
    refused("a longer path", |e| e.output.path.push(B256::ZERO), "OutOfShape");
    refused("a changed header", |e| e.output.frame.time = 0, "NotCommitted");
    refused("another source picture", |e| e.source.frame.time = 1, "NotCommitted");
    refused("plane 3", |e| e.place.plane = 3, "OutOfShape");
    refused("no columns", |e| e.place.width = 0, "OutOfShape");
    refused("no rows", |e| e.place.height = 0, "OutOfShape");
    refused("nine columns", |e| e.place.width = 9, "OutOfShape");
    refused("nine rows", |e| e.place.height = 9, "OutOfShape");
    refused("too far right", |e| e.place.x = 33, "OutOfShape");
    refused("too far down", |e| e.place.y = 1, "OutOfShape");
    refused("another tile of the output", |e| e.outputTile.samples = vec![0; 32 * 6].into(), "NotCommitted");
    refused("a shorter tile of the output", |e| e.outputTile.samples = vec![0; 31 * 6].into(), "OutOfShape");
    refused("a tile missing", |e| drop(e.tiles.pop()), "OutOfShape");
    refused("a tile too many", |e| e.tiles.push(e.tiles[0].clone()), "OutOfShape");
    refused("tiles in another order", |e| e.tiles.reverse(), "NotCommitted");
    refused("a changed source sample", |e| e.tiles[0].samples = vec![0; 32 * 8].into(), "NotCommitted");
    refused("a tile's path too short", |e| e.tiles[0].path.truncate(1), "OutOfShape");
    refused("a parent that is none", |e| e.parent.push(e.output.clone()), "OutOfShape");
    let same = Work::simple(&noise(dice, 40, 6, Format::Yuv420), &[(40, 6)], Curve::CatmullRom, false, &[0]);
    let left = same.look(0, 0, Block { x: 28, width: 4, height: 6, ..WHOLE });
    file.add("beside the border of two output tiles", &left, "NothingWrong");
    let over = changed::<ScaleEvidence>(&left, |e| e.place.width = 8);
    file.add("over two tiles of the output", &over, "OutOfShape");
    let mut restate = |name: &str, change: fn(&mut ScaleEvidence), outcome: &str| {
        file.add(name, &restated(&honest, change), outcome);
    };
    restate("no such curve", |e| e.answer.filter = 2, "OutOfShape");
    restate("seventeen rungs", |e| e.answer.rungs = vec![e.answer.rungs[0].clone(); 17], "OutOfShape");
    // Sources that nothing can be computed from.
    let insane: [(&str, Spoil); 6] = [
        ("no width", |frame| frame.width = 0),
        ("no height", |frame| frame.height = 0),
        ("too wide", |frame| frame.width = 16_385),
        ("too high", |frame| frame.height = 16_385),
        ("chroma of a fifth kind", |frame| frame.chroma = 4),
        ("nine bits", |frame| frame.bits = 9),
    ];
    for (name, change) in insane {
        let accusation = restated(&honest, |evidence| {
            change(&mut evidence.source.frame);
            evidence.answer.source = alone(&evidence.source.frame);
        });
        file.add(name, &accusation, "OutOfShape");
    }
    let accusation = restated(&honest, |evidence| {
        evidence.source.frame.width = 41 * 64;
        evidence.answer.source = alone(&evidence.source.frame);
    });
    file.add("more than 64 to 1", &accusation, "OutOfShape");
}

/// Which source picture an output is made from.
fn timed(file: &mut File, dice: &mut Dice) {
    let sources: Vec<Stored> = (0..3).map(|_| noise(dice, 8, 8, Format::Yuv420)).collect();
    let shown: Vec<Picture> = sources.iter().zip([0, 90, 180]).map(|(stored, time)| stored.picture(time)).collect();
    let of = |number: usize, time| ladder(&sources[number], &[(8, 8)], Curve::CatmullRom, false, time).remove(0);
    let scaled = vec![of(0, 0), of(0, 89), of(1, 90), of(2, 181), of(0, 91)];
    let work = Work::new(shown, vec![scaled], &[(8, 8)], Curve::CatmullRom, false);
    let (exact, between, last) = (work.look(0, 2, WHOLE), work.look(0, 1, WHOLE), work.look(0, 3, WHOLE));
    file.add("at the very time", &exact, "NothingWrong");
    file.add("until the next one's time", &between, "NothingWrong");
    file.add("after the last one", &last, "NothingWrong");
    file.add("the picture before", &work.look(0, 4, WHOLE), "wrong sample");
    let next = ScaleEvidence::abi_decode(&between.evidence).unwrap().next;
    let mut add = |name: &str, of: &Accusation, change: &dyn Fn(&mut ScaleEvidence), outcome: &str| {
        file.add(name, &changed::<ScaleEvidence>(of, change), outcome);
    };
    add("the next one without need", &exact, &|e| e.next = next.clone(), "OutOfShape");
    add("a next one of the last", &last, &|e| e.next = next.clone(), "OutOfShape");
    add("the next one is missing", &between, &|e| e.next.clear(), "OutOfShape");
    add("another one than the next", &between, &|e| e.next[0].index = 2, "OutOfShape");
    add("a changed next one", &between, &|e| e.next[0].frame.time = 99, "NotCommitted");
    // The source picture begins later, or the next one already has.
    let late = work.look(0, 3, WHOLE);
    let late = changed::<ScaleEvidence>(&late, |e| e.output = output(&work, 0));
    file.add("a source picture that begins later", &late, "OutOfShape");
    let early = changed::<ScaleEvidence>(&between, |e| e.output = output(&work, 2));
    file.add("a source picture that is over", &early, "OutOfShape");
}

fn output(work: &Work, index: usize) -> headframe_market::proof::abi::FrameOpening {
    let honest = work.look(0, index, WHOLE).evidence;
    ScaleEvidence::abi_decode(&honest).unwrap().output
}

/// Rungs made from rungs.
fn cascaded(file: &mut File, dice: &mut Dice) {
    let stored = noise(dice, 40, 36, Format::Yuv420);
    // Two of a size that would do, a larger one of the same shape, the source's own size, one wider than the source, one
    // with as many samples as the chosen, but wider.
    let sizes = [(38, 34), (32, 32), (32, 32), (40, 36), (64, 32), (8, 8), (40, 34), (36, 36), (33, 32)];
    let work = Work::simple(&stored, &sizes, Curve::CatmullRom, true, &[0, 5]);
    let honest = work.look(5, 1, WHOLE);
    file.add("from the smallest rung that is large enough", &honest, "NothingWrong");
    file.add("a large rung, from the source", &work.look(1, 1, WHOLE), "NothingWrong");
    let mut refused = |name: &str, change: fn(&mut ScaleEvidence), outcome: &str| {
        file.add(name, &changed::<ScaleEvidence>(&honest, change), outcome);
    };
    refused("the parent is missing", |e| e.parent.clear(), "OutOfShape");
    refused("a changed parent", |e| e.parent[0].frame.bits = 10, "NotCommitted");
    let first = work.look(5, 0, WHOLE);
    let first = ScaleEvidence::abi_decode(&first.evidence).unwrap();
    let other = changed::<ScaleEvidence>(&honest, |e| e.parent = first.parent.clone());
    file.add("a parent of another time", &other, "OutOfShape");
    let odd = restated(&honest, |e| {
        e.parent[0].frame.chroma = 2;
        (e.parent[0].index, e.parent[0].count) = (0, 1);
        e.parent[0].path.clear();
        e.answer.rungs[1].scaled = alone(&e.parent[0].frame);
    });
    file.add("a parent of another shape", &odd, "OutOfShape");
    // As many samples: the narrower one, although it comes later.
    let sizes = [(36, 32), (32, 36), (8, 8)];
    let work = Work::simple(&stored, &sizes, Curve::CatmullRom, true, &[0]);
    file.add("from the narrower of two", &work.look(2, 0, WHOLE), "NothingWrong");
}
