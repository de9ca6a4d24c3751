//! What is known of a run while others may wait for it: by who leads it, and by who comes first.

use crate::context::run_frame::Frame;
use crate::util::sync::{Arc, Weak};

/// What is known of a flight while it flies.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The run, once its body has begun.
    run: Option<Weak<Frame>>,
    /// An old value serves meanwhile.
    pub(crate) in_background: bool,
    setting_out: SettingOut,
}

/// Whether anybody is at a run in the background. Nobody ever may be, where the one thread of its runtime waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SettingOut {
    #[default]
    Done,
    /// It wasn't polled yet.
    Due,
    /// Somebody else came first.
    Forestalled,
}

impl Progress {
    /// Of a flight that nobody need wait for.
    pub(crate) fn in_background() -> Self {
        Self { run: None, in_background: true, setting_out: SettingOut::Due }
    }

    /// The body begins.
    pub(crate) fn begin(&mut self, run: &Arc<Frame>) {
        self.run = Some(Arc::downgrade(run));
    }

    /// The run, while its body goes on.
    pub(crate) fn run(&self) -> Option<Arc<Frame>> {
        self.run.as_ref()?.upgrade()
    }

    /// Takes the run from who would be at it some time. `false` if it isn't to be had.
    pub(crate) fn forestall(&mut self) -> bool {
        let is_due = self.setting_out == SettingOut::Due;
        if is_due {
            self.setting_out = SettingOut::Forestalled;
        }
        is_due
    }

    /// Somebody is at the run now. `false` if another one came first, and this one is to end.
    pub(crate) fn set_out(&mut self) -> bool {
        let is_first = self.setting_out != SettingOut::Forestalled;
        self.setting_out = SettingOut::Done;
        is_first
    }
}
