//! One card's process: started, listened to, ended, started again. One thread for each card does all of it, because workers die
//! with the thread that started them.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::super::Death;
use super::super::child::{Done, Worker, not_ready};
use super::super::ipc::{self, Answer, CardReady, IpcError};
use super::super::pool::{ROUND, backoff};
use super::choice::is_uuid;
use super::fleet::{Inner, State, Word};
use super::{CardHealth, Throttle};
use crate::error::Class;
use crate::placement::{Equipment, Generation, Outcome};
use crate::sessions::{Event, WorkerId};
use crate::units::CardId;

/// Characters of a card's name that are shown, and of a reason; abilities.
const MAX_NAME: usize = 64;
const MAX_REASON: usize = 256;
const MAX_ABILITIES: usize = 32;

/// Not slowed down for so long, and the heat is over: a card at its limit comes and goes.
const COOL: Duration = Duration::from_secs(60);

/// Luma samples of a 1080p picture.
const FULL_HD: f64 = 1920.0 * 1080.0;

/// Whether heat slows a card down: when it last did, until that is over.
#[derive(Debug, Default)]
pub(super) struct Heat(Option<Instant>);

/// What is said once of heat.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Began,
    Ended,
}

impl Heat {
    fn turn(&mut self, hot: bool, now: Instant) -> Option<Turn> {
        match self.0 {
            before if hot => {
                self.0 = Some(now);
                before.is_none().then_some(Turn::Began)
            }
            Some(last) if now.saturating_duration_since(last) >= COOL => {
                self.0 = None;
                Some(Turn::Ended)
            }
            _ => None,
        }
    }
}

/// How a worker came to its end.
enum End {
    /// The pool stops, or its card is out.
    Asked,
    Death(Death),
}

impl Inner {
    /// Keeps a worker for the card until the pool stops.
    pub(super) fn keep(self: Arc<Self>, card: CardId) {
        while let Some((uuid, probe)) = self.due(card) {
            match self.start(&uuid) {
                Ok((worker, ready)) => {
                    self.ready(card, &worker, &ready, probe);
                    self.attend(card, worker);
                }
                Err(reason) => {
                    tracing::error!(uuid, reason, "a card's worker did not start: the processors do its work");
                    let mut state = self.lock();
                    *state.deaths.entry(Death::Start).or_default() += 1;
                    let now = self.now();
                    let change = state.placement.as_mut().and_then(|placement| match probe {
                        true => placement.probed(card, false, now),
                        false => placement.outcome(card, Outcome::Failed(Class::Device), now),
                    });
                    change.into_iter().for_each(|change| state.changed(change));
                }
            }
        }
    }

    /// Waits until a worker is to be started: the card's UUID, and whether that is a probe. `None` when the pool stops.
    fn due(&self, card: CardId) -> Option<(String, bool)> {
        let mut state = self.lock();
        let delay = state.slots.get(card.0 as usize).map(|slot| backoff(slot.deaths_in_row, self.config.max_backoff));
        let not_before = Instant::now() + delay.unwrap_or_default();
        loop {
            if state.stopping {
                return None;
            }
            let now = self.now();
            let changes = state.placement.as_mut().map(|placement| placement.tick(now)).unwrap_or_default();
            changes.into_iter().for_each(|change| state.changed(change));
            let is_in = state.placement.as_ref().is_some_and(|placement| placement.is_in(card));
            let slot = state.slots.get_mut(card.0 as usize)?;
            let wait = not_before.saturating_duration_since(Instant::now()).min(ROUND);
            if slot.probe || (is_in && wait.is_zero()) {
                return Some((slot.stats.uuid.clone(), std::mem::take(&mut slot.probe)));
            }
            let wait = if wait.is_zero() { ROUND } else { wait };
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn start(&self, uuid: &str) -> Result<(Worker, CardReady), String> {
        let (config, cards) = (&self.config, &self.config.cards);
        let mut arguments: Vec<String> = vec!["--card".into(), uuid.into()];
        if let Some(folder) = &cards.libraries {
            let folder = folder.to_str().ok_or("the folder of the driver's libraries has a name that is no text")?;
            arguments.extend(["--libraries".to_owned(), folder.to_owned()]);
        }
        let limits = [("--memory", cards.memory_bytes), ("--output", config.limits.output_bytes)];
        arguments.extend(limits.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_string()]));
        match Worker::launch(config, &arguments, cards.start_timeout)? {
            (worker, Answer::Card { version: ipc::VERSION, sandbox, card }) if card.uuid == uuid && is_uuid(uuid) => {
                let (pid, name) = (worker.pid(), plain(&card.name, MAX_NAME));
                let abilities =
                    card.abilities.iter().take(MAX_ABILITIES).map(|it| plain(it, MAX_NAME)).collect::<Vec<_>>();
                let abilities = abilities.join(", ");
                let engine = plain(&card.engine, MAX_NAME);
                for refused in card.refused.iter().take(MAX_ABILITIES).map(|it| plain(it, MAX_REASON)) {
                    tracing::warn!(uuid, refused, "an engine does not work on this card");
                }
                for doubted in card.doubted.iter().take(MAX_ABILITIES).map(|it| plain(it, MAX_REASON)) {
                    tracing::warn!(uuid, doubted, "a card does not decode what it says it does");
                }
                tracing::info!(uuid, name, pid, engine, abilities, sandbox, "a graphics card transcodes");
                Ok((worker, card))
            }
            (_, answer) => Err(not_ready(&config.program, &answer)),
        }
    }

