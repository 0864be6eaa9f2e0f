//! One case a rule, on a machine of a few cards whose driver says yes unless told otherwise.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use super::*;
use crate::ladder::{Codec, Preset};
use crate::units::{CardId, Moment};

const HD: Spec =
    Spec { codec: Codec::H264, ten_bit: false, bframes: 0, preset: Preset::Live, width: 1280, height: 720 };
const TALL: Spec = Spec { width: 720, height: 1280, ..HD };

/// A broker, the time in milliseconds, and the answers a driver gives at once.
struct Bench {
    broker: Broker,
    now: u64,
    cap: usize,
    open: Vec<SessionId>,
    grants: Vec<(LeaseId, AskId, SessionId, Step)>,
    others: Vec<Effect>,
}

impl Bench {
    /// Cards numbered from 0 with so many engines, workers of the same numbers.
    fn new(cap: usize, engines: &[u32]) -> Self {
        let broker = Broker::new(Config::default());
        let mut bench = Self { broker, now: 0, cap, open: vec![], grants: vec![], others: vec![] };
        for (card, engines) in (0..).zip(engines) {
            bench.up(card, *engines, true, "570");
        }
        bench
    }

    fn up(&mut self, card: u32, engines: u32, counted: bool, driver: &str) {
        let worker = WorkerId(u64::from(card));
        self.tell(Event::CardUp(CardUp { card: CardId(card), worker, engines, counted, driver: driver.to_owned() }));
    }

    fn at(&self, millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    fn tell(&mut self, event: Event) {
        let mut effects = self.broker.on(self.at(self.now), event);
        while !effects.is_empty() {
            let effect = effects.remove(0);
            let answer = match effect {
                Effect::Open(_, id) if self.open.len() < self.cap => {
                    self.open.push(id);
                    Event::Opened(id)
                }
                Effect::Open(_, id) => Event::OpenFailed(id, Refusal::Sessions),
                Effect::Close(_, id) => {
                    self.open.retain(|open| *open != id);
                    Event::Closed(id)
                }
                Effect::Grant { lease, ask, session, step, .. } => {
                    self.grants.push((lease, ask, session, step));
                    continue;
                }
                other => {
                    self.others.push(other);
                    continue;
                }
            };
            effects.extend(self.broker.on(self.at(self.now), answer));
        }
    }

    fn wait(&mut self, millis: u64) {
        self.now += millis;
        self.tell(Event::Tick);
    }

    /// Asks on a card for a rung of so many milliseconds of work, to be done by then.
    fn ask(&mut self, id: u64, card: u64, spec: Spec, work: u64, deadline: u64) {
        let work = Duration::from_millis(work);
        let ask = Ask { worker: WorkerId(card), spec, deadline: self.at(deadline), work, cpu: None };
        self.tell(Event::Ask(AskId(id), ask));
    }

    fn release(&mut self, lease: LeaseId, end: End) {
        self.tell(Event::Released(lease, end));
    }

    fn done(&mut self, lease: LeaseId) {
        self.release(lease, End::Done { setup: Duration::from_millis(5) });
    }

    fn granted(&self) -> Vec<u64> {
        self.grants.iter().map(|(_, ask, ..)| ask.0).collect()
    }

    fn overflows(&self) -> Vec<(u64, &'static str)> {
        let overflow = |effect: &Effect| match effect {
            Effect::Overflow(id, why) => Some((id.0, why.name())),
            _ => None,
        };
        self.others.iter().filter_map(overflow).collect()
    }

    fn said(&self, wanted: &Effect) -> usize {
        self.others.iter().filter(|effect| *effect == wanted).count()
    }
}

#[test]
fn the_cap_is_what_the_driver_gives_and_no_card_goes_without() {
    let bench = Bench::new(3, &[1, 1]);
    let stats = bench.broker.stats();
    assert_eq!((stats.cap, stats.cap_is_limit, stats.open, stats.refused), (3, true, 3, 1));
    let bench = Bench::new(3, &[1, 1, 1]);
    assert_eq!((0..3).map(|card| bench.broker.open_on(CardId(card))).collect::<Vec<_>>(), [1, 1, 1]);
    let bench = Bench::new(99, &[1, 2, 0]);
    let stats = bench.broker.stats();
    assert_eq!((stats.cap, stats.cap_is_limit, bench.broker.open_on(CardId(2))), (6, false, 0), "two an engine");
}

#[test]
fn sessions_of_a_qualified_card_do_not_count() {
    let mut bench = Bench::new(99, &[1]);
    bench.up(1, 1, false, "570");
    bench.cap = bench.open.len();
    bench.ask(1, 1, HD, 10, 1000);
    assert_eq!((bench.granted(), bench.broker.stats().cap), (vec![1], 2));
    bench.ask(2, 1, HD, 10, 1000);
    let stats = bench.broker.stats();
    assert_eq!((stats.cap, stats.cap_is_limit, stats.refused), (2, false, 1), "that card has no room: {stats:?}");
}

#[test]
fn the_earliest_deadline_is_next_and_a_tie_goes_to_who_asked_first() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 10, 900);
    for (id, deadline) in [(2, 800), (3, 500), (4, 800)] {
        bench.ask(id, 0, HD, 10, deadline);
    }
    for turn in 0..4 {
        bench.now += 10;
        bench.done(bench.grants[turn].0);
    }
    assert_eq!(bench.granted(), [1, 3, 2, 4]);
    let steps: Vec<Step> = bench.grants.iter().map(|grant| grant.3).collect();
    assert_eq!(steps, [Step::Begin(HD.class()), Step::Reconfigure, Step::Reconfigure, Step::Reconfigure]);
}

