//! A graphics card without CUDA that scales for the workers: which one, and whether it may.
//!
//! The worker program says which device there is and whether it is worth its while ([`find`], `headframe-codec vulkan`). Workers
//! that are started from then on have it; those without take turns to be replaced. Nothing depends on it: a worker whose device
//! fails scales on the processor from that picture on.
//!
//! What goes wrong puts the device out for a while, by the rules of other cards ([`crate::placement`]), except that an end of a
//! worker that has it counts as the device's fault at once: its driver is in that process, and whether the content was the reason
//! shows when a worker without tries again. While it is out, no worker has it. Asking the program once more is the probe.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ask::{AskError, ask};
use super::child::is_plain;
use crate::budget::Limits;
use crate::error::Class;
use crate::placement::{Health, Outcome};
use crate::units::Moment;

/// Time to find devices and to measure one. A software driver, which is only tried by name, takes half of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are read of an answer.
const MAX_ANSWER: u64 = 64 << 10;
/// Longest name of a device.
const MAX_NAME: usize = 256;

/// Which card scales for the processors. Written `auto`, `none`, or as a name or UUID that `headframe-codec vulkan` prints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Vulkan {
    /// The best that is no NVIDIA card with its own driver, if it leaves the processors less to do.
    Auto,
    /// None.
    #[default]
    None,
    /// This one, whether that is less work or not, as long as it computes the right thing.
    Named(String),
}

impl From<String> for Vulkan {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "none" => Self::None,
            _ => Self::Named(text),
        }
    }
}

impl From<Vulkan> for String {
    fn from(choice: Vulkan) -> Self {
        choice.to_string()
    }
}

impl FromStr for Vulkan {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

impl fmt::Display for Vulkan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Named(name) => name,
        })
    }
}

/// What a worker's device did for a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaled {
    /// Pictures that it scaled to all rungs.
    pub pictures: u32,
    /// Pictures that the processor scaled instead.
    pub left: u32,
    /// Time from handing pictures over until their rungs were there, microseconds.
    pub took_us: u64,
    /// What went wrong first.
    pub failure: Option<ScalingFailure>,
}

/// Why a device did not scale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalingFailure {
    /// Whose turn it is then.
    pub class: Class,
    /// In words.
    pub reason: String,
}

impl Scaled {
    /// The worker is not trusted.
    pub(super) fn is_plausible(&self, limits: &Limits) -> bool {
        let (most, wall) = (u64::from(limits.frames), limits.wall.as_micros());
        u64::from(self.pictures) + u64::from(self.left) <= most
            && u128::from(self.took_us) <= 2 * wall
            && self.failure.as_ref().is_none_or(|failure| is_plain(&failure.reason))
    }
}

/// The device at one moment, and what happened since it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VulkanStats {
    /// Its name for good, as `headframe-codec vulkan` prints it.
    pub id: String,
    /// Name of the product.
    pub name: String,
    /// Whether workers may have it; otherwise it is out.
    pub is_in: bool,
    /// Workers that have it.
    pub workers: usize,
    /// Pictures that it scaled.
    pub pictures: u64,
    /// Pictures that the processors scaled in workers that have it.
    pub left: u64,
    /// Time that its pictures took from end to end, summed up.
    pub took: Duration,
    /// Segments in which it failed, by class.
    pub errors: BTreeMap<Class, u64>,
    /// Times that it was put out, by [`crate::placement::Why::name`].
    pub put_out: BTreeMap<&'static str, u64>,
    /// Times that it came back.
    pub readmitted: u64,
}

/// A device that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) name: String,
    /// What was measured, in words.
    pub(super) measured: String,
}

#[derive(Deserialize)]
struct Report {
    chosen: Option<Chosen>,
    problem: Option<String>,
}

#[derive(Deserialize)]
struct Chosen {
    id: String,
    name: String,
    driver: String,
    broken: Option<String>,
    device: Option<Times>,
    host: Option<Times>,
    worthwhile: bool,
}

#[derive(Deserialize)]
struct Times {
    processor_us: u64,
    wall_us: u64,
}

