//! The files of all streams: `DIR/STREAM/RENDITION/N.ts` and `DIR/STREAM/index.json`.
//!
//! A file appears under its name only when it is complete. Nothing is synced to the medium: after a power cut the newest
//! files may be short, which [`Store::load`] notices by their length.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::OriginError;
use super::window::{FileInfo, Window};
use crate::id::StreamId;

const INDEX: &str = "index.json";

#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    used: AtomicU64,
    budget: u64,
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> OriginError + use<> {
    let path = path.to_owned();
    |source| OriginError::Disk { path, source }
}

impl Store {
    pub(super) fn open(root: PathBuf, budget: u64) -> Result<Self, OriginError> {
        fs::create_dir_all(&root).map_err(disk(&root))?;
        Ok(Self { root, used: AtomicU64::new(0), budget })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn path(&self, stream: &StreamId, rendition: &str, number: u64) -> PathBuf {
        self.root.join(stream.as_str()).join(rendition).join(format!("{number}.ts"))
    }

    /// Writes all renditions of a segment, or none.
    pub(super) fn write_segment(
        &self,
        stream: &StreamId,
        number: u64,
        files: &[(String, Bytes)],
    ) -> Result<BTreeMap<String, FileInfo>, OriginError> {
        let bytes = files.iter().map(|(_, data)| data.len() as u64).sum();
        self.reserve(bytes).map_err(|free| OriginError::Budget { stream: stream.clone(), number, bytes, free })?;
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| self.path(stream, name, number)).collect();
        let write = || {
            for ((_, data), path) in files.iter().zip(&paths) {
                write_file(&temporary(path), data)?;
            }
            paths.iter().try_for_each(|path| fs::rename(temporary(path), path).map_err(disk(path)))
        };
        if let Err(error) = write() {
            for path in &paths {
                let _ = (fs::remove_file(temporary(path)), fs::remove_file(path));
            }
            self.release(bytes);
            return Err(error);
        }
        let info = |data: &Bytes| {
            let sha256 = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
            FileInfo { bytes: data.len() as u64, sha256 }
        };
        Ok(files.iter().map(|(name, data)| (name.clone(), info(data))).collect())
    }

    fn reserve(&self, bytes: u64) -> Result<(), u64> {
        let fits = |used: u64| used.checked_add(bytes).filter(|total| *total <= self.budget);
        let reserved = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        reserved.map(|_| ()).map_err(|used| self.budget.saturating_sub(used))
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Removes files that no list names any more. One that cannot be removed is reported and stays counted.
    pub(super) fn remove_segments(&self, stream: &StreamId, doomed: &[(u64, Vec<String>)]) {
        for (number, name) in doomed.iter().flat_map(|(number, names)| names.iter().map(move |name| (*number, name))) {
            let path = self.path(stream, name, number);
            let removed = fs::metadata(&path).and_then(|meta| fs::remove_file(&path).map(|()| meta.len()));
            match removed {
                Ok(bytes) => self.release(bytes),
                Err(error) => warn!(%stream, number, rendition = name, %error, "could not remove an old segment"),
            }
        }
    }

    pub(super) fn remove_stream(&self, stream: &StreamId, window: &Window) -> Result<(), OriginError> {
        let folder = self.root.join(stream.as_str());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(&folder)(error)),
            _ => self.release(window.files().map(|(_, _, bytes)| bytes).sum()),
        }
        Ok(())
    }

    /// Replaces the index of a stream.
    pub(super) fn save(&self, stream: &StreamId, window: &Window) -> Result<(), OriginError> {
        let path = self.root.join(stream.as_str()).join(INDEX);
        let text = serde_json::to_vec(window).map_err(io::Error::other).map_err(disk(&path))?;
        write_file(&temporary(&path), &text)?;
        fs::rename(temporary(&path), &path).map_err(disk(&path))
    }

    /// Reads every stream and removes what belongs to none.
    pub(super) fn load(&self) -> Result<Vec<(StreamId, Window)>, OriginError> {
        let mut streams = Vec::new();
        for folder in entries(&self.root)? {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(id) = name.parse::<StreamId>() else { continue };
            let index = folder.join(INDEX);
            let window = match fs::read(&index).map(|text| serde_json::from_slice::<Window>(&text)) {
                Ok(Ok(window)) => Some(window),
                Ok(Err(error)) => {
                    warn!(stream = %id, %error, "the index cannot be read; the stream begins anew");
                    None
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(disk(&index)(error)),
            };
            let mut window = window.unwrap_or_default();
            let length = |name: &str, number| fs::metadata(self.path(&id, name, number)).map(|meta| meta.len()).ok();
            window.keep_intact(|entry| {
                entry.files.iter().all(|(name, file)| length(name, entry.number) == Some(file.bytes))
            });
            self.sweep(&id, &folder, &window)?;
            self.used.fetch_add(window.files().map(|(_, _, bytes)| bytes).sum(), Ordering::Relaxed);
            if !window.variants.is_empty() {
                streams.push((id, window));
            }
        }
        Ok(streams)
    }

    /// Removes half-written files and segments that the index does not name.
    fn sweep(&self, id: &StreamId, folder: &Path, window: &Window) -> Result<(), OriginError> {
        let wanted: HashSet<PathBuf> = window.files().map(|(number, name, _)| self.path(id, name, number)).collect();
        for rendition in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            for file in entries(&rendition)? {
                let ours = file.extension().is_some_and(|end| end == "ts" || end == "tmp");
                if ours && !wanted.contains(&file) {
                    fs::remove_file(&file).map_err(disk(&file))?;
                }
            }
        }
        Ok(())
    }
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// Writes a whole file, creating its folder when it is the first one in it.
fn write_file(path: &Path, data: &[u8]) -> Result<(), OriginError> {
    let create = || {
        fs::File::create(path).or_else(|error| match path.parent() {
            Some(folder) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                fs::File::create(path)
            }
            _ => Err(error),
        })
    };
    create().and_then(|mut file| file.write_all(data)).map_err(disk(path))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, OriginError> {
    let read = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    read().map_err(disk(folder))
}
