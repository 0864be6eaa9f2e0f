//! Speed without quality is void: how much better or worse our renditions are than the best continuous ffmpeg's.

use super::Quality;
use super::contest::Way;
use serde::Serialize;

/// A difference that counts, dB.
pub(super) const TOLERANCE_DB: f64 = 0.05;
/// Bits that count, per cent.
const TOLERANCE_PERCENT: f64 = 1.0;

/// Ours less theirs, of one rendition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Difference<'a> {
    pub(super) rendition: String,
    pub(super) against: Way<'a>,
    /// Luma PSNR: mean of the differences by either reference, since each side is nearest to its own scaler's.
    pub(super) psnr_y_db: f64,
    /// By the reference that our scaler made, and by the one that swscale made.
    pub(super) psnr_y_db_by_each: (f64, f64),
    /// Luma SSIM, the same mean.
    pub(super) ssim_y: f64,
    /// More (or fewer) bits of video, per cent.
    pub(super) bits_percent: f64,
    /// Worse by more than [`TOLERANCE_DB`].
    pub(super) worse: bool,
}

/// Us against each of `opponents`, rendition by rendition.
pub(super) fn differences<'a>(qualities: &[Quality<'a>], opponents: &[Way<'a>]) -> Vec<Difference<'a>> {
    let ours = qualities.iter().filter(|quality| matches!(quality.way, Way::Headframe { .. }));
    let pairs = ours.flat_map(|ours| {
        let same = move |theirs: &&Quality<'_>| theirs.rendition == ours.rendition && opponents.contains(&theirs.way);
        qualities.iter().filter(same).map(move |theirs| (ours, theirs))
    });
    pairs.map(|(ours, theirs)| difference(ours, theirs)).collect()
}

fn difference<'a>(ours: &Quality<'_>, theirs: &Quality<'a>) -> Difference<'a> {
    let (a, b) = (&ours.measured, &theirs.measured);
    let by_each = (
        a.by_headframe_scaler.psnr_y_db - b.by_headframe_scaler.psnr_y_db,
        a.by_swscale.psnr_y_db - b.by_swscale.psnr_y_db,
    );
    let ssim = a.by_headframe_scaler.ssim_y - b.by_headframe_scaler.ssim_y + a.by_swscale.ssim_y - b.by_swscale.ssim_y;
    let psnr_y_db = (by_each.0 + by_each.1) / 2.0;
    Difference {
        rendition: ours.rendition.clone(),
        against: theirs.way,
        psnr_y_db,
        psnr_y_db_by_each: by_each,
        ssim_y: ssim / 2.0,
        bits_percent: (ours.video_kbps / theirs.video_kbps.max(1e-9) - 1.0) * 100.0,
        worse: psnr_y_db < -TOLERANCE_DB,
    }
}

/// The verdict in a sentence. Quality bought with bits is named too: at one rate it might be worse.
pub(super) fn sentence(differences: &[Difference<'_>]) -> String {
    let names = |which: fn(&Difference<'_>) -> bool| {
        let mut names: Vec<_> = differences.iter().filter(|d| which(d)).map(|d| d.rendition.as_str()).collect();
        names.dedup();
        names.join(", ")
    };
    let (worse, larger) = (names(|d| d.worse), names(|d| d.bits_percent > TOLERANCE_PERCENT));
    let mut text = match worse.is_empty() {
        true => format!("no rung is worse than continuous ffmpeg's by more than {TOLERANCE_DB} dB"),
        false => format!("WORSE than continuous ffmpeg by more than {TOLERANCE_DB} dB: {worse}"),
    };
    if !larger.is_empty() {
        text += &format!("; over {TOLERANCE_PERCENT} % more bits: {larger}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::quality::{Measured, Scores};
    use crate::ffmpeg::Ffmpeg;

    fn quality<'a>(way: Way<'a>, rendition: &str, db: (f64, f64), video_kbps: f64) -> Quality<'a> {
        let scores = |psnr_y_db| Scores { psnr_y_db, psnr_db: psnr_y_db, ssim_y: 0.9 };
        let (by_headframe_scaler, by_swscale) = (scores(db.0), scores(db.1));
        let measured = Measured { source_frames: 1, frames: 1, by_headframe_scaler, by_swscale };
        Quality { way, rendition: rendition.into(), video_kbps, measured }
    }

    #[test]
    fn a_worse_rung_is_named() {
        let ffmpeg = Ffmpeg::named("9.0.2");
        let ours = Way::Headframe { in_flight: 1 };
        let theirs = Way::Continuous { ffmpeg: &ffmpeg, threads: 1 };
        let other = Way::PerSegment { ffmpeg: &ffmpeg, threads: 1 };
        let mut all = vec![
            quality(ours, "240p", (37.0, 36.8), 105.0),
            quality(theirs, "240p", (36.9, 36.98), 100.0),
            quality(other, "240p", (50.0, 50.0), 100.0),
        ];
        let same = differences(&all, &[theirs]);
        assert_eq!(same.len(), 1, "only those asked for");
        assert!((same[0].psnr_y_db + 0.04).abs() < 1e-9 && (same[0].bits_percent - 5.0).abs() < 1e-9, "{same:?}");
        assert!(sentence(&same).starts_with("no rung"), "nearer to each one's own reference is no difference");
        assert!(sentence(&same).ends_with("more bits: 240p"), "{}", sentence(&same));
        all.extend([quality(ours, "720p", (40.0, 40.0), 1.0), quality(theirs, "720p", (40.1, 40.1), 1.0)]);
        let worse = sentence(&differences(&all, &[theirs]));
        assert!(worse.contains("WORSE") && worse.contains("dB: 720p;"), "{worse}");
    }
}
