//! Renditions in a transport stream: `HeaderStep` convicts headers that are not what was ordered, and none that are.

use crate::evm::{Dice, Outcome, Step, cases};
use alloy::primitives::U256;
use headframe_contracts::HeaderStep;
use headframe_market::commit::ByteTree;
use headframe_market::commit::bytes::CHUNK;
use headframe_market::proof::Ordered;
use headframe_market::proof::header::{Kind, Rendition};

pub(crate) const PACKET: usize = 188;

/// Twelve pictures of 320x180, High, level 1.2, made with
/// `ffmpeg -f lavfi -i testsrc2=size=320x180:rate=30 -frames:v 12 -c:v libx264 -preset veryfast -profile:v high -b:v 200k
/// -g 30 -f mpegts -muxdelay 0 -muxpreload 0 rendition.ts`.
pub(crate) fn rendition() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/rendition.ts")).unwrap()
}

fn ordered(tree: &ByteTree) -> Ordered {
    // Constrained baseline and baseline, main, high.
    Ordered { content: tree.root().into(), profiles: mask(&[66, 77, 100]), level: 40, width: 320, height: 180 }
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
pub(crate) fn looks(bytes: &[u8]) -> Vec<(Kind, usize, usize, usize)> {
    let packets = (0..bytes.len() / PACKET).flat_map(|packet| {
        let chunk = packet * PACKET / CHUNK;
        [(Kind::Sync, packet, chunk, 1), (Kind::Sequence, packet, chunk, 1), (Kind::Sequence, packet, chunk, 2)]
    });
    packets.chain([(Kind::Length, 0, 0, 0), (Kind::First, 0, 0, 1), (Kind::First, 0, 0, 2)]).collect()
}

/// How a test's stream is packed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pack {
    /// Bytes of stuffing in every packet of video.
    pub(crate) stuffing: usize,
    /// Tables and a packet of sound before the video.
    pub(crate) tables: bool,
    /// A packet of the video's number that carries nothing, before the video.
    pub(crate) empty: bool,
    /// Packets of sound between those of the picture.
    pub(crate) between: bool,
    /// Another picture behind the first.
    pub(crate) second: bool,
    /// Only what comes before the video.
    pub(crate) no_video: bool,
    /// The first of the video's packets has this length of PES header; 0 for the right one.
    pub(crate) header: u8,
    /// Only the first packet of video, and of it the beginning of a PES header.
    pub(crate) torn: bool,
    /// The second packet of video does not begin as packets do.
    pub(crate) bad_sync: bool,
    /// The first one does not.
    pub(crate) bad_first: bool,
}

/// Another packet than the video's: its number, its first bytes.
fn foreign(id: u8, start: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x47, if start { 0x42 } else { 0x02 }, id, 0x10];
    packet.extend(payload);
    packet.resize(PACKET, 0xff);
    packet
}

impl Pack {
    pub(crate) fn stream(self, units: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.tables {
            out.extend(foreign(0, true, &[0, 0, 0xb0, 0x0d, 0, 1]));
            out.extend(foreign(1, true, &[0, 0, 1, 0xc0, 0, 9]));
            // All of an adaptation field, and the beginning of what would be video.
            out.extend([&[0x47, 0x42, 2, 0x30, 181][..], &[0xff; 181], &[0, 0]].concat());
        }
        if self.empty {
            out.extend([&[0x47, 0x41, 0, 0x20, 183][..], &[0xff; 183]].concat());
        }
        if self.no_video {
            return out;
        }
        let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
        units.iter().for_each(|unit| {
            pes.extend([0, 0, 0, 1]);
            pes.extend(unit);
        });
        if self.header > 0 {
            pes[8] = self.header;
        }
        if self.torn {
            pes.truncate(6);
        }
        for (number, part) in pes.chunks(PACKET - 4 - self.stuffing).enumerate() {
            let mut packet = vec![0x47, if number == 0 { 0x41 } else { 0x01 }, 0, 0x30 | (number as u8 & 15)];
            if (self.bad_sync && number == 1) || (self.bad_first && number == 0) {
                packet[0] = 0x46;
            }
            let fill = PACKET - 4 - part.len();
            if fill == 0 {
                packet[3] &= 0xdf;
            } else {
                packet.push(fill as u8 - 1);
                packet.extend(std::iter::repeat_n(0xff, fill).skip(1));
            }
            packet.extend(part);
            out.extend(packet);
            if self.between {
                out.extend(foreign(1, false, &[1, 2, 3]));
            }
        }
        if self.second {
            out.extend(muxed(units, 0));
        }
        out
    }
}

/// Cuts units into a PES packet of video and that into packets.
pub(crate) fn muxed(units: &[Vec<u8>], stuffing: usize) -> Vec<u8> {
    Pack { stuffing, ..Pack::default() }.stream(units)
}

/// Profiles that may be used.
pub(crate) fn mask(profiles: &[usize]) -> U256 {
    profiles.iter().fold(U256::ZERO, |mask, profile| mask | U256::from(1) << *profile)
}

/// The bits of a unit.
#[derive(Clone, Default)]
pub(crate) struct Writer(pub(crate) Vec<bool>);

impl Writer {
    pub(crate) fn write(&mut self, value: u64, count: usize) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    pub(crate) fn golomb(&mut self, value: u64) -> &mut Self {
        let bits = (value + 1).ilog2() as usize;
        self.write(0, bits).write(value + 1, bits + 1)
    }

    /// With its header, its end, and bytes against start codes.
    pub(crate) fn unit(&self, header: u8) -> Vec<u8> {
        let mut bits = self.0.clone();
        bits.push(true);
        bits.resize(bits.len().next_multiple_of(8), false);
        let (mut bytes, mut zeros) = (vec![header], 0);
        for value in bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))) {
            if zeros >= 2 && value <= 3 {
                bytes.push(3);
                zeros = 0;
            }
            zeros = if value == 0 { zeros + 1 } else { 0 };
            bytes.push(value);
        }
        bytes
    }
}

/// The units of the first picture: delimiter, parameter sets, message, slice.
pub(crate) fn units() -> Vec<Vec<u8>> {
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
