//! What a rig keeps until nobody can ask for it any more: sources and renditions of segments that may be drawn, and what
//! it answered for those that were.
//!
//! `segments/JOB/SEQ` has one segment: the number of pieces (u32, big-endian), their lengths (u64), the pieces, the
//! source first. `answers/CLAIM/SEED.json` has the answer of a claim to a draw with its secrets, on the disk before it is sent:
//! without them the claim could not be revealed, and an unrevealed claim costs its collateral. A reorganisation or a provider that
//! lies may show another draw: its answer does not take the place of the first. `incidents/CLAIM/` has all of that for a
//! claim that was lost, until a person takes it away; `incidents/told` has the claims that a person was told of.

use bytes::Bytes;
use headframe_guard::ballast::Ballast;
use headframe_market::content::{content_root, output_root};
use headframe_market::machine::{ClaimView, claim};
use headframe_market::merkle::Leaf;
use headframe_market::{Action, B256, ClaimId, JobId, SegmentNo};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Pieces of a segment: the source and at most 16 renditions.
const MAX_PIECES: u32 = 17;
/// Draws of one claim that are answered: a chain shows one or two, and somebody who makes them up is not served for ever.
const MAX_DRAWS: usize = 64;

/// A folder of evidence with a limit on its size.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    used: AtomicU64,
    limit: u64,
    /// Given up for an answer when the disk is full.
    ballast: Ballast,
}

/// A segment's bytes, checked against what was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) source: Bytes,
    pub(super) renditions: Vec<Bytes>,
}

/// Why evidence is not kept or not found.
#[derive(Debug, thiserror::Error)]
pub(super) enum EvidenceError {
    #[error("{} bytes are kept for claims that are not over, as many as node.evidence allows; free the disk and raise it, or claim sooner (node.claims)", .0)]
    Full(u64),
    #[error("segment {seq} of job {job} cannot be read: {source}")]
    Io { job: JobId, seq: SegmentNo, source: io::Error },
    #[error("segment {seq} of job {job} on disk is not what was claimed")]
    Changed { job: JobId, seq: SegmentNo },
}

impl Store {
    /// Opens the folder and counts what is in it.
    pub(super) fn open(dir: &Path, limit: u64, ballast: Ballast) -> io::Result<Self> {
        fs::create_dir_all(dir.join("segments"))?;
        fs::create_dir_all(dir.join("answers"))?;
        fs::create_dir_all(dir.join("incidents"))?;
        let store = Self { dir: dir.to_owned(), used: AtomicU64::new(0), limit, ballast };
        for job in store.jobs()? {
            for (path, _) in files(&store.job_dir(job))? {
                store.used.fetch_add(fs::metadata(path)?.len(), Ordering::Relaxed);
            }
        }
        Ok(store)
    }

    /// Bytes kept.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether more can be kept.
    pub(super) fn has_room(&self) -> Result<(), EvidenceError> {
        if self.used() < self.limit { Ok(()) } else { Err(EvidenceError::Full(self.used())) }
    }

    /// Jobs of which something is kept.
    pub(super) fn jobs(&self) -> io::Result<Vec<JobId>> {
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().map(JobId);
        let entries = fs::read_dir(self.dir.join("segments"))?.collect::<io::Result<Vec<_>>>()?;
        Ok(entries.into_iter().filter_map(number).collect())
    }

    /// Keeps a segment, whole or not at all; one that is kept already is written anew.
    pub(super) fn keep(&self, job: JobId, seq: SegmentNo, source: &[u8], renditions: &[Vec<u8>]) -> io::Result<()> {
        let dir = self.job_dir(job);
        fs::create_dir_all(&dir)?;
        let path = dir.join(seq.to_string());
        let old = fs::metadata(&path).map_or(0, |data| data.len());
        let aside = path.with_extension("new");
        // What a full disk did not take whole takes no room from anybody.
        write(&aside, source, renditions).inspect_err(|_| drop(fs::remove_file(&aside)))?;
        fs::rename(&aside, &path)?;
        self.used.fetch_add(fs::metadata(&path)?.len(), Ordering::Relaxed);
        self.used.fetch_sub(old, Ordering::Relaxed);
        Ok(())
    }

