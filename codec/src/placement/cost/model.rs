//! Holds docs/gpu-model.md to the planning figures and to what placement does with them: its tables are made here.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{Costs, DECODED, Demand, FIXED_BYTES, SCALE, SMALL, Source};
use crate::ladder::{Codec, Ladder, Preset};
use crate::placement::generation::{Generation, Published, Rate};
use crate::placement::{Equipment, FILL, Full, Part, Placement};
use crate::units::{CardId, Moment};

const PAGE: &str = include_str!("../../../../docs/gpu-model.md");

/// What a first-generation riser of one lane carries, and a fourth-generation slot of sixteen, bytes a second.
const RISER: u64 = 200_000_000;
const SLOT: u64 = 25_000_000_000;

/// A generation with its name, the card on which NVIDIA measured encoding, and the video clocks in MHz: encoding, decoding. It does
/// not say which card and clock the encoders of Blackwell had.
type Measured = (Generation, &'static str, &'static str, Option<u32>, u32);

const MEASURED: [Measured; 5] = [
    (Generation::Pascal, "Pascal", "GTX 1060", Some(1708), 1544),
    (Generation::Turing, "Turing", "RTX 8000", Some(1950), 1860),
    (Generation::Ampere, "Ampere", "RTX 3090", Some(1950), 1665),
    (Generation::Ada, "Ada", "RTX 4090", Some(2415), 2160),
    (Generation::Blackwell, "Blackwell", "not named", None, 2362),
];
const PRESETS: [Preset; 3] = [Preset::Density, Preset::Live, Preset::Quality];
const CODECS: [(&str, Codec); 3] = [("H.264", Codec::H264), ("HEVC", Codec::Hevc), ("AV1", Codec::Av1)];

/// A card: its generation, name and compute capability, memory (GB), encode and decode engines.
type Card = (&'static str, &'static str, (u32, u32), u64, u32, u32);

const CARDS: [Card; 17] = [
    ("Pascal", "GTX 1060 6 GB (GP106)", (6, 1), 6, 1, 1),
    ("Pascal", "GTX 1080 Ti (GP102)", (6, 1), 11, 2, 1),
    ("Turing", "RTX 2060 (TU106)", (7, 5), 6, 1, 1),
    ("Turing", "RTX 2080 Ti (TU102)", (7, 5), 11, 1, 1),
    ("Turing", "T4 (TU104)", (7, 5), 16, 1, 2),
    ("Ampere", "RTX 3060 (GA106)", (8, 6), 12, 1, 1),
    ("Ampere", "RTX 3090 (GA102)", (8, 6), 24, 1, 1),
    ("Ampere", "A10 (GA102)", (8, 6), 24, 1, 2),
    ("Ampere", "A100 (GA100)", (8, 0), 40, 0, 5),
    ("Ada", "RTX 4060 (AD107)", (8, 9), 8, 1, 1),
    ("Ada", "RTX 4090 (AD102)", (8, 9), 24, 2, 1),
    ("Ada", "L4 (AD104)", (8, 9), 24, 2, 4),
    ("Ada", "L40 (AD102)", (8, 9), 48, 3, 3),
    ("Hopper", "H100 (GH100)", (9, 0), 80, 0, 7),
    ("Blackwell", "RTX 5070 (GB205)", (12, 0), 12, 1, 1),
    ("Blackwell", "RTX 5080 (GB203)", (12, 0), 16, 2, 2),
    ("Blackwell", "RTX 5090 (GB202)", (12, 0), 32, 3, 2),
];

/// A 1080p30 stream as the standard ladder.
fn demand(preset: Preset) -> Demand {
    let mut rungs = Ladder::standard().renditions().to_vec();
    rungs.iter_mut().for_each(|rung| rung.preset = preset);
    let segment = Duration::from_secs(2);
    let source = Source { codec: Codec::H264, width: 1920, height: 1080, fps: 30.0, segment };
    Demand::new(&source, &Ladder::new(rungs).unwrap())
}

