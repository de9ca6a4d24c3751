//! The front: what this thread asked the store for lately, so that most hits share nothing with other threads.
//!
//! A small set-associative table per thread, for all functions together. It is no layer of its own: a slot answers only
//! for an entry the store was asked for, and only while that may be used (`CachedEntry::usable`: tags, lifetimes, trust).
//! Five things hold:
//!
//! 1. **Nothing newer is hidden.** Each insertion into a store moves one of the generations, chosen by the key's hash,
//!    *after* the entry is in; so does taking a valid entry away. A slot remembers the generation from *before* the store
//!    was asked. So once an insertion has returned, every slot of that key asks the store again.
//! 2. **Nothing dead is served.** A slot remembers an epoch at which its entry was found live, read before that was found
//!    out: while the epoch is the same the entry is live (`freshness`, invariant 3), and else it is looked at again. It
//!    remembers until when the entry could be used as things stood then: its lifetime, and what the backends vouched
//!    for. Both only become more, so what was right then is right until that moment.
//! 3. **No mix-ups.** A slot's `whose` and `words` are a short key and its function, without loss. Of a long key they are
//!    a hash, and the entry's own key decides.
//! 4. **Bounded.** A thread's table has at most [`MOST_SLOTS`](table) slots of 113 bytes, all tables together
//!    [`ALL_SLOTS`](table) beyond the first few of each thread. It grows when its sets are full. What a store has evicted may
//!    stay alive here until the thread has made some thousand further calls, or as long as the thread makes none; what a
//!    thread that ended held, until any thread stores something or looks into a store. Entries that are heavy for their
//!    store are not kept here.
//! 5. **The store still learns what is popular.** After [`SAMPLE`](table) hits, one asks it. So what it evicts because too few asked
//!    is computed again once in so many calls, at most.
//!
//! A hit writes to this thread's memory only, and takes no lock. Cloning a value or dropping an entry is user code, which
//! may come back here: hence the shared borrow during a hit, and no borrow while something is dropped. It may also panic:
//! then the hit isn't counted, and nothing else was changed.
//!
//! What a hit costs is decided by how many cache lines it reads and how often the CPU guesses wrong, so: it reads a mark
//! per slot, all marks of a set at once and those of all sets side by side, then one slot, whose line has all that the
//! usual hit needs, a value that is a word ([`word`]) included.

#[cfg(feature = "memory")]
pub(crate) mod generations;
#[cfg(feature = "memory")]
pub(crate) mod set;
#[cfg(feature = "memory")]
pub(crate) mod slot;
#[cfg(feature = "memory")]
pub(crate) mod table;
pub(crate) mod thread;
#[cfg(feature = "memory")]
pub(crate) mod word;
