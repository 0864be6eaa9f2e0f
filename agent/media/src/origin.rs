//! What has been published: files on disk and the list of them, for each stream.
//!
//! All renditions of a segment are listed at once or not at all. Segments that arrive out of order wait for those before
//! them; a segment that never comes becomes a gap with a discontinuity. The window slides, and what has left it stays
//! fetchable for as long again. After a restart everything is as it was. Every call but [`Origin::open`] and
//! [`Origin::publish`] answers from memory.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Ticks;
use crate::id::{BadName, StreamId, is_valid_name};
use crate::ingest::Resume;

mod store;
mod window;

use store::Store;
use window::{Late, Window};

/// How much is listed and kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Segments listed; more when they are so short that three target durations would not be covered. Default 10.
    pub window: usize,
    /// Lower bound of the target duration in seconds. It is fixed when the first segment is listed, so it must cover
    /// what comes later: cutting at the first IDR after 2 s gives up to 4 s with a key frame interval of 2 s. Default 4.
    pub target_duration: u32,
    /// How long segments wait for one that is missing before them. Default 8 s.
    pub gap_wait: Duration,
    /// Segments that may wait. Default 16.
    pub max_held: usize,
    /// Streams kept; to make room, the one that ended first is removed. Default 64.
    pub max_streams: usize,
    /// Bytes of all segments together. Default 8 GiB.
    pub max_disk_bytes: u64,
    /// Bytes of one segment of one rendition. Default 64 MiB.
    pub max_segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 10,
            target_duration: 4,
            gap_wait: Duration::from_secs(8),
            max_held: 16,
            max_streams: 64,
            max_disk_bytes: 8 << 30,
            max_segment_bytes: 64 << 20,
        }
    }
}

/// A rendition as players will be told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Name in URLs, such as `720p`.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What the encoder aims at, in bits a second: stands in until segments have been measured.
    pub bitrate: u64,
    /// RFC 6381 names, comma separated, such as `avc1.64001f,mp4a.40.2`.
    pub codecs: String,
    /// Pictures a second, where known.
    pub fps: Option<f64>,
}

/// A segment to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Number of the source segment.
    pub number: u64,
    /// When its first picture is shown.
    pub first_pts: Ticks,
    /// How long it lasts.
    pub duration: Ticks,
    /// The source is torn before it.
    pub discontinuity: bool,
    /// Wall clock time of its first picture; by default now, less the duration. Only the first one of a stream, and the
    /// first after a discontinuity, sets the program time; from there it follows the media. It also tells how late the
    /// segment is, see [`StreamStatus::delay_ms`].
    pub captured_at: Option<SystemTime>,
    /// One transport stream for each declared variant, by name, in any order.
    pub files: Vec<(String, Bytes)>,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Players can see it, together with this many segments that had waited for it.
    Listed {
        /// Segments that were listed after it.
        released: usize,
    },
    /// It waits for the segments before it.
    Held,
}

