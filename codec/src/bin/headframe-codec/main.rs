//! `headframe-codec`: the sandboxed worker, and ways for a person to try it.

#![forbid(unsafe_code)]

mod codecs;
mod commit;
mod gpu;
mod gpu_measure;
mod gpu_test;
mod look;
mod selftest;
mod streams;
mod transcode;
mod verify;
mod vulkan;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use headframe_codec::nvidia::Uuid;
use headframe_codec::worker::sandbox::card::Modules;
use headframe_codec::worker::sandbox::{Profile, lie};
use headframe_codec::worker::{card as card_worker, serve};

#[derive(Parser)]
#[command(
    name = "headframe-codec",
    version,
    about = "Transcodes video segments in a sandbox",
    long_about = "Transcodes video segments in a sandbox.\n\n\
        One segment goes in: MPEG-TS (H.264 or HEVC video), or fragmented MP4 with its initialisation segment in front (AV1 \
        and VP9 too), with AAC, MPEG audio, AC-3, Opus or no sound. One MPEG-TS or CMAF segment per rendition comes out, with the same timestamps and every GOP beginning with an IDR picture. Decoding and encoding run in a child \
        process that can open no file and no network connection. `headframe` starts such children itself; this program \
        is for trying things out.",
    after_help = "Examples:\n  \
        headframe-codec transcode segment.ts --out renditions\n  \
        headframe-codec transcode clip.ts --out r --ladder ladder.json --json\n  \
        headframe-codec selftest"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make all renditions of one file
    #[command(after_help = "A ladder file is a JSON list of renditions:\n  \
        [{\"name\": \"720p\", \"width\": 1280, \"height\": 720, \"bitrate_bps\": 3000000,\n    \
        \"fps\": \"30\", \"gop_ms\": 1000, \"codec\": \"h264\", \"preset\": \"live\", \"rate\": \"capped\",\n    \
        \"container\": \"mpegts\"}]\n\
        fps (default: as the source), gop_ms (1000), codec (h264, hevc, or av1 in cmaf), preset (density, live \
        or quality), rate (capped, cbr or quality:N) and container (mpegts or cmaf) may be left out. Sizes are even numbers; a \
        rendition larger than the source is made all the same.\n\n\
        A CMAF rendition is two files: NAME-init.mp4, which is the same for every segment of a stream, and NAME.m4s. \
        To play it:\n  \
        cat out/720p-init.mp4 out/720p.m4s > 720p.mp4")]
    Transcode {
        /// MPEG-TS or fragmented MP4 file, at most 32 MiB, beginning with an IDR or key picture
        input: PathBuf,
        /// Folder for NAME.ts (or NAME-init.mp4 and NAME.m4s) of every rendition; made if it does not exist
        #[arg(long)]
        out: PathBuf,
        /// JSON file with the renditions; without it 240p, 360p, 480p and 720p
        #[arg(long)]
        ladder: Option<PathBuf>,
        /// Wrap all renditions in this, whatever the ladder says
        #[arg(long, value_parser = ["mpegts", "cmaf"])]
        container: Option<String>,
        /// Give up after this many seconds
        #[arg(long, default_value_t = 120)]
        timeout: u64,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the codecs that this machine's FFmpeg can make
    Codecs {
        /// Print the list as JSON: codec, and FFmpeg's name of the encoder
        #[arg(long)]
        json: bool,
    },
    /// Say what this machine's NVIDIA cards and their driver can do
    #[command(
        after_help = "Needs no card: without one it says what is missing. To learn what a card encodes, a session is \
        opened on it for a moment; where other programs hold all sessions of the system, it says so."
    )]
    Gpu {
        /// Look for the driver's libraries in this folder and nowhere else
        #[arg(long)]
        libraries: Option<PathBuf>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Say whether a card without CUDA scales with less work for the processors than they have without it
    #[command(
        after_help = "Tries the best device that is neither a software driver nor NVIDIA's own, or the one that is named: it has \
        to compute what the processors do, to the bit, and a 1080p picture has to take a quarter less of a processor, and no \
        more than 8 ms, with both ways over its link. `codec.vulkan = \"auto\"` in the configuration of `headframe` uses such a \
        device; naming one there uses it whether that is less work or not.\n\n\
        No card has run this yet: please open an issue of the project with what `--json` prints.\n\n\
        Examples:\n  \
        headframe-codec vulkan\n  \
        headframe-codec vulkan --device 'AMD Radeon RX 580' --json"
    )]
    Vulkan {
        /// Try this one: a name or UUID, as this command prints them
        #[arg(long)]
        device: Option<String>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Try the NVIDIA engine on a card of this machine, with your own segments
    #[command(
        after_help = "Exit code: 0 when what the card decodes and scales equals what the processors make to the byte, and \
        the card encoded every picture of every rung; 1 otherwise, with the reasons.\n\n\
        There are two engines: `direct` uses the driver's own interfaces, `ffmpeg` those of FFmpeg. `auto` has each make a \
        short stream, and takes the first one that makes it right.\n\n\
        No card has run this engine yet: please open an issue of the project with what `--json` prints.\n\n\
        Examples:\n  \
        ffmpeg -i clip.mp4 -c copy -f segment -segment_time 2 -segment_format mpegts s%03d.ts\n  \
        headframe-codec gpu-test s*.ts\n  \
        headframe-codec gpu-test s*.ts --streams 24 --seconds 300 --json > result.json"
    )]
    GpuTest(gpu_test::Options),
    /// Measure a card; `headframe-bench gpu` runs this and tells the result (internal)
    #[command(hide = true)]
    GpuMeasure(gpu_measure::Options),
    /// Say whether a rendition is what was ordered
    #[command(
        after_help = "Exit code: 0 it passes, 3 it fails, 4 it cannot be judged here (the source is damaged, or the \
        profile's reference encoder is another build), 1 the source or this machine is unusable, 2 usage.\n\n\
        Examples:\n  \
        headframe-codec verify segment.ts renditions/720p.ts --profile standard/720p\n  \
        headframe-codec verify segment.ts r.ts --profile ladder.json/360p --json"
    )]
    Verify(verify::Options),
    /// Compute what the operator of a segment binds itself to when the segment is drawn
    #[command(
        after_help = "Roots over the pictures of the source, over those that the scaler makes of them and those that each \
        rendition decodes to, over the squared errors between the two, and over each rendition's bytes. They do not depend \
        on the machine: compare them with what an operator answered.\n\n\
        Exit code: 0 with the roots, 1 without: the source is damaged, a rendition is not of the ordered form, or this \
        machine is unusable.\n\n\
        Examples:\n  \
        headframe-codec commit segment.ts r/240p.ts r/360p.ts r/480p.ts r/720p.ts\n  \
        headframe-codec commit segment.ts 720p.ts --ladder ladder.json --json"
    )]
    Commit(commit::Options),
    /// Judge what a parent process sends on standard input (internal)
    #[command(hide = true)]
    Judge(verify::HowOptions),
    /// Attack the sandbox from inside, and the pool with lies; prints what stopped each attempt
    #[command(after_help = "Exit code: 0 when every attempt was blocked, 1 otherwise: then do not run strangers' \
        segments on this machine.")]
    Selftest {
        /// Print the attempts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Serve a parent process on standard input (internal)
    #[command(hide = true)]
    Worker {
        #[command(flatten)]
        confinement: Confinement,
        /// With the graphics card of this UUID
        #[arg(long, value_parser = |text: &str| text.parse::<Uuid>())]
        card: Option<Uuid>,
        /// Look for the driver's libraries in this folder and nowhere else
        #[arg(long, requires = "card")]
        libraries: Option<PathBuf>,
        /// Have the device with this name or UUID scale
        #[arg(long, conflicts_with = "card")]
        vulkan: Option<String>,
    },
    /// Try one attack inside the sandbox (internal)
    #[command(hide = true)]
    Attack {
        name: String,
        #[command(flatten)]
        confinement: Confinement,
        #[arg(long)]
        without_seccomp: bool,
        /// Without any sandbox, to see that the attack is one; only those that do no harm
        #[arg(long, conflicts_with = "without_seccomp")]
        unconfined: bool,
        /// In the sandbox of a worker with a graphics card of NVIDIA's
        #[arg(long, conflicts_with_all = ["without_seccomp", "unconfined"])]
        card: bool,
        /// In the sandbox of a worker with another graphics card
        #[arg(long, conflicts_with_all = ["card", "without_seccomp", "unconfined"])]
        vulkan: bool,
    },
    /// Say what segments are, outside of the sandbox (internal)
    #[command(hide = true)]
    Look {
        #[arg(required = true)]
        segments: Vec<PathBuf>,
    },
    /// Prove a sandbox and then lie to the parent process on standard input (internal)
    #[command(hide = true)]
    Lie {
        name: String,
        #[command(flatten)]
        confinement: Confinement,
    },
}

