//! Renditions in a transport stream: `HeaderStep` convicts headers that are not what was ordered, and none that are.

use crate::evm::{Dice, Outcome, Step, cases};
use alloy::primitives::U256;
use headframe_contracts::HeaderStep;
use headframe_market::commit::ByteTree;
use headframe_market::commit::bytes::CHUNK;
use headframe_market::proof::Ordered;
use headframe_market::proof::header::{Kind, Rendition};

const PACKET: usize = 188;

/// Twelve pictures of 320x180, High, level 1.2, made with
/// `ffmpeg -f lavfi -i testsrc2=size=320x180:rate=30 -frames:v 12 -c:v libx264 -preset veryfast -profile:v high -b:v 200k
/// -g 30 -f mpegts -muxdelay 0 -muxpreload 0 rendition.ts`.
fn rendition() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/rendition.ts")).unwrap()
}

fn ordered(tree: &ByteTree) -> Ordered {
    // Constrained baseline and baseline, main, high.
    let profiles = [66, 77, 100].into_iter().fold(U256::ZERO, |mask, profile| mask | U256::from(1) << profile);
    Ordered { content: tree.root(), profiles, level: 40, width: 320, height: 180 }
}

/// What the step says of what the builder accuses; both have to be of one mind.
fn judged(step: &mut Step, bytes: &[u8], change: impl Fn(&mut Ordered)) -> Option<(Outcome, u64)> {
    let tree = ByteTree::new(bytes);
    let mut ordered = ordered(&tree);
    change(&mut ordered);
    let rendition = Rendition { ordered: &ordered, bytes, tree: &tree };
    rendition.accuse().map(|accusation| step.prove(&accusation))
}

/// All calls that look at a rendition.
fn looks(bytes: &[u8]) -> Vec<(Kind, usize, usize, usize)> {
    let packets = (0..bytes.len() / PACKET).flat_map(|packet| {
        let chunk = packet * PACKET / CHUNK;
        [(Kind::Sync, packet, chunk, 1), (Kind::Sequence, packet, chunk, 1), (Kind::Sequence, packet, chunk, 2)]
    });
    packets.chain([(Kind::Length, 0, 0, 0), (Kind::First, 0, 0, 1), (Kind::First, 0, 0, 2)]).collect()
}

/// Cuts units into a PES packet of video and that into packets.
fn muxed(units: &[Vec<u8>], stuffing: usize) -> Vec<u8> {
    let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
    units.iter().for_each(|unit| {
        pes.extend([0, 0, 0, 1]);
        pes.extend(unit);
    });
    let mut out = Vec::new();
    for (number, part) in pes.chunks(PACKET - 4 - stuffing).enumerate() {
        let mut packet = vec![0x47, if number == 0 { 0x41 } else { 0x01 }, 0, 0x30 | (number as u8 & 15)];
        let fill = PACKET - 4 - part.len();
        if fill == 0 {
            packet[3] &= 0xdf;
        } else {
            packet.push(fill as u8 - 1);
            packet.extend(std::iter::repeat_n(0xff, fill).skip(1));
        }
        packet.extend(part);
        out.extend(packet);
    }
    out
}

/// The units of the first picture: delimiter, parameter sets, message, slice.
fn units() -> Vec<Vec<u8>> {
    let bytes = rendition();
    let stream: Vec<u8> = bytes[3 * PACKET..].chunks(PACKET).take(5).flat_map(|packet| packet[4..].to_vec()).collect();
    let starts: Vec<usize> = (0..stream.len() - 4).filter(|at| stream[*at..at + 3] == [0, 0, 1]).skip(1).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(start, end)| stream[start + 3..end].to_vec()).collect()
}

#[test]
fn the_ordered_headers_are_never_convicted() {
    let mut step = Step::new(&HeaderStep::BYTECODE);
    let bytes = rendition();
    let tree = ByteTree::new(&bytes);
    let ordered = ordered(&tree);
    let rendition = Rendition { ordered: &ordered, bytes: &bytes, tree: &tree };
    assert_eq!(rendition.accuse(), None);
    let mut sound = 0;
    for (kind, packet, chunk, count) in looks(&bytes) {
        let Some(look) = rendition.look(kind, packet, chunk, count) else { continue };
        let (outcome, _) = step.prove(&look);
        assert!(matches!(outcome, Outcome::NothingWrong | Outcome::OutOfShape), "{kind:?} {packet}: {outcome:?}");
        sound += usize::from(outcome == Outcome::NothingWrong);
    }
    // Every packet, the length, the first picture and its parameter set, each in one chunk and in two.
    assert_eq!(sound, bytes.len() / PACKET + 1 + 2 + 2);
}

