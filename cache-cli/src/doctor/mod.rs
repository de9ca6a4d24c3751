//! `larder doctor`: what about the server keeps larder from working well, and what to do.
//!
//! Each check looks at one thing and comes to findings. A check that may not look says so: on managed servers much is forbidden.

mod bookkeeping;
mod facts;
mod health;
mod permissions;

use std::fmt;

use serde::Serialize;

use self::facts::Facts;
use crate::arguments::Place;
use crate::output::{Failure, say, to_json};
use crate::server::Server;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It costs time or misses.
    Warning,
    /// larder doesn't work with it, or promises are at stake.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What a check came to.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// Where: a server, if there are several.
    server: String,
    /// What was looked at, in a word.
    about: &'static str,
    what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Findings about one server.
pub(crate) struct Findings {
    server: String,
    found: Vec<Finding>,
}

impl Findings {
    fn new(server: &str) -> Self {
        Self { server: server.to_owned(), found: Vec::new() }
    }

    pub(crate) fn ok(&mut self, about: &'static str, what: impl Into<String>) {
        self.add(Level::Ok, about, what, None);
    }

    pub(crate) fn note(&mut self, about: &'static str, what: impl Into<String>, remedy: Option<&str>) {
        self.add(Level::Note, about, what, remedy);
    }

    pub(crate) fn warn(&mut self, about: &'static str, what: impl Into<String>, remedy: &str) {
        self.add(Level::Warning, about, what, Some(remedy));
    }

    pub(crate) fn error(&mut self, about: &'static str, what: impl Into<String>, remedy: &str) {
        self.add(Level::Error, about, what, Some(remedy));
    }

    fn add(&mut self, level: Level, about: &'static str, what: impl Into<String>, remedy: Option<&str>) {
        let (server, remedy) = (self.server.clone(), remedy.map(str::to_owned));
        self.found.push(Finding { level, server, about, what: what.into(), remedy });
    }
}

pub(crate) async fn run(place: &Place, json: bool) -> Result<bool, Failure> {
    let server = Server::connect(place).await?;
    let mut findings = Vec::new();
    let mut of_all = Findings::new(&server.name);
    permissions::check(&server, place, &mut of_all).await;
    bookkeeping::check(&server, place, &mut of_all).await;
    if server.is_cluster() {
        health::check_cluster(&server, &mut of_all).await;
    }
    findings.append(&mut of_all.found);
    for primary in server.primaries().await? {
        let mut of_one = Findings::new(&primary.name);
        let facts = Facts::of(&primary).await;
        health::check(&primary, &facts, &mut of_one).await;
        findings.append(&mut of_one.found);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let worst = findings.first().map_or(Level::Ok, |finding| finding.level);
    for finding in &findings {
        if json {
            say(&to_json(finding))?;
        } else {
            show(finding)?;
        }
    }
    Ok(worst < Level::Error)
}

fn show(finding: &Finding) -> Result<bool, Failure> {
    let Finding { level, server, about, what, remedy } = finding;
    say(&format!("{level:<8} {about}: {what} ({server})"))?;
    match remedy {
        Some(remedy) => say(&format!("{:8} {remedy}", "")),
        None => Ok(true),
    }
}
