//! The broker on a thread of its own: the clock, the queue of events and the log around the pure machine.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Broker, Config, Effect, Event, Stats};
use crate::units::Moment;

/// Events on their way. Whoever tells one more waits: the desk does each in well under a millisecond.
const EVENTS: usize = 1024;
/// How long the desk sleeps when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// Keeps the encoder sessions of this machine. Dropped, it lets go of them without a word: the workers end with it.
#[derive(Debug)]
pub struct Desk {
    events: Option<SyncSender<Event>>,
    stats: Arc<Mutex<Stats>>,
    began: Instant,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Starts the thread. `carry` is called on it for each effect, in order, and must neither wait nor call
    /// [`Desk::tell`]; it hands the effect to whoever speaks with the worker.
    pub fn start(config: Config, carry: impl FnMut(Effect) + Send + 'static) -> std::io::Result<Self> {
        let (events, coming) = sync_channel(EVENTS);
        let (stats, began) = (Arc::new(Mutex::default()), Instant::now());
        let seen = Arc::clone(&stats);
        let run = move || run(Broker::new(config), &coming, began, &seen, carry);
        let thread = thread::Builder::new().name("codec-sessions".to_owned()).spawn(run)?;
        Ok(Self { events: Some(events), stats, began, thread: Some(thread) })
    }

    /// The time now, for deadlines.
    pub fn now(&self) -> Moment {
        Moment(self.began.elapsed())
    }

    /// Something happened. Waits while the queue is full.
    pub fn tell(&self, event: Event) {
        // The desk ends only when this is dropped; had it panicked, nobody could do anything about it here.
        let _ = self.events.as_ref().map(|events| events.send(event));
    }

    /// The sessions after the last event.
    pub fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.events = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    mut broker: Broker,
    events: &Receiver<Event>,
    began: Instant,
    stats: &Mutex<Stats>,
    mut carry: impl FnMut(Effect),
) {
    loop {
        let now = Moment(began.elapsed());
        let wait = broker.next_wake().map_or(LONG, |wake| wake.since(now));
        let event = match events.recv_timeout(wait) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let effects = broker.on(Moment(began.elapsed()), event);
        *stats.lock().unwrap_or_else(PoisonError::into_inner) = broker.stats();
        for effect in effects {
            log(&effect);
            carry(effect);
        }
    }
}

fn log(effect: &Effect) {
    match effect {
        Effect::Overflow(ask, why) => {
            tracing::warn!(ask = ask.0, reason = why.name(), detail = %why, "a rung gets no encoder session");
        }
        Effect::Cap { believed, limit } => {
            tracing::info!(sessions = believed, limit, "the driver's cap on encoder sessions as known now");
        }
        Effect::ReconfigureDenied { driver, class } => {
            tracing::warn!(driver, ?class, "the driver does not reconfigure encoder sessions: they are made anew");
        }
        Effect::Overdue(worker) => tracing::error!(worker = worker.0, "a codec worker does not give back its encoder"),
        Effect::Unexpected(what) => tracing::warn!(what, "the encoder sessions were told nonsense"),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::{Ask, AskId, CardUp, End, Refusal, Spec, WorkerId};
    use super::*;
    use crate::ladder::{Codec, Preset};
    use crate::units::CardId;

    /// Eight rungs over the three sessions that a driver gives, with real time between.
    #[test]
    fn leases_pass_from_rung_to_rung_and_what_has_no_time_is_told_so() {
        let (carried, effects) = channel();
        let desk = Desk::start(Config::default(), move |effect| drop(carried.send(effect))).unwrap();
        let (worker, driver) = (WorkerId(1), "570".to_owned());
        desk.tell(Event::CardUp(CardUp { card: CardId(0), worker, engines: 4, counted: true, driver }));
        let spec =
            Spec { codec: Codec::H264, ten_bit: false, bframes: 0, preset: Preset::Live, width: 640, height: 360 };
        let order = |deadline: Duration| {
            let deadline = desk.now().after(deadline);
            Ask { worker, spec, deadline, work: Duration::from_millis(1), cpu: None }
        };
        // The last three are not given back: a ninth waits until the clock says that it is too late.
        let (mut open, mut made, mut sent_away, mut held) = (0, 0, 0, vec![]);
        let mut told = false;
        while made < 8 || sent_away == 0 {
            match effects.recv_timeout(Duration::from_secs(10)).unwrap() {
                Effect::Open(_, session) if open < 3 => {
                    open += 1;
                    desk.tell(Event::Opened(session));
                }
                Effect::Open(_, session) => {
                    desk.tell(Event::OpenFailed(session, Refusal::Sessions));
                    if !std::mem::replace(&mut told, true) {
                        (1..=8).for_each(|id| desk.tell(Event::Ask(AskId(id), order(Duration::from_secs(9)))));
                    }
                }
                Effect::Grant { lease, ask, .. } if ask.0 <= 8 => {
                    made += 1;
                    if made <= 5 {
                        desk.tell(Event::Released(lease, End::Done { setup: Duration::ZERO }));
                        continue;
                    }
                    held.push(lease);
                    if held.len() == 3 {
                        desk.tell(Event::Ask(AskId(9), order(Duration::from_millis(200))));
                    }
                }
                Effect::Overflow(AskId(9), _) => sent_away += 1,
                Effect::Unexpected(what) => panic!("{what}"),
                _ => {}
            }
        }
        assert_eq!((desk.stats().leased, desk.stats().cap, desk.stats().unexpected), (3, 3, 0));
    }
}
