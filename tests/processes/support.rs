//! Processes as the tests see them.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{array, env};

use larder_testbed::{Process, Raw, Server};

pub const SERVER: &str = "LARDER_TEST_SERVER";
pub const OPTIONS: &str = "LARDER_TEST_OPTIONS";

/// Whatever takes longer has failed.
const LONG: Duration = Duration::from_secs(30);

/// How long a hold lives.
pub const HOLD: Duration = Duration::from_secs(1);

/// Options of a process; times in milliseconds. By default so long that they don't matter.
#[derive(Clone, Copy)]
pub struct Options {
    pub memory: bool,
    pub lease: u64,
    pub timeout: u64,
    pub max_staleness: u64,
}

pub const MEMORY: Options = Options { memory: true, lease: 30_000, timeout: 10_000, max_staleness: 120_000 };

/// Every answer comes from Redis or a run.
pub const NO_MEMORY: Options = Options { memory: false, ..MEMORY };

impl Options {
    fn text(self) -> String {
        let Self { memory, lease, timeout, max_staleness } = self;
        format!("{} {lease} {timeout} {max_staleness}", u64::from(memory))
    }

    pub fn parse(text: &str) -> Self {
        let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        let [memory, lease, timeout, max_staleness] = numbers[..] else { panic!("{text:?} are no options") };
        Self { memory: memory == 1, lease, timeout, max_staleness }
    }
}

/// What a process has said, and how its runs end.
#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<u64, Sender<String>>>,
    /// `Some`: every run ends at once, with this.
    data: Mutex<Option<String>>,
    bodies: Mutex<Vec<String>>,
}

/// A process with larder in it.
pub struct Worker {
    pub process: Arc<Process>,
    shared: Arc<Shared>,
    runs: Receiver<u64>,
    next: AtomicU64,
}

/// A call under way.
pub struct Call {
    what: String,
    answer: Receiver<String>,
}

/// A run under way; it ends when the test says so.
pub struct Run {
    process: Arc<Process>,
    number: u64,
}

pub fn workers<const N: usize>(server: &Server, options: Options) -> [Worker; N] {
    workers_at(&server.url(), options)
}

pub fn workers_at<const N: usize>(url: &str, options: Options) -> [Worker; N] {
    array::from_fn(|_| Worker::start(url, options))
}

impl Worker {
    pub fn start(url: &str, options: Options) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["process::serve", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(SERVER, url).env(OPTIONS, options.text());
        let shared = Arc::new(Shared::default());
        let hears = Arc::clone(&shared);
        let (begun, runs) = channel();
        let (ready, is_ready) = channel();
        let (itself, process) = channel::<std::sync::Weak<Process>>();
        let mut own = None;
        let spawned = Arc::new(Process::spawn(&mut command, move |line| {
            let mut words = line.splitn(3, ' ');
            let mut next = || words.next().unwrap_or_default();
            match (next(), next(), next()) {
                ("ready", ..) => drop(ready.send(())),
                ("=", call, answer) => {
                    let asked = hears.answers.lock().unwrap().remove(&call.parse().unwrap());
                    let _ = asked.unwrap().send(answer.to_owned());
                }
                ("?", run, what) => {
                    hears.bodies.lock().unwrap().push(what.to_owned());
                    match &*hears.data.lock().unwrap() {
                        Some(data) => {
                            let process = own.get_or_insert_with(|| process.recv().unwrap()).upgrade();
                            let _ = process.map(|process| process.send(&format!("end {run} ok {data}")));
                        }
                        None => drop(begun.send(run.parse().unwrap())),
                    }
                }
                ("!", _, _) => hears.bodies.lock().unwrap().push(line[2..].to_owned()),
                _ => {}
            }
        }));
        itself.send(Arc::downgrade(&spawned)).unwrap();
        is_ready.recv_timeout(LONG).expect("the process starts");
        Self { process: spawned, shared, runs, next: AtomicU64::new(1) }
    }

