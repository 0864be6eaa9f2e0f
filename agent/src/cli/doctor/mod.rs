//! `headframe doctor`: looks at everything that a rig or a gateway needs of its machine, and says for each what is there, and
//! what to do about what is missing. It changes nothing.

mod cards;
mod chain;
mod codec;
mod machine;
mod vulkan;

use super::{ConfigArg, RoleArg};
use crate::config::{Config, ConfigError, For};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Where `./run install` puts the configuration.
const INSTALLED: &str = "/etc/headframe/headframe.toml";
/// Most bytes of a program's answer that are looked at.
const ANSWER: usize = 1 << 20;

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// For which role
    #[arg(long, value_enum, default_value_t = RoleArg::Node)]
    role: RoleArg,
    /// Also attack the sandbox with all that is known (`headframe-codec selftest`), which takes a while
    #[arg(long)]
    selftest: bool,
    /// Look for NVIDIA's libraries in this folder and nowhere else
    #[arg(long, value_name = "DIR")]
    libraries: Option<PathBuf>,
    /// As JSON, with all that the cards say of themselves
    #[arg(long)]
    json: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, but worse than it could, or cannot be told.
    Warn,
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    /// What is there, or the cause.
    found: String,
    /// What to do; nothing where all is well.
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), remedy: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state: State::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    /// Whether nothing failed.
    ok: bool,
    checks: Vec<Check>,
    /// What `headframe-codec gpu --json` said, if anything.
    gpu: Option<serde_json::Value>,
    /// What `headframe-codec vulkan --json` said, where it was asked.
    vulkan: Option<serde_json::Value>,
}

pub(super) async fn run(args: DoctorArgs) -> anyhow::Result<()> {
    let role = args.role.role();
    let named = args.config.config.clone();
    let (config, mut checks) = configuration(named.as_deref(), Path::new(INSTALLED), role);
    checks.extend(machine::all(&config).await);
    let program = codec::program(&config);
    checks.extend(codec::all(&program, &config, args.selftest).await);
    if role != For::LocalGateway {
        checks.extend(chain::all(&config).await);
    }
    let plugged = cards::Plugged::here();
    let (found, gpu) = cards::all(&program, args.libraries.as_deref(), &plugged).await;
    checks.extend(found);
    let (found, vulkan) = vulkan::all(&program, &config.codec.vulkan, &plugged).await;
    checks.extend(found);
    let failed = checks.iter().filter(|check| check.state == State::Fail).count();
    let report = Report { version: env!("CARGO_PKG_VERSION"), ok: failed == 0, checks, gpu, vulkan };
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", text(&report.checks)),
    }
    match failed {
        0 => Ok(()),
        1 => anyhow::bail!("one check failed"),
        _ => anyhow::bail!("{failed} checks failed"),
    }
}

/// The configuration that counts, and what is wrong with it. One that cannot be read is replaced by the defaults, so that the
/// rest is still looked at.
fn configuration(named: Option<&Path>, installed: &Path, role: For) -> (Config, Vec<Check>) {
    const NAME: &str = "config";
    let path = named.or_else(|| installed.exists().then_some(installed));
    let Some(path) = path else {
        let found = format!("none was named, and there is no {}: the defaults count", installed.display());
        let remedy = "`./run install` puts one there; --config names another";
        return (Config::default(), vec![Check::warn(NAME, found, remedy)]);
    };
    let config = match Config::load(Some(path)) {
        Ok(config) => config,
        Err(error) => {
            let remedy = "mend the file, or run this as somebody who may read it (sudo)";
            return (Config::default(), vec![Check::fail(NAME, error.to_string(), remedy)]);
        }
    };
    let wrong = match config.validate(role) {
        Ok(()) => return (config, vec![Check::ok(NAME, path.display().to_string())]),
        Err(ConfigError::Invalid(wrong)) => wrong,
        Err(other) => vec![other.to_string()],
    };
    let remedy = format!("sudo nano {}", path.display());
    (config, wrong.into_iter().map(|what| Check::fail(NAME, what, remedy.clone())).collect())
}

/// A line for each check, and one for what to do where something is.
fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        text += &format!("{state:<5}{:<9}{}\n", check.name, check.found);
        if let Some(remedy) = &check.remedy {
            text += &format!("{:>17} {remedy}\n", "do:");
        }
    }
    text
}

/// What a program prints, if it ends well within `patience`; it is ended when it takes longer.
async fn ask(program: &Path, args: &[&str], patience: Duration) -> Result<Vec<u8>, String> {
    let mut command = tokio::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(patience, command.output()).await;
    let output = output.map_err(|_| format!("{} does not answer within {patience:?}", program.display()))?;
    let output = output.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("no word");
        return Err(format!("{} ended with {}: {last}", program.display(), output.status));
    }
    match output.stdout.len() {
        0..=ANSWER => Ok(output.stdout),
        many => Err(format!("{} answers with {many} bytes", program.display())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_of_the_configuration_has_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headframe.toml");
        let checks = |role| configuration(Some(&file), Path::new("/nonexistent"), role).1;
        assert!(checks(For::Node)[0].state == State::Fail && checks(For::Node)[0].found.contains("cannot read"));
        std::fs::write(&file, "[hls]\nwindow = 1\n").unwrap();
        let found = checks(For::Node);
        assert!(found.len() > 2 && found.iter().all(|check| check.state == State::Fail), "{found:?}");
        assert!(found.iter().any(|check| check.found.starts_with("hls.window")), "{found:?}");
        std::fs::write(&file, "[gateway]\nstreams = [{ key = \"k\", id = \"live\" }]\n").unwrap();
        assert_eq!(checks(For::LocalGateway), [Check::ok("config", file.display().to_string())]);
        let none = configuration(None, Path::new("/nonexistent"), For::Node);
        assert!(none.0 == Config::default() && none.1[0].state == State::Warn, "{:?}", none.1);
    }

    #[test]
    fn what_to_do_stands_below_what_is_wrong() {
        let told = text(&[Check::ok("cores", "8"), Check::fail("disk", "full", "make room")]);
        assert_eq!(told, "ok   cores    8\nFAIL disk     full\n              do: make room\n");
    }

    #[tokio::test]
    async fn a_program_that_fails_or_hangs_is_an_answer_too() {
        let long = Duration::from_secs(20);
        assert_eq!(ask(Path::new("echo"), &["here"], long).await, Ok(b"here\n".to_vec()));
        assert!(ask(Path::new("false"), &[], long).await.unwrap_err().contains("no word"));
        assert!(ask(Path::new("/nonexistent"), &[], long).await.unwrap_err().starts_with("cannot run /nonexistent"));
        let hangs = ask(Path::new("sleep"), &["60"], Duration::from_millis(50)).await;
        assert!(hangs.unwrap_err().contains("does not answer"));
    }
}
