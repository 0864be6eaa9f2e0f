//! Accepted segments of one stream, on disk until they are delivered: what a gateway took from a publisher it does not
//! lose, not even when it is killed.
//!
//! Layout of the folder: `N.ts` the source, `N.json` its [`Meta`] (written last: without it the segment was never
//! accepted), `state.json` the [`Broadcast`].

use crate::delivery::SegmentOrder;
use bytes::Bytes;
use headframe_market::{Address, JobId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What is known of an accepted segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Its number in the stream.
    pub(super) number: u64,
    /// First PTS in 90 kHz ticks.
    pub(super) first_pts: i64,
    /// Playing time in 90 kHz ticks.
    pub(super) duration: i64,
    /// Frames are missing before it.
    pub(super) discontinuity: bool,
    /// The order signed for it, once there is one. Kept, so that a restart sends the same order again.
    pub(super) order: Option<SegmentOrder>,
}

/// The state of a stream beside its segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Broadcast {
    /// Jobs that are not over on chain, oldest first; the last one takes new segments unless it is finished.
    pub(super) jobs: Vec<JobRecord>,
    /// The number of the next source segment.
    pub(super) next_number: u64,
    /// When its first picture is shown, in 90 kHz ticks.
    pub(super) next_pts: i64,
}

/// One job of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobRecord {
    /// Tells the transaction that opens it from all others of this key.
    pub(super) nonce: u64,
    /// Its id, once it is on chain.
    pub(super) id: Option<JobId>,
    /// The sequence number of the next order.
    pub(super) next_seq: u64,
    /// Top-ups asked for.
    pub(super) top_ups: u32,
    /// No more segments will be ordered.
    pub(super) finished: bool,
    /// Operators that are not to get it.
    pub(super) avoid: Vec<Address>,
}

/// An accepted segment waiting for delivery.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) meta: Meta,
    pub(super) source: Bytes,
    /// When its last byte arrived, unless that was before a restart.
    pub(super) received: Option<Instant>,
    /// Its place in the spool.
    _room: Arc<OwnedSemaphorePermit>,
}

/// The spool of one stream.
pub(super) struct Spool {
    dir: PathBuf,
    room: Arc<Semaphore>,
    inner: Mutex<Inner>,
    changed: Notify,
}

struct Inner {
    broadcast: Broadcast,
    waiting: VecDeque<Waiting>,
}

