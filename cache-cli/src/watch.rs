//! `larder watch`: invalidations as they happen, as the processes hear of them.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cache_core::backend::TagId;
use cache_redis::operator::{Invalidation, bus_channel};
use serde::Serialize;

use crate::arguments::{Place, Watch};
use crate::output::{Failure, say, to_json};
use crate::server::Server;
use crate::tags::named;

/// So many tags of one invalidation are shown.
const SHOWN: usize = 8;

#[derive(Serialize)]
struct Seen<'s> {
    /// Seconds since 1970, by this machine's clock.
    at: u64,
    number: u64,
    by: &'s str,
    tags: Vec<String>,
}

pub(crate) async fn run(place: &Place, what: &Watch, json: bool) -> Result<bool, Failure> {
    let named = named(&what.tags, &what.function, None)?;
    let names: HashMap<TagId, String> =
        named.iter().flat_map(|named| named.ids.iter().map(|id| (*id, named.name.clone()))).collect();
    let server = Server::connect(place).await?;
    let mut messages = server.subscribe(&bus_channel(&place.prefix, server.database())).await?;
    if !json {
        say(&format!("watching `{}`", place.prefix))?;
    }
    let mut left = what.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(payload) = messages.next().await? else { continue };
        let Some(invalidation) = Invalidation::parse(&payload) else { continue };
        left -= 1;
        show(&invalidation, &names, json)?;
    }
    Ok(true)
}

fn show(invalidation: &Invalidation, names: &HashMap<TagId, String>, json: bool) -> Result<bool, Failure> {
    let name = |id: &TagId| names.get(id).cloned().unwrap_or_else(|| format!("#{:016x}", id.0));
    let mut tags: Vec<String> = invalidation.tags.iter().map(name).collect();
    // Anybody can publish on the channel, so the name is not trusted on the terminal.
    let by: String = invalidation.author.chars().filter(|letter| !letter.is_control()).take(40).collect();
    if json {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        return say(&to_json(&Seen { at, number: invalidation.number, by: &by, tags }));
    }
    let more = tags.len().saturating_sub(SHOWN);
    tags.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match invalidation.number {
        0 => say(&format!("{by} invalidated everything, as Redis was out of memory")),
        number if invalidation.tags.is_empty() => say(&format!("{number} by {by}: the numbers begin anew")),
        number => say(&format!("{number} by {by}: {}{more}", tags.join(", "))),
    }
}
