//! The agent's side: one call per request, over connections that are opened, introduced and replaced as needed.
//!
//! Every request may be repeated without harm, since the same question has the same answer for ever. So when the signer
//! restarts, a call waits for it and asks again.

mod pool;

use crate::protocol::{self, Hello, Identity, JobCounts, KeptReceipt, ReceiptRequest, Request, Response};
use crate::protocol::{Sight, SignedTransaction, Status, TransactionRequest};
use crate::rules::Rule;
use headframe_market::machine::claim::Evidence;
use headframe_market::{B256, Bid, JobId, Segment, SegmentNo, Signature};
use pool::Pool;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a call goes on trying by default: a supervised restart with the standard keystore cost takes two seconds.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// The longest pause between two attempts; the first is 10 ms, and each is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// A signer that takes longer for one answer is treated as gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This request breaks a rule and will for ever.
    #[error("the signer refused by rule {rule}: {reason}")]
    Refused {
        /// Which.
        rule: Rule,
        /// Why.
        reason: String,
    },
    /// The signer signs nothing any more and has exited with code 79. Stop, and let a person look.
    #[error("the signer is unsafe to run: {reason}")]
    Unsafe {
        /// What happened and what to do.
        reason: String,
    },
    /// No signer, or one that cannot record at present. Trying again later is harmless.
    #[error("the signer at {path} is not available: {reason}")]
    Unavailable {
        /// Its socket.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A blocking client, for any number of threads at once. Calls take milliseconds: one disk synchronisation.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    hello: Hello,
    identity: Identity,
    patience: Duration,
    pool: Pool,
    /// What was seen last, without its claims: a signer that restarts has to be told again before it signs claims.
    seen: Mutex<Option<Sight>>,
}

/// Asks the signer at `path` whose key it holds. Needs no [`Hello`]: the answer is needed to make one.
pub fn identify(path: &Path) -> Result<Identity, Error> {
    match retry(path, PATIENCE, || once(path))? {
        Response::Identity(identity) => Ok(identity),
        other => Err(unexpected(path, other)),
    }
}

/// As [`identify`], without a second attempt.
pub(crate) fn try_identify(path: &Path) -> io::Result<Identity> {
    match once(path)? {
        Response::Identity(identity) => Ok(identity),
        other => Err(io::Error::other(unexpected(path, other))),
    }
}

fn once(path: &Path) -> io::Result<Response> {
    ask(&mut open(path)?, &Request::Identify)
}

impl Client {
    /// Connects to the signer at `path` and says where the agent is and what the chain shows of the key's past.
    pub fn connect(path: &Path, hello: Hello) -> Result<Self, Error> {
        match retry(path, PATIENCE, || introduce(path, &hello))? {
            (stream, Response::Identity(identity)) => {
                let (pool, seen) = (Pool::of(stream), Mutex::default());
                Ok(Self { path: path.into(), hello, identity, patience: PATIENCE, pool, seen })
            }
            (_, other) => Err(unexpected(path, other)),
        }
    }

