//! The command line. Its help is the manual.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measures this machine: against the ffmpeg command line, and against the clock.
///
/// Figures go to standard output, progress to standard error. All work is done by the program headframe-codec in its
/// sandbox, as on a rig, and its output is decoded again: speed without quality is void.
///
/// Exit codes: 0 done (gpu --accept: every demand met; guard: as fast as wanted; certify: at least one stream sustained;
/// verify: good signature), 1 failure, 2 usage, 3 gpu --accept: nothing missed, but not all measured, 78 keystore, password
/// or signer not usable.
#[derive(Debug, Parser)]
#[command(name = "headframe-bench", version, max_term_width = 100)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Compare(CompareOptions),
    Kernels(KernelsOptions),
    Latency(LatencyOptions),
    Density(DensityOptions),
    Gpu(GpuOptions),
    Guard(GuardOptions),
    Certify(CertifyOptions),
    Verify(VerifyOptions),
}

/// What is transcoded, and by which programs.
#[derive(Debug, Args)]
pub(crate) struct InputOptions {
    /// Video to transcode (H.264, any container ffmpeg reads), or a folder of segments in MPEG-TS, about 2 s each, which are
    /// taken as they are in the order of their names. Default: the clip that `./run clip` built, else a synthetic one
    #[arg(long, value_name = "FILE", env = crate::clip::VARIABLE)]
    pub(crate) clip: Option<PathBuf>,
    /// Seconds of the clip to use. Default: 60 to compare, all of the clip that `./run clip` built; 20 otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(crate) seconds: Option<u32>,
    /// Second of the clip to begin at
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub(crate) start: u32,
    /// Renditions as a JSON array of {name, width, height, bitrate_bps}. Default: 240p, 360p, 480p, 720p at 250, 800, 1600,
    /// 3000 kbit/s
    #[arg(long, value_name = "FILE")]
    pub(crate) ladder: Option<PathBuf>,
    /// An ffmpeg to compare with; give it several times for several opponents, of which the best counts for each
    /// figure. The first one also cuts the clip and decodes what is judged
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    pub(crate) ffmpeg: Vec<PathBuf>,
    /// The codec program. Default: headframe-codec beside this program, or $HEADFRAME_CODEC
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) codec: Option<PathBuf>,
}

/// The CPU ladder against the plain ffmpeg command line: same clip, same ladder, same encoder settings, same run.
///
/// Contestants take turns: our worker pool segment by segment; each ffmpeg over the whole clip; each ffmpeg once per 2 s
/// segment; ffmpeg with 1 and 2 threads per encoder, of which the better counts. Measured are time on the clock,
/// processor time (user and system, all processes), bit rate, and PSNR and SSIM against two references.
///
/// wall_ratio and cpu_ratio are ffmpeg's time over ours against the best continuous ffmpeg: above 1 we are faster. For
/// every rung the report says how much better or worse it is than that ffmpeg's, and whether by more than 0.05 dB.
///
/// `scripts/newest-ffmpeg` fetches the newest static ffmpeg and prints its path; `./run bench` does so by itself.
#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    #[command(flatten)]
    pub(crate) input: InputOptions,
    /// Rounds; every contestant runs once in each, and medians are compared
    #[arg(long, value_name = "N", default_value = "2", value_parser = number(1, 99))]
    pub(crate) runs: usize,
    /// Repeat a run during which others used the machine, at most N times, and keep the least disturbed
    #[arg(long, value_name = "N", default_value = "0", value_parser = number(0, 20))]
    pub(crate) retries: usize,
    /// Segments in our pool at once, as many as it has workers; several numbers, separated by commas, are contestants of
    /// their own, and the first one gives the ratios. Default: as a node has them, one for every two cores and one more
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = number(1, 64))]
    pub(crate) in_flight: Vec<usize>,
    /// Store everything found as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What our kernels cost for each 1080p picture, on every instruction set of this machine.
