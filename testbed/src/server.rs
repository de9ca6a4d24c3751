//! A Redis server of one's own.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::{env, fs, thread};

use tempfile::TempDir;

use crate::clock::Clock;
use crate::raw::{Raw, Value};
use crate::signal;

/// The program that is started: what the environment variable `LARDER_REDIS_SERVER` says, e.g. the path of a
/// `valkey-server`; else `redis-server`.
pub fn program() -> &'static str {
    static PROGRAM: LazyLock<String> =
        LazyLock::new(|| env::var("LARDER_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned()));
    &PROGRAM
}

/// Its version: major, minor.
///
/// # Panics
/// If it can't be run.
pub fn version() -> (u32, u32) {
    static VERSION: LazyLock<(u32, u32)> = LazyLock::new(|| {
        let output = Command::new(program()).arg("--version").output();
        let output = output.unwrap_or_else(|error| panic!("`{}` can't be run; is it installed? {error}", program()));
        // `Redis server v=7.0.15 sha=..`
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers = text.split_once("v=").map_or("", |(_, numbers)| numbers);
        let mut numbers = numbers.split(['.', ' ']).map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    });
    *VERSION
}

/// A running server that keeps nothing on disk unless it is told to. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    /// If it isn't the machine's.
    clock: Option<Clock>,
    directory: TempDir,
}

/// Someone else may take a free port between our look and the server's bind.
const ATTEMPTS: usize = 20;

/// What it logs once it answers. The second is a sentinel's.
const READY: &[&str] = &["Ready to accept connections", "Sentinel ID is"];

/// What it logs when it accepts connections, and answers them that it is loading its data.
const LOADING: &[&str] = &["Loading RDB"];

impl Server {
    /// With the options every test wants.
    ///
    /// # Panics
    /// If there is no server that starts.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further options, e.g. `["--maxmemory", "2mb"]`; `{port}` and `{dir}` in them are its port and directory.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with(options: &[&str]) -> Self {
        Self::launch(|_| None, |port, directory| Self::arguments(options, port, directory))
    }

    /// The same, with a wall clock of its own: see [`set_clock`](Self::set_clock).
    ///
    /// # Panics
    /// As [`start`](Self::start), and if there is no C compiler.
    pub fn with_clock(options: &[&str]) -> Self {
        Self::launch(
            |directory| Some(Clock::in_directory(directory)),
            |port, directory| Self::arguments(options, port, directory),
        )
    }

    fn arguments(options: &[&str], port: u16, directory: &Path) -> Vec<String> {
        let (port, directory) = (port.to_string(), directory.to_str().unwrap());
        let mut all = vec!["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        all.extend(["--dir", directory]);
        if version() >= (7, 0) {
            all.extend(["--enable-debug-command", "local"]);
        }
        // Further options may say otherwise: the last counts.
        all.extend(options);
        all.iter().map(|option| option.replace("{dir}", directory).replace("{port}", &port)).collect()
    }

    /// A sentinel that watches nothing yet.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn sentinel() -> Self {
        let arguments = |port: u16, directory: &Path| {
            let file = directory.join("sentinel.conf");
            fs::write(&file, format!("port {port}\nbind 127.0.0.1\ndir {}\n", directory.display())).unwrap();
            vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()]
        };
        Self::launch(|_| None, arguments)
    }

    fn launch(clock: impl Fn(&Path) -> Option<Clock>, arguments: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = clock(directory.path());
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let arguments = arguments(port, directory.path());
            if let Some(child) = spawn(&arguments, clock.as_ref(), READY) {
                return Self { child, port, arguments, clock, directory };
            }
        }
        panic!("`{}` doesn't start; is it installed?", program());
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it may keep files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A connection that doesn't go through the code under test.
    ///
    /// # Panics
    /// If there is none to be had.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.port).unwrap()
    }

    /// One command on a connection of its own.
    ///
    /// # Panics
    /// If there is none to be had.
    pub fn command(&self, arguments: &[&str]) -> Value {
        self.raw().command(arguments)
    }

    /// Sets its wall clock: so many seconds ahead of the machine's, or behind if negative. What it measures durations by
    /// goes on. A server that is started again keeps this clock.
    ///
    /// # Panics
    /// If it wasn't started by [`with_clock`](Self::with_clock).
    pub fn set_clock(&self, seconds_ahead: i64) {
        self.clock.as_ref().expect("a server that was started by `with_clock`").set(seconds_ahead);
    }

    /// It accepts connections and never answers, until [`resume`](Self::resume).
    pub fn stop(&self) {
        signal::stop(self.child.id());
    }

    /// Ends [`stop`](Self::stop).
    pub fn resume(&self) {
        signal::resume(self.child.id());
    }

    /// Ends it at once, with everything it hasn't saved.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port after [`kill`](Self::kill), with what is in its directory.
    ///
    /// # Panics
    /// If the port was taken meanwhile.
    pub fn restart(&mut self) {
        self.start_again(&[], READY);
    }

    /// Saves what it has now, and much besides, so that [`restart_loading`](Self::restart_loading) has something to do.
    ///
    /// # Panics
    /// If it can't.
    pub fn save_much(&self) {
        let mut raw = self.raw();
        raw.command(&["DEBUG", "POPULATE", "100000", "ballast"]);
        assert_eq!(raw.command(&["SAVE"]), Value::Text(b"OK".to_vec()));
    }

    /// Whether there is [`restart_loading`](Self::restart_loading): since Redis 7.
    pub fn can_load_slowly() -> bool {
        version() >= (7, 0)
    }

    /// Starts it again after [`save_much`](Self::save_much) and [`kill`](Self::kill); returns while it is loading. That
    /// takes minutes, until [`load_fast`](Self::load_fast).
    ///
    /// # Panics
    /// As [`restart`](Self::restart), if there is nothing to load, and if it [can't](Self::can_load_slowly).
    pub fn restart_loading(&mut self) {
        assert!(Self::can_load_slowly(), "`{}` can't be told to load slowly; use Redis 7 or newer", program());
        // A pause after each key in microseconds, and how often it answers meanwhile.
        let slowly = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"];
        self.start_again(&slowly, LOADING);
    }

    /// Ends the slowness of [`restart_loading`](Self::restart_loading).
    ///
    /// # Panics
    /// If it doesn't answer.
    pub fn load_fast(&self) {
        assert_eq!(self.command(&["CONFIG", "SET", "key-load-delay", "0"]), Value::Text(b"OK".to_vec()));
    }

    fn start_again(&mut self, options: &[&str], until: &[&str]) {
        let mut arguments = self.arguments.clone();
        arguments.extend(options.iter().map(ToString::to_string));
        let child = (0..ATTEMPTS).find_map(|_| spawn(&arguments, self.clock.as_ref(), until));
        self.child = child.unwrap_or_else(|| panic!("`{}` doesn't start again", program()));
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

/// `None` if it ends before it logs one of these.
fn spawn(arguments: &[String], clock: Option<&Clock>, until: &[&str]) -> Option<Child> {
    let mut command = Command::new(program());
    if let Some(clock) = clock {
        clock.give_to(&mut command);
    }
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut log = BufReader::new(child.stdout.take()?);
    let mut line = String::new();
    while log.read_line(&mut line).is_ok_and(|length| length > 0) {
        if until.iter().any(|text| line.contains(text)) {
            // Somebody has to go on reading, or the server blocks once the pipe is full.
            thread::spawn(move || io::copy(&mut log, &mut io::sink()));
            return Some(child);
        }
        line.clear();
    }
    let _ = child.wait();
    None
}
