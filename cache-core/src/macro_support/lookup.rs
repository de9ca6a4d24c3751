//! The lookup in the thread's table and in memory. A hit ends here; a miss takes along what the lookup has found out.

use std::fmt::{self, Display};
use std::sync::Arc;

use super::call::Call;
use super::shape::{Shape, Types, ValueCodec};
use crate::cache::site::Site;
use crate::cache::{Cache, Inner};
use crate::context::observer::Source;
use crate::context::{self, Context, Mode};
use crate::engine::Engine;
use crate::engine::call_scope::{FoundDefault, ScopeName};
use crate::engine::descriptor::Instance;
use crate::engine::function::Function;
use crate::entry::CachedEntry;
use crate::entry::policy::Policy;
use crate::flight::single::FlightId;
use crate::key::KeyBuf;
use crate::key::call_key::CallKeyRef;
use crate::key::here::Here;
use crate::memory::{self, NotFound};
use crate::run::call::{self, MemoryLook, Options, Origin, Request};
use crate::run::join::Waits;
use crate::run::tally::Tally;
use crate::run::target::Target;
use crate::stats::kinds::MissReason;
use crate::tag::TagSet;
use crate::thread_cache::thread::{self, Thread};
use crate::trace::CallSpan;
use crate::util::text::Text;

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

/// Looks into memory. The first half of a cached function; borrows its arguments and lets go of them.
// Once per type of result, where code isn't optimized; else it is what a hit costs.
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn lookup<S: Shape>(
    site: &'static Site,
    here: Here,
    shape: S,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: KeyBuf<'_>,
) -> Lookup<S> {
    let is_usual = scope.is_none() && cache.is_none();
    let mut value = None;
    let mut args = match key.into_short() {
        Ok(short) => {
            if is_usual {
                with_known_table(site, here.again(), &mut |thread, whose, seed| {
                    value = memory::hit(thread, whose, seed, short);
                });
            }
            if let Some(value) = value {
                return Lookup::Hit(S::wrap(value));
            }
            KeyBuf::of_short(short)
        }
        Err(args) => {
            if is_usual && !args.has_error() {
                with_known_table(site, here.again(), &mut |thread, whose, seed| {
                    value = memory::hit_long(thread, whose, seed, &[], &args);
                });
            }
            if let Some(value) = value {
                return Lookup::Hit(S::wrap(value));
            }
            args
        }
    };
    // `here` made anew, so that a hit doesn't need it in memory.
    lookup_unusual(site, here.again(), shape, scope, cache, &mut args)
}

/// Has `look` look into this thread's front, if the function's entries are known there.
// Compiled once where code isn't optimized; else with `look` in place.
#[cfg_attr(not(debug_assertions), inline(always))]
fn with_known_table(site: &'static Site, here: Here, look: &mut dyn FnMut(&Thread, u64, u64)) {
    thread::with(&mut |thread| {
        if let Some((whose, seed)) = site.known(thread, here.again()) {
            look(thread, whose, seed);
        }
    });
}

#[cold]
#[inline(never)]
fn lookup_unusual<S: Shape>(
    site: &'static Site,
    here: Here,
    shape: S,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    args: &mut KeyBuf<'_>,
) -> Lookup<S> {
    let (mut value, mut name) = (None, None);
    if let Some(scope) = scope
        && cache.is_none()
        && !args.has_error()
    {
        with_known_table(site, here.again(), &mut |thread, whose, seed| {
            // Else something else comes before the scope is asked for.
            if thread.run_here().is_some() {
                let name = name.insert(Text::of(scope));
                value = memory::hit_long(thread, whose, seed, name.as_bytes(), args);
            }
        });
        if let Some(value) = value {
            return Lookup::Hit(S::wrap(value));
        }
    }
    // Not asked for again.
    let scope = name.as_ref().map(|name| name as &dyn Display).or(scope);
    let mut found = None;
    with_table_in_context(site, here.again(), scope, cache, args, &mut found, &mut |thread, key, run, engine| {
        value = memory::hit_unusual(thread, key, run, &engine.validity);
    });
    if let Some(value) = value {
        return Lookup::Hit(S::wrap(value));
    }
    loop {
        let mut value = None;
        let mut answer = |entry: &CachedEntry| {
            value = entry.value.downcast_ref::<S::Stored>().cloned();
            value.is_some()
        };
        let missed = lookup_in_memory(site, here, scope, found.as_ref(), cache, args, false, S::codec, &mut answer);
        match (value, missed) {
            (Some(value), _) => return Lookup::Hit(S::wrap(value)),
            (None, Some(call)) => return Lookup::Miss(Call::new(call, shape)),
            // Can't be.
            (None, None) => {}
        }
    }
}

