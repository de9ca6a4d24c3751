//! The parent: a server, processes, faults, and the verdict.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, thread};

use larder_testbed::{Process, Proxy, Server};
use tempfile::TempDir;

use crate::board::Board;
use crate::counts::Counts;
use crate::orders::{Mistake, Orders};
use crate::overlaps::{self, Calm, Overlaps, SETTLES};
use crate::random::Random;
use crate::truth::{Truth, now};
use crate::{faults, runs, say};

/// What to do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Until then.
    pub(crate) time: Duration,
    /// Or until so many operations were made.
    pub(crate) operations: u64,
    pub(crate) seed: u64,
    pub(crate) processes: usize,
    pub(crate) mistake: Mistake,
}

/// How long a worker may take to begin and to end, with everything against it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Faults strike for so long, and then none does.
const STORM: Duration = Duration::from_secs(6);
const CALM: Duration = Duration::from_secs(3);

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
    /// In microseconds, without any fault and with each of them.
    longest: Vec<u64>,
    bye: bool,
}

/// Everything that is under way.
pub(crate) struct Check {
    pub(crate) server: Server,
    /// In front of the server, for the first worker.
    pub(crate) proxy: Proxy,
    pub(crate) workers: Vec<Worker>,
    pub(crate) board: Board,
    directory: TempDir,
    orders: Orders,
    starts: usize,
    /// Of the workers that are no more.
    counts: Counts,
    /// Without any fault, and with each of them.
    longest: Vec<u64>,
    struck: Vec<u64>,
    calm: Vec<Calm>,
    violations: Arc<Mutex<Violations>>,
}

/// What was found, as far as it is shown.
#[derive(Debug, Default)]
struct Violations {
    shown: Vec<String>,
    count: usize,
}

impl Violations {
    fn add(&mut self, what: String) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(what);
        }
    }
}

const SHOWN: usize = 50;

/// Whether all was well.
pub(crate) fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    say(&format!("seed {}, {} processes, {}", plan.seed, plan.processes, plan.end()));
    let mut check = Check::begin(plan)?;
    let mut random = Random::new(plan.seed);
    let began = Instant::now();
    while began.elapsed() < plan.time && check.operations() < plan.operations {
        let storm = Instant::now();
        while storm.elapsed() < STORM && began.elapsed() < plan.time {
            thread::sleep(Duration::from_millis(random.below(400)));
            let fault = faults::pick(&mut random);
            check.struck[fault] += 1;
            faults::strike(fault, &mut check, &mut random)?;
        }
        let from = now() + SETTLES;
        thread::sleep(CALM.min(plan.time.saturating_sub(began.elapsed())));
        check.calm.push(Calm { from, to: now().max(from) });
    }
    let took = began.elapsed();
    check.finish();
    check.report(took)
}

impl Plan {
    fn end(&self) -> String {
        if self.operations == u64::MAX { format!("{:?}", self.time) } else { format!("{} operations", self.operations) }
    }
}

