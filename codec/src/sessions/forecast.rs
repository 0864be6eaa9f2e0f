//! When rungs will be done on one card: engines shared evenly by the sessions at work, the earliest deadline next.
//!
//! NVENC spreads sessions over its engines, and one session never has more than one engine: so `n` sessions on `e` engines
//! run at `min(1, e / n)` of an engine each. A second session for an engine hides the gaps while the first is set up. It also
//! slows the first, so it begins only where that makes nobody late: otherwise the engine would be shared with a rung that
//! has time, at the cost of one that has none. Times are seconds from now.

/// What is to be done for a rung.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// Time until its session is set up; no engine works for it before.
    pub(super) setup: f64,
    /// Engine time after that.
    pub(super) left: f64,
}

impl Work {
    fn is_set_up(&self) -> bool {
        self.setup <= INSTANT
    }

    /// Goes on for `step`, which is not longer than its setup if it is not set up. Returns the engine time it had.
    pub(super) fn advance(&mut self, step: f64, share: f64) -> f64 {
        if self.is_set_up() {
            self.left -= step * share;
            step * share
        } else {
            self.setup -= step;
            0.0
        }
    }
}

/// A rung on a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    /// What is left of it.
    pub(super) work: Work,
    /// When it must be done.
    pub(super) deadline: f64,
    /// Whether its session is there for the next one.
    pub(super) stays: bool,
}

/// A rung that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queued {
    /// What it needs.
    pub(super) work: Work,
    /// When it must be done.
    pub(super) deadline: f64,
}

/// One card.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// Encode engines.
    pub(super) engines: u32,
    /// What is at work.
    pub(super) running: Vec<Running>,
    /// When each session that is not at work can be used.
    pub(super) ready: Vec<f64>,
}

/// Ends of times that are equal but for rounding.
const INSTANT: f64 = 1e-9;

/// Share of an engine that each of `active` sessions has.
fn share(engines: u32, active: usize) -> f64 {
    if active == 0 { 1.0 } else { (f64::from(engines) / active as f64).min(1.0) }
}

/// Share of an engine that each of these has that is set up, and the time until the next one is.
pub(super) fn pace<'a>(engines: u32, works: impl Iterator<Item = &'a Work>) -> (f64, f64) {
    let (mut active, mut next) = (0, f64::INFINITY);
    for work in works {
        if work.is_set_up() {
            active += 1;
        } else {
            next = next.min(work.setup);
        }
    }
    (share(engines, active), next)
}

/// Whether one more may begin at `now` beside `running`.
pub(super) fn may_begin(now: f64, engines: u32, running: &[Running]) -> bool {
    let active = running.len();
    if active < engines as usize {
        return true;
    }
    let done = |rung: &Running, share: f64| now + rung.work.setup + rung.work.left / share;
    let shared = share(engines, active + 1);
    // Who is late even with an engine to itself keeps nobody waiting; who is late only if nobody else ends soon does.
    running.iter().all(|rung| done(rung, shared) <= rung.deadline || done(rung, 1.0) > rung.deadline)
}

