#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::btree_map::Entry;

use proptest::prelude::*;

use super::*;
use crate::error::Class;
use crate::ladder::Ladder;

const RISER: u64 = 200_000_000;
const GENERATION: Generation = Generation::Unknown;

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn usual() -> Demand {
    let segment = Duration::from_secs(2);
    let source = Source { codec: Codec::H264, width: 1920, height: 1080, fps: 30.0, segment };
    Demand::new(&source, &Ladder::standard())
}

/// A card with so many decode and encode engines and so much memory, of which decoding was not measured.
fn equipment(decoders: u32, encoders: u32, gib: u64) -> Equipment {
    let (generation, memory_bytes) = (GENERATION, gib << 30);
    Equipment { generation, decoders, encoders, memory_bytes, link_bytes: RISER, decode_samples: 0 }
}

/// Cards numbered from 0 with so many encode engines, a session pair for each.
fn machine(processors: usize, encoders: &[u32]) -> Placement {
    let mut placement = Placement::new(processors);
    for (id, encoders) in (0..).map(CardId).zip(encoders) {
        placement.card(id, equipment(1, *encoders, 12), at(0));
        placement.sessions(id, 2 * encoders, at(0));
    }
    placement
}

fn fill(placement: &mut Placement, streams: usize) -> Vec<Result<Place, Full>> {
    (0..streams).map(|n| placement.begin(&n.to_string(), usual(), at(0))).collect()
}

fn on(place: Result<Place, Full>) -> (u32, Encode) {
    place.map(|place| (place.card.0, place.encode)).unwrap()
}

#[test]
fn streams_spread_and_stop_where_the_encoder_is_full() {
    let mut placement = machine(0, &[1, 2]);
    let places = fill(&mut placement, 40);
    let count = |card| places.iter().flatten().filter(|place| place.card == CardId(card)).count();
    // 0.85 / 0.0574 on one encode engine; on two the decode engine is full first, 0.85 / 0.04.
    assert_eq!((count(0), count(1)), (14, 21));
    let full = places[39].unwrap_err();
    assert!(matches!(full, Full::Card { part: Part::Encoder | Part::Decoder, need, .. } if need > FILL), "{full}");
    assert_eq!(placement.begin("0", usual(), at(1)), places[0], "one that is placed stays");
    placement.end("0");
    assert!(placement.begin("again", usual(), at(1)).is_ok());
}

#[test]
fn an_idle_card_takes_a_stream_of_any_size_that_its_memory_holds() {
    let mut placement = machine(0, &[1]);
    let segment = Duration::from_secs(2);
    let source = Source { codec: Codec::H264, width: 4096, height: 2160, fps: 200.0, segment };
    assert!(placement.begin("large", Demand::new(&source, &Ladder::standard()), at(0)).is_ok());
    assert!(placement.begin("one more", usual(), at(0)).is_err());
}

#[test]
fn a_card_without_an_encoder_decodes_and_scales_as_far_as_processors_and_link_reach() {
    let mut placement = machine(64, &[0]);
    let places = fill(&mut placement, 3);
    assert_eq!((on(places[0]), on(places[1])), ((0, Encode::Processor), (0, Encode::Processor)));
    assert!(matches!(places[2], Err(Full::Card { part: Part::Link, .. })), "{:?}", places[2]);
    let mut placement = machine(1, &[0, 0]);
    let places = fill(&mut placement, 3);
    assert!(places[1].is_ok() && matches!(places[2], Err(Full::Card { part: Part::Processors, .. })), "{places:?}");
    // Processors of half the speed that was expected.
    let mut placement = machine(1, &[0, 0]);
    (0..100).for_each(|_| placement.encoded_by_processor(1e6, Duration::from_millis(14)));
    let places = fill(&mut placement, 2);
    assert!(places[0].is_ok() && matches!(places[1], Err(Full::Card { part: Part::Processors, .. })), "{places:?}");
    let mut placement = machine(64, &[0, 1]);
    assert_eq!(on(placement.begin("a", usual(), at(0))), (1, Encode::Card), "a card that encodes comes first");
}

