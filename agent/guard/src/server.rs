//! The signer's side of the socket: who may ask, in which order, and when nothing is signed any more.

use crate::ballast::Ballast;
use crate::keys::{Signing, SigningFailed};
use crate::protocol::{self, Hello, Identity, Request, Response, Sight, Status};
use crate::rules::{self, Means, NotSafe, Pinned, Rule};
use crate::store::Store;
use headframe_market::{Action, Address, Bytes, Role, Signature, Wei};
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most connections at once; one more is told so and closed.
pub const MAX_CLIENTS: usize = 64;
/// A frame that was begun must be complete, and a response taken, within this time. So must the first frame.
const PATIENCE: Duration = Duration::from_secs(10);
/// Enough for the deepest path measured (SQLite with a 1 MiB frame) several times over.
const STACK: usize = 1 << 20;

/// What a signer needs.
#[derive(Debug)]
pub struct Config {
    /// Who holds the key.
    pub key: Box<dyn Signing>,
    /// What it does.
    pub role: Role,
    /// The guard database.
    pub database: PathBuf,
    /// The most one transaction may cost for gas, in wei: gas limit times fee per gas.
    pub max_fee: Wei,
    /// Who alone may be proposed as the owner of the operator's stake and fees; `None`: nobody.
    pub owner: Option<Address>,
    /// Whether [`SIZE`](crate::ballast::SIZE) bytes beside the database are kept free for the proofs of claims.
    pub ballast: bool,
}

/// Why the process should end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Asked to.
    Terminate,
    /// With exit code 79 and this reason.
    Unsafe(String),
}

/// The key, its database and their state.
#[derive(Debug)]
pub struct Guard {
    config: Config,
    state: Mutex<State>,
    /// What the chain showed of the account last.
    means: Mutex<Option<Means>>,
}

#[derive(Clone, Debug)]
enum State {
    /// No file yet: a [`Hello`] decides whether there may be a new one.
    NoDatabase,
    Open(Arc<Store>),
    Unsafe(String),
}

impl Guard {
    /// Opens the database when there is one.
    pub fn open(config: Config) -> Result<Self, NotSafe> {
        let guard = Self { config, state: Mutex::new(State::NoDatabase), means: Mutex::default() };
        if let Some(store) = guard.existing()? {
            *guard.state() = State::Open(Arc::new(store));
        }
        Ok(guard)
    }

    fn existing(&self) -> Result<Option<Store>, NotSafe> {
        let Config { key, role, database, ballast, .. } = &self.config;
        let open = || Store::open(database, key.address(), *role);
        let opened = match open() {
            // A start is on record, too.
            Err(NotSafe::Full) if *ballast && Ballast::beside(database).give_up() => open(),
            opened => opened,
        };
        Ok(opened?.map(|store| self.with_ballast(store)))
    }

    fn with_ballast(&self, store: Store) -> Store {
        if self.config.ballast { store.with_ballast() } else { store }
    }

    /// Whose signatures come from here.
    pub fn identity(&self) -> Identity {
        Identity { address: self.config.key.address(), role: self.config.role }
    }

    /// Brings the journal into the database, so that the file alone is whole. Nothing is lost without it.
    pub fn close(&self) {
        if let State::Open(store) = &*self.state()
            && let Err(error) = store.checkpoint()
        {
            tracing::warn!(%error, "the journal stays beside the database: copy both or neither");
        }
    }

    /// From here on the database writes nothing when it is dropped, as when the process is killed. For who plays such deaths.
    pub fn leave_as_is(&self) {
        if let State::Open(store) = &*self.state() {
            store.leave_as_is();
        }
    }

    /// Admits a connection, or marks everything unsafe. Creates the database for a key without a past.
    fn hello(&self, hello: &Hello) -> Result<Arc<Store>, NotSafe> {
        let mut state = self.state();
        let admitted = match &*state {
            State::Unsafe(reason) => Err(NotSafe::Unsafe(reason.clone())),
            State::Open(store) => store.check(hello).map(|()| Arc::clone(store)),
            State::NoDatabase => self.create(hello).map(Arc::new),
        };
        match &admitted {
            Ok(store) => *state = State::Open(Arc::clone(store)),
            Err(NotSafe::Unsafe(reason)) => *state = State::Unsafe(reason.clone()),
            Err(_) => {}
        }
        admitted
    }

