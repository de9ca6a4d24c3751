//! Calls of functions whose runs may go on without their callers: `stale_while_revalidate`, `refresh_ahead` and
//! `timeout`.
//!
//! # Invariants
//!
//! 1. Who starts a background run leads the key's flight first, and the run takes the flight along: so there is one, and
//!    when it is dropped with its runtime, who waits for it takes over.
//! 2. A background run goes down the same path as any other, so it takes the lease and its own stamp.
//! 3. It reports to no run. A caller who waits for it has it report to a frame between, and takes over what is there
//!    only if it takes the answer too.

use std::borrow::Borrow;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::call::{Call, Driven};
use super::shape::Shape;
use super::verdict::Verdict;
use crate::context::{Context, Frame, Mode};
use crate::flight::{FlightId, Role};
use crate::policy::Age;
use crate::read_path::{self, Progress, Run, Waited};
use crate::spawner;
use crate::stored::Stored;
use crate::sync::lock;
use crate::timer::sleep;

impl<S: Shape> Call<S>
where
    S::Return: Send + 'static,
{
    /// [`run`](Call::run) for a function whose runs may go on without the caller: what it is made of owns what it needs.
    ///
    /// # Panics
    /// If the body panics while the caller waits for it, or if the runtime it runs on ends meanwhile.
    ///
    /// # Cancel safety
    /// As [`run`](Call::run); a run that was started in the background goes on.
    pub async fn run_owned<F, J, B>(self, judge: J, body: B) -> S::Return
    where
        F: Future<Output = S::Return> + Send + 'static,
        J: Fn(&S::Stored, &mut Verdict) + Send + 'static,
        B: FnOnce() -> Pin<Box<F>> + Send + 'static,
    {
        self.run_where(false, judge, body).await
    }

    /// [`run_owned`](Self::run_owned) for a sync function.
    pub fn run_owned_sync<J, B>(self, judge: J, body: B) -> S::Return
    where
        J: Fn(&S::Stored, &mut Verdict) + Send + 'static,
        B: FnOnce() -> S::Return + Send + 'static,
    {
        pollster::block_on(self.run_where(true, judge, move || Box::pin(async move { body() })))
    }

    async fn run_where<F, J, B>(mut self, blocks: bool, judge: J, body: B) -> S::Return
    where
        F: Future<Output = S::Return> + Send + 'static,
        J: Fn(&S::Stored, &mut Verdict) + Send + 'static,
        B: FnOnce() -> Pin<Box<F>> + Send + 'static,
    {
        self.call.hands_over = true;
        let old = self.call.old.clone();
        let age = old.as_ref().and_then(|old| old.age(&self.call.function.engine));
        let (due, slow, judge, body) = match (old, age) {
            (Some(old), Some(Age::Prompt | Age::Due)) => (Some(old), None, judge, body),
            (Some(_), Some(Age::Fallback)) if self.call.policy.timeout.is_some() => (None, None, judge, body),
            _ => match self.drive(None, judge, body).await {
                Driven::Done(value) => return value,
                Driven::Due(entry, judge, body) => (Some(entry), None, judge, body),
                Driven::Slow(run, judge, body) => (None, Some(run), judge, body),
            },
        };
        let Some(due) = due else {
            let timeout = self.call.policy.timeout.unwrap_or(Duration::MAX);
            // Boxed: few calls come here.
            return Box::pin(self.run_with_patience(slow, timeout, blocks, judge, body)).await;
        };
        match self.old_value(&due) {
            Some(value) => {
                self.call.report_old(&due);
                self.start(due, blocks, judge, body);
                value
            }
            // Invalidated this very moment.
            None => self.drive_to_end(judge, body).await,
        }
    }

    async fn drive_to_end<F, J, B>(&mut self, judge: J, body: B) -> S::Return
    where
        F: Future<Output = S::Return>,
        J: Fn(&S::Stored, &mut Verdict),
        B: FnOnce() -> Pin<Box<F>>,
    {
        self.call.hands_over = false;
        match Box::pin(self.drive(None, judge, body)).await {
            Driven::Done(value) => value,
            Driven::Due(_, _, body) | Driven::Slow(_, _, body) => body().await,
        }
    }

    /// Starts a run in the background, unless there is one.
    fn start<F, J, B>(self, old: Arc<Stored>, blocks: bool, judge: J, body: B)
    where
        F: Future<Output = S::Return> + Send + 'static,
        J: Fn(&S::Stored, &mut Verdict) + Send + 'static,
        B: FnOnce() -> Pin<Box<F>> + Send + 'static,
    {
        let Self { call, shape } = self;
        let mut background = Call::new(Box::new(call.in_background(None)), shape);
        background.call.old = Some(old);
        let Claim::Lead(run) = claim(&background.call) else { return };
        background.call.function.counters.background.one();
        let job = Box::pin(async move {
            // Nobody waits for its result, and its failures are counted.
            let _ = background.drive(Some(run), judge, body).await;
        });
        // If there is no room for it, the old value serves until it can't any more.
        drop(spawner::spawn(job, blocks));
    }

    /// Waits for a run in the background for as long as the `timeout` option says, if there is an old value then.
    async fn run_with_patience<F, J, B>(
        mut self,
        run: Option<Box<Run>>,
        timeout: Duration,
        blocks: bool,
        judge: J,
        body: B,
    ) -> S::Return
    where
        F: Future<Output = S::Return> + Send + 'static,
        J: Fn(&S::Stored, &mut Verdict) + Send + 'static,
        B: FnOnce() -> Pin<Box<F>> + Send + 'static,
    {
        // Between the run and the caller's own, so that a caller who gave up waiting doesn't depend on it.
        let frame = self
            .call
            .parent()
            .map(|parent| Arc::new(Frame::new(None, Some(Arc::clone(parent)), self.call.scope.clone())));
        let mut background = Call::new(Box::new(self.call.in_background(frame.clone())), self.shape);
        let run = match run.map_or_else(|| claim(&background.call), Claim::Lead) {
            Claim::Lead(run) => run,
            Claim::Answered(entry) => {
                self.call.old = None;
                self.call.report_old(&entry);
                return match entry.value.downcast_ref::<S::Stored>() {
                    Some(value) => S::wrap(value.clone()),
                    None => self.drive_to_end(judge, body).await,
                };
            }
            Claim::Flying => {
                if let Some(value) = self.wait_with_patience(timeout).await {
                    return value;
                }
                return self.drive_to_end(judge, body).await;
            }
        };
        background.call.function.counters.background.one();
        let slot = Arc::new(Slot::default());
        let sender = Sender(Arc::clone(&slot));
        let job = Box::pin(async move {
            let mut drive = pin!(background.drive(Some(run), judge, body));
            let ended = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| drive.as_mut().poll(cx))) {
                Ok(Poll::Ready(Driven::Done(value))) => Poll::Ready(Some(Ok(value))),
                Ok(Poll::Ready(Driven::Due(..) | Driven::Slow(..))) => Poll::Ready(None),
                Ok(Poll::Pending) => Poll::Pending,
                Err(panic) => Poll::Ready(Some(Err(panic))),
            })
            .await;
            sender.send(ended);
        });
        if let Err(job) = spawner::spawn(job, blocks) {
            // No room: the caller runs it, and waits.
            job.await;
        }
        let taken = with_timeout(slot.take(), timeout).await;
        let ended = match taken {
            Some(ended) => ended,
            None => {
                if let Some(value) = self.give_old() {
                    return value;
                }
                slot.take().await
            }
        };
        if let (Some(frame), Some(parent)) = (&frame, self.call.parent()) {
            let collected = frame.close();
            for lineage in &collected.inherited {
                parent.inherit(lineage, collected.uncached, collected.assured);
            }
        }
        match ended {
            Some(Ok(value)) => value,
            Some(Err(panic)) => resume_unwind(panic),
            None => self.give_old().unwrap_or_else(|| {
                resume_unwind(Box::new("the runtime that ran a cached function ended before the function did"))
            }),
        }
    }

    /// Waits for someone else's run. `None`: the caller has to see for itself.
    async fn wait_with_patience(&self, timeout: Duration) -> Option<S::Return> {
        match with_timeout(self.call.wait_for_current(), timeout).await {
            None => self.give_old(),
            Some(None) => None,
            Some(Some(Waited::Value(entry))) => {
                entry.value.downcast_ref::<S::Stored>().map(|value| S::wrap(value.clone()))
            }
            Some(Some(Waited::Failure(shared))) => self.shared_failure(&*shared),
        }
    }

    fn give_old(&self) -> Option<S::Return> {
        let old = self.call.old.as_ref()?;
        let value = self.old_value(old)?;
        self.call.report_old(old);
        Some(value)
    }
}