#[test]
fn measured_costs_decide() {
    let mut placement = machine(0, &[1, 1]);
    for _ in 0..100 {
        // A card of a third of the speed.
        let took = placement.encode_time(CardId(1), Codec::H264, Preset::Live, 1e6).unwrap();
        placement.encoded(CardId(0), Codec::H264, Preset::Live, 1e6, took * 3);
    }
    let places = fill(&mut placement, 18);
    let first = places.iter().flatten().filter(|place| place.card == CardId(0)).count();
    let second = places.iter().flatten().filter(|place| place.card == CardId(1)).count();
    assert!((3..=5).contains(&first) && (13..=14).contains(&second), "{first} {second}");
}

#[test]
fn what_the_last_start_measured_of_the_decoders_decides() {
    let mut placement = machine(0, &[2]);
    let count = |placement: &mut Placement| {
        let placed = fill(placement, 40).iter().flatten().count();
        (0..40).for_each(|n| placement.end(&n.to_string()));
        placed
    };
    assert_eq!(count(&mut placement), 21, "0.85 of 750 pictures");
    for (pictures, streams) in [(375, 10), (900, 25), (0, 21)] {
        let decode_samples = pictures * 1920 * 1080;
        placement.card(CardId(0), Equipment { decode_samples, ..equipment(1, 2, 12) }, at(1));
        assert_eq!(count(&mut placement), streams, "{pictures}");
    }
}

#[test]
fn moves_only_at_boundaries_for_a_gain_and_not_back() {
    let mut placement = machine(0, &[1, 1]);
    fill(&mut placement, 16);
    // All streams of one card end.
    for n in 0..16 {
        let name = n.to_string();
        if on(placement.begin(&name, usual(), at(0))).0 == 1 {
            placement.end(&name);
        }
    }
    let mut moves = Vec::new();
    let left: Vec<String> = placement.streams.keys().cloned().collect();
    assert_eq!(left.len(), 8);
    let mut before: BTreeMap<String, u32> = left.iter().map(|name| (name.clone(), 0)).collect();
    for second in (0..600).step_by(2) {
        for name in &left {
            let card = on(placement.boundary(name, at(second)).unwrap()).0;
            if before.insert(name.clone(), card) != Some(card) {
                moves.push(second);
            }
        }
    }
    // Until one card has less than 0.15 more than the other would have: 5 and 3.
    assert_eq!(moves, [30, 32, 34], "none earlier, none at once, none back");
    assert!(placement.boundary("unknown", at(0)).is_none());
}

#[test]
fn a_card_that_is_out_loses_its_streams_and_gets_them_back_slowly() {
    let mut placement = machine(0, &[1, 1]);
    fill(&mut placement, 16);
    let change = placement.outcome(CardId(0), Outcome::Failed(Class::Device), at(5)).unwrap();
    assert!(matches!(change, Change::Evicted { card: CardId(0), why: Why::Device, .. }));
    let places: Vec<_> = (0..16).map(|n| placement.boundary(&n.to_string(), at(6)).unwrap()).collect();
    let moved = places.iter().filter(|place| place.is_ok_and(|place| place.card == CardId(1))).count();
    assert_eq!(moved, 16, "to the brim: {:?}", placement.fullness(CardId(1)));
    assert!(placement.begin("new", usual(), at(7)).is_err(), "and no further");
    assert_eq!((placement.next_wake(), placement.tick(at(14))), (Some(at(15)), vec![]));
    assert_eq!(placement.tick(at(15)), [Change::Probe(CardId(0))]);
    assert_eq!(placement.probed(CardId(0), true, at(16)), Some(Change::Readmitted(CardId(0))));
    let placed = |placement: &mut Placement, now| {
        let cards = (0..16).map(|n| placement.boundary(&n.to_string(), now).unwrap().unwrap().card);
        cards.filter(|card| *card == CardId(0)).count()
    };
    assert_eq!(placed(&mut placement, at(40)), 1);
    assert_eq!(placed(&mut placement, at(60)), 1, "on trial");
    for _ in 0..20 {
        assert_eq!(placement.outcome(CardId(0), Outcome::Good, at(60)), None);
    }
    assert_eq!((placed(&mut placement, at(62)), placed(&mut placement, at(64))), (2, 3));
}

