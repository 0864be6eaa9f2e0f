//! Vectors of `HeaderStep`.

use super::{File, changed, spoilt};
use crate::headers::{Pack, Writer, mask, muxed, rendition, units};
use alloy::primitives::{B256, U256};
use headframe_contracts::HeaderStep;
use headframe_market::commit::ByteTree;
use headframe_market::proof::abi::HeaderEvidence;
use headframe_market::proof::header::{Kind, Rendition};
use headframe_market::proof::{Accusation, Ordered};

/// An order that these bytes were made for, with a change.
fn ordered(tree: &ByteTree, change: impl Fn(&mut Ordered)) -> Ordered {
    let mut ordered = Ordered {
        content: tree.root().into(),
        profiles: mask(&[66, 77, 100, 110, 122, 244]),
        level: 40,
        width: 320,
        height: 180,
    };
    change(&mut ordered);
    ordered
}

/// What looks at these bytes: a kind, a packet, chunks.
fn look(
    bytes: &[u8],
    change: impl Fn(&mut Ordered),
    kind: Kind,
    packet: usize,
    chunk: usize,
    count: usize,
) -> Accusation {
    let tree = ByteTree::new(bytes);
    let ordered = ordered(&tree, change);
    Rendition { ordered: &ordered, bytes, tree: &tree }.look(kind, packet, chunk, count).unwrap()
}

fn accused(bytes: &[u8], change: impl Fn(&mut Ordered)) -> Accusation {
    let tree = ByteTree::new(bytes);
    let ordered = ordered(&tree, change);
    Rendition { ordered: &ordered, bytes, tree: &tree }.accuse().unwrap()
}

#[test]
fn vectors_of_header_step() {
    let mut file = File::new("header", &HeaderStep::BYTECODE);
    // Without its message the first picture is short.
    let mut units = units();
    units.retain(|unit| unit[0] != 6);
    units.iter_mut().for_each(|unit| unit.truncate(60));
    lengths(&mut file, &muxed(&units, 0));
    firsts(&mut file, &units);
    sequences(&mut file, &units);
    file.close();
}

/// A rendition as FFmpeg makes it, whose first chunks are full.
#[test]
fn vectors_of_header_step_for_its_gas() {
    let mut file = File::new("gas_header", &HeaderStep::BYTECODE);
    let bytes = rendition();
    file.add("no whole packets", &accused(&bytes[1..], |_| ()), "not packets");
    let level = |ordered: &mut Ordered| ordered.level = 10;
    file.add("a higher level, one chunk", &look(&bytes, level, Kind::Sequence, 3, 0, 1), "wrong level");
    file.add("a higher level, two chunks", &look(&bytes, level, Kind::Sequence, 3, 0, 2), "wrong level");
    file.add("the first picture, one chunk", &look(&bytes, |_| (), Kind::First, 0, 0, 1), "NothingWrong");
    file.add("the first picture, two chunks", &look(&bytes, |_| (), Kind::First, 0, 0, 2), "NothingWrong");
    file.close();
}

