//! The typed ends of the read path: the look into memory that most calls end with, and what a miss does.

use std::any::Any;
use std::fmt::{self, Display, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::shape::{CanFail, Shape, Types};
use super::verdict::Verdict;
use crate::cache::{Cache, Engine};
use crate::call_key::CallKeyRef;
use crate::context::{self, Context, Mode};
use crate::flight::FlightId;
use crate::function::{Function, Here, Instance, Site};
use crate::key::KeyBuf;
use crate::policy::{Age, Policy};
use crate::read_path::{self, Answer, Found, Run};
use crate::scope::Scope;
use crate::stored::{Stored, StoredValue};
use crate::tag::TagSet;

/// What the look into memory came to.
pub enum Lookup<S: Types> {
    /// The answer.
    Hit(S::Return),
    /// No answer yet.
    Miss(Call<S>),
}

impl<S: Types> fmt::Debug for Lookup<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hit(_) => "Hit",
            Self::Miss(_) => "Miss",
        })
    }
}

/// A call that memory didn't answer.
pub struct Call<S> {
    pub(super) call: Box<read_path::Call>,
    pub(super) shape: S,
}

impl<S> fmt::Debug for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", &self.call.function.site.name()).finish_non_exhaustive()
    }
}

/// Looks into memory. The first half of a cached function; borrows its arguments and lets go of them.
#[inline]
pub fn lookup<'k, S: Shape>(
    site: &'static Site,
    here: Here,
    shape: S,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: impl FnOnce(&mut KeyBuf<'k>),
) -> Lookup<S> {
    let mut args = KeyBuf::new();
    key(&mut args);
    let plain = scope.is_none() && cache.is_none() && context::is_plain();
    if plain && let Some(value) = plain_hit::<S>(site, here, &args) {
        return Lookup::Hit(S::wrap(value));
    }
    look_further(site, here, shape, scope, cache, args, plain)
}

/// The usual hit, outside any context and answered by this thread's front. Whatever is unusual is left to
/// [`look_further`].
#[inline]
fn plain_hit<S: Shape>(site: &'static Site, here: Here, args: &KeyBuf<'_>) -> Option<S::Stored> {
    let function = site.known_in_process_cache().filter(|function| function.engine.default_scope.is_none())?;
    let key = CallKeyRef::new(&site.known_instance(here)?.id, "", args);
    function.store()?.look_near(function.id, &key, |entry| usable::<S>(function, entry))
}

/// What an entry answers, if it may still.
#[inline]
fn usable<S: Shape>(function: &Function, entry: &Stored) -> Option<S::Stored> {
    entry.value.downcast_ref::<S::Stored>().filter(|_| entry.is_usable(&function.engine)).cloned()
}

// Once per function, whatever its arguments.
#[inline(never)]
fn look_further<S: Shape>(
    site: &'static Site,
    here: Here,
    shape: S,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    mut args: KeyBuf<'_>,
    looked_near: bool,
) -> Lookup<S> {
    let instance = site.instance(here);
    let context = context::current();
    let of_cache;
    let function = match cache.or_else(|| context.as_ref().and_then(|context| context.cache.as_ref())) {
        Some(cache) => {
            of_cache = cache.function(site);
            &of_cache
        }
        None => site.in_process_cache(),
    };
    let scope = ScopeName::find(scope, context.as_deref(), &function.engine);
    let nested = mode(context.as_deref());
    let first = nested == Mode::Cached && context.as_deref().is_some_and(Context::take_refresh);
    let mode = if first { Mode::Refreshed } else { nested };
    let key_error = args.error();
    let key = CallKeyRef::new(&instance.id, scope.as_str(), &args);
    let mut old = None;
    if mode == Mode::Cached
        && key_error.is_none()
        && let Some(store) = function.store()
    {
        let answer = |entry: &Stored| {
            let value = usable::<S>(function, entry)?;
            if let Some(frame) = context.as_deref().and_then(|context| context.frame.as_deref()) {
                frame.inherit(&entry.meta.lineage, entry.meta.uncached, entry.assured(&function.engine));
            }
            Some(value)
        };
        let near = (!looked_near).then(|| store.look_near(function.id, &key, answer)).flatten();
        match near.map_or_else(|| store.look_far(function.id, &function.counters, &key, answer), Ok) {
            Ok(value) => return Lookup::Hit(S::wrap(value)),
            Err(entry) => old = entry,
        }
    }
    if key_error.is_some() {
        function.counters.key_errors.one();
    }
    let key = key_error.is_none().then_some(&key);
    miss(
        Missed { function, instance, key, scope: &scope, local: args.is_local_only(), mode, nested },
        context,
        old,
        shape,
    )
}

/// What [`lookup`] found out before it missed.
#[derive(Clone, Copy)]
struct Missed<'a> {
    function: &'a Arc<Function>,
    instance: &'static Instance,
    key: Option<&'a CallKeyRef<'a, 'a>>,
    scope: &'a ScopeName,
    local: bool,
    mode: Mode,
    nested: Mode,
}

