//! Who may know whom (ARCHITECTURE.md), held against what cargo resolves. A crate that gains a dependency which its place
//! forbids fails here, and so does one that has no rule yet or lets `unsafe` in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What a crate may know.
struct Rule {
    name: &'static str,
    /// Crates of this workspace that it may depend on.
    ours: &'static [&'static str],
    /// All others that it may depend on, where the list is closed.
    others: Option<&'static [&'static str]>,
    /// What must not be reachable from it, directly or not.
    never: &'static [&'static [&'static str]],
    unsafety: Unsafety,
}

/// Where `unsafe` stands.
#[derive(Clone, Copy, PartialEq)]
enum Unsafety {
    Forbidden,
    /// Denied at the root of the library and allowed, with a reason, in the modules that need it.
    ByModule,
}
use Unsafety::{ByModule, Forbidden};

/// A crate as cargo resolves it: normal dependencies only, all features on (but see [`AS_SHIPPED`]).
#[derive(Clone, Debug)]
struct Crate {
    name: String,
    direct: BTreeSet<String>,
    reached: BTreeSet<String>,
}

const ASYNC: &[&str] = &["tokio", "mio", "async-std", "smol"];
const HTTP: &[&str] = &["hyper", "reqwest", "axum", "ureq", "curl"];
const PEERS: &[&str] = &["libp2p", "quinn", "rtmp-rs"];
const RPC: &[&str] = &["alloy", "alloy-provider", "jsonrpsee"];
const MONEY: &[&str] = &["alloy-primitives", "alloy-sol-types", "k256", "secp256k1"];
const STORES: &[&str] = &["rusqlite", "libsqlite3-sys"];
/// FFmpeg with x264 is GPL: only the worker may link it.
const FFMPEG: &[&str] = &["ffmpeg-next", "ffmpeg-sys-next"];
/// Given up by its authors in favour of alloy.
const RETIRED: &[&str] = &["ethers", "ethers-core", "ethers-providers", "web3"];

const RULES: &[Rule] = &[
    Rule {
        name: "headframe-kernels",
        ours: &[],
        others: None,
        never: &[ASYNC, HTTP, PEERS, RPC, MONEY, STORES, FFMPEG],
        unsafety: ByModule,
    },
    Rule {
        name: "headframe-commit",
        ours: &[],
        others: Some(&["serde", "sha2", "sha3", "thiserror"]),
        never: &[ASYNC, HTTP, PEERS, RPC, MONEY, STORES, FFMPEG],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-nv-sys",
        ours: &[],
        others: Some(&["libloading", "thiserror"]),
        never: &[ASYNC, HTTP, PEERS, RPC, MONEY, STORES, FFMPEG],
        unsafety: ByModule,
    },
    Rule {
        name: "headframe-codec",
        ours: &["headframe-commit", "headframe-kernels", "headframe-nv-sys"],
        others: None,
        never: &[ASYNC, HTTP, PEERS, RPC, MONEY, STORES],
        unsafety: ByModule,
    },
    Rule {
        name: "headframe-market",
        ours: &["headframe-commit"],
        others: Some(&["alloy-primitives", "alloy-sol-types", "secp256k1", "serde", "sha2", "thiserror"]),
        never: &[ASYNC, HTTP, PEERS, RPC, STORES, FFMPEG, &["tracing", "chrono", "time"]],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-guard",
        ours: &["headframe-market"],
        others: None,
        never: &[ASYNC, HTTP, PEERS, RPC, FFMPEG],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-chain",
        ours: &["headframe-market"],
        others: None,
        never: &[PEERS, FFMPEG, &["axum"]],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-sim",
        ours: &["headframe-chain", "headframe-guard", "headframe-market"],
        others: None,
        never: &[PEERS, FFMPEG, &["axum"]],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-media",
        ours: &[],
        others: None,
        never: &[RPC, MONEY, STORES, FFMPEG, &["libp2p", "reqwest"]],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-swarm",
        ours: &[],
        others: None,
        never: &[RPC, STORES, FFMPEG, &["axum", "reqwest", "rtmp-rs"]],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-contracts",
        ours: &[],
        others: None,
        never: &[PEERS, STORES, FFMPEG, &["axum"]],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe",
        ours: &[
            "headframe-chain",
            "headframe-codec",
            "headframe-contracts",
            "headframe-guard",
            "headframe-market",
            "headframe-media",
            "headframe-swarm",
        ],
        others: None,
        never: &[FFMPEG],
        unsafety: Forbidden,
    },
    Rule {
        name: "headframe-bench",
        ours: &[
            "headframe-chain",
            "headframe-codec",
            "headframe-contracts",
            "headframe-guard",
            "headframe-kernels",
            "headframe-market",
            "headframe-media",
            "headframe-swarm",
        ],
        others: None,
        never: &[],
        unsafety: Forbidden,
    },
    double("headframe-double-cuda", DOUBLE),
    double("headframe-double-cuvid", DOUBLE),
    double("headframe-double-nvenc", DOUBLE),
    double("headframe-double-nvml", DOUBLE),
    double("headframe-double-ledger", &["headframe-nv-sys"]),
];