fn lengths(file: &mut File, bytes: &[u8]) {
    file.add("whole packets", &look(bytes, |_| (), Kind::Length, 0, 0, 0), "NothingWrong");
    let longer = changed::<HeaderEvidence>(&look(bytes, |_| (), Kind::Length, 0, 0, 0), |e| e.length += 1);
    file.add("another length", &longer, "NotCommitted");
    file.add("a byte too many", &accused(&[bytes, &[0]].concat(), |_| ()), "not packets");
    file.add("no byte", &accused(&[], |_| ()), "not packets");

    let honest = look(bytes, |_| (), Kind::Sync, 0, 0, 1);
    file.add("a packet", &honest, "NothingWrong");
    spoilt(file, &honest);
    file.add("no such kind", &changed::<HeaderEvidence>(&honest, |e| e.kind = 4), "Malformed");
    let packets = (bytes.len() / 188) as u32;
    let behind = changed::<HeaderEvidence>(&honest, |e| e.packet = packets);
    file.add("a packet behind the end", &behind, "OutOfShape");
    let mut wrong = bytes.to_vec();
    wrong[0] = 0x48;
    file.add("a byte that begins no packet", &accused(&wrong, |_| ()), "not packets");
    let mut refused = |name: &str, change: fn(&mut HeaderEvidence), outcome: &str| {
        file.add(name, &changed::<HeaderEvidence>(&honest, change), outcome);
    };
    refused("no chunk", |e| e.chunks.clear(), "OutOfShape");
    refused("three chunks", |e| e.chunks = vec![e.chunks[0].clone(); 3], "OutOfShape");
    refused("a chunk that is not there", |e| e.chunk = 1, "OutOfShape");
    refused("two chunks of one", |e| e.chunks.push(e.chunks[0].clone()), "OutOfShape");
    refused("a changed chunk", |e| e.chunks[0].data = vec![0; 7].into(), "NotCommitted");
    refused("a chunk's path too long", |e| e.chunks[0].path.push(B256::ZERO), "OutOfShape");

    // Two chunks, the second of which is short; and one that is shorter than it may be.
    let long = bytes.repeat(4096 / bytes.len() + 3);
    let second = look(&long, |_| (), Kind::Sync, 22, 1, 1);
    file.add("a packet of the second chunk", &second, "NothingWrong");
    let before = changed::<HeaderEvidence>(&second, |e| e.packet = 21);
    file.add("a packet that begins before", &before, "OutOfShape");
    let earlier = changed::<HeaderEvidence>(&second, |e| (e.kind, e.packet) = (Kind::Sequence as u8, 21));
    file.add("a picture that begins before", &earlier, "OutOfShape");
    file.add("a packet of two chunks", &look(&long, |_| (), Kind::Sync, 22, 0, 2), "NothingWrong");
    let short = changed::<HeaderEvidence>(&honest, |_| ());
    let tree = ByteTree::new(&bytes[..188]);
    let said = restated(&short, |e| {
        // The tree over 188 bytes under a root that says 376.
        e.length = 376;
        e.chunks[0].data = bytes[..188].to_vec().into();
        e.ordered.content = root_of(376, tree.top().into());
    });
    file.add("a chunk shorter than the length says", &said, "OutOfShape");
}

fn root_of(length: u64, top: B256) -> B256 {
    let mut packed = vec![5];
    packed.extend(length.to_be_bytes());
    packed.extend(top);
    alloy::primitives::keccak256(packed)
}

fn restated(accusation: &Accusation, change: impl FnOnce(&mut HeaderEvidence)) -> Accusation {
    let mut statement = B256::ZERO;
    let other = changed::<HeaderEvidence>(accusation, |evidence| {
        change(evidence);
        statement = alloy::primitives::keccak256(alloy::sol_types::SolValue::abi_encode(&evidence.ordered));
    });
    Accusation { statement, ..other }
}

