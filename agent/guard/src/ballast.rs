//! Room that is kept on a disk for what must be on record although the disk is full: the proofs of claims that were made, without
//! which stake is lost. While it is not kept, no new claim is made.

use crate::paths;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes kept. A proof takes a few KiB on record.
pub const SIZE: u64 = 64 << 20;

/// Bytes that are free besides, or the room counts as gone.
const BESIDE: u64 = SIZE / 4;

/// A file of [`SIZE`] bytes beside a database, of no other use. It stays from one start to the next.
#[derive(Clone, Debug)]
pub struct Ballast(PathBuf);

impl Ballast {
    /// That of a database.
    pub fn beside(database: &Path) -> Self {
        Self(paths::beside(database, ".ballast"))
    }

    /// Whether the room is kept, and some is left beside it: whoever else fills the disk stops before proofs need theirs. What
    /// was given up is taken again once the disk has twice as much free.
    pub fn is_kept(&self) -> bool {
        let kept = fs::metadata(&self.0).is_ok_and(|file| file.len() == SIZE) || self.take().is_ok();
        kept && self.free().is_ok_and(|free| free >= BESIDE)
    }

    /// Gives the room up; whether there was any.
    pub fn give_up(&self) -> bool {
        let given = fs::remove_file(&self.0).is_ok();
        if given {
            tracing::error!(
                file = %self.0.display(),
                "the disk is full: the room that was kept for proofs is given up; no claim is made until {} MiB are free",
                (2 * SIZE) >> 20
            );
        }
        given
    }

    fn free(&self) -> io::Result<u64> {
        let disk = statvfs(paths::folder(&self.0))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn take(&self) -> io::Result<()> {
        if self.free()? < 2 * SIZE {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut file = File::create(&self.0)?;
        let taken = match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
            // Not every file system can: then it is written out.
            Err(rustix::io::Errno::OPNOTSUPP) => io::copy(&mut io::repeat(0).take(SIZE), &mut file).map(drop),
            taken => taken.map_err(io::Error::from),
        };
        taken.inspect_err(|_| drop(fs::remove_file(&self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_once_given_up_once_and_taken_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let ballast = Ballast::beside(&folder.path().join("guard.db"));
        assert!(!ballast.give_up(), "there is none yet");
        assert!(ballast.is_kept(), "this test needs {} MiB", (2 * SIZE) >> 20);
        let file = fs::metadata(folder.path().join("guard.db.ballast")).expect("its file");
        assert!(std::os::unix::fs::MetadataExt::blocks(&file) * 512 >= SIZE, "the room is promised, not taken");
        assert!(ballast.give_up() && !ballast.give_up());
        File::create(folder.path().join("guard.db.ballast")).expect("a file that a crash left");
        assert!(ballast.is_kept());
        assert_eq!(fs::metadata(folder.path().join("guard.db.ballast")).expect("its file").len(), SIZE);
        assert!(!Ballast::beside(&folder.path().join("nowhere/guard.db")).is_kept());
    }
}
