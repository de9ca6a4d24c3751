//! One connection: it is opened, used, and ends. Nothing reconnects here, and no command is sent twice.
//!
//! fred's own reconnecting is switched off (no policy). With it, commands hang forever after a server died, a policy can give
//! up for good, and a command whose reply was lost is executed again. Without it, the connection's task ends with the
//! connection, all its commands fail, and [`pool`](super::pool) opens a new one.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error as FredError, ErrorKind as FredErrorKind};
use fred::interfaces::{ClientLike, EventInterface, KeysInterface, PubsubInterface};
use fred::types::config::{ConnectionConfig, PerformanceConfig, TcpConfig};
use fred::types::{ClusterHash, CustomCommand, KeyspaceEvent, Message, Resp3Frame, Value};
use futures_util::future::join_all;
use tokio::sync::broadcast;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout};

use super::client_messages;
use super::command::{Answer, Command, Reply};
use super::target::Target;
use crate::error::{Fault, ServerError};
use crate::random;

/// How many messages may wait to be handled. Beyond that some are lost, which is noticed and costs entries in memory.
const MESSAGES: usize = 8192;

/// The oldest Redis that is supported.
const OLDEST: (u64, u64) = (6, 2);

/// Tells connections apart.
pub(crate) type ConnectionId = u64;

/// What a connection receives.
pub(crate) struct Messages {
    pub(crate) messages: broadcast::Receiver<Message>,
    pub(crate) events: broadcast::Receiver<KeyspaceEvent>,
}

/// An open connection. Ends when it is dropped, or by itself.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// How many calls on it have timed out in a row.
    pub(super) timeouts: AtomicU32,
    /// The server's name, for messages.
    server: Arc<str>,
    client: Client,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Closes the socket at once. QUIT would first wait for the answers to all commands under way.
        self.task.abort();
    }
}

/// Ready when the connection has ended.
pub(crate) type Ended = JoinHandle<Result<(), FredError>>;

impl Connection {
    /// Opens a connection: TCP, TLS, authentication, and a write that changes nothing (a replica refuses it).
    pub(crate) async fn open(target: &Target) -> Result<(Self, Ended, Messages), Fault> {
        let mut faults = Vec::new();
        for (index, way) in target.ways() {
            let began = Instant::now();
            let opened = tokio::select! {
                biased;
                opened = timeout(way.patience(), Self::try_open(&way)) => opened.unwrap_or(Err(Fault::TimedOut(None))),
                fault = way.no_sign(began) => Err(fault),
            };
            match opened {
                Ok(opened) => {
                    target.was_reached(index);
                    return Ok(opened);
                }
                Err(fault) => faults.push(way.diagnosed(fault, began).await),
            }
        }
        // An answer says more than that there was none.
        let first = faults.iter().position(|fault| !fault.is_of_connection()).unwrap_or(0);
        Err(faults.into_iter().nth(first).unwrap_or(Fault::Unexpected("nothing")).at(target.name()))
    }

