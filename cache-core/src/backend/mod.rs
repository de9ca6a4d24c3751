//! What a shared layer must do: the [`Backend`] trait, its contract, and the types that cross it.
//!
//! A backend keeps bytes for many processes. It owns the *invalidation order*: a clock that every invalidation moves
//! and that a run reads before it starts. Everything else (typed values, flights inside one process, the order of
//! steps) is the engine's work.

mod hold;
pub(crate) mod measured;
mod shared;
pub(crate) mod shielded;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::hold::{BackendHold, MAX_HOLD};
use crate::codec::Codec;
use crate::error::Error;
pub use crate::rt::clock::BootInstant;
pub use crate::tag::TagId;

/// The future a [`Backend`] method returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A position in a backend's invalidation order. Only stamps of the same backend can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// A tag an entry carries, with the stamp the entry holds for it: the entry is dead once the tag has been invalidated
/// at a later stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldTag {
    /// The tag.
    pub tag: TagId,
    /// Taken before the run that this tag's data came from.
    pub stamp: Stamp,
}

/// The identity of an entry in a backend: scope, function and arguments, encoded so that different calls have
/// different bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EntryKey {
    bytes: Arc<[u8]>,
}

impl EntryKey {
    /// A key of these bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The whole identity. Arbitrary bytes of arbitrary length: a backend with limits must hash, with a hash wide
    /// enough (128 bits or more) that two keys never meet.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryKey({})", self.bytes.escape_ascii())
    }
}

/// How long an entry lives. `None` is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// While younger than this, the entry answers calls. Counted from its store.
    pub fresh: Option<Duration>,
    /// From then until this age the entry may still be served as stale; at this age the backend drops it. Never
    /// shorter than `fresh`. Counted from its store.
    pub keep: Option<Duration>,
    /// So long after its store, or after the last [`touch`](Backend::touch), the backend drops it, if it isn't dropped before
    /// that. `None` for a backend that doesn't [prolong](Backend::prolongs) entries: it is told a shorter `keep` instead.
    pub idle: Option<Duration>,
}

/// A stored result.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The encoded value with its own header; opaque to the backend.
    pub payload: Vec<u8>,
    /// Everything whose invalidation kills this entry. Sorted by id, without duplicates.
    pub tags: Vec<HeldTag>,
    /// How long it lives.
    pub lifetimes: Lifetimes,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("tags", &self.tags)
            .field("lifetimes", &self.lifetimes)
            .finish()
    }
}

/// What stood under a key when it was read: 0 for nothing, else a number that changes whenever another entry is
/// written there. Lets [`Backend::lease`] notice an entry stored after the read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(pub u64);

/// What [`Backend::read`] found.
#[derive(Debug)]
pub struct Reading {
    /// The entry, if there is one and none of its tags was invalidated since.
    pub live: Option<LiveEntry>,
    /// What stood there, live or not.
    pub seen: Seen,
}

/// An entry that was live when it was read.
#[derive(Debug)]
pub struct LiveEntry {
    /// As it was stored.
    pub entry: Entry,
    /// What is left of `lifetimes.keep`, by the backend's own clock.
    pub remaining: Option<Duration>,
    /// How long ago it was stored, by the backend's own clock. It is shown to users, and decides nothing.
    pub age: Duration,
}

/// What the engine asks for with [`Backend::lease`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaseRequest<'a> {
    /// How long the lease lasts without renewal; `None` is the backend's own default.
    pub duration: Option<Duration>,
    /// What the read before this request saw.
    pub seen: Seen,
    /// The tags the run will carry for certain: its key, function, scope and declared tags. A hint, for backends that can
    /// learn of these what they need while they are at it; the entry that is stored says all of its tags.
    pub tags: &'a [TagId],
    /// The run is to replace what is there, and waits for nobody: the lease is granted whoever holds it, and whatever was
    /// stored since the read. That holder has lost it, and those who wait for it are woken, as if it had run out. (By a
    /// backend that takes no notice of this, what a refresh brings while another process runs stays in memory.)
    pub take_over: bool,
}

