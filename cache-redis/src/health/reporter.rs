//! Calls the user's hooks, on a thread that ends when there is nothing to report. Reports are made one at a time and in order, so
//! trouble is reported to be over only after it was reported to have begun.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Recovery, Trouble};

type OnError = Arc<dyn Fn(&Trouble) + Send + Sync>;
type OnRecovery = Arc<dyn Fn(&Recovery) + Send + Sync>;

/// The user's code: it may block, panic, or call into the cache.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) on_error: Option<OnError>,
    pub(crate) on_recovery: Option<OnRecovery>,
}

pub(super) enum Report {
    Trouble(Trouble),
    Recovery(Recovery),
}

/// So many reports may wait for a hook that blocks. Further ones are left out.
const MOST: usize = 1000;

/// See the head of this file.
pub(super) struct Reporter {
    hooks: Hooks,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Report>,
    /// The thread is there.
    works: bool,
}

impl Reporter {
    pub(super) fn new(hooks: Hooks) -> Arc<Self> {
        Arc::new(Self { hooks, state: Mutex::default() })
    }

    /// Doesn't wait for the hook.
    pub(super) fn tell(self: &Arc<Self>, report: Report) {
        let is_heard = match &report {
            Report::Trouble(_) => self.hooks.on_error.is_some(),
            Report::Recovery(_) => self.hooks.on_recovery.is_some(),
        };
        let mut state = self.lock();
        if !is_heard || state.waiting.len() >= MOST {
            return;
        }
        state.waiting.push_back(report);
        if !state.works {
            let reporter = Arc::clone(self);
            let thread = std::thread::Builder::new().name("larder-report".to_owned()).spawn(move || reporter.work());
            state.works = thread.is_ok();
        }
    }

    fn work(&self) {
        while let Some(report) = self.next() {
            let hook = || match &report {
                Report::Trouble(trouble) => self.hooks.on_error.iter().for_each(|on_error| on_error(trouble)),
                Report::Recovery(recovery) => {
                    self.hooks.on_recovery.iter().for_each(|on_recovery| on_recovery(recovery));
                }
            };
            let _ = catch_unwind(AssertUnwindSafe(hook));
        }
    }

    fn next(&self) -> Option<Report> {
        let mut state = self.lock();
        let report = state.waiting.pop_front();
        state.works = report.is_some();
        report
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::TroubleKind;
    use super::*;

    #[test]
    fn reports_come_in_order_whatever_the_hooks_do() {
        let (sender, reports) = std::sync::mpsc::channel();
        let told = sender.clone();
        let on_error = move |trouble: &Trouble| {
            let _ = told.send(trouble.message.clone());
            assert!(trouble.message != "3", "a hook that panics");
        };
        let on_recovery = move |recovery: &Recovery| {
            let _ = sender.send(recovery.faults.to_string());
        };
        let hooks = Hooks { on_error: Some(Arc::new(on_error)), on_recovery: Some(Arc::new(on_recovery)) };
        let reporter = Reporter::new(hooks);
        for number in 0..10 {
            reporter.tell(if number % 2 == 1 {
                Report::Trouble(Trouble { kind: TroubleKind::Other, during: "x", message: number.to_string() })
            } else {
                Report::Recovery(Recovery { kind: TroubleKind::Other, lasted: Duration::ZERO, faults: number })
            });
        }
        let told: Vec<_> = (0..10).map(|_| reports.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
        assert_eq!(told, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }

    #[test]
    fn a_hook_that_blocks_keeps_a_bounded_number_waiting() {
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let on_error: OnError = Arc::new(move |_: &Trouble| {
            let _ = gate.lock().unwrap().recv();
        });
        let reporter = Reporter::new(Hooks { on_error: Some(on_error), on_recovery: None });
        for _ in 0..2 * MOST {
            let trouble = Trouble { kind: TroubleKind::Other, during: "x", message: String::new() };
            reporter.tell(Report::Trouble(trouble));
        }
        assert!(reporter.lock().waiting.len() <= MOST);
        drop(open);
    }
}
