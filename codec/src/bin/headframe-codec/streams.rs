//! What trying and measuring a card share: the card, the segments, and streams of them that are made at once.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use headframe_codec::SegmentOut;
use headframe_codec::nvidia::{DeviceInfo, Driver, Source};

/// What is to be made, and where.
#[derive(clap::Args)]
pub(crate) struct Task {
    /// Segments of one stream, in order: MPEG-TS that begins with a key picture. Only files that you trust: they are read
    /// outside of the sandbox
    #[arg(required = true)]
    pub(crate) segments: Vec<PathBuf>,
    /// The card, as `headframe-codec gpu` names it. Default: the first one
    #[arg(long)]
    card: Option<String>,
    /// Look for the driver's libraries in this folder and nowhere else
    #[arg(long)]
    libraries: Option<PathBuf>,
    /// Ladder as JSON. Default: 240p to 720p
    #[arg(long)]
    pub(crate) ladder: Option<PathBuf>,
}

impl Task {
    /// Where the driver's libraries are.
    pub(crate) fn source(&self) -> Source {
        self.libraries.clone().map_or(Source::System, Source::Folder)
    }
}

/// The driver and the card that were named, or the system's and the first one.
pub(crate) fn card(task: &Task) -> Result<(Arc<Driver>, DeviceInfo), String> {
    let driver = Driver::open(&task.source()).map_err(|error| error.to_string())?;
    let cards = driver.devices().map_err(|error| error.to_string())?;
    let is_wanted = |card: &DeviceInfo| task.card.as_deref().is_none_or(|wanted| card.uuid.to_string() == wanted);
    let info = cards.into_iter().find(is_wanted);
    let info = info.ok_or("there is no such card; `headframe-codec gpu` lists those there are")?;
    Ok((driver, info))
}

/// The files' bytes.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let read = |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    paths.iter().map(read).collect()
}

/// What some streams came to.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) wall_s: f64,
    /// Video that was made, of 1/90000 s.
    ticks: i64,
    pub(crate) pictures: u64,
    /// Why streams ended early, at most one for each.
    pub(crate) errors: Vec<String>,
}

impl Done {
    pub(crate) fn video_s(&self) -> f64 {
        self.ticks as f64 / 90_000.0
    }
}

/// Makes a ladder of one segment.
pub(crate) type Make<'a> = dyn Fn(&[u8]) -> Result<SegmentOut, String> + Sync + 'a;

/// So many streams for so long: each begins at another segment, and with the next one as soon as one is done.
pub(crate) fn run(streams: usize, length: Duration, segments: &[Vec<u8>], make: &Make<'_>) -> Done {
    let started = Instant::now();
    let stream = |first: usize| {
        let (mut ticks, mut pictures) = (0, 0);
        for segment in segments.iter().cycle().skip(first) {
            if started.elapsed() >= length {
                break;
            }
            match make(segment) {
                Ok(out) => {
                    ticks += out.source.duration;
                    pictures += u64::from(out.source.frames);
                }
                Err(error) => return (ticks, pictures, Some(error)),
            }
        }
        (ticks, pictures, None)
    };
    let ended: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..streams).map(|i| scope.spawn(move || stream(i % segments.len()))).collect();
        let panicked = |_| (0, 0, Some("a thread panicked".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let mut done = Done { wall_s: started.elapsed().as_secs_f64(), ..Done::default() };
    for (ticks, pictures, error) in ended {
        done.ticks += ticks;
        done.pictures += pictures;
        done.errors.extend(error);
    }
    done
}

/// Processor time of this process, user and system (proc(5), fields 14 and 15 of `stat`, hundredths of a second).
pub(crate) fn process_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