/// The device to use, or why there is none. Blocks for as long as it takes, at most `patience`.
pub(super) fn find(program: &Path, choice: &Vulkan, patience: Duration) -> Result<Found, String> {
    let mut arguments: Vec<OsString> = vec!["vulkan".into(), "--json".into()];
    if let Vulkan::Named(name) = choice {
        arguments.extend(["--device".into(), name.into()]);
    }
    let asked = || format!("`{} vulkan`", program.display());
    let said = ask(program, &arguments, patience, MAX_ANSWER).map_err(|error| match error {
        AskError::Run(reason) => reason,
        AskError::Late => format!("{} does not answer within {} s", asked(), patience.as_secs()),
    })?;
    let report = serde_json::from_slice::<Report>(&said.answer).ok().filter(|_| said.status.success());
    let report = report.ok_or_else(|| format!("{} does not list devices ({})", asked(), said.status))?;
    let Some(chosen) = report.chosen else {
        return Err(report.problem.unwrap_or_else(|| format!("{} found none", asked())));
    };
    let Chosen { id, name, driver, broken, device, host, worthwhile } = chosen;
    if ![&id, &name, &driver].into_iter().all(|text| is_plain(text) && text.len() <= MAX_NAME) || id.is_empty() {
        return Err(format!("{} names a device that cannot be", asked()));
    }
    if let Some(reason) = broken {
        return Err(format!("{name} ({driver}) cannot be used: {reason}"));
    }
    let (Some(device), Some(host)) = (device, host) else {
        return Err(format!("{} measured nothing", asked()));
    };
    let measured = format!(
        "{} us of a processor for a 1080p picture and {} us until it is there, instead of {} us",
        device.processor_us, device.wall_us, host.processor_us
    );
    match worthwhile || matches!(choice, Vulkan::Named(_)) {
        true => Ok(Found { id, name, measured }),
        false => Err(format!("{name} ({driver}) is not worth its while: {measured}")),
    }
}

/// What is known of the device, and whether it may be used.
#[derive(Debug)]
pub(super) struct Keeper {
    began: Instant,
    health: Health,
    stats: VulkanStats,
}

impl Keeper {
    /// Of a device that was just found.
    pub(super) fn new(found: &Found, first_out: Duration) -> Self {
        let Found { id, name, measured } = found;
        tracing::info!(device = name, id, measured, "a graphics card scales for the processors");
        let (id, name) = (id.clone(), name.clone());
        let stats = VulkanStats { id, name, ..VulkanStats::default() };
        Self { began: Instant::now(), health: Health::new(first_out), stats }
    }

    /// By its own clock.
    pub(super) fn now(&self) -> Moment {
        Moment(self.began.elapsed())
    }

    /// The device that new workers get; none while it is out.
    pub(super) fn device(&self) -> Option<&str> {
        self.health.is_in().then_some(&self.stats.id)
    }

    pub(super) fn stats(&self, workers: usize) -> VulkanStats {
        VulkanStats { is_in: self.health.is_in(), workers, ..self.stats.clone() }
    }

    /// A segment that plays for so long was made with it. One that took half of that for scaling alone has a device that is too
    /// slow at the moment: others may use it.
    pub(super) fn scaled(&mut self, scaled: &Scaled, plays: Option<Duration>, now: Moment) {
        let took = Duration::from_micros(scaled.took_us);
        self.stats.pictures += u64::from(scaled.pictures);
        self.stats.left += u64::from(scaled.left);
        self.stats.took = self.stats.took.saturating_add(took);
        let (outcome, detail) = match &scaled.failure {
            Some(failure) => (Outcome::Failed(failure.class), failure.reason.clone()),
            None if plays.is_some_and(|plays| took > plays / 2) => {
                let detail = format!("{} ms for {} pictures", took.as_millis(), scaled.pictures);
                (Outcome::Failed(Class::Transient), detail)
            }
            None => return self.learn(Outcome::Good, "", now),
        };
        if let Outcome::Failed(class) = outcome {
            *self.stats.errors.entry(class).or_default() += 1;
            let (device, class) = (&self.stats.name, class.name());
            tracing::warn!(device, class, detail, "a graphics card did not scale as it should");
        }
        self.learn(outcome, &detail, now);
    }