#[test]
fn other_headers_than_ordered_are_convicted() {
    let mut step = Step::new(&HeaderStep::BYTECODE);
    let bytes = rendition();
    let mut convicted = |bytes: &[u8], name: &str, change: fn(&mut Ordered)| {
        let (outcome, gas) = judged(&mut step, bytes, change).unwrap();
        println!("{name}: {gas} gas");
        assert_eq!(outcome, Outcome::Fault(name.into()));
        assert!(gas <= 300_000, "{name}: {gas}");
    };
    convicted(&bytes, "wrong profile", |ordered| ordered.profiles = U256::from(1) << 77);
    convicted(&bytes, "wrong level", |ordered| ordered.level = 11);
    convicted(&bytes, "wrong size", |ordered| ordered.width = 322);
    convicted(&bytes, "wrong size", |ordered| ordered.height = 178);
    convicted(&bytes[1..], "not packets", |_| ());
    convicted(&[], "not packets", |_| ());
    let mut other = bytes.clone();
    other[30 * PACKET] ^= 1;
    convicted(&other, "not packets", |_| ());

    // The first picture without what it needs, or not an IDR.
    let [delimiter, sps, pps, sei, idr] = &units()[..] else { panic!("{} units", units().len()) };
    assert_eq!([delimiter[0], sps[0], pps[0], sei[0], idr[0]], [9, 0x67, 0x68, 6, 0x65]);
    let muxed = |units: &[&Vec<u8>]| muxed(&units.iter().map(|unit| unit.to_vec()).collect::<Vec<_>>(), 0);
    convicted(&muxed(&[pps, idr]), "no parameters", |_| ());
    convicted(&muxed(&[sps, idr]), "no parameters", |_| ());
    convicted(&muxed(&[pps, idr, sps]), "no parameters", |_| ());
    let mut later = idr.clone();
    later[0] = 0x41;
    convicted(&muxed(&[sps, pps, sei, &later]), "not an IDR", |_| ());
    // The second parameter set is the one in force.
    let mut second = sps.clone();
    second[3] = 50;
    convicted(&muxed(&[sps, &second, pps, idr]), "wrong level", |_| ());
    // Ten bits or 4:2:2 would be another profile, but might be ordered under that number: fields of High 4:2:2.
    let format = vec![0x67, 122, 0, 12, 0xbc, 0xb4, 0x0a, 0x0c, 0xc8];
    convicted(&muxed(&[&format, pps, idr]), "wrong format", |ordered| ordered.profiles = U256::from(1) << 122);
}

#[test]
fn the_first_picture_may_be_cut_anyhow() {
    let mut step = Step::new(&HeaderStep::BYTECODE);
    for stuffing in [0, 1, 2, 100, 170, 175, 183] {
        let mut bytes = muxed(&units(), stuffing);
        // A stream behind it, so that there is a second chunk.
        bytes.extend(rendition());
        assert_eq!(judged(&mut step, &bytes, |_| ()), None, "{stuffing}");
        let outcome = judged(&mut step, &bytes, |ordered| ordered.level = 10).map(|(outcome, _)| outcome);
        assert_eq!(outcome, Some(Outcome::Fault("wrong level".into())), "{stuffing}");
    }
}

/// Changed bytes: what the builder accuses the step convicts, and what it does not accuse no look convicts.
#[test]
fn builder_and_step_are_of_one_mind() {
    let (mut step, mut dice) = (Step::new(&HeaderStep::BYTECODE), Dice::new(21));
    let (mut accused, mut passed) = (0, 0);
    let original = muxed(&units(), 3);
    for _ in 0..cases(150) {
        let mut bytes = original.clone();
        for _ in 0..dice.between(1, 3) {
            // Among the headers, where it matters.
            let at = dice.below(120);
            bytes[at] ^= 1 << dice.below(8);
        }
        let tree = ByteTree::new(&bytes);
        let ordered = ordered(&tree);
        let rendition = Rendition { ordered: &ordered, bytes: &bytes, tree: &tree };
        match rendition.accuse() {
            Some(accusation) => {
                let outcome = step.prove(&accusation).0;
                assert!(matches!(outcome, Outcome::Fault(_)), "{outcome:?}");
                accused += 1;
            }
            None => {
                for (kind, packet, chunk, count) in looks(&bytes) {
                    let Some(look) = rendition.look(kind, packet, chunk, count) else { continue };
                    let outcome = step.prove(&look).0;
                    assert!(!matches!(outcome, Outcome::Fault(_)), "{kind:?} of packet {packet}: {outcome:?}");
                }
                passed += 1;
            }
        }
    }
    assert!(accused > 10 && passed > 10, "{accused} accused, {passed} passed");
}