/// Has `look` look into this thread's front for any key, with the run that is calling, unless the call is not to be answered
/// from the cache.
#[inline(never)]
fn with_table_in_context(
    site: &'static Site,
    here: Here,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    args: &KeyBuf<'_>,
    found: &mut Option<FoundDefault>,
    look: &mut dyn FnMut(&Thread, &CallKeyRef<'_, '_>, u64, &Engine),
) {
    if args.has_error() || context::is_disabled() {
        return;
    }
    thread::with(&mut |thread| {
        let (run, context) = match thread.run_here() {
            Some(run) => (run, None),
            None => {
                let Some(context) = context::current().filter(|context| context.is_answered()) else { return };
                (context.run(), Some(context))
            }
        };
        let context = context.as_deref();
        let (number, engine) = match cache.map(Cache::inner).or_else(|| context.and_then(Inner::around)) {
            Some(cache) => (
                thread.function_number(cache.engine().id, site.id(), || cache.function(&site.descriptor).id),
                cache.engine(),
            ),
            None => {
                let function = site.in_process_cache();
                (function.id, &*function.engine)
            }
        };
        let scope = ScopeName::find(scope, context, engine);
        if engine.requires_scope && scope.is_missing() {
            return;
        }
        let key = CallKeyRef::new(number, &site.instance(here.again()).key_forms, scope.as_bytes(), args);
        look(thread, &key, run, engine);
        *found = scope.into_default();
    });
}

/// A call that isn't looked up: it is to replace what is there.
pub(super) fn unanswered(
    site: &'static Site,
    here: Here,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    mut args: KeyBuf<'_>,
    codec: fn() -> Option<ValueCodec>,
) -> Box<call::Call> {
    loop {
        // The first time.
        if let Some(call) = lookup_in_memory(site, here, scope, None, cache, &mut args, true, codec, &mut |_| false) {
            return call;
        }
    }
}

/// The part without types. `answer` makes what it can of an entry that may be used. `None`: it was able to.
// Compiled once where code isn't optimized; else with `answer` in place.
#[cfg_attr(not(debug_assertions), inline(always))]
#[allow(clippy::too_many_arguments, reason = "as many as the look has")]
fn lookup_in_memory(
    site: &'static Site,
    here: Here,
    scope: Option<&dyn Display>,
    // Not asked for again.
    found: Option<&FoundDefault>,
    cache: Option<&Cache>,
    args: &mut KeyBuf<'_>,
    refreshes: bool,
    codec: fn() -> Option<ValueCodec>,
    answer: &mut dyn FnMut(&CachedEntry) -> bool,
) -> Option<Box<call::Call>> {
    let instance = site.instance(here);
    let context = context::current();
    let of_cache;
    let function = match cache.map(Cache::inner).or_else(|| context.as_deref().and_then(Inner::around)) {
        Some(cache) => {
            of_cache = cache.function(&site.descriptor);
            &of_cache
        }
        None => site.in_process_cache(),
    };
    let nested = mode(context.as_deref());
    // Before the scope is asked for, which may call anything.
    let first = context.as_deref().is_some_and(|context| context.take_refresh(site.id(), here));
    let mode = if nested != Mode::Bypassed && (refreshes || first) { Mode::Refreshed } else { nested };
    let scope = ScopeName::find_again(found, scope, context.as_deref(), &function.engine);
    let mode = if function.engine.requires_scope && scope.is_missing() {
        function.counters.unscoped.one();
        Mode::Bypassed
    } else {
        mode
    };
    let key_error = args.error();
    let key = CallKeyRef::new(function.id, &instance.key_forms, scope.as_bytes(), args);
    let (mut old, mut memory_generation, mut was_evicted) = (None, None, false);
    if mode == Mode::Cached
        && key_error.is_none()
        && let Some(store) = function.store()
    {
        let mut untold = None;
        let mut answer = |entry: &CachedEntry| {
            let answered = answer(entry);
            if answered {
                untold = entry.meta.take_untold_hit();
            }
            let around = context.as_deref().filter(|_| answered);
            if let Some(observer) = around.and_then(|context| context.observer.as_deref()) {
                observer.note(Source::Memory, &function.engine.validity.clock, &entry.meta);
            }
            if let Some(frame) = around.and_then(|context| context.frame.as_deref()) {
                frame.inherit(
                    entry.meta.dependencies(),
                    entry.meta.is_uncached(),
                    entry.trust_deadline(&function.engine.validity),
                );
            }
            answered
        };
        let before = store.generation(key.hash_code());
        match store.look(&function.engine.validity, &function.counters, &key, &mut answer) {
            Ok(()) => {
                if let Some(idle) = untold {
                    let codec = codec().filter(|_| !args.is_local_only());
                    target(function, instance, Some(&key), &scope, codec).touch(idle);
                }
                return None;
            }
            Err(NotFound::Absent) => memory_generation = Some(before),
            Err(NotFound::Evicted) => (memory_generation, was_evicted) = (Some(before), true),
            Err(NotFound::Unusable(entry)) => old = Some(entry),
        }
    }
    if key_error.is_some() {
        function.counters.key_errors.one();
    }
    let key = key_error.is_none().then_some(&key);
    let local = args.is_local_only();
    let missed = Missed { function, instance, key, scope: &scope, local, mode, nested, memory_generation, was_evicted };
    Some(miss(missed, context, old, codec))
}

