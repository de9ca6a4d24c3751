//! A connection that listens: to invalidations, and to the ends of leases. It is replaced when it ends, and whoever
//! hears is told about both.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::Command;
use super::client::{self, Connection, Ended, Messages, Target};
use super::link::{Backoff, first_end};
use crate::error::Fault;
use crate::health::{Monitor, Operation};

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
}

/// What to listen to.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    pub(crate) channels: Vec<String>,
    /// Keyspace notifications, if they may be used.
    pub(crate) pattern: Option<String>,
    /// How often it is asked whether anybody is there.
    pub(crate) pause: Duration,
}

/// See the head of this file.
pub(crate) struct Ear {
    target: Target,
    subscriptions: Subscriptions,
    hear: Arc<dyn Hear>,
    kick: Notify,
    keyspace: AtomicBool,
    listening: AtomicBool,
    /// The first attempt to listen has come to its end.
    attempted: watch::Sender<bool>,
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("target", self.target.name()).finish_non_exhaustive()
    }
}

impl Ear {
    pub(crate) fn new(target: Target, subscriptions: Subscriptions, hear: Arc<dyn Hear>) -> Self {
        let (kick, keyspace, listening) = (Notify::new(), AtomicBool::new(false), AtomicBool::new(false));
        Self { target, subscriptions, hear, kick, keyspace, listening, attempted: watch::Sender::new(false) }
    }

    /// Whether this server sends keyspace notifications about leases, and we hear them.
    pub(crate) fn has_keyspace_events(&self) -> bool {
        self.keyspace.load(Ordering::Acquire)
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// Waits for the first attempt to listen to come to its end, well or not.
    pub(crate) async fn first_attempt(&self) {
        // The sender lives as long as `self`.
        let _ = self.attempted.subscribe().wait_for(|attempted| *attempted).await;
    }

    /// Makes it reconnect.
    pub(crate) fn kick(&self) {
        self.kick.notify_one();
    }

    /// Listens for ever. Dropping the future ends the connection.
    pub(crate) async fn supervise(self: Arc<Self>, monitor: Arc<Monitor>) {
        let mut backoff = Backoff::default();
        loop {
            let fault = match self.open().await {
                Ok((connection, ended, messages)) => {
                    backoff = Backoff::default();
                    monitor.success(Operation::Listen);
                    let _listening = Listening::begin(&self);
                    self.attempted.send_replace(true);
                    Fault::broken(self.listen(&connection, ended, messages).await).at(self.target.name())
                }
                Err(fault) => fault,
            };
            self.attempted.send_replace(true);
            monitor.fault(Operation::Listen, &fault);
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
        let pattern = match &self.subscriptions.pattern {
            Some(pattern) if enable_keyspace_events(&connection, patience).await => Some(pattern.clone()),
            _ => None,
        };
        in_time(timeout(patience, connection.subscribe(self.subscriptions.channels.clone(), false)).await)?;
        if let Some(pattern) = pattern {
            // Without permission for it, messages will do.
            let subscribed = in_time(timeout(patience, connection.subscribe(vec![pattern], true)).await);
            self.keyspace.store(subscribed.is_ok(), Ordering::Release);
        }
        Ok((connection, ended, messages))
    }

    /// Until there is no answer: a connection that only listens isn't told that it leads nowhere any more.
    async fn silence(&self, connection: &Connection) {
        let ask = [Command::new("PING", Vec::new())];
        loop {
            tokio::time::sleep(self.subscriptions.pause).await;
            if timeout(self.target.patience(), connection.call(&ask)).await.is_err() {
                return;
            }
        }
    }

    /// Until the connection ends; says why.
    async fn listen(&self, connection: &Connection, ended: Ended, mut from: Messages) -> String {
        let (mut ended, server) = ([ended], self.target.name());
        let mut silent = pin!(self.silence(connection));
        loop {
            tokio::select! {
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
        ear.listening.store(true, Ordering::Release);
        ear.hear.begins();
        Self(ear)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listening.store(false, Ordering::Release);
        self.0.keyspace.store(false, Ordering::Release);
        self.0.hear.ends();
    }
}

/// What must be in `notify-keyspace-events`: keyspace channels; deletions, expiry and eviction.
const NEEDED: [char; 4] = ['K', 'g', 'x', 'e'];

/// Whether the server sends the notifications we need, after having been told to if that was necessary and allowed.
async fn enable_keyspace_events(connection: &Connection, patience: Duration) -> bool {
    const NAME: Bytes = Bytes::from_static(b"notify-keyspace-events");
    let config = |args: Vec<Bytes>| async move {
        let command = [Command::new("CONFIG", args)];
        timeout(patience, connection.call(&command)).await.ok()?.pop()?.ok()
    };
    let Some(reply) = config(vec![Bytes::from_static(b"GET"), NAME]).await else { return false };
    let Some([_, flags]) = reply.list().and_then(|list| <[_; 2]>::try_from(list).ok()) else { return false };
    let mut flags = String::from_utf8_lossy(&flags.text().unwrap_or_default()).into_owned();
    // `A` stands for all kinds of events.
    let has = |flags: &str, flag: char| flags.contains(flag) || (flag != 'K' && flags.contains('A'));
    let missing = |flags: &str| NEEDED.into_iter().find(|flag| !has(flags, *flag));
    if missing(&flags).is_none() {
        return true;
    }
    while let Some(flag) = missing(&flags) {
        flags.push(flag);
    }
    config(vec![Bytes::from_static(b"SET"), NAME, flags.into()]).await.is_some()
}
