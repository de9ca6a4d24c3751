//! A connection that listens: to invalidations, and to the ends of leases. It is replaced when it ends, and whoever
//! hears is told about both.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::Command;
use super::client::{self, Connection, Ended, Messages};
use super::link::{Backoff, Link, first_end};
use super::notifications::{self, Flags};
use super::target::Target;
use crate::error::Fault;
use crate::health::{Monitor, Operation, Source, TroubleKind};
use crate::refusal::Refusal;

/// What is told to whoever hears. Called from the backend's runtime thread.
pub(crate) trait Hear: Send + Sync {
    /// From now on messages are heard.
    fn begins(&self);
    /// From now on they aren't.
    fn ends(&self);
    /// Some were lost.
    fn missed(&self);
    /// A message, by the server of this [name](Target::name).
    fn message(&self, server: &str, channel: &str, payload: &[u8]);
    /// Something happened to a key that matches the pattern.
    fn event(&self, key: &[u8], what: &str);
    /// Whether anybody waits for something to be heard.
    fn awaited(&self) -> watch::Receiver<bool>;
    /// What should have been heard may not have been, or won't be: who waits has to look for himself.
    fn look_again(&self);
}

/// What to listen to.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    pub(crate) channels: Vec<String>,
    /// Keyspace notifications, if they may be used.
    pub(crate) pattern: Option<String>,
    /// How often it is asked whether anybody is there.
    pub(crate) pause: Duration,
    /// What the user must be permitted for the channels, in the words of an ACL.
    pub(crate) permission: Arc<str>,
}

/// How often it is asked at least while somebody waits: so much may a connection that has gone silent cost him.
const WATCHFUL: Duration = Duration::from_millis(400);

/// So often in a row notifications must be found switched on again before they are relied on: whoever switched them off may
/// do so over and over.
const FOUND: u32 = 2;

/// See the head of this file.
pub(crate) struct Ear {
    target: Target,
    /// For what can't be asked on a connection that listens.
    link: Arc<Link>,
    monitor: Arc<Monitor>,
    subscriptions: Subscriptions,
    hear: Arc<dyn Hear>,
    kick: Notify,
    /// We hear keyspace notifications, if the server sends them.
    subscribed: AtomicBool,
    /// And it does.
    keyspace: AtomicBool,
    listening: AtomicBool,
    /// The last question whether anybody is there was answered in time.
    answered: AtomicBool,
    /// How the first attempt to listen ended.
    attempted: watch::Sender<Option<Result<(), Fault>>>,
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("target", self.target.name()).finish_non_exhaustive()
    }
}

impl Ear {
    pub(crate) fn new(
        link: Arc<Link>,
        subscriptions: Subscriptions,
        hear: Arc<dyn Hear>,
        monitor: Arc<Monitor>,
    ) -> Self {
        let target = link.target.clone();
        let (subscribed, keyspace, listening, answered) = Default::default();
        let (kick, attempted) = (Notify::new(), watch::Sender::new(None));
        Self { target, link, monitor, subscriptions, hear, kick, subscribed, keyspace, listening, answered, attempted }
    }

    /// Whether this server sends keyspace notifications about leases, and we hear them.
    pub(crate) fn has_keyspace_events(&self) -> bool {
        self.keyspace.load(Ordering::Acquire)
    }

    /// Whether messages can be expected as soon as they are sent.
    pub(crate) fn is_prompt(&self) -> bool {
        self.listening.load(Ordering::Acquire) && self.answered.load(Ordering::Acquire)
    }

    /// How the first attempt to listen ended, once it has.
    pub(crate) async fn first_attempt(&self) -> Result<(), Fault> {
        let mut attempted = self.attempted.subscribe();
        let attempted = attempted.wait_for(Option::is_some).await.map_err(|_| Fault::Closed)?;
        attempted.clone().unwrap_or(Err(Fault::Closed))
    }

