//! `headframe-bench gpu` without a card, and over test doubles of the driver: that it runs and counts right, and says that no
//! card was measured. Speed is not looked at: a double has none.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{LADDER, codec, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Bytes of all renditions of one picture in 4:2:0.
const RAW: u64 = (320 * 180 + 160 * 90) * 3 / 2;

fn bench(folder: &Path, codec: &Path, args: &[&str], encoder: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-bench"));
    command.current_dir(folder).env_remove("HEADFRAME_CLIP").env("HEADFRAME_DOUBLE_NVENC", encoder);
    command.args(["gpu", "--libraries", "driver", "--codec"]).arg(codec).args(args).output().unwrap()
}

/// A folder with a clip of 4 s, a ladder and an empty folder for a driver; nothing and one line where that cannot be had.
fn small() -> Option<(tempfile::TempDir, PathBuf)> {
    let codec = codec()?;
    let folder = tempfile::tempdir().unwrap();
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=15:d=4,format=yuv420p"];
    let encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-b:v", "800k"];
    match Command::new("ffmpeg").args(source).args(encoder).arg(folder.path().join("clip.mp4")).status() {
        Ok(status) => assert!(status.success(), "ffmpeg made no clip"),
        Err(error) => {
            println!("skipped: no ffmpeg ({error})");
            return None;
        }
    }
    std::fs::write(folder.path().join("ladder.json"), LADDER).unwrap();
    std::fs::create_dir(folder.path().join("driver")).unwrap();
    Some((folder, codec))
}

/// Puts the doubles where the driver is looked for.
fn install(folder: &Path) {
    headframe_double_ledger::install(&folder.join("driver"), &["cuda", "cuvid", "nvenc", "nvml"]);
}

#[test]
fn without_a_card_it_says_what_is_missing() {
    let Some((folder, codec)) = small() else { return };
    let none = bench(folder.path(), &codec, &["--clip", "clip.mp4"], "");
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
    assert!(text(&none).contains("no NVIDIA card that could be measured: libcuda.so.1"), "{}", text(&none));
    install(folder.path());
    let other = bench(folder.path(), &codec, &["--card", "GPU-0"], "");
    assert!(other.status.code() == Some(1) && text(&other).contains("no card GPU-0"), "{}", text(&other));
}

