//! The card that scales for a pool's workers: who looks for it, and which workers have it.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use super::super::child::Worker;
use super::super::vulkan::{self, Keeper, Scaled, Vulkan};
use super::{ROUND, Shared, State};
use crate::segment::{SegmentOut, TICKS_PER_SECOND};

impl Shared {
    /// What a worker's device did for a segment.
    pub(super) fn scaled(&self, scaled: Option<Scaled>, out: Option<&SegmentOut>) {
        let Some(scaled) = scaled else { return };
        let seconds = out.map(|out| out.source.duration.unsigned_abs() as f64 / TICKS_PER_SECOND as f64);
        if let Some(device) = &mut self.lock().device {
            device.scaled(&scaled, seconds.map(Duration::from_secs_f64), device.now());
        }
    }

    /// Looks for a card that scales for the workers, and from then on whether it may, on a thread of its own: drivers take their
    /// time. Nobody waits for that.
    pub(super) fn look_for_device(self: &Arc<Self>) {
        if self.config.vulkan == Vulkan::None {
            return;
        }
        let shared = Arc::clone(self);
        let started = thread::Builder::new().name("codec-vulkan".to_owned()).spawn(move || shared.keep_device());
        if let Err(error) = started {
            tracing::error!(%error, "no thread to look for a card that scales: the processors do");
        }
    }

    fn keep_device(&self) {
        loop {
            let found = vulkan::find(&self.config.program, &self.config.vulkan, vulkan::PATIENCE);
            let mut state = self.lock();
            match (&mut state.device, found) {
                (Some(device), found) => device.probed(found, device.now()),
                (none, Ok(found)) => *none = Some(Keeper::new(&found, self.config.cards.first_out)),
                (None, Err(reason)) if matches!(self.config.vulkan, Vulkan::Named(_)) => {
                    return tracing::warn!(reason, "the card that was to scale does not: the processors do");
                }
                (None, Err(reason)) => return tracing::info!(reason, "no card scales for the processors"),
            }
            self.changed.notify_all();
            loop {
                if state.stopping {
                    return;
                }
                if state.device.as_mut().is_some_and(|device| device.probe_due(device.now())) {
                    break;
                }
                state = self.changed.wait_timeout(state, ROUND).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl State {
    /// The device that workers get now.
    pub(super) fn device(&self) -> Option<String> {
        self.device.as_ref()?.device().map(str::to_owned)
    }

    /// Whether a worker has a device that none may have now.
    pub(super) fn must_end(&self, worker: &Worker) -> bool {
        worker.has_device() && self.device().is_none()
    }

    /// Ends idle workers that must.
    pub(super) fn end_idle(&mut self) {
        if self.device().is_none() {
            let (ended, idle) = std::mem::take(&mut self.idle).into_iter().partition(Worker::has_device);
            self.idle = idle;
            let ended: Vec<Worker> = ended;
            ended.iter().for_each(|worker| self.forget(worker.pid()));
        }
    }

    /// Whether a worker should make way for one with a device, as soon as it is idle.
    pub(super) fn may_have_device(&self) -> bool {
        self.device().is_some() && self.with_device.len() < self.pids.len()
    }

    /// Ends the idle worker without a device for which one with it has come: there is one too many.
    pub(super) fn end_surplus(&mut self, workers: usize) {
        if self.pids.len() > workers
            && let Some(at) = self.idle.iter().position(|worker| !worker.has_device())
        {
            let surplus = self.idle.swap_remove(at);
            self.forget(surplus.pid());
        }
    }

    /// A worker has ended; that is the device's fault, if it had it.
    pub(super) fn device_lost(&mut self, pid: u32, detail: &str) {
        if self.with_device.contains(&pid) {
            self.device_failed(detail);
        }
    }

    /// A worker with it did not start, or has ended.
    pub(super) fn device_failed(&mut self, detail: &str) {
        if let Some(device) = &mut self.device {
            device.worker_lost(detail, device.now());
        }
    }
}
