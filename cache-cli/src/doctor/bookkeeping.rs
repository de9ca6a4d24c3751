//! What larder keeps under the prefix beside entries: the sequence of invalidations, and the tag buckets.

use cache_redis::operator::Places;

use super::Findings;
use crate::arguments::Place;
use crate::server::Server;

const ABOUT: &str = "bookkeeping";

pub(crate) async fn check(server: &Server, place: &Place, findings: &mut Findings) {
    let places = Places::of(&place.prefix, server.database());
    let kind = match server.command(&["TYPE", &places.sequence]).await {
        Ok(kind) => kind.as_string().unwrap_or_default(),
        // `permissions` reports it.
        Err(_) => return,
    };
    match kind.as_str() {
        "none" => {
            let what = format!("nothing under `{}` yet: no process has used it, or all was lost", place.prefix);
            return findings.note(ABOUT, what, Some("check `--prefix` and the database in the URL"));
        }
        "string" => {}
        other => {
            let what = format!("`{}` is a {other}: another program writes under this prefix", places.sequence);
            return findings.error(ABOUT, what, "give larder a prefix of its own; the next call replaces the key");
        }
    }
    let mut wrong = Vec::new();
    let mut buckets = 0;
    for bucket in &places.buckets {
        match server.command(&["TYPE", bucket]).await.ok().and_then(|kind| kind.as_string()).as_deref() {
            Some("hash") => buckets += 1,
            None | Some("none") => {}
            Some(_) => wrong.push(bucket.as_str()),
        }
    }
    if let Some(first) = wrong.first() {
        let what = format!("{} of its keys are no hashes, `{first}` among them", wrong.len());
        return findings.error(
            ABOUT,
            what,
            "another program writes under this prefix; the next invalidation replaces them",
        );
    }
    let number = server.command(&["GET", &places.sequence]).await.ok().and_then(|number| number.as_string());
    match number.as_deref().and_then(|number| number.parse::<u64>().ok()) {
        Some(number) => {
            findings.ok(ABOUT, format!("the latest invalidation has number {number}; {buckets} tag buckets"));
        }
        None => findings.error(
            ABOUT,
            format!("`{}` holds no number: it was overwritten", places.sequence),
            "find out who writes under this prefix; the next call restarts the sequence",
        ),
    }
}