#[test]
fn over_doubles_it_runs_counts_right_and_says_that_they_are_doubles() {
    let Some((folder, codec)) = small() else { return };
    install(folder.path());
    let args = "--clip clip.mp4 --seconds 4 --ladder ladder.json --streams 2 --seconds-per-step 1 --live 4 --riser 50 \
                --json report.json";
    let args: Vec<_> = args.split_ascii_whitespace().collect();
    let output = bench(folder.path(), &codec, &args, "sessions=6");
    assert!(output.status.success(), "{}", text(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(printed.matches("TEST DOUBLE, NOT A CARD: libcuda.so.1").count(), 2, "{printed}");
    assert!(printed.contains("SIMULATED riser 50 MB/s") && printed.contains("the riser is SIMULATED"), "{printed}");
    assert!(printed.contains("NOT MEASURED: there is no card: the driver is a test double"), "{printed}");

    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert!(report["test_double"].as_str().unwrap().contains("libnvidia-encode.so.1"), "{report:#}");
    assert_eq!(
        (&report["sessions"], &report["ratio"], &report["nvenc_api"]),
        (&6.into(), &Value::Null, &"13.0".into())
    );
    assert_eq!(report["problems"], serde_json::json!([]));
    for part in ["decode", "scale", "decode_and_scale", "encode"] {
        let rates = report["parts"].as_array().unwrap().iter().filter(|rate| rate["part"] == part);
        let rates: Vec<_> = rates.map(|rate| rate["hd_pictures_per_s"].as_f64().unwrap()).collect();
        assert!(rates.len() >= 2 && rates.iter().all(|rate| *rate > 0.0), "{part}: {report:#}");
    }
    let runs = report["ladders"].as_array().unwrap();
    let some = |who: &str, slow: bool| runs.iter().find(|run| run["who"] == who && run["link"].is_null() != slow);
    for run in runs {
        let number = |name: &str| run[name].as_f64().unwrap();
        let [pictures, to_host, to_card] =
            [&run["pictures"], &run["traffic"]["to_host"], &run["traffic"]["to_card"]].map(|it| it.as_u64().unwrap());
        assert!(pictures > 0 && to_card > 0 && number("ladders") > 0.0 && number("cpu_s_per_video_s") > 0.0, "{run}");
        let per_second = to_host as f64 / number("video_s");
        assert!((per_second / number("to_host_bytes_per_video_s") - 1.0).abs() < 1e-6, "{run}");
        // What goes up is the clip, whoever encodes.
        let clip = report["clip"]["bytes"].as_u64().unwrap() as f64 / 4.0;
        assert!((0.5..1.0).contains(&(number("to_card_bytes_per_video_s") / clip)), "{clip}: {run}");
        let (card, host) = (&run["made"]["rungs_on_card"], &run["made"]["rungs_on_host"]);
        if run["who"] == "processors" {
            assert_eq!((to_host, card), (pictures * RAW, &0.into()), "raw pictures come down: {run}");
            assert!(number("software_encoding_s_per_video_s") > 0.0);
        } else {
            assert!(to_host < pictures * RAW / 4 && host == 0, "only compressed pictures come down: {run}");
            assert_eq!(number("software_encoding_s_per_video_s"), 0.0);
        }
    }
    for who in ["card", "processors"] {
        let slow = some(who, true).unwrap();
        assert_eq!(slow["link"]["bytes_per_s"], 50_000_000, "{who}");
        assert!(some(who, false).is_some(), "{who}");
        // The time that the bytes take is there.
        let took = slow["traffic"]["to_host"].as_f64().unwrap() / 50e6;
        assert!(slow["wall_s"].as_f64().unwrap() >= took, "{slow}");
    }
    let live = report["live"].as_array().unwrap();
    for it in live {
        let cost = &it["cost"];
        assert!(cost["pictures"].as_u64().unwrap() > 0 && cost["cpu_s"].as_f64().unwrap() > 0.0, "{it}");
        assert!(cost["software_encoding_s"].as_f64().is_some(), "{it}");
    }
    let last = live.last();
    let due = last.map_or(0, |last| if last["on_time"] == true { last["streams"].as_u64().unwrap() } else { 0 });
    assert_eq!(report["sustained_ladders"], due, "{live:?}");
    assert!(printed.contains(&format!("sustained_ladders {due}")), "{printed}");
}

#[test]
fn a_card_without_an_encoder_is_measured_with_the_processors_encoding() {
    let Some((folder, codec)) = small() else { return };
    install(folder.path());
    let args = "--clip clip.mp4 --seconds 2 --ladder ladder.json --streams 1 --seconds-per-step 1 --live 0 --riser 0";
    let args: Vec<_> = args.split_ascii_whitespace().chain(["--json", "report.json"]).collect();
    let output = bench(folder.path(), &codec, &args, "codecs=");
    assert!(output.status.success(), "{}", text(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["encodes"], &report["sessions"]), (&false.into(), &0.into()), "{report:#}");
    let runs = report["ladders"].as_array().unwrap();
    assert!(runs.len() == 1 && runs[0]["who"] == "processors" && report["sustained_ladders"].is_null(), "{report:#}");
    assert!(report["parts"].as_array().unwrap().iter().all(|rate| rate["part"] != "encode"), "{report:#}");
    assert!(text(&output).contains("this card has no encoder"), "{}", text(&output));
}

#[test]
fn where_the_segments_are_there_no_ffmpeg_is_needed() {
    let Some((folder, codec)) = small() else { return };
    install(folder.path());
    std::fs::create_dir(folder.path().join("segments")).unwrap();
    let cut = "-v error -i clip.mp4 -c copy -f segment -segment_time 2 -segment_format mpegts segments/s%03d.ts";
    let mut ffmpeg = Command::new("ffmpeg");
    assert!(ffmpeg.current_dir(folder.path()).args(cut.split(' ')).status().unwrap().success());
    let args =
        "--ladder ladder.json --streams 1 --seconds-per-step 1 --live 0 --riser 0 --ffmpeg /nonexistent/ffmpeg --clip";
    let args: Vec<_> = args.split_ascii_whitespace().collect();
    let output = bench(folder.path(), &codec, &[&args[..], &["segments", "--json", "report.json"]].concat(), "");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("ffmpeg: NOT MEASURED: there is none here"), "{}", text(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["clip"]["segments"], &report["clip"]["frames"]), (&2.into(), &60.into()), "{report:#}");
    let cutting = bench(folder.path(), &codec, &[&args[..], &["clip.mp4"]].concat(), "");
    assert!(!cutting.status.success() && text(&cutting).contains("install ffmpeg"), "{}", text(&cutting));
}

#[test]
fn over_doubles_every_demand_has_a_verdict_and_no_card_is_accepted() {
    let Some((folder, codec)) = small() else { return };
    install(folder.path());
    let args = "--clip clip.mp4 --seconds 2 --ladder ladder.json --streams 1 --seconds-per-step 1 --live 0 --riser 0 --accept \
                --soak 2 --json report.json";
    let output = bench(folder.path(), &codec, &args.split_ascii_whitespace().collect::<Vec<_>>(), "");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    let verdict = |what: &str| {
        let all = report["acceptance"].as_array().unwrap();
        all.iter().find(|demand| demand["what"].as_str().unwrap().contains(what)).unwrap()["verdict"].clone()
    };
    // What does not depend on speed is met by the doubles, too.
    for met in ["as the processors do", "encodes every picture", "in its sandbox", "raw bytes"] {
        assert_eq!(verdict(met), "met", "{met}: {report:#}");
    }
    assert_eq!((verdict("against copying"), verdict("for how long")), ("not_measured".into(), "missed".into()));
    assert!(text(&output).contains("MISSED: 24 for "), "{}", text(&output));
    // What is missed counts for more than what was not measured, which is told all the same.
    assert_eq!((verdict("of a core"), &report["conclusion"]), ("not_measured".into(), &"refused".into()));
    assert!(text(&output).contains("not measured: of a core"), "{}", text(&output));
}
