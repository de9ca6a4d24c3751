//! Which keys are where in a cluster.

use cache_core::backend::EntryKey;
use larder_testbed::Cluster;

use super::key;

/// Where the entry of a key is, as the docs of `keys.rs` say.
pub fn node_of(cluster: &Cluster, key: &EntryKey) -> usize {
    let hash = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    cluster.owner(&format!("{{{hash:032x}}}"))
}

pub fn keys_at(cluster: &Cluster, node: usize, count: usize) -> Vec<EntryKey> {
    (0..)
        .map(|number: u32| key(&format!("key {number}")))
        .filter(|key| node_of(cluster, key) == node)
        .take(count)
        .collect()
}