fn firsts(file: &mut File, units: &[Vec<u8>]) {
    let [delimiter, sps, pps, idr] = units else { panic!("{} units", units.len()) };
    let first = |units: &[&Vec<u8>], pack: Pack| {
        let units: Vec<Vec<u8>> = units.iter().map(|unit| unit.to_vec()).collect();
        look(&pack.stream(&units), |_| (), Kind::First, 0, 0, 1)
    };
    let plain = Pack::default();
    let all = [delimiter, sps, pps, idr];
    file.add("a whole first picture", &first(&all, plain), "NothingWrong");
    file.add("behind tables and sound", &first(&all, Pack { tables: true, ..plain }), "NothingWrong");
    file.add("in small pieces", &first(&all, Pack { stuffing: 150, ..plain }), "NothingWrong");
    file.add("behind packets without payload", &first(&all, Pack { empty: true, ..plain }), "NothingWrong");
    file.add("with sound between", &first(&all, Pack { between: true, stuffing: 150, ..plain }), "NothingWrong");
    file.add("a second picture behind it", &first(&all, Pack { second: true, ..plain }), "NothingWrong");
    file.add("no video", &first(&all, Pack { tables: true, no_video: true, ..plain }), "OutOfShape");
    file.add("no slice", &first(&[sps, pps], plain), "OutOfShape");
    file.add("a header that does not end", &first(&all, Pack { header: 255, ..plain }), "OutOfShape");
    file.add("a beginning of a header", &first(&all, Pack { torn: true, ..plain }), "OutOfShape");
    file.add("a packet that is none", &first(&all, Pack { stuffing: 150, bad_sync: true, ..plain }), "OutOfShape");
    let begun = Pack { stuffing: 150, bad_first: true, ..plain };
    file.add("a first packet that is none", &first(&all, begun), "OutOfShape");
    let mut later = idr.clone();
    later[0] = 0x41;
    file.add("a picture that needs others", &first(&[sps, pps, &later], plain), "not an IDR");
    file.add("no picture parameters", &first(&[sps, idr], plain), "no parameters");
    file.add("no sequence parameters", &first(&[pps, idr], plain), "no parameters");
    file.add("parameters behind the slice", &first(&[pps, idr, sps], plain), "no parameters");
    let other = Writer::default().golomb(1).golomb(0).unit(0x68);
    file.add("other picture parameters", &first(&[sps, &other, idr], plain), "no parameters");
    let cut = vec![0x65, 0];
    file.add("a slice cut off", &first(&[sps, pps, &cut], plain), "OutOfShape");
    let zeros = vec![0x65, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0xff];
    file.add("a number past 32 bits", &first(&[sps, pps, &zeros], plain), "OutOfShape");
    let bytes = Pack::default().stream(&all.map(|unit| unit.to_vec())).repeat(30);
    let second = look(&bytes, |_| (), Kind::First, 0, 1, 1);
    file.add("the first picture of another chunk", &second, "OutOfShape");
}

