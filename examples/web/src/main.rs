//! A small web service on SQLite. Run several instances on one database file and one Redis server: a write at one of them
//! invalidates by tag what all of them have cached.
//!
//! ```text
//! cargo run -p larder-example-web -- --listen 127.0.0.1:8001 --database articles.db --redis redis://localhost:6379
//! cargo run -p larder-example-web -- --listen 127.0.0.1:8002 --database articles.db --redis redis://localhost:6379
//! curl -X PUT localhost:8001/articles/1 --json '{"title": "Bread", "text": "Flour, water, salt."}'
//! curl localhost:8002/articles/1
//! curl localhost:8002/
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

mod articles;
mod routes;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

use larder::{Cache, Redis};
use tokio::net::TcpListener;

const USAGE: &str = "larder-example-web [--listen ADDRESS:PORT] [--database FILE] [--redis URL]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let option = |name: &str, default: &str| options.get(name).cloned().unwrap_or_else(|| default.to_owned());

    // Lazily: without Redis the service works as if there were no cache.
    let redis = Redis::builder(option("--redis", "redis://localhost:6379")).prefix("larder-web").connect_lazy()?;
    Cache::builder().backend(redis).build()?.install()?;

    let database = articles::Database::open(&option("--database", "articles.db"))?;
    let listener = TcpListener::bind(option("--listen", "127.0.0.1:8000")).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, routes::all(database)).await?;
    Ok(())
}

fn options() -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [name, value] if ["--listen", "--database", "--redis"].contains(&name.as_str()) => {
            Ok((name.clone(), value.clone()))
        }
        _ => Err(USAGE.into()),
    });
    pairs.collect()
}
