//! A Redis server of one's own.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::raw::{Raw, Value};
use crate::signal;

/// A running `redis-server` that keeps nothing on disk. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    _directory: TempDir,
}

/// Someone else may take a free port between our look and the server's bind.
const ATTEMPTS: usize = 20;

impl Server {
    /// With the options every test wants.
    ///
    /// # Panics
    /// If there is no `redis-server` that starts.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further options, e.g. `["--maxmemory", "2mb"]`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let port_text = port.to_string();
            let directory_text = directory.path().to_str().unwrap();
            let own = [
                ["--port", &port_text],
                ["--bind", "127.0.0.1"],
                ["--save", ""],
                ["--appendonly", "no"],
                ["--enable-debug-command", "local"],
                ["--dir", directory_text],
            ];
            // Further options may say otherwise: the last counts.
            let arguments: Vec<String> = own.as_flattened().iter().chain(options).map(ToString::to_string).collect();
            if let Some(child) = spawn(&arguments) {
                return Self { child, port, arguments, _directory: directory };
            }
        }
        panic!("`redis-server` doesn't start; is it installed?");
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection that doesn't go through the code under test.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.port).unwrap()
    }

    /// One command on a connection of its own.
    pub fn command(&self, arguments: &[&str]) -> Value {
        self.raw().command(arguments)
    }

    /// It accepts connections and never answers, until [`resume`](Self::resume).
    pub fn stop(&self) {
        signal::stop(self.child.id());
    }

    /// Ends [`stop`](Self::stop).
    pub fn resume(&self) {
        signal::resume(self.child.id());
    }

    /// Ends it at once, with everything it knows.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, empty, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// If the port was taken meanwhile.
    pub fn restart(&mut self) {
        self.child = (0..ATTEMPTS).find_map(|_| spawn(&self.arguments)).expect("`redis-server` starts again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A loopback port nobody listens on at this moment.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// `None` if it ends before it accepts connections.
fn spawn(arguments: &[String]) -> Option<Child> {
    let mut child =
        Command::new("redis-server").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut log = BufReader::new(child.stdout.take()?);
    let mut line = String::new();
    while log.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line.contains("Ready to accept connections") {
            // Somebody has to go on reading, or the server blocks once the pipe is full.
            thread::spawn(move || io::copy(&mut log, &mut io::sink()));
            return Some(child);
        }
        line.clear();
    }
    let _ = child.wait();
    None
}
