//! SIGHUP: the configuration is read again. What can change while a process runs is taken over, the rest is named; a
//! configuration with a mistake changes nothing.

use crate::config::{Config, ConfigError, For};
use crate::metrics::Metrics;
use crate::shutdown::Stage;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Where a configuration was read, to read it there again.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file; without one everything has its default.
    pub path: Option<PathBuf>,
    /// What it is checked for.
    pub role: For,
}

impl Source {
    /// Reads and checks it.
    ///
    /// # Errors
    /// What is wrong with the file or in it.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let config = Config::load(self.path.as_deref())?;
        config.validate(self.role)?;
        Ok(config)
    }
}

/// Follows SIGHUP until the stage stops. `take` takes over what lies under `live`, keys as in `node.pricing`.
///
/// # Errors
/// Where signals cannot be heard.
pub(crate) fn on_hangup(
    stage: &Stage,
    source: Source,
    metrics: Arc<Metrics>,
    live: &'static [&'static str],
    take: impl Fn(&Config) + Send + 'static,
) -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    metrics.config_reloaded.set(1);
    let stop = stage.stop.clone();
    stage.tasks.spawn(async move {
        // As it is in force: what needs a restart is told again until there was one.
        let mut running = source.read().ok();
        while stop.run_until_cancelled(hangups.recv()).await.flatten().is_some() {
            match source.read() {
                Ok(config) => {
                    take(&config);
                    let changed = running.as_ref().map(|running| changes(running, &config)).unwrap_or_default();
                    let (taken, waiting): (Vec<_>, Vec<_>) = changed.into_iter().partition(|key| is_under(key, live));
                    tracing::info!(?taken, "configuration read again");
                    if waiting.is_empty() {
                        running = Some(config);
                    } else {
                        tracing::warn!(?waiting, "these changes need a restart");
                    }
                    metrics.config_reloaded.set(1);
                }
                Err(error) => {
                    tracing::error!(%error, "the configuration stays as it was: the file has a mistake");
                    metrics.config_reloaded.set(0);
                }
            }
        }
    });
    Ok(())
}

fn is_under(key: &str, live: &[&str]) -> bool {
    live.iter().any(|live| key.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The keys whose values differ, with their sections.
fn changes(old: &Config, new: &Config) -> Vec<String> {
    let json = |config| serde_json::to_value(config).unwrap_or_default();
    let mut found = Vec::new();
    differ("", &json(old), &json(new), &mut found);
    found
}

fn differ(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let below = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let side = |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                differ(&below, &side(old), &side(new), found);
            }
        }
        _ if old != new => found.push(at.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::mpsc;

    #[test]
    fn changes_are_named_by_their_keys() {
        let old = Config::default();
        let mut new = old.clone();
        assert_eq!(changes(&old, &new), Vec::<String>::new());
        new.hls.window += 1;
        new.node.pricing = toml::from_str("price = \"77\"").unwrap();
        assert_eq!(changes(&old, &new), ["hls.window", "node.pricing.price"]);
        assert!(is_under("node.pricing.price", &["node.pricing"]) && is_under("node.pricing", &["node.pricing"]));
        assert!(!is_under("node.pricing_else", &["node.pricing"]));
    }

    #[tokio::test]
    async fn a_mistake_changes_nothing_and_a_better_price_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headframe.toml");
        let stream = "[[gateway.streams]]\nkey = \"sk_a_key_of_some_length\"\nid = \"live\"\n";
        let write = |text: &str| std::fs::write(&path, format!("{text}{stream}")).unwrap();
        write("");
        let metrics = Metrics::new().unwrap();
        let stage = Stage::new("test", Duration::from_secs(1));
        let (said, mut heard) = mpsc::channel(4);
        let take = move |config: &Config| said.try_send(config.node.pricing.price.to_string()).unwrap();
        let source = Source { path: Some(path.clone()), role: For::LocalGateway };
        on_hangup(&stage, source, metrics.clone(), &["node.pricing"], take).unwrap();
        let hang_up =
            || rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();

        write("[node.pricing]\nprice = \"seven\"\n");
        hang_up();
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while metrics.config_reloaded.get() == 1 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(metrics.config_reloaded.get(), 0);
        assert!(heard.try_recv().is_err(), "nothing is taken of a file with a mistake");

        write("[node.pricing]\nprice = \"77\"\n");
        hang_up();
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), heard.recv()).await.unwrap().unwrap(), "77");
        stage.stop.cancel();
        stage.tasks.close();
        stage.tasks.wait().await;
        assert_eq!(metrics.config_reloaded.get(), 1);
    }
}
