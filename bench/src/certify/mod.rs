//! `headframe-bench certify`: how many live streams this machine turns into ladders on time.

pub(crate) mod judge;
pub(crate) mod load;
pub(crate) mod search;

use crate::clip::{self, Cut};
use crate::compare::quality::measure;
use crate::ffmpeg::Ffmpeg;
use crate::figures::build_of;
use crate::machine::{self, Machine, Meter};
use crate::options::CertifyOptions;
use crate::power::{PowerMeter, Unmeasured};
use crate::progress::Progress;
use crate::report::{self, Sign};
use crate::sign::Signer;
use crate::stage::{ladder, start_pool};
use anyhow::{Context as _, Result, bail};
use headframe_codec::worker::{Pool, usual_workers};
use headframe_codec::{Ladder, Rendition, SegmentIn, SegmentOut};
use judge::{Latency, Sampled, Settings};
use load::{Rig, Sample, Seen, Source, Step};
use search::Purpose;
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Segments of each confirming step whose pictures are looked at.
const SAMPLES: usize = 3;
/// A confirming step is longer than one of the search by this factor.
const CONFIRM: u32 = 2;
/// Input made or cut for the streams, seconds.
const INPUT_S: u32 = 24;

#[derive(Debug, Serialize)]
struct Certificate {
    tool: String,
    created_unix: u64,
    engine: &'static str,
    inventory: Inventory,
    settings: SettingsOut,
    steps: Vec<StepOut>,
    quality: Vec<Sampled>,
    /// Streams sustained at the same time; 0 when the report is void.
    sustained: u32,
    /// Why the result does not count.
    void: Option<String>,
}

#[derive(Debug, Serialize)]
struct Inventory {
    machine: Machine,
    codec: String,
    ffmpeg: String,
    commit: Option<String>,
}

#[derive(Debug, Serialize)]
struct SettingsOut {
    workers: usize,
    seconds_per_step: u64,
    max_streams: u32,
    late_limit_ppm: u64,
    on_time_per_mille: u32,
    psnr_floor_milli_db: i64,
    seed: u64,
    ladder: Vec<Rendition>,
    input: clip::Description,
}

#[derive(Debug, Clone, Serialize)]
struct StepOut {
    purpose: &'static str,
    streams: u32,
    segments: u64,
    late: u64,
    failed: u64,
    wrong_frames: u64,
    late_ppm: u64,
    /// What so few segments cannot rule out, at 95 % confidence.
    late_upper_ppm: u64,
    #[serde(flatten)]
    latency: Latency,
    /// Cores used by this certification on average, thousandths.
    cores_milli: u64,
    /// Cores used by everybody else.
    others_cores_milli: u64,
    worker_rss_mib: u64,
    /// Output pixels made, thousands in a second that all streams play: the market's units.
    units_per_second: u64,
    #[serde(flatten)]
    power: Power,
    cut_short: bool,
    sustained: bool,
}

/// What the processors drew on average, or why that is not known.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Power {
    Measured { processors_milliwatts: u64 },
    Not { unmeasured: Unmeasured },
}

impl From<Result<u64, Unmeasured>> for Power {
    fn from(measured: Result<u64, Unmeasured>) -> Self {
        let measured = measured.map(|processors_milliwatts| Self::Measured { processors_milliwatts });
        measured.unwrap_or_else(|unmeasured| Self::Not { unmeasured })
    }
}