    fn ready(&self, card: CardId, worker: &Worker, ready: &CardReady, probe: bool) {
        let now = self.now();
        let mut state = self.lock();
        let up = state.up_of(worker);
        let epoch = up.epoch;
        let CardReady { compute, memory_bytes, decoders, encoders, link_bytes, decode_samples, .. } = *ready;
        if let Some(placement) = &mut state.placement {
            let (generation, decoders) = (Generation::of(compute), decoders.max(1));
            let have = Equipment { generation, decoders, encoders, memory_bytes, link_bytes, decode_samples };
            placement.card(card, have, now);
        }
        if let Some(slot) = state.slots.get_mut(card.0 as usize) {
            slot.up = Some(up);
            slot.stats.engine = plain(&ready.engine, MAX_NAME);
            slot.tally = [0; 5];
        }
        if probe && let Some(change) = state.placement.as_mut().and_then(|placement| placement.probed(card, true, now))
        {
            state.changed(change);
        }
        drop(state);
        self.card_up(card, epoch, encoders, ready.driver.clone());
        self.changed.notify_all();
    }

    /// Listens to a worker until its end, and says that to everybody who waits for it.
    fn attend(&self, card: CardId, mut worker: Worker) {
        let end = self.listen(card, &worker);
        let (death, last_words) = match end {
            End::Asked => (None, String::new()),
            End::Death(suspected) => {
                let death = worker.end(suspected);
                (Some(death), worker.last_words())
            }
        };
        let pid = worker.pid();
        drop(worker);
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(card.0 as usize) else { return };
        let uuid = slot.stats.uuid.clone();
        let Some(up) = slot.up.take() else { return };
        slot.looked = None;
        // One that was ended for a reason died of that, whatever it looked like.
        let death = death.map(|death| up.condemned.unwrap_or(death));
        if let Some(death) = death {
            slot.deaths_in_row = slot.deaths_in_row.saturating_add(1);
            tracing::warn!(
                uuid,
                pid,
                death = death.name(),
                last_words,
                in_hand = up.pending.len(),
                "a card's worker was lost"
            );
            *state.deaths.entry(death).or_default() += 1;
            let now = self.now();
            let change = state.placement.as_mut().and_then(|placement| placement.outcome(card, Outcome::Died, now));
            change.into_iter().for_each(|change| state.changed(change));
        }
        drop(state);
        // It is reaped: the driver has taken its sessions back.
        self.tell(Event::WorkerLost(WorkerId(up.epoch)));
        for (_, waiting) in up.pending {
            // Whoever is not told, because too much waits for it, hears that nobody speaks any more.
            let _ = waiting.to.try_send(Word::Gone(death));
        }
        self.changed.notify_all();
    }