/// What becomes of the wish to run.
enum Claim {
    /// The run is the caller's.
    Lead(Box<Run>),
    /// Someone else runs.
    Flying,
    /// Someone else ran a moment ago.
    Answered(Arc<Stored>),
}

fn claim(call: &read_path::Call) -> Claim {
    let Some(key) = &call.key else { return Claim::Flying };
    match call.function.flights.join_or_lead(key, Progress::default(), |_: FlightId, _| true) {
        Role::Join(_) => Claim::Flying,
        Role::Lead(leader) => {
            let run = Box::new(Run::new(call, Some(leader)));
            match call.look_again(key) {
                Some(entry) => {
                    run.end_with(call, &entry);
                    Claim::Answered(entry)
                }
                None => Claim::Lead(run),
            }
        }
    }
}

impl read_path::Call {
    /// The same call, made by nobody.
    fn in_background(&self, frame: Option<Arc<Frame>>) -> Self {
        let ambient = self.context.as_deref();
        let context = Context {
            cache: ambient.and_then(|context| context.cache.clone()),
            scope: ambient.and_then(|context| context.scope.clone()),
            mode: self.nested,
            frame,
            refreshes_first: None,
        };
        Self {
            function: Arc::clone(&self.function),
            instance: self.instance,
            key: self.key.clone(),
            context: Some(Arc::new(context)),
            scope: self.scope.clone(),
            mode: Mode::Cached,
            began: self.function.engine.freshness.epoch(),
            asked: self.function.engine.clock.nanos(),
            upcoming: FlightId::upcoming(),
            tags: self.tags.clone(),
            codec: self.codec,
            policy: self.policy,
            old: self.old.clone(),
            nested: self.nested,
            hands_over: false,
            in_background: true,
        }
    }
}

