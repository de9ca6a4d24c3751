//! The connection that receives messages: invalidations, and the ends of leases. When it ends, it is replaced. The
//! [`MessageHandler`] is told about both, because messages in between are lost.
//!
//! While it listens, two questions are repeated: whether the server still answers (a dead connection that only listens
//! isn't noticed otherwise), and whether the server still sends keyspace notifications (any client may switch them off).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::backoff::Backoff;
use super::client::{self, Connection, Ended, Messages, first_end};
use super::command::Command;
use super::keyspace_notifications::{self as notifications, Flags};
use super::pool::Pool;
use super::target::Target;
use crate::error::{Fault, ServerError};
use crate::health::{Monitor, Operation, Source, TroubleKind};

/// What the subscriber calls, on the backend's runtime thread.
pub(crate) trait MessageHandler: Send + Sync {
    /// From now on messages are received.
    fn begins(&self);
    /// From now on no messages are received.
    fn ends(&self);
    /// Some messages were lost.
    fn missed(&self);
    /// A message came from the server of this [name](Target::name).
    fn message(&self, server: &str, channel: &str, payload: &[u8]);
    /// A keyspace notification came: `what` happened to this key.
    fn event(&self, key: &[u8], what: &str);
    /// Whether anyone waits for a message. Then a silent connection has to be noticed sooner.
    fn awaited(&self) -> watch::Receiver<bool>;
    /// A message may have been missed, or won't come: waiters have to read the lease themselves.
    fn look_again(&self);
}

/// What to subscribe to.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    pub(crate) channels: Vec<String>,
    /// The pattern of keyspace notifications, if they may be used.
    pub(crate) pattern: Option<String>,
    /// The pause between questions to the server.
    pub(crate) pause: Duration,
    /// What the user must be permitted for the channels, in the client_messages of an ACL.
    pub(crate) permission: Arc<str>,
}

/// The longest pause between questions while someone waits: a waiter loses at most this much by a dead connection.
const WATCHFUL: Duration = Duration::from_millis(400);

/// How often in a row notifications must be found switched on before they are relied on again, because the client that
/// switched them off may do so repeatedly.
const FOUND: u32 = 2;

/// See the head of this file.
pub(crate) struct Subscriber {
    target: Target,
    /// For commands that RESP2 doesn't allow on a connection that listens.
    pool: Arc<Pool>,
    monitor: Arc<Monitor>,
    subscriptions: Subscriptions,
    handler: Arc<dyn MessageHandler>,
    kick: Notify,
    /// Subscribed to keyspace notifications. The server may not send them.
    subscribed: AtomicBool,
    /// Subscribed, and the server sends them.
    keyspace: AtomicBool,
    listening: AtomicBool,
    /// The last PING was answered in time.
    answered: AtomicBool,
    /// How the first attempt to listen ended.
    attempted: watch::Sender<Option<Result<(), Fault>>>,
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber").field("target", self.target.name()).finish_non_exhaustive()
    }
}

impl Subscriber {
    pub(crate) fn new(
        pool: Arc<Pool>,
        subscriptions: Subscriptions,
        handler: Arc<dyn MessageHandler>,
        monitor: Arc<Monitor>,
    ) -> Self {
        let target = pool.target.clone();
        let (subscribed, keyspace, listening, answered) = Default::default();
        let (kick, attempted) = (Notify::new(), watch::Sender::new(None));
        Self {
            target,
            pool,
            monitor,
            subscriptions,
            handler,
            kick,
            subscribed,
            keyspace,
            listening,
            answered,
            attempted,
        }
    }

    /// Whether this server sends keyspace notifications about leases, and they are received.
    pub(crate) fn has_keyspace_events(&self) -> bool {
        self.keyspace.load(Ordering::Acquire)
    }

    /// Whether messages are received as soon as they are sent.
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