    /// A worker that has it ended, or did not start.
    pub(super) fn worker_lost(&mut self, detail: &str, now: Moment) {
        *self.stats.errors.entry(Class::Device).or_default() += 1;
        self.learn(Outcome::Failed(Class::Device), detail, now);
    }

    fn learn(&mut self, outcome: Outcome, detail: &str, now: Moment) {
        if let Some((why, back_in)) = self.health.on(outcome, now) {
            self.put_out(why.name(), back_in, detail);
        }
    }

    fn put_out(&mut self, why: &'static str, back_in: Duration, detail: &str) {
        *self.stats.put_out.entry(why).or_default() += 1;
        let (device, probed_in_s) = (&self.stats.name, back_in.as_secs());
        tracing::error!(device, why, detail, probed_in_s, "a graphics card no longer scales: the processors do");
    }

    /// Whether the program is to be asked again; if so, that counts as begun.
    pub(super) fn probe_due(&mut self, now: Moment) -> bool {
        self.health.probe_due(now)
    }

    /// What the program said.
    pub(super) fn probed(&mut self, found: Result<Found, String>, now: Moment) {
        let (works, detail) = match found {
            Ok(found) if found.id == self.stats.id => (true, found.measured),
            Ok(found) => (false, format!("there is another one instead: {}", found.name)),
            Err(reason) => (false, reason),
        };
        match self.health.probed(works, now) {
            Some(Ok(())) => {
                self.stats.readmitted += 1;
                tracing::warn!(device = self.stats.name, detail, "a graphics card scales again");
            }
            Some(Err((why, back_in))) => self.put_out(why.name(), back_in, &detail),
            None => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const OUT: Duration = Duration::from_secs(10);

    fn found(id: &str) -> Found {
        Found { id: id.to_owned(), name: "Card".to_owned(), measured: "little".to_owned() }
    }

    fn at(second: u64) -> Moment {
        Moment(Duration::from_secs(second))
    }

    #[test]
    fn a_choice_is_a_word_or_a_name() {
        for (text, choice) in
            [("auto", Vulkan::Auto), ("none", Vulkan::None), ("Card 1", Vulkan::Named("Card 1".to_owned()))]
        {
            assert_eq!((text.parse(), choice.to_string()), (Ok(choice.clone()), text.to_owned()));
            assert_eq!(serde_json::from_str::<Vulkan>(&serde_json::to_string(&choice).unwrap()).unwrap(), choice);
        }
    }

    #[test]
    fn a_device_that_fails_is_out_until_a_probe_says_otherwise() {
        let mut keeper = Keeper::new(&found("1"), OUT);
        let good = Scaled { pictures: 60, took_us: 100_000, ..Scaled::default() };
        let plays = Some(Duration::from_secs(2));
        keeper.scaled(&good, plays, at(1));
        assert_eq!(keeper.device(), Some("1"));
        let failure = |class| Some(ScalingFailure { class, reason: "why".to_owned() });
        // Somebody else's fault, and nobody's.
        for class in [Class::Input, Class::Capacity] {
            keeper.scaled(&Scaled { left: 60, failure: failure(class), ..Scaled::default() }, plays, at(2));
        }
        assert_eq!(keeper.device(), Some("1"));
        keeper.scaled(&Scaled { pictures: 10, left: 50, failure: failure(Class::Device), took_us: 9 }, plays, at(3));
        assert!(keeper.device().is_none() && !keeper.probe_due(at(12)));
        assert!(keeper.probe_due(at(13)));
        keeper.probed(Err("gone".to_owned()), at(14));
        assert!(keeper.device().is_none() && !keeper.probe_due(at(33)), "twice as long");
        assert!(keeper.probe_due(at(34)));
        keeper.probed(Ok(found("2")), at(35));
        assert!(keeper.probe_due(at(600)), "another one is not the one");
        keeper.probed(Ok(found("1")), at(601));
        assert_eq!(keeper.device(), Some("1"));
        let stats = keeper.stats(2);
        assert_eq!((stats.pictures, stats.left, stats.workers, stats.readmitted), (70, 170, 2, 1));
        assert_eq!(
            stats.errors.into_iter().collect::<Vec<_>>(),
            [(Class::Input, 1), (Class::Capacity, 1), (Class::Device, 1)]
        );
        assert_eq!(stats.put_out.into_iter().collect::<Vec<_>>(), [("device", 1), ("probe", 2)]);
    }

    #[test]
    fn a_worker_that_ends_puts_it_out_at_once_and_slowness_with_the_third() {
        let mut keeper = Keeper::new(&found("1"), OUT);
        let slow = Scaled { pictures: 60, took_us: 1_000_001, ..Scaled::default() };
        let plays = Some(Duration::from_secs(2));
        keeper.scaled(&slow, plays, at(1));
        keeper.scaled(&slow, None, at(1));
        keeper.scaled(&slow, plays, at(2));
        assert_eq!(keeper.device(), Some("1"));
        keeper.scaled(&slow, plays, at(3));
        assert_eq!(keeper.device(), None);
        let mut keeper = Keeper::new(&found("1"), OUT);
        keeper.worker_lost("crashed", at(1));
        assert_eq!(keeper.device(), None);
    }

    #[test]
    fn no_worker_may_say_what_cannot_be() {
        let limits = Limits::default();
        let reason = |reason: &str| Some(ScalingFailure { class: Class::Device, reason: reason.to_owned() });
        let honest = Scaled { pictures: 60, left: 1, took_us: 1000, failure: reason("lost") };
        assert!(honest.is_plausible(&limits));
        for lie in [
            Scaled { pictures: u32::MAX, left: u32::MAX, ..honest.clone() },
            Scaled { took_us: u64::MAX, ..honest.clone() },
            Scaled { failure: reason("a\nb"), ..honest },
        ] {
            assert!(!lie.is_plausible(&limits), "{lie:?}");
        }
    }

    #[test]
    fn what_the_program_says_decides() {
        let dir = tempfile::tempdir().unwrap();
        let mut number = 0;
        let mut ask = |answer: &str, choice: &Vulkan| {
            number += 1;
            let program = dir.path().join(number.to_string());
            // Written by another process: a child that is started meanwhile would hold our file open, and it could not be run.
            let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""#;
            let mut shell = std::process::Command::new("sh");
            assert!(shell.args(["-c", write, "sh", answer]).arg(&program).status().unwrap().success());
            find(&program, choice, Duration::from_secs(10))
        };
        let says = |worthwhile: bool, broken: &str| {
            let times = r#""device":{"processor_us":1,"wall_us":2},"host":{"processor_us":3,"wall_us":3}"#;
            let device = r#""id":"a0","name":"Card","driver":"D 1""#;
            format!(
                r#"echo '{{"chosen":{{{device},"broken":{broken},{times},"worthwhile":{worthwhile}}},"problem":null}}'"#
            )
        };
        let named = Vulkan::Named("Card".to_owned());
        assert_eq!(ask(&says(true, "null"), &Vulkan::Auto).unwrap().id, "a0");
        assert!(ask(&says(false, "null"), &Vulkan::Auto).unwrap_err().contains("not worth its while"));
        assert_eq!(ask(&says(false, "null"), &named).unwrap().name, "Card");
        for choice in [Vulkan::Auto, named.clone()] {
            assert!(ask(&says(true, r#""wrong""#), &choice).unwrap_err().contains("cannot be used: wrong"));
        }
        let told = format!(r#"[ "$*" = "vulkan --json --device Card" ] && {}"#, says(true, "null"));
        assert!(ask(&told, &named).is_ok() && ask(&told, &Vulkan::Auto).is_err());
        assert_eq!(ask(r#"echo '{"chosen":null,"problem":"no loader"}'"#, &Vulkan::Auto).unwrap_err(), "no loader");
        for nonsense in ["echo '{}'", "echo x", "exit 1", r#"echo '{"chosen":{"id":""}}'"#] {
            assert!(ask(nonsense, &Vulkan::Auto).is_err(), "{nonsense}");
        }
    }
}