#[test]
fn a_second_session_does_not_make_the_first_rung_late() {
    let mut bench = Bench::new(2, &[1]);
    bench.ask(1, 0, HD, 100, 200);
    bench.ask(2, 0, HD, 100, 900);
    assert_eq!(bench.granted(), [1], "shared, the first would take until 280");
    bench.now = 140;
    bench.done(bench.grants[0].0);
    bench.ask(3, 0, HD, 100, 900);
    assert_eq!(bench.granted(), [1, 2, 3], "both have time");
}

#[test]
fn what_cannot_be_in_time_is_sent_away_at_once_and_what_was_taken_is_kept() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 100, 200);
    bench.ask(2, 0, HD, 100, 300);
    bench.ask(3, 0, HD, 20, 290);
    assert_eq!((bench.granted(), bench.overflows()), (vec![1], vec![(3, "late")]));
    bench.ask(4, 7, HD, 1, 900);
    let mut none = Bench::new(1, &[0]);
    none.ask(1, 0, HD, 1, 900);
    assert_eq!((bench.overflows()[1], none.overflows()), ((4, "no_worker"), vec![(1, "no_engine")]));
    let mut none = Bench::new(0, &[1]);
    none.ask(1, 0, HD, 1, 900);
    assert_eq!(none.overflows(), [(1, "no_session")]);
}

#[test]
fn who_the_processor_can_make_in_time_makes_room() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 100, 200);
    let cpu = Some(Duration::from_millis(250));
    let work = Duration::from_millis(60);
    let ask = Ask { worker: WorkerId(0), spec: HD, deadline: bench.at(280), work, cpu };
    bench.tell(Event::Ask(AskId(2), ask));
    bench.ask(3, 0, HD, 70, 300);
    assert_eq!(bench.overflows(), [(2, "late")], "the processor takes it, nobody else would take the other");
}

#[test]
fn nobody_goes_for_one_that_is_lost_anyway() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 100, 200);
    let (cpu, work) = (Some(Duration::from_millis(100)), Duration::from_millis(20));
    let ask = Ask { worker: WorkerId(0), spec: HD, deadline: bench.at(250), work, cpu };
    bench.tell(Event::Ask(AskId(2), ask));
    bench.ask(3, 0, HD, 200, 300);
    assert_eq!(bench.overflows(), [(3, "late")], "150 ms behind the first are too few for it in any case");
}

#[test]
fn the_queue_is_bounded() {
    let mut bench = Bench::new(1, &[1]);
    bench.broker = Broker::new(Config { most_waiting: 2, ..Config::default() });
    bench.open.clear();
    bench.up(0, 1, true, "570");
    (1..=4).for_each(|id| bench.ask(id, 0, HD, 1, 9000));
    assert_eq!((bench.granted(), bench.overflows()), (vec![1], vec![(4, "queue_full")]));
}

#[test]
fn cancelled_while_waiting_at_work_and_too_late() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 10, 900);
    bench.ask(2, 0, HD, 10, 900);
    bench.tell(Event::Cancel(AskId(2)));
    assert_eq!(bench.said(&Effect::Gone(AskId(2))), 1);
    let lease = bench.grants[0].0;
    (0..2).for_each(|_| bench.tell(Event::Cancel(AskId(1))));
    assert_eq!(bench.said(&Effect::Stop(WorkerId(0), lease)), 1, "once");
    bench.release(lease, End::Broken);
    assert_eq!(bench.said(&Effect::Gone(AskId(1))), 1, "not tried again");
    bench.tell(Event::Cancel(AskId(1)));
    let stats = bench.broker.stats();
    assert_eq!((stats.leased, stats.waiting, stats.unexpected), (0, 0, 0));
}