/// When each of `queue` is done, which is in the order of deadlines; infinite where it has no session.
pub(super) fn forecast(mut scene: Scene, queue: &[Queued]) -> Vec<f64> {
    let mut done = vec![f64::INFINITY; queue.len()];
    // Beside each running rung its place in the queue.
    let mut places: Vec<Option<usize>> = vec![None; scene.running.len()];
    let (mut now, mut next, mut open) = (0.0, 0, queue.len());
    while open > 0 {
        while let Some(first) = queue.get(next)
            && let Some(at) = scene.ready.iter().position(|ready| *ready <= now + INSTANT)
            && may_begin(now, scene.engines, &scene.running)
        {
            scene.ready.swap_remove(at);
            scene.running.push(Running { work: first.work, deadline: first.deadline, stays: true });
            places.push(Some(next));
            next += 1;
        }
        let (share, set_up) = pace(scene.engines, scene.running.iter().map(|rung| &rung.work));
        let at_work = scene.running.iter().filter(|rung| rung.work.is_set_up());
        let ends = at_work.map(|rung| rung.work.left / share).chain([set_up]);
        let comes = scene.ready.iter().map(|ready| ready - now).filter(|wait| *wait > INSTANT && next < queue.len());
        let step = ends.chain(comes).fold(f64::INFINITY, f64::min).max(0.0);
        if step.is_infinite() {
            break;
        }
        now += step;
        let mut at = 0;
        while at < scene.running.len() {
            let work = &mut scene.running[at].work;
            work.advance(step, share);
            if !work.is_set_up() || work.left > INSTANT {
                at += 1;
                continue;
            }
            if scene.running.swap_remove(at).stays {
                scene.ready.push(now);
            }
            if let Some(place) = places.swap_remove(at) {
                done[place] = now;
                open -= 1;
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(work: f64, deadline: f64) -> Queued {
        Queued { work: Work { setup: 0.0, left: work }, deadline }
    }

    fn close(have: &[f64], want: &[f64]) {
        let equal = have.iter().zip(want).all(|(have, want)| have == want || (have - want).abs() < 1e-6);
        assert!(have.len() == want.len() && equal, "{have:?}, not {want:?}");
    }

    #[test]
    fn one_session_does_one_after_the_other() {
        let scene = Scene { engines: 1, running: vec![], ready: vec![0.5] };
        close(&forecast(scene, &[queued(0.1, 1.0), queued(0.2, 1.0)]), &[0.6, 0.8]);
    }

    #[test]
    fn two_sessions_share_an_engine_and_have_two() {
        let queue = [queued(0.1, 9.0), queued(0.2, 9.0)];
        let scene = |engines| Scene { engines, running: vec![], ready: vec![0.0, 0.0] };
        close(&forecast(scene(1), &queue), &[0.2, 0.3]);
        close(&forecast(scene(2), &queue), &[0.1, 0.2]);
    }

    #[test]
    fn one_is_set_up_while_the_other_has_the_engine() {
        let slow = |deadline| Queued { work: Work { setup: 0.1, left: 0.1 }, deadline };
        let queue = [slow(9.0), slow(9.0), slow(9.0)];
        let scene = |ready: &[f64]| Scene { engines: 1, running: vec![], ready: ready.to_vec() };
        close(&forecast(scene(&[0.0]), &queue), &[0.2, 0.4, 0.6]);
        // The second comes 0.05 later: they share the engine from 0.15 to 0.25.
        close(&forecast(scene(&[0.0, 0.05]), &queue), &[0.25, 0.3, 0.45]);
    }

    #[test]
    fn an_engine_is_not_shared_with_one_that_has_time() {
        let running = vec![Running { work: Work { setup: 0.0, left: 0.2 }, deadline: 0.25, stays: true }];
        let scene = Scene { engines: 1, running: running.clone(), ready: vec![0.0] };
        close(&forecast(scene, &[queued(0.1, 9.0)]), &[0.3]);
        assert!(!may_begin(0.0, 1, &running) && may_begin(0.0, 2, &running));
        // One that will be late in any case keeps nobody waiting.
        let hopeless = [Running { work: Work { setup: 0.0, left: 0.2 }, deadline: 0.1, stays: true }];
        assert!(may_begin(0.0, 1, &hopeless));
        // One of three on two engines that is in time once the others have ended, but not beside a fourth.
        let rung = |left, deadline| Running { work: Work { setup: 0.0, left }, deadline, stays: true };
        let tight = [rung(0.1, 0.14), rung(0.01, 9.0), rung(0.01, 9.0)];
        assert!(!may_begin(0.0, 2, &tight) && may_begin(0.0, 2, &[rung(0.1, 0.09), tight[1], tight[2]]));
    }

    #[test]
    fn without_a_session_never() {
        let running = vec![Running { work: Work { setup: 0.0, left: 0.2 }, deadline: 1.0, stays: false }];
        close(&forecast(Scene { engines: 1, running, ready: vec![] }, &[queued(0.1, 1.0)]), &[f64::INFINITY]);
    }
}
