//! The order of stopping: intake first, then work in hand, then the chain, then stores. Each stage has its own grace, so
//! that a stuck encoder cannot eat the time a store needs.

use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks that stop together.
pub struct Stage {
    /// For the log.
    pub name: &'static str,
    /// Tells its tasks to stop.
    pub stop: CancellationToken,
    /// Its tasks.
    pub tasks: TaskTracker,
    /// How long they may take.
    pub grace: Duration,
}

impl Stage {
    /// A stage with no tasks yet.
    pub fn new(name: &'static str, grace: Duration) -> Self {
        Self { name, stop: CancellationToken::new(), tasks: TaskTracker::new(), grace }
    }
}

/// Stops the stages in order; the names of those that did not end in time come back.
pub async fn drain(stages: &[&Stage]) -> Vec<&'static str> {
    let mut late = Vec::new();
    for stage in stages {
        stage.stop.cancel();
        stage.tasks.close();
        if timeout(stage.grace, stage.tasks.wait()).await.is_err() {
            late.push(stage.name);
        }
    }
    late
}

/// Resolves on Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