///
/// Timed are the ladder's scaler in 8 and in 10 bits, squared error, and the sums of SSIM, in processor time on one thread:
/// milliseconds for each picture and GB/s read and written. Two things put them in proportion: copying the source, which
/// is the memory floor, and FFmpeg's scalers (swscale, and zimg where the build has it) on the same ladder.
///
/// Ratios are FFmpeg's time over ours: above 1 we are faster.
#[derive(Debug, Args)]
pub(crate) struct KernelsOptions {
    /// Pictures in a round
    #[arg(long, value_name = "N", default_value = "60", value_parser = number(1, 10_000))]
    pub(crate) frames: usize,
    /// Rounds; every kernel runs once in each, and medians are compared
    #[arg(long, value_name = "N", default_value = "7", value_parser = number(1, 99))]
    pub(crate) rounds: usize,
    /// Renditions as a JSON array of {name, width, height, bitrate_bps}; only their sizes count here
    #[arg(long, value_name = "FILE")]
    pub(crate) ladder: Option<PathBuf>,
    /// An ffmpeg whose scalers to compare with; give it several times for several
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    pub(crate) ffmpeg: Vec<PathBuf>,
    /// Time our kernels alone
    #[arg(long, conflicts_with = "ffmpeg")]
    pub(crate) no_ffmpeg: bool,
    /// Store everything found as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// From a segment in to its first part and its last byte out, one segment at a time.
///
/// One worker is up and warm. In every round each segment of the clip goes through it, and through a fresh ffmpeg process
/// of each kind, in turns: that is what a server without a warm pool would start. Measured are the time from the segment
/// handed to the pool until every rendition's first half second and until its last byte is back, the latter also for the
/// first segment of a new stream and of a worker that has just come up, and that worker's start. Median, p95 and worst are over all segments and rounds.
///
/// latency_ratio is the best ffmpeg's median over ours: above 1 we are faster. Nothing else should run meanwhile.
#[derive(Debug, Args)]
pub(crate) struct LatencyOptions {
    #[command(flatten)]
    pub(crate) input: InputOptions,
    /// Rounds over all segments; a worker is started afresh once in each
    #[arg(long, value_name = "N", default_value = "5", value_parser = number(1, 99))]
    pub(crate) rounds: usize,
    /// Store everything found as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How many live ladders one core carries, by what each costs.
///
/// Streams play the clip as fast as they go: one alone, then as many at once as there are workers; the same with
/// continuous ffmpeg processes. Processor time for each second of video gives streams per core: 0.5 CPU seconds are 2
/// streams. That is the ceiling which work alone sets; how many streams stay on time is what certify finds.
///
/// density_ratio is our streams per core over the best ffmpeg's, with all workers busy: above 1 we carry more.
#[derive(Debug, Args)]
pub(crate) struct DensityOptions {
    #[command(flatten)]
    pub(crate) input: InputOptions,
    /// Codec workers, and streams at once. Default: the number of cores
    #[arg(long, value_name = "N", value_parser = number(1, 64))]
    pub(crate) workers: Option<usize>,
    /// Rounds; every contestant runs once in each, and medians are compared
    #[arg(long, value_name = "N", default_value = "3", value_parser = number(1, 99))]
    pub(crate) rounds: usize,
    /// Store everything found as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What one NVIDIA card does, and what it costs the machine that it is in.
///
/// First each part alone, with more at once until that gains nothing: decoding, scaling to all sizes, both together,
/// encoding. Then whole ladders as fast as they go, encoded by the card and, decoded and scaled by the card, by the
/// processors. Last, live: every stream gives a segment when it has played, which must be done within 0.8 of its length;
/// 1 % may be late. The most ladders that are on time are sustained_ladders.
///
/// For one live ladder the tables tell, for each second of its video: processor time, encoding in software apart from
/// everything else; bytes over PCIe to the card and back, counted where the engine hands them to the driver; and how much
/// of the card's memory one more ladder takes. An x1 riser is simulated: the same counts are made to take their time at
/// --riser MB/s in each direction. What the driver sends for itself is neither counted nor slowed down.
///
/// ffmpeg (-hwaccel cuda, scale_cuda, h264_nvenc) does the same ladder where it has been built with that. ladder_ratio is
/// our ladders over ffmpeg's: above 1 we are faster.
///
/// With --accept it also compares what the card makes with what the processors make, has its sandboxed worker make the clip,
/// decodes and scales 24 streams for five minutes, and says of each demand on a card whether it is met: exit code 1 if one
/// is missed, 3 if none is but something was not measured; then it says what, and how to get it. `scripts/gpu-accept` does
/// that for every card of a machine, after having held every kernel to its definition.
///
/// Without a card it says what is missing and exits with 1. None of this has run on a card with encoders yet: please open
/// an issue of the project with the report attached.
///
/// Nothing else should run on card and machine meanwhile. It takes some minutes.
#[derive(Debug, Args)]
pub(crate) struct GpuOptions {
    #[command(flatten)]
    pub(crate) input: InputOptions,
    /// The card, as `headframe-codec gpu` names it. Default: the first one
    #[arg(long, value_name = "UUID")]
    pub(crate) card: Option<String>,
    /// Look for the driver's libraries in this folder and nowhere else. Test doubles say that they are such
    #[arg(long, value_name = "DIR")]
    pub(crate) libraries: Option<PathBuf>,
    /// Most streams at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) streams: u32,
    /// Length of a step at full speed, seconds
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds_per_step: u64,
    /// Length of a step in real time, seconds; 0: none
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=3600))]
    pub(crate) live: u64,
    /// MB/s of the riser that is simulated; 200 is about what PCIe 1.0 x1 carries. 0: none
    #[arg(long, value_name = "MB/S", default_value_t = 200, value_parser = clap::value_parser!(u64).range(..=64_000))]
    pub(crate) riser: u64,
    /// Also say whether the card is one that a rig can use
    #[arg(long)]
    pub(crate) accept: bool,
    /// What `scripts/gpu-check` found of the kernels on this card, for --accept
    #[arg(long, value_name = "FILE", requires = "accept")]
    pub(crate) kernels: Option<PathBuf>,
    /// Length of the long step of --accept, seconds; less than 300 accepts no card
    #[arg(long, value_name = "S", requires = "accept", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) soak: Option<u64>,
    /// Store everything found as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl GpuOptions {
    /// Length of the long step, seconds; 0: none.
    pub(crate) fn soak_seconds(&self) -> u64 {
        if self.accept { self.soak.unwrap_or(crate::gpu::SOAK_SECONDS) } else { 0 }
    }
}

