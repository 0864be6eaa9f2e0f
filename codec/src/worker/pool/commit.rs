//! Answers for segments that were drawn, computed by the pool's workers.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::super::Death;
use super::super::ipc;
use super::{Buried, MAX_STRIKES, Pool, Refused};
use crate::budget::Limits;
use crate::commit::{Answer, CommitError, CommitFailed, Work};
use crate::error::{EngineError, TranscodeError};

impl Pool {
    /// What the operator of this segment is bound to; blocks until it is there, at most for `deadline`.
    ///
    /// Callers queue together with those of [`Self::transcode`]. A worker that dies costs one automatic retry; content that
    /// killed two workers is refused from then on. What can be checked of a worker's word without decoding is checked.
    pub fn commit(&self, work: &Work<'_>, deadline: Duration) -> Result<Answer, CommitFailed> {
        let (stream, number) = (work.source.stream.to_owned(), work.source.number);
        let until = Instant::now() + deadline;
        // The caller's deadline is the limit of real time, here and in the worker: a draw can wait longer than a live segment.
        let limits = &Limits { wall: deadline, ..self.shared.config.limits.clone() };
        let refuse = |source| CommitFailed::Refused { stream: stream.clone(), number, source };
        work.check(limits).map_err(refuse)?;
        let files = || [work.source.bytes].into_iter().chain(work.renditions.iter().copied());
        let hash: [u8; 32] = files().fold(Sha256::new(), Digest::chain_update).finalize().into();
        let quarantined = || TranscodeError::Quarantined {
            stream: stream.clone(),
            number,
            hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        if self.shared.lock().strikes_of(&hash) >= MAX_STRIKES {
            return Err(quarantined().into());
        }
        let file = ipc::sealed(files()).map_err(|error| TranscodeError::HandOver {
            stream: stream.clone(),
            number,
            reason: error.to_string(),
        })?;
        let late = |stage| TranscodeError::Deadline {
            stream: stream.clone(),
            number,
            deadline_ms: deadline.as_millis() as u64,
            stage,
        };
        let mut retry = true;
        loop {
            let mut worker = self.shared.acquire(until).map_err(|refused| match refused {
                Refused::Late => late("waiting for a free worker"),
                Refused::Stopping => TranscodeError::ShuttingDown { stream: stream.clone(), number },
                Refused::Hopeless(reason) => TranscodeError::NoWorker { stream: stream.clone(), number, reason },
            })?;
            // Two threads at most, and nobody watches this: it keeps no segment waiting.
            self.shared.halfway(worker.pid());
            match worker.commit(work, limits, &file, until) {
                Ok(answer) => {
                    self.shared.release(worker, &hash);
                    return answer.map_err(|error| match error {
                        // The worker may notice it before its time is up here.
                        CommitError::Machine { error: EngineError::Wall { .. } } => late("committing").into(),
                        error => refuse(error),
                    });
                }
                Err(lost) => {
                    let Buried { death, strikes, last_words } = self.shared.lost(worker, lost, &work.source, &hash);
                    if death == Death::Deadline {
                        return Err(late("committing").into());
                    }
                    if strikes >= MAX_STRIKES {
                        return Err(quarantined().into());
                    }
                    if !retry {
                        return Err(TranscodeError::WorkerDied { stream, number, death, last_words }.into());
                    }
                    retry = false;
                }
            }
        }
    }
}
