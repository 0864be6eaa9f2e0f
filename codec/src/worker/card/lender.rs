//! The encoder sessions of all cards, kept here and lent to their workers: the desk, and what passes between it and them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::Death;
use super::super::ipc::{self, IpcError};
use super::MOST_SEGMENTS;
use super::fleet::{Inner, State};
use super::lending::{Order, ToCard, Word};
use crate::admission::encode_time;
use crate::sessions::{Ask, AskId, CardUp, Config, Desk, Effect, End, Event, LeaseId, SessionId, WorkerId};
use crate::units::CardId;

/// Rungs of one worker that may wait at once.
const MOST_ASKS: usize = MOST_SEGMENTS * 10;
/// No rung has longer sides, and none waits longer.
const LONGEST_SIDE: u32 = 4096;
const LONGEST: Duration = Duration::from_secs(600);

/// What a worker was given and owes. It is not trusted: whatever it says of sessions must be of its own.
#[derive(Default)]
pub(super) struct Owed {
    opening: BTreeSet<u64>,
    closing: BTreeSet<u64>,
    /// With their asks.
    leases: BTreeMap<u64, u32>,
    /// With their samples.
    asks: BTreeMap<u32, f64>,
    /// Samples of leases that ended with the rung made, until the desk says what they took; in that order.
    made: VecDeque<f64>,
}

/// An ask as the desk knows it: who asks, and its own number of it.
fn ask_id(epoch: u64, ask: u32) -> AskId {
    AskId(epoch << 32 | u64::from(ask))
}

fn parts(ask: AskId) -> (u64, u32) {
    (ask.0 >> 32, ask.0 as u32)
}

impl Inner {
    /// Opens the desk.
    pub(super) fn lend(self: &Arc<Self>) -> std::io::Result<Desk> {
        let inner = Arc::downgrade(self);
        Desk::start(Config::default(), move |effect| {
            if let Some(inner) = inner.upgrade() {
                inner.carry(effect);
            }
        })
    }

    /// Tells the desk. Not to be called with the state locked, which the desk may wait for.
    pub(super) fn tell(&self, event: Event) {
        if let Some(desk) = self.desk() {
            desk.tell(event);
        }
    }

    /// A worker is ready.
    pub(super) fn card_up(&self, card: CardId, epoch: u64, engines: u32, driver: String) {
        // Whether a card's sessions are counted the driver does not say; where they are not, it never refuses.
        self.tell(Event::CardUp(CardUp { card, worker: WorkerId(epoch), engines, counted: true, driver }));
    }

    /// Carries out what the desk decided. Called on its thread.
    fn carry(&self, effect: Effect) {
        let mut state = self.lock();
        let (worker, order) = match effect {
            Effect::Open(worker, SessionId(session)) => (worker, Order::Open { session }),
            Effect::Close(worker, SessionId(session)) => (worker, Order::Close { session }),
            Effect::Grant { lease: LeaseId(lease), ask, worker, session: SessionId(session), step } => {
                (worker, Order::Grant { ask: parts(ask).1, lease, session, step })
            }
            Effect::Stop(worker, LeaseId(lease)) => (worker, Order::Stop { lease }),
            Effect::Overflow(ask, why) => {
                let (epoch, ask) = parts(ask);
                if let Some(slot) = state.slot_of(epoch) {
                    *slot.stats.overflowed.entry(why.name()).or_default() += 1;
                }
                (WorkerId(epoch), Order::Overflow { ask, why: why.to_string() })
            }
            Effect::Gone(ask) => (WorkerId(parts(ask).0), Order::Gone { ask: parts(ask).1 }),
            Effect::Overdue(WorkerId(epoch)) => {
                if let Some(up) = state.slot_of(epoch).and_then(|slot| slot.up.as_mut()) {
                    up.condemned = up.condemned.or(Some(Death::Stuck));
                }
                return;
            }
            Effect::Spent { card, spec, engine, .. } => {
                let up = state.slots.get_mut(card.0 as usize).and_then(|slot| slot.up.as_mut());
                if let Some(samples) = up.and_then(|up| up.owed.made.pop_front())
                    && let Some(placement) = &mut state.placement
                {
                    placement.encoded(card, spec.codec, spec.preset, samples, engine);
                }
                return;
            }
            Effect::Sessions(card, open) => {
                let now = self.now();
                if let Some(placement) = &mut state.placement {
                    placement.sessions(card, open, now);
                }
                if let Some(slot) = state.slots.get_mut(card.0 as usize) {
                    slot.stats.sessions = open;
                }
                return;
            }
            Effect::Cap { .. } | Effect::ReconfigureDenied { .. } | Effect::Unexpected(_) => return,
        };
        self.order(state, worker, order);
    }