/// How fast the slashing protection checks and records what a rig signs.
///
/// Every statement is on the disk before it is answered. Wanted are a p99 of 25 ms at most with 8 asking at once, and 10,000
/// receipts a second with 512: exit code 1 where either is missed. With --signer also the whole way is measured: socket,
/// database and signature.
///
/// The disk decides: name a folder on that of the rig's signer. Nothing else should run meanwhile. It takes about ten seconds.
#[derive(Debug, Args)]
pub(crate) struct GuardOptions {
    /// Measure the disk of this folder. Default: that of temporary files, which may be memory
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Also measure this headframe-signer
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) signer: Option<PathBuf>,
    /// Receipts with many asking at once; a tenth of that with few
    #[arg(long, value_name = "N", default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    pub(crate) receipts: u64,
    /// Store everything found as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How many live streams this machine turns into ladders on time.
///
/// Each stream delivers a segment of 2 s every 2 s, from a phase and a part of the input of its own. A segment is late when
/// its renditions are ready later than 0.8 times its duration after its last byte arrived. The number of streams doubles
/// until too many segments are late, then the gap is halved; the result is confirmed by a step of twice the length, one
/// stream less where that fails. Outputs made under load are sampled and decoded: every picture must be there, no rendition
/// below the PSNR floor nor worse than the same one made alone.
///
/// The report is canonical JSON; its SHA-256 is signed (EIP-712) with the node's key. A signature says who measured, not
/// that it is true. Nothing else should run on the machine meanwhile.
#[derive(Debug, Args)]
pub(crate) struct CertifyOptions {
    /// Codec workers. Default: as a node has them, one for every two cores and one more
    #[arg(long, value_name = "N", value_parser = number(1, 64))]
    pub(crate) workers: Option<usize>,
    /// Length of a step, seconds; 60 or more for a certificate that others rely on
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=3600))]
    pub(crate) seconds_per_step: u64,
    /// Most streams to try
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) max: u32,
    /// Share of segments that may be late, 0 to 0.5
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = share)]
    pub(crate) lateness: f64,
    /// Least luma PSNR of any sampled rendition, dB
    #[arg(long, value_name = "DB", default_value = "22", value_parser = decibel)]
    pub(crate) psnr_floor: f64,
    /// Seed of phases, offsets and synthetic input
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Video the streams play. Default: the clip that `./run clip` built, else a synthetic one; 24 s of it are used
    #[arg(long, value_name = "FILE", env = crate::clip::VARIABLE)]
    pub(crate) clip: Option<PathBuf>,
    /// Second of the clip to begin at
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub(crate) start: u32,
    /// Use input made from the seed, whatever clip there is
    #[arg(long)]
    pub(crate) synthetic: bool,
    /// Renditions as a JSON array of {name, width, height, bitrate_bps}
    #[arg(long, value_name = "FILE")]
    pub(crate) ladder: Option<PathBuf>,
    /// Store the report, canonical JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Sign with the key of this keystore (Web3 version 3, or EIP-2335)
    #[arg(long, value_name = "FILE", requires = "password_file", conflicts_with = "signer")]
    pub(crate) keystore: Option<PathBuf>,
    /// File whose first line is the keystore's password
    #[arg(long, value_name = "FILE", requires = "keystore")]
    pub(crate) password_file: Option<PathBuf>,
    /// Have the node's running headframe-signer sign, over its socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) signer: Option<PathBuf>,
    /// How the node introduces itself to its signer, as JSON {chain_id, genesis, addresses, claims_on_chain}; must be
    /// right, since a signer that is told of another chain stops for good
    #[arg(long, value_name = "FILE", requires = "signer")]
    pub(crate) hello: Option<PathBuf>,
    /// The ffmpeg that cuts the input and decodes what is judged
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    pub(crate) ffmpeg: PathBuf,
    /// The codec program. Default: headframe-codec beside this program, or $HEADFRAME_CODEC
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) codec: Option<PathBuf>,
}