    fn listen(&self, card: CardId, worker: &Worker) -> End {
        let socket = worker.socket();
        let mut looked = Instant::now();
        loop {
            let heard = ipc::receive::<Answer>(&socket, Some(Instant::now() + ROUND));
            if looked.elapsed() >= ROUND || heard.is_err() {
                looked = Instant::now();
                if let Some(end) = self.look(card) {
                    return end;
                }
            }
            let (answer, file) = match heard {
                Ok(heard) => heard,
                Err(IpcError::Timeout) => continue,
                Err(IpcError::Protocol(_)) => return End::Death(Death::Protocol),
                Err(_) => return End::Death(Death::Crashed),
            };
            let (id, word) = match (answer, file) {
                (Answer::Part { id, head }, file) => (id, Word::Part(head, file)),
                (Answer::Done { id, renditions, source, timings, paces }, None) => {
                    (id, Word::Done(Done { renditions, source, timings, paces }))
                }
                (Answer::Failed { id, error }, None) => (id, Word::Failed(error)),
                (Answer::Session { said }, None) => match self.heard(card, said) {
                    Some(()) => continue,
                    None => return End::Death(Death::Protocol),
                },
                (
                    Answer::Tally {
                        rungs_on_card,
                        rungs_on_host,
                        segments_left,
                        scaled_samples,
                        scaling_ns,
                        memory_used_bytes,
                    },
                    None,
                ) => {
                    let sums = [rungs_on_card, rungs_on_host, segments_left, scaled_samples, scaling_ns];
                    self.tally(card, sums, memory_used_bytes);
                    continue;
                }
                (Answer::Health { health }, None) if health.is_plausible() => {
                    self.health(card, health);
                    continue;
                }
                _ => return End::Death(Death::Protocol),
            };
            let mut state = self.lock();
            let up = state.slots.get_mut(card.0 as usize).and_then(|slot| slot.up.as_mut());
            let last = !matches!(word, Word::Part(..));
            let to = up.and_then(|up| match last {
                true => up.pending.remove(&id).map(|waiting| waiting.to),
                false => up.pending.get(&id).map(|waiting| waiting.to.clone()),
            });
            drop(state);
            let Some(to) = to else { return End::Death(Death::Protocol) };
            // Whoever gave it up hears nothing more.
            let _ = to.send(word);
            if last {
                self.changed.notify_all();
            }
        }
    }

    /// Whether the worker is to be ended.
    fn look(&self, card: CardId) -> Option<End> {
        let (now, mut state) = (self.now(), self.lock());
        let changes = state.placement.as_mut().map(|placement| placement.tick(now)).unwrap_or_default();
        changes.into_iter().for_each(|change| state.changed(change));
        let stopping = state.stopping;
        let up = state.slots.get_mut(card.0 as usize)?.up.as_mut()?;
        if up.retired || (stopping && up.pending.is_empty()) {
            return Some(End::Asked);
        }
        let now = Instant::now();
        let stuck = up.pending.values().any(|waiting| waiting.stuck_at < now).then_some(Death::Stuck);
        up.condemned = up.condemned.or_else(|| up.vitals.broken()).or(stuck);
        up.condemned.map(End::Death)
    }

    /// How a card is. That heat slows it down is said when it begins and when it is over.
    fn health(&self, card: CardId, health: CardHealth) {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(card.0 as usize) else { return };
        let (uuid, celsius) = (&slot.stats.uuid, health.celsius);
        let hot = health.throttled.as_ref().is_some_and(|why| why.contains(&Throttle::Thermal));
        match slot.heat.turn(hot, now) {
            Some(Turn::Began) => tracing::warn!(uuid, celsius, "heat slows a graphics card down"),
            Some(Turn::Ended) => tracing::info!(uuid, celsius, "heat no longer slows a graphics card down"),
            None => {}
        }
        (slot.stats.health, slot.looked) = (health, Some(now));
    }

    /// Who made what, in all workers of this card so far, and what that took.
    fn tally(&self, card: CardId, now: [u64; 5], memory_used_bytes: u64) {
        let mut state = self.lock();
        let State { slots, placement, .. } = &mut *state;
        let Some(slot) = slots.get_mut(card.0 as usize) else { return };
        let mut more = [0; 5];
        for ((more, before), now) in more.iter_mut().zip(&mut slot.tally).zip(now) {
            // Threads of the worker may say them out of order.
            *more = now.saturating_sub(*before);
            *before = (*before).max(now);
        }
        let [on_card, on_host, left, samples, scaling_ns] = more;
        let stats = &mut slot.stats;
        let sums = [&mut stats.rungs_on_card, &mut stats.rungs_on_host, &mut stats.segments_on_host];
        for (sum, more) in sums.into_iter().zip([on_card, on_host, left]) {
            *sum = sum.saturating_add(more);
        }
        stats.memory_used_bytes = memory_used_bytes;
        if let Some(placement) = placement {
            placement.scaled(card, samples as f64, Duration::from_nanos(scaling_ns));
            placement.memory_used(card, memory_used_bytes);
            stats.scaling = placement.scale_time(card, FULL_HD).unwrap_or_default();
        }
    }
}

/// A text of a worker's as one line of a log.
fn plain(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_said_once_and_is_over_after_a_minute_without() {
        let (began, mut heat) = (Instant::now(), Heat::default());
        let mut at = |second, hot| heat.turn(hot, began + Duration::from_secs(second));
        assert_eq!([at(0, false), at(5, true), at(10, true)], [None, Some(Turn::Began), None]);
        assert_eq!([at(15, false), at(69, false), at(69, true)], [None, None, None]);
        assert_eq!([at(128, false), at(129, false), at(134, false)], [None, Some(Turn::Ended), None]);
        assert_eq!(at(139, true), Some(Turn::Began));
    }
}
