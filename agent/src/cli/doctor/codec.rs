//! The worker program: there, of this version, its sandbox holding here, and what it can encode.

use super::{Check, ask};
use crate::config::Config;
use headframe_codec::ladder::{Codec, Ladder};
use headframe_codec::worker::{Pool, PoolConfig, codec_program, codecs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the program may take to say something.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long attacking the sandbox may take.
const SELFTEST: Duration = Duration::from_secs(600);

pub(super) fn program(config: &Config) -> PathBuf {
    if config.codec.program.as_os_str().is_empty() { codec_program() } else { config.codec.program.clone() }
}

pub(super) async fn all(program: &Path, config: &Config, selftest: bool) -> Vec<Check> {
    let said = ask(program, &["--version"], PATIENCE).await;
    let first = version(program, said);
    if first.state == super::State::Fail {
        return vec![first];
    }
    let mut checks = vec![first];
    let worker = program.to_owned();
    let blocking = tokio::task::spawn_blocking(move || (sandbox(&worker), codecs(&worker, PATIENCE)));
    if let Ok((sandbox, found)) = blocking.await {
        checks.push(sandbox);
        let ladders: Vec<&Ladder> = config.node.ladders.iter().chain([&config.gateway.ladder]).collect();
        match found {
            Ok(found) => checks.push(encoders(&found, &ladders)),
            Err(error) => checks.push(Check::fail("codecs", error.to_string(), REBUILD)),
        }
    }
    if selftest {
        let held = ask(program, &["selftest", "--json"], SELFTEST).await;
        checks.push(match held {
            Ok(_) => Check::ok("selftest", "every attack on the sandbox was blocked"),
            Err(why) => {
                Check::fail("selftest", why, "run no strangers' segments here; `headframe-codec selftest` says which")
            }
        });
    }
    checks
}

const REBUILD: &str =
    "./run install puts headframe and headframe-codec of one version in place; codec.program names another";

fn version(program: &Path, said: Result<Vec<u8>, String>) -> Check {
    let said = match said {
        Ok(said) => String::from_utf8_lossy(&said).trim().to_owned(),
        Err(why) => return Check::fail("codec", why, REBUILD),
    };
    let found = format!("{said} ({})", program.display());
    match said.split(' ').next_back() {
        Some(env!("CARGO_PKG_VERSION")) => Check::ok("codec", found),
        _ => Check::fail("codec", format!("{found}, and this is {}", env!("CARGO_PKG_VERSION")), REBUILD),
    }
}

/// Starts a worker: it takes no work before it has proven its sandbox.
fn sandbox(program: &Path) -> Check {
    let config = PoolConfig { program: program.to_owned(), workers: 1, ..PoolConfig::default() };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let landlock = match modules.as_str() {
        "" => "not told",
        modules if modules.contains("landlock") => "on",
        _ => "off",
    };
    let system = format!("kernel {}, Landlock {landlock}", kernel.trim());
    match Pool::start(config) {
        Ok(pool) => {
            let took = pool.stats().last_start.as_millis();
            pool.shutdown();
            Check::ok("sandbox", format!("a worker proved it within {took} ms ({system})"))
        }
        Err(error) => {
            let remedy = "Linux 5.13 or later, with Landlock (`landlock` in the boot parameter lsm=) and seccomp; in a container, \
                          its profile must allow both. docs/operating.md has the rest";
            Check::fail("sandbox", format!("{error} ({system})"), remedy)
        }
    }
}

fn encoders(found: &[Codec], ladders: &[&Ladder]) -> Check {
    let names: Vec<_> = found.iter().map(|codec| codec.name()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    let missing = ladders.iter().flat_map(|ladder| ladder.renditions()).find(|it| !found.contains(&it.codec));
    match missing {
        Some(rendition) => Check::fail(
            "codecs",
            format!("{names}; rendition {} of the configuration is {}", rendition.name, rendition.codec.name()),
            format!("install an FFmpeg with {}, or order another codec", rendition.codec.encoder()),
        ),
        None => Check::ok("codecs", format!("the processors encode {names}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn another_version_fails() {
        let program = Path::new("/x/headframe-codec");
        let said = |text: &str| version(program, Ok(text.into())).state;
        assert_eq!(said(&format!("headframe-codec {}\n", env!("CARGO_PKG_VERSION"))), State::Ok);
        assert_eq!((said("headframe-codec 0.0.1\n"), said("")), (State::Fail, State::Fail));
        assert!(version(program, Err("cannot run x".into())).found.contains("cannot run x"));
    }

    #[test]
    fn a_ladder_that_cannot_be_made_is_named() {
        let ladder = Ladder::standard();
        assert_eq!(encoders(&[Codec::H264], &[&ladder]).state, State::Ok);
        let none = encoders(&[], &[&ladder]);
        assert!(none.state == State::Fail && none.found.contains("rendition 240p"), "{none:?}");
    }
}
