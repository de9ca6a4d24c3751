//! The articles: what is read is cached, what is written invalidates.

use std::fmt;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder::cached;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Article {
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) text: String,
    /// The process that has read it from the database: an answer shows whether it came from another's cache.
    pub(crate) read_by: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    title: String,
    text: String,
}

/// What goes wrong. Can be cloned, so that all who wait for a run share its failure.
#[derive(Clone, Debug)]
pub(crate) enum Problem {
    Database(String),
    /// The write is done; until `max_staleness` is over, other instances may answer with what was there before.
    Invalidation(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "the database failed: {error}"),
            Self::Invalidation(error) => write!(f, "written, but other instances could not be told: {error}"),
        }
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// The file that all instances share.
#[derive(Clone, Debug)]
pub(crate) struct Database(Arc<Mutex<Connection>>);

impl Database {
    pub(crate) fn open(path: &str) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS articles (id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL)",
            [],
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// SQLite waits for the disk: on a thread that may.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let connection = Arc::clone(&self.0);
        let done =
            tokio::task::spawn_blocking(move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner)));
        Ok(done.await.map_err(|error| Problem::Database(error.to_string()))??)
    }
}

/// `None` is cached too: who asks for what isn't there doesn't reach the database each time.
#[cached(ttl = "10m", tags = [("article", id)], skip(database))]
pub(crate) async fn article(database: &Database, id: u64) -> Result<Option<Article>, Problem> {
    let read = move |connection: &Connection| {
        let row = connection.query_row("SELECT title, text FROM articles WHERE id = ?1", [id], |row| {
            Ok(Article { id, title: row.get(0)?, text: row.get(1)?, read_by: process::id() })
        });
        row.optional()
    };
    database.with(read).await
}

#[cached(ttl = "10m", tags = ["ids"], skip(database))]
async fn ids(database: &Database) -> Result<Vec<u64>, Problem> {
    let read = |connection: &Connection| {
        let mut select = connection.prepare("SELECT id FROM articles ORDER BY id")?;
        select.query_map([], |row| row.get(0))?.collect()
    };
    database.with(read).await
}

/// Made of cached answers, and invalidated with any of them; nothing has to be said about that.
#[cached(ttl = "10m", skip(database))]
pub(crate) async fn front_page(database: &Database) -> Result<String, Problem> {
    let mut page = String::new();
    for id in ids(database).await? {
        if let Some(article) = article(database, id).await? {
            page.push_str(&format!("{id}. {}\n", article.title));
        }
    }
    Ok(page)
}

/// First the write, then the invalidation: a run that begins after it reads what was written, and one that began before is
/// not stored.
pub(crate) async fn write(database: &Database, id: u64, draft: Draft) -> Result<(), Problem> {
    let write = move |connection: &Connection| {
        let statement = "INSERT INTO articles VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET title = ?2, text = ?3";
        connection.execute(statement, params![id, draft.title, draft.text])
    };
    database.with(write).await?;
    let told = async {
        larder::invalidate_tag(("article", id)).await?;
        // It may be a new one.
        larder::invalidate_tag("ids").await
    };
    told.await.map_err(|error: larder::Error| Problem::Invalidation(error.to_string()))
}
