//! Episodes, at times that the tests choose.

use std::sync::mpsc::{Receiver, channel};

use super::*;

const AGES: Duration = Duration::from_secs(3600);

fn monitor() -> (Monitor, Receiver<String>) {
    let (sender, reports) = channel();
    let begins = sender.clone();
    let on_error = move |trouble: &Trouble| {
        let _ = begins.send(format!("{:?} begins", trouble.kind));
    };
    let on_recovery = move |recovery: &Recovery| {
        let _ = sender.send(format!("{:?} ends after {}", recovery.kind, recovery.faults));
    };
    (Monitor::new(Hooks { on_error: Some(Arc::new(on_error)), on_recovery: Some(Arc::new(on_recovery)) }), reports)
}

/// These, in this order, and nothing else.
#[track_caller]
fn told(reports: &Receiver<String>, expected: &[&str]) {
    let told: Vec<_> = expected.iter().map_while(|_| reports.recv_timeout(Duration::from_secs(20)).ok()).collect();
    assert_eq!(told, expected);
    assert!(reports.try_recv().is_err());
}

fn ongoing(monitor: &Monitor) -> Vec<TroubleKind> {
    monitor.snapshot(true, true, true).ongoing
}

fn name(name: &str) -> Arc<str> {
    name.into()
}

fn late(server: &str) -> Fault {
    Fault::TimedOut(Some(name(server)))
}

#[test]
fn once_per_episode() {
    let (monitor, reports) = monitor();
    for _ in 0..3 {
        monitor.fault(Operation::Read, &Fault::TimedOut(None));
        monitor.fault(Operation::Store, &Fault::refused("OOM x"));
    }
    monitor.success(Operation::Read); // ends the timeouts only
    monitor.fault(Operation::Store, &Fault::refused("OOM x"));
    monitor.fault(Operation::Read, &Fault::TimedOut(None));
    told(&reports, &["Timeout begins", "OutOfMemory begins", "Timeout ends after 3", "Timeout begins"]);
    let health = monitor.snapshot(true, true, false);
    assert_eq!(health.count(TroubleKind::OutOfMemory), 4);
    assert!(health.is_ongoing(TroubleKind::OutOfMemory) && !health.is_ongoing(TroubleKind::Denied));
    let shown = "Health { connected: true, listening: true, keyspace_notifications: false, reconnects: 0, \
                 remembered_invalidations: 0, troubles: {Timeout: 4, OutOfMemory: 4}, ongoing: [Timeout, OutOfMemory] }";
    assert_eq!(format!("{health:?}"), shown);
}

#[test]
fn each_of_several_episodes_ends() {
    let (monitor, reports) = monitor();
    monitor.fault(Operation::Read, &late("a"));
    monitor.fault(Operation::Read, &Fault::Unreachable(Some(name("a")), "x".into()));
    monitor.fault(Operation::Lease, &Fault::refused("NOPERM x"));
    told(&reports, &["Timeout begins", "Unreachable begins", "Denied begins"]);
    monitor.answered("a");
    told(&reports, &["Unreachable ends after 1", "Timeout ends after 1"]);
    assert_eq!(ongoing(&monitor), [TroubleKind::Denied]);
    let later = Instant::now() + SETTLED;
    monitor.succeeded(Operation::Lease, later);
    told(&reports, &["Denied ends after 1"]);
    assert_eq!(ongoing(&monitor), []);
}

#[test]
fn one_that_goes_on_when_another_has_ended_ends_too() {
    let (monitor, reports) = monitor();
    monitor.fault(Operation::Read, &late("a"));
    monitor.fault(Operation::Read, &Fault::Unreachable(Some(name("b")), "x".into()));
    monitor.answered("a");
    told(&reports, &["Timeout begins", "Unreachable begins", "Timeout ends after 1"]);
    monitor.answered("b");
    told(&reports, &["Unreachable ends after 1"]);
    assert_eq!(ongoing(&monitor), []);
}

