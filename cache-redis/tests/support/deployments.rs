//! Deployments of more than one server.

use std::time::Duration;

use super::{Server, Value};

/// Three primaries that share the slots.
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(args: &[&str]) -> Self {
        let mut all = vec![
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            // Healthy shards go on when another is dead.
            "--cluster-require-full-coverage",
            "no",
        ];
        all.extend(args);
        let cluster = loop {
            // The bus port is 10000 above.
            let nodes: Vec<_> = (0..3).map(|_| Server::with(&all)).collect();
            if nodes.iter().all(|node| node.port < 55_000) {
                break Self { nodes };
            }
        };
        for (index, node) in cluster.nodes.iter().enumerate() {
            let (first, last) = (index * 5462, (index * 5462 + 5461).min(16383));
            let reply = node.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            assert_eq!(reply, Value::Text(b"OK".to_vec()));
            for other in &cluster.nodes {
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string()]);
            }
        }
        let ready = |node: &Server| {
            let info = node.command(&["CLUSTER", "INFO"]).text();
            info.contains("cluster_state:ok") && node.command(&["CLUSTER", "SLOTS"]).list().len() == 3
        };
        while !cluster.nodes.iter().all(ready) {
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster
    }

    pub fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}?node=127.0.0.1:{}", self.nodes[0].port, self.nodes[1].port)
    }

    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// The node that owns the key's slot.
    pub fn owner(&self, key: &str) -> usize {
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).number();
        usize::try_from(slot / 5462).unwrap()
    }
}

/// A primary, a replica, and three sentinels that watch them.
pub struct Sentinel {
    pub primary: Server,
    pub replica: Server,
    pub sentinels: Vec<Server>,
}

impl Sentinel {
    pub fn start() -> Self {
        let primary = Server::start();
        let replica = Server::with(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
        while primary.raw().info("replication", "connected_slaves").as_deref() != Some("1")
            || replica.raw().info("replication", "master_link_status").as_deref() != Some("up")
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let sentinels: Vec<_> = (0..3)
            .map(|_| {
                let sentinel = Server::sentinel();
                sentinel.command(&["SENTINEL", "MONITOR", "mymaster", "127.0.0.1", &primary.port.to_string(), "2"]);
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
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { primary, replica, sentinels }
    }

    pub fn url(&self) -> String {
        let ports: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.port).collect();
        format!(
            "redis-sentinel://127.0.0.1:{}?service=mymaster&node=127.0.0.1:{}&node=127.0.0.1:{}",
            ports[0], ports[1], ports[2]
        )
    }
}