    /// Whether something is kept of a segment.
    pub(super) fn has(&self, leaf: &Leaf) -> bool {
        self.job_dir(leaf.job).join(leaf.seq.to_string()).exists()
    }

    /// A segment as it was claimed.
    pub(super) fn load(&self, leaf: &Leaf) -> Result<Kept, EvidenceError> {
        let (job, seq) = (leaf.job, leaf.seq);
        let kept = self.read(job, seq).map_err(|source| EvidenceError::Io { job, seq, source })?;
        let roots: Vec<_> = kept.renditions.iter().map(|bytes| content_root(bytes)).collect();
        if content_root(&kept.source) != leaf.src_root || output_root(&roots) != leaf.out_root {
            return Err(EvidenceError::Changed { job, seq });
        }
        Ok(kept)
    }

    /// A segment's bytes as they are on disk.
    pub(super) fn read(&self, job: JobId, seq: SegmentNo) -> io::Result<Kept> {
        let cut = || io::Error::new(io::ErrorKind::InvalidData, "the file is cut off");
        let mut bytes = Vec::new();
        File::open(self.job_dir(job).join(seq.to_string()))?.read_to_end(&mut bytes)?;
        let mut bytes = Bytes::from(bytes);
        let count = bytes.get(..4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes).ok_or_else(cut)?;
        if count == 0 || count > MAX_PIECES {
            return Err(cut());
        }
        let heads = bytes.get(4..4 + 8 * count as usize).ok_or_else(cut)?;
        let lengths = heads.chunks_exact(8).map(|eight| u64::from_be_bytes(eight.try_into().unwrap_or_default()));
        let lengths: Vec<usize> = lengths.map(|length| usize::try_from(length).unwrap_or(usize::MAX)).collect();
        let _ = bytes.split_to(4 + heads.len());
        let mut pieces = Vec::with_capacity(lengths.len());
        for length in lengths {
            if length > bytes.len() {
                return Err(cut());
            }
            pieces.push(bytes.split_to(length));
        }
        let source = pieces.remove(0);
        Ok(Kept { source, renditions: pieces })
    }