/// Certifies this machine, prints the table, and stores the report where asked.
pub(crate) fn run(options: &CertifyOptions) -> Result<()> {
    let signer = signer(options)?;
    let ffmpeg = Ffmpeg::find(&options.ffmpeg).context("outputs are decoded with it to judge their quality")?;
    let codec = options.codec.clone().unwrap_or_else(headframe_codec::worker::codec_program);
    let ladder = ladder(options.ladder.as_deref())?;
    let progress = Progress::new();
    let folder = tempfile::Builder::new().prefix("headframe-bench-").tempdir().context("make a folder for inputs")?;
    let (input, cut) = input(&ffmpeg, folder.path(), options, &progress)?;
    let workers = options.workers.unwrap_or_else(|| usual_workers(machine::cores()));
    let pool = start_pool(&codec, workers)?;
    progress.step("warming up, and looking at the input");
    let (sources, input) = look(&pool, &ladder, (input, options.start), &cut)?;
    let settings = Settings::new((options.lateness * 1e6).round() as u64);
    let rig = Rig { pool: &pool, ladder: &ladder, sources: &sources, settings };

    let mut certificate = Certificate {
        tool: crate::TOOL.to_owned(),
        created_unix: machine::unix_time(),
        engine: "cpu",
        inventory: Inventory {
            machine: Machine::here(),
            codec: build_of(&codec),
            ffmpeg: ffmpeg.version().to_owned(),
            commit: machine::commit(),
        },
        settings: SettingsOut {
            workers,
            seconds_per_step: options.seconds_per_step,
            max_streams: options.max,
            late_limit_ppm: settings.late_ppm,
            on_time_per_mille: judge::ON_TIME_PER_MILLE,
            psnr_floor_milli_db: (options.psnr_floor * 1000.0).round() as i64,
            seed: options.seed,
            ladder: ladder.renditions().to_vec(),
            input,
        },
        steps: Vec::new(),
        quality: Vec::new(),
        sustained: 0,
        void: None,
    };
    let mut samples = Vec::new();
    let sustained = search::find(options.max, |streams, purpose| {
        let (step, seen) = probe(&rig, options, streams, purpose, &progress);
        certificate.steps.push(step.clone());
        if purpose == Purpose::Confirm {
            samples = seen.samples;
        }
        match seen.failure {
            Some(reason) if streams == 1 => bail!("a single stream fails: {reason}"),
            Some(reason) => progress.say(&format!("  a segment failed: {reason}")),
            None => {}
        }
        Ok(step.sustained)
    })?;
    certificate.sustained = sustained;
    if sustained > 0 {
        progress.step("judging the quality of what was made under load");
        certificate.quality = judge_samples(&ffmpeg, folder.path(), &rig, &cut, &certificate.settings.input, samples)?;
        let floor = certificate.settings.psnr_floor_milli_db;
        certificate.void = certificate.quality.iter().find_map(|sampled| sampled.fault(floor));
        if certificate.quality.is_empty() {
            certificate.void = Some("no output could be sampled".to_owned());
        }
        if certificate.void.is_some() {
            certificate.sustained = 0;
        }
    }
    pool.shutdown();
    progress.done();
    finish(&certificate, signer.as_ref(), options)
}