/// Crates whose features are left off here, because they are for who asks for them: the guard's `ledger` brings a runtime
/// and a USB library to a signer whose key is on a device. No other crate may turn it on.
const AS_SHIPPED: &[&str] = &["headframe-guard"];
const LEDGER: &[&str] = &["alloy-signer-ledger"];

/// What a double is made of, beside the libraries that it works with.
const DOUBLE: &[&str] = &["headframe-double-ledger", "headframe-nv-sys"];

/// A test double of a driver's library: a C interface. No crate may depend on one but for its tests.
const fn double(name: &'static str, ours: &'static [&'static str]) -> Rule {
    Rule { name, ours, others: None, never: &[ASYNC, HTTP, PEERS, RPC, MONEY, STORES], unsafety: ByModule }
}

/// Every dependency that the rules forbid, in words.
fn faults(crates: &[Crate], rules: &[Rule]) -> Vec<String> {
    let ours: BTreeSet<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let mut faults = Vec::new();
    for one in crates {
        let Some(rule) = rules.iter().find(|rule| rule.name == one.name) else {
            faults.push(format!("{} has no rule: say here what it may know", one.name));
            continue;
        };
        for known in &one.direct {
            let allowed = if ours.contains(known.as_str()) {
                rule.ours.contains(&known.as_str())
            } else {
                rule.others.is_none_or(|others| others.contains(&known.as_str()))
            };
            if !allowed {
                faults.push(format!("{} may not depend on {known}", one.name));
            }
        }
        for banned in rule.never.iter().copied().flatten().chain(RETIRED).chain(LEDGER) {
            if one.reached.contains(*banned) {
                faults.push(format!("{} reaches {banned}", one.name));
            }
        }
    }
    let lost = rules.iter().filter(|rule| !ours.contains(rule.name));
    faults.extend(lost.map(|rule| format!("there is no {} any more, but a rule for it", rule.name)));
    faults
}

/// Whether the root of a crate says about `unsafe` what it must.
fn says(unsafety: Unsafety, root: &str) -> bool {
    let forbids = root.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]");
    let denies = root.lines().any(|line| line.trim() == "#![deny(unsafe_code)]");
    forbids || denies && unsafety == ByModule
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).args(["--locked", "--quiet"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn packages() -> Vec<Value> {
    let told: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    told["packages"].as_array().unwrap().clone()
}

fn resolve(package: &Value) -> Crate {
    let name = package["name"].as_str().unwrap().to_owned();
    let declared = package["dependencies"].as_array().unwrap();
    let direct = declared
        .iter()
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect();
    let features = if AS_SHIPPED.contains(&&*name) { "--features=" } else { "--all-features" };
    let tree = ["tree", "--package", &name, "--edges", "normal", features, "--prefix", "none"];
    let tree = cargo(&[&tree[..], &["--format", "{p}"]].concat());
    let reached: BTreeSet<String> = tree.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    assert!(reached.contains(&name), "cargo tree tells nothing of {name}: {tree}");
    Crate { name, direct, reached }
}

#[test]
fn no_crate_knows_more_than_its_place_allows() {
    let crates: Vec<Crate> = packages().iter().map(resolve).collect();
    // What the picture of the crates rests on is really seen.
    let codec = crates.iter().find(|one| one.name == "headframe-codec").unwrap();
    assert!(codec.direct.contains("headframe-kernels") && codec.reached.contains("ffmpeg-sys-next"), "{codec:?}");
    let found = faults(&crates, RULES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_code_has_two_homes() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
        let mut seen = 0;
        for target in package["targets"].as_array().unwrap() {
            let kind = target["kind"][0].as_str().unwrap();
            if kind != "lib" && (kind != "bin" || rule.unsafety == ByModule) {
                continue;
            }
            let root = target["src_path"].as_str().unwrap();
            let text = std::fs::read_to_string(Path::new(root)).unwrap();
            assert!(says(rule.unsafety, &text), "{root} of {name} does not rule out unsafe code");
            seen += 1;
        }
        assert!(seen > 0, "{name} has neither a library nor a program");
    }
}

/// A workspace of two crates that keeps to its rules, to be spoilt.
fn sound() -> Vec<Crate> {
    let one = |name: &str, direct: &[&str], reached: &[&str]| {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Crate { name: name.into(), direct: set(direct), reached: set(reached) }
    };
    vec![
        one("pure", &["serde"], &["pure", "serde", "serde_core"]),
        one("shell", &["pure", "tokio"], &["shell", "pure", "serde", "tokio", "mio"]),
    ]
}

const FEW: &[Rule] = &[
    Rule { name: "pure", ours: &[], others: Some(&["serde"]), never: &[ASYNC], unsafety: Forbidden },
    Rule { name: "shell", ours: &["pure"], others: None, never: &[HTTP], unsafety: Forbidden },
];

#[test]
fn a_sound_workspace_has_no_faults() {
    assert_eq!(faults(&sound(), FEW), [""; 0]);
}

#[test]
fn each_forbidden_edge_is_a_fault() {
    type Spoil = fn(&mut Vec<Crate>);
    let cases: [(&str, Spoil); 6] = [
        ("pure may not depend on shell", |all| all[0].direct.extend(["shell".into()])),
        ("pure may not depend on sha2", |all| all[0].direct.extend(["sha2".into()])),
        ("pure reaches mio", |all| all[0].reached.extend(["mio".into()])),
        ("shell reaches hyper", |all| all[1].reached.extend(["hyper".into()])),
        ("shell reaches ethers-core", |all| all[1].reached.extend(["ethers-core".into()])),
        ("there is no shell any more, but a rule for it", |all| all.truncate(1)),
    ];
    for (due, spoil) in cases {
        let mut crates = sound();
        spoil(&mut crates);
        assert_eq!(faults(&crates, FEW), [due]);
    }
}

#[test]
fn a_crate_without_a_rule_is_a_fault() {
    let found = faults(&sound(), &FEW[..1]);
    assert_eq!(found, ["shell has no rule: say here what it may know"]);
}

#[test]
fn a_root_must_speak_about_unsafe_code() {
    assert!(says(Forbidden, "//! Words.\n#![forbid(unsafe_code)]\n"));
    assert!(!says(Forbidden, "#![deny(unsafe_code)]\n"));
    assert!(says(ByModule, "#![deny(unsafe_code)]\n"));
    assert!(!says(ByModule, "// #![forbid(unsafe_code)]\n"));
}
