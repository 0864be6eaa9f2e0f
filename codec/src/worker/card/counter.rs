//! The worker's side of the encoder sessions: holds those that the parent had opened, asks it for each rung, and does with a
//! session what the parent says.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::super::ipc::{self, Answer, IpcError};
use super::lending::{Order, Word as Said};
use crate::engine::nvidia::{Encoding, Engine, Failed, Lender, Make, Wish};
use crate::error::Class;
use crate::ffi::nvidia::libav::{self, Libav};
use crate::nvidia::{Device, EncoderSession, IdleSession, NvidiaError};
use crate::sessions::{End, Refusal, Step};

/// Less memory free on a card than this, and a session was refused for it.
const NO_MEMORY: u64 = 64 << 20;
/// What one rung may be told before it listens.
const WORDS: usize = 4;

/// A session of the driver, in the hands of nobody.
enum Held {
    Idle(IdleSession),
    Made(Box<EncoderSession>),
    /// FFmpeg's are opened for each lease and closed at its end: this is the right to one, and whether the driver gives it
    /// shows then.
    Right,
}

enum Word {
    Granted { lease: u64, session: u64, step: Step },
    Overflow(String),
    Gone,
}

#[derive(Default)]
struct Books {
    held: BTreeMap<u64, Held>,
    asks: BTreeMap<u32, SyncSender<Word>>,
    stops: BTreeMap<u64, Arc<AtomicBool>>,
    last: u32,
}

/// Sessions that the parent lends.
pub(super) struct Counter {
    device: Arc<Device>,
    /// Where FFmpeg opens the sessions.
    ffmpeg: Option<Arc<Libav>>,
    socket: BorrowedFd<'static>,
    books: Mutex<Books>,
}

