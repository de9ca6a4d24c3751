//! The end of a schedule. All faults end, and tasks run until nothing is left to do. Then every call must have returned, new
//! calls must return the newest data, and an entry stored by one process must answer the others.

use std::rc::Rc;

use super::application::Key;
use super::calls;
use super::checks::Kind;
use super::heartbeat::heartbeat_once;
use super::process::Process;
use super::world::{TaskId, World};
use super::{HEARTBEAT, LEASE, MAX_STALENESS};

pub(super) fn settle(world: &Rc<World>, keys: &[Key]) {
    for p in world.processes.borrow().iter() {
        p.cut.set(false);
        p.fails.set(false);
        if p.listens_to.get() != Some(world.server.get()) {
            p.listen(world);
        }
    }
    world.redis.borrow_mut().out_of_memory = false;
    let waiting = world.unfinished().into_iter().map(|(task, _)| task).collect::<Vec<_>>();
    // Each task may have to wait for the whole life of a lease that nobody holds any more.
    run_until_done(world, &waiting, (waiting.len() as u64 + 1) * 2 * LEASE);
    world.pass_time(MAX_STALENESS);
    heartbeat_all(world);
    for key in keys.iter().copied() {
        call_in_all(world, key);
        // Memory may hold results of runs without a lease. They are fresh, but what is made of them may be dead in Redis.
        world.processes.borrow().iter().for_each(|p| p.memory.evict());
        world.checks.borrow_mut().runs.clear();
        call_in_all(world, key);
        let mut checks = world.checks.borrow_mut();
        if checks.runs.get(&key).is_some_and(|runs| *runs > 1) {
            checks.violated(Kind::NotCached, || format!("{key:?} ran in more than one process"));
        }
    }
    for p in world.processes.borrow().iter() {
        let lost = p
            .bus
            .last_witnessed()
            .filter(|(number, tag)| world.redis.borrow().last(*tag).is_some_and(|last| last < *number));
        if let Some((number, tag)) = lost {
            let what = || format!("process {} knows of {number}, {tag:?}, and nobody else does", p.place);
            world.checks.borrow_mut().violated(Kind::LossUnnoticed, what);
        }
    }
}

fn call_in_all(world: &Rc<World>, key: Key) {
    for p in world.processes.borrow().clone() {
        let call = world.spawn(Some(&p), calls::checked(Rc::clone(world), Rc::clone(&p), key));
        run_until_done(world, &[call], 2 * LEASE);
    }
}

/// Two heartbeats of each process: the first may find that messages were lost.
pub(super) fn heartbeat_all(world: &Rc<World>) {
    for p in world.processes.borrow().clone() {
        for _ in 0..2 {
            let (world_of, by) = (Rc::clone(world), Rc::clone(&p));
            let once = world.spawn(Some(&p), async move { heartbeat_once(&world_of, &by).await });
            run_until_done(world, &[once], HEARTBEAT);
            deliver_all(&p);
        }
    }
}

pub(super) fn deliver_all(p: &Process) {
    loop {
        let Some(message) = p.inbox.borrow_mut().pop_front() else { return };
        p.hear(&message);
    }
}

/// Runs all tasks until these have ended.
pub(super) fn run_until_done(world: &Rc<World>, tasks: &[TaskId], patience: u64) {
    let deadline = world.now() + patience;
    while tasks.iter().any(|task| world.next(*task).is_some()) {
        world.processes.borrow().iter().for_each(|p| deliver_all(p));
        let ready = world.ready();
        if ready.is_empty() {
            let next = world.next_time().unwrap_or(u64::MAX);
            if next > deadline {
                let waiting = world.unfinished();
                let what = || format!("{waiting:?} wait forever");
                world.checks.borrow_mut().violated(Kind::Stuck, what);
                return;
            }
            world.pass_time(next - world.now());
        }
        ready.into_iter().for_each(|task| world.step(task));
    }
}
