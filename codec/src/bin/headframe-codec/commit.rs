//! What an operator would be bound to for one segment, for a person to compare.
//!
//! The files may come from strangers: a worker decodes them inside its sandbox, as it does for the agent.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headframe_codec::commit::{Answer, Hash, Work, hex};
use headframe_codec::worker::{Pool, PoolConfig};
use headframe_codec::{Ladder, Limits, SegmentIn};
use headframe_kernels::metric::psnr_db;

/// What to commit to.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The segment as sent: MPEG-TS, H.264 or HEVC, beginning with an IDR picture
    source: PathBuf,
    /// The renditions as delivered: MPEG-TS, H.264, in the ladder's order
    #[arg(required = true)]
    renditions: Vec<PathBuf>,
    /// JSON file with the renditions ordered; without it 240p, 360p, 480p and 720p
    #[arg(long)]
    ladder: Option<PathBuf>,
    /// Hash of the errors that the order allows (0x and 64 digits): one for all renditions, or one for each; without it zeros
    #[arg(long = "limits", value_name = "HASH", value_parser = hash)]
    limits: Vec<Hash>,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

fn hash(text: &str) -> Result<Hash, String> {
    hex::parse(text).ok_or_else(|| "a hash is 0x and 64 hexadecimal digits".to_owned())
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let ladder = super::transcode::ladder(options.ladder.as_deref(), None)?;
    let timeout = Duration::from_secs(options.timeout);
    let limits = Limits { wall: timeout, ..Limits::default() };
    let source = read(&options.source, limits.input_bytes)?;
    let files = options.renditions.iter().map(|path| read(path, limits.output_bytes)).collect::<Result<Vec<_>, _>>()?;
    let renditions: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let error_limits = match options.limits[..] {
        [] => vec![Hash::default(); ladder.renditions().len()],
        [one] => vec![one; ladder.renditions().len()],
        _ => options.limits.clone(),
    };
    let program = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let pool = Pool::start(PoolConfig { program, limits, ..PoolConfig::default() });
    let pool = pool.map_err(|error| error.to_string())?;
    let name = options.source.file_name().unwrap_or_default().to_string_lossy();
    let source = SegmentIn { stream: &name, number: 0, bytes: &source };
    let work = Work { ladder: &ladder, error_limits: &error_limits, source, renditions: &renditions };
    let answer = pool.commit(&work, timeout).map_err(|error| error.to_string())?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&answer).map_err(|error| error.to_string())?);
    } else {
        print_text(&answer, &ladder);
    }
    Ok(())
}

/// Reads at most one byte more than `limit`: enough to tell that a file is too large.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(told)?.take(limit + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}

fn print_text(answer: &Answer, ladder: &Ladder) {
    let Answer { source, source_pictures, curve, cascade, rungs } = answer;
    println!("source   {}  {source_pictures} pictures", hex::text(source));
    println!("scaler   {curve:?}, {}", if *cascade { "small rungs from larger ones" } else { "all from the source" });
    for (rung, rendition) in rungs.iter().zip(ladder.renditions()) {
        let samples = u64::from(rung.width) * u64::from(rung.height) * u64::from(rung.pictures);
        println!(
            "\n{}: {}x{}, {} pictures, {} bytes, luma {:.2} dB",
            rendition.name,
            rung.width,
            rung.height,
            rung.pictures,
            rung.bytes,
            psnr_db(rung.luma, samples),
        );
        let roots = [
            ("content", &rung.content),
            ("scaled", &rung.scaled),
            ("decoded", &rung.decoded),
            ("errors", &rung.errors),
            ("limits", &rung.limits),
        ];
        roots.iter().for_each(|(name, root)| println!("{name:<8} {}", hex::text(root)));
    }
}
