//! Random schedules against what must always hold (`World::check`, `World::drained`), and a simple bound for what could have
//! been made in time.

use std::time::Duration;

use proptest::prelude::*;

use super::model::{RECONFIGURE, RECREATE, encode_time};
use super::world::{Blow, Lone, World};

/// What the processors take for a rung that they can make.
const CPU: Duration = Duration::from_millis(60);

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        (0_u32..12).prop_map(Blow::Cap),
        (0_u32..8).prop_map(Blow::Others),
        any::<bool>().prop_map(Blow::Reconfigures),
        (0_u32..4, 0_u64..3000).prop_map(|(card, back)| Blow::Kill(card, back)),
        (0_u32..4, 0_u64..9000).prop_map(|(card, back)| Blow::Lose(card, back)),
        (0_u32..4).prop_map(Blow::Hang),
        (0_usize..24).prop_map(Blow::Cancel),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never more sessions open than believed possible, every lease back, no rung waiting past its time, none lost, no engine
    /// idle beside a free session and a rung that waits: whatever the driver, other programs and dying workers do.
    #[test]
    fn whatever_happens(
        seed in any::<u64>(),
        cap in 0_u32..12,
        engines in prop::collection::vec(0_u32..4, 1..5),
        processors in 0_usize..8,
        streams in 1_usize..40,
        blows in prop::collection::vec((0_u64..22_000, blow()), 0..20),
    ) {
        let mut world = World::new(seed, cap, &engines, processors);
        world.streams(streams, Duration::from_millis(500), Duration::from_secs(20));
        for (at, blow) in blows {
            world.blow(Duration::from_millis(at), blow);
        }
        world.drained();
        prop_assert!(world.tally.asked > 0);
    }

    /// One card whose sessions are made, and rungs of which the processors could make some. Whatever gets a session is in time,
    /// whatever only the card can make and is taken gets one, and a rung is sent
    /// away only where the work asked for between two moments around it, with that of one rung for each session and engine
    /// that may be in the way, is more than the engines do in between: what any order of work would need to have room for.
    #[test]
    fn what_is_taken_is_made_and_what_has_room_is_taken(
        engines in 1_u32..3,
        reconfigures in any::<bool>(),
        asks in prop::collection::vec((0_u64..1500, 2_u64..25, 85_u64..108, 60_u64..1500, any::<bool>()), 1..400),
    ) {
        let mut world = World::new(1, 16, &[engines], 0);
        world.driver.reconfigures = reconfigures;
        let setup = Duration::from_secs_f64(if reconfigures { RECONFIGURE } else { RECREATE });
        let mut ask = |at, work, hardness, window, spare: bool| {
            let samples = work as f64 / 1000.0 / encode_time(1.0);
            let window = Duration::from_millis(window) + if reconfigures { Duration::ZERO } else { 4 * setup };
            let lone = Lone { samples, hardness: hardness as f64 / 100.0, window, cpu: spare.then_some(CPU) };
            world.ask(Duration::from_millis(at), lone);
        };
        // Each session is used some times, so that all are made and what a driver refuses is known, and what that takes.
        (0..12).for_each(|turn| (0..2 * engines).for_each(|_| ask(500 + 200 * turn, 5, 100, 900, false)));
        let random = asks.len();
        asks.into_iter().for_each(|(at, work, hardness, window, spare)| ask(3000 + at, work, hardness, window, spare));
        world.drained();
        prop_assert_eq!(world.tally.late, world.tally.overflows, "late though taken");
        let asked = |at: &Duration| world.lone.iter().any(|(asked, ..)| asked == at);
        let broken = world.refusals.iter().filter(|(at, _, saved)| !asked(at) && !saved).count();
        // One engine keeps every promise. Two do not quite: a rung that is done early lets others begin in an order that
        // suits the last of them less.
        let borne = if engines == 1 { 0 } else { random / 50 + 1 };
        prop_assert!(broken <= borne, "{broken} sent away after they were taken");
        let (engines, sessions) = (f64::from(engines), f64::from(2 * engines));
        let need = |work: Duration| work.as_secs_f64() * 1.1 + setup.as_secs_f64();
        let longest = world.lone.iter().map(|(.., work)| need(*work)).fold(0.0, f64::max);
        for (at, deadline, _) in &world.refusals {
            let known: Vec<_> = world.lone.iter().filter(|(asked, ..)| asked <= at).collect();
            let crowded = |from: Duration, until: Duration| {
                let inside = known.iter().filter(|(asked, deadline, _)| *asked >= from && *deadline <= until);
                let work: f64 = inside.map(|(.., work)| need(*work)).sum();
                work + (sessions + engines) * longest > engines * (until - from).as_secs_f64()
            };
            let mut from = known.iter().map(|(asked, ..)| *asked);
            let until = || known.iter().map(|(_, until, _)| *until).filter(|until| until >= deadline);
            prop_assert!(from.any(|from| until().any(|until| crowded(from, until))), "sent away at {at:?} with room");
        }
    }
}