#[cold]
fn miss<S: Shape>(missed: Missed<'_>, context: Option<Arc<Context>>, old: Option<Arc<Stored>>, shape: S) -> Lookup<S> {
    let Missed { function, instance, key, scope, local, mode, nested } = missed;
    Lookup::Miss(Call {
        call: Box::new(read_path::Call {
            key: key.map(CallKeyRef::to_key),
            began: function.engine.freshness.epoch(),
            asked: function.engine.clock.nanos(),
            upcoming: FlightId::upcoming(),
            scope: Scope::new(scope.as_str()),
            mode,
            tags: TagSet::default(),
            codec: S::codec().filter(|_| instance.name_is_its_own && !local),
            instance,
            function: Arc::clone(function),
            context,
            policy: Policy::default(),
            old: old.filter(|entry| entry.age(&function.engine).is_some()),
            nested,
            hands_over: false,
            in_background: false,
        }),
        shape,
    })
}

#[inline(always)]
fn mode(context: Option<&Context>) -> Mode {
    if context::is_disabled() { Mode::Bypassed } else { context.map_or(Mode::Cached, |context| context.mode) }
}

/// How far a call came.
pub(super) enum Driven<S: Types, J, B> {
    /// To its end.
    Done(S::Return),
    /// To an old value that answers it; a run is due, and nobody is at it.
    Due(Arc<Stored>, J, B),
    /// To a run that may take longer than the caller waits.
    Slow(Box<Run>, J, B),
}

impl<S: Shape> Call<S> {
    pub(super) fn new(call: Box<read_path::Call>, shape: S) -> Self {
        Self { call, shape }
    }

    /// The `tags` option.
    #[must_use]
    pub fn tags(mut self, add: impl FnOnce(&mut TagSet)) -> Self {
        add(&mut self.call.tags);
        self
    }

    /// The refresh options.
    #[must_use]
    pub fn policy(mut self, set: impl FnOnce(&mut Policy)) -> Self {
        set(&mut self.call.policy);
        self
    }

    /// What `stale_if_error` asks for.
    pub fn can_fail(&self)
    where
        S: CanFail,
    {
    }

    /// The second half of a cached function: waits for another call's run, takes a backend's answer, or runs the body.
    ///
    /// # Cancel safety
    /// When the future is dropped, one of those who wait for its run takes over.
    pub async fn run<F: Future<Output = S::Return>>(
        mut self,
        judge: impl Fn(&S::Stored, &mut Verdict),
        body: Pin<Box<F>>,
    ) -> S::Return {
        // In a statement of its own: what can't cross threads isn't held across an await.
        let body = match self.drive(None, judge, move || body).await {
            Driven::Done(value) => return value,
            // Can't be, as nothing is handed over; and if it were, the body would run.
            Driven::Due(_, _, body) | Driven::Slow(_, _, body) => body,
        };
        body().await
    }

    /// [`run`](Self::run) for a sync function, on the calling thread.
    pub fn run_sync(self, judge: impl Fn(&S::Stored, &mut Verdict), body: impl FnOnce() -> S::Return) -> S::Return {
        pollster::block_on(self.run(judge, Box::pin(async move { body() })))
    }

    /// Goes down the read path, from its start or from where a run stands.
    pub(super) async fn drive<F, J, B>(&mut self, run: Option<Box<Run>>, judge: J, body: B) -> Driven<S, J, B>
    where
        F: Future<Output = S::Return>,
        J: Fn(&S::Stored, &mut Verdict),
        B: FnOnce() -> Pin<Box<F>>,
    {
        let mut run = match run {
            Some(run) => run,
            None => match self.answer().await {
                Ok(run) => run,
                Err(answer) => return Driven::Done(answer),
            },
        };
        if run.begin(&mut self.call) {
            // What has to do with backends is boxed: most calls don't, and their futures should be small.
            while let Some(found) = Box::pin(run.ask_backends(&self.call)).await {
                let age = found.age(&self.call);
                let Some(value) = self.decode(&mut run, &found) else { continue };
                let mut verdict = Verdict::default();
                judge(&value, &mut verdict);
                let meta = found.meta(&run, &self.call, &verdict);
                let entry = StoredValue::erased(meta, value.clone());
                if age == Some(Age::Fallback) {
                    run.pass_over(&found);
                    self.call.old = Some(entry);
                    if self.call.hands_over && self.call.policy.timeout.is_some() {
                        return Driven::Slow(run, judge, body);
                    }
                    continue;
                }
                if let Some(storing) = run.take_over(&self.call, found, &entry) {
                    // Counted: the call has its answer.
                    let _ = Box::pin(storing.finish(&self.call)).await;
                }
                if age == Some(Age::Due) && self.call.hands_over {
                    return Driven::Due(entry, judge, body);
                }
                return Driven::Done(S::wrap(value));
            }
        }
        run.prepare(&self.call);
        let output = run.body(&self.call, body()).await;
        // In a statement of its own: what can't cross threads may be returned as an `Err`, but not held across an await.
        let value = match S::into_stored(output) {
            Ok(value) => value,
            Err(output) => {
                if let Some((old, value)) = self.fallback() {
                    run.fall_back(&self.call, &old);
                    return Driven::Done(value);
                }
                run.fail(&self.call, self.shape.failure(&output));
                return Driven::Done(output);
            }
        };
        let mut verdict = Verdict::default();
        judge(&value, &mut verdict);
        let conclusion = run.conclude(&self.call, verdict);
        let entry = StoredValue::erased(conclusion.meta, value.clone());
        if let Some(storing) = run.land(&self.call, &entry, conclusion.keep) {
            let _ = Box::pin(storing.finish(&self.call)).await;
        }
        Driven::Done(S::wrap(value))
    }

