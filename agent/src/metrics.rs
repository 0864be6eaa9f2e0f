//! Every metric, declared once. Base units in the names, labels from small fixed sets, prefix `headframe_`.

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};
use std::sync::Arc;

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    /// Segments by what came of them: ok, late, failed, refused, repeated.
    pub segments: IntCounterVec,
    /// Seconds per segment by stage: decode, scale, encode, total.
    pub segment_duration: HistogramVec,
    /// Playing time over working time; above 1 is faster than real time.
    pub realtime_ratio: Histogram,
    /// Seconds from the last byte of a source segment to its listing in the playlist.
    pub publish_latency: Histogram,
    /// Luma samples encoded.
    pub pixels: IntCounter,
    /// Bytes taken in by protocol.
    pub ingest_bytes: IntCounterVec,
    /// Publishers connected.
    pub publishers: IntGauge,
    /// Publish attempts refused by reason.
    pub rejected: IntCounterVec,
    /// Segments accepted and not delivered yet.
    pub spooled: IntGauge,
    /// Worker processes that had to be replaced, by reason.
    pub worker_restarts: GaugeVec,
    /// Worker processes running.
    pub workers: IntGauge,
    /// Segments refused because they killed workers.
    pub quarantined: IntGauge,
    /// Graphics cards, by UUID.
    pub cards: Cards,
    /// The card without CUDA that scales for the processors.
    pub vulkan: Vulkan,
    /// Jobs of this node by stage.
    pub jobs: GaugeVec,
    /// Claims of this node by stage.
    pub claims: GaugeVec,
    /// Transactions by kind and result: sent, mined, failed, unmined (by a reorganisation).
    pub transactions: IntCounterVec,
    /// Transactions among those kept, by state.
    pub transaction_states: GaugeVec,
    /// Transactions signed and in no block.
    pub transactions_in_flight: IntGauge,
    /// 1 while claims are held back until a person has looked.
    pub transactions_held: IntGauge,
    /// Fees of today, wei by kind: paid, and at most due by what is under way.
    pub budget_spent: GaugeVec,
    /// What is left of today's budget, wei by kind.
    pub budget_left: GaugeVec,
    /// 1 while something waits because its kind's budget is spent.
    pub budget_exhausted: GaugeVec,
    /// RPC providers.
    pub rpc: Providers,
    /// Lines of the log that nobody read in time.
    log_lines_dropped: IntGauge,
    /// Claims that cost collateral and that nobody has taken away.
    pub incidents: IntGauge,
    /// Jobs of which nothing more is claimed, because a sample of the work was wrong.
    pub own_work_doubted: IntCounter,
    /// 0 while a configuration with a mistake waits to be mended.
    pub config_reloaded: IntGauge,
    /// Fees paid for transactions, wei by kind.
    pub gas: GaugeVec,
    /// Fees earned by settled claims, wei.
    pub fees_earned: Gauge,
    /// The key's balance, wei.
    pub balance: Gauge,
    /// Bonded stake, token's smallest unit.
    pub bonded: Gauge,
    /// Newest block seen.
    pub head_block: IntGauge,
    /// Seconds since the newest block was seen.
    pub head_age: Gauge,
    /// Newest block that is final.
    pub final_block: IntGauge,
    /// Reorganisations seen.
    pub reorgs: IntGauge,
    /// 1 while the signer answers.
    pub guard_healthy: IntGauge,
    /// Signatures refused, by rule.
    pub guard_refusals: IntCounterVec,
    /// Connected peers.
    pub peers: IntGauge,
}

/// RPC providers, by scheme, host and port: a configuration names few of them.
pub struct Providers {
    /// 1 while it is asked; 0 while it rests after a failure or is set aside.
    pub up: GaugeVec,
    /// 1 while it is set aside because a quorum contradicts it.
    pub aside: GaugeVec,
    /// Requests by result: answered, timeout, transport, garbage, rate_limited.
    pub requests: GaugeVec,
    /// Answers that a quorum contradicted.
    pub disagreements: GaugeVec,
    /// The newest block that it told of.
    pub head: GaugeVec,
}

/// What graphics cards do, by UUID: a machine has few of them, and they stay.
pub struct Cards {
    /// 1 while it takes work.
    pub up: GaugeVec,
    /// Segments made.
    pub segments: GaugeVec,
    /// Segments that it could not make, by class of the error.
    pub errors: GaugeVec,
    /// Segments of its streams that went to the processors, by reason.
    pub left: GaugeVec,
    /// Encoder sessions of all cards: believed to be had (cap), open, leased; and rungs waiting.
    pub all_sessions: GaugeVec,
    /// Encoder sessions open on it.
    pub sessions: GaugeVec,
    /// Rungs that got none, by reason.
    pub overflowed: GaugeVec,
    /// Rungs by who encoded them: card, processors.
    pub rungs: GaugeVec,
    /// Times that it was put out, by reason.
    pub put_out: GaugeVec,
    /// Times that it came back.
    pub readmitted: GaugeVec,
    /// Degrees Celsius. This and what follows is absent where it is not known.
    pub temperature: GaugeVec,
    /// Watts.
    pub power: GaugeVec,
    /// 1 while its clocks are slowed down, by reason.
    pub throttled: GaugeVec,
    /// Part of the time in which its decoders are busy, 0 to 1.
    pub decoder_busy: GaugeVec,
    /// Part of the time in which its encoders are busy, 0 to 1.
    pub encoder_busy: GaugeVec,
}

