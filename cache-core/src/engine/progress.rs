//! How far a run under way has come. The leader of its flight writes it; calls that may join the flight read it.

use crate::context::run_frame::Frame;
use crate::trace::Lead;
use crate::util::sync::{Arc, Weak};

/// What is known of a flight while it flies.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The run, once its body has begun.
    run: Option<Weak<Frame>>,
    /// An old value serves meanwhile.
    pub(crate) in_background: bool,
    setting_out: SettingOut,
    /// In traces.
    pub(crate) lead: Lead,
}

/// Whether a background run was polled. One whose runtime has a single thread, which blocks on the run, never is: then the
/// blocked call claims the run and does it itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SettingOut {
    #[default]
    Done,
    /// It was not polled yet.
    Due,
    /// Another call has claimed it. It can't be claimed again.
    Claimed,
}

impl Progress {
    /// Of a flight that nobody need wait for.
    pub(crate) fn in_background() -> Self {
        Self { run: None, in_background: true, setting_out: SettingOut::Due, lead: Lead::default() }
    }

    /// The body begins.
    pub(crate) fn begin(&mut self, run: &Arc<Frame>) {
        self.run = Some(Arc::downgrade(run));
    }

    /// The run, while its body goes on.
    pub(crate) fn run(&self) -> Option<Arc<Frame>> {
        self.run.as_ref()?.upgrade()
    }

    /// Claims a background run that was not polled yet. `false` if it was, or if another call has claimed it.
    pub(crate) fn claim_unstarted(&mut self) -> bool {
        let is_due = self.setting_out == SettingOut::Due;
        if is_due {
            self.setting_out = SettingOut::Claimed;
        }
        is_due
    }

    /// The run is polled for the first time. `false` if another call has claimed it; then it must end.
    pub(crate) fn set_out(&mut self) -> bool {
        let is_first = self.setting_out != SettingOut::Claimed;
        self.setting_out = SettingOut::Done;
        is_first
    }
}
