//! Deployments of more than one server.

use std::time::Duration;

use crate::raw::Value;
use crate::server::Server;

/// Between two looks at servers that find each other.
const PAUSE: Duration = Duration::from_millis(20);

/// The slots of a cluster.
const SLOTS: usize = 16384;
const PRIMARIES: usize = 3;
const SLOTS_EACH: usize = SLOTS.div_ceil(PRIMARIES);

/// Three primaries that share the slots, and their replicas, if there are any.
#[derive(Debug)]
pub struct Cluster {
    /// The primaries, at the start.
    pub nodes: Vec<Server>,
    /// One for each of `nodes`, or none.
    pub replicas: Vec<Server>,
}

impl Cluster {
    /// Without replicas. A primary is given up for dead after two seconds.
    ///
    /// # Panics
    /// If there is no server that starts.
    pub fn start() -> Self {
        Self::of(PRIMARIES, "2000")
    }

    /// With a replica for each primary, which takes its place after a second and a bit.
    ///
    /// # Panics
    /// If there is no server that starts.
    pub fn with_replicas() -> Self {
        let cluster = Self::of(2 * PRIMARIES, "1000");
        for (primary, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
            let id = primary.command(&["CLUSTER", "MYID"]).text();
            // Until it has heard of it.
            while replica.command(&["CLUSTER", "REPLICATE", &id]) != ok() {
                std::thread::sleep(PAUSE);
            }
        }
        cluster.wait_until(|node| {
            let links = |range: &Value| range.clone().list().len();
            // First, last, the primary, the replica.
            node.command(&["CLUSTER", "SLOTS"]).list().iter().all(|range| links(range) == 4)
        });
        for replica in &cluster.replicas {
            while replica.raw().info("replication", "master_link_status").as_deref() != Some("up") {
                std::thread::sleep(PAUSE);
            }
        }
        cluster
    }

    fn of(count: usize, node_timeout_ms: &str) -> Self {
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            node_timeout_ms,
            // Healthy shards go on when another is dead.
            "--cluster-require-full-coverage",
            "no",
            // A replica takes over however long it was without its primary.
            "--cluster-replica-validity-factor",
            "0",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let mut nodes = loop {
            // Their second port is 10000 above.
            let nodes: Vec<_> = (0..count).map(|_| Server::with(&options)).collect();
            if nodes.iter().all(|node| node.port() < 55_000) {
                break nodes;
            }
        };
        for (index, node) in nodes.iter().take(PRIMARIES).enumerate() {
            let slots = index * SLOTS_EACH..((index + 1) * SLOTS_EACH).min(SLOTS);
            let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
            let mut command = vec!["CLUSTER", "ADDSLOTS"];
            command.extend(slots.iter().map(String::as_str));
            assert_eq!(node.command(&command), ok());
        }
        for node in &nodes {
            for other in &nodes {
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]);
            }
        }
        let replicas = nodes.split_off(PRIMARIES);
        let cluster = Self { nodes, replicas };
        cluster.wait_until(|node| {
            let info = node.command(&["CLUSTER", "INFO"]).text();
            let known = format!("cluster_known_nodes:{count}\r");
            info.contains("cluster_state:ok")
                && info.contains(&known)
                && node.command(&["CLUSTER", "SLOTS"]).list().len() == PRIMARIES
        });
        cluster
    }

    fn wait_until(&self, ready: impl Fn(&Server) -> bool) {
        while !self.nodes.iter().chain(&self.replicas).all(&ready) {
            std::thread::sleep(PAUSE);
        }
    }

    /// Of two of its nodes.
    pub fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}?node=127.0.0.1:{}", self.nodes[0].port(), self.nodes[1].port())
    }

    /// Those of the primaries.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(Server::port).collect()
    }

    /// Which of `nodes` has the key's slot at the start.
    ///
    /// # Panics
    /// If the first node is dead.
    pub fn owner(&self, key: &str) -> usize {
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).number();
        usize::try_from(slot).unwrap() / SLOTS_EACH
    }
}

fn ok() -> Value {
    Value::Text(b"OK".to_vec())
}

/// A primary, a replica, and three sentinels that watch them.
#[derive(Debug)]
pub struct Sentinel {
    /// The primary, at the start.
    pub primary: Server,
    /// Its replica.
    pub replica: Server,
    /// Who watches.
    pub sentinels: Vec<Server>,
}

impl Sentinel {
    /// A primary is given up for dead after one second.
    ///
    /// # Panics
    /// If there is no server that starts.
    pub fn start() -> Self {
        let primary = Server::start();
        let replica = Server::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
        while primary.raw().info("replication", "connected_slaves").as_deref() != Some("1")
            || replica.raw().info("replication", "master_link_status").as_deref() != Some("up")
        {
            std::thread::sleep(PAUSE);
        }
        let sentinels: Vec<_> = (0..3)
            .map(|_| {
                let sentinel = Server::sentinel();
                sentinel.command(&["SENTINEL", "MONITOR", "mymaster", "127.0.0.1", &primary.port().to_string(), "2"]);
                sentinel.command(&["SENTINEL", "SET", "mymaster", "down-after-milliseconds", "1000"]);
                sentinel.command(&["SENTINEL", "SET", "mymaster", "failover-timeout", "3000"]);
                sentinel
            })
            .collect();
        let known = |sentinel: &Server| {
            let master = sentinel.command(&["SENTINEL", "MASTER", "mymaster"]).list();
            let field = |name: &str| {
                let at = master.iter().position(|value| *value == Value::Text(name.as_bytes().to_vec())).unwrap();
                master[at + 1].number()
            };
            field("num-other-sentinels") == 2 && field("num-slaves") == 1
        };
        while !sentinels.iter().all(known) {
            std::thread::sleep(PAUSE);
        }
        Self { primary, replica, sentinels }
    }

    /// Of all sentinels.
    pub fn url(&self) -> String {
        let ports: Vec<_> = self.sentinels.iter().map(Server::port).collect();
        format!(
            "redis-sentinel://127.0.0.1:{}?service=mymaster&node=127.0.0.1:{}&node=127.0.0.1:{}",
            ports[0], ports[1], ports[2]
        )
    }
}