/// Why something was not published. Nothing of it has been kept.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// A name that could be read as a path.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A declaration without renditions, with too many, or with the same name twice.
    #[error("stream {stream}: {count} renditions were declared; give 1 to 16 with different names")]
    Variants {
        /// The stream.
        stream: StreamId,
        /// Renditions in the declaration.
        count: usize,
    },
    /// Nobody has declared the stream.
    #[error("stream {0} has not been declared")]
    UnknownStream(StreamId),
    /// As many streams as are allowed, and none of them has ended.
    #[error("all {0} streams are in use; end one or raise max_streams")]
    TooManyStreams(usize),
    /// The renditions are not the declared ones.
    #[error("segment {number} of stream {stream}: renditions {got:?} were given, {want:?} are declared")]
    Renditions {
        /// The stream.
        stream: StreamId,
        /// Number of the segment.
        number: u64,
        /// Names given.
        got: Vec<String>,
        /// Names declared.
        want: Vec<String>,
    },
    /// The segment has been published, or its place has been given up.
    #[error("segment {number} of stream {stream} came too late: {expected} is next")]
    Late {
        /// The stream.
        stream: StreamId,
        /// Number of the segment.
        number: u64,
        /// The number expected.
        expected: u64,
    },
    /// The segment is waiting already, or being written by another caller.
    #[error("segment {number} of stream {stream} is already there")]
    Duplicate {
        /// The stream.
        stream: StreamId,
        /// Number of the segment.
        number: u64,
    },
    /// Too large, too short or empty.
    #[error("segment {number} of stream {stream}: {what}")]
    Segment {
        /// The stream.
        stream: StreamId,
        /// Number of the segment.
        number: u64,
        /// What is wrong.
        what: String,
    },
    /// The budget for all streams is used up.
    #[error(
        "segment {number} of stream {stream} needs {bytes} bytes and {free} of the budget are free; raise max_disk_bytes or shorten the window"
    )]
    Budget {
        /// The stream.
        stream: StreamId,
        /// Number of the segment.
        number: u64,
        /// Bytes of the segment.
        bytes: u64,
        /// Bytes left of the budget.
        free: u64,
    },
    /// The disk refused, because it is full for instance.
    #[error("{path}: {source}; check space and permissions")]
    Disk {
        /// What was being read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A stream as seen from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamStatus {
    /// Public name.
    pub id: StreamId,
    /// Whether players can start: at least one segment is listed.
    pub ready: bool,
    /// Whether the stream is over.
    pub ended: bool,
    /// The renditions, as declared.
    pub variants: Vec<Variant>,
    /// Segments listed now.
    pub segments: usize,
    /// Segments that wait for one before them.
    pub held: usize,
    /// Number that the next segment must have to be listed at once.
    pub next_number: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments that never came.
    pub gaps: u64,
    /// From the end of what the newest segment shows, by the time it was captured, to its listing, in milliseconds: what
    /// a viewer at the live edge lags behind the camera.
    pub delay_ms: i64,
}

/// A segment to be sent to a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// A playlist and what its headers need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playlist {
    /// The text.
    pub text: String,
    /// It will not change any more.
    pub ended: bool,
}

/// All streams. Cheap to share behind an `Arc`; every method may be called from any thread.
#[derive(Debug)]
pub struct Origin {
    store: Store,
    settings: Settings,
    streams: RwLock<HashMap<StreamId, Arc<Mutex<Window>>>>,
}

impl Origin {
    /// Opens the folder `dir`, creating it if need be, and takes up the streams in it. Files that no index lists are
    /// removed; entries whose files are missing or cut short are dropped with everything before them.
    pub fn open(dir: impl Into<PathBuf>, settings: Settings) -> Result<Self, OriginError> {
        let store = Store::open(dir.into(), settings.max_disk_bytes)?;
        let streams = store.load()?.into_iter().map(|(id, window)| (id, Arc::new(Mutex::new(window)))).collect();
        Ok(Self { store, settings, streams: RwLock::new(streams) })
    }

    /// Creates a stream, or takes it up again after its end or a restart. Renditions of other names start a new list;
    /// the same names with other properties are a discontinuity.
    pub fn declare(&self, stream: &StreamId, variants: Vec<Variant>) -> Result<(), OriginError> {
        let mut names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        if let Some(bad) = names.iter().find(|name| !is_valid_name(name)) {
            return Err(BadName((*bad).chars().take(80).collect()).into());
        }
        names.sort_unstable();
        let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
        if twice || !(1..=16).contains(&variants.len()) {
            return Err(OriginError::Variants { stream: stream.clone(), count: variants.len() });
        }
        let window = match self.find(stream) {
            Some(window) => window,
            None => self.create(stream)?,
        };
        let mut window = lock(&window);
        let dropped = window.declare(variants);
        self.store.remove_segments(stream, &dropped);
        self.store.save(stream, &window)
    }

    fn create(&self, stream: &StreamId) -> Result<Arc<Mutex<Window>>, OriginError> {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = streams.get(stream) {
            return Ok(window.clone());
        }
        if streams.len() >= self.settings.max_streams {
            let ended = streams.iter().filter_map(|(id, window)| Some((lock(window).ended_ms?, id.clone())));
            let (_, oldest) = ended.min().ok_or(OriginError::TooManyStreams(self.settings.max_streams))?;
            if let Some(window) = streams.remove(&oldest) {
                self.store.remove_stream(&oldest, &lock(&window))?;
            }
        }
        let window = Arc::new(Mutex::new(Window::default()));
        streams.insert(stream.clone(), window.clone());
        Ok(window)
    }

