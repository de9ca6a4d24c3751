//! How a server is set up: version, memory, notifications, replicas, persistence, clock, slots.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Findings;
use super::facts::Facts;
use crate::server::Server;

/// The oldest Redis that works.
const OLDEST: (u64, u64) = (6, 2);
/// A server's clock that is off by more is worth a look, in seconds.
const CLOCK_OFF: i64 = 2;

pub(crate) async fn check(server: &Server, facts: &Facts, findings: &mut Findings) {
    version(facts, findings);
    memory(facts, findings);
    notifications(facts, findings);
    replication(facts, findings);
    persistence(facts, findings);
    clock(server, findings).await;
}

fn version(facts: &Facts, findings: &mut Findings) {
    const ABOUT: &str = "version";
    let valkey = facts.info("valkey_version");
    let Some(version) = valkey.or(facts.info("redis_version")) else {
        return findings.note(ABOUT, "unknown, as this user may not ask for it", Some("grant `+info` to see it here"));
    };
    let product = if valkey.is_some() { "Valkey" } else { "Redis" };
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let (major, minor): (u64, u64) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if (major, minor) < OLDEST {
        let needed = format!("use Redis {}.{} or newer, or Valkey", OLDEST.0, OLDEST.1);
        return findings.error(ABOUT, format!("{product} {version} is too old"), &needed);
    }
    findings.ok(ABOUT, format!("{product} {version}"));
}

fn memory(facts: &Facts, findings: &mut Findings) {
    const ABOUT: &str = "memory";
    let policy = facts.info("maxmemory_policy").or(facts.option("maxmemory-policy"));
    let (Some(limit), Some(policy)) = (facts.number("maxmemory"), policy) else {
        return findings.note(ABOUT, "its limit is unknown, as this user may not ask for it", Some("grant `+info`"));
    };
    if limit == 0 {
        let advice = "set `maxmemory`, and `maxmemory-policy allkeys-lru`";
        return findings.warn(ABOUT, "it has no limit: Redis grows until the machine has none left", advice);
    }
    let used = facts.number("used_memory").unwrap_or(0);
    let share = u128::from(used) * 100 / u128::from(limit);
    let what = format!("{share} % of {} MB are used, policy {policy}", limit >> 20);
    if policy == "noeviction" {
        let trouble = format!("{what}: once it is full, nothing is stored and invalidations fail");
        return findings.warn(ABOUT, trouble, "set `maxmemory-policy allkeys-lru`; evicting any key is safe");
    }
    if policy.starts_with("volatile") {
        let trouble = format!("{what}: entries without a `ttl` are never evicted and fill it up");
        return findings.warn(ABOUT, trouble, "set `maxmemory-policy allkeys-lru`, or `Redis::builder(..).ttl(..)`");
    }
    findings.ok(ABOUT, what);
    if facts.number("evicted_keys").is_some_and(|keys| keys > 0) {
        let evicted = format!("{} keys were evicted since it started", facts.info("evicted_keys").unwrap_or_default());
        findings.note("evictions", evicted, Some("raise `maxmemory` if the share of hits is low"));
    }
}

fn notifications(facts: &Facts, findings: &mut Findings) {
    const ABOUT: &str = "notifications";
    match (facts.option("notify-keyspace-events"), &facts.config) {
        (Some(flags), _) => {
            let has = |flag| flags.contains(flag);
            // What wakes those who wait for a lease: its deletion and its end.
            if has('K') && (has('A') || (has('g') && has('x'))) {
                findings.ok(ABOUT, format!("the ends of leases are told (`{flags}`)"));
            } else {
                let what = format!("off (`{flags}`): larder switches them on, or uses messages where it may not");
                findings.note(
                    ABOUT,
                    what,
                    Some("`CONFIG SET notify-keyspace-events Kgxe` to have them on from the start"),
                );
            }
        }
        (None, Err(why)) => findings.note(
            ABOUT,
            format!("unknown ({why}): larder wakes those who wait by messages of its own"),
            Some("grant `+config|get +config|set`, or have Kgxe set by who runs the server"),
        ),
        (None, Ok(_)) => findings.note(ABOUT, "the server knows no such option", None),
    }
}

