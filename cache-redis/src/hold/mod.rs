//! Holds: invalidations that are promised in advance. A write places a hold on its tags before it begins and ends it when it is
//! done. Whatever becomes of the writer, the tags are invalidated when the hold ends.
//!
//! # In Redis
//!
//! On the sequence's shard there is a sorted set with the end of each hold by that server's time (key `holds`), and a hash with its
//! tags (key `held`). The rules:
//!
//! 1. Each script that uses the sequence first *settles*: what has ended is invalidated, as an ordinary numbered invalidation under
//!    nobody's name. A read gets the earliest end before it reads the sequence, and has a script settle if that is over. So does
//!    every heartbeat, which bounds the delay in others' memory.
//! 2. The set has a sentinel. Without it the set was lost, perhaps with holds in it: it comes back with a hold on everything, and
//!    everything is invalidated in the same step, because the lost holds may be over already. A sequence that went back counts as a
//!    lost set; one that is only missing doesn't.
//! 3. A hold whose tags are lost is one on everything.
//! 4. An end that is further ahead than the longest life of a hold is cut to that: the server's time was set back.
//! 5. Placing and renewing a hold is a numbered invalidation too, of a tag that nobody carries. So what notices a failover that
//!    lost invalidations notices one that lost holds. A renewal places a lost hold again.
//! 6. A write that is done ends its hold: invalidation and removal in one step. After anything else the hold stays until its end,
//!    because the commit may be on its way.
//!
//! | file | what it is about |
//! |---|---|
//! | `guard` | what the engine holds |
//! | `keeper` | places the hold and renews it |

mod guard;
mod keeper;

pub(crate) use self::guard::RedisHold;
