//! The verdict on one rendition, for a person or a script.
//!
//! Both files may come from strangers, so they are decoded in a child process inside the worker's sandbox: this side
//! reads the files, hands them over a socket, and prints what comes back.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use headframe_codec::verify::{How, Judgement, Profile, Verdict, verify};
use headframe_codec::worker::sandbox;
use headframe_codec::{Ladder, Limits};
use headframe_kernels::Isa;
use headframe_kernels::metric::psnr_db;

/// Exit code of a rendition that fails.
const FAILED: u8 = 3;
/// Exit code of a rendition that nobody can judge here.
const ABSTAINED: u8 = 4;
/// Exit code of a profile that cannot be used.
const USAGE: u8 = 2;

/// What to verify, and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The segment as sent: MPEG-TS, H.264 or HEVC, beginning with an IDR picture
    source: PathBuf,
    /// The rendition as received: MPEG-TS, H.264
    rendition: PathBuf,
    /// What was ordered: standard/RUNG, LADDER.json/RUNG, or a profile's JSON file
    #[arg(long)]
    profile: String,
    /// Print verdict and evidence as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: HowOptions,
}

#[derive(clap::Args)]
pub(crate) struct HowOptions {
    /// Threads, 1 to 3; the verdict does not depend on them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Do without the processor's vector instructions; the verdict does not depend on them
    #[arg(long)]
    portable: bool,
}

impl HowOptions {
    fn how(&self) -> How {
        let isa = if self.portable { Isa::Portable } else { Isa::best() };
        How { isa, threads: usize::from(self.threads) }
    }
}

/// The parent's side.
pub(crate) fn run(options: &Options) -> ExitCode {
    let profile = match profile(&options.profile) {
        Ok(profile) => profile,
        Err(message) => {
            eprintln!("headframe-codec: --profile {}: {message}", options.profile);
            return ExitCode::from(USAGE);
        }
    };
    match in_sandbox(options, &profile) {
        Ok(judgement) => {
            if options.json {
                println!("{}", serde_json::to_string_pretty(&judgement).unwrap_or_default());
            } else {
                print_text(&judgement);
            }
            match judgement.verdict {
                Verdict::Pass => ExitCode::SUCCESS,
                Verdict::Fail { .. } => ExitCode::from(FAILED),
                Verdict::Abstain { .. } => ExitCode::from(ABSTAINED),
            }
        }
        Err(message) => {
            eprintln!("headframe-codec: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `standard/720p`, `ladder.json/720p`, or a file that holds a profile.
fn profile(text: &str) -> Result<Profile, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    if let Some(rung) = text.strip_prefix("standard/") {
        return Profile::of_rung(&Ladder::standard(), rung).map_err(|error| told(&error));
    }
    if Path::new(text).is_file() {
        let json = fs::read_to_string(text).map_err(|error| told(&error))?;
        return Profile::from_json(&json).map_err(|error| told(&error));
    }
    let Some((file, rung)) = text.rsplit_once('/') else {
        return Err("no such file; write standard/RUNG, LADDER.json/RUNG, or the name of a profile's file".to_owned());
    };
    let json = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let ladder: Ladder = serde_json::from_str(&json).map_err(|error| format!("{file}: {error}"))?;
    Profile::of_rung(&ladder, rung).map_err(|error| told(&error))
}

/// Reads at most one byte more than `limit`: enough to tell that a file is too large.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(told)?.take(limit + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}

fn in_sandbox(options: &Options, profile: &Profile) -> Result<Judgement, String> {
    let limits = Limits::default();
    let source = read(&options.source, limits.input_bytes)?;
    let rendition = read(&options.rendition, limits.output_bytes)?;
    let profile = serde_json::to_vec(profile).map_err(|error| error.to_string())?;
    let (mut ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let mut command = Command::new(program);
    command.args(["judge", "--threads", &options.how.threads.to_string()]);
    if options.how.portable {
        command.arg("--portable");
    }
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).env_clear();
    let child = command.spawn().map_err(|error| format!("cannot start the verifier: {error}"))?;
    // The command keeps its copy of the socket until it is dropped; the child reads to the end.
    drop(command);
    let sent = [&profile[..], &source, &rendition].iter().try_for_each(|part| {
        ours.write_all(&(part.len() as u64).to_le_bytes())?;
        ours.write_all(part)
    });
    // A child that dies early says why on standard error; its exit tells more than a broken pipe.
    let closed = sent.and_then(|()| ours.shutdown(Shutdown::Write));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("no verdict: the verifier ended with {}", output.status));
    }
    closed.map_err(|error| format!("cannot hand over the files: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("the verifier's answer cannot be read: {error}"))
}

/// The child's side: lock up, take the files, judge, answer on standard output.
pub(crate) fn judge(how: &HowOptions) -> Result<(), String> {
    let limits = Limits::default();
    let inside = sandbox::Profile {
        memory_bytes: 2 * limits.memory_bytes,
        output_bytes: limits.output_bytes,
        parent: None,
        without_seccomp: false,
    };
    sandbox::enter(&inside).map_err(|error| error.to_string())?;
    let mut input = std::io::stdin().lock();
    let mut part = |limit: u64| {
        let mut len = [0; 8];
        input.read_exact(&mut len).map_err(|error| error.to_string())?;
        let len = u64::from_le_bytes(len);
        if len > limit + 1 {
            return Err(format!("a part of {len} bytes, the limit is {limit}"));
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut input).take(len).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    };
    let (profile, source, rendition) = (part(1 << 20)?, part(limits.input_bytes)?, part(limits.output_bytes)?);
    let profile = Profile::from_json(&String::from_utf8_lossy(&profile)).map_err(|error| error.to_string())?;
    let judgement = verify(&source, &rendition, &profile, &limits, how.how()).map_err(|error| error.to_string())?;
    let text = serde_json::to_string(&judgement).map_err(|error| error.to_string())?;
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn print_text(judgement: &Judgement) {
    match &judgement.verdict {
        Verdict::Pass => println!("PASS"),
        Verdict::Fail { reason } => println!("FAIL     {reason}"),
        Verdict::Abstain { reason } => println!("ABSTAIN  {reason}"),
    }
    println!("rendition {}: {} bytes, {} pictures measured", judgement.rendition, judgement.bytes, judgement.pictures);
    if judgement.checks.is_empty() {
        return;
    }
    let all = judgement.samples * u64::from(judgement.pictures);
    println!(
        "luma     {:.2} dB, reference encode {:.2} dB; shown {} ticks late",
        psnr_db(judgement.luma_error.rendition, all),
        psnr_db(judgement.luma_error.reference, all),
        judgement.shift_ticks,
    );
    println!("\n{:<38} {:>14} {:>17}", "measure", "measured", "bound");
    for check in &judgement.checks {
        let sign = if check.at_least { ">=" } else { "<=" };
        let mark = if check.holds() { "" } else { "  BROKEN" };
        let at = check.picture.map(|picture| format!("  picture {picture}")).unwrap_or_default();
        let place = check.place.map(|(x, y)| format!(" at {x},{y}")).unwrap_or_default();
        println!("{:<38} {:>14} {sign} {:>14}{at}{place}{mark}", check.name, check.have, check.bound);
    }
}