#[test]
fn a_lease_past_its_deadline_is_stopped_and_its_worker_ended_if_it_does_not_obey() {
    let mut bench = Bench::new(2, &[1]);
    bench.ask(1, 0, HD, 10, 100);
    let (lease, grace) = (bench.grants[0].0, Config::default().grace.as_millis() as u64);
    assert_eq!(bench.broker.next_wake(), Some(bench.at(100)));
    bench.wait(100);
    assert_eq!((bench.said(&Effect::Stop(WorkerId(0), lease)), bench.broker.stats().late), (1, 1));
    assert_eq!(bench.broker.next_wake(), Some(bench.at(100 + grace)));
    (0..3).for_each(|_| bench.wait(grace));
    assert_eq!(bench.said(&Effect::Overdue(WorkerId(0))), 1, "once");
    bench.tell(Event::WorkerLost(WorkerId(0)));
    let stats = bench.broker.stats();
    assert_eq!((bench.said(&Effect::Gone(AskId(1))), stats.leased, stats.open, stats.lost), (1, 0, 0, 1));
}

#[test]
fn a_call_that_never_returns_ends_the_worker() {
    let mut broker = Broker::new(Config::default());
    let driver = "570".to_owned();
    let up = CardUp { card: CardId(0), worker: WorkerId(5), engines: 1, counted: true, driver };
    assert!(matches!(broker.on(Moment::default(), Event::CardUp(up))[..], [Effect::Open(WorkerId(5), _)]));
    let limit = Moment(Config::default().call_limit);
    assert_eq!(broker.next_wake(), Some(limit));
    assert_eq!(broker.on(limit, Event::Tick), [Effect::Overdue(WorkerId(5))]);
}

#[test]
fn classes_are_kept_apart_and_a_session_is_made_anew_where_none_fits() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 10, 900);
    bench.done(bench.grants[0].0);
    bench.ask(2, 0, TALL, 10, 900);
    bench.done(bench.grants[1].0);
    bench.ask(3, 0, Spec { width: 360, height: 640, ..TALL }, 10, 900);
    assert_eq!((bench.grants[1].3, bench.grants[2].3), (Step::Recreate(TALL.class()), Step::Reconfigure));
    let mut two = Bench::new(2, &[2]);
    two.ask(1, 0, HD, 10, 900);
    two.ask(2, 0, TALL, 10, 900);
    (0..2).for_each(|turn| two.done(two.grants[turn].0));
    two.ask(3, 0, TALL, 10, 900);
    two.ask(4, 0, HD, 10, 900);
    assert_eq!((two.grants[2].2, two.grants[3].2), (two.grants[1].2, two.grants[0].2), "to each what fits");
}

#[test]
fn a_driver_that_does_not_reconfigure_is_remembered_by_version_and_class() {
    let mut bench = Bench::new(1, &[1]);
    let turn = |bench: &mut Bench, id, spec| {
        bench.ask(id, 0, spec, 10, 9000);
        let (lease, .., step) = *bench.grants.last().unwrap();
        (lease, step)
    };
    let first = turn(&mut bench, 1, HD).0;
    bench.done(first);
    let (lease, step) = turn(&mut bench, 2, HD);
    assert_eq!(step, Step::Reconfigure);
    bench.release(lease, End::ReconfigureRefused);
    let (lease, ask, _, step) = *bench.grants.last().unwrap();
    assert_eq!((ask, step), (AskId(2), Step::Recreate(HD.class())), "the same rung, at once");
    bench.done(lease);
    let denied = Effect::ReconfigureDenied { driver: "570".to_owned(), class: HD.class() };
    assert_eq!(bench.said(&denied), 1);
    bench.tell(Event::WorkerLost(WorkerId(0)));
    bench.open.clear();
    bench.up(0, 1, true, "580");
    let first = turn(&mut bench, 3, HD).0;
    bench.done(first);
    assert_eq!(turn(&mut bench, 4, HD).1, Step::Reconfigure, "another driver");
    let denied = vec![("570".to_owned(), HD.class())];
    bench.broker = Broker::new(Config { denied, ..Config::default() });
    bench.open.clear();
    bench.up(0, 1, true, "570");
    let first = turn(&mut bench, 5, HD).0;
    bench.done(first);
    assert_eq!(turn(&mut bench, 6, HD).1, Step::Recreate(HD.class()), "known before");
}

#[test]
fn a_rung_is_tried_three_times() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 10, 9000);
    for turn in 0..3 {
        bench.open.clear();
        bench.release(bench.grants[turn].0, End::Broken);
    }
    assert_eq!((bench.grants.len(), bench.overflows()), (3, vec![(1, "failing")]));
}