    /// A run to be led by this call, or an answer that another one gave.
    async fn answer(&mut self) -> Result<Box<Run>, S::Return> {
        loop {
            match self.call.answer().await {
                Answer::Lead(run) => return Ok(run),
                Answer::Value(entry) => match entry.value.downcast_ref::<S::Stored>() {
                    Some(value) => return Err(S::wrap(value.clone())),
                    // Can't be; and if it were, the body would run.
                    None => self.call.mode = Mode::Bypassed,
                },
                Answer::Failure(shared) => match self.shared_failure(&*shared) {
                    Some(answer) => return Err(answer),
                    None => self.call.mode = Mode::Bypassed,
                },
            }
        }
    }

    /// What becomes of a call that waited for a run that failed.
    pub(super) fn shared_failure(&self, shared: &(dyn Any + Send + Sync)) -> Option<S::Return> {
        if let Some((old, value)) = self.fallback() {
            self.call.report_old(&old);
            return Some(value);
        }
        self.shape.from_failure(shared)
    }

    /// The old value for a run that failed, if it is still good for that; counted.
    fn fallback(&self) -> Option<(Arc<Stored>, S::Return)> {
        let old = self.call.old.as_ref().filter(|_| self.call.policy.stale_if_error.is_some())?;
        let value = self.old_value(old)?;
        Some((Arc::clone(old), value))
    }

    /// An old value, if it is still good for anything; counted.
    pub(super) fn old_value(&self, old: &Stored) -> Option<S::Return> {
        let age = old.age(&self.call.function.engine)?;
        let value = old.value.downcast_ref::<S::Stored>()?;
        if age == Age::Fallback || !old.is_fresh(&self.call.function.engine) {
            self.call.function.counters.served_stale.one();
        }
        Some(S::wrap(value.clone()))
    }

    pub(super) fn decode(&self, run: &mut Run, found: &Found) -> Option<S::Stored> {
        let codec = self.call.function.engine.codec.as_deref()?;
        let bytes = run.open(&self.call, found, codec)?;
        let decoded = self.call.codec.and_then(|value| (value.decode)(bytes, codec).ok());
        match decoded.and_then(|value| value.downcast::<S::Stored>().ok()) {
            Some(value) => Some(*value),
            None => {
                run.reject(&self.call, found);
                None
            }
        }
    }
}

/// Calls the closure with the value. Written so that the closure's parameter type is inferred, and so that what it
/// returns may borrow from the value.
pub fn apply<'a, T: ?Sized, R>(f: impl FnOnce(&'a T) -> R, value: &'a T) -> R {
    f(value)
}

/// The `cache` option: coerces what dereferences to a cache.
pub fn cache_ref(cache: &Cache) -> Option<&Cache> {
    Some(cache)
}

/// The name of a call's scope, without an allocation where it can be.
pub(super) enum ScopeName {
    Global,
    Named(Scope),
    Short { bytes: [u8; Self::SHORT], len: usize },
    Long(String),
}

impl ScopeName {
    const SHORT: usize = 40;

    /// The `scope` option, else the one around the call, else the cache's default.
    #[inline]
    pub(super) fn find(option: Option<&dyn Display>, context: Option<&Context>, engine: &Engine) -> Self {
        if let Some(option) = option {
            return Self::written(option);
        }
        if let Some(scope) = context.and_then(|context| context.scope.as_ref()) {
            return Self::Named(scope.clone());
        }
        match &engine.default_scope {
            Some(default) => default().map_or(Self::Global, Self::Long),
            None => Self::Global,
        }
    }

    fn written(scope: &dyn Display) -> Self {
        let mut name = Self::Short { bytes: [0; Self::SHORT], len: 0 };
        // A scope whose `Display` fails counts with what it had written.
        let _ = write!(name, "{scope}");
        name
    }

    #[inline]
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Global => "",
            Self::Named(scope) => scope.name(),
            Self::Short { bytes, len } => {
                bytes.get(..*len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
            }
            Self::Long(name) => name,
        }
    }
}

impl fmt::Write for ScopeName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self {
            Self::Short { bytes, len } => {
                if let Some(room) = bytes.get_mut(*len..*len + text.len()) {
                    room.copy_from_slice(text.as_bytes());
                    *len += text.len();
                } else {
                    *self = Self::Long([self.as_str(), text].concat());
                }
            }
            Self::Long(name) => name.push_str(text),
            Self::Global | Self::Named(_) => return Err(fmt::Error),
        }
        Ok(())
    }
}