    /// Writes a segment and lists it, or holds it while an earlier one is missing. On an error nothing of it remains.
    /// Blocks on the disk; different segments may be published at the same time.
    pub fn publish(&self, stream: &StreamId, segment: Publication) -> Result<Published, OriginError> {
        self.publish_at(stream, segment, SystemTime::now())
    }

    fn publish_at(&self, stream: &StreamId, segment: Publication, now: SystemTime) -> Result<Published, OriginError> {
        let window = self.find(stream).ok_or_else(|| OriginError::UnknownStream(stream.clone()))?;
        let now_ms = millis(now);
        let number = segment.number;
        let files = {
            let mut window = lock(&window);
            let files = self.check(stream, &window, &segment)?;
            window.begin(number).map_err(|late| match late {
                Late::Passed { expected } => OriginError::Late { stream: stream.clone(), number, expected },
                Late::Duplicate => OriginError::Duplicate { stream: stream.clone(), number },
            })?;
            files
        };
        // The lock is not held while writing: players and other segments go on.
        let written = self.store.write_segment(stream, number, &files);
        let mut window = lock(&window);
        let entry = match written {
            Ok(files) => window::Entry::new(&segment, files, now_ms),
            Err(error) => {
                window.abandon(number);
                return Err(error);
            }
        };
        if !window.arrive(entry) {
            // The variants were declared anew, or the place was given up, while the files were being written.
            self.store.remove_segments(stream, &[(number, files.iter().map(|(name, _)| name.clone()).collect())]);
            return Err(OriginError::Late { stream: stream.clone(), number, expected: window.next_number });
        }
        let before = window.next_number;
        window.advance(&self.settings, now_ms);
        let listed = window.next_number > number;
        let expired = window.expire(&self.settings);
        self.store.remove_segments(stream, &expired);
        self.store.save(stream, &window)?;
        let released = window.next_number.saturating_sub(before.max(number) + 1) as usize;
        Ok(if listed { Published::Listed { released } } else { Published::Held })
    }

    /// The files of a segment in the order of the variants.
    fn check(
        &self,
        stream: &StreamId,
        window: &Window,
        segment: &Publication,
    ) -> Result<Vec<(String, Bytes)>, OriginError> {
        let number = segment.number;
        let wrong = |what: String| OriginError::Segment { stream: stream.clone(), number, what };
        if number >= 1 << 53 {
            return Err(wrong("numbers from 2^53 on are not exact in a browser".into()));
        }
        let names = |files: &mut dyn Iterator<Item = &String>| files.cloned().collect::<Vec<_>>();
        let find = |variant: &Variant| segment.files.iter().find(|(name, _)| *name == variant.name).cloned();
        let files: Option<Vec<_>> = window.variants.iter().map(find).collect();
        let files =
            files.filter(|files| files.len() == segment.files.len()).ok_or_else(|| OriginError::Renditions {
                stream: stream.clone(),
                number,
                got: names(&mut segment.files.iter().map(|(name, _)| name)),
                want: names(&mut window.variants.iter().map(|variant| &variant.name)),
            })?;
        for (name, bytes) in &files {
            if bytes.is_empty() {
                return Err(wrong(format!("rendition {name} is empty")));
            }
            if bytes.len() as u64 > self.settings.max_segment_bytes {
                return Err(wrong(format!(
                    "rendition {name} has {} bytes; at most {} are taken",
                    bytes.len(),
                    self.settings.max_segment_bytes
                )));
            }
        }
        if !(1..=600 * crate::clock::TICKS_PER_SECOND).contains(&segment.duration) {
            return Err(wrong(format!(
                "a duration of {} ticks; more than 0 and at most 10 minutes are taken",
                segment.duration
            )));
        }
        Ok(files)
    }