impl Spool {
    /// Opens the folder, with what an earlier process left in it. `capacity` segments may wait at once.
    pub(super) fn open(dir: &Path, capacity: usize) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut broadcast: Broadcast = read_json(&dir.join("state.json"))?.unwrap_or_default();
        let mut metas = Vec::new();
        for file in fs::read_dir(dir)? {
            let path = file?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            match (number, path.extension().and_then(|e| e.to_str())) {
                (Some(_), Some("json")) => metas.extend(read_json::<Meta>(&path)?),
                (Some(_), Some("ts")) if !path.with_extension("json").exists() => fs::remove_file(&path)?,
                _ => {}
            }
        }
        metas.sort_by_key(|meta| meta.number);
        let room = Arc::new(Semaphore::new(capacity.max(metas.len())));
        let mut waiting = VecDeque::new();
        for meta in metas {
            let source = fs::read(dir.join(format!("{}.ts", meta.number)))?.into();
            broadcast.next_number = broadcast.next_number.max(meta.number + 1);
            broadcast.next_pts = broadcast.next_pts.max(meta.first_pts + meta.duration);
            if let Some(order) = &meta.order
                && let Some(job) = broadcast.jobs.iter_mut().find(|job| job.id == Some(order.segment.job))
            {
                job.next_seq = job.next_seq.max(order.segment.seq.0 + 1);
            }
            let permit = room.clone().try_acquire_owned().map_err(io::Error::other)?;
            waiting.push_back(Waiting { meta, source, received: None, _room: Arc::new(permit) });
        }
        let inner = Mutex::new(Inner { broadcast, waiting });
        Ok(Self { dir: dir.into(), room, inner, changed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a segment for good: it is on disk when this returns. A full spool is an error, and the segment was never
    /// accepted.
    pub(super) async fn accept(
        self: &Arc<Self>,
        meta: Meta,
        source: Bytes,
        next_pts: i64,
        received: Instant,
    ) -> io::Result<()> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| {
            io::Error::other(format!("{} segments wait for delivery already (gateway.spool)", self.len()))
        })?;
        let spool = self.clone();
        let work = move || {
            write_durably(&spool.path(meta.number, "ts"), &source)?;
            write_json(&spool.path(meta.number, "json"), &meta)?;
            let mut inner = spool.lock();
            inner.broadcast.next_number = meta.number + 1;
            inner.broadcast.next_pts = next_pts;
            write_json(&spool.dir.join("state.json"), &inner.broadcast)?;
            let waiting = Waiting { meta, source, received: Some(received), _room: Arc::new(permit) };
            inner.waiting.push_back(waiting);
            drop(inner);
            spool.changed.notify_waiters();
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// The oldest segment that is not delivered.
    pub(super) fn front(&self) -> Option<Waiting> {
        self.lock().waiting.front().cloned()
    }

    /// Segments waiting.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Resolves when [`Spool::front`] may have changed after this was called.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Keeps the order that was signed for a segment, before it is sent.
    pub(super) fn bind(&self, number: u64, order: SegmentOrder) -> io::Result<()> {
        let mut inner = self.lock();
        let Some(waiting) = inner.waiting.iter_mut().find(|waiting| waiting.meta.number == number) else {
            return Ok(());
        };
        let (job, next) = (order.segment.job, order.segment.seq.0 + 1);
        waiting.meta.order = Some(order);
        write_json(&self.path(number, "json"), &waiting.meta)?;
        if let Some(record) = inner.broadcast.jobs.iter_mut().find(|record| record.id == Some(job)) {
            record.next_seq = record.next_seq.max(next);
        }
        write_json(&self.dir.join("state.json"), &inner.broadcast)
    }

    /// A segment is delivered and listed: it need not be kept any longer.
    pub(super) fn done(&self, number: u64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.waiting.retain(|waiting| waiting.meta.number != number);
        fs::remove_file(self.path(number, "json"))?;
        fs::remove_file(self.path(number, "ts"))?;
        drop(inner);
        self.changed.notify_waiters();
        Ok(())
    }

    /// The stream's state.
    pub(super) fn broadcast(&self) -> Broadcast {
        self.lock().broadcast.clone()
    }

    /// Changes the stream's state, durably.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Broadcast) -> T) -> io::Result<T> {
        let mut inner = self.lock();
        let result = change(&mut inner.broadcast);
        write_json(&self.dir.join("state.json"), &inner.broadcast)?;
        Ok(result)
    }

    fn path(&self, number: u64, extension: &str) -> PathBuf {
        self.dir.join(format!("{number}.{extension}"))
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| io::Error::other(format!("{}: {error}; move the file away to go on", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_durably(path, &serde_json::to_vec(value)?)
}

/// Whole or not at all, also after a power cut: a new file, synced, renamed over the old one, the folder synced.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn meta(number: u64) -> Meta {
        Meta { number, first_pts: number as i64 * 180_000, duration: 180_000, discontinuity: false, order: None }
    }

    async fn accept(spool: &Arc<Spool>, number: u64) {
        let source = Bytes::from(vec![number as u8; 10]);
        spool.accept(meta(number), source, (number as i64 + 1) * 180_000, Instant::now()).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_accepted_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(dir.path(), 4).unwrap());
        for number in 0..3 {
            accept(&spool, number).await;
        }
        spool.done(0).unwrap();
        drop(spool);
        fs::write(dir.path().join("3.ts"), b"not accepted: no meta").unwrap();
        let spool = Spool::open(dir.path(), 4).unwrap();
        assert_eq!((spool.len(), spool.front().unwrap().meta), (2, meta(1)));
        assert_eq!(&spool.front().unwrap().source[..], &[1; 10]);
        assert_eq!(spool.broadcast().next_number, 3);
        assert!(!dir.path().join("3.ts").exists());
    }

    #[tokio::test]
    async fn a_full_spool_takes_nothing_until_one_is_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(dir.path(), 1).unwrap());
        accept(&spool, 0).await;
        let full = spool.accept(meta(1), Bytes::new(), 0, Instant::now()).await.unwrap_err();
        assert!(full.to_string().contains("gateway.spool"), "{full}");
        spool.done(0).unwrap();
        accept(&spool, 1).await;
        assert_eq!(spool.front().unwrap().meta.number, 1);
    }

    #[test]
    fn a_damaged_state_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.json"), b"{").unwrap();
        let error = Spool::open(dir.path(), 1).err().unwrap().to_string();
        assert!(error.contains("state.json"), "{error}");
    }
}
