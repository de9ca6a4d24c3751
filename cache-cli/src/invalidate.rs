//! `larder invalidate`: by Redis, so every process hears of it, also those that start later.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use cache_core::backend::{Backend as _, TagId};
use cache_core::operator::Named;
use serde::Serialize;

use crate::arguments::{Invalidate, Place};
use crate::output::{Failure, say, to_json};
use crate::server::backend;
use crate::tags::named;

#[derive(Serialize)]
struct Done<'d> {
    invalidated: Vec<&'d str>,
}

pub(crate) async fn run(place: &Place, what: &Invalidate, json: bool) -> Result<bool, Failure> {
    let named = named_by(what)?;
    let names: Vec<&str> = named.iter().map(|named| named.name.as_str()).collect();
    let redis = backend(place).await?;
    if !what.yes && !confirmed(place, &names)? {
        return Err(Failure::new("nothing was invalidated"));
    }
    let ids: Vec<TagId> = named.iter().flat_map(|named| named.ids.iter().copied()).collect();
    redis.invalidate(&ids).await?;
    if json { say(&to_json(&Done { invalidated: names })) } else { say(&format!("invalidated {}", names.join(", "))) }
}

fn named_by(what: &Invalidate) -> Result<Vec<Named>, Failure> {
    let scope = what.scope.as_deref();
    if what.all {
        return Ok(vec![Named::everything()]);
    }
    match scope {
        Some(scope) if what.tags.is_empty() && what.function.is_empty() => Ok(vec![Named::scope(scope)]),
        scope => named(&what.tags, &what.function, scope),
    }
}

/// Asks the operator for confirmation on the terminal.
fn confirmed(place: &Place, names: &[&str]) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new("it asks before it invalidates, and there is no terminal: say --yes"));
    }
    let failed = |error: io::Error| Failure::new(format!("can't ask: {error}"));
    let mut err = io::stderr().lock();
    write!(err, "invalidate {} under `{}`, in all processes? [y/N] ", names.join(", "), place.prefix)
        .map_err(failed)?;
    err.flush().map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
