//! Signals to processes that the caller has started.

use rustix::process::{Pid, Signal, kill_process};

fn send(pid: u32, signal: Signal) {
    // One that has ended already needs none.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// `kill -STOP`: it freezes, with its connections open.
pub fn stop(pid: u32) {
    send(pid, Signal::STOP);
}

/// `kill -CONT`: it goes on.
pub fn resume(pid: u32) {
    send(pid, Signal::CONT);
}

/// `kill -TERM`: it is asked to end.
pub(crate) fn terminate(pid: u32) {
    send(pid, Signal::TERM);
}

/// `kill -9`: it ends without a word.
pub fn kill(pid: u32) {
    send(pid, Signal::KILL);
}