    /// How long a call waits for a signer that restarts, in place of [`PATIENCE`]. Zero: one attempt.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whose signatures these are.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Tells what the chain shows of the key. An error of kind [`Error::Unsafe`] means that somebody else uses it, or that
    /// the database is old.
    pub fn see(&self, sight: &Sight) -> Result<(), Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Sight { claims: Vec::new(), ..sight.clone() });
        for claims in sight.claims.chunks(protocol::PAGE as usize).chain(sight.claims.is_empty().then_some(&[][..])) {
            let page = Sight { claims: claims.to_vec(), ..sight.clone() };
            match self.call(&Request::See(page))? {
                Response::Seen => {}
                other => return Err(unexpected(&self.path, other)),
            }
        }
        Ok(())
    }

    /// The signature under a receipt.
    pub fn sign_receipt(&self, request: ReceiptRequest) -> Result<Signature, Error> {
        self.signature(&Request::SignReceipt(request))
    }

    /// The signature under a client's order.
    pub fn sign_segment(&self, order: Segment) -> Result<Signature, Error> {
        self.signature(&Request::SignSegment(order))
    }

    /// The signature under an operator's offer.
    pub fn sign_bid(&self, bid: Bid) -> Result<Signature, Error> {
        self.signature(&Request::SignBid(bid))
    }

    /// A signed transaction.
    pub fn sign_transaction(&self, request: TransactionRequest) -> Result<SignedTransaction, Error> {
        match self.call(&Request::SignTransaction(request))? {
            Response::Transaction(signed) => Ok(signed),
            other => Err(unexpected(&self.path, other)),
        }
    }

    /// The signature under a certification report.
    pub fn sign_report(&self, tool: &str, report_sha256: B256) -> Result<Signature, Error> {
        self.signature(&Request::SignReport { tool: tool.into(), report_sha256 })
    }

    /// Evidence of the kept receipts of `job` from segment `from` on, at most `limit` (1 to 4096), gaps left out.
    pub fn receipts(&self, job: JobId, from: SegmentNo, limit: u32) -> Result<Vec<Evidence>, Error> {
        let (mut found, mut from, mut left) = (Vec::<KeptReceipt>::new(), from, limit);
        loop {
            match self.call(&Request::Receipts { job, from, limit: left })? {
                Response::Receipts(page) => {
                    let full = page.len() as u32 == left.min(protocol::PAGE);
                    left = left.saturating_sub(page.len() as u32);
                    from = page.last().map_or(from, |last| last.leaf.seq.next());
                    found.extend(page);
                    if !full || left == 0 {
                        return Ok(found.into_iter().map(Evidence::from).collect());
                    }
                }
                other => return Err(unexpected(&self.path, other)),
            }
        }
    }

    /// All jobs with receipts or orders, in numbers.
    pub fn jobs(&self) -> Result<Vec<JobCounts>, Error> {
        let (mut found, mut from) = (Vec::<JobCounts>::new(), JobId(0));
        loop {
            match self.call(&Request::Jobs { from })? {
                Response::Jobs(page) => {
                    let full = page.len() as u32 == protocol::PAGE;
                    from = page.last().map_or(from, |last| JobId(last.job.0.saturating_add(1)));
                    found.extend(page);
                    if !full {
                        return Ok(found);
                    }
                }
                other => return Err(unexpected(&self.path, other)),
            }
        }
    }

    /// The signer's health and counts.
    pub fn status(&self) -> Result<Status, Error> {
        match self.call(&Request::Status)? {
            Response::Status(status) => Ok(status),
            other => Err(unexpected(&self.path, other)),
        }
    }

    fn signature(&self, request: &Request) -> Result<Signature, Error> {
        match self.call(request)? {
            Response::Signature(raw) => Signature::from_raw(&raw).map_err(|error| Error::Unavailable {
                path: self.path.clone(),
                reason: format!("odd signature: {error}"),
            }),
            other => Err(unexpected(&self.path, other)),
        }
    }

    /// Asks on a connection of its own, so that callers do not wait for each other and share one commit.
    fn call(&self, request: &Request) -> Result<Response, Error> {
        retry(&self.path, self.patience, || {
            let mut place = self.pool.place()?;
            let mut stream = match place.stream.take() {
                Some(stream) => stream,
                None => match self.introduced()? {
                    Ok(stream) => stream,
                    Err(refusal) => return Ok(refusal),
                },
            };
            let response = ask(&mut stream, request).inspect_err(|_| self.pool.close_idle())?;
            place.stream = Some(stream);
            Ok(response)
        })
    }

    /// A new connection to a signer that was told all that this client knows, or what it answered instead.
    fn introduced(&self) -> io::Result<Result<UnixStream, Response>> {
        let mut stream = match introduce(&self.path, &self.hello)? {
            (stream, Response::Identity(now)) if now == self.identity => stream,
            (_, Response::Identity(now)) => {
                let (now, before) = (now.address, self.identity.address);
                let reason = format!("another key answers now: {now} instead of {before}");
                return Ok(Err(Response::Unsafe { reason }));
            }
            (_, refusal) => return Ok(Err(refusal)),
        };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match seen.map(|sight| ask(&mut stream, &Request::See(sight))).transpose()? {
            None | Some(Response::Seen) => Ok(Ok(stream)),
            Some(refusal) => Ok(Err(refusal)),
        }
    }
}

fn open(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

fn introduce(path: &Path, hello: &Hello) -> io::Result<(UnixStream, Response)> {
    let mut stream = open(path)?;
    let response = ask(&mut stream, &Request::Hello(hello.clone()))?;
    Ok((stream, response))
}

fn ask(stream: &mut UnixStream, request: &Request) -> io::Result<Response> {
    protocol::write_frame(stream, request)?;
    protocol::read_frame(stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Repeats what fails on the way, not what was answered. Pauses add up to about `patience`.
fn retry<T>(path: &Path, patience: Duration, mut attempt: impl FnMut() -> io::Result<T>) -> Result<T, Error> {
    let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(10));
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if waited >= patience || error.kind() == io::ErrorKind::InvalidData {
            return Err(Error::Unavailable { path: path.into(), reason: error.to_string() });
        }
        std::thread::sleep(pause);
        waited += pause;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

fn unexpected(path: &Path, response: Response) -> Error {
    match response {
        Response::Refused { rule, reason } => Error::Refused { rule, reason },
        Response::Unsafe { reason } => Error::Unsafe { reason },
        Response::Failed { reason } => Error::Unavailable { path: path.into(), reason },
        other => Error::Unavailable { path: path.into(), reason: format!("an answer to another question: {other:?}") },
    }
}
