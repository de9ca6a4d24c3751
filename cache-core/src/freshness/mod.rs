//! Validity without an index: tags as interned atomic stamps, and the epoch that lets a hit skip them.
//!
//! # Invariants
//!
//! 1. An invalidation first marks its tags with a stamp, then moves the epoch. A run takes its stamp from the epoch.
//!    So a run that could have read data from before the invalidation holds an older stamp than the mark.
//! 2. An entry is live iff no tag's stamp is newer than the one the entry holds for that tag.
//! 3. An entry that was found live *after* the epoch was read as `e` stays live while the epoch is `e`: whoever marks a
//!    tag later moves the epoch after. (The other way round an entry could be found live for ever.)
//! 4. Of one tag id at most one [`TagCell`](tags_in_use::TagCell) is in use. A cell nobody holds is freed; it comes back with the stamp
//!    `floor`. So a marked cell is kept for as long as a run is under way that began before the mark: that run may add
//!    the tag at its end and must find it marked.
//! 5. Tags are in groups, and of each group there is a number that is greater than any epoch at which an entry was found
//!    live that the last invalidation in the group has made worthless: the invalidation reads the epoch for it *after* it has
//!    marked its tags, writes it, and reads the epoch again: if that has moved, it begins anew. So whoever reads an epoch of at
//!    least that number sees the number, and what was found live at `e` is still live if the numbers of all its tags' groups
//!    are at most `e`. (With a number from before the marks, or from before somebody else moved the epoch, an entry could be
//!    found live in between at that very epoch, and then for ever.)
//!
//! # Why a run with a stamp not older than the mark reads new data
//!
//! Functions may read their data through atomics that order nothing, so that the order has to come from here. An
//! invalidation writes to the epoch twice: it adds 0 to take its mark, one more than the `v` found there, and it adds 1
//! after the tags are marked. Both are read-modify-write operations that release, and nothing else is ever written to an
//! epoch. So in the epoch's modification order the first of them heads a release sequence that goes on for ever. Whoever
//! reads a number greater than `v`, and acquires, reads from that sequence: what the invalidating thread had written before
//! happens before what the reader reads next. So a run either has a stamp of at most `v`, and the mark kills it, or it reads
//! the new data.
//!
//! To *load* the epoch for the mark is not enough. Two invalidations at the same time may load the same `v`, and the first
//! moves the epoch to `v + 1`. A run that takes this for its stamp has synchronized with the first one only: it may read
//! the data of the second from before its write, and the second one's mark, `v + 1` as well, is not newer than its stamp.
//!
//! `tests/interleavings/` checks the invariants for all schedules of a few threads, `tests/memory_order.rs` for all
//! values that the memory model allows a load to see.

pub(crate) mod dependencies;
pub(crate) mod epoch;
pub(crate) mod function_tags;
pub(crate) mod invalidation;
mod tag_index;
pub(crate) mod tags_in_use;
pub(crate) mod watch;
