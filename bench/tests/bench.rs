//! The program as a person runs it, on a few seconds of small pictures.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{LADDER, codec, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn bench(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-bench"));
    command.current_dir(folder).env_remove("HEADFRAME_CLIP").args(args).output().unwrap()
}

/// A folder with a 4 s clip of 320x180 and a ladder of two; `None`, and one line, where that cannot be had.
fn small() -> Option<(tempfile::TempDir, PathBuf)> {
    let codec = codec()?;
    let folder = tempfile::tempdir().unwrap();
    let source = "testsrc2=s=320x180:r=30:d=4,noise=alls=6:allf=t+u,format=yuv420p";
    let encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-b:v", "800k"];
    let sound = ["-f", "lavfi", "-i", "sine=d=4", "-c:a", "aac", "-f", "mp4"];
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", source]).args(&sound[..4]).args(encoder).args(&sound[4..]);
    let made = command.arg(folder.path().join("clip.mp4")).status();
    match made {
        Ok(status) => assert!(status.success(), "ffmpeg made no clip"),
        Err(error) => {
            println!("skipped: no ffmpeg ({error})");
            return None;
        }
    }
    std::fs::write(folder.path().join("ladder.json"), LADDER).unwrap();
    Some((folder, codec))
}

#[test]
fn compare_measures_both_on_the_same_pictures() {
    let Some((folder, codec)) = small() else { return };
    let codec = codec.to_str().unwrap();
    let args =
        ["compare", "--clip", "clip.mp4", "--seconds", "4", "--runs", "2", "--ladder", "ladder.json", "--codec", codec];
    let opponents = ["--ffmpeg", "ffmpeg", "--ffmpeg", "ffmpeg"];
    let output = bench(folder.path(), &[&args[..], &opponents, &["--json", "report.json"]].concat());
    assert!(output.status.success(), "{}", text(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    for name in ["wall_ratio", "cpu_ratio"] {
        let ratio = report[name].as_f64().unwrap();
        assert!(ratio > 0.01 && ratio < 100.0, "{name} {ratio}");
        assert!(printed.contains(&format!("{name} {ratio:.3}")), "{printed}");
    }
    assert_eq!(report["clip"]["frames"], 120);
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 18, "us and two ffmpegs in four ways, in two rounds");
    for run in runs {
        assert!(run["wall_s"].as_f64().unwrap() > 0.0 && run["user_s"].as_f64().unwrap() > 0.0, "{run}");
        assert!(run["bytes"].as_array().unwrap().iter().all(|bytes| bytes.as_u64().unwrap() > 5_000), "{run}");
    }
    assert_ne!(runs[0]["way"], runs[9]["way"], "contestants take turns at beginning");
    let quality = report["quality"].as_array().unwrap();
    assert!(quality.len() >= 6, "two renditions of us and of an ffmpeg of each kind: {quality:?}");
    for measured in quality {
        assert_eq!((&measured["frames"], &measured["source_frames"]), (&120.into(), &120.into()), "{measured}");
        for reference in ["by_headframe_scaler", "by_swscale"] {
            let (psnr, ssim) = (&measured[reference]["psnr_y_db"], &measured[reference]["ssim_y"]);
            assert!((20.0..60.0).contains(&psnr.as_f64().unwrap()), "{measured}");
            assert!((0.5..1.0).contains(&ssim.as_f64().unwrap()), "{measured}");
        }
    }
    let names: Vec<_> = report["versions"]["ffmpeg"].as_array().unwrap().iter().map(|f| &f["name"]).collect();
    assert!(names.len() == 2 && names[0] != names[1], "{names:?}");
    let differences = report["differences"].as_array().unwrap();
    assert!(differences.len() >= 2, "each rung against a continuous ffmpeg: {differences:?}");
    let worse = differences.iter().any(|d| d["worse"] == true);
    assert_eq!(report["worse"], worse);
    assert!(printed.contains(if worse { "WORSE than" } else { "no rung is worse" }), "{printed}");
    let command = report["commands"][1]["line"].as_str().unwrap();
    for part in [
        "split=2",
        "-preset veryfast -threads 1 -profile:v high -bf 0 -g 30",
        "-b:v 300000 -maxrate 300000 -bufsize 300000",
    ] {
        assert!(command.contains(part), "{part}: {command}");
    }
    let stored = report.to_string();
    assert!(
        !stored.contains(folder.path().to_str().unwrap()) && !stored.contains(codec),
        "no path of this machine is stored"
    );
}

#[test]
fn latency_and_density_measure_both() {
    let Some((folder, codec)) = small() else { return };
    let base = ["--clip", "clip.mp4", "--seconds", "4", "--ladder", "ladder.json", "--rounds", "2"];
    let more = ["--codec", codec.to_str().unwrap(), "--json", "report.json"];
    let report = |command: &[&str]| -> (Value, String) {
        let output = bench(folder.path(), &[command, &base, &more].concat());
        assert!(output.status.success(), "{}", text(&output));
        let stored = std::fs::read(folder.path().join("report.json")).unwrap();
        (serde_json::from_slice(&stored).unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (latency, printed) = report(&["latency"]);
    for (name, count) in [("warm", 4), ("new_stream", 4), ("fresh_worker", 2), ("worker_start", 2)] {
        let times = &latency[name];
        assert_eq!(times["count"], count, "{name}: {times}");
        assert!(
            times["median_ms"].as_f64().unwrap() > 0.0 && times["worst_ms"].as_f64() >= times["median_ms"].as_f64()
        );
    }
    assert_eq!(latency["ffmpeg"].as_array().unwrap().len(), 2, "one and two threads");
    assert!(printed.contains(&format!("latency_ratio {:.3}", latency["ratio"].as_f64().unwrap())), "{printed}");

    let (density, printed) = report(&["density", "--workers", "2"]);
    let summary = density["summary"].as_array().unwrap();
    assert_eq!(summary.len(), 6, "us and an ffmpeg in two ways, one and two at once");
    for line in summary {
        let per_core = line["streams_per_core"]["median"].as_f64().unwrap();
        assert!(per_core > 0.1 && per_core < 10_000.0, "{line}");
    }
    assert!(summary[0]["rss_mib"].as_u64().unwrap() > 0, "{summary:?}");
    assert!(printed.contains(&format!("density_ratio {:.3}", density["ratio"].as_f64().unwrap())), "{printed}");
}

#[test]
fn kernels_are_put_in_proportion() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ladder.json"), LADDER).unwrap();
    let mut args =
        vec!["kernels", "--frames", "1", "--rounds", "2", "--ladder", "ladder.json", "--json", "report.json"];
    let alone = Command::new("ffmpeg").arg("-version").output().is_err();
    if alone {
        args.push("--no-ffmpeg");
    }
    let output = bench(folder.path(), &args);
    assert!(output.status.success(), "{}", text(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    let results = report["results"].as_array().unwrap();
    assert_eq!(results[0]["name"], "copying the source");
    for name in ["ladder 8-bit", "ladder 10-bit", "rungs apart 8-bit", "squared error", "ssim sums"] {
        assert!(results.iter().any(|r| r["name"] == name && r["isa"] == "portable"), "{name}: {results:?}");
    }
    let ours = results.iter().filter(|r| !r["gb_per_s"].is_null());
    ours.for_each(|r| assert!(r["gb_per_s"]["median"].as_f64().unwrap() > 0.0, "{r}"));
    let swscale = |r: &&Value| r["name"].as_str().unwrap().contains("swscale");
    assert_eq!(results.iter().filter(swscale).count(), if alone { 0 } else { 2 }, "8 and 10 bits: {results:?}");
}

#[test]
fn the_guards_speed_is_told_and_held_against_what_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &["guard", "--folder", ".", "--receipts", "600", "--json", "report.json"]);
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    let (p99, rate) = (report["p99_ms"].as_f64().unwrap(), report["receipts_per_s"].as_f64().unwrap());
    assert!(p99 > 0.0 && rate > 0.0, "{report}");
    let results = report["results"].as_array().unwrap();
    let counts: Vec<_> =
        results.iter().map(|r| (r["at_once"].as_u64().unwrap(), r["receipts"].as_u64().unwrap())).collect();
    assert_eq!(counts, [(8, 60), (512, 600)]);
    let wanted = p99 <= 25.0 && rate >= 10_000.0;
    assert_eq!(report["as_wanted"], wanted, "{report}");
    assert_eq!(output.status.code(), Some(if wanted { 0 } else { 1 }), "{}", text(&output));
    assert!(text(&output).contains(if wanted { "both as wanted" } else { "NOT as wanted" }), "{}", text(&output));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["report.json"], "no database is left behind");
}

#[test]
fn certify_signs_what_verify_accepts() {
    let Some((folder, codec)) = small() else { return };
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("password"), "good luck\n").unwrap();
    let password = headframe_guard::Password::File(at("password"));
    let key = headframe_guard::keys::new(
        folder.path(),
        Some("node"),
        &password,
        headframe_guard::Format::V3,
        headframe_guard::Cost::Light,
    )
    .unwrap();
    let address = key.address.unwrap().to_string();
    let base = ["certify", "--clip", "clip.mp4", "--ladder", "ladder.json", "--codec", codec.to_str().unwrap()];
    let short =
        ["--seconds-per-step", "4", "--max", "1", "--workers", "1", "--lateness", "0.5", "--json", "report.json"];
    let wrong =
        bench(folder.path(), &[&base[..], &["--keystore", "node.json", "--password-file", "ladder.json"]].concat());
    assert_eq!(wrong.status.code(), Some(78), "{}", text(&wrong));

    let signing = ["--keystore", "node.json", "--password-file", "password"];
    let output = bench(folder.path(), &[&base[..], &short, &signing].concat());
    assert!(output.status.success(), "{}", text(&output));
    let bytes = std::fs::read(at("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&report["sustained"], &report["void"]), (&1.into(), &Value::Null), "{report}");
    assert_eq!(report["quality"][0]["frames"], 60);
    assert!(report["quality"].as_array().unwrap().iter().all(|sample| sample["same_bytes"] == true), "{report}");
    assert!(report["steps"].as_array().unwrap().iter().all(|step| step["segments"].as_u64() >= Some(2)), "{report}");
    let units = report["steps"][0]["units_per_second"].as_u64().unwrap();
    let watts = &report["steps"][0];
    assert!(units > 0 && (watts["processors_milliwatts"].is_u64() != watts["unmeasured"].is_string()), "{report}");
    assert!(text(&output).contains("for [node.pricing.cost]: units_per_second = "), "{}", text(&output));

    let good = bench(folder.path(), &["verify", "report.json", "--address", &address]);
    assert!(good.status.success() && text(&good).contains(&address), "{}", text(&good));
    let other =
        bench(folder.path(), &["verify", "report.json", "--address", "0x0000000000000000000000000000000000000001"]);
    assert_eq!(other.status.code(), Some(1), "{}", text(&other));
    let changed = String::from_utf8(bytes).unwrap().replace(r#""sustained":1,"#, r#""sustained":9,"#);
    std::fs::write(at("report.json"), changed).unwrap();
    let changed = bench(folder.path(), &["verify", "report.json"]);
    assert!(changed.status.code() == Some(1) && text(&changed).contains("changed"), "{}", text(&changed));
}

#[test]
fn wrong_use_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| bench(folder.path(), args);
    assert_eq!(run(&["compare", "--runs", "0"]).status.code(), Some(2));
    for (args, words) in [
        (&["compare", "--ffmpeg", "/nonexistent/ffmpeg"][..], "--ffmpeg"),
        (&["compare", "--clip", "missing.mp4"], "missing.mp4"),
        (&["verify", "missing.json"], "missing.json"),
    ] {
        let output = run(args);
        let have_ffmpeg = args[1] != "--clip" || Command::new("ffmpeg").arg("-version").output().is_ok();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(!have_ffmpeg || text(&output).contains(words), "{}", text(&output));
    }
    let help = text(&run(&["--help"]));
    assert!(help.contains("Exit codes") && help.contains("certify"), "{help}");
}
