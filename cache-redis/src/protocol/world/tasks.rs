//! Tasks and their steps.
//!
//! A task is an async function. It can be interrupted at each `await` of [`World::pause`] or [`World::wait`]; the code between
//! two of these is one atomic step. The driver chooses which task runs next: [`random`](crate::protocol::random),
//! [`exhaustive`](crate::protocol::exhaustive) or a [`timeline`](crate::protocol::timeline).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::World;
use crate::protocol::process::Process;

pub(crate) type TaskId = u64;
type Condition = Box<dyn FnMut(&World) -> bool>;

/// What a task waits for: a time, a condition, or whichever comes first. The default is nothing.
#[derive(Default)]
pub(crate) struct Wait {
    until: Option<u64>,
    when: Option<Condition>,
}

impl Wait {
    pub(crate) fn until(time: u64) -> Self {
        Self { until: Some(time), when: None }
    }

    pub(crate) fn when(condition: impl FnMut(&World) -> bool + 'static) -> Self {
        Self { until: None, when: Some(Box::new(condition)) }
    }

    pub(crate) fn or_until(self, time: u64) -> Self {
        Self { until: Some(time), ..self }
    }

    fn is_over(&mut self, world: &World) -> bool {
        let has_come = self.until.is_some_and(|time| time <= world.now());
        has_come
            || match &mut self.when {
                Some(condition) => condition(world),
                None => self.until.is_none(),
            }
    }
}

struct Task {
    id: TaskId,
    /// The task that spawned it, preceded by that one's ancestors.
    ancestors: Vec<TaskId>,
    /// The process that it belongs to; it is dropped when that is killed.
    owner: Option<u64>,
    /// It belongs to no caller, so nobody waits for its end.
    daemon: bool,
    /// The name of its next step.
    next: &'static str,
    wait: Wait,
    /// `None` while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

#[derive(Default)]
pub(super) struct Tasks {
    tasks: RefCell<Vec<Task>>,
    /// Set by the current task when it pauses.
    pausing: RefCell<Option<(&'static str, Wait)>>,
    /// The task that is running, preceded by its ancestors. Empty if none is.
    current: RefCell<Vec<TaskId>>,
    turns: Cell<u64>,
}

impl World {
    // --- for tasks -----------------------------------------------------------------------------------------------

    pub(crate) async fn pause(&self, next: &'static str) {
        self.wait(next, Wait::default()).await;
    }

