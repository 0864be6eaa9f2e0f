//! This machine's own codec: the worker pool, its admission limit and its metrics.

use crate::config;
use crate::metrics::{Metrics, result};
use anyhow::Context;
use bytes::Bytes;
use headframe_codec::admission::{Admission, Full};
use headframe_codec::commit::{Answer, CommitError, CommitFailed, Work};
use headframe_codec::error::{Class, TranscodeError};
use headframe_codec::ladder::{Codec, Ladder};
use headframe_codec::segment::{SegmentIn, SegmentOut};
use headframe_codec::worker::{CardConfig, Pool, PoolConfig, PoolStats, codec_program, codecs, usual_workers};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Transcodes segments in sandboxed worker processes.
#[derive(Clone)]
pub(crate) struct Transcoder {
    pool: Arc<Pool>,
    deadline: Duration,
    metrics: Arc<Metrics>,
    admission: Arc<Mutex<Admission>>,
    codecs: Arc<[Codec]>,
}

/// How long the worker program may take to tell what it can make.
const PATIENCE: Duration = Duration::from_secs(10);

/// A ladder that this machine's workers can never make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "rendition {rendition} is {}, and the FFmpeg of this machine has no encoder {} for it; `headframe-codec codecs` lists \
     what it can make",
    codec.name(),
    codec.encoder()
)]
pub(crate) struct CannotMake {
    rendition: String,
    codec: Codec,
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
    /// Asks the worker program what it can make and starts the workers.
    pub(crate) fn start(config: &config::Codec, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let program = if config.program.as_os_str().is_empty() { codec_program() } else { config.program.clone() };
        let codecs = codecs(&program, PATIENCE).context("cannot find out what can be transcoded here")?.into();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if config.workers == 0 { usual_workers(cores) } else { config.workers };
        let cards = CardConfig { which: config.cards.clone(), ..CardConfig::default() };
        let vulkan = config.vulkan.clone();
        let pool = Pool::start(PoolConfig { program, workers, cards, vulkan, ..PoolConfig::default() })
            .context("cannot start the transcoding workers")?;
        let admission = Arc::new(Mutex::new(Admission::new(cores)));
        Ok(Self { pool: Arc::new(pool), deadline: config.deadline, metrics, admission, codecs })
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

    /// What the operator of a finished segment is bound to; `limits` are the hashes of its rungs' error limits. Or why no machine can
    /// make that: by what was ordered or sent ([`CommitError::is_of_the_order`]), or by the renditions.
    pub(crate) async fn commit(
        &self,
        ladder: Arc<Ladder>,
        limits: Vec<[u8; 32]>,
        name: String,
        source: Bytes,
        renditions: Vec<Bytes>,
    ) -> Result<Result<Answer, CommitError>, Failure> {
        // Nobody watches it, and the deadline of a draw is hours away.
        let (pool, deadline) = (self.pool.clone(), self.deadline * 4);
        let work = move || {
            let renditions: Vec<&[u8]> = renditions.iter().map(Bytes::as_ref).collect();
            let source = SegmentIn { stream: &name, number: 0, bytes: &source };
            pool.commit(&Work { ladder: &ladder, error_limits: &limits, source, renditions: &renditions }, deadline)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(answer)) => Ok(Ok(answer)),
            Ok(Err(CommitFailed::Refused { source, .. }))
                if source.is_of_the_order() || matches!(source, CommitError::Rendition { .. }) =>
            {
                Ok(Err(source))
            }
            Ok(Err(failed)) => Err(Failure::Machine(failed.to_string())),
            Err(stopped) => Err(Failure::Machine(format!("the task ended: {stopped}"))),
        }
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

    /// What the workers have an encoder for.
    pub(crate) fn codecs(&self) -> &[Codec] {
        &self.codecs
    }

    /// Whether the workers have an encoder for all of `ladder`; the first rendition without one, if not.
    pub(crate) fn can_make(&self, ladder: &Ladder) -> Result<(), CannotMake> {
        can_make(&self.codecs, ladder)
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

fn can_make(codecs: &[Codec], ladder: &Ladder) -> Result<(), CannotMake> {
    match ladder.renditions().iter().find(|rendition| !codecs.contains(&rendition.codec)) {
        Some(rendition) => Err(CannotMake { rendition: rendition.name.clone(), codec: rendition.codec }),
        None => Ok(()),
    }
}

fn classify(error: TranscodeError) -> Failure {
    match error.class() {
        Class::Input => Failure::Input(error.to_string()),
        Class::Transient | Class::Capacity | Class::Device => Failure::Machine(error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_with_a_codec_that_is_missing_cannot_be_made() {
        let mut rungs = Ladder::standard().renditions().to_vec();
        rungs[2].codec = Codec::Hevc;
        let mixed = Ladder::new(rungs).unwrap();
        assert_eq!(can_make(&Codec::ALL, &mixed), Ok(()));
        assert_eq!(can_make(&[Codec::H264], &Ladder::standard()), Ok(()));
        let why = can_make(&[Codec::H264], &mixed).unwrap_err().to_string();
        assert!(why.contains("rendition 480p is hevc") && why.contains("no encoder libx265"), "{why}");
        assert!(can_make(&[], &Ladder::standard()).is_err());
    }

    #[test]
    fn without_the_program_nothing_starts() {
        let config = config::Codec { program: "/nonexistent/headframe-codec".into(), ..config::Codec::default() };
        let why = Transcoder::start(&config, Metrics::new().unwrap()).err().unwrap();
        assert!(format!("{why:#}").contains("cannot run /nonexistent/headframe-codec"), "{why:#}");
    }
}