#[derive(clap::Args)]
struct Confinement {
    /// Address space in bytes
    #[arg(long, default_value_t = 2 << 30)]
    memory: u64,
    /// Largest file in bytes
    #[arg(long, default_value_t = 64 << 20)]
    output: u64,
    /// Process id of the parent
    #[arg(long)]
    parent: Option<u32>,
}

impl Confinement {
    fn profile(&self) -> Profile {
        Profile { memory_bytes: self.memory, output_bytes: self.output, parent: self.parent, without_seccomp: false }
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Worker { confinement, card, libraries, vulkan } => {
            let profile = confinement.profile();
            let served = match card {
                Some(uuid) => card_worker::serve(&profile, uuid, libraries),
                None => serve::serve(&profile, vulkan.as_deref()),
            };
            served.map_err(|error| error.to_string())
        }
        Command::Attack { name, confinement, without_seccomp, unconfined, card, vulkan } => {
            let card = card.then_some(Modules::Nvidia).or(vulkan.then_some(Modules::Rendering));
            return selftest::attack(&name, &Profile { without_seccomp, ..confinement.profile() }, unconfined, card);
        }
        Command::Lie { name, confinement } => {
            lie::serve(&name, &confinement.profile()).map_err(|error| error.to_string())
        }
        Command::Look { segments } => {
            log_to_stderr();
            look::run(&segments)
        }
        Command::Transcode { input, out, ladder, container, timeout, json } => {
            log_to_stderr();
            transcode::ladder(ladder.as_deref(), container.as_deref())
                .and_then(|ladder| transcode::run(&input, &out, &ladder, timeout, json))
        }
        Command::Codecs { json } => {
            codecs::run(json);
            Ok(())
        }
        Command::Gpu { libraries, json } => {
            gpu::run(libraries, json);
            Ok(())
        }
        Command::Vulkan { device, json } => {
            vulkan::run(device.as_deref(), json);
            Ok(())
        }
        Command::GpuTest(options) => {
            log_to_stderr();
            gpu_test::run(&options)
        }
        Command::GpuMeasure(options) => {
            log_to_stderr();
            gpu_measure::run(&options)
        }
        Command::Commit(options) => {
            log_to_stderr();
            commit::run(&options)
        }
        Command::Verify(options) => return verify::run(&options),
        Command::Judge(how) => verify::judge(&how),
        Command::Selftest { json } => selftest::run(json),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("headframe-codec: {message}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