/// What a card does that scales for the processors by Vulkan compute, by its UUID: there is one at a time. All of it is
/// absent where there is none.
pub struct Vulkan {
    /// 1 while workers may have it.
    pub up: GaugeVec,
    /// Workers that have it.
    pub workers: GaugeVec,
    /// Pictures of workers that have it by who scaled them: device, processors.
    pub pictures: GaugeVec,
    /// Seconds that its pictures took from end to end, summed up.
    pub seconds: GaugeVec,
    /// Segments in which it failed, by class of the error.
    pub errors: GaugeVec,
    /// Times that it was put out, by reason.
    pub put_out: GaugeVec,
    /// Times that it came back.
    pub readmitted: GaugeVec,
}

/// The exact names of the label values used with [`Metrics::segments`].
pub mod result {
    /// Transcoded in time.
    pub const OK: &str = "ok";
    /// Transcoded, but slower than it plays.
    pub const LATE: &str = "late";
    /// Could not be transcoded.
    pub const FAILED: &str = "failed";
    /// Not taken.
    pub const REFUSED: &str = "refused";
    /// Asked for again and answered from memory.
    pub const REPEATED: &str = "repeated";
}

impl Metrics {
    /// Registers everything. Fails only on a duplicate or ill-formed name, which the test below would show.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let to = Register(&registry);
        let build = to.gauges("build_info", "The running build.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        let seconds = vec![0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0];
        let metrics = Self {
            segments: to.counters("segments_total", "Segments by what came of them.", &["result"])?,
            segment_duration: to.histograms(
                "segment_duration_seconds",
                "Working time per segment and stage.",
                &["stage"],
                seconds.clone(),
            )?,
            realtime_ratio: to.histogram(
                "segment_realtime_ratio",
                "Playing time over working time of a segment.",
                vec![0.25, 0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0],
            )?,
            publish_latency: to.histogram(
                "publish_latency_seconds",
                "From the last byte of a source segment to its listing.",
                seconds,
            )?,
            pixels: to.counter("pixels_total", "Luma samples encoded.")?,
            ingest_bytes: to.counters("ingest_bytes_total", "Bytes taken in.", &["protocol"])?,
            publishers: to.gauge("publishers", "Publishers connected.")?,
            rejected: to.counters("publishers_rejected_total", "Publish attempts refused.", &["reason"])?,
            spooled: to.gauge("spooled_segments", "Segments accepted and not delivered yet.")?,
            worker_restarts: to.gauges("worker_restarts", "Workers replaced since the start.", &["reason"])?,
            workers: to.gauge("workers", "Worker processes running.")?,
            quarantined: to.gauge("quarantined_inputs", "Inputs refused because they killed workers.")?,
            cards: Cards {
                up: to.gauges("card_up", "1 while the graphics card takes work.", &["uuid"])?,
                segments: to.gauges("card_segments", "Segments made on the card.", &["uuid"])?,
                errors: to.gauges("card_errors", "Segments it could not make, by class.", &["uuid", "class"])?,
                left: to.gauges("card_segments_left", "Segments left to the processors.", &["uuid", "reason"])?,
                all_sessions: to.gauges("encoder_sessions", "Encoder sessions of all cards.", &["state"])?,
                sessions: to.gauges("card_sessions", "Encoder sessions open on the card.", &["uuid"])?,
                overflowed: to.gauges("card_rungs_overflowed", "Renditions without a session.", &["uuid", "reason"])?,
                rungs: to.gauges("card_rungs", "Renditions of segments by who encoded them.", &["uuid", "by"])?,
                put_out: to.gauges("card_put_out", "Times the card was put out.", &["uuid", "reason"])?,
                readmitted: to.gauges("card_readmitted", "Times the card came back.", &["uuid"])?,
                temperature: to.gauges("card_temperature_celsius", "Of the card's chip.", &["uuid"])?,
                power: to.gauges("card_power_watts", "What the card draws.", &["uuid"])?,
                throttled: to.gauges("card_throttled", "1 while its clocks are slowed.", &["uuid", "reason"])?,
                decoder_busy: to.gauges("card_decoder_busy_ratio", "Of the time, its decoders work.", &["uuid"])?,
                encoder_busy: to.gauges("card_encoder_busy_ratio", "Of the time, its encoders work.", &["uuid"])?,
            },
            vulkan: Vulkan {
                up: to.gauges("vulkan_up", "1 while workers may have the device that scales.", &["device"])?,
                workers: to.gauges("vulkan_workers", "Workers that have the device.", &["device"])?,
                pictures: to.gauges("vulkan_pictures", "Pictures by who scaled them.", &["device", "by"])?,
                seconds: to.gauges("vulkan_seconds", "That its pictures took, summed up.", &["device"])?,
                errors: to.gauges("vulkan_errors", "Segments in which it failed, by class.", &["device", "class"])?,
                put_out: to.gauges("vulkan_put_out", "Times the device was put out.", &["device", "reason"])?,
                readmitted: to.gauges("vulkan_readmitted", "Times the device came back.", &["device"])?,
            },
            jobs: to.gauges("jobs", "Jobs of this key by stage.", &["state"])?,
            claims: to.gauges("claims", "Claims of this key by stage.", &["state"])?,
            transactions: to.counters("transactions_total", "Transactions by kind.", &["kind", "result"])?,
            transaction_states: to.gauges("transactions", "Transactions that are kept, by state.", &["state"])?,
            transactions_in_flight: to.gauge("transactions_in_flight", "Signed and in no block.")?,
            transactions_held: to.gauge("transactions_held", "1 while claims wait for a person.")?,
            budget_spent: to.gauges("budget_spent_wei", "Fees of the day, under way included.", &["kind"])?,
            budget_left: to.gauges("budget_left_wei", "Left of the day's budget.", &["kind"])?,
            budget_exhausted: to.gauges("budget_exhausted", "1 while a kind waits for its budget.", &["kind"])?,
            rpc: Providers {
                up: to.gauges("rpc_up", "1 while the provider is asked.", &["provider"])?,
                aside: to.gauges("rpc_set_aside", "1 while a quorum contradicts it.", &["provider"])?,
                requests: to.gauges("rpc_requests", "Requests since the start.", &["provider", "result"])?,
                disagreements: to.gauges("rpc_disagreements", "Answers contradicted by others.", &["provider"])?,
                head: to.gauges("rpc_head_block", "Newest block it told of.", &["provider"])?,
            },
            log_lines_dropped: to.gauge("log_lines_dropped", "Lines that nobody read in time.")?,
            incidents: to.gauge("incidents", "Lost claims, set aside for a person.")?,
            own_work_doubted: to
                .counter("own_work_doubted_total", "Jobs whose work was found wrong before a claim.")?,
            config_reloaded: to.gauge("config_last_reload_successful", "0 after SIGHUP and a mistake.")?,
            gas: to.gauges("gas_spent_wei", "Paid for transactions.", &["kind"])?,
            fees_earned: to.single("fees_earned_wei", "Credited by settled claims since the start.")?,
            balance: to.single("balance_wei", "The key's balance.")?,
            bonded: to.single("bonded_stake", "Bonded stake in the token's smallest unit.")?,
            head_block: to.gauge("chain_head_block", "Newest block seen.")?,
            head_age: to.single("chain_head_age_seconds", "Since the newest block was seen.")?,
            final_block: to.gauge("chain_final_block", "Newest block that is final.")?,
            reorgs: to.gauge("chain_reorgs", "Reorganisations seen since the start.")?,
            guard_healthy: to.gauge("guard_healthy", "1 while the signer answers.")?,
            guard_refusals: to.counters("guard_refusals_total", "Signatures refused.", &["rule"])?,
            peers: to.gauge("peers", "Connected peers.")?,
            registry: registry.clone(),
        };
        Ok(Arc::new(metrics))
    }