#[test]
fn without_a_session_for_long_a_card_loses_its_streams() {
    let mut placement = machine(0, &[1, 1]);
    let first = on(placement.begin("a", usual(), at(0))).0;
    placement.sessions(CardId(first), 0, at(10));
    assert_eq!(on(placement.boundary("a", at(13)).unwrap()).0, first, "for a moment");
    assert_eq!(on(placement.boundary("a", at(14)).unwrap()).0, 1 - first);
    placement.sessions(CardId(1 - first), 0, at(14));
    assert_eq!(placement.boundary("a", at(20)), Some(Err(Full::NoCard)));
    placement.sessions(CardId(first), 1, at(21));
    assert_eq!(on(placement.boundary("a", at(22)).unwrap()).0, first);
}

#[test]
fn late_segments_close_a_card() {
    let mut placement = machine(0, &[1, 1]);
    assert_eq!(on(placement.begin("a", usual(), at(0))).0, 0);
    (0..20).for_each(|_| placement.took(CardId(0), 0.9));
    let places = fill(&mut placement, 20);
    let on_card = |card| places.iter().flatten().filter(|place| place.card == CardId(card)).count();
    assert_eq!((on_card(0), on_card(1)), (0, 14));
    assert!(matches!(places[19], Err(Full::Card { .. })));
}

#[test]
fn cards_are_bounded() {
    let mut placement = machine(0, &[1; MAX_CARDS + 1]);
    assert_eq!((placement.cards.len(), placement.fullness(CardId(MAX_CARDS as u32))), (MAX_CARDS, None));
    let equipment = equipment(0, 0, 1);
    placement.card(CardId(0), equipment, at(0));
    assert_eq!(placement.cards[&CardId(0)].equipment, equipment, "one that is known");
}

#[test]
fn memory_is_counted_and_corrected() {
    let mut placement = machine(0, &[4]);
    placement.card(CardId(0), equipment(4, 4, 3), at(0));
    let count = |placement: &mut Placement| fill(placement, 40).iter().flatten().count();
    assert_eq!(count(&mut placement), 10);
    let expected = placement.load(CardId(0), None).memory + placement.cards[&CardId(0)].costs.fixed_bytes();
    (0..100).for_each(|_| placement.memory_used(CardId(0), (expected / 2.0) as u64));
    assert!((18..=28).contains(&count(&mut placement)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: no stream on a card that is out, new ones only where there is room, voluntary moves rare.
    #[test]
    fn random_histories(steps in prop::collection::vec((0_u8..8, 0_u8..24, 0_u8..3), 1..400)) {
        let mut placement = machine(2, &[1, 2, 0]);
        let mut last: BTreeMap<String, (Place, Moment)> = BTreeMap::new();
        for (second, (what, stream, card)) in steps.into_iter().enumerate() {
            let (now, name, id) = (at(second as u64), stream.to_string(), CardId(u32::from(card)));
            match what {
                0 | 1 => {
                    if let Ok(place) = placement.begin(&name, usual(), now)
                        && let Entry::Vacant(unknown) = last.entry(name)
                    {
                        unknown.insert((place, now));
                        let alone = placement.on_card(place.card).count() == 1;
                        prop_assert!(alone || placement.fullness(place.card).unwrap().0 <= FILL);
                    }
                }
                2..=4 => match placement.boundary(&name, now) {
                    None => prop_assert!(!last.contains_key(&name)),
                    Some(Err(_)) => { last.remove(&name); placement.end(&name); }
                    Some(Ok(place)) => {
                        prop_assert!(placement.cards[&place.card].health.is_in());
                        let (before, since) = last[&name];
                        if before != place {
                            let could_stay = placement.cards[&before.card].health.is_in()
                                && (before.encode == Encode::Processor || placement.cards[&before.card].encodes(now));
                            prop_assert!(!could_stay || now.since(since) >= DWELL);
                            last.insert(name, (place, now));
                        }
                    }
                },
                5 => { placement.end(&name); last.remove(&name); }
                6 => {
                    let outcomes = [Outcome::Good, Outcome::Failed(Class::Transient), Outcome::Died,
                        Outcome::Failed(Class::Input), Outcome::Failed(Class::Device)];
                    placement.outcome(id, outcomes[usize::from(stream) % 5], now);
                }
                _ => {
                    placement.sessions(id, u32::from(stream % 4), now);
                    for change in placement.tick(now) {
                        if let Change::Probe(card) = change {
                            placement.probed(card, stream % 3 > 0, now);
                        }
                    }
                }
            }
            for name in last.keys() {
                prop_assert!(placement.streams[name].place.is_some());
            }
        }
    }
}
