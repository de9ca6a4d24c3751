//! A process that is driven by lines.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::signal;

/// A child process: lines go in by [`send`](Self::send), lines come out through a closure. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Mutex<ChildStdin>,
}

impl Process {
    /// Starts it. `hear` is called with each line it writes to stdout, on a thread of its own, and is dropped when no
    /// more will come. What it writes to stderr goes to ours.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn spawn(command: &mut Command, mut hear: impl FnMut(&str) + Send + 'static) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = Mutex::new(child.stdin.take().unwrap());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| hear(&line)));
        Self { child, stdin }
    }

    /// Writes a line to its stdin.
    ///
    /// # Errors
    /// If it has ended.
    pub fn send(&self, line: &str) -> io::Result<()> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        stdin.write_all(format!("{line}\n").as_bytes())?;
        stdin.flush()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -STOP`.
    pub fn stop(&self) {
        signal::stop(self.pid());
    }

    /// `kill -CONT`.
    pub fn resume(&self) {
        signal::resume(self.pid());
    }

    /// `kill -TERM`, and waits until it has ended. Whether it did so in order.
    pub fn terminate(&mut self) -> bool {
        signal::terminate(self.pid());
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
