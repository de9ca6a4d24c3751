//! The connections to one server, and all that is known of the client library: only the files of this folder name fred.
//!
//! | file | what it is about |
//! |---|---|
//! | [`command`] | what is sent, and what is answered |
//! | [`target`] | where to connect to, and what is wrong where that fails |
//! | [`probe`] | what answers at an address where no connection could be opened |
//! | [`client`] | one connection, from its opening to its end; it never reconnects |
//! | [`pool`] | the connections for commands, replaced when they end; the circuit breaker |
//! | [`subscriber`] | the connection that receives messages, replaced when it ends |
//! | [`keyspace_notifications`] | the setting that makes the server send keyspace notifications |
//! | [`backoff`] | the pauses between attempts to connect |
//! | [`client_messages`] | fred's error texts in plain words |
//! | [`tls`] | which certificates to trust, and which to present |

mod backoff;
mod client;
mod client_messages;
mod command;
mod keyspace_notifications;
mod pool;
mod probe;
mod subscriber;
mod target;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use self::client::{Connection, ConnectionId, slot};
pub(crate) use self::command::{Answer, Command, Reply};
pub(crate) use self::pool::{Pool, Reconnection};
pub(crate) use self::subscriber::{MessageHandler, Subscriber, Subscriptions};
pub(crate) use self::target::Target;
#[cfg(feature = "tls")]
pub use self::tls::Tls;