    fn create(&self, hello: &Hello) -> Result<Store, NotSafe> {
        let Config { key, role, database, .. } = &self.config;
        // Another signer may have made it since this one looked.
        if let Some(store) = self.existing()? {
            store.check(hello)?;
            return Ok(store);
        }
        rules::history(hello, None)?;
        let Hello { chain_id, genesis, addresses, .. } = *hello;
        let pinned = Pinned { chain_id, genesis, addresses, address: key.address(), role: *role };
        let store = Store::create(database, pinned)?;
        tracing::warn!(
            database = %database.display(), address = %key.address(), chain_id,
            "new guard database; back it up only while the signer is stopped, and never go back to an older copy"
        );
        Ok(self.with_ballast(store))
    }

    /// Answers one request of a connection whose admitted database is `session`.
    pub fn answer(&self, session: &mut Option<Arc<Store>>, request: Request) -> Response {
        self.try_answer(session, request).unwrap_or_else(|why| match why {
            NotSafe::Refused { rule, reason } => {
                tracing::warn!(%rule, reason, "refused to sign");
                Response::Refused { rule, reason }
            }
            why @ (NotSafe::Storage(_) | NotSafe::Full) => {
                let reason = why.to_string();
                tracing::error!(reason, "not recorded, so not signed");
                Response::Failed { reason }
            }
            NotSafe::Unsafe(reason) => {
                if let Some(store) = session {
                    store.leave_as_is();
                }
                *self.state() = State::Unsafe(reason.clone());
                Response::Unsafe { reason }
            }
        })
    }

    fn try_answer(&self, session: &mut Option<Arc<Store>>, request: Request) -> Result<Response, NotSafe> {
        let request = match request {
            Request::Identify => return Ok(Response::Identity(self.identity())),
            Request::Status => return Ok(Response::Status(self.status())),
            Request::Hello(hello) => {
                *session = Some(self.hello(&hello)?);
                return Ok(Response::Identity(self.identity()));
            }
            request => request,
        };
        if let State::Unsafe(reason) = &*self.state() {
            return Err(NotSafe::Unsafe(reason.clone()));
        }
        let Some(store) = session.as_ref() else {
            return refuse("a connection begins with Hello, which says where the agent is and what the chain shows");
        };
        let key = &self.config.key;
        match request {
            Request::See(sight) => self.see(store, &sight).map(|()| Response::Seen),
            Request::SignReceipt(ask) => Ok(signature(key.sign_receipt(store.permit_receipt(ask)?))),
            Request::SignSegment(order) => Ok(signature(key.sign_order(store.permit_order(order)?))),
            Request::SignBid(bid) => Ok(signature(key.sign_bid(store.permit_bid(bid)?))),
            Request::SignTransaction(ask) => {
                rules::owner(&ask.action, self.config.owner)?;
                let mut means = self.means();
                let permit = store.permit_transaction(&ask, self.config.max_fee, *means)?;
                if let (Some(means), Action::Claim { .. }) = (means.as_mut(), &ask.action) {
                    means.open_claims = means.open_claims.saturating_add(1); // until the next sight counts it
                }
                drop(means);
                Ok(key.sign_transaction(permit).map_or_else(no_signature, Response::Transaction))
            }
            Request::SignReport { tool, report_sha256 } => {
                Ok(signature(key.sign_report(store.permit_report(tool, report_sha256)?)))
            }
            Request::Receipts { job, from, limit: limit @ 1..=protocol::MAX_RECEIPTS } => {
                store.receipts(job, from, limit.min(protocol::PAGE)).map(Response::Receipts)
            }
            Request::Receipts { limit, .. } => {
                refuse(&format!("{limit} receipts asked; from 1 to {} are given", protocol::MAX_RECEIPTS))
            }
            Request::Jobs { from } => store.jobs(from, protocol::PAGE).map(Response::Jobs),
            Request::Identify | Request::Status | Request::Hello(_) => refuse("answered above"),
        }
    }

