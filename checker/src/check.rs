//! The parent: a server, processes, faults, and the verdict.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, thread};

use larder_testbed::{Process, Server};

use crate::counts::Counts;
use crate::random::Random;
use crate::truth::Truth;
use crate::worker::Orders;
use crate::{faults, say};

/// What to do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) processes: usize,
    pub(crate) forget: bool,
}

/// How long a call may take, with everything against it. Who takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker, and what it has said.
pub(crate) struct Worker {
    pub(crate) process: Process,
    said: Arc<Mutex<Said>>,
    ended: Receiver<()>,
}

#[derive(Debug, Default)]
struct Said {
    ready: bool,
    counts: Counts,
    bye: bool,
}

/// Everything that is under way.
pub(crate) struct Check {
    pub(crate) server: Server,
    pub(crate) workers: Vec<Worker>,
    orders: Orders,
    starts: u64,
    /// Of the workers that are no more.
    counts: Counts,
    violations: Arc<Mutex<Vec<String>>>,
}

/// Whether all was well.
pub(crate) fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    say(&format!("seed {}, {} processes, {:?}", plan.seed, plan.processes, plan.time));
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("truth");
    Truth::create(&path, plan.processes)?;
    let server = Server::start();
    let mut check = Check {
        orders: Orders {
            url: server.url(),
            truth: path,
            column: 0,
            columns: plan.processes,
            seed: plan.seed,
            forget: plan.forget,
        },
        server,
        workers: Vec::new(),
        starts: 0,
        counts: Counts::default(),
        violations: Arc::default(),
    };
    for column in 0..plan.processes {
        let worker = check.start_worker(column)?;
        check.workers.push(worker);
    }
    let mut struck = BTreeMap::<&str, u64>::new();
    let mut random = Random::new(plan.seed);
    let began = Instant::now();
    while began.elapsed() < plan.time {
        thread::sleep(Duration::from_millis(random.below(400)).min(plan.time.saturating_sub(began.elapsed())));
        let fault = faults::pick(&mut random);
        fault.strike(&mut check, &mut random)?;
        *struck.entry(fault.name).or_default() += 1;
    }
    check.finish();
    Ok(check.report(&struck, began.elapsed()))
}

impl Check {
    fn start_worker(&mut self, column: usize) -> Result<Worker, Box<dyn Error>> {
        self.starts += 1;
        let seed = Random::new(self.orders.seed ^ (self.starts << 16)).next();
        let orders = Orders { column, seed, ..self.orders.clone() };
        let mut command = Command::new(env::current_exe()?);
        command.args(orders.text());
        let (end, ended) = channel();
        let said = Arc::<Mutex<Said>>::default();
        let hear = hear(Arc::clone(&said), Arc::clone(&self.violations), end);
        Ok(Worker { process: Process::spawn(&mut command, hear), said, ended })
    }

    /// `kill -9`, and a successor.
    pub(crate) fn replace_worker(&mut self, column: usize) -> Result<(), Box<dyn Error>> {
        let successor = self.start_worker(column)?;
        let mut killed = std::mem::replace(&mut self.workers[column], successor);
        killed.process.kill();
        // Until all it said was heard.
        let _ = killed.ended.recv_timeout(PATIENCE);
        self.counts.add(lock(&killed.said).counts);
        Ok(())
    }

    fn finish(&mut self) {
        for worker in &self.workers {
            // If it has died, that is found out below.
            let _ = worker.process.send("quit");
        }
        let deadline = Instant::now() + PATIENCE;
        for (column, worker) in self.workers.iter().enumerate() {
            let _ = worker.ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let said = lock(&worker.said);
            self.counts.add(said.counts);
            if !said.bye {
                let what = if said.ready { "hangs, or has died" } else { "has not started" };
                lock(&self.violations).push(format!("process {column} {what}"));
            }
        }
    }

    fn report(&self, struck: &BTreeMap<&str, u64>, took: Duration) -> bool {
        let Counts { with_memory, without_memory, failures, cancelled, invalidations, refused, .. } = self.counts;
        let Counts { runs, memory_hits, backend_hits, coalesced, .. } = self.counts;
        let calls = with_memory + without_memory;
        say(&format!("operations: {} in {took:.0?}", calls + invalidations));
        say(&format!(
            "  calls: {calls}, {without_memory} of them without memory; {cancelled} cancelled, {failures} failed"
        ));
        say(&format!(
            "  answers: {memory_hits} from memory, {backend_hits} from Redis, {runs} runs, {coalesced} shared"
        ));
        say(&format!("  invalidations: {invalidations}, {refused} of them not recorded"));
        say(&format!("faults: {}", struck.values().sum::<u64>()));
        for (fault, times) in struck {
            say(&format!("  {fault}: {times}"));
        }
        let violations = lock(&self.violations);
        say(&format!("violations: {}", violations.len()));
        for violation in violations.iter().take(20) {
            say(&format!("  {violation}"));
        }
        violations.is_empty()
    }
}

fn hear(said: Arc<Mutex<Said>>, violations: Arc<Mutex<Vec<String>>>, end: Sender<()>) -> impl FnMut(&str) + Send {
    move |line| {
        // Dropped with this closure, at the end of what the worker says.
        let _ = &end;
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "ready" => lock(&said).ready = true,
            "count" => lock(&said).counts = Counts::parse(rest).unwrap_or_default(),
            "bye" => lock(&said).bye = true,
            _ => lock(&violations).push(rest.to_owned()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Orders {
    fn text(&self) -> Vec<String> {
        let Self { url, truth, column, columns, seed, forget } = self;
        let numbers = [*column as u64, *columns as u64, *seed, u64::from(*forget)].map(|number| number.to_string());
        ["--worker", url, &truth.to_string_lossy()].map(str::to_owned).into_iter().chain(numbers).collect()
    }

    /// `None` if these aren't a worker's arguments.
    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [worker, url, truth, column, columns, seed, forget] = arguments else { return None };
        (worker == "--worker").then_some(())?;
        Some(Self {
            url: url.clone(),
            truth: PathBuf::from(truth),
            column: column.parse().ok()?,
            columns: columns.parse().ok()?,
            seed: seed.parse().ok()?,
            forget: forget == "1",
        })
    }
}