    fn attempted(&self, how: Result<(), Fault>) {
        self.attempted.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(how);
            is_first
        });
    }

    /// Makes it reconnect.
    pub(crate) fn kick(&self) {
        self.kick.notify_one();
    }

    /// Listens for ever. Dropping the future ends the connection.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let monitor = &self.monitor;
        let listening = Source::Listening(Arc::clone(self.target.name()));
        let mut backoff = Backoff::default();
        loop {
            let opened = timeout(self.target.opening_takes(), self.open()).await;
            let fault = match opened.unwrap_or_else(|_| Err(Fault::TimedOut(None).at(self.target.name()))) {
                Ok((connection, ended, messages)) => {
                    backoff = Backoff::default();
                    monitor.over(&listening);
                    if self.has_keyspace_events() {
                        monitor.over(&self.notifications());
                    }
                    let _listening = Listening::begin(&self);
                    self.attempted(Ok(()));
                    Fault::broken(self.listen(&connection, ended, messages).await).at(self.target.name())
                }
                Err(fault) => fault,
            };
            self.attempted(Err(fault.clone()));
            monitor.fault_at(listening.clone(), Operation::Listen, &fault);
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn open(&self) -> Result<(Connection, Ended, Messages), Fault> {
        let patience = self.target.patience();
        let in_time = |result: Result<Result<(), Fault>, _>| {
            result.unwrap_or_else(|_| Err(Fault::TimedOut(None).at(self.target.name())))
        };
        let (connection, ended, messages) = Connection::open(&self.target).await?;
        // Before subscribing: afterwards RESP2 allows nothing else.
        let mut flags = None;
        if self.subscriptions.pattern.is_some() {
            flags = notifications::switch_on(&connection, patience).await;
        }
        let channels = self.subscriptions.channels.clone();
        in_time(timeout(patience, connection.subscribe(channels, false)).await).map_err(|fault| match fault {
            Fault::Refused(Refusal::Denied, text) => {
                Fault::MayNotListen(Arc::clone(&self.subscriptions.permission), text)
            }
            fault => fault,
        })?;
        if let (Some(pattern), Some(flags)) = (self.subscriptions.pattern.clone(), flags) {
            // Without permission for it, messages will do.
            let subscribed = in_time(timeout(patience, connection.subscribe(vec![pattern], true)).await).is_ok();
            self.subscribed.store(subscribed, Ordering::Release);
            self.keyspace.store(subscribed && flags.suffice(), Ordering::Release);
        }
        Ok((connection, ended, messages))
    }

    /// Sees again and again, for as long as the connection lives, that the server still sends notifications. Any of its
    /// clients may have switched them off.
    async fn see_to_notifications(&self) {
        if !self.subscribed.load(Ordering::Acquire) {
            return std::future::pending().await;
        }
        let mut awaited = self.hear.awaited();
        let (mut backoff, mut switch_on_at) = (Backoff::default(), Instant::now());
        // If they weren't on after we had asked for them, we may not.
        let mut may_switch_on = self.has_keyspace_events();
        let mut found = if may_switch_on { FOUND } else { 0 };
        loop {
            self.rest(&mut awaited).await;
            let asked = self.link.call(&[notifications::question()], Instant::now() + self.target.timeout()).await;
            let flags = match asked.into_iter().next() {
                Some(Ok(reply)) => Flags::of(reply),
                // Says nothing about the setting.
                Some(Err(fault)) if fault.is_of_connection() => continue,
                _ => None,
            };
            if flags.as_ref().is_some_and(Flags::suffice) {
                found += 1;
                if found >= FOUND {
                    self.keyspace.store(true, Ordering::Release);
                    self.monitor.over(&self.notifications());
                    backoff = Backoff::default();
                }
                continue;
            }
            found = 0;
            self.lose_notifications();
            if flags.is_some() && may_switch_on && switch_on_at <= Instant::now() {
                switch_on_at = Instant::now() + backoff.next();
                // A transaction needs a connection of its own.
                if let Ok((connection, ..)) = Connection::open(&self.target).await {
                    let switched_on = notifications::switch_on(&connection, self.target.patience()).await;
                    may_switch_on = switched_on.is_none_or(|flags| flags.suffice());
                }
            }
        }
    }

    fn notifications(&self) -> Source {
        Source::Notifications(Arc::clone(self.target.name()))
    }

    fn lose_notifications(&self) {
        if self.keyspace.swap(false, Ordering::AcqRel) {
            let message = "another client has changed `notify-keyspace-events` or our permissions, so the server sends no \
                           keyspace notifications; waiters are woken by messages instead";
            let (during, kind) = (Operation::Notifications, TroubleKind::NotificationsOff);
            self.monitor.trouble_at(self.notifications(), during, kind, message.to_owned());
            // Who was to be woken by one that didn't come, and isn't marked for a message.
            self.hear.look_again();
        }
    }

    /// Until there is no answer: a connection that only listens isn't told that it leads nowhere any more. While an answer
    /// is late, who waits for a message looks for himself.
    async fn silence(&self, connection: &Connection) {
        let ask = [Command::new("PING", Vec::new())];
        let mut awaited = self.hear.awaited();
        loop {
            self.rest(&mut awaited).await;
            let mut answer = pin!(connection.call(&ask));
            if timeout(self.target.timeout(), &mut answer).await.is_err() {
                self.answered.store(false, Ordering::Release);
                self.hear.look_again();
                if timeout(self.target.patience(), answer).await.is_err() {
                    return;
                }
                self.answered.store(true, Ordering::Release);
                // From now on messages are enough.
                self.hear.look_again();
            }
        }
    }

    /// Until it is to be asked again.
    async fn rest(&self, awaited: &mut watch::Receiver<bool>) {
        let pause = self.subscriptions.pause;
        let waited_for = async {
            let _ = awaited.wait_for(|awaited| *awaited).await;
            tokio::time::sleep(WATCHFUL).await;
        };
        let _ = timeout(pause, waited_for).await;
    }

    /// Until the connection ends; says why.
    async fn listen(&self, connection: &Connection, ended: Ended, mut from: Messages) -> String {
        let (mut ended, server) = ([ended], self.target.name());
        let (mut silent, mut notified) = (pin!(self.silence(connection)), pin!(self.see_to_notifications()));
        loop {
            tokio::select! {
                () = &mut notified => {}
                why = first_end(&mut ended) => return why,
                () = self.kick.notified() => return "messages did not arrive".to_owned(),
                () = &mut silent => return "it had gone silent".to_owned(),
                message = from.messages.recv() => match message {
                    Ok(message) => self.hear.message(server, &message.channel, &client::payload(&message)),
                    Err(RecvError::Lagged(_)) => self.hear.missed(),
                    Err(RecvError::Closed) => return "it was closed".to_owned(),
                },
                event = from.events.recv() => match event {
                    Ok(event) => self.hear.event(event.key.as_bytes(), &event.operation),
                    Err(RecvError::Lagged(_)) => self.hear.missed(),
                    Err(RecvError::Closed) => return "it was closed".to_owned(),
                },
            }
        }
    }
}

/// From the moment messages are heard to the moment they aren't, also if the task is aborted.
struct Listening<'e>(&'e Ear);

impl<'e> Listening<'e> {
    fn begin(ear: &'e Ear) -> Self {
        ear.answered.store(true, Ordering::Release);
        ear.listening.store(true, Ordering::Release);
        ear.hear.begins();
        Self(ear)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listening.store(false, Ordering::Release);
        self.0.keyspace.store(false, Ordering::Release);
        self.0.subscribed.store(false, Ordering::Release);
        self.0.hear.ends();
    }
}