fn sequences(file: &mut File, units: &[Vec<u8>]) {
    let [_, sps, pps, idr] = units else { panic!("{} units", units.len()) };
    let with = |sets: &[&Vec<u8>], change: &dyn Fn(&mut Ordered)| {
        let units: Vec<Vec<u8>> = sets.iter().map(|unit| unit.to_vec()).chain([pps.clone(), idr.clone()]).collect();
        look(&muxed(&units, 0), change, Kind::Sequence, 0, 0, 1)
    };
    file.add("the ordered parameters", &with(&[sps], &|_| ()), "NothingWrong");
    file.add("another profile", &with(&[sps], &|ordered| ordered.profiles = mask(&[77])), "wrong profile");
    file.add("a higher level", &with(&[sps], &|ordered| ordered.level = 10), "wrong level");
    file.add("another width", &with(&[sps], &|ordered| ordered.width = 300), "wrong size");
    file.add("another height", &with(&[sps], &|ordered| ordered.height = 176), "wrong size");
    let mut higher = sps.clone();
    higher[3] = 51;
    file.add("a second set", &with(&[sps, &higher], &|_| ()), "wrong level");
    file.add("no parameters at all", &with(&[], &|_| ()), "OutOfShape");
    let none = changed::<HeaderEvidence>(&with(&[sps], &|_| ()), |e| e.packet = 9);
    file.add("no such packet", &none, "OutOfShape");
    let middle = look(&muxed(units, 150), |_| (), Kind::Sequence, 1, 0, 1);
    file.add("the middle of a picture", &middle, "OutOfShape");
    // Without a slice in sight.
    let alone = look(&muxed(std::slice::from_ref(sps), 0), |ordered| ordered.level = 10, Kind::Sequence, 0, 0, 1);
    file.add("parameters without a slice", &alone, "wrong level");

    let mut made = |name: &str, set: &Writer, change: &dyn Fn(&mut Ordered), outcome: &str| {
        file.add(name, &with(&[&set.unit(0x67)], change), outcome);
    };
    let size = |width, height| move |ordered: &mut Ordered| (ordered.width, ordered.height) = (width, height);
    let baseline = |writer: &mut Writer| {
        writer.write(66, 8).write(0, 8).write(30, 8).golomb(0).golomb(0).golomb(2).golomb(1).write(0, 1);
    };
    let mut plain = Writer::default();
    baseline(&mut plain);
    plain.golomb(19).golomb(10).write(3, 2).write(0, 2);
    made("without cropping", &plain, &size(320, 176), "NothingWrong");
    let mut fields = Writer::default();
    baseline(&mut fields);
    fields.golomb(19).golomb(5).write(0, 1).write(3, 2).write(1, 1).golomb(1).golomb(1).golomb(1).golomb(2).write(0, 1);
    made("fields, cropped on all sides", &fields, &size(316, 180), "NothingWrong");
    let mut cropped = Writer::default();
    baseline(&mut cropped);
    cropped.golomb(0).golomb(0).write(3, 2).write(1, 1).golomb(4).golomb(4).golomb(0).golomb(0).write(0, 1);
    made("cropped to nothing", &cropped, &size(320, 176), "OutOfShape");
    // Every profile that names its format: 4:2:0 of ten bits, 4:2:2, 4:4:4, with scaling lists and picture order cycles.
    for profile in [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135] {
        let mut ten = Writer::default();
        ten.write(profile, 8).write(0, 8).write(30, 8).golomb(0).golomb(1).golomb(0).golomb(2).write(0, 2);
        ten.golomb(0).golomb(2).golomb(1).write(0, 1).golomb(19).golomb(10).write(3, 2).write(0, 2);
        let all = |ordered: &mut Ordered| ordered.profiles = U256::MAX;
        made(&format!("profile {profile}, ten bits of chroma"), &ten, &all, "wrong format");
    }
    for (chroma, lists) in [(2, 8), (3, 12)] {
        let mut rich = Writer::default();
        rich.write(122, 8).write(0, 8).write(30, 8).golomb(0).golomb(chroma);
        if chroma == 3 {
            rich.write(0, 1);
        }
        // A list that ends at once, one of small steps down and up, one that is not there, and full ones of 64.
        rich.golomb(2).golomb(0).write(0, 1).write(1, 1).write(1, 1).golomb(16).write(1, 1).golomb(2).golomb(1);
        (0..14).for_each(|_| _ = rich.golomb(0));
        (2..lists).for_each(|list| match list {
            6 => {
                rich.write(1, 1);
                (0..64).for_each(|_| _ = rich.golomb(0));
            }
            _ => _ = rich.write(0, 1),
        });
        rich.golomb(0).golomb(1).write(0, 1).golomb(0).golomb(0).golomb(2).golomb(7).golomb(8).golomb(4).write(0, 1);
        rich.golomb(19).golomb(10).write(3, 2).write(1, 1).golomb(0).golomb(1).golomb(0).golomb(1).write(0, 1);
        made(&format!("chroma format {chroma}"), &rich, &size(320, 176), "wrong format");
    }
    let mut zero = Writer::default();
    zero.write(66, 8).write(0, 8).write(30, 8).golomb(0).golomb(0).golomb(0).golomb(4).golomb(1).write(0, 1);
    zero.golomb(19).golomb(10).write(3, 2).write(0, 2);
    made("order of the first kind", &zero, &size(320, 176), "NothingWrong");
    let mut cycle = Writer::default();
    cycle
        .write(66, 8)
        .write(0, 8)
        .write(30, 8)
        .golomb(0)
        .golomb(0)
        .golomb(1)
        .write(0, 1)
        .golomb(0)
        .golomb(0)
        .golomb(256);
    made("a cycle too long", &cycle, &size(320, 176), "OutOfShape");
    // Longer than anything that is read: what is behind does not matter.
    let mut long = plain;
    long.0.extend(std::iter::repeat_n(true, 8 * 1100));
    made("a very long set", &long, &size(320, 176), "NothingWrong");
}