    /// Listens forever. Dropping the future ends the connection.
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
        // Before subscribing, because after that RESP2 allows nothing else.
        let mut flags = None;
        if self.subscriptions.pattern.is_some() {
            flags = notifications::switch_on(&connection, patience).await;
        }
        let channels = self.subscriptions.channels.clone();
        in_time(timeout(patience, connection.subscribe(channels, false)).await).map_err(|fault| match fault {
            Fault::Refused(ServerError::Denied, text) => {
                Fault::MayNotListen(Arc::clone(&self.subscriptions.permission), text)
            }
            fault => fault,
        })?;
        if let (Some(pattern), Some(flags)) = (self.subscriptions.pattern.clone(), flags) {
            // Without permission, waiters are woken by messages.
            let subscribed = in_time(timeout(patience, connection.subscribe(vec![pattern], true)).await).is_ok();
            self.subscribed.store(subscribed, Ordering::Release);
            self.keyspace.store(subscribed && flags.suffice(), Ordering::Release);
        }
        Ok((connection, ended, messages))
    }

    /// Checks regularly, while the connection lives, that the server still sends notifications, and switches them on again.
    async fn see_to_notifications(&self) {
        if !self.subscribed.load(Ordering::Acquire) {
            return std::future::pending().await;
        }
        let mut awaited = self.handler.awaited();
        let (mut backoff, mut switch_on_at) = (Backoff::default(), Instant::now());
        // If they are still off after `open` tried to switch them on, there is no permission for that.
        let mut may_switch_on = self.has_keyspace_events();
        let mut found = if may_switch_on { FOUND } else { 0 };
        loop {
            self.rest(&mut awaited).await;
            let asked = self.pool.call(&[notifications::question()], Instant::now() + self.target.timeout()).await;
            let flags = match asked.into_iter().next() {
                Some(Ok(reply)) => Flags::of(reply),
                // This says nothing about the setting.
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
            // Some waiters rely on a notification that won't come, and their leases aren't marked for a message.
            self.handler.look_again();
        }
    }

    /// Returns when the server no longer answers. A dead connection that only listens isn't noticed otherwise. While an answer
    /// is late, waiters read the lease themselves.
    async fn silence(&self, connection: &Connection) {
        let ask = [Command::new("PING", Vec::new())];
        let mut awaited = self.handler.awaited();
        loop {
            self.rest(&mut awaited).await;
            let mut answer = pin!(connection.call(&ask));
            if timeout(self.target.timeout(), &mut answer).await.is_err() {
                self.answered.store(false, Ordering::Release);
                self.handler.look_again();
                if timeout(self.target.patience(), answer).await.is_err() {
                    return;
                }
                self.answered.store(true, Ordering::Release);
                // From now on messages are reliable again.
                self.handler.look_again();
            }
        }
    }

    /// Waits until the next question is due.
    async fn rest(&self, awaited: &mut watch::Receiver<bool>) {
        let pause = self.subscriptions.pause;
        let waited_for = async {
            let _ = awaited.wait_for(|awaited| *awaited).await;
            tokio::time::sleep(WATCHFUL).await;
        };
        let _ = timeout(pause, waited_for).await;
    }

    /// Handles messages until the connection ends. Returns why it ended.
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
                    Ok(message) => self.handler.message(server, &message.channel, &client::payload(&message)),
                    Err(RecvError::Lagged(_)) => self.handler.missed(),
                    Err(RecvError::Closed) => return "it was closed".to_owned(),
                },
                event = from.events.recv() => match event {
                    Ok(event) => self.handler.event(event.key.as_bytes(), &event.operation),
                    Err(RecvError::Lagged(_)) => self.handler.missed(),
                    Err(RecvError::Closed) => return "it was closed".to_owned(),
                },
            }
        }
    }
}

/// Lives while messages are received. Its `Drop` also runs if the task is aborted.
struct Listening<'e>(&'e Subscriber);

impl<'e> Listening<'e> {
    fn begin(subscriber: &'e Subscriber) -> Self {
        subscriber.answered.store(true, Ordering::Release);
        subscriber.listening.store(true, Ordering::Release);
        subscriber.handler.begins();
        Self(subscriber)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listening.store(false, Ordering::Release);
        self.0.keyspace.store(false, Ordering::Release);
        self.0.subscribed.store(false, Ordering::Release);
        self.0.handler.ends();
    }
}