/// The right of one process to run the body for a key.
///
/// Dropping it gives the right back at once (without waiting for the network); [`Backend::store`] consumes it. The
/// backend renews it for as long as it is held, so a run may take longer than the lease.
pub trait Lease: fmt::Debug + Send + Sync {
    /// The invalidation order's position when the lease was granted, read before the run starts.
    fn stamp(&self) -> Stamp;

    /// What [`Busy::holder`] says to others while this lease is held: bytes that no other lease has, not even another
    /// backend's. With it the engine sees at once where calls in one process, also through several caches, wait for each
    /// other in a circle; else only when they have waited for long. Default: `None`, it can't be said.
    fn holder(&self) -> Option<&[u8]> {
        None
    }

    /// Lets another run begin while this one goes on: something that this run depends on was invalidated, so its result won't
    /// be stored. Called once, from any thread, and must not wait for the network. `store` isn't called with this lease any
    /// more.
    ///
    /// `true`: the backend is to know when the run is over, and the engine drops the lease then. So it can see to it that no
    /// third run begins beside the two. `false`, the default: the engine drops the lease at once.
    fn give_up(&self) -> bool {
        false
    }

    /// Gives the right back as dropping it does, and says that the run has ended and left nothing: it failed, or its result
    /// isn't stored. Those who waited for it need not wait for the next one as well: they are told by
    /// [`Busy::follows_unstored`] and [`follows_unstored`](Self::follows_unstored). Default: it is just dropped.
    fn ended_unstored(self: Box<Self>) {}

    /// Whether the lease before this one was given back by [`ended_unstored`](Self::ended_unstored). Default: `false`, it
    /// isn't known.
    fn follows_unstored(&self) -> bool {
        false
    }

    /// For the backend that granted it, to get its own type back in [`Backend::store`].
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync>;
}

/// The answer to [`Backend::lease`].
#[derive(Debug)]
pub enum LeaseAnswer {
    /// The caller may run the body, and store its result with this lease.
    Granted(Box<dyn Lease>),
    /// Another process holds the lease: [`Backend::wait`] for it.
    Busy(Busy),
    /// Another entry was stored since the caller's read: read again.
    Changed,
}

/// Someone else's lease.
#[derive(Clone, Debug)]
pub struct Busy {
    /// What is left of it if it isn't renewed.
    pub remaining: Duration,
    /// Which attempt holds it, so that a successor's lease isn't mistaken for it. The backend's own bytes.
    pub holder: Vec<u8>,
    /// Whether the lease before it was given back by [`Lease::ended_unstored`]; `false` if that isn't known.
    pub follows_unstored: bool,
}

/// The answer to [`Backend::store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// Written, and the lease is released.
    Stored,
    /// The lease had been lost (it expired, or another process holds it now): nothing was written.
    LeaseLost,
}

/// Where a backend reports what it hears from other processes. Given to it by [`Backend::attach`].
///
/// The methods are cheap, don't block and may be called from any thread.
pub trait Listener: Send + Sync {
    /// These tags were invalidated by someone else: by another process or another handle, or by another cache that uses
    /// this handle too. To be called as soon as it is known. A backend that can't tell which of its listeners' caches
    /// called `invalidate` may tell them all; it costs them a miss.
    fn invalidated(&self, tags: &[TagId]);

    /// Invalidations may have been missed (a gap in the numbers, a reconnect, a clock that went backwards): everything
    /// the memory layer took in before this call is dropped.
    fn doubt(&self);

    /// The memory layer may be trusted until then: [`Backend::max_staleness`] after a comparison with the truth was
    /// asked for that has come out well. A backend that hears of others' invalidations by messages calls this after
    /// every such comparison. Until the first call memory is trusted only as far as `max_staleness` allows. A point in
    /// time, and not a duration: a process that is stopped on the way to this call must not trust for longer, nor one
    /// whose machine is suspended. So it has to be made from a [`BootInstant`] that was read before the comparison was
    /// asked for.
    fn trusted_until(&self, deadline: BootInstant);
}

