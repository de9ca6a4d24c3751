//! A proxy in front of a server, that does to the bytes what a network may do.
//!
//! It knows where requests and replies begin and end, so that a test can say which reply is lost: then it is certain that
//! the server has executed the command.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::frame;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands and their replies.
    Commands,
    /// Messages: a connection that has subscribed to something.
    Messages,
}

/// What becomes of a reply, once it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The connection is cut before the server has the request.
    Unsent,
    /// The same, and the server gets the request after [`Proxy::release`]: it was still on its way.
    Late,
    /// The connection is cut in front of it.
    Lost,
    /// The connection is cut in the middle of it.
    Torn,
    /// It waits, and everything after it on its connection, until [`Proxy::release`].
    Held,
}

/// See the head of this file. Dropping it cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    delay: Duration,
    refusing: bool,
    holding_commands: bool,
    holding_messages: bool,
    /// What the request contains, and the fate of its reply.
    fates: Vec<(Vec<u8>, Fate)>,
    /// Hold commands from the moment the next one is met.
    then_hold: bool,
    /// How many replies have met one.
    met: usize,
    /// Counts calls of `release`.
    releases: usize,
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    kind: Kind,
    client: TcpStream,
    server: TcpStream,
    /// What becomes of the replies to the requests under way.
    under_way: VecDeque<Option<Fate>>,
}

impl Proxy {
    /// In front of the server at this port of the loopback interface.
    ///
    /// # Panics
    /// If it can't listen.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::downgrade(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Some(shared) = accepting.upgrade() else { return };
                if !shared.lock().refusing
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", server))
                {
                    shared.begin(client, server);
                }
            }
        });
        Self { port, shared }
    }

    /// The server's URL, through the proxy.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Every read of replies is passed on so much later.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Nothing reaches the clients any more on connections of this kind, nor on those made later, until
    /// [`release`](Self::release).
    pub fn hold(&self, kind: Kind) {
        *self.shared.lock().holding(kind) = true;
    }

    /// What was held goes on.
    pub fn release(&self) {
        let mut state = self.shared.lock();
        (state.holding_commands, state.holding_messages) = (false, false);
        state.releases += 1;
        self.shared.changed.notify_all();
    }

    /// Ends all connections of this kind; what is under way on them is lost.
    pub fn cut(&self, kind: Kind) {
        let mut state = self.shared.lock();
        state.connections.retain(|_, connection| connection.kind != kind || !connection.end());
        self.shared.changed.notify_all();
    }

    /// New connections are ended at once.
    pub fn refuse(&self) {
        self.shared.lock().refusing = true;
    }

    /// New connections are passed on again.
    pub fn accept(&self) {
        self.shared.lock().refusing = false;
    }

    /// What becomes of the reply to the next request that contains these bytes.
    pub fn next_reply(&self, to: &[u8], fate: Fate) {
        self.shared.lock().fates.push((to.to_vec(), fate));
    }

    /// From the moment the next reply meets its fate, [holds](Self::hold) commands: those of connections made since.
    pub fn then_hold(&self) {
        self.shared.lock().then_hold = true;
    }

    /// No more is about to happen to replies than already has.
    pub fn forget_fates(&self) {
        self.shared.lock().fates.clear();
    }

    /// Waits until so many replies have met their fates since the proxy began.
    pub fn wait_for_fates(&self, count: usize) {
        drop(self.shared.wait_while(self.shared.lock(), |state| state.met < count));
    }

    /// How many replies have met their fates since the proxy began.
    pub fn fates_met(&self) -> usize {
        self.shared.lock().met
    }

    /// How many connections of this kind there are.
    pub fn connections(&self, kind: Kind) -> usize {
        self.shared.lock().connections.values().filter(|connection| connection.kind == kind).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.cut(Kind::Commands);
        self.cut(Kind::Messages);
        // Wakes the thread that accepts; it ends.
        self.shared = Arc::default();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn meet(&mut self) {
        self.met += 1;
        self.holding_commands |= std::mem::take(&mut self.then_hold);
    }

    fn holding(&mut self, kind: Kind) -> &mut bool {
        match kind {
            Kind::Commands => &mut self.holding_commands,
            Kind::Messages => &mut self.holding_messages,
        }
    }
}

impl Connection {
    fn end(&self) -> bool {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'s>(
        &self,
        state: MutexGuard<'s, State>,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'s, State> {
        self.changed.wait_while(state, condition).unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let both = || Some([client.try_clone().ok()?, server.try_clone().ok()?]);
        let (Some([from, to]), Some([back_to, back_from])) = (both(), both()) else { return };
        let _ = client.set_nodelay(true).and(server.set_nodelay(true));
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let connection = Connection { kind: Kind::Commands, client, server, under_way: VecDeque::new() };
        state.connections.insert(id, connection);
        drop(state);
        let (requests, replies) = (Arc::clone(self), Arc::clone(self));
        thread::spawn(move || {
            let _ = frame::each(from, || {}, |request| requests.request(id, request, &to));
            requests.end(id);
        });
        thread::spawn(move || {
            let delay = || {
                let delay = replies.lock().delay;
                thread::sleep(delay);
            };
            let _ = frame::each(back_from, delay, |reply| replies.reply(id, reply, &back_to));
            replies.end(id);
        });
    }

    fn end(&self, id: u64) {
        let ended = self.lock().connections.remove(&id);
        if let Some(connection) = ended {
            connection.end();
        }
        self.changed.notify_all();
    }

    /// `None` ends the connection.
    fn request(&self, id: u64, request: &[u8], mut to: &TcpStream) -> Option<()> {
        let contains = |text: &[u8]| request.windows(text.len()).any(|window| window == text);
        let mut state = self.lock();
        let fate = state.fates.iter().position(|(text, _)| contains(text));
        let fate = fate.map(|index| state.fates.remove(index).1);
        let connection = state.connections.get_mut(&id)?;
        if contains(b"SUBSCRIBE\r\n") {
            connection.kind = Kind::Messages;
        }
        connection.under_way.push_back(fate);
        if let Some(fate @ (Fate::Unsent | Fate::Late)) = fate {
            let _ = connection.client.shutdown(Shutdown::Both);
            state.meet();
            self.changed.notify_all();
            if fate == Fate::Late {
                let before = state.releases;
                drop(self.wait_while(state, |state| state.releases == before && state.connections.contains_key(&id)));
                let _ = to.write_all(request);
            }
            return None;
        }
        drop(state);
        to.write_all(request).ok()
    }

    /// `None` ends the connection.
    fn reply(&self, id: u64, reply: &[u8], mut to: &TcpStream) -> Option<()> {
        let mut state = self.lock();
        let connection = state.connections.get_mut(&id)?;
        let kind = connection.kind;
        // Messages aren't asked for one by one.
        let fate = if kind == Kind::Commands { connection.under_way.pop_front().flatten() } else { None };
        if fate.is_some() {
            state.meet();
            self.changed.notify_all();
        }
        match fate {
            Some(Fate::Lost | Fate::Unsent | Fate::Late) => return None,
            Some(Fate::Torn) => {
                drop(state);
                let _ = to.write_all(reply.get(..reply.len() / 2)?);
                return None;
            }
            Some(Fate::Held) => {
                let before = state.releases;
                state = self.wait_while(state, |state| state.releases == before && state.connections.contains_key(&id));
            }
            None => {}
        }
        let state = self.wait_while(state, |state| *state.holding(kind) && state.connections.contains_key(&id));
        drop(state);
        to.write_all(reply).ok()
    }
}