    fn order(&self, mut state: std::sync::MutexGuard<'_, State>, WorkerId(epoch): WorkerId, order: Order) {
        let Some(up) = state.slot_of(epoch).and_then(|slot| slot.up.as_mut()) else { return };
        let owed = &mut up.owed;
        match &order {
            Order::Open { session } => drop(owed.opening.insert(*session)),
            Order::Close { session } => drop(owed.closing.insert(*session)),
            Order::Grant { ask, lease, .. } => drop(owed.leases.insert(*lease, *ask)),
            Order::Overflow { ask, .. } | Order::Gone { ask } => drop(owed.asks.remove(ask)),
            Order::Stop { .. } => {}
        }
        let socket = Arc::clone(&up.socket);
        // With the state locked, so that nothing overtakes it; it does not wait.
        if let Err(IpcError::Io(_)) = ipc::send_now(&socket, &ToCard::Session(order)) {
            // It does not listen. One that is gone is noticed by its keeper.
            up.condemned = up.condemned.or(Some(Death::Stuck));
        }
    }

    /// What a card's worker says of sessions. `None` where it lies.
    pub(super) fn heard(&self, card: CardId, word: Word) -> Option<()> {
        let desk = self.desk()?;
        let mut guard = self.lock();
        let state = &mut *guard;
        let up = state.slots.get_mut(card.0 as usize)?.up.as_mut()?;
        let (epoch, owed) = (up.epoch, &mut up.owed);
        let event = match word {
            Word::Opened { session } if owed.opening.remove(&session) => Event::Opened(SessionId(session)),
            Word::Refused { session, why } if owed.opening.remove(&session) => {
                Event::OpenFailed(SessionId(session), why)
            }
            Word::Closed { session } if owed.closing.remove(&session) => Event::Closed(SessionId(session)),
            Word::Released { lease, end } => {
                let ask = owed.leases.remove(&lease)?;
                if matches!(end, End::Done { .. }) {
                    let samples = owed.asks.remove(&ask).unwrap_or(0.0);
                    owed.made.push_back(samples);
                }
                Event::Released(LeaseId(lease), end)
            }
            Word::Cancel { ask } => Event::Cancel(ask_id(epoch, ask)),
            Word::Ask { ask, spec, samples, within_ms } => {
                let sides = 1..=LONGEST_SIDE;
                let plain = sides.contains(&spec.width) && sides.contains(&spec.height) && samples.is_finite();
                if !plain || owed.asks.len() >= MOST_ASKS || owed.asks.insert(ask, samples.max(0.0)).is_some() {
                    return None;
                }
                let placement = state.placement.as_ref()?;
                let work = placement.encode_time(card, spec.codec, spec.preset, samples.max(0.0)).unwrap_or(LONGEST);
                let cpu = encode_time(samples);
                let deadline = desk.now().after(Duration::from_millis(within_ms).min(LONGEST));
                Event::Ask(ask_id(epoch, ask), Ask { worker: WorkerId(epoch), spec, deadline, work, cpu })
            }
            _ => return None,
        };
        drop(guard);
        desk.tell(event);
        Some(())
    }
}
