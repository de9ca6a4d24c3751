//! The state of one schedule: time, the server, the network, the processes and their [tasks].

mod tasks;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use cache_core::backend::BootInstant;
use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};

pub(super) use tasks::{TaskId, Wait};

use super::application::LEAVES;
use super::checks::{self, Checks, Kind};
use super::mistakes::Mistake;
use super::process::{Message, Process};
use super::server::{Command, Redis, Reply, TICK};

/// The choices of a schedule, besides which task runs next.
pub(super) trait Choices {
    /// Returns one of so many options. Option 0 is the normal course.
    fn choose(&mut self, what: &'static str, options: usize) -> usize;
}

/// Always the normal course.
pub(super) struct Defaults;

impl Choices for Defaults {
    fn choose(&mut self, _: &'static str, _: usize) -> usize {
        0
    }
}

/// Redis did not answer, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

type Answers = Result<Vec<Reply>, Unavailable>;

/// The state of one schedule.
pub(super) struct World {
    pub(super) mistake: Option<Mistake>,
    /// The instant of model time 0.
    pub(super) zero: BootInstant,
    now: Cell<u64>,
    /// Identifies the current server; a failover changes it.
    pub(super) server: Cell<u64>,
    pub(super) redis: RefCell<Redis>,
    pub(super) data: Cell<[u64; LEAVES]>,
    pub(super) processes: RefCell<Vec<Rc<Process>>>,
    pub(super) checks: RefCell<Checks>,
    pub(super) choices: RefCell<Box<dyn Choices>>,
    tasks: tasks::Tasks,
    numbers: Cell<u64>,
    trace: RefCell<Option<Vec<String>>>,
}

thread_local! {
    /// For timers in the real code. Its time is paused; the model decides when a timeout has passed.
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
}

/// Polls a future once and drops it.
pub(super) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    RUNTIME.with(|runtime| {
        let _entered = runtime.enter();
        future.now_or_never()
    })
}

impl World {
    /// A world without processes.
    pub(super) fn new(mistake: Option<Mistake>, choices: impl Choices + 'static) -> Self {
        let (time, tags_per_bucket) = (super::BEGINNING * TICK, super::TAGS_PER_BUCKET);
        Self {
            mistake,
            zero: BootInstant::now(),
            now: Cell::new(0),
            server: Cell::new(1),
            redis: RefCell::new(Redis {
                time,
                tags_per_bucket,
                mistake,
                holds: Some(BTreeMap::new()),
                ..Redis::default()
            }),
            data: Cell::default(),
            processes: RefCell::default(),
            checks: RefCell::default(),
            choices: RefCell::new(Box::new(choices)),
            tasks: tasks::Tasks::default(),
            numbers: Cell::new(0),
            trace: RefCell::new(None),
        }
    }

    pub(super) fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(super) fn instant(&self, time: u64) -> BootInstant {
        self.zero + Duration::from_secs(time)
    }

    pub(super) fn pass_time(&self, ticks: u64) {
        if self.is_unfair() {
            self.checks.borrow_mut().leases.disturb();
        }
        self.now.set(self.now() + ticks);
        self.redis.borrow_mut().time += ticks * TICK;
        self.checks.borrow_mut().writes.follow(&self.redis.borrow(), self.now());
    }

    /// A unique number.
    pub(super) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub(super) fn choose(&self, what: &'static str, options: usize) -> usize {
        self.choices.borrow_mut().choose(what, options)
    }

    pub(super) fn process(&self, place: usize) -> Rc<Process> {
        Rc::clone(&self.processes.borrow()[place])
    }

    // --- the network -------------------------------------------------------------------------------------------------

    /// Sends commands through one connection, which keeps their order, and waits for the answers. The commands may still be
    /// executed if the caller is gone.
    pub(super) async fn send(
        self: &Rc<Self>,
        p: &Rc<Process>,
        commands: Vec<Command>,
    ) -> Result<Vec<Reply>, Unavailable> {
        let (_, server) = p.connection(self);
        if p.cut.get() && self.choose("commands of one that is cut off: lost, executed", 2) == 0 {
            self.pause("no answer").await;
            return Err(Unavailable);
        }
        let answers = Rc::new(RefCell::new(None));
        let first = commands.first().map_or("nothing", Command::name);
        self.spawn_to(None, first, Rc::clone(self).carry(server, commands, Rc::clone(&answers)));
        let (comes, by) = (Rc::clone(&answers), Rc::clone(p));
        self.wait("answer", Wait::when(move |_| by.cut.get() || comes.borrow().is_some())).await;
        let answers = answers.borrow_mut().take();
        answers.filter(|_| !p.cut.get()).unwrap_or(Err(Unavailable))
    }

    async fn carry(self: Rc<Self>, server: u64, commands: Vec<Command>, answers: Rc<RefCell<Option<Answers>>>) {
        let mut replies = Vec::new();
        for (place, command) in commands.into_iter().enumerate() {
            if place > 0 {
                self.pause(command.name()).await;
            }
            if self.server.get() != server {
                *answers.borrow_mut() = Some(Err(Unavailable));
                return;
            }
            replies.push(self.execute(&command));
        }
        *answers.borrow_mut() = Some(Ok(replies));
    }

    fn execute(&self, command: &Command) -> Reply {
        let mut redis = self.redis.borrow_mut();
        let newer = checks::newer_entry(&redis, command);
        let is_lost = redis.holds.is_none();
        let reply = redis.execute(command);
        let published = std::mem::take(&mut redis.published);
        let restores = is_lost && redis.holds.is_some();
        drop(redis);
        // Unless the sequence alone was lost. It publishes if and only if something was changed.
        let is_repair = matches!((command, &reply), (Command::Repair { .. }, Reply::Pair(_, 2..)));
        let repairs = is_repair && !published.is_empty();
        self.note(|| format!("{command} -> {reply}"));
        if let Some(newer) = newer.filter(|_| reply == Reply::Number(1)) {
            self.checks.borrow_mut().violated(Kind::Replaced, || newer);
        }
        self.checks.borrow_mut().executed(self, command, &reply, repairs, restores);
        for what in published {
            self.publish(&Message { server: self.server.get(), what });
        }
        reply
    }

    pub(super) fn publish(&self, message: &Message) {
        for p in self.processes.borrow().iter().filter(|p| p.listens_to.get() == Some(message.server)) {
            let copies = [1, 0, 2][self.choose("messages: arrive, are lost, arrive twice", 3)];
            p.inbox.borrow_mut().extend(std::iter::repeat_n(message.clone(), copies));
        }
    }

    // --- the trace ------------------------------------------------------------------------------------------------

    pub(super) fn keep_trace(&self) {
        *self.trace.borrow_mut() = Some(Vec::new());
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.borrow_mut().as_mut() {
            let task = self.running().map_or(String::new(), |task| format!(" #{task}"));
            trace.push(format!("{:3}{task} {}", self.now(), what()));
        }
    }

    pub(super) fn trace(&self) -> String {
        self.trace.borrow().as_ref().map(|trace| trace.join("\n")).unwrap_or_default()
    }
}