    /// Says that the next segment will have this number, as a publisher's start tells: nothing before it is waited for.
    pub fn expect(&self, stream: &StreamId, number: u64) -> Result<(), OriginError> {
        self.change(stream, |window, settings, now| {
            window.expect(number);
            window.advance(settings, now);
        })
    }

    /// Says that segment `number` will never come, so that those after it need not wait.
    pub fn skip(&self, stream: &StreamId, number: u64) -> Result<(), OriginError> {
        self.change(stream, |window, settings, now| {
            window.skip(number);
            window.advance(settings, now);
        })
    }

    /// Ends a stream: what is held is listed, and players are told that nothing follows. [`Origin::declare`] revives it.
    pub fn end(&self, stream: &StreamId) -> Result<(), OriginError> {
        self.change(stream, Window::end)
    }

    fn change(&self, stream: &StreamId, with: impl FnOnce(&mut Window, &Settings, i64)) -> Result<(), OriginError> {
        let window = self.find(stream).ok_or_else(|| OriginError::UnknownStream(stream.clone()))?;
        let mut window = lock(&window);
        with(&mut window, &self.settings, millis(SystemTime::now()));
        let expired = window.expire(&self.settings);
        self.store.remove_segments(stream, &expired);
        self.store.save(stream, &window)
    }

    /// Removes a stream and its files.
    pub fn remove(&self, stream: &StreamId) -> Result<(), OriginError> {
        let removed = self.streams.write().unwrap_or_else(PoisonError::into_inner).remove(stream);
        let window = removed.ok_or_else(|| OriginError::UnknownStream(stream.clone()))?;
        let mut window = lock(&window);
        window.close(millis(SystemTime::now()));
        self.store.remove_stream(stream, &window)
    }

    /// All streams, by name.
    pub fn status(&self) -> Vec<StreamStatus> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = streams.iter().map(|(id, window)| lock(window).status(id)).collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// One stream.
    pub fn stream_status(&self, stream: &StreamId) -> Option<StreamStatus> {
        self.find(stream).map(|window| lock(&window).status(stream))
    }

    /// Where a publisher of this stream must go on after a restart; `None` for a stream without segments.
    pub fn resume(&self, stream: &StreamId) -> Option<Resume> {
        lock(&*self.find(stream)?).resume()
    }

    /// Bytes that all segments take on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.store.used()
    }

    /// The list of renditions; `None` before the first segment is listed, because players give up on an empty one.
    pub fn master(&self, stream: &StreamId) -> Option<Playlist> {
        let window = self.current(stream)?;
        let window = lock(&window);
        (!window.listed.is_empty())
            .then(|| Playlist { text: window.master().to_string(), ended: window.ended_ms.is_some() })
    }

    /// The list of a rendition's segments; `None` before the first segment is listed.
    pub fn media(&self, stream: &StreamId, rendition: &str) -> Option<Playlist> {
        let window = self.current(stream)?;
        let window = lock(&window);
        window.variants.iter().find(|variant| variant.name == rendition)?;
        (!window.listed.is_empty())
            .then(|| Playlist { text: window.media().to_string(), ended: window.ended_ms.is_some() })
    }

    /// A segment that is listed, or was until a short while ago.
    pub fn segment(&self, stream: &StreamId, rendition: &str, number: u64) -> Option<SegmentFile> {
        let window = self.find(stream)?;
        let window = lock(&window);
        let file = window.file(rendition, number)?;
        Some(SegmentFile {
            path: self.store.path(stream, rendition, number),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        })
    }

    fn find(&self, stream: &StreamId) -> Option<Arc<Mutex<Window>>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(stream).cloned()
    }

    /// As [`Origin::find`], with gaps given up whose time has come: players' requests are the only clock needed. The
    /// files of what leaves the list are removed by the next publication.
    fn current(&self, stream: &StreamId) -> Option<Arc<Mutex<Window>>> {
        let window = self.find(stream)?;
        lock(&window).advance(&self.settings, millis(SystemTime::now()));
        Some(window)
    }
}

fn lock(window: &Mutex<Window>) -> MutexGuard<'_, Window> {
    // A panic while a window is locked would be a bug in this module; its other users are better served than stopped.
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
