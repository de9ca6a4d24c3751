//! Whether the user has the permissions that larder needs. Each command is tried, on keys that no function uses.

use cache_redis::operator::{Places, bus_channel};

use super::Findings;
use crate::arguments::Place;
use crate::server::Server;

/// What is tried, and what to grant if it is refused.
struct Trial<'t> {
    words: Vec<&'t str>,
    grant: &'static str,
}

pub(crate) async fn check(server: &Server, place: &Place, findings: &mut Findings) {
    const ABOUT: &str = "permissions";
    let places = Places::of(&place.prefix, server.database());
    let bus = bus_channel(&place.prefix, server.database());
    let (entry, lease, sequence) = (places.entry.as_str(), places.lease.as_str(), places.sequence.as_str());
    let bucket = places.buckets.first().map_or("", String::as_str);
    let keys = "+@read and the prefix's keys";
    let writes = "+@write and the prefix's keys";
    let trials = [
        Trial { words: vec!["PING"], grant: "+@connection" },
        Trial { words: vec!["TIME"], grant: "+time" },
        Trial { words: vec!["GET", sequence], grant: keys },
        Trial { words: vec!["MGET", entry], grant: keys },
        Trial { words: vec!["HMGET", bucket, "floor"], grant: keys },
        // The entry of no function. It expires after a millisecond.
        Trial { words: vec!["SET", entry, "probe", "PX", "1"], grant: writes },
        Trial { words: vec!["UNLINK", entry], grant: writes },
        Trial { words: vec!["EVAL", "return redis.call('GET', KEYS[1])", "1", lease], grant: "+@scripting" },
        Trial { words: vec!["PUBLISH", &bus, ""], grant: "+@pubsub and the prefix's channels" },
    ];
    let mut refused = 0;
    for Trial { words, grant } in trials {
        // A key of the wrong type is no matter of permissions; `bookkeeping` reports it.
        if let Err(why) = server.command(&words).await
            && !why.starts_with("WRONGTYPE")
        {
            refused += 1;
            let command = words.first().copied().unwrap_or_default();
            findings.error(ABOUT, format!("{command} is refused: {why}"), &format!("grant {grant}"));
        }
    }
    if let Err(why) = server.may_listen(&bus, false).await {
        refused += 1;
        findings.error(ABOUT, format!("SUBSCRIBE is refused: {why}"), "grant +@pubsub and the prefix's channels");
    }
    if refused == 0 {
        findings.ok(ABOUT, "all commands that it needs are allowed");
    }
    if let Err(why) = server.may_listen(&places.lease_events, true).await {
        let grant = format!("grant `&{}`; without it, messages wake those who wait", places.lease_events);
        findings.note("notifications", format!("this user may not listen to them: {why}"), Some(&grant));
    }
    if server.is_sentinel()
        && let Err(why) = server.command(&["ROLE"]).await
    {
        findings.error(
            ABOUT,
            format!("ROLE is refused: {why}"),
            "grant +role, by which a replica is told from the primary",
        );
    }
}