    /// Pauses until the wait is over and the driver runs the task again. `next` names the step that follows.
    pub(crate) async fn wait(&self, next: &'static str, wait: Wait) {
        let mut wait = Some(wait);
        poll_fn(|_| match wait.take() {
            Some(wait) => {
                *self.tasks.pausing.borrow_mut() = Some((next, wait));
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
        .await;
    }

    pub(crate) fn spawn(&self, owner: Option<&Process>, work: impl Future<Output = ()> + 'static) -> TaskId {
        self.spawn_to(owner, "begin", work)
    }

    /// The same, with a name for the first step.
    pub(crate) fn spawn_to(
        &self,
        owner: Option<&Process>,
        next: &'static str,
        work: impl Future<Output = ()> + 'static,
    ) -> TaskId {
        self.add(owner, false, next, Wait::default(), Box::pin(work))
    }

    /// Spawns a task that belongs to no caller, and that waits before its first step.
    pub(crate) fn spawn_daemon(
        &self,
        owner: &Process,
        next: &'static str,
        wait: Wait,
        work: impl Future<Output = ()> + 'static,
    ) -> TaskId {
        self.add(Some(owner), true, next, wait, Box::pin(work))
    }

    fn add(
        &self,
        owner: Option<&Process>,
        daemon: bool,
        next: &'static str,
        wait: Wait,
        work: Pin<Box<dyn Future<Output = ()>>>,
    ) -> TaskId {
        let (id, ancestors) = (self.number(), self.tasks.current.borrow().clone());
        let mut tasks = self.tasks.tasks.borrow_mut();
        // Directly behind its parent, so that it runs next in a circle.
        let parent = tasks.iter().position(|task| Some(&task.id) == ancestors.last());
        let place = parent.map_or(tasks.len(), |place| place + 1);
        let owner = owner.map(|process| process.id);
        tasks.insert(place, Task { id, ancestors, owner, daemon, next, wait, future: Some(work) });
        id
    }

    // --- for drivers ------------------------------------------------------------------------------------------

    /// The number of steps so far.
    pub(crate) fn turn(&self) -> u64 {
        self.tasks.turns.get()
    }

    /// The tasks that can run, children directly behind their parent.
    pub(crate) fn ready(&self) -> Vec<TaskId> {
        let mut tasks = self.tasks.tasks.take();
        let ready = tasks.iter_mut().filter_map(|task| task.wait.is_over(self).then_some(task.id)).collect();
        self.tasks.tasks.replace(tasks);
        ready
    }

    /// Runs one step of a task.
    pub(crate) fn step(&self, id: TaskId) {
        let Tasks { tasks, pausing, current, turns } = &self.tasks;
        let find = |tasks: &[Task]| tasks.iter().position(|task| task.id == id);
        let place = find(&tasks.borrow());
        let Some(mut future) = place.and_then(|place| tasks.borrow_mut()[place].future.take()) else { return };
        turns.set(turns.get() + 1);
        let ancestors = place.map(|place| tasks.borrow()[place].ancestors.clone()).unwrap_or_default();
        current.replace(ancestors.into_iter().chain([id]).collect());
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let place = find(&tasks.borrow());
        if let Some(place) = place {
            if polled.is_pending() {
                // It awaits something outside of the model, which is a bug in the model.
                let stuck = || ("stuck", Wait::until(u64::MAX));
                let (next, wait) = pausing.borrow_mut().take().unwrap_or_else(stuck);
                let task = &mut tasks.borrow_mut()[place];
                (task.next, task.wait, task.future) = (next, wait, Some(future));
            } else {
                let ended = tasks.borrow_mut().remove(place);
                // Dropped here because guards inside may spawn tasks.
                drop((ended, future));
            }
        }
        current.take();
    }

    /// The name of the task's next step; `None` if it has ended.
    pub(crate) fn next(&self, id: TaskId) -> Option<&'static str> {
        self.tasks.tasks.borrow().iter().find(|task| task.id == id).map(|task| task.next)
    }

    /// The task and its living descendants.
    pub(crate) fn family(&self, id: TaskId) -> Vec<TaskId> {
        let tasks = self.tasks.tasks.borrow();
        tasks.iter().filter(|task| task.id == id || task.ancestors.contains(&id)).map(|task| task.id).collect()
    }

    /// The tasks that somebody waits for, with the names of their next steps.
    pub(crate) fn unfinished(&self) -> Vec<(TaskId, &'static str)> {
        let tasks = self.tasks.tasks.borrow();
        tasks.iter().filter(|task| !task.daemon).map(|task| (task.id, task.next)).collect()
    }

    /// The calls and invalidations of programs that haven't ended.
    pub(crate) fn callers(&self) -> Vec<TaskId> {
        let tasks = self.tasks.tasks.borrow();
        tasks.iter().filter(|task| task.ancestors.is_empty() && !task.daemon).map(|task| task.id).collect()
    }

    /// The next time at which a waiting task can go on.
    pub(crate) fn next_time(&self) -> Option<u64> {
        let tasks = self.tasks.tasks.borrow();
        tasks.iter().filter_map(|task| task.wait.until).filter(|time| *time > self.now()).min()
    }

    /// The task whose step is running.
    pub(super) fn running(&self) -> Option<TaskId> {
        self.tasks.current.borrow().last().copied()
    }

    /// Whether the network or a background task could run. Letting time pass then may cost a process its lease.
    pub(super) fn is_unfair(&self) -> bool {
        let ready = self.ready();
        let tasks = self.tasks.tasks.borrow();
        tasks.iter().any(|task| (task.daemon || task.owner.is_none()) && ready.contains(&task.id))
    }

    /// Drops a task.
    pub(crate) fn cancel(&self, id: TaskId) {
        self.end_where(|task| task.id == id);
    }

    /// Drops all tasks of a process, whose guards then send nothing.
    pub(crate) fn end_tasks_of(&self, process: &Process) {
        process.dead.set(true);
        self.end_where(|task| task.owner == Some(process.id));
    }

    fn end_where(&self, ends: impl Fn(&Task) -> bool) {
        let (ended, others): (Vec<_>, _) = self.tasks.tasks.take().into_iter().partition(|task| ends(task));
        self.tasks.tasks.replace(others);
        // Dropped here because guards inside may spawn tasks.
        drop(ended);
    }

    /// Drops all tasks. They hold the world in a reference cycle.
    pub(crate) fn end(&self) {
        self.processes.borrow().iter().for_each(|process| process.dead.set(true));
        self.end_where(|_| true);
    }
}