/// Where the one who runs leaves the result for the one who waits.
struct Slot<T>(Mutex<State<T>>);

struct State<T> {
    result: Option<std::thread::Result<T>>,
    /// Nothing will come any more.
    closed: bool,
    waiting: Option<Waker>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(State { result: None, closed: false, waiting: None }))
    }
}

impl<T> Slot<T> {
    /// `None`: the run is gone.
    async fn take(&self) -> Option<std::thread::Result<T>> {
        poll_fn(|cx| {
            let mut state = lock(&self.0);
            if state.closed {
                return Poll::Ready(state.result.take());
            }
            let replaced = state.waiting.replace(cx.waker().clone());
            drop(state);
            drop(replaced);
            Poll::Pending
        })
        .await
    }
}

struct Sender<T>(Arc<Slot<T>>);

impl<T> Sender<T> {
    fn send(self, result: Option<std::thread::Result<T>>) {
        lock(&self.0.0).result = result;
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.closed = true;
        let waiting = state.waiting.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// `None` once the time is over.
async fn with_timeout<F: Future>(future: F, time: Duration) -> Option<F::Output> {
    let (mut future, mut end) = (pin!(future), pin!(sleep(time)));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        end.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// An argument that is moved into a run.
pub fn owned<T: Send + 'static>(argument: T) -> T {
    argument
}

/// A borrowed argument, for a run that outlives the borrow.
pub fn to_owned<T: ToOwned<Owned: Send + 'static> + ?Sized>(argument: &T) -> T::Owned {
    argument.to_owned()
}

/// Borrowed again inside the run.
pub fn from_owned<T: ToOwned + ?Sized>(argument: &T::Owned) -> &T {
    argument.borrow()
}