/// Checks a report of `certify`: its form, its hash and its signature, offline. One changed byte fails.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The report
    pub(crate) report: PathBuf,
    /// Whose signature it must be
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<alloy_primitives::Address>,
    /// Be content with a report that nobody signed
    #[arg(long, conflicts_with = "address")]
    pub(crate) allow_unsigned: bool,
}

fn number(least: usize, most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("want {least} to {most}")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=0.5).contains(share)).ok_or_else(|| "want 0 to 0.5".to_owned())
}

fn decibel(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|db| (0.0..=100.0).contains(db)).ok_or_else(|| "want 0 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let parse = |line: &str| Options::try_parse_from(line.split(' '));
        for bad in [
            "compare --runs 0",
            "compare --seconds 1",
            "compare --in-flight 1,65",
            "certify --lateness 0.6",
            "certify --lateness NaN",
            "certify --workers 0",
            "certify --keystore k",
            "certify --hello h",
            "gpu --streams 0",
            "guard --receipts 99",
            "gpu --seconds-per-step 0",
            "verify",
        ] {
            assert!(parse(&format!("headframe-bench {bad}")).is_err(), "{bad}");
        }
        assert!(parse("headframe-bench compare --in-flight 1,2 --runs 5").is_ok());
        assert!(parse("headframe-bench certify --keystore k --password-file p --lateness 0").is_ok());
    }
}