/// One that answers says nothing about another.
#[test]
fn servers_are_told_apart() {
    let (monitor, reports) = monitor();
    monitor.fault(Operation::Read, &late("a"));
    for _ in 0..10 {
        monitor.answered("b");
        monitor.success(Operation::Read);
        monitor.fault(Operation::Read, &late("a"));
    }
    let refused = Fault::refused("LOADING x");
    monitor.fault_at(Source::Server(name("a")), Operation::Connect, &refused);
    monitor.answered("a");
    told(&reports, &["Timeout begins", "NotReady begins", "Timeout ends after 11"]);
    monitor.success(Operation::Connect);
    assert_eq!(ongoing(&monitor), [TroubleKind::NotReady], "another one was connected");
    monitor.over(&Source::Server(name("a")));
    told(&reports, &["NotReady ends after 1"]);
}

#[test]
fn listening_is_told_apart_from_commands() {
    let (monitor, reports) = monitor();
    let broken = Fault::Broken(Some(name("a")), "x".into());
    monitor.fault_at(Source::Listening(name("a")), Operation::Listen, &broken);
    monitor.answered("a");
    monitor.success(Operation::Read);
    assert_eq!(ongoing(&monitor), [TroubleKind::Unreachable]);
    monitor.over(&Source::Listening(name("a")));
    told(&reports, &["Unreachable begins", "Unreachable ends after 1"]);
}

/// It may succeed at one server while it fails at another.
#[test]
fn an_operation_that_fails_now_and_then_is_one_episode() {
    let (monitor, reports) = monitor();
    let full = Fault::refused("OOM x");
    for _ in 0..10 {
        monitor.fault(Operation::Store, &full);
        monitor.success(Operation::Store);
    }
    told(&reports, &["OutOfMemory begins"]);
    monitor.succeeded(Operation::Read, Instant::now() + SETTLED);
    told(&reports, &["OutOfMemory ends after 10"]);
    monitor.fault(Operation::Store, &full);
    monitor.succeeded(Operation::Read, Instant::now() + SETTLED);
    assert_eq!(ongoing(&monitor), [TroubleKind::OutOfMemory], "reading needs no memory");
}

#[test]
fn what_nobody_tries_again_is_over_some_time() {
    let (monitor, reports) = monitor();
    monitor.fault(Operation::Renew, &Fault::refused("NOPERM x"));
    let now = Instant::now();
    monitor.succeeded(Operation::Heartbeat, now + QUIET / 2);
    monitor.succeeded(Operation::Read, now + AGES);
    told(&reports, &["Denied begins"]);
    monitor.succeeded(Operation::Heartbeat, now + QUIET);
    told(&reports, &["Denied ends after 1"]);
}

/// Nobody has to meet that again: it is looked at.
#[test]
fn what_is_known_to_go_on_is_not_over_for_being_quiet() {
    let (monitor, _reports) = monitor();
    let (during, kind) = (Operation::Notifications, TroubleKind::NotificationsOff);
    monitor.trouble_at(Source::Notifications(name("a")), during, kind, String::new());
    monitor.succeeded(Operation::Heartbeat, Instant::now() + AGES);
    assert_eq!(ongoing(&monitor), [TroubleKind::NotificationsOff]);
}

#[test]
fn a_server_that_is_gone_is_no_trouble() {
    let (monitor, reports) = monitor();
    let gone = Fault::Unreachable(Some(name("a")), "x".into());
    monitor.fault_at(Source::Server(name("a")), Operation::Connect, &gone);
    monitor.fault_at(Source::Listening(name("a")), Operation::Listen, &gone);
    monitor.trouble_at(
        Source::Notifications(name("a")),
        Operation::Notifications,
        TroubleKind::NotificationsOff,
        String::new(),
    );
    monitor.servers(&[name("a"), name("b")]);
    assert_eq!(ongoing(&monitor).len(), 2);
    monitor.servers(&[name("b")]);
    assert_eq!(ongoing(&monitor), []);
    told(
        &reports,
        &["Unreachable begins", "NotificationsOff begins", "Unreachable ends after 2", "NotificationsOff ends after 1"],
    );
}

#[test]
fn the_next_good_heartbeat_ends_missed_messages() {
    let (monitor, reports) = monitor();
    monitor.trouble(Operation::Heartbeat, TroubleKind::MissedMessages, String::new());
    monitor.trouble(Operation::Heartbeat, TroubleKind::ClockWentBack, String::new());
    monitor.succeeded(Operation::Heartbeat, Instant::now() + SETTLED);
    told(
        &reports,
        &["MissedMessages begins", "ClockWentBack begins", "MissedMessages ends after 1", "ClockWentBack ends after 1"],
    );
}
