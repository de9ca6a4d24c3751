//! The articles: reads are cached, writes invalidate.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use larder::{Invalidated, Pending, cached};
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Article {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) text: String,
    /// The process that read it from the database. Shows whether an answer came from another instance's cache.
    pub(crate) read_by: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    title: String,
    text: String,
}

/// `Clone`, so that all requests that wait for a failed query get its error.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the database failed: {0}")]
    Database(#[source] Arc<sqlx::Error>),
    #[error("written, but other instances may show the old article for a while: {0}")]
    Invalidation(#[from] larder::Error),
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

pub(crate) async fn open(path: &str) -> Result<SqlitePool, sqlx::Error> {
    let options =
        SqliteConnectOptions::new().filename(path).create_if_missing(true).busy_timeout(Duration::from_secs(5));
    let database = SqlitePool::connect_with(options).await?;
    let table = "CREATE TABLE IF NOT EXISTS articles (id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL)";
    sqlx::query(table).execute(&database).await?;
    Ok(database)
}

/// A missing article is `Ok(None)`, which is cached too: requests for it don't reach the database each time.
#[cached(ttl = "10m", tags = [("article", id)], skip(database))]
pub(crate) async fn article(database: &SqlitePool, id: i64) -> Result<Option<Article>, Problem> {
    let select = sqlx::query_as("SELECT title, text FROM articles WHERE id = ?").bind(id);
    let row: Option<(String, String)> = select.fetch_optional(database).await?;
    Ok(row.map(|(title, text)| Article { id, title, text, read_by: process::id() }))
}

/// Which articles there are. A new one changes it.
#[cached(ttl = "10m", skip(database))]
async fn ids(database: &SqlitePool) -> Result<Vec<i64>, Problem> {
    Ok(sqlx::query_scalar("SELECT id FROM articles ORDER BY id").fetch_all(database).await?)
}

/// Calls cached functions, and so depends on the ids and on every article on the page.
#[cached(ttl = "10m", skip(database))]
pub(crate) async fn front_page(database: &SqlitePool) -> Result<String, Problem> {
    let mut page = String::new();
    for id in ids(database).await? {
        if let Some(article) = article(database, id).await? {
            page.push_str(&format!("{id}. {}\n", article.title));
        }
    }
    Ok(page)
}

/// Commits first, then invalidates. A query that began before the invalidation may have read the old row: its result isn't
/// stored. Returns what a reader has to know of to see the article.
pub(crate) async fn write(database: &SqlitePool, id: i64, draft: Draft) -> Result<Invalidated, Problem> {
    let mut pending = Pending::new();
    let mut transaction = database.begin().await?;
    let statement = "INSERT INTO articles VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET title = ?2, text = ?3";
    sqlx::query(statement).bind(id).bind(draft.title).bind(draft.text).execute(&mut *transaction).await?;
    pending.invalidate_tag(("article", id));
    pending.add(invalidate_ids()).await?; // it may be a new article
    transaction.commit().await?;
    Ok(pending.commit().await?)
}