/// What the look found out before it missed.
#[derive(Clone, Copy)]
struct Missed<'a> {
    function: &'a Arc<Function>,
    instance: &'static Instance,
    key: Option<&'a CallKeyRef<'a, 'a>>,
    scope: &'a ScopeName,
    local: bool,
    mode: Mode,
    nested: Mode,
    memory_generation: Option<u64>,
    was_evicted: bool,
}

#[cold]
#[inline(never)]
fn miss(
    missed: Missed<'_>,
    context: Option<Arc<Context>>,
    old: Option<Arc<CachedEntry>>,
    codec: fn() -> Option<ValueCodec>,
) -> Box<call::Call> {
    let Missed { function, instance, key, scope, local, mode, nested, memory_generation, was_evicted } = missed;
    let validity = &function.engine.validity;
    let reason = match &old {
        Some(entry) => entry.why_unusable(validity),
        None if was_evicted => MissReason::Evicted,
        None => MissReason::Absent,
    };
    let options = &function.descriptor.options;
    let unscoped = scope.is_missing();
    Box::new(call::Call {
        target: target(function, instance, key, scope, codec().filter(|_| !local)),
        request: Request {
            mode,
            nested,
            context,
            unscoped,
            epoch_at_start: function.engine.validity.freshness.epoch(),
            min_flight: FlightId::upcoming(),
            origin: Origin::Caller { may_detach: false },
        },
        options: Options {
            tags: TagSet::default(),
            used: None,
            ttl: options.ttl,
            memory_ttl: options.memory_ttl,
            policy: Policy::default(),
            shares_errors: true,
        },
        memory: MemoryLook {
            old: old.filter(|entry| entry.staleness(validity).is_some()),
            old_seen: None,
            generation: memory_generation,
        },
        waits: Waits::default(),
        tally: Tally::new(reason),
        span: CallSpan::of_call(function.descriptor.name(), &function.engine.name),
    })
}

fn target(
    function: &Arc<Function>,
    instance: &'static Instance,
    key: Option<&CallKeyRef<'_, '_>>,
    scope: &ScopeName,
    codec: Option<ValueCodec>,
) -> Target {
    let scope = scope.to_scope();
    Target { key: key.map(|key| key.to_key(&scope)), function: Arc::clone(function), instance, scope, codec }
}

#[inline(always)]
fn mode(context: Option<&Context>) -> Mode {
    // What can't know what it depends on can't be kept, and who can't be told apart from others must not wait for them.
    if context::is_disabled() || context::is_gone() {
        Mode::Bypassed
    } else {
        context.map_or(Mode::Cached, |context| context.mode)
    }
}
