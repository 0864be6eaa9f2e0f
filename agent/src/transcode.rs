//! This machine's own codec: the worker pool, its admission limit and its metrics.

use crate::config;
use crate::metrics::{Metrics, result};
use anyhow::Context;
use bytes::Bytes;
use headframe_codec::admission::{Admission, Full};
use headframe_codec::error::{Class, TranscodeError};
use headframe_codec::ladder::Ladder;
use headframe_codec::segment::{SegmentIn, SegmentOut};
use headframe_codec::worker::{Pool, PoolConfig, PoolStats, codec_program};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Transcodes segments in sandboxed worker processes.
#[derive(Clone)]
pub(crate) struct Transcoder {
    pool: Arc<Pool>,
    deadline: Duration,
    metrics: Arc<Metrics>,
    admission: Arc<Mutex<Admission>>,
}

/// A segment that gave no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The input itself is at fault: trying again gives the same.
    #[error("{0}")]
    Input(String),
    /// This machine is at fault: another try, or another machine, may do.
    #[error("{0}")]
    Machine(String),
}

impl Transcoder {
    /// Starts the workers.
    pub(crate) fn start(config: &config::Codec, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let program = if config.program.as_os_str().is_empty() { codec_program() } else { config.program.clone() };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if config.workers == 0 { (cores / 2).max(1) } else { config.workers };
        let pool = Pool::start(PoolConfig { program, workers, ..PoolConfig::default() })
            .context("cannot start the transcoding workers")?;
        let admission = Arc::new(Mutex::new(Admission::new(cores)));
        Ok(Self { pool: Arc::new(pool), deadline: config.deadline, metrics, admission })
    }

    /// Transcodes one segment. Dropping the future half way leaves the worker to finish alone; nothing is lost but time.
    pub(crate) async fn transcode(
        &self,
        ladder: Arc<Ladder>,
        stream: String,
        number: u64,
        source: Bytes,
    ) -> Result<SegmentOut, Failure> {
        let (pool, deadline) = (self.pool.clone(), self.deadline);
        let began = Instant::now();
        let admission = self.admission.clone();
        let work = move || {
            let input = SegmentIn { stream: &stream, number, bytes: &source };
            let done = pool.transcode(&ladder, input, deadline);
            if let Ok(out) = &done {
                let mut admission = admission.lock().unwrap_or_else(PoisonError::into_inner);
                admission.learn(&stream, &ladder, out, began.elapsed());
            }
            done
        };
        let done = tokio::task::spawn_blocking(work).await;
        let outcome = match done {
            Ok(outcome) => outcome.map_err(classify),
            Err(stopped) => Err(Failure::Machine(format!("the transcoding task ended: {stopped}"))),
        };
        self.record(&outcome, began.elapsed());
        outcome
    }

    fn record(&self, outcome: &Result<SegmentOut, Failure>, took: Duration) {
        let metrics = &self.metrics;
        let Ok(out) = outcome else {
            metrics.segments.with_label_values(&[result::FAILED]).inc();
            return;
        };
        let playing = out.source.duration as f64 / 90_000.0;
        let ratio = playing / took.as_secs_f64().max(1e-6);
        metrics.segments.with_label_values(&[if ratio < 1.0 { result::LATE } else { result::OK }]).inc();
        metrics.realtime_ratio.observe(ratio);
        let stages = [
            ("decode", out.timings.decode),
            ("scale", out.timings.scale),
            ("encode", out.timings.encode),
            ("total", took),
        ];
        for (stage, took) in stages {
            metrics.segment_duration.with_label_values(&[stage]).observe(took.as_secs_f64());
        }
        let pixels =
            |r: &headframe_codec::segment::RenditionOut| u64::from(r.frames) * u64::from(r.width) * u64::from(r.height);
        metrics.pixels.inc_by(out.renditions.iter().map(pixels).sum());
    }

    /// Whether a stream of `ladder` fits beside those that run (name and ladder of each); why not, if not.
    pub(crate) fn admit<'a>(
        &self,
        active: impl IntoIterator<Item = (&'a str, &'a Ladder)>,
        ladder: &Ladder,
    ) -> Result<(), Full> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner).admit(active, ladder)
    }

    /// The pool's state.
    pub(crate) fn stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// Stops the workers.
    pub(crate) fn shutdown(&self) {
        self.pool.shutdown();
    }
}

fn classify(error: TranscodeError) -> Failure {
    match error.class() {
        Class::Input => Failure::Input(error.to_string()),
        Class::Transient | Class::Capacity | Class::Device => Failure::Machine(error.to_string()),
    }
}
