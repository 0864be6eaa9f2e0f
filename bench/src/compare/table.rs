//! The comparison for a person's eyes.

use super::{Report, verdict};
use std::fmt::Write as _;

pub(super) fn print(report: &Report<'_>) {
    print!("{}", text(report));
}

fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report<'_>) -> std::fmt::Result {
    writeln!(out, "{}", report.head.lines())?;
    writeln!(
        out,
        "\n{:<30}{:>9}{:>17}{:>9}{:>17}{:>8}{:>8}",
        "", "wall s", "(min..max)", "cpu s", "(min..max)", "x live", "others"
    )?;
    for s in &report.summary {
        let range = |spread: crate::stats::Spread| format!("({:.2}..{:.2})", spread.min, spread.max);
        writeln!(
            out,
            "{:<30}{:>9.2}{:>17}{:>9.2}{:>17}{:>8.2}{:>8.2}",
            s.way.to_string(),
            s.wall_s.median,
            range(s.wall_s),
            s.cpu_s.median,
            range(s.cpu_s),
            s.real_time_factor,
            s.others_cores
        )?;
    }
    writeln!(out, "\nffmpeg's time over ours, the best ffmpeg for each (above 1 we are faster)")?;
    for r in &report.ratios {
        let range = |(min, max): (f64, f64)| format!("({min:.2}..{max:.2})");
        writeln!(
            out,
            "{:<14}{:<12} wall_ratio {:.3} {} against {},  cpu_ratio {:.3} {} against {}",
            r.ours.to_string(),
            r.kind,
            r.wall_ratio,
            range(r.wall_spread),
            r.wall_against,
            r.cpu_ratio,
            range(r.cpu_spread),
            r.cpu_against
        )?;
    }
    writeln!(
        out,
        "\n{:<8}{:<30}{:>9}{:>9}{:>22}{:>22}",
        "", "", "pictures", "kbit/s", "our scaler dB/ssim", "swscale dB/ssim"
    )?;
    for q in &report.quality {
        let scores = |s: super::quality::Scores| format!("{:.2} / {:.4}", s.psnr_y_db, s.ssim_y);
        writeln!(
            out,
            "{:<8}{:<30}{:>9}{:>9.0}{:>22}{:>22}",
            q.rendition,
            q.way.to_string(),
            q.measured.frames,
            q.video_kbps,
            scores(q.measured.by_headframe_scaler),
            scores(q.measured.by_swscale)
        )?;
    }
    writeln!(
        out,
        "\nours less continuous ffmpeg's: PSNR of luma in dB (by our scaler's reference, by swscale's), SSIM, bits"
    )?;
    for d in &report.differences {
        writeln!(
            out,
            "{:<8}{:<30}{:>+8.3} ({:+.3}, {:+.3}){:>+10.4}{:>+8.1} %{}",
            d.rendition,
            d.against.to_string(),
            d.psnr_y_db,
            d.psnr_y_db_by_each.0,
            d.psnr_y_db_by_each.1,
            d.ssim_y,
            d.bits_percent,
            if d.worse { "  WORSE" } else { "" }
        )?;
    }
    writeln!(out, "{}", verdict::sentence(&report.differences))?;
    writeln!(out)?;
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(out, "\nwall_ratio {:.3}  cpu_ratio {:.3}", report.wall_ratio, report.cpu_ratio)
}