fn finish(certificate: &Certificate, signer: Option<&Signer>, options: &CertifyOptions) -> Result<()> {
    print(certificate);
    let Value::Object(fields) = serde_json::to_value(certificate)? else { bail!("a certificate is an object") };
    let sign = signer.map(|signer| move |tool: &str, hash| signer.sign(tool, hash));
    let sealed = report::seal(fields, sign.as_ref().map(|sign| sign as Sign<'_>))?;
    let verified = report::verify(sealed.as_bytes())?;
    println!("digest {}", verified.digest);
    match verified.signer {
        Some(address) => println!("signed by {address}"),
        None => println!("UNSIGNED: nobody vouches for this report; give --keystore and --password-file, or --signer"),
    }
    if let Some(path) = &options.json {
        fs::write(path, &sealed).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("stored in {}; check it with: headframe-bench verify {}", path.display(), path.display());
    }
    match &certificate.void {
        Some(reason) => bail!("void: speed without quality ({reason})"),
        None if certificate.sustained == 0 => bail!("this machine does not sustain a single stream of this ladder"),
        None => Ok(()),
    }
}

fn signer(options: &CertifyOptions) -> Result<Option<Signer>> {
    match (&options.keystore, &options.password_file, &options.signer) {
        (Some(keystore), Some(password), _) => Signer::keystore(keystore, password).map(Some),
        (_, _, Some(socket)) => Signer::socket(socket, options.hello.as_deref()).map(Some),
        _ => Ok(None),
    }
}

/// The clip that was named or built, or one made from the seed.
fn input(ffmpeg: &Ffmpeg, folder: &Path, options: &CertifyOptions, progress: &Progress) -> Result<(clip::Clip, Cut)> {
    let clip = match options.synthetic {
        true => None,
        false => clip::choose(options.clip.as_deref())?,
    };
    let clip = match clip {
        Some(clip) => clip,
        None => {
            progress.step("making the input from the seed");
            clip::synthesize(ffmpeg, folder, INPUT_S, (1920, 1080), options.seed)?
        }
    };
    progress.say(&format!("input: {} ({})", clip.path.display(), clip.origin));
    let cut = clip::cut(ffmpeg, &clip, folder, options.start, INPUT_S)?;
    Ok((clip, cut))
}

/// Transcodes every source once: they must work, and their durations set the pace.
fn look(
    pool: &Pool,
    ladder: &Ladder,
    (clip, start_s): (clip::Clip, u32),
    cut: &Cut,
) -> Result<(Vec<Source>, clip::Description)> {
    let (mut sources, mut frames, mut size) = (Vec::new(), 0, (0, 0));
    for (number, path) in cut.segments.iter().enumerate() {
        let bytes = fs::read(path)?;
        let segment = SegmentIn { stream: "input", number: number as u64, bytes: &bytes };
        let made =
            pool.transcode(ladder, segment, Duration::from_secs(120)).context("the input cannot be transcoded")?;
        let ticks = made.source.duration.clamp(9_000, 900_000).unsigned_abs();
        frames += u64::from(made.source.frames);
        size = (made.source.width, made.source.height);
        sources.push(Source { bytes, duration: Duration::from_micros(ticks * 100 / 9) });
    }
    let duration: Duration = sources.iter().map(|source| source.duration).sum();
    let description = clip::Description {
        file: clip.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        origin: clip.origin,
        start_s,
        segments: sources.len() as u64,
        frames,
        duration_ms: duration.as_millis() as u64,
        width: size.0,
        height: size.1,
        bytes: cut.bytes,
        sha256: cut.sha256.clone(),
    };
    Ok((sources, description))
}

fn probe(
    rig: &Rig<'_>,
    options: &CertifyOptions,
    streams: u32,
    purpose: Purpose,
    progress: &Progress,
) -> (StepOut, Seen) {
    let (factor, samples, name) = match purpose {
        Purpose::Search => (1, 0, "search"),
        Purpose::Confirm => (CONFIRM, SAMPLES, "confirm"),
    };
    let length = Duration::from_secs(options.seconds_per_step) * factor;
    progress.step(&format!("{name}: {streams} live streams for {} s", length.as_secs()));
    let (meter, before) = (Meter::start(), machine::used_by(&rig.pool.stats().pids));
    let power = PowerMeter::start();
    let seen = rig.run(Step { streams, length, seed: options.seed, samples });
    let power = power.milliwatts().into();
    let workers = (machine::used_by(&rig.pool.stats().pids) - before).max(0.0);
    let cost = meter.cost(meter.wall(), workers);
    let milli = |cores: f64| (cores * 1000.0).round() as u64;
    let tally = &seen.tally;
    let (late_ppm, late_upper_ppm) = tally.late_ppm();
    let step = StepOut {
        purpose: name,
        streams,
        segments: tally.total(),
        late: tally.late,
        failed: tally.failed,
        wrong_frames: tally.wrong_frames,
        late_ppm,
        late_upper_ppm,
        latency: tally.latency(),
        cores_milli: milli(cost.cpu_s() / cost.wall_s.max(0.001)),
        others_cores_milli: milli(cost.others_cores),
        worker_rss_mib: seen.rss_bytes >> 20,
        units_per_second: (seen.made.0.0 as f64 / seen.made.1.as_secs_f64().max(0.001) * f64::from(streams)) as u64,
        power,
        cut_short: seen.cut_short,
        sustained: tally.sustained(&rig.settings) && !seen.cut_short,
    };
    let verdict = if step.sustained { "sustained" } else { "too many" };
    progress.say(&format!(
        "{name}: {streams} streams: {} of {} late, p99 {} ms: {verdict}",
        step.late, step.segments, step.latency.p99_ms
    ));
    (step, seen)
}

/// Makes a segment that was kept again, alone. What a segment looks like depends on those that its rate control learned from:
/// every other one before it.
fn alone(rig: &Rig<'_>, sample: &Sample, stream: &str) -> Result<SegmentOut> {
    let mut number = sample.number % 2;
    loop {
        let bytes = &rig.sources[(sample.first + number as usize) % rig.sources.len()].bytes;
        let made = rig.pool.transcode(rig.ladder, SegmentIn { stream, number, bytes }, Duration::from_secs(120))?;
        if number >= sample.number {
            return Ok(made);
        }
        number += 2;
    }
}

/// Decodes what was kept and compares it with the source and with the same segment made alone.
fn judge_samples(
    ffmpeg: &Ffmpeg,
    folder: &Path,
    rig: &Rig<'_>,
    cut: &Cut,
    input: &clip::Description,
    samples: Vec<Sample>,
) -> Result<Vec<Sampled>> {
    let mut judged = Vec::new();
    for (at, sample) in samples.into_iter().enumerate() {
        let alone = alone(rig, &sample, &format!("alone-{at}"))?;
        for ((loaded, alone), rendition) in
            sample.made.renditions.iter().zip(&alone.renditions).zip(rig.ladder.renditions())
        {
            if rendition.fps.is_some() {
                continue; // not picture by picture comparable
            }
            let files = [("loaded.ts", &loaded.bytes), ("alone.ts", &alone.bytes)]
                .map(|(name, bytes)| (folder.join(name), bytes));
            for (path, bytes) in &files {
                fs::write(path, bytes)?;
            }
            let paths = [files[0].0.as_path(), files[1].0.as_path()];
            let source = (cut.segments[sample.source].as_path(), (input.width, input.height));
            let measured = measure(ffmpeg, source, rendition, &paths, false)?;
            let milli = |index: usize| (measured[index].by_headframe_scaler.psnr_y_db * 1000.0).round() as i64;
            judged.push(Sampled {
                segment: sample.source as u64,
                rendition: rendition.name.clone(),
                source_frames: measured[0].source_frames,
                frames: measured[0].frames,
                psnr_milli_db: milli(0),
                alone_psnr_milli_db: milli(1),
                same_bytes: loaded.bytes == alone.bytes,
            });
        }
    }
    Ok(judged)
}

fn print(certificate: &Certificate) {
    let machine = &certificate.inventory.machine;
    println!(
        "\n{}, {} cores, {}, {} MiB; {} workers",
        machine.cpu, machine.cores, machine.simd, machine.memory_mib, certificate.settings.workers
    );
    println!(
        "{:<9}{:>8}{:>10}{:>6}{:>12}{:>8}{:>8}{:>8}{:>8}{:>9}{:>8}",
        "", "streams", "segments", "late", "(<= 95 %)", "p50 ms", "p95 ms", "p99 ms", "max ms", "RSS MiB", "others"
    );
    for step in &certificate.steps {
        println!(
            "{:<9}{:>8}{:>10}{:>6}{:>11.1}%{:>8}{:>8}{:>8}{:>8}{:>9}{:>8.2}  {}{}",
            step.purpose,
            step.streams,
            step.segments,
            step.late,
            step.late_upper_ppm as f64 / 1e4,
            step.latency.p50_ms,
            step.latency.p95_ms,
            step.latency.p99_ms,
            step.latency.max_ms,
            step.worker_rss_mib,
            step.others_cores_milli as f64 / 1e3,
            if step.sustained { "sustained" } else { "too many" },
            if step.cut_short { ", cut short" } else { "" },
        );
    }
    for sampled in &certificate.quality {
        let psnr = sampled.psnr_milli_db as f64 / 1000.0;
        let same = if sampled.same_bytes { "same bytes as alone" } else { "other bytes than alone" };
        println!(
            "segment {:>3} {:<8} {} pictures, {psnr:.2} dB, {same}",
            sampled.segment, sampled.rendition, sampled.frames
        );
    }
    let others = certificate.steps.iter().map(|step| step.others_cores_milli).max().unwrap_or(0);
    if others > 150 {
        println!(
            "note: others used up to {:.2} cores meanwhile; alone, the machine may sustain more",
            others as f64 / 1e3
        );
    }
    match &certificate.void {
        Some(reason) => println!("\nVOID: {reason}"),
        None => println!("\nsustained: {} live streams", certificate.sustained),
    }
    if let Some(step) = certificate.steps.iter().rfind(|step| step.sustained) {
        print_power(step);
    }
}

/// What a price is made of: `node.pricing.cost`.
fn print_power(step: &StepOut) {
    println!("\nfor [node.pricing.cost]: units_per_second = {}", step.units_per_second);
    match step.power {
        Power::Measured { processors_milliwatts } => println!(
            "the processors drew {:.1} W meanwhile; watts is what the whole machine draws, which a meter at the wall tells",
            processors_milliwatts as f64 / 1e3
        ),
        Power::Not { unmeasured } => {
            println!("watts: {unmeasured}; a meter at the wall tells what the whole machine draws")
        }
    }
}