    /// Forgets the segments of a job from `first` to before `end` but for those in `drawn`.
    pub(super) fn keep_only(&self, job: JobId, first: u64, end: u64, drawn: &BTreeSet<u64>) -> io::Result<()> {
        for (path, seq) in files(&self.job_dir(job))? {
            if (first..end).contains(&seq) && !drawn.contains(&seq) {
                let length = fs::metadata(&path)?.len();
                fs::remove_file(path)?;
                self.used.fetch_sub(length, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Forgets a job.
    pub(super) fn forget(&self, job: JobId) -> io::Result<()> {
        self.keep_only(job, 0, u64::MAX, &BTreeSet::new())?;
        match fs::remove_dir_all(self.job_dir(job)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps the answer of a claim to the draw of `seed`. On the disk when it returns: also on a full one, as long as room was kept.
    pub(super) fn keep_answer(&self, claim: ClaimId, seed: B256, answer: &Action) -> io::Result<()> {
        match self.write_answer(claim, seed, answer) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.ballast.give_up() => {
                self.write_answer(claim, seed, answer)
            }
            written => written,
        }
    }

    fn write_answer(&self, claim: ClaimId, seed: B256, answer: &Action) -> io::Result<()> {
        let (folder, path) = (self.answers_dir(claim), self.answer_path(claim, seed));
        fs::create_dir_all(&folder)?;
        if !path.exists() && fs::read_dir(&folder)?.count() >= MAX_DRAWS {
            return Err(io::Error::other(format!(
                "{MAX_DRAWS} draws of this claim were answered: most were never on the chain"
            )));
        }
        let aside = path.with_extension("new");
        let mut file = File::create(&aside)?;
        serde_json::to_writer(&mut file, answer)?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(folder)?.sync_all()?;
        File::open(self.dir.join("answers"))?.sync_all()
    }

    /// The kept answer of a claim to its draw. Two seeds may draw the same segments, one of them made up: then what was said of
    /// them first is what is said, because it may be on the chain.
    pub(super) fn answer(&self, view: &ClaimView) -> io::Result<Option<Action>> {
        let own = read_answer(&self.answer_path(view.id, view.seed))?;
        if own.as_ref().is_some_and(|answer| claim::answers(view, answer)) {
            return Ok(own);
        }
        let others = match fs::read_dir(self.answers_dir(view.id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            others => others?,
        };
        for other in others {
            let path = other?.path();
            let kept = if path.extension().is_some_and(|end| end == "json") { read_answer(&path)? } else { None };
            if kept.as_ref().is_some_and(|answer| claim::answers(view, answer)) {
                return Ok(kept);
            }
        }
        Ok(None)
    }

    /// Forgets the answers of a claim that is over.
    pub(super) fn forget_answers(&self, claim: ClaimId) -> io::Result<()> {
        match fs::remove_dir_all(self.answers_dir(claim)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets what is kept of a lost claim aside, with the claim as the chain shows it. Where, and `None` when that was said before,
    /// whether the folder is still there or not. On the disk when it returns.
    pub(super) fn set_aside(&self, view: &ClaimView) -> io::Result<Option<PathBuf>> {
        let all = self.dir.join("incidents");
        let (place, aside) = (all.join(view.id.to_string()), all.join(format!("{}.new", view.id)));
        let mut told = File::options().read(true).append(true).create(true).open(all.join("told"))?;
        let mut before = String::new();
        told.read_to_string(&mut before)?;
        if before.lines().any(|line| line == view.id.to_string()) {
            return Ok(None);
        }
        if !place.exists() {
            self.move_aside(view, &aside)?;
            fs::rename(&aside, &place)?;
        }
        writeln!(told, "{}", view.id)?;
        told.sync_all()?;
        File::open(all)?.sync_all()?;
        Ok(Some(place))
    }

    fn move_aside(&self, view: &ClaimView, aside: &Path) -> io::Result<()> {
        fs::create_dir_all(aside)?;
        let mut file = File::create(aside.join("claim.json"))?;
        serde_json::to_writer_pretty(&mut file, view)?;
        file.sync_all()?;
        match fs::rename(self.answers_dir(view.id), aside.join("answers")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let range = view.first.0..view.first.0 + u64::from(view.count);
        for (path, seq) in files(&self.job_dir(view.job))?.into_iter().filter(|(_, seq)| range.contains(seq)) {
            let length = fs::metadata(&path)?.len();
            fs::rename(path, aside.join(seq.to_string()))?;
            self.used.fetch_sub(length, Ordering::Relaxed);
        }
        File::open(aside)?.sync_all()
    }

    /// Lost claims that nobody has taken away.
    pub(super) fn incidents(&self) -> usize {
        let entries = fs::read_dir(self.dir.join("incidents")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    }

    fn job_dir(&self, job: JobId) -> PathBuf {
        self.dir.join("segments").join(job.to_string())
    }

    fn answers_dir(&self, claim: ClaimId) -> PathBuf {
        self.dir.join("answers").join(claim.to_string())
    }

    fn answer_path(&self, claim: ClaimId, seed: B256) -> PathBuf {
        self.answers_dir(claim).join(format!("{seed:x}.json"))
    }
}

/// The file of a segment; see the top.
fn write(path: &Path, source: &[u8], renditions: &[Vec<u8>]) -> io::Result<()> {
    let mut file = io::BufWriter::new(File::create(path)?);
    let pieces = || [source].into_iter().chain(renditions.iter().map(Vec::as_slice));
    file.write_all(&(pieces().count() as u32).to_be_bytes())?;
    pieces().try_for_each(|piece| file.write_all(&(piece.len() as u64).to_be_bytes()))?;
    pieces().try_for_each(|piece| file.write_all(piece))?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()
}

fn read_answer(answer: &Path) -> io::Result<Option<Action>> {
    match fs::read(answer) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Files of a folder whose names are numbers; none where there is no folder.
fn files(dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let numbered = |entry: fs::DirEntry| Some((entry.path(), entry.file_name().to_str()?.parse().ok()?));
    Ok(entries.into_iter().filter_map(numbered).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use headframe_market::Units;
    use headframe_market::action::Secret;
    use headframe_market::machine::claim::Evidence;
    use headframe_market::machine::draws;
    use headframe_market::merkle::SumTree;

    const JOB: JobId = JobId(3);

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1000, Ballast::beside(&dir.path().join("outbox.db"))).unwrap();
        (dir, store)
    }

    fn leaf(source: &[u8], renditions: &[Vec<u8>]) -> Leaf {
        let roots: Vec<_> = renditions.iter().map(|bytes| content_root(bytes)).collect();
        Leaf {
            job: JOB,
            seq: SegmentNo(1),
            src_root: content_root(source),
            out_root: output_root(&roots),
            units: Units(1),
            out_bytes: 1,
        }
    }

    #[test]
    fn what_is_kept_comes_back_after_a_restart_and_a_changed_byte_is_noticed() {
        let (dir, store) = store();
        let renditions = vec![vec![1u8; 10], vec![2; 20]];
        store.keep(JOB, SegmentNo(1), b"source", &renditions).unwrap();
        store.keep(JOB, SegmentNo(1), b"source", &renditions).unwrap();
        let used = store.used();
        drop(store);
        let store = Store::open(dir.path(), 1000, Ballast::beside(&dir.path().join("outbox.db"))).unwrap();
        assert_eq!((store.used(), store.jobs().unwrap()), (used, vec![JOB]));
        let kept = store.load(&leaf(b"source", &renditions)).unwrap();
        assert_eq!((kept.source.as_ref(), kept.renditions[1].as_ref()), (b"source".as_ref(), [2u8; 20].as_ref()));
        let path = dir.path().join("segments/3/1");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let changed = store.load(&leaf(b"source", &renditions));
        assert!(matches!(changed, Err(EvidenceError::Changed { .. })));
        for length in [0, 3, 10, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(store.load(&leaf(b"source", &renditions)), Err(EvidenceError::Io { .. })), "{length}");
        }
    }

    #[test]
    fn segments_that_were_not_drawn_are_forgotten_and_room_comes_back() {
        let (_dir, store) = store();
        for seq in 0..10 {
            store.keep(JOB, SegmentNo(seq), &[7; 80], &[vec![1; 20]]).unwrap();
        }
        assert!(matches!(store.has_room(), Err(EvidenceError::Full(1200))));
        store.keep_only(JOB, 0, 8, &BTreeSet::from([2, 5])).unwrap();
        store.has_room().unwrap();
        let there = |seq| store.read(JOB, SegmentNo(seq)).is_ok();
        assert_eq!((0..10).filter(|seq| there(*seq)).collect::<Vec<_>>(), [2, 5, 8, 9]);
        store.forget(JOB).unwrap();
        store.forget(JOB).unwrap();
        assert_eq!((store.used(), store.jobs().unwrap().len()), (0, 0));
    }

    #[test]
    fn what_is_kept_of_a_lost_claim_is_set_aside_once() {
        let (dir, store) = store();
        let id = ClaimId::of(JOB, SegmentNo(1)).unwrap();
        let view = ClaimView { first: SegmentNo(1), count: 2, ..lost(id) };
        for seq in 0..4 {
            store.keep(JOB, SegmentNo(seq), b"source", &[vec![1; 20]]).unwrap();
        }
        let used = store.used();
        let place = store.set_aside(&view).unwrap().unwrap();
        assert_eq!((store.set_aside(&view).unwrap(), store.incidents(), store.used()), (None, 1, used / 2));
        let kept: ClaimView = serde_json::from_slice(&fs::read(place.join("claim.json")).unwrap()).unwrap();
        assert_eq!(kept, view);
        store.forget(JOB).unwrap();
        let store = Store::open(dir.path(), 1000, Ballast::beside(&dir.path().join("outbox.db"))).unwrap();
        assert!(place.join("1").exists() && place.join("2").exists() && !place.join("3").exists());
        assert_eq!((store.used(), store.set_aside(&view).unwrap()), (0, None));
        fs::remove_dir_all(place).unwrap();
        assert_eq!((store.incidents(), store.set_aside(&view).unwrap()), (0, None), "who took it away has looked");
    }

    fn lost(id: ClaimId) -> ClaimView {
        ClaimView {
            id,
            job: JOB,
            client: headframe_market::Address::ZERO,
            operator: headframe_market::Address::ZERO,
            first: SegmentNo(0),
            count: 1,
            units: Units(1),
            state: headframe_market::machine::ClaimState::Missed,
            root: headframe_market::B256::ZERO,
            drawn: 1,
            seed: headframe_market::B256::ZERO,
            seed_block: headframe_market::BlockNo(1),
            answer_until: headframe_market::Timestamp(1),
            attest_until: headframe_market::Timestamp(1),
            reveal_until: headframe_market::Timestamp(1),
            contest_until: headframe_market::Timestamp(1),
            holds: 0,
            fee: headframe_market::Wei(1),
        }
    }

    /// A claim of two segments with one draw, and a seed for each of them.
    fn drawn() -> (ClaimView, Vec<Evidence>, [Vec<B256>; 2]) {
        let leaf = |seq| Leaf { seq: SegmentNo(seq), ..leaf(b"source", &[vec![1]]) };
        let leaves = [leaf(0), leaf(1)];
        let root = SumTree::new(&leaves).unwrap().root();
        let evidence = leaves.map(|leaf| Evidence {
            leaf,
            src_bytes: 6,
            duration_ms: 2000,
            client_signature: headframe_market::Bytes::new(),
        });
        let units = Units(root.sum);
        let nobody = headframe_market::Address::ZERO;
        let root = headframe_market::merkle::bound(root.hash, nobody, nobody);
        let view = ClaimView { count: 2, units, root, ..lost(ClaimId(9)) };
        let second = |seed: &B256| draws(*seed, 1, units)[0] >= units.0 / 2;
        let (two, one) = (1..=255).map(B256::repeat_byte).partition(second);
        (view, evidence.into(), [one, two])
    }

    #[test]
    fn an_answer_is_kept_for_its_draw_until_its_claim_is_over() {
        let (_dir, store) = store();
        let (view, evidence, [first, second]) = drawn();
        let at = |seed: B256| ClaimView { seed, ..view.clone() };
        let answer = |seed: B256, salt| {
            let secret = Secret { digest: B256::ZERO, salt: B256::repeat_byte(salt) };
            claim::answer(&at(seed), claim::openings(&at(seed), &evidence).unwrap(), vec![secret])
        };
        let keep = |seed, salt| store.keep_answer(view.id, seed, &answer(seed, salt));
        assert_eq!(store.answer(&at(first[0])).unwrap(), None);
        keep(first[0], 1).unwrap();
        assert_eq!(store.answer(&at(second[0])).unwrap(), None, "that draw is of the other segment");
        assert_eq!(store.answer(&at(first[1])).unwrap(), Some(answer(first[0], 1)), "one draw has one answer");
        keep(second[0], 2).unwrap();
        assert_eq!(store.answer(&at(first[0])).unwrap(), Some(answer(first[0], 1)), "another takes no answer's place");
        assert_eq!(store.answer(&at(second[0])).unwrap(), Some(answer(second[0], 2)));
        for seed in &first[1..MAX_DRAWS - 1] {
            keep(*seed, 3).unwrap();
        }
        assert!(keep(first[MAX_DRAWS], 3).is_err(), "but not without end");
        keep(first[0], 1).unwrap();
        store.forget_answers(view.id).unwrap();
        store.forget_answers(view.id).unwrap();
        assert_eq!(store.answer(&at(first[0])).unwrap(), None);
    }
}
