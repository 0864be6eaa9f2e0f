//! Rule G5: before work is claimed, a sample of it is made again and compared, by the same integer arithmetic that answers a draw
//! later. A card that silently makes wrong pictures, or a disk that lost what is to be shown, is found while it costs a job's pay,
//! and not when it costs stake.

use super::Node;
use super::evidence::EvidenceError;
use crate::profile;
use crate::transcode::Failure;
use crate::wiring;
use headframe_codec::commit::{Answer, CommitError};
use headframe_codec::ladder::Ladder;
use headframe_market::Units;
use headframe_market::machine::JobView;
use headframe_market::machine::operator::sample_size;
use headframe_market::merkle::Leaf;
use headframe_market::profile::Limits;
use std::io;
use std::sync::Arc;

/// Why a sample says nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    /// The work is not what was ordered, or what has to be shown of it is gone.
    #[error("{0}")]
    Doubt(String),
    /// Nothing is known; another try may tell.
    #[error("{0}")]
    Again(String),
}

/// What cannot be read now cannot be shown when it is drawn.
impl From<EvidenceError> for CheckError {
    fn from(error: EvidenceError) -> Self {
        Self::Doubt(error.to_string())
    }
}

impl From<Failure> for CheckError {
    fn from(failure: Failure) -> Self {
        Self::Again(failure.to_string())
    }
}

impl From<io::Error> for CheckError {
    fn from(error: io::Error) -> Self {
        Self::Again(error.to_string())
    }
}

impl Node {
    /// Makes a sample of `leaves` of a job again.
    pub(super) async fn check_own_work(&self, job: &JobView, leaves: &[Leaf]) -> Result<(), CheckError> {
        let ladder = self.ladder(&job.profile);
        let ladder =
            ladder.ok_or_else(|| CheckError::Again("this rig has no ladder for the job's profile any more".into()))?;
        let (store, all) = (self.evidence.clone(), leaves.to_vec());
        let missing = tokio::task::spawn_blocking(move || all.into_iter().find(|leaf| made(leaf) && !store.has(leaf)));
        if let Some(leaf) = missing.await.map_err(io::Error::other)? {
            return Err(CheckError::Doubt(format!("segment {} is not on the disk any more", leaf.seq)));
        }
        let limits: Vec<Limits> = profile::of(&ladder).rungs.iter().map(|rung| rung.limits).collect();
        for leaf in sample(leaves)? {
            let seq = leaf.seq;
            if let Some(wrong) = against(&ladder, &limits, &self.made_again(&ladder, leaf).await?) {
                return Err(CheckError::Doubt(format!("segment {seq}: {wrong}")));
            }
        }
        Ok(())
    }

    /// What an answer says of a segment of ours, by the bytes that are kept of it, or why none can be made of them.
    pub(super) async fn made_again(
        &self,
        ladder: &Arc<Ladder>,
        leaf: Leaf,
    ) -> Result<Result<Answer, CommitError>, CheckError> {
        let limits = profile::of(ladder).rungs.iter().map(|rung| rung.limits.hash().0).collect();
        let (name, store) = (format!("job {} segment {}", leaf.job, leaf.seq), self.evidence.clone());
        let kept = tokio::task::spawn_blocking(move || store.load(&leaf)).await.map_err(io::Error::other)??;
        Ok(self.codec.commit(ladder.clone(), limits, name, kept.source, kept.renditions).await?)
    }
}

/// Segments that could not be transcoded have receipts over no work, and nothing is kept of them.
fn made(leaf: &Leaf) -> bool {
    leaf.units > Units(0)
}