/// How many such streams placement puts on a card, and what stops it.
fn placed(have: Equipment, sessions: u32, preset: Preset) -> (usize, Part) {
    let (card, now) = (CardId(0), Moment(Duration::ZERO));
    // More processors than any card could need: what counts is the card.
    let mut placement = Placement::new(if have.encoders == 0 { 100_000 } else { 0 });
    placement.card(card, have, now);
    placement.sessions(card, sessions, now);
    for count in 0..1000 {
        match placement.begin(&count.to_string(), demand(preset), now) {
            Ok(_) => {}
            Err(Full::Card { part, .. }) => return (count, part),
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("no end of streams");
}

/// What is on the page of every card, and the ladders that those had which were measured.
fn cards(reports: &[Value]) -> String {
    let mut text = String::from(
        "| generation | card | GB | NVENC | NVDEC | ladders, `live` | limit | `density` | `quality` | one session | measured |\n\
         | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |\n",
    );
    for (named, name, compute, gb, encoders, decoders) in CARDS {
        let generation = Generation::of(compute);
        let (memory_bytes, decode_samples) = (gb << 30, 0);
        let have = |link_bytes| Equipment { generation, decoders, encoders, memory_bytes, link_bytes, decode_samples };
        let measured = measured(reports, name).map_or_else(|| "never".to_owned(), |ladders| format!("**{ladders}**"));
        let _ = write!(text, "| {named} | {name} | {gb} | {encoders} | {decoders} | ");
        if encoders == 0 {
            // Raw pictures leave the card.
            let (slot, riser) = (placed(have(SLOT), 0, Preset::Live), placed(have(RISER), 0, Preset::Live));
            assert_eq!(riser.1, Part::Link, "{name}");
            let _ =
                writeln!(text, "{} in x16, {} on x1 | {}, link | | | | {measured} |", slot.0, riser.0, limit(slot.1));
            continue;
        }
        let [density, live, quality] = PRESETS.map(|preset| placed(have(RISER), 2 * encoders, preset));
        let one = placed(have(RISER), 1, Preset::Live).0;
        let (limit, live) = (limit(live.1), live.0);
        let _ = writeln!(text, "{live} | {limit} | {} | {} | {one} | {measured} |", density.0, quality.0);
    }
    text
}

/// Live ladders that a card with this name sustained, by the first report that has one.
fn measured(reports: &[Value], name: &str) -> Option<u64> {
    let product = name.split(" (").next().unwrap_or(name);
    let of = |report: &&Value| report["card"]["name"].as_str().is_some_and(|it| it.ends_with(product));
    reports.iter().find(of).and_then(|report| report["sustained_ladders"].as_u64())
}

fn limit(part: Part) -> &'static str {
    match part {
        Part::Decoder => "decode",
        Part::Encoder => "encode",
        Part::Memory => "memory",
        Part::Scaler => "scale",
        Part::Link => "link",
        Part::Processors | Part::Time | Part::Trial => panic!("no limit of a card: {part:?}"),
    }
}

/// The figures of NVIDIA's tables, as they are.
fn published() -> String {
    let mut text = String::from(
        "| generation | encoding measured on | NVENC H.264: P1, P3, P5, P7 | HEVC: P1, P3, P5, P7 | AV1: P1, P3, P5, P7 | decoding \
         measured at | NVDEC H.264 | HEVC | AV1 |\n| --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |\n",
    );
    for (generation, name, card, encoding, decoding) in MEASURED {
        let Published { encode, decode } = generation.published().unwrap();
        let at = encoding.map_or_else(String::new, |mhz| format!(" at {mhz} MHz"));
        let _ = write!(text, "| {name} | {card}{at} |");
        for known in encode {
            let all = known.map_or_else(|| "none".to_owned(), |all| all.map(|fps| format!("{fps}")).join(", "));
            let _ = write!(text, " {all} |");
        }
        let _ = write!(text, " {decoding} MHz |");
        for known in decode {
            let _ = write!(text, " {} |", known.map_or_else(|| "none".to_owned(), |fps| format!("{fps}")));
        }
        text.push('\n');
    }
    text
}

/// A rate as the page marks it: `~` between two presets, in brackets where something else stands in.
fn marked(rate: Rate) -> String {
    match rate {
        Rate::Published(fps) => format!("{fps:.0}"),
        Rate::Between(..) => format!("~{:.0}", rate.fps()),
        Rate::StandIn(fps) => format!("({fps:.0})"),
    }
}

/// What placement begins with, for every generation.
fn planned() -> String {
    let mut text = String::from(
        "| generation | NVENC H.264: `density`, `live`, `quality` | HEVC | AV1 | NVDEC H.264, HEVC, AV1 | a standard ladder of \
         1080p30 takes of an NVDEC | of an NVENC |\n| --- | --- | --- | --- | --- | ---: | --- |\n",
    );
    let share = |it: f64| format!("{:.1} %", it * 100.0);
    let known = MEASURED.map(|(generation, name, ..)| (generation, name));
    for (generation, name) in known.into_iter().chain([(Generation::Unknown, "any other")]) {
        let encode = CODECS.map(|(_, codec)| PRESETS.map(|preset| marked(generation.encode(codec, preset))).join(", "));
        let decode = CODECS.map(|(_, codec)| marked(generation.decode(codec))).join(", ");
        let loads = PRESETS.map(|preset| Costs::new(generation).load(&demand(preset), true));
        let (nvdec, nvenc) = (share(loads[0].decode), loads.map(|load| share(load.encode)).join(", "));
        let _ = writeln!(text, "| {name} | {} | {decode} | {nvdec} | {nvenc} |", encode.join(" | "));
    }
    text
}

fn figures() -> String {
    let costs = Costs::new(Generation::Unknown);
    let at_live = costs.load(&demand(Preset::Live), true);
    let raw = costs.load(&demand(Preset::Live), false).link / 1e6;
    [
        "| part | planning figure | a standard ladder of 1080p30 takes |\n| --- | --- | --- |\n".to_owned(),
        format!("| small pictures | {SMALL} of an encode engine's rate | |\n"),
        format!("| scaler | {:.0} us a picture | {:.1} % |\n", SCALE * 1e6, at_live.scale * 100.0),
        format!(
            "| memory | {:.0} MB for a process; {DECODED} source pictures; a segment of all renditions | {:.0} MB |\n",
            FIXED_BYTES / 1e6,
            at_live.memory / 1e6
        ),
        format!(
            "| link | compressed pictures are not counted; raw ones where the processors encode | {raw:.0} MB/s |\n"
        ),
        format!("| filled to | {:.0} % | |\n", FILL * 100.0),
    ]
    .concat()
}

/// Reports of cards in `bench/results`, by their files' names.
fn reports() -> Vec<(String, Value)> {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/results");
    let files = std::fs::read_dir(results).unwrap().map(|entry| entry.unwrap());
    let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
    let of_cards = named.filter(|(name, _)| name.starts_with("gpu-"));
    of_cards.map(|(name, path)| (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())).collect()
}

#[test]
fn the_page_says_what_placement_does() {
    let reports: Vec<Value> = reports().into_iter().map(|(_, report)| report).collect();
    for due in [published(), planned(), figures(), cards(&reports)] {
        assert!(PAGE.contains(&due), "docs/gpu-model.md should have:\n\n{due}");
    }
}

#[test]
fn the_page_names_every_card_that_was_measured() {
    let reports = reports();
    for (name, _) in &reports {
        assert!(PAGE.contains(name.as_str()), "bench/results/{name} is not on the page");
    }
    assert_eq!(PAGE.contains("**None of these figures was measured by us.**"), reports.is_empty());
}

#[test]
fn a_measured_card_is_marked() {
    let report = serde_json::json!({ "card": { "name": "NVIDIA GeForce RTX 3060" }, "sustained_ladders": 17 });
    let page = cards(&[report]);
    let row = page.lines().find(|row| row.contains("RTX 3060")).unwrap();
    assert!(row.ends_with("| **17** |"), "{row}");
    assert_eq!(page.matches("| never |").count(), CARDS.len() - 1);
}
