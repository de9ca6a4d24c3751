//! The heartbeat of a process. Models `heartbeat.rs` of this crate, around the real [`Bus::compare`](crate::bus::Bus::compare).

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::mistakes::Mistake;
use super::order::read_sequence;
use super::process::Process;
use super::server::Command;
use super::world::{Wait, World, poll_once};
use super::{HEARTBEAT, MAX_STALENESS, PATIENCE};
use crate::bus::Compared;

pub(super) async fn heartbeat(world: Rc<World>, p: Rc<Process>) {
    loop {
        heartbeat_once(&world, &p).await;
        let (by, mut due) = (Rc::clone(&p), false);
        let is_due = Wait::when(move |_| {
            due = due || by.bus.due.notified().now_or_never().is_some();
            due
        });
        world.wait("heartbeat", is_due.or_until(world.now() + HEARTBEAT)).await;
    }
}

/// One heartbeat.
pub(super) async fn heartbeat_once(world: &Rc<World>, p: &Rc<Process>) {
    let mut since = world.now();
    let Ok(sequence) = read_sequence(world, p).await else {
        p.bus.waiters.wake_all();
        return;
    };
    if world.has(Mistake::TrustFromTheAnswer) {
        since = world.now();
    }
    match compare(world, p, sequence, since).await {
        Compared::Trusted => introduce(world, p).await,
        // Messages were lost, so the subscription is renewed.
        Compared::Missed => p.listen(world),
        Compared::Deaf => {}
    }
}

/// Compares the sequence, which was read after `since`, with what was heard. Waits for messages that are still on their way.
async fn compare(world: &World, p: &Rc<Process>, sequence: u64, since: u64) -> Compared {
    let (since, trust) = (world.instant(since), Duration::from_secs(MAX_STALENESS));
    if let Some(compared) = poll_once(p.bus.compare(sequence, since, Duration::MAX, trust)) {
        return compared;
    }
    let by = Rc::clone(p);
    let all_is_heard = Wait::when(move |_| by.inbox.borrow().is_empty());
    world.wait("compare", all_is_heard.or_until(world.now() + PATIENCE)).await;
    // Equivalent to a comparison that begins now and has no patience left.
    poll_once(p.bus.compare(sequence, since, Duration::ZERO, trust)).unwrap_or(Compared::Deaf)
}

/// Publishes an introduction through the connection, unless it has come back already.
async fn introduce(world: &Rc<World>, p: &Rc<Process>) {
    let (connection, server) = p.connection(world);
    if p.bus.strangers(&[connection]).is_empty() {
        return;
    }
    let message = p.bus.introduction(connection, &format!("server{server}"));
    if world.has(Mistake::ConnectionsIntroduceThemselves) {
        let message = super::process::Message { server, what: super::server::Published::Bus(message.to_vec()) };
        p.hear(&message);
        return;
    }
    // If it is lost, entries are judged by the buckets.
    let _ = world.send(p, vec![Command::Publish(message.to_vec())]).await;
}