/// A layer that keeps entries as bytes and is shared by processes.
///
/// # Contract
///
/// Each point is checked by [`conformance`](crate::conformance); a backend that passes it keeps larder's promises.
///
/// 1. **Order.** `invalidate` moves the clock: every invalidation has a stamp greater than all stamps handed out before
///    it began, and once it has returned, every stamp handed out later is at least as great. The clock never goes back,
///    whatever is lost.
/// 2. **Liveness.** `read` returns an entry only if no tag of it was invalidated after the stamp the entry holds for
///    *that* tag. An invalidation that has returned `Ok` is seen by every `read` that starts later, in every process.
/// 3. **Fail closed.** Where the record of a tag's invalidations was lost, an entry is live only if its stamp proves that
///    no invalidation lies after it. No loss brings an invalidated value back, whatever re-creates the record later.
/// 4. **Leases.** At most one live lease per key. It is renewed while held, ends within its duration when its process
///    dies, and at once when it is dropped, [given up](Lease::give_up) or [taken over](LeaseRequest::take_over). `store`
///    writes only if the lease is still held, and releases it in the same step.
/// 5. **No lost entry.** `lease` answers `Changed` if another entry than the one `seen` was stored meanwhile.
/// 6. **Wake.** `wait` returns promptly after the holder's lease ends, however it ends: by push, without polling; a lost
///    message costs at most the lease's remaining life. A backend that knows that no push will come looks for itself, at
///    growing intervals. It may return early.
/// 7. **Time.** No method takes longer than the backend's own configured timeout, except `wait`, and an `invalidate` of more
///    tags than fit into one request: that may take as long for each request, and fails as soon as one has failed.
/// 8. **Cancel safety.** A future may be dropped at any point. A lease that was granted to a dropped `lease` future is
///    released; a dropped `store` or `invalidate` may or may not have happened. If an `invalidate` that was dropped, or
///    that failed, happens all the same, at once or later, the listeners of its own handle hear of it as others do.
/// 9. **Honest errors.** A method that could not do its work returns an error, never a wrong answer. The engine then runs the
///    body as if there were no backend. It doesn't panic; a panic counts as an error all the same.
/// 10. **Separation.** Keys are arbitrary bytes; no operation touches another key, or another prefix's.
/// 11. **Nothing left.** Of a lease that follows one that was given back by [`Lease::ended_unstored`], both
///     [`Lease::follows_unstored`] and [`Busy::follows_unstored`] say so, or neither does.
/// 12. **Holds.** If the backend has holds, what is held is invalidated whatever becomes of the process: see [`BackendHold`].
/// 13. **Idle.** An entry with [`Lifetimes::idle`] is dropped that long after its store or its last [`touch`](Backend::touch).
///     No touch prolongs its life beyond `keep`. (Of a backend that [prolongs](Backend::prolongs) entries.)
///
/// Futures must not depend on the runtime they are polled on: sync functions drive them on a plain thread.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// A short name for statistics and errors, e.g. `"redis"`.
    fn name(&self) -> &str;

    /// Looks the key up.
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>>;

    /// Tries to become the one who runs the body. Returns at once, whoever holds the lease.
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>>;

    /// Waits until `busy`'s lease has ended. The engine calls it for one waiter per process and key.
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>>;

    /// Writes the entry if the lease is still held, and gives the lease back. `lease` was granted by this backend for
    /// this key. An entry to be kept for no time (`lifetimes.keep` is zero) takes away what was there, and leaves nothing.
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>>;

    /// Whether the backend heeds [`Lifetimes::idle`] and [`touch`](Self::touch). Default: `false`. Then the engine has it keep
    /// entries of functions with `idle_ttl` no longer than that, counted from their store.
    fn prolongs(&self) -> bool {
        false
    }

    /// The entry was used, by a call that this process's memory answered, or by one that has read it here: its life ends `idle`
    /// from now, but not after its own `keep`. Never shortens its life, and makes no entry. The engine calls it no more than
    /// once a second for an entry.
    ///
    /// It is called on the way of a cache hit, from any thread, so it must not wait for the network: it starts what is to be
    /// done and returns. What can't be done is left out, which costs a miss later. Default: does nothing.
    fn touch(&self, key: &EntryKey, idle: Duration) {
        let _ = (key, idle);
    }

    /// Makes every entry that carries one of these tags with an older stamp worthless, in every process. Costs the same
    /// for one entry or a million. On `Ok` the invalidation is recorded; then this is its stamp, or one that the clock reached
    /// after it, and a process that has [caught up](Self::catch_up) with this stamp knows of the invalidation.
    /// A backend may remember one that it can't record, and say so with [`Error::remembered`]: then it records that before it
    /// answers the next `read`.
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>>;

    /// Begins to place a hold on these tags: see [`BackendHold`]. Returns at once. Default: `None`, the backend has no holds.
    /// Then this process invalidates the tags itself when the hold ends, by a timer, and nobody does if it is killed before.
    fn hold(&self, tags: &[TagId]) -> Option<Box<dyn BackendHold>> {
        let _ = tags;
        None
    }

    /// A position the clock is known to have reached, without asking anyone; `None` if nothing is known yet. Never greater
    /// than the clock, and not less than the stamp of any `invalidate` that has returned `Ok` to a user of this handle. Used
    /// for entries that are computed without a lease; and for what was stored before a process could hear of everything.
    fn known_stamp(&self) -> Option<Stamp>;

    /// Says which store this is: the same in all processes that share it, and not the same for others. It stands in tokens,
    /// which users see. Default: the [name](Self::name).
    fn identity(&self) -> String {
        self.name().to_owned()
    }

    /// Waits until the listeners of this handle have heard of every invalidation up to this stamp, or of a doubt that makes it
    /// good. `false` if they haven't within the backend's timeout, or if it can't be known. The stamp comes from a user's client,
    /// so it may be made up: it must not become the clock, nor make anybody wait for longer than the timeout. Default: `true` if
    /// listeners hear of every invalidation before it returns (see [`max_staleness`](Self::max_staleness)), otherwise `false`.
    fn catch_up(&self, stamp: Stamp) -> BoxFuture<'_, Result<bool, Error>> {
        let _ = stamp;
        let hears_at_once = self.max_staleness().is_none();
        Box::pin(std::future::ready(Ok(hears_at_once)))
    }

    /// Called when a cache starts to use this backend; `listener` hears of invalidations by others from then on. May be
    /// called for several caches. The backend holds no listener for longer than its cache lives: see
    /// [`ListenerHandle`].
    fn attach(&self, listener: ListenerHandle);

    /// The longest time another process's memory layer may serve what was invalidated, even if messages are lost;
    /// `None` if this backend's listeners hear of every invalidation before it returns.
    fn max_staleness(&self) -> Option<Duration>;

    /// How values for this backend are to be encoded, unless the cache was told otherwise with
    /// [`CacheBuilder::codec`](crate::CacheBuilder::codec). Default: `None`, any codec will do.
    fn codec(&self) -> Option<Arc<dyn Codec>> {
        None
    }

    /// Ends connections and tasks. Calls made afterwards return errors.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A reference to a cache's [`Listener`] that doesn't keep the cache alive.
#[derive(Clone)]
pub struct ListenerHandle {
    listener: std::sync::Weak<dyn Listener>,
}

impl ListenerHandle {
    /// A handle to this listener.
    pub fn new(listener: std::sync::Weak<dyn Listener>) -> Self {
        Self { listener }
    }

    /// The listener, unless its cache has been dropped; then the backend can forget the handle.
    pub fn upgrade(&self) -> Option<Arc<dyn Listener>> {
        self.listener.upgrade()
    }
}

impl fmt::Debug for ListenerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerHandle").field("alive", &(self.listener.strong_count() > 0)).finish()
    }
}

const _: () = {
    const fn dyn_safe(_: &dyn Backend, _: &dyn Lease, _: &dyn Listener, _: &dyn BackendHold) {}
    let _ = dyn_safe;
};
