//! The typed ends of the read path: the look into memory that most calls end with, and what a miss does.

use std::fmt::{self, Display, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::shape::{Shape, Types};
use super::verdict::Verdict;
use crate::cache::Cache;
use crate::call_key::CallKeyRef;
use crate::context::{self, Context, Mode};
use crate::flight::FlightId;
use crate::function::{Function, Here, Site};
use crate::key::KeyBuf;
use crate::read_path::{self, Answer, Found, Run};
use crate::scope::Scope;
use crate::stored::StoredValue;
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
    call: Box<read_path::Call>,
    shape: S,
}

impl<S> fmt::Debug for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", &self.call.function.site.name()).finish_non_exhaustive()
    }
}

/// The function in the cache that the call acts on.
enum Acting {
    OfProcess(&'static Arc<Function>),
    Other(Arc<Function>),
}

impl std::ops::Deref for Acting {
    type Target = Arc<Function>;
    #[inline]
    fn deref(&self) -> &Arc<Function> {
        match self {
            Self::OfProcess(function) => function,
            Self::Other(function) => function,
        }
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
    let instance = site.instance(here);
    let context = context::current();
    let (function, owner) = match cache.or_else(|| context.as_ref().and_then(|context| context.cache.as_ref())) {
        Some(cache) => (Acting::Other(cache.function(site)), cache),
        None => (Acting::OfProcess(site.in_process_cache()), Cache::of_process().0),
    };
    let scope = ScopeName::find(scope, context.as_deref(), owner);
    let mode = mode(context.as_deref());
    let key_error = args.error();
    let key = CallKeyRef::new(instance.id(site), scope.as_str(), &args);
    if mode == Mode::Cached
        && key_error.is_none()
        && let Some(entry) = function.store().and_then(|store| store.get(&key))
        && entry.is_usable(&function.engine)
        && let Some(value) = entry.value.downcast_ref::<S::Stored>()
    {
        function.counters.memory_hit();
        if let Some(frame) = context.as_deref().and_then(|context| context.frame.as_deref()) {
            frame.inherit(&entry.meta.lineage, entry.meta.uncached, entry.assured(&function.engine));
        }
        return Lookup::Hit(S::wrap(value.clone()));
    }
    if key_error.is_some() {
        function.counters.key_errors.one();
    }
    Lookup::Miss(Call {
        call: Box::new(read_path::Call {
            key: key_error.is_none().then(|| key.to_key()),
            began: function.engine.freshness.epoch(),
            asked: if function.engine.always_trusted { 0 } else { function.engine.clock.nanos() },
            upcoming: FlightId::upcoming(),
            scope: Scope::new(scope.as_str()),
            mode,
            tags: TagSet::default(),
            codec: S::codec().filter(|_| instance.name_is_its_own && !args.is_local_only()),
            instance,
            function: Arc::clone(&function),
            context,
        }),
        shape,
    })
}

fn mode(context: Option<&Context>) -> Mode {
    if context::is_disabled() { Mode::Bypassed } else { context.map_or(Mode::Cached, |context| context.mode) }
}

impl<S: Shape> Call<S> {
    /// The `tags` option.
    #[must_use]
    pub fn tags(mut self, add: impl FnOnce(&mut TagSet)) -> Self {
        add(&mut self.call.tags);
        self
    }

    /// The second half of a cached function: waits for another call's run, takes a backend's answer, or runs the body.
    ///
    /// # Cancel safety
    /// When the future is dropped, one of those who wait for its run takes over.
    pub async fn run<F: Future<Output = S::Return>>(
        mut self,
        judge: impl FnOnce(&S::Stored, &mut Verdict),
        body: Pin<Box<F>>,
    ) -> S::Return {
        let mut run = loop {
            match self.call.answer().await {
                Answer::Lead(run) => break run,
                Answer::Value(entry) => match entry.value.downcast_ref::<S::Stored>() {
                    Some(value) => return S::wrap(value.clone()),
                    // Can't be; and if it were, the body would run.
                    None => self.call.mode = Mode::Bypassed,
                },
                Answer::Failure(shared) => match self.shape.from_failure(&*shared) {
                    Some(failure) => return failure,
                    None => self.call.mode = Mode::Bypassed,
                },
            }
        };
        if run.begin(&mut self.call) {
            // What has to do with backends is boxed: most calls don't, and their futures should be small.
            while let Some(found) = Box::pin(run.ask_backends(&self.call)).await {
                if let Some(value) = self.decode(&mut run, &found) {
                    let mut verdict = Verdict::default();
                    judge(&value, &mut verdict);
                    let meta = found.meta(&run, &self.call, &verdict);
                    let entry = StoredValue::erased(meta, value.clone());
                    if let Some(storing) = run.take_over(&self.call, found, &entry) {
                        Box::pin(storing.finish(&self.call)).await;
                    }
                    return S::wrap(value);
                }
            }
        }
        run.prepare(&self.call);
        let output = run.body(&self.call, body).await;
        // In a statement of its own: what can't cross threads may be returned as an `Err`, but not held across an await.
        let value = match S::into_stored(output) {
            Ok(value) => value,
            Err(output) => {
                run.fail(&self.call, self.shape.failure(&output));
                return output;
            }
        };
        let mut verdict = Verdict::default();
        judge(&value, &mut verdict);
        let conclusion = run.conclude(&self.call, verdict);
        let entry = StoredValue::erased(conclusion.meta, value.clone());
        if let Some(storing) = run.land(&self.call, &entry, conclusion.keep) {
            Box::pin(storing.finish(&self.call)).await;
        }
        S::wrap(value)
    }

    /// [`run`](Self::run) for a sync function, on the calling thread.
    pub fn run_sync(self, judge: impl FnOnce(&S::Stored, &mut Verdict), body: impl FnOnce() -> S::Return) -> S::Return {
        pollster::block_on(self.run(judge, Box::pin(async move { body() })))
    }

    fn decode(&self, run: &mut Run, found: &Found) -> Option<S::Stored> {
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
    pub(super) fn find(option: Option<&dyn Display>, context: Option<&Context>, cache: &Cache) -> Self {
        if let Some(option) = option {
            return Self::written(option);
        }
        if let Some(scope) = context.and_then(|context| context.scope.as_ref()) {
            return Self::Named(scope.clone());
        }
        if cache.has_default_scope() {
            return cache.default_scope().map_or(Self::Global, Self::Long);
        }
        Self::Global
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