    /// The classic Prometheus text format.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing into memory fails only for a metric family without a name, and none is built by hand here.
        self.log_lines_dropped.set(crate::log::dropped() as i64);
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<T: prometheus::core::Collector + Clone + 'static>(&self, metric: T) -> Result<T, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(format!("headframe_{name}"), help)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(Self::opts(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Self::opts(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::with_opts(Self::opts(name, help))?)
    }

    fn single(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::with_opts(Self::opts(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.add(GaugeVec::new(Self::opts(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(HistogramOpts::from(Self::opts(name, help)).buckets(buckets))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: Vec<f64>,
    ) -> Result<HistogramVec, prometheus::Error> {
        self.add(HistogramVec::new(HistogramOpts::from(Self::opts(name, help)).buckets(buckets), labels)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_ours_and_has_help() {
        let metrics = Metrics::new().unwrap();
        metrics.segments.with_label_values(&[result::OK]).inc();
        let text = metrics.text();
        assert!(text.contains("headframe_segments_total{result=\"ok\"} 1"), "{text}");
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for line in names {
            assert!(line.starts_with("headframe_"), "{line}");
            let name = line.split(' ').next().unwrap();
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            assert_eq!(line.ends_with(" counter"), name.ends_with("_total"), "{line}");
        }
    }
}
