//! A model of the protocol between processes and Redis: what the [crate's docs](crate) and the heads of
//! [`invalidation_log`](crate::invalidation_log), [`bus`](crate::bus) and the scripts promise, checked under interleavings and faults.
//!
//! # State
//!
//! | part | file | what it is |
//! |---|---|---|
//! | the server | [`server`] | sequence, tag buckets, entries, leases; the scripts transcribed to Rust |
//! | the network | [`world`] | commands, answers and messages on their way |
//! | a process | [`process`] | the **real** [`Bus`](crate::bus::Bus), [`InvalidationLog`](crate::invalidation_log) and [`LeaseWaiters`](crate::lease_waiters::LeaseWaiters) |
//! | its memory layer | [`memory`], [`flights`], [`frame`] | epoch, marks, entries, trust; runs shared by their waiters |
//! | the application | [`application`] | leaves that read data, a page of all leaves, a top that calls the page |
//!
//! # Steps
//!
//! A call ([`calls`]), an invalidation ([`invalidation`]), a write ([`writes`]) and a heartbeat ([`heartbeat`]) are async functions that follow the
//! real ones line by line. They can be interrupted at each command, each answer, at the begin and end of a body, and where
//! they wait. A read sends plain commands one by one; a script is atomic. So are the methods of the memory layer.
//!
//! # Faults
//!
//! Messages are lost, late, duplicated and reordered. The rest is in [`faults`]: any key of Redis is lost, Redis is out of
//! memory or fails over to a replica that lacks writes, other clients overwrite the sequence and the tag buckets or publish
//! made-up numbers, the server's time is set, a process is killed or cut off with its commands lost, executed without an
//! answer or executed late, it stops listening, a body fails, a caller drops its future, time passes while nothing runs.
//!
//! # Checks
//!
//! Every answer is checked for freshness ([`checks`], and [`write_check`] for writes), and every script on a lease for exclusion
//! ([`lease_check`]). No result
//! may replace a newer one. At the end of a schedule ([`settle`]) all calls must have returned, new calls must return the
//! newest data, and what one process has stored must answer the others.
//!
//! # Tests
//!
//! - [`exhaustive`]: all schedules of the smallest configurations, up to a number of delays: 22,000 of them.
//! - [`random`]: long schedules of three processes, for five seconds.
//! - [`timelines`]: each [planted mistake](mistakes) is caught by a schedule written for it.
//! - [`agreement`]: the transcribed scripts do what the real ones do on a real server.
//!
//! A violation is printed with its trace. `LARDER_PROTOCOL_SCHEDULES` and `LARDER_PROTOCOL_DELAYS` make the first two search
//! longer; `what_chance_finds` (ignored) tells which mistakes random schedules find. After a change of the protocol, run
//! thousands of random schedules, in a release build.
//!
//! # Not modelled
//!
//! - Lifetimes of entries, stale answers, background refreshes, priming, bounds, errors that can be shared, panics, `max_wait`.
//! - Several caches or backends in one process, circles of calls that wait for each other.
//! - Collisions of tags, keys of a wrong type, more than one replica, batches of reads, keyspace notifications, `close`.
//! - Threads inside one process: `cache-core/tests/interleavings/` checks these.
//!
//! After a failover that lost invalidations, these may be served until a process that knows of them has noticed, and the
//! checks allow that; see the crate's docs.
//!
//! # Adding to the protocol
//!
//! Change the model first, then the code.
//!
//! - A new script is a [`Command`](server::Command), a method in [`server`] and its real counterpart in [`agreement`].
//! - Marks above a key or tag are further ids in [`server::Command::Invalidate`]; collapsed dependencies replace tags in
//!   [`memory::Lineage`] when a run ends, which also needs the position at which each was last verified.
//! - Two protocol numbers under one prefix are two [`server::Redis`] that share one more key.
//! - Each rule gets a [mistake](mistakes::Mistake) that breaks it, and a [timeline](timelines) that shows why it is there.

mod agreement;
mod application;
mod calls;
mod checks;
mod exhaustive;
mod faults;
mod flights;
mod frame;
mod heartbeat;
mod invalidation;
mod lease_check;
mod leases;
mod memory;
mod mistakes;
mod order;
mod process;
mod random;
mod reads;
mod server;
mod settle;
mod timeline;
mod timelines;
mod trace;
mod world;
mod write_check;
mod writes;

/// How long memory is trusted after a heartbeat. All durations are in ticks of model time.
const MAX_STALENESS: u64 = 9;
const HEARTBEAT: u64 = 3;
const LEASE: u64 = 12;
/// How long a hold lives unless it is renewed.
const HOLD: u64 = 30;
/// A lease is renewed this often.
const RENEWAL: u64 = LEASE / 3;
/// How long a heartbeat waits for messages that are still on their way.
const PATIENCE: u64 = 1;
/// The server's time at model time 0.
const BEGINNING: u64 = 1_000_000;
/// A bucket with more fields is trimmed.
const TAGS_PER_BUCKET: usize = 4;