impl Check {
    fn begin(plan: &Plan) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let (truth, board) = (directory.path().join("truth"), directory.path().join("board"));
        Truth::create(&truth, plan.processes)?;
        let users: Vec<_> = (0..plan.processes).map(user).collect();
        let may_all = |user| ["--user", user, "on", ">secret", "~*", "&*", "+@all"];
        let server = Server::with_clock(&users.iter().flat_map(|user| may_all(user)).collect::<Vec<_>>());
        let mut check = Self {
            proxy: Proxy::to(server.port()),
            board: Board::create(&board, plan.processes)?,
            orders: Orders {
                url: String::new(),
                truth,
                board,
                runs: PathBuf::new(),
                column: 0,
                columns: plan.processes,
                seed: plan.seed,
                mistake: plan.mistake,
            },
            directory,
            server,
            workers: Vec::new(),
            starts: 0,
            counts: Counts::default(),
            longest: vec![0; faults::count() + 1],
            struck: vec![0; faults::count()],
            calm: Vec::new(),
            violations: Arc::default(),
        };
        for column in 0..plan.processes {
            let worker = check.start_worker(column)?;
            check.workers.push(worker);
        }
        Ok(check)
    }

    fn start_worker(&mut self, column: usize) -> Result<Worker, Box<dyn Error>> {
        self.starts += 1;
        let url = if column == 0 { self.proxy.url() } else { self.server.url() };
        let orders = Orders {
            url: url.replace("://", &format!("://{}:secret@", user(column))),
            runs: self.runs(self.starts),
            column,
            seed: Random::new(self.orders.seed ^ ((self.starts as u64) << 16)).next(),
            ..self.orders.clone()
        };
        let mut command = Command::new(env::current_exe()?);
        command.args(orders.text());
        let (end, ended) = channel();
        let said = Arc::<Mutex<Said>>::default();
        let hear = hear(Arc::clone(&said), Arc::clone(&self.violations), end);
        Ok(Worker { process: Process::spawn(&mut command, hear), said, ended })
    }

    /// Who a worker is for the server.
    pub(crate) fn user(&self, column: usize) -> String {
        user(column)
    }

    /// Where the worker that was started as this one writes what it runs.
    fn runs(&self, start: usize) -> PathBuf {
        self.directory.path().join(format!("runs-{start}"))
    }

    /// `kill -9`, and a successor.
    pub(crate) fn replace_worker(&mut self, column: usize) -> Result<(), Box<dyn Error>> {
        let successor = self.start_worker(column)?;
        let mut killed = std::mem::replace(&mut self.workers[column], successor);
        self.board.orphans()?;
        killed.process.kill();
        // Until all it said was heard.
        let _ = killed.ended.recv_timeout(PATIENCE);
        self.take_over(&lock(&killed.said));
        Ok(())
    }

    fn take_over(&mut self, said: &Said) {
        self.counts.add(said.counts);
        for (longest, said) in self.longest.iter_mut().zip(&said.longest) {
            *longest = (*longest).max(*said);
        }
    }

    fn operations(&self) -> u64 {
        let mut counts = self.counts;
        self.workers.iter().for_each(|worker| counts.add(lock(&worker.said).counts));
        counts.operations()
    }

    fn finish(&mut self) {
        for worker in &self.workers {
            // If it has died, that is found out below.
            let _ = worker.process.send("quit");
        }
        let deadline = Instant::now() + PATIENCE;
        for (column, worker) in std::mem::take(&mut self.workers).into_iter().enumerate() {
            let _ = worker.ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let said = lock(&worker.said);
            self.take_over(&said);
            if !said.bye {
                let what = if said.ready { "hangs, or has died" } else { "has not started" };
                lock(&self.violations).add(format!("process {column} {what}"));
            }
        }
    }

    fn overlaps(&self) -> Result<Overlaps, Box<dyn Error>> {
        let mut records = Vec::new();
        for start in 1..=self.starts {
            // A worker that was killed at its start has written nothing.
            records.extend(runs::read(&self.runs(start)).unwrap_or_default());
        }
        Ok(overlaps::find(&records, &self.calm))
    }

    fn report(&self, took: Duration) -> Result<bool, Box<dyn Error>> {
        let Counts { with_memory, without_memory, failures, cancelled, invalidations, refused, .. } = self.counts;
        let Counts { runs, memory_hits, backend_hits, coalesced, .. } = self.counts;
        let operations = self.counts.operations();
        let each_second = operations as f64 / took.as_secs_f64();
        say(&format!("operations: {operations} in {took:.0?}, {each_second:.0} each second"));
        let calls = with_memory + without_memory;
        say(&format!(
            "  calls: {calls}, {without_memory} of them without memory; {cancelled} cancelled, {failures} failed"
        ));
        say(&format!(
            "  answers: {memory_hits} from memory, {backend_hits} from Redis, {runs} runs, {coalesced} shared"
        ));
        say(&format!("  invalidations: {invalidations}, {refused} of them not recorded"));
        self.report_waits();
        let overlaps = self.overlaps()?;
        say(&format!("runs: {}, of which {} began in calm", overlaps.runs, overlaps.calm));
        for (cause, count) in &overlaps.explained {
            say(&format!("  overlapping as there was {cause}: {count}"));
        }
        let mut violations = lock(&self.violations);
        overlaps.unexplained.into_iter().for_each(|what| violations.add(what));
        say(&format!("violations: {}", violations.count));
        for violation in &violations.shown {
            say(&format!("  {violation}"));
        }
        Ok(violations.count == 0)
    }

    fn report_waits(&self) {
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let longest = self.longest.iter().max().copied().unwrap_or_default();
        say(&format!("longest wait: {:.2} s; without faults: {:.2} s", seconds(longest), seconds(self.longest[0])));
        say(&format!("faults: {}, with the longest wait of each kind", self.struck.iter().sum::<u64>()));
        for (number, (times, longest)) in self.struck.iter().zip(&self.longest[1..]).enumerate() {
            say(&format!("  {:<33} {times:>5} {:>6.2} s", faults::name(number), seconds(*longest)));
        }
    }
}

fn user(column: usize) -> String {
    format!("worker{column}")
}

fn hear(said: Arc<Mutex<Said>>, violations: Arc<Mutex<Violations>>, end: Sender<()>) -> impl FnMut(&str) + Send {
    move |line| {
        // Dropped with this closure, at the end of what the worker says.
        let _ = &end;
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "ready" => lock(&said).ready = true,
            "count" => lock(&said).counts = Counts::parse(rest).unwrap_or_default(),
            "longest" => lock(&said).longest = rest.split(' ').filter_map(|micros| micros.parse().ok()).collect(),
            "bye" => lock(&said).bye = true,
            _ => lock(&violations).add(rest.to_owned()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
