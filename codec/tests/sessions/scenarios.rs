//! Stories: what each trouble does to 32 four-rung ladders, and what it does not.

use std::time::Duration;

use headframe_codec::units::CardId;
use headframe_codec::{Codec, Preset};

use super::model::{IN_TIME, encode_time};
use super::world::{Blow, World};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many ladders from the third to the 120th second, with blows at these milliseconds, until all is done.
fn story(name: &str, mut world: World, ladders: usize, blows: &[(u64, Blow)]) -> World {
    world.streams(ladders, seconds(2), seconds(120));
    for (at, blow) in blows {
        world.blow(Duration::from_millis(*at), *blow);
    }
    world.drained();
    println!("{name}: {:?}\n  {:?}", world.tally, world.broker.stats());
    world.said.iter().take(60).for_each(|said| println!("  {said}"));
    world
}

fn all_on_cards(world: &World) {
    let tally = world.tally;
    assert_eq!((tally.late, tally.overflows, tally.on_cards), (0, 0, tally.asked), "{tally:?}");
}

#[test]
fn thirty_two_ladders_over_eight_sessions() {
    for seed in 1..=5 {
        let world = story("even", World::new(seed, 8, &[1; 4], 0), 32, &[]);
        all_on_cards(&world);
        assert!(world.driver.most == 8 && world.tally.asked > 7000);
    }
    all_on_cards(&story("two engines", World::new(6, 8, &[2, 1, 1], 0), 32, &[]));
}

/// Nine tenths of what the modelled engines do; one session for each rung would be two ladders.
#[test]
fn sixty_ladders_over_eight_sessions() {
    let world = story("sixty", World::new(1, 8, &[1; 4], 0), 60, &[]);
    all_on_cards(&world);
    assert!(world.tally.engine > 0.9 * 4.0 * 116.0);
    // What leases took of an engine is measured well enough, whoever shared it.
    let learned = world.placement.encode_time(CardId(0), Codec::H264, Preset::Live, 1e6).unwrap().as_secs_f64();
    assert!((learned / encode_time(1e6) - 1.0).abs() < 0.05, "{learned} {}", encode_time(1e6));
}

#[test]
fn streams_of_several_classes_share_sessions_all_the_same() {
    for classes in 2..=4 {
        let mut world = World::new(1, 8, &[1; 4], 0);
        world.classes = classes;
        let world = story("classes", world, 32, &[]);
        all_on_cards(&world);
        assert!(world.broker.stats().steps[2] < world.tally.asked / 2, "made anew only where it must be");
    }
}

/// What the card with an encoder has no room for is decoded and scaled on the other, as much as its riser carries.
#[test]
fn a_card_without_an_encoder() {
    let world = story("hybrid", World::new(1, 8, &[0, 1], 4), 16, &[]);
    let tally = world.tally;
    assert_eq!(
        (tally.late, tally.overflows, tally.on_processors),
        (0, 0, tally.asked / 8),
        "two of sixteen: {tally:?}"
    );
}

#[test]
fn fewer_sessions_than_wanted_and_fewer_than_cards() {
    let world = story("six cards", World::new(1, 8, &[1; 6], 0), 32, &[]);
    all_on_cards(&world);
    let open = |world: &World, cards: u32| -> Vec<u32> { (0..cards).map(|card| world.open_on(card)).collect() };
    assert!(open(&world, 6).iter().all(|open| *open >= 1), "{:?}", open(&world, 6));
    assert!(world.broker.stats().moved < 20);
    let world = story("three of five", World::new(1, 3, &[1; 5], 0), 32, &[]);
    all_on_cards(&world);
    assert_eq!((world.driver.most, world.broker.stats().cap), (3, 3));
    assert!(world.broker.stats().moved < 20);
}

/// Four sessions break, one on each card or not; the rest is enough, and the others are found again.
#[test]
fn the_cap_is_lowered_and_raised_again() {
    let blows = [(30_000, Blow::Cap(4)), (70_000, Blow::Cap(8))];
    let world = story("cap", World::new(1, 8, &[1; 4], 0), 32, &blows);
    all_on_cards(&world);
    let stats = world.broker.stats();
    assert!(stats.cap == 8 && stats.cap_is_limit && stats.refused < 20, "{stats:?}");
}

#[test]
fn another_program_takes_sessions() {
    let blows = [(0, Blow::Others(5)), (60_000, Blow::Others(0))];
    let world = story("others", World::new(1, 8, &[1; 4], 0), 32, &blows);
    all_on_cards(&world);
    let stats = world.broker.stats();
    assert!(stats.cap == 8 && stats.moved < 20 && stats.refused < 20, "{stats:?}");
}

/// Every lease makes its session anew then, and the other program comes in between.
#[test]
fn reconfigure_is_refused_and_another_program_waits_for_sessions() {
    let alone = story("refused", World::new(1, 8, &[1; 4], 0), 32, &[(30_000, Blow::Reconfigures(false))]);
    all_on_cards(&alone);
    assert!(alone.broker.stats().steps[2] > 5000);
    let blows = [(30_000, Blow::Reconfigures(false)), (40_000, Blow::Others(3)), (80_000, Blow::Others(0))];
    let world = story("refused and taken", World::new(1, 8, &[1; 4], 8), 32, &blows);
    let (tally, stats) = (world.tally, world.broker.stats());
    assert_eq!(tally.late, 0, "{tally:?}");
    assert!(stats.cap == 8, "{stats:?}");
}

/// Half of the time is the processors', which make what the cards cannot: three streams at once on a card, with sessions made
/// anew for each rung, have no room if the engine waits for every session, and room enough as it does not.
#[test]
fn sessions_are_made_anew_beside_the_work_of_others() {
    for seed in 1..=20 {
        let mut world = World::new(seed, 8, &[1; 4], 8);
        world.in_time = IN_TIME / 2.0;
        let blows = [(10_000, Blow::Reconfigures(false))];
        all_on_cards(&story("made anew", world, 16, &blows));
    }
}

#[test]
fn a_card_is_lost_and_returns() {
    let world = story("lost", World::new(1, 8, &[1; 4], 0), 32, &[(30_210, Blow::Lose(1, 20_000))]);
    all_on_cards(&world);
    assert_eq!((world.tally.evictions, world.tally.readmissions), (2, 1));
    assert!(world.broker.stats().lost > 0);
}

#[test]
fn workers_are_killed_while_they_hold_leases() {
    let blows: Vec<(u64, Blow)> = (0..10).map(|n| (30_000 + n * 7_777, Blow::Kill(n as u32 % 4, 900))).collect();
    let world = story("killed", World::new(1, 8, &[1; 4], 0), 32, &blows);
    all_on_cards(&world);
    assert!(world.broker.stats().lost >= 5, "{:?}", world.broker.stats());
}

/// What is on it is late, and what waits for it where no processor has the time left; its worker is ended and comes back.
#[test]
fn a_card_hangs() {
    let world = story("hung", World::new(1, 8, &[1; 4], 4), 32, &[(30_005, Blow::Hang(1))]);
    let (tally, stats) = (world.tally, world.broker.stats());
    assert!((1..10).contains(&tally.late) && stats.lost > 0 && stats.open == 8, "{tally:?} {stats:?}");
}

/// What the cards cannot do goes to the processors, and the cards do all they can.
#[test]
fn more_than_the_cards_can_do() {
    let world = story("overload", World::new(1, 4, &[1; 2], 64), 56, &[]);
    assert_eq!(world.tally.late, 0);
    assert!(world.tally.engine > 0.95 * 2.0 * 116.0, "engines idle: {:?}", world.tally);
}
