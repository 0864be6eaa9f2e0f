//! Holds docs/gpu-model.md to the planning figures and to what placement does with them: its tables are made here.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Costs, DECODE_FPS, DECODED, Demand, ENCODE_FPS, FIXED_BYTES, SCALE, SMALL, Source};
use crate::ladder::{Codec, Ladder, Preset};
use crate::placement::{Equipment, FILL, Full, Part, Placement};
use crate::units::{CardId, Moment};

const PAGE: &str = include_str!("../../../../docs/gpu-model.md");

/// What a first-generation riser of one lane carries, and a fourth-generation slot of sixteen, bytes a second.
const RISER: u64 = 200_000_000;
const SLOT: u64 = 25_000_000_000;

/// Generation, card, memory (GB), encode and decode engines.
const CARDS: [(&str, &str, u64, u32, u32); 17] = [
    ("Pascal", "GTX 1060 6 GB (GP106)", 6, 1, 1),
    ("Pascal", "GTX 1080 Ti (GP102)", 11, 2, 1),
    ("Turing", "RTX 2060 (TU106)", 6, 1, 1),
    ("Turing", "RTX 2080 Ti (TU102)", 11, 1, 1),
    ("Turing", "T4 (TU104)", 16, 1, 2),
    ("Ampere", "RTX 3060 (GA106)", 12, 1, 1),
    ("Ampere", "RTX 3090 (GA102)", 24, 1, 1),
    ("Ampere", "A10 (GA102)", 24, 1, 2),
    ("Ampere", "A100 (GA100)", 40, 0, 5),
    ("Ada", "RTX 4060 (AD107)", 8, 1, 1),
    ("Ada", "RTX 4090 (AD102)", 24, 2, 1),
    ("Ada", "L4 (AD104)", 24, 2, 4),
    ("Ada", "L40 (AD102)", 48, 3, 3),
    ("Hopper", "H100 (GH100)", 80, 0, 7),
    ("Blackwell", "RTX 5070 (GB205)", 12, 1, 1),
    ("Blackwell", "RTX 5080 (GB203)", 16, 2, 2),
    ("Blackwell", "RTX 5090 (GB202)", 32, 3, 2),
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

fn cards() -> String {
    let mut text = String::from(
        "| generation | card | GB | NVENC | NVDEC | ladders, `live` | limit | `density` | `quality` | one session |\n\
         | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |\n",
    );
    for (generation, name, gb, encoders, decoders) in CARDS {
        let have = |link_bytes| Equipment { decoders, encoders, memory_bytes: gb << 30, link_bytes };
        let _ = write!(text, "| {generation} | {name} | {gb} | {encoders} | {decoders} | ");
        if encoders == 0 {
            // Raw pictures leave the card.
            let (slot, riser) = (placed(have(SLOT), 0, Preset::Live), placed(have(RISER), 0, Preset::Live));
            assert_eq!(riser.1, Part::Link, "{name}");
            let _ = writeln!(text, "{} in x16, {} on x1 | {}, link | | | |", slot.0, riser.0, limit(slot.1));
            continue;
        }
        let [density, live, quality] =
            [Preset::Density, Preset::Live, Preset::Quality].map(|preset| placed(have(RISER), 2 * encoders, preset));
        let one = placed(have(RISER), 1, Preset::Live);
        let _ = writeln!(text, "{} | {} | {} | {} | {} |", live.0, limit(live.1), density.0, quality.0, one.0);
    }
    text
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

fn figures() -> String {
    let [h264, hevc, av1] = DECODE_FPS;
    let [density, live, quality] = ENCODE_FPS;
    let costs = Costs::new();
    let [at_density, at_live, at_quality] =
        [Preset::Density, Preset::Live, Preset::Quality].map(|preset| costs.load(&demand(preset), true));
    let raw = costs.load(&demand(Preset::Live), false).link / 1e6;
    let share = |it: f64| format!("{:.1} %", it * 100.0);
    [
        "| part | planning figure | a standard ladder of 1080p30 takes |\n| --- | --- | --- |\n".to_owned(),
        format!(
            "| NVDEC, each | {h264} pictures of 1080p a second of H.264, {hevc} of HEVC, {av1} of AV1 | {} of H.264 |\n",
            share(at_live.decode)
        ),
        format!(
            "| NVENC, each | {density} with `density` (P2), {live} with `live` (P4), {quality} with `quality` (P6); times {SMALL} \
             for small pictures | {}, {}, {} |\n",
            share(at_density.encode),
            share(at_live.encode),
            share(at_quality.encode)
        ),
        format!("| scaler | {:.0} us a picture | {} |\n", SCALE * 1e6, share(at_live.scale)),
        format!(
            "| memory | {:.0} MB for a process; {DECODED} source pictures; a segment of all renditions | {:.0} MB |\n",
            FIXED_BYTES / 1e6,
            at_live.memory / 1e6
        ),
        format!("| link | compressed pictures are not counted; raw ones where the processors encode | {raw:.0} MB/s |\n"),
        format!("| filled to | {:.0} % | |\n", FILL * 100.0),
    ]
    .concat()
}

#[test]
fn the_page_says_what_placement_does() {
    for due in [figures(), cards()] {
        assert!(PAGE.contains(&due), "docs/gpu-model.md should have:\n\n{due}");
    }
}

#[test]
fn the_page_names_every_card_that_was_measured() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/results");
    let names = std::fs::read_dir(results).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let measured: Vec<_> = names.filter(|name| name.starts_with("gpu-")).collect();
    for name in &measured {
        assert!(PAGE.contains(name.as_str()), "bench/results/{name} is not on the page");
    }
    assert_eq!(PAGE.contains("**None of these figures was measured by us.**"), measured.is_empty());
}