    fn send(&self, verb: &str, what: &str) -> Call {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = channel();
        self.shared.answers.lock().unwrap().insert(number, sender);
        self.process.send(&format!("{verb} {number} {what}")).unwrap();
        Call { what: what.to_owned(), answer }
    }

    /// Begins a call.
    pub fn call(&self, what: &str) -> Call {
        self.send("call", what)
    }

    /// A call, and its answer.
    pub fn ask(&self, what: &str) -> String {
        self.call(what).answer()
    }

    /// The same, and all runs end with this value from now on.
    pub fn call_with(&self, what: &str, data: &str) -> Call {
        self.serves(data);
        self.call(what)
    }

    pub fn ask_with(&self, what: &str, data: &str) -> String {
        self.call_with(what, data).answer()
    }

    /// What a call answers that must not need a run.
    pub fn hit(&self, what: &str) -> String {
        self.drain();
        let answer = self.ask(what);
        assert_eq!(self.drain(), [""; 0], "{what} ran again");
        answer
    }

    /// A call that must need a run, which is given this value.
    pub fn miss(&self, what: &str, value: &str) {
        let call = self.call(what);
        self.run().ends(value);
        assert_eq!(call.answer(), value);
    }

    pub fn invalidate(&self, tag: &str) {
        assert_eq!(self.try_invalidate(tag), "done", "invalidating {tag}");
    }

    /// Begins a write with a hold on this tag; it ends as a run does.
    pub fn write(&self, tag: &str) -> Call {
        self.send("write", tag)
    }

    pub fn try_invalidate(&self, tag: &str) -> String {
        self.send("invalidate", tag).answer()
    }

    /// The next run that the test has to end.
    pub fn run(&self) -> Run {
        let number = self.runs.recv_timeout(LONG).expect("a run begins");
        Run { process: Arc::clone(&self.process), number }
    }

    /// A run that the test has to end, if one has begun.
    pub fn begun(&self) -> Option<Run> {
        let number = self.runs.try_recv().ok()?;
        Some(Run { process: Arc::clone(&self.process), number })
    }

    /// From now on all runs end at once, with this value.
    pub fn serves(&self, data: &str) {
        *self.shared.data.lock().unwrap() = Some(data.to_owned());
    }

    /// From now on the test ends all runs.
    pub fn holds(&self) {
        *self.shared.data.lock().unwrap() = None;
        self.drain();
    }

    /// The bodies that have run since it was asked last.
    pub fn drain(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.bodies.lock().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its last handle may be a `Run`'s.
        larder_testbed::kill(self.process.pid());
    }
}

impl Call {
    /// The answer, if there is one by now.
    pub fn answered(&self) -> Option<String> {
        self.answer.try_recv().ok()
    }

    pub fn answer(&self) -> String {
        self.answer.recv_timeout(LONG).unwrap_or_else(|_| panic!("no answer to {}", self.what))
    }
}

impl Run {
    pub fn ends(self, value: &str) {
        self.process.send(&format!("end {} ok {value}", self.number)).unwrap();
    }

    pub fn fails(self, error: &str) {
        self.process.send(&format!("end {} err {error}", self.number)).unwrap();
    }

    pub fn panics(self) {
        self.process.send(&format!("end {} panic", self.number)).unwrap();
    }
}

/// Sees what a process does before it waits for another's lease.
pub struct WaitsForLease(Raw);

impl WaitsForLease {
    pub fn on(server: &Server) -> Self {
        let mut monitor = server.raw();
        monitor.command(&["MONITOR"]);
        Self(monitor)
    }

    /// It looks at the lease once it is ready to be woken.
    pub fn until_it_does(mut self) {
        let looks = |command: &str| {
            !command.contains(" lua] ") && command.contains(r#""GET" "app:{"#) && command.ends_with(r#":l""#)
        };
        while !looks(&self.0.next().unwrap().text()) {}
    }
}

/// Looks again and again, for what only the processes can be asked about. Pauses between looks, as it must: an answer
/// may come in microseconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {LONG:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