    /// Rule G8, and what rule G3 needs to know.
    fn see(&self, store: &Store, sight: &Sight) -> Result<(), NotSafe> {
        if sight.claims.len() > protocol::PAGE as usize {
            return refuse(&format!("{} claims at once; at most {} are looked at", sight.claims.len(), protocol::PAGE));
        }
        store.see(sight)?;
        *self.means() = Some(Means { balance: sight.balance, open_claims: sight.open_claims });
        Ok(())
    }

    fn means(&self) -> MutexGuard<'_, Option<Means>> {
        self.means.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Status {
        let state = self.state().clone();
        let store = if let State::Open(store) = &state { Some(store) } else { None };
        let counts = store.map(|store| store.counts());
        let Identity { address, role } = self.identity();
        Status {
            healthy: store.is_some_and(|store| store.answers()),
            database_open: store.is_some(),
            database: self.config.database.clone(),
            address,
            role,
            segments: counts.map_or(0, |counts| counts.segments),
            claims: counts.map_or(0, |counts| counts.claims),
            nonces: counts.map_or(0, |counts| counts.nonces),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse<T>(reason: &str) -> Result<T, NotSafe> {
    Err(NotSafe::Refused { rule: Rule::Request, reason: reason.into() })
}

fn signature(signed: Result<Signature, SigningFailed>) -> Response {
    signed.map_or_else(no_signature, |signature| Response::Signature(Bytes::copy_from_slice(&signature.as_bytes())))
}

/// The record stands: the same again may get a signature, anything else gets none.
fn no_signature(failed: SigningFailed) -> Response {
    let reason = failed.to_string();
    tracing::error!(reason, "recorded, and not signed");
    Response::Failed { reason }
}

/// Accepts connections for ever, each on a thread of its own. What ends the process is sent to `stop`.
pub fn serve(listener: &UnixListener, guard: &Arc<Guard>, stop: &Sender<Stop>) {
    let clients = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                std::thread::sleep(Duration::from_millis(50)); // out of descriptors: do not spin
                continue;
            }
        };
        let place = Place::take(&clients);
        let (guard, stop) = (Arc::clone(guard), stop.clone());
        let session = move || {
            let outcome = match &place {
                Some(_) => converse(&stream, &guard, &stop),
                None => full(&stream),
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "connection closed");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("client".into()).stack_size(STACK).spawn(session) {
            tracing::warn!(%error, "no thread for a connection");
        }
    }
}

/// One of [`MAX_CLIENTS`] places, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(clients: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(clients));
        (clients.fetch_add(1, Ordering::AcqRel) < MAX_CLIENTS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn full(mut stream: &UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let reason = format!("{MAX_CLIENTS} connections are open already");
    protocol::write_frame(&mut stream, &Response::Failed { reason })
}

fn converse(stream: &UnixStream, guard: &Guard, stop: &Sender<Stop>) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid != rustix::process::geteuid() && !peer.uid.is_root() {
        return Err(io::Error::other(format!("user {} is not this signer's user", peer.uid.as_raw())));
    }
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut session = None;
    loop {
        // An admitted client may be silent for long, but not in the middle of a frame.
        let wait = if session.is_some() { None } else { Some(PATIENCE) };
        let Some(body) = read_body(stream, wait)? else { return Ok(()) };
        let response = match serde_json::from_slice(&body) {
            Ok(request) => guard.answer(&mut session, request),
            Err(error) => Response::Refused { rule: Rule::Request, reason: format!("not a request: {error}") },
        };
        drop(body);
        let written = protocol::write_frame(&mut &*stream, &response);
        if let Response::Unsafe { reason } = response {
            let _ = stop.send(Stop::Unsafe(reason)); // the receiver lives as long as the process
            return Ok(());
        }
        written?;
    }
}

/// Waits for the first byte as long as `wait`, then for the rest at most [`PATIENCE`] altogether between bytes.
fn read_body(stream: &UnixStream, wait: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
    stream.set_read_timeout(wait)?;
    let mut first = [0u8; 1];
    let mut reader = stream;
    loop {
        match reader.read(&mut first) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    protocol::read_body(&mut first.as_slice().chain(reader))
}
