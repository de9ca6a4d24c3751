//! A process: its memory layer, its flights, its connections, and the real [`Bus`] with the real [`InvalidationLog`](crate::invalidation_log)
//! inside.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use cache_core::backend::{ListenerHandle, TagId};

use super::application::Key;
use super::flights::Flight;
use super::invalidation::Remembered;
use super::memory::Memory;
use super::mistakes::Mistake;
use super::server::Published;
use super::world::World;
use crate::bus::Bus;
use crate::bus::Message as Parsed;
use crate::connection::{ConnectionId, MessageHandler};
use crate::health::{Hooks, Monitor};
use crate::keys::Names;

/// A published message on its way to one process.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The server that sent it.
    pub(super) server: u64,
    pub(super) what: Published,
}

pub(super) struct Process {
    /// The index among the processes. A killed process is replaced by a new one with the same index.
    pub(super) place: usize,
    /// Unique, also among replaced processes.
    pub(super) id: u64,
    pub(super) bus: Bus,
    pub(super) memory: Arc<Memory>,
    /// The flights under way of each key, the latest last.
    pub(super) flights: RefCell<BTreeMap<Key, Vec<Rc<Flight>>>>,
    /// The id of the next flight.
    pub(super) upcoming: Cell<u64>,
    /// The tags that the entry of a key had when it was last read or stored.
    pub(super) memo: RefCell<BTreeMap<Key, Vec<TagId>>>,
    /// The connection for commands, and the server it leads to.
    connection: Cell<(ConnectionId, u64)>,
    /// The server that the process is subscribed to.
    pub(super) listens_to: Cell<Option<u64>>,
    /// The connection that the last heartbeat checked; see `read_sequence`.
    pub(super) met: Cell<Option<ConnectionId>>,
    /// Messages that haven't arrived yet.
    pub(super) inbox: RefCell<VecDeque<Message>>,
    /// Commands or their answers are lost.
    pub(super) cut: Cell<bool>,
    pub(super) dead: Cell<bool>,
    /// The next body fails.
    pub(super) fails: Cell<bool>,
    pub(super) remembered: RefCell<Remembered>,
    pub(super) mistake: Option<Mistake>,
}

thread_local! {
    static NAMES: Arc<Names> = Arc::new(Names::new("p", 0));
}

impl Process {
    /// A new process. It isn't subscribed yet.
    pub(super) fn new(world: &World, place: usize) -> Rc<Self> {
        let id = world.number();
        let memory = Arc::new(Memory::new(world.zero, world.mistake));
        let bus = Bus::new(NAMES.with(Arc::clone), format!("process{id}"), Arc::new(Monitor::new(Hooks::default())));
        let listener: Weak<Memory> = Arc::downgrade(&memory);
        bus.attach(ListenerHandle::new(listener));
        Rc::new(Self {
            place,
            id,
            bus,
            memory,
            flights: RefCell::default(),
            upcoming: Cell::new(1),
            memo: RefCell::default(),
            connection: Cell::new((world.number(), world.server.get())),
            listens_to: Cell::new(None),
            met: Cell::new(None),
            inbox: RefCell::default(),
            cut: Cell::new(false),
            dead: Cell::new(false),
            fails: Cell::new(false),
            remembered: RefCell::default(),
            mistake: world.mistake,
        })
    }

    /// The connection for commands. Replaced if its server has been replaced.
    pub(super) fn connection(&self, world: &World) -> (ConnectionId, u64) {
        if self.connection.get().1 != world.server.get() {
            self.reconnect(world);
        }
        self.connection.get()
    }

    pub(super) fn reconnect(&self, world: &World) {
        self.connection.set((world.number(), world.server.get()));
    }

    /// Subscribes to the current server.
    pub(super) fn listen(&self, world: &World) {
        if self.listens_to.get().is_some() && world.has(Mistake::ReconnectsAreNotNoticed) {
            self.listens_to.set(Some(world.server.get()));
            return;
        }
        self.stop_listening();
        self.listens_to.set(Some(world.server.get()));
        self.bus.begins();
    }

    pub(super) fn stop_listening(&self) {
        self.inbox.borrow_mut().clear();
        if self.listens_to.take().is_some() {
            self.bus.ends();
        }
    }

    /// Delivers a message.
    pub(super) fn hear(&self, message: &Message) {
        let server = format!("server{}", message.server);
        if let Published::Bus(payload) = &message.what
            && self.mistake == Some(Mistake::MessagesAreBelieved)
            && let Some(Parsed::Invalidated { number, .. }) = Parsed::parse(payload)
        {
            self.bus.known.learn(number);
        }
        NAMES.with(|names| match &message.what {
            Published::Bus(payload) => self.bus.message(&server, &names.bus, payload),
            Published::Wake(payload) => self.bus.message(&server, &names.wake, payload),
        });
    }
}