#[test]
fn full_memory_closes_a_card_for_a_while_and_says_nothing_of_the_cap() {
    let mut bench = Bench::new(9, &[1]);
    bench.ask(1, 0, HD, 10, 9000);
    bench.release(bench.grants[0].0, End::Refused(Refusal::Memory));
    bench.open.pop();
    bench.done(bench.grants[1].0);
    let stats = bench.broker.stats();
    assert_eq!((stats.open, stats.cap, stats.cap_is_limit), (1, 2, false));
    let short = Config::default().short.as_millis() as u64;
    assert_eq!(bench.broker.next_wake(), Some(bench.at(short)));
    bench.now = short;
    (2..4).for_each(|id| bench.ask(id, 0, HD, 10, short + 9000));
    assert_eq!(bench.broker.stats().open, 2);
}

#[test]
fn unused_sessions_are_given_back_but_for_one_a_card() {
    let mut bench = Bench::new(9, &[2, 1]);
    assert_eq!(bench.broker.stats().open, 6);
    let wake = bench.broker.next_wake().unwrap();
    assert_eq!(wake, Moment(Config::default().idle_close));
    bench.wait(wake.0.as_millis() as u64);
    assert_eq!((bench.broker.stats().open, bench.open.len(), bench.broker.next_wake()), (2, 2, None));
    (1..=4).for_each(|id| bench.ask(id, 0, HD, 100, 900_000));
    assert_eq!((bench.broker.open_on(CardId(0)), bench.broker.stats().cap), (4, 6), "and taken again");
}

#[test]
fn a_card_that_comes_late_is_given_a_session_of_another() {
    let mut bench = Bench::new(2, &[1]);
    bench.ask(1, 0, HD, 100, 900);
    bench.ask(2, 0, HD, 100, 900);
    bench.up(1, 1, true, "570");
    let open = |bench: &Bench| [0, 1].map(|card| bench.broker.open_on(CardId(card)));
    assert_eq!((open(&bench), bench.broker.stats().refused), ([2, 0], 1), "the cap was tried, and both are at work");
    bench.now = 100;
    bench.done(bench.grants[0].0);
    assert_eq!((open(&bench), bench.broker.stats().moved), ([1, 1], 1));
    bench.wait(60_000);
    assert_eq!((open(&bench), bench.broker.stats().moved), ([1, 1], 1), "and keeps it");
}

#[test]
fn another_driver_is_another_cap() {
    let mut bench = Bench::new(2, &[2]);
    assert!(bench.broker.stats().cap_is_limit);
    (bench.cap, bench.open) = (5, vec![]);
    bench.up(0, 2, true, "580");
    bench.up(0, 2, true, "580");
    assert_eq!(bench.broker.stats().unexpected, 2, "the same worker cannot come up again");
    bench.tell(Event::WorkerLost(WorkerId(0)));
    bench.up(0, 2, true, "580");
    let stats = bench.broker.stats();
    assert_eq!((stats.cap, stats.cap_is_limit), (4, false));
}

#[test]
fn nonsense_is_counted_and_changes_nothing() {
    let mut bench = Bench::new(2, &[1]);
    bench.ask(1, 0, HD, 10, 900);
    let before = bench.broker.stats();
    let (lease, session) = (bench.grants[0].0, bench.grants[0].2);
    bench.ask(1, 0, HD, 10, 900);
    for event in [
        Event::WorkerLost(WorkerId(9)),
        Event::Opened(session),
        Event::OpenFailed(session, Refusal::Device),
        Event::Closed(session),
        Event::Released(LeaseId(lease.0 + 99), End::Stopped),
        Event::Opened(SessionId(12345)),
    ] {
        bench.tell(event);
    }
    assert_eq!(bench.broker.stats(), Stats { unexpected: 7, ..before });
}

#[test]
fn the_end_of_time_is_a_time() {
    let mut bench = Bench::new(1, &[1]);
    bench.ask(1, 0, HD, 10, 900);
    let _ = bench.broker.on(Moment(Duration::MAX), Event::Tick);
    let lease = bench.grants[0].0;
    bench.done(lease);
    assert!(matches!(bench.others[..], [.., Effect::Spent { engine: Duration::MAX, .. }]), "{:?}", bench.others);
    bench.ask(2, 0, HD, 10, u64::MAX);
    assert_eq!((bench.overflows(), bench.broker.next_wake()), (vec![(2, "late")], None));
}

#[test]
fn time_does_not_go_back() {
    let mut bench = Bench::new(1, &[1]);
    bench.now = 500;
    bench.ask(1, 0, HD, 10, 900);
    bench.now = 100;
    bench.ask(2, 0, HD, 10, 450);
    assert_eq!(bench.overflows(), [(2, "late")]);
}