/// Random ones, so that nobody knows before which.
fn sample(leaves: &[Leaf]) -> io::Result<Vec<Leaf>> {
    let mut rest: Vec<&Leaf> = leaves.iter().filter(|leaf| made(leaf)).collect();
    let count = sample_size(u32::try_from(leaves.len()).unwrap_or(u32::MAX)) as usize;
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count && !rest.is_empty() {
        let [a, b, c, d, ..] = wiring::random()?;
        drawn.push(rest.swap_remove(u32::from_be_bytes([a, b, c, d]) as usize % rest.len()).clone());
    }
    Ok(drawn)
}

/// What can be held against a segment's renditions, if anything.
fn against(ladder: &Ladder, limits: &[Limits], made: &Result<Answer, CommitError>) -> Option<String> {
    let answer = match made {
        Ok(answer) => answer,
        Err(error) if error.is_of_the_order() => return None, // nobody can say anything of it
        Err(error) => return Some(error.to_string()),
    };
    let over = |(have, most): (u64, u64)| have > most;
    let names = ladder.renditions().iter().map(|rendition| &rendition.name);
    names.zip(&answer.rungs).zip(limits).find_map(|((name, rung), limits)| {
        let sums = [
            (rung.worst_luma, limits.frame_luma),
            (rung.worst_chroma, limits.frame_chroma),
            (rung.luma, limits.segment_luma),
            (rung.chroma, limits.segment_chroma),
        ];
        let (have, most) = sums.into_iter().find(|sum| over(*sum))?;
        Some(format!("rendition {name} has a squared error of {have}, and {most} is the most that the order allows"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use headframe_codec::commit::Rung;
    use headframe_market::{B256, JobId, SegmentNo};
    use std::collections::BTreeSet;

    fn leaf(seq: u64, units: u64) -> Leaf {
        let (src_root, out_root) = (B256::ZERO, B256::ZERO);
        Leaf { job: JobId(1), seq: SegmentNo(seq), src_root, out_root, units: Units(units), out_bytes: 1 }
    }

    #[test]
    fn a_sample_is_of_different_segments_of_which_work_was_made() {
        let leaves: Vec<Leaf> = (0..250).map(|seq| leaf(seq, seq % 2)).collect();
        for _ in 0..20 {
            let drawn = sample(&leaves).unwrap();
            let seqs: BTreeSet<_> = drawn.iter().map(|leaf| leaf.seq).collect();
            assert_eq!((drawn.len(), seqs.len()), (3, 3));
            assert!(drawn.iter().all(|leaf| leaf.units > Units(0)));
        }
        assert!(sample(&leaves[..1]).unwrap().is_empty());
    }

    #[test]
    fn what_the_order_allows_is_right_and_one_more_is_wrong() {
        let ladder = Ladder::standard();
        let limits: Vec<Limits> = profile::of(&ladder).rungs.iter().map(|rung| rung.limits).collect();
        let rung = |limits: &Limits| Rung {
            width: 2,
            height: 2,
            content: [0; 32],
            bytes: 1,
            scaled: [0; 32],
            decoded: [0; 32],
            errors: [0; 32],
            limits: [0; 32],
            pictures: 1,
            luma: 0,
            chroma: 0,
            worst_luma: limits.frame_luma,
            worst_chroma: limits.frame_chroma,
        };
        let mut answer = Answer {
            source: [0; 32],
            source_pictures: 1,
            curve: headframe_codec::commit::CURVE,
            cascade: true,
            rungs: limits.iter().map(rung).collect(),
        };
        assert_eq!(against(&ladder, &limits, &Ok(answer.clone())), None);
        answer.rungs[1].worst_luma += 1;
        let wrong = against(&ladder, &limits, &Ok(answer)).unwrap();
        assert!(wrong.contains("rendition 360p") && wrong.contains("squared error"), "{wrong}");
        let unclean = CommitError::Unclean { reason: "a gap".into() };
        assert_eq!(against(&ladder, &limits, &Err(unclean)), None);
        let broken = CommitError::Rendition { rendition: "480p".into(), fault: "it does not decode".into() };
        assert!(against(&ladder, &limits, &Err(broken)).is_some());
    }
}
