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
use crate::runs::{Record, What};
use crate::truth::{Nanos, Truth, now};
use crate::watch::nanos;
use crate::worker::LEASE;
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

/// Of less, the storms are shorter.
const SHORT: Duration = Duration::from_secs(30);

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
    /// The longest.
    pub(crate) lease: Nanos,
    /// By how many seconds the server's clock is ahead.
    pub(crate) clock: i64,
    directory: TempDir,
    orders: Orders,
    starts: usize,
    /// Of the workers that are no more.
    counts: Counts,
    /// Without any fault, and with each of them.
    longest: Vec<u64>,
    /// How often each kind has struck, and how much it did.
    struck: Vec<(u64, u64)>,
    /// The faults, by their beginnings.
    strikes: Vec<(Nanos, usize)>,
    calm: Vec<Calm>,
    violations: Arc<Mutex<Violations>>,
    /// Calls that took too long: from when to when, and the words.
    slow: Arc<Mutex<Vec<String>>>,
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
    // A mistake is looked for after each storm; and a short run has several.
    let short = plan.mistake != Mistake::None || plan.time < SHORT;
    let (storm, calm) = if short { (STORM / 3, CALM / 3) } else { (STORM, CALM) };
    // The processes have no connections yet.
    let (began, mut quiet) = (Instant::now(), now() + SETTLES);
    // Every other storm has no faults that are a cause for runs to overlap.
    for only_mild in [true, false].into_iter().cycle() {
        if !only_mild {
            check.calm.push(Calm { from: quiet, to: now().max(quiet) });
        }
        let over = began.elapsed() >= plan.time || check.operations() >= plan.operations;
        if over || (plan.mistake != Mistake::None && check.has_found()?) {
            break;
        }
        let rest = || plan.time.saturating_sub(began.elapsed());
        check.storm(&mut random, only_mild, storm.min(rest()))?;
        if !only_mild {
            quiet = now() + SETTLES;
        }
        thread::sleep(calm.min(rest()));
    }
    check.calm.push(Calm { from: quiet, to: now().max(quiet) });
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
            lease: nanos(LEASE),
            clock: 0,
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
            struck: vec![(0, 0); faults::count()],
            strikes: Vec::new(),
            calm: Vec::new(),
            violations: Arc::default(),
            slow: Arc::default(),
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
        let hear = hear(Arc::clone(&said), Arc::clone(&self.violations), Arc::clone(&self.slow), end);
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
        self.board.orphans(self.lease)?;
        // First this: a column is written by one process only.
        self.workers[column].process.kill();
        // Until all it said was heard.
        let _ = self.workers[column].ended.recv_timeout(PATIENCE);
        let successor = self.start_worker(column)?;
        let killed = std::mem::replace(&mut self.workers[column], successor);
        self.take_over(&lock(&killed.said));
        Ok(())
    }

    fn storm(&mut self, random: &mut Random, only_mild: bool, time: Duration) -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        while began.elapsed() < time {
            thread::sleep(Duration::from_millis(random.below(400)));
            let fault = faults::pick(random, only_mild);
            self.strikes.push((now(), fault));
            let done = faults::strike(fault, self, random)?;
            let (times, effect) = &mut self.struck[fault];
            (*times, *effect) = (*times + 1, *effect + done);
        }
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

    /// Whether the mistake was found.
    fn has_found(&self) -> Result<bool, Box<dyn Error>> {
        Ok(lock(&self.violations).count > 0 || !lock(&self.slow).is_empty() || !self.overlaps()?.unexplained.is_empty())
    }

    fn records(&self) -> Vec<(usize, Record)> {
        // A worker that was killed at its start has written nothing.
        let of = |start| runs::read(&self.runs(start)).unwrap_or_default().into_iter();
        (1..=self.starts).flat_map(|start| of(start).map(move |record| (start, record))).collect()
    }

    /// What a call waited for: says which runs of its key there were meanwhile, and by which process, counted by their
    /// starts.
    fn with_runs(&self, slow: &str) -> Result<String, Box<dyn Error>> {
        let mut parts = slow.splitn(3, ' ');
        let (asked, answered) =
            (parts.next().unwrap_or("").parse::<Nanos>()?, parts.next().unwrap_or("").parse::<Nanos>()?);
        let text = parts.next().unwrap_or_default();
        let (name, id) = text.split_once(", ").and_then(|(_, call)| call.split_once('(')).unwrap_or_default();
        let id = id.split(')').next().unwrap_or_default().parse::<usize>()?;
        let mut runs = Vec::new();
        for (start, Record { what, id: of, from, to, .. }) in self.records() {
            if let What::Run(function) | What::Failure(function) = what
                && of == id
                && format!("{function:?}").eq_ignore_ascii_case(name)
                && to > asked
                && from < answered
            {
                let ms = |time: Nanos| (time as i64 - asked as i64) / 1_000_000;
                runs.push((ms(from), ms(to), start));
            }
        }
        runs.sort_unstable();
        runs.truncate(20);
        Ok(format!("{text}; runs (from ms, to ms, start of its process): {runs:?}; {}", self.last_strike(answered)))
    }

    fn overlaps(&self) -> Result<Overlaps, Box<dyn Error>> {
        let records: Vec<_> = self.records().into_iter().map(|(_, record)| record).collect();
        Ok(overlaps::find(&records, &self.calm, |time| self.last_strike(time)))
    }

    fn last_strike(&self, time: Nanos) -> String {
        let struck = self.strikes.partition_point(|(began, _)| *began <= time);
        match struck.checked_sub(1).and_then(|last| self.strikes.get(last)) {
            Some((began, fault)) => {
                format!("{} ms after \"{}\" began", (time - began) / 1_000_000, faults::name(*fault))
            }
            None => "before all faults".to_owned(),
        }
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
        let Counts { reconnects, missed, clock_back, notifications_off, wrong_type, damaged, errors, .. } = self.counts;
        say(&format!(
            "  noticed: {errors} operations failed, {reconnects} reconnections, {missed} times messages were missed, \
             {clock_back} times the clock went back, {notifications_off} times notifications were off, {wrong_type} keys of \
             another type, {damaged} damaged entries"
        ));
        self.report_waits(took)?;
        let overlaps = self.overlaps()?;
        say(&format!("runs: {}, of which {} began in calm", overlaps.runs, overlaps.calm));
        for (cause, count) in &overlaps.explained {
            say(&format!("  overlapping as there was {cause}: {count}"));
        }
        let mut violations = lock(&self.violations);
        for slow in std::mem::take(&mut *lock(&self.slow)) {
            violations.add(self.with_runs(&slow)?);
        }
        overlaps.unexplained.into_iter().for_each(|what| violations.add(what));
        say(&format!("violations: {}", violations.count));
        for violation in &violations.shown {
            say(&format!("  {violation}"));
        }
        Ok(violations.count == 0)
    }

    fn report_waits(&self, took: Duration) -> Result<(), Box<dyn Error>> {
        let behind = Duration::from_nanos(self.board.read()?.behind).as_secs_f64();
        let share = 100.0 * behind / (took.as_secs_f64() * self.orders.columns as f64);
        say(&format!("the processes were stopped, or the machine had no time for them, for {share:.1} % of theirs"));
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let longest = self.longest.iter().max().copied().unwrap_or_default();
        say(&format!("longest wait: {:.2} s; without faults: {:.2} s", seconds(longest), seconds(self.longest[0])));
        let all: u64 = self.struck.iter().map(|(times, _)| times).sum();
        say(&format!("faults: {all}; of each kind how often it struck, what it did, and the longest wait"));
        for (number, ((times, effect), longest)) in self.struck.iter().zip(&self.longest[1..]).enumerate() {
            let (name, unit, longest) = (faults::name(number), faults::unit(number), seconds(*longest));
            say(&format!("  {name:<33} {times:>5} {effect:>8} {unit:<14} {longest:>6.2} s"));
        }
        Ok(())
    }
}

fn user(column: usize) -> String {
    format!("worker{column}")
}

fn hear(
    said: Arc<Mutex<Said>>,
    violations: Arc<Mutex<Violations>>,
    slow: Arc<Mutex<Vec<String>>>,
    end: Sender<()>,
) -> impl FnMut(&str) + Send {
    move |line| {
        // Dropped with this closure, at the end of what the worker says.
        let _ = &end;
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "ready" => lock(&said).ready = true,
            "count" => lock(&said).counts = Counts::parse(rest).unwrap_or_default(),
            "longest" => lock(&said).longest = rest.split(' ').filter_map(|micros| micros.parse().ok()).collect(),
            "bye" => lock(&said).bye = true,
            "slow" => lock(&slow).push(rest.to_owned()),
            _ => lock(&violations).add(rest.to_owned()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
