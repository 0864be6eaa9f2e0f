//! `headframe doctor` as an operator runs it: without a driver, and over test doubles of drivers of several ages.
#![allow(clippy::unwrap_used)]

use headframe_double_ledger::install;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The worker program; nothing and one line where it is not built.
fn codec() -> Option<PathBuf> {
    let codec = std::env::var_os("HEADFRAME_CODEC")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_headframe")).with_file_name("headframe-codec"));
    if codec.is_file() {
        return Some(codec);
    }
    println!("skipped: {} is not built (cargo build -p headframe-codec)", codec.display());
    None
}

/// A folder for a driver, with the doubles of these libraries.
fn driver(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), names);
    folder
}

const ALL: [&str; 4] = ["cuda", "cuvid", "nvenc", "nvml"];

fn doctor(codec: &Path, driver: &Path, told: &[(&str, &str)], args: &[&str]) -> Output {
    configured(codec, driver, told, args, "none")
}

/// With this in `codec.vulkan`.
fn configured(codec: &Path, driver: &Path, told: &[(&str, &str)], args: &[&str], vulkan: &str) -> Output {
    // State where this test may look, and no card of the machine, so that what it says does not depend on that.
    let config = driver.join("headframe.toml");
    let text = format!(
        "state_dir = {:?}\n[codec]\nvulkan = {vulkan:?}\n[gateway]\nstreams = [{{ key = \"k\", id = \"live\" }}]\n",
        driver.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
    command.args(["doctor", "--role", "local-gateway", "--config"]).arg(&config).arg("--libraries").arg(driver);
    command.args(args).env("HEADFRAME_CODEC", codec).envs(told.iter().copied()).output().unwrap()
}

/// The report, and the checks of this name.
fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn of<'a>(report: &'a Value, name: &str) -> Vec<&'a Value> {
    report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name).collect()
}

#[test]
fn a_machine_without_a_driver_can_work() {
    let Some(codec) = codec() else { return };
    let driver = driver(&[]);
    let output = doctor(&codec, driver.path(), &[], &["--json"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(if report["ok"] == true { 0 } else { 1 }), "{report:#}");
    for name in ["config", "codec", "sandbox", "codecs"] {
        assert_eq!(of(&report, name)[0]["state"], "ok", "{report:#}");
    }
    for name in ["cores", "memory", "disk", "clock", "driver", "silicon"] {
        assert_eq!(of(&report, name).len(), 1, "{name}: {report:#}");
    }
    let found = of(&report, "driver")[0]["found"].as_str().unwrap();
    assert!(found.contains("libcuda.so.1 cannot be opened"), "{found}");
    assert!(of(&report, "card").is_empty() && report["gpu"]["devices"] == serde_json::json!([]), "{report:#}");
}

#[test]
fn drivers_of_each_age_are_told_apart() {
    let Some(codec) = codec() else { return };
    let driver = driver(&ALL);
    for (api, encodes) in [("11.1", "h264 hevc"), ("12.0", "h264 hevc av1"), ("13.0", "h264 hevc av1")] {
        let told = [("HEADFRAME_DOUBLE_NVENC", format!("api={api};engines=2"))];
        let told = told.each_ref().map(|(name, value)| (*name, value.as_str()));
        let report = report(&doctor(&codec, driver.path(), &told, &["--json"]));
        let [double, version] = of(&report, "driver")[..] else { panic!("{report:#}") };
        assert!(double["state"] == "warn" && double["found"].as_str().unwrap().contains("TEST DOUBLES"), "{double}");
        let due = format!("535.0 (double), CUDA 12.2, NVENC API {api}");
        assert!(version["found"].as_str().unwrap().starts_with(&due), "{version}");
        let card = of(&report, "card")[0]["found"].as_str().unwrap();
        assert!(card.contains("decodes h264 hevc vp9 av1"), "{card}");
        assert!(card.contains(&format!("encodes {encodes} (engines: 2)")), "{api}: {card}");
        assert_eq!(report["gpu"]["encode_api"], api);
    }
}

#[test]
fn broken_cards_and_missing_libraries_are_named_and_a_failure_is_the_exit_code() {
    let Some(codec) = codec() else { return };
    let told = [("HEADFRAME_DOUBLE_CUDA", "devices=2;fault=cuDeviceGetName=999@1x1")];
    let all = driver(&ALL);
    let output = doctor(&codec, all.path(), &told, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL card     card 1 (GPU-") && text.contains("cuDeviceGetName"), "{text}");
    assert!(text.contains("never run on NVIDIA silicon") && text.contains("headframe-codec gpu-test s*.ts"), "{text}");

    let half = driver(&["cuda", "cuvid"]);
    let report = report(&doctor(&codec, half.path(), &[], &["--json"]));
    let found = of(&report, "driver")[1];
    assert_eq!(found["state"], "warn", "{found}");
    assert!(found["found"].as_str().unwrap().contains("libnvidia-encode.so.1"), "{found}");
    assert!(of(&report, "card")[0]["found"].as_str().unwrap().ends_with("encodes nothing"), "{report:#}");
}

#[test]
fn a_device_that_is_named_and_not_there_is_told() {
    let Some(codec) = codec() else { return };
    let driver = driver(&[]);
    let report = report(&configured(&codec, driver.path(), &[], &["--json"], "a card of nobody's"));
    let [check] = of(&report, "vulkan")[..] else { panic!("{report:#}") };
    assert_eq!(check["state"], "warn", "{check}");
    // By a program without Vulkan, too.
    assert!(check["found"].as_str().unwrap().starts_with("no card scales: "), "{check}");
    assert!(report["vulkan"]["chosen"].is_null() && report["vulkan"]["problem"].is_string(), "{report:#}");
}

#[test]
fn a_program_that_is_not_there_fails() {
    let driver = driver(&[]);
    let output = doctor(Path::new("/nonexistent/headframe-codec"), driver.path(), &[], &["--json"]);
    let report = report(&output);
    assert_eq!((output.status.code(), &report["ok"]), (Some(1), &false.into()), "{report:#}");
    for name in ["codec", "cards"] {
        assert!(of(&report, name)[0]["found"].as_str().unwrap().contains("/nonexistent/headframe-codec"), "{report:#}");
    }
}