impl Counter {
    pub(super) fn new(
        device: Arc<Device>,
        engine: Engine,
        socket: BorrowedFd<'static>,
    ) -> Result<Arc<Self>, NvidiaError> {
        let ffmpeg = match engine {
            Engine::Direct => None,
            Engine::Ffmpeg => Some(Arc::new(Libav::over(&device)?)),
        };
        Ok(Arc::new(Self { device, ffmpeg, socket, books: Mutex::default() }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A parent that cannot be told is gone, and this process ends with it.
    fn say(&self, said: Said) {
        let _ = ipc::send(self.socket, &Answer::Session { said }, None);
    }

    /// Does what the parent wants of sessions.
    pub(super) fn hear(self: &Arc<Self>, order: Order) -> Result<(), IpcError> {
        match order {
            // Calls of the driver that may take long are made beside.
            Order::Open { session } => self.beside(move |it| it.open(session)),
            Order::Close { session } => self.beside(move |it| {
                let held = it.books().held.remove(&session);
                drop(held);
                it.say(Said::Closed { session });
            }),
            Order::Grant { ask, lease, session, step } => {
                // What is stopped before it begins is stopped as well.
                self.books().stops.insert(lease, Arc::default());
                if !self.tell(ask, Word::Granted { lease, session, step }, false) {
                    // Whoever asked has given up meanwhile.
                    self.unused(lease);
                }
                Ok(())
            }
            Order::Overflow { ask, why } => {
                self.tell(ask, Word::Overflow(why), true);
                Ok(())
            }
            Order::Gone { ask } => {
                self.tell(ask, Word::Gone, true);
                Ok(())
            }
            Order::Stop { lease } => {
                if let Some(stop) = self.books().stops.get(&lease) {
                    stop.store(true, Ordering::Relaxed);
                }
                Ok(())
            }
        }
    }

    /// A lease with which nothing was begun.
    fn unused(&self, lease: u64) {
        self.books().stops.remove(&lease);
        self.say(Said::Released { lease, end: End::Stopped });
    }

    fn beside(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) -> Result<(), IpcError> {
        let it = Arc::clone(self);
        let spawned = thread::Builder::new().name("session".to_owned()).spawn(move || work(&it));
        spawned.map(drop).map_err(IpcError::Io)
    }

    /// Whether somebody listens.
    fn tell(&self, ask: u32, word: Word, last: bool) -> bool {
        // Under the lock: whoever leaves takes what came until then.
        let mut books = self.books();
        let told = books.asks.get(&ask).is_some_and(|to| to.try_send(word).is_ok());
        if last {
            books.asks.remove(&ask);
        }
        told
    }

    fn open(&self, session: u64) {
        let opened = match self.ffmpeg {
            Some(_) => Ok(Held::Right),
            None => IdleSession::open(&self.device).map(Held::Idle),
        };
        match opened {
            Ok(held) => {
                self.books().held.insert(session, held);
                self.say(Said::Opened { session });
            }
            Err(error) => self.say(Said::Refused { session, why: self.refusal(&error) }),
        }
    }

    fn refusal(&self, error: &NvidiaError) -> Refusal {
        let memory = || self.device.memory().is_ok_and(|(free, _)| free < NO_MEMORY);
        match error.class() {
            Class::Capacity if memory() => Refusal::Memory,
            _ if error.no_more_sessions() => Refusal::Sessions,
            // FFmpeg says that it could not, not why.
            Class::Capacity if self.ffmpeg.is_some() => Refusal::Sessions,
            Class::Capacity => Refusal::Memory,
            _ => Refusal::Device,
        }
    }

    /// Makes the session what the rung wants. The error is what to tell the parent, and why.
    fn set_up(
        &self,
        held: Option<Held>,
        step: Step,
        wish: &Wish,
    ) -> Result<Encoding, (End, Option<Held>, NvidiaError)> {
        let broken = |error: NvidiaError| (End::Broken, None, error);
        let anew = || {
            let idle =
                IdleSession::open(&self.device).map_err(|error| (End::Refused(self.refusal(&error)), None, error))?;
            EncoderSession::begin(idle, &wish.settings).map(Encoding::Direct).map_err(broken)
        };
        match (held, step, &self.ffmpeg) {
            (Some(Held::Right), _, Some(ffmpeg)) => libav::Session::open(ffmpeg, &wish.settings)
                .map(Encoding::Ffmpeg)
                .map_err(|error| (End::Refused(self.refusal(&error)), None, error)),
            (None | Some(Held::Right), ..) => Err(broken(NvidiaError::Broken { what: "encoder session" })),
            (Some(Held::Idle(idle)), ..) => {
                EncoderSession::begin(idle, &wish.settings).map(Encoding::Direct).map_err(broken)
            }
            (Some(Held::Made(session)), Step::Reconfigure, _) if session.settings().can_become(&wish.settings) => {
                let mut session = session;
                match session.reconfigure(&wish.settings) {
                    Ok(()) => Ok(Encoding::Direct(*session)),
                    // Not that this driver never does it: there is no room any more. Closed, so that others have some.
                    Err(error) if error.no_room() => Err(broken(error)),
                    // It can only be closed, and holds its place until the parent has it made anew.
                    Err(error) => Err((End::ReconfigureRefused, Some(Held::Made(session)), error)),
                }
            }
            // Closed before another one is opened: it may be the only one there is.
            (Some(Held::Made(session)), ..) => {
                drop(session);
                anew()
            }
        }
    }

    /// One lease. `false` where the parent will have it tried again, or says that there is nothing more to try.
    fn lease(
        &self,
        (lease, session, step): (u64, u64, Step),
        wish: &Wish,
        make: &mut Make<'_>,
    ) -> Result<bool, Failed> {
        let mut books = self.books();
        let (held, stop) = (books.held.remove(&session), Arc::clone(books.stops.entry(lease).or_default()));
        drop(books);
        let began = Instant::now();
        let (end, held, outcome) = match self.set_up(held, step, wish) {
            Err((end, held, error)) => {
                tracing::debug!(reason = %error, "an encoder session could not be set up");
                let outcome = if end == End::ReconfigureRefused { Ok(false) } else { again(error) };
                (end, held, outcome)
            }
            Ok(mut made) => {
                let setup = began.elapsed();
                let outcome = make(&mut made, &|| stop.load(Ordering::Relaxed));
                let held = match made.direct() {
                    Some(session) => Some(Held::Made(Box::new(session))),
                    None => Some(Held::Right),
                };
                match outcome {
                    Ok(()) => (End::Done { setup }, held, Ok(true)),
                    Err(Failed::Else(error)) => (End::Stopped, held, Err(error.into())),
                    Err(Failed::Card(error)) => (End::Broken, None, again(error)),
                }
            }
        };
        let mut books = self.books();
        books.stops.remove(&lease);
        if let Some(held) = held {
            books.held.insert(session, held);
        }
        drop(books);
        self.say(Said::Released { lease, end });
        outcome
    }

    fn wait(&self, words: &Receiver<Word>, wish: &Wish, mut make: Make<'_>) -> Result<bool, Failed> {
        loop {
            match words.recv_timeout(wish.left()) {
                Ok(Word::Granted { lease, session, step }) => {
                    if self.lease((lease, session, step), wish, &mut make)? {
                        return Ok(true);
                    }
                }
                Ok(Word::Overflow(reason)) => {
                    tracing::debug!(reason, "a rung gets no encoder session: the processors make it");
                    return Ok(false);
                }
                Ok(Word::Gone) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
                // The processors say that there is no time left.
                Err(RecvTimeoutError::Timeout) => return Ok(false),
            }
        }
    }
}

/// What an error of a session means for the rung: another session may do, but not where the card itself does not work.
fn again(error: NvidiaError) -> Result<bool, Failed> {
    match error.class() {
        Class::Device if !matches!(error, NvidiaError::Broken { .. }) => Err(error.into()),
        _ => Ok(false),
    }
}

impl Lender for Counter {
    fn lend(&self, wish: &Wish, make: Make<'_>) -> Result<bool, Failed> {
        let (to, words) = sync_channel(WORDS);
        let mut books = self.books();
        books.last = books.last.wrapping_add(1);
        let ask = books.last;
        books.asks.insert(ask, to);
        drop(books);
        let within_ms = u64::try_from(wish.left().as_millis()).unwrap_or(u64::MAX);
        self.say(Said::Ask { ask, spec: wish.spec, samples: wish.samples, within_ms });
        let outcome = self.wait(&words, wish, make);
        if self.books().asks.remove(&ask).is_some() {
            // Not known to be over on the other side; where it is, this says nothing new.
            if !matches!(outcome, Ok(true)) {
                self.say(Said::Cancel { ask });
            }
            while let Ok(word) = words.try_recv() {
                if let Word::Granted { lease, .. } = word {
                    self.unused(lease);
                }
            }
        }
        outcome
    }
}