    async fn try_open(target: &Target) -> Result<(Self, Ended, Messages), Fault> {
        let patience = target.patience();
        let connection = ConnectionConfig {
            connection_timeout: patience,
            internal_command_timeout: patience,
            max_command_attempts: 1,
            max_redirections: 1,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        let performance = PerformanceConfig { broadcast_channel_capacity: MESSAGES, ..PerformanceConfig::default() };
        let client = Client::new(target.config.clone(), Some(performance), Some(connection), None);
        let messages = Messages { messages: client.message_rx(), events: client.keyspace_event_rx() };
        let ended = client.connect();
        // From here on, dropping it ends its task, whatever state that is in.
        let id = random::wide() as ConnectionId;
        let (server, task) = (Arc::clone(target.name()), ended.abort_handle());
        let connection = Self { id, timeouts: AtomicU32::new(0), server, client, task };
        connection.client.wait_for_connect().await.map_err(|error| opening_failed(&error))?;
        // Unknown where INFO is forbidden.
        if let Some(version) = connection.client.server_version()
            && (version.major, version.minor) < OLDEST
        {
            let text = format!("this is Redis {version}; the oldest that is supported is {}.{}", OLDEST.0, OLDEST.1);
            return Err(Fault::Refused(ServerError::Other, text));
        }
        let probe = Command::new("PERSIST", vec![target.probe.clone()]);
        match connection.send(&probe).await {
            Err(fault @ (Fault::Refused(ServerError::NotNow, _) | Fault::Broken(..))) => Err(fault),
            Err(fault) if fault.is_of_no_primary() => Err(fault),
            // Other refusals are for the operations that meet them.
            _ => Ok((connection, ended, messages)),
        }
    }

    /// Sends the commands in this order without waiting in between.
    pub(crate) async fn call(&self, commands: &[Command]) -> Vec<Answer> {
        join_all(commands.iter().map(|command| self.call_one(command))).await
    }

    async fn call_one(&self, command: &Command) -> Answer {
        let answer = self.send(command).await;
        match (answer, command.in_full()) {
            (Err(Fault::Refused(ServerError::NoScript, _)), Some(in_full)) => self.send(&in_full).await,
            (answer, _) => answer,
        }
        .map_err(|fault| fault.at(&self.server))
    }

    /// fred writes each command that it doesn't know to the socket separately. So the commands of a hit are sent by the methods
    /// that fred has for them, which combines them: a batch is one packet, not three.
    async fn send(&self, command: &Command) -> Answer {
        match (command.name, &command.args[..]) {
            ("GET", [name]) => reply(self.client.get(name.clone()).await.map_err(|error| fault(&error))?),
            ("MGET", names) => reply(self.client.mget(names.to_vec()).await.map_err(|error| fault(&error))?),
            _ => self.send_unknown(command).await,
        }
    }

    async fn send_unknown(&self, command: &Command) -> Answer {
        let custom = CustomCommand::new_static(command.name, ClusterHash::FirstKey, false);
        let args: Vec<Value> = command.args.iter().cloned().map(Value::Bytes).collect();
        match self.client.custom_raw(custom, args).await {
            Ok(frame) => answer(frame),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Subscribes to channels (or to a pattern), and waits until the server has confirmed it.
    pub(crate) async fn subscribe(&self, channels: Vec<String>, pattern: bool) -> Result<(), Fault> {
        // This returns once it has been written; its confirmation can't be seen.
        let subscribe = async {
            if pattern { self.client.psubscribe(channels).await } else { self.client.subscribe(channels).await }
        };
        // So send a command that is answered after it. An error reply to the subscription arrives as the reply to this, if this
        // was sent before that reply came; else nobody would see it.
        let ping = Command::new("PING", Vec::new());
        let (sent, answered) = tokio::join!(subscribe, self.send(&ping));
        sent.map_err(|error| fault(&error))?;
        match answered? {
            Reply::Text(text) if &*text == b"QUEUED" => Err(Fault::Unexpected("a subscription")),
            _ => Ok(()),
        }
    }
}

/// Waits for the first of these connections to end, and says why it did.
pub(super) async fn first_end(ended: &mut [Ended]) -> String {
    let (result, _, _) = futures_util::future::select_all(ended.iter_mut()).await;
    match result {
        Ok(Err(error)) => client_messages::plain(error.details()),
        _ => "it was closed".to_owned(),
    }
}

fn answer(frame: Resp3Frame) -> Answer {
    Ok(match frame {
        Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => Reply::Text(data),
        Resp3Frame::Number { data, .. } => Reply::Number(data),
        Resp3Frame::Null => Reply::Nil,
        Resp3Frame::Array { data, .. } => Reply::List(data.into_iter().map(answer).collect()),
        Resp3Frame::SimpleError { data, .. } => return Err(Fault::refused(&data)),
        Resp3Frame::BlobError { data, .. } => return Err(Fault::refused(&String::from_utf8_lossy(&data))),
        _ => return Err(Fault::Unexpected("a command")),
    })
}

fn reply(value: Value) -> Answer {
    Ok(match value {
        Value::Bytes(bytes) => Reply::Text(bytes),
        Value::String(text) => Reply::Text(text.into_inner()),
        Value::Integer(number) => Reply::Number(number),
        Value::Null => Reply::Nil,
        Value::Array(values) => Reply::List(values.into_iter().map(reply).collect()),
        _ => return Err(Fault::Unexpected("a command")),
    })
}

fn opening_failed(error: &FredError) -> Fault {
    let details = error.details().to_owned();
    match error.kind() {
        FredErrorKind::Auth => Fault::Refused(ServerError::Denied, details),
        FredErrorKind::Timeout => Fault::TimedOut(None),
        #[cfg(feature = "tls")]
        FredErrorKind::Tls => Fault::Untrusted(None, client_messages::plain(&details)),
        // rustls's errors come wrapped in those of the network.
        FredErrorKind::IO if details.contains("kind: InvalidData") => {
            Fault::Untrusted(None, client_messages::plain(&details))
        }
        _ => match ServerError::of(&details) {
            ServerError::Other => Fault::unreachable(client_messages::plain(&details)),
            refusal => Fault::Refused(refusal, details),
        },
    }
}

fn fault(error: &FredError) -> Fault {
    match error.kind() {
        FredErrorKind::Timeout => Fault::TimedOut(None),
        _ => match ServerError::of(error.details()) {
            ServerError::Other if !is_error_reply(error.details()) => {
                Fault::broken(client_messages::plain(error.details()))
            }
            refusal => Fault::Refused(refusal, error.details().to_owned()),
        },
    }
}

/// Whether these client_messages are a server's, which begin with a code in capitals, and not fred's.
fn is_error_reply(details: &str) -> bool {
    let code = details.split(' ').next().unwrap_or_default();
    code.len() > 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The cluster slot of a key.
pub(crate) fn slot(key: &[u8]) -> u16 {
    fred::util::redis_keyslot(key)
}

/// The payload of a message.
pub(crate) fn payload(message: &Message) -> Bytes {
    match &message.value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::String(text) => text.clone().into_inner(),
        _ => Bytes::new(),
    }
}
