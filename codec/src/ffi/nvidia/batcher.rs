//! Pictures of several streams in one launch.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::device::{Device, Planes};
use super::failure::NvidiaError;
use super::scaler::{Order, Scaler};

/// Scales pictures of one size and depth into outputs of one set of sizes, for all threads that have such pictures: what comes
/// while the card is at work goes into the next launch, all of it together. Nobody waits for company: a picture that comes
/// while the card has none of these is launched at once.
///
/// There is no thread of its own. One of those that wait launches what is there and waits for the card; when that is
/// done, one of those that came meanwhile goes on. An error is of the one that launched, the others try again: what fails
/// once fails for one stream, and what always fails fails for each.
pub struct Batcher {
    device: Arc<Device>,
    source: ((u32, u32), u8),
    outputs: Vec<(u32, u32)>,
    /// Of whoever launches.
    scaler: Mutex<Scaler>,
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Default)]
struct Desk {
    tickets: u64,
    /// By ticket. Borrowed from a thread that stays in [`Batcher::scale`] until its ticket is neither here nor with whoever launches.
    waiting: BTreeMap<u64, Order<'static>>,
    answers: BTreeMap<u64, Answer>,
    /// Somebody launches, or waits for the card.
    at_work: bool,
}

enum Answer {
    Done(Share),
    Again,
}

/// What one picture had of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// By the card's own clock: the time of the launch, divided by its pictures.
    pub took: Duration,
    /// Pictures that were launched together, for the one of them that did it; otherwise 0.
    pub launched: usize,
}

impl Batcher {
    /// One for pictures of `source` (luma width and height, bits) into `outputs`. Prepares with the first picture.
    ///
    /// # Errors
    /// As [`Scaler::open`].
    pub fn open(device: &Arc<Device>, source: ((u32, u32), u8), outputs: &[(u32, u32)]) -> Result<Self, NvidiaError> {
        let scaler = Mutex::new(Scaler::open(device)?);
        let (desk, changed) = Default::default();
        Ok(Self { device: Arc::clone(device), source, outputs: outputs.to_vec(), scaler, desk, changed })
    }

    /// Whether it is for such pictures.
    pub fn is_for(&self, source: ((u32, u32), u8), outputs: &[(u32, u32)]) -> bool {
        self.source == source && self.outputs == outputs
    }

    /// As [`Scaler::scale`], with the pictures of other threads.
    ///
    /// # Errors
    /// As there, and [`NvidiaError::Unsupported`] if the picture or an output is not of the kind that this is for.
    pub fn scale(&self, source: &Planes<'_>, outputs: &[Planes<'_>]) -> Result<Share, NvidiaError> {
        let borrowed = || Order { source: *source, outputs: outputs.to_vec() };
        borrowed().check(&self.device)?;
        let sizes: Vec<_> = outputs.iter().map(Planes::size).collect();
        if !self.is_for((source.size(), source.bit_depth()), &sizes) {
            return Err(NvidiaError::Unsupported {
                what: "a picture of another kind than it is scaled with".to_owned(),
            });
        }
        let order = || {
            // SAFETY: only lifetimes change. Whoever launches has the order from when it takes it out of `waiting` until it
            // answers its ticket, and has waited for the card and dropped the order before that. This function leaves only with
            // its own answer, or as the one that launched.
            unsafe { mem::transmute::<Order<'_>, Order<'static>>(borrowed()) }
        };
        let mut desk = self.desk();
        let ticket = desk.tickets;
        desk.tickets += 1;
        desk.waiting.insert(ticket, order());
        loop {
            match desk.answers.remove(&ticket) {
                Some(Answer::Done(share)) => return Ok(share),
                Some(Answer::Again) => drop(desk.waiting.insert(ticket, order())),
                None => {}
            }
            if !desk.at_work {
                return self.launch(desk, ticket);
            }
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Launches all that waits, `own` among them.
    fn launch(&self, mut desk: MutexGuard<'_, Desk>, own: u64) -> Result<Share, NvidiaError> {
        desk.at_work = true;
        let orders = mem::take(&mut desk.waiting);
        drop(desk);
        let others = orders.keys().copied().filter(|ticket| *ticket != own).collect();
        let mut launch = Launch { batcher: self, others, share: None };
        // Gone before the answers.
        let orders: Vec<Order<'_>> = orders.into_values().collect();
        let took = self.scaler.lock().unwrap_or_else(PoisonError::into_inner).scale_all(&orders)?;
        let share = Share { took: took / orders.len() as u32, launched: 0 };
        launch.share = Some(share);
        Ok(Share { launched: orders.len(), ..share })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers when it is dropped: also after an error, also in a panic.
struct Launch<'a> {
    batcher: &'a Batcher,
    others: Vec<u64>,
    share: Option<Share>,
}

impl Drop for Launch<'_> {
    fn drop(&mut self) {
        let mut desk = self.batcher.desk();
        desk.at_work = false;
        for ticket in &self.others {
            desk.answers.insert(*ticket, self.share.map_or(Answer::Again, Answer::Done));
        }
        drop(desk);
        self.batcher.changed.notify_all();
    }
}