fn replication(facts: &Facts, findings: &mut Findings) {
    const ABOUT: &str = "replication";
    match facts.info("role") {
        Some("master") => {}
        Some(role) => {
            return findings.error(
                ABOUT,
                format!("this is a {role}, which takes no writes"),
                "name the primary in the URL",
            );
        }
        None => return findings.note(ABOUT, "unknown, as this user may not ask for it", Some("grant `+info`")),
    }
    match (facts.number("connected_slaves").unwrap_or(0), facts.option("min-replicas-to-write")) {
        (0, None | Some("0")) => findings.ok(ABOUT, "a primary without replicas"),
        (replicas, Some("0")) => findings.note(
            ABOUT,
            format!("{replicas} replicas, and a primary that was replaced goes on taking writes"),
            Some("`min-replicas-to-write 1` bounds for how long a process that reaches only the old one is wrong"),
        ),
        (0, Some(needed)) => findings.error(
            ABOUT,
            format!("it takes no writes: it has no replica, and must have {needed}"),
            "connect the replicas, or lower `min-replicas-to-write`",
        ),
        (replicas, _) => findings.ok(ABOUT, format!("a primary with {replicas} replicas")),
    }
}

fn persistence(facts: &Facts, findings: &mut Findings) {
    const ABOUT: &str = "persistence";
    if facts.info("loading") == Some("1") {
        return findings.error(ABOUT, "it is loading its data and answers nothing else", "wait until it has loaded");
    }
    match (facts.info("aof_enabled"), facts.info("rdb_last_bgsave_status")) {
        (Some("1"), _) => findings.ok(ABOUT, "append-only file: after a restart, entries and invalidations are there"),
        (Some(_), Some("err")) => findings.error(
            ABOUT,
            "the last snapshot failed; with `stop-writes-on-bgsave-error` it takes no writes",
            "make room on its disk, or switch snapshots off with `CONFIG SET save ''`",
        ),
        (Some(_), _) => findings.note(
            ABOUT,
            "snapshots or none: after a crash, entries come back that are older than the last invalidations",
            Some("larder notices that and drops them; it costs misses, no stale answers"),
        ),
        (None, _) => findings.note(ABOUT, "unknown, as this user may not ask for it", Some("grant `+info`")),
    }
}

async fn clock(server: &Server, findings: &mut Findings) {
    const ABOUT: &str = "clock";
    let time = server.command(&["TIME"]).await.ok();
    let seconds = time.and_then(|time| time.into_array().into_iter().next()?.as_i64());
    let here = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok());
    let (Some(there), Some(here)) = (seconds, here) else {
        return findings.error(ABOUT, "the server doesn't tell its time", "grant `+time`");
    };
    match there - here {
        off if off.abs() > CLOCK_OFF => findings.note(
            ABOUT,
            format!("the server's is {} s {} this machine's", off.abs(), if off > 0 { "ahead of" } else { "behind" }),
            Some("larder uses only the server's; a change of it ends entries early or makes them misses"),
        ),
        _ => findings.ok(ABOUT, "the server's agrees with this machine's"),
    }
}

pub(crate) async fn check_cluster(server: &Server, findings: &mut Findings) {
    const ABOUT: &str = "cluster";
    let info = server.command(&["CLUSTER", "INFO"]).await;
    let text = match &info {
        Ok(text) => text.as_str().unwrap_or_default(),
        Err(why) => {
            return findings.note(ABOUT, format!("its state is unknown: {why}"), Some("grant `+cluster|info`"));
        }
    };
    let field = |name: &str| text.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let (state, slots) = (field("cluster_state").unwrap_or("unknown"), field("cluster_slots_ok").unwrap_or("0"));
    if state == "ok" && slots == "16384" {
        findings.ok(ABOUT, "all slots are served");
    } else {
        let what = format!("its state is {state}, and {slots} of 16384 slots are served");
        findings.error(ABOUT, what, "look at `redis-cli --cluster check`; keys of missing slots are misses");
    }
}
