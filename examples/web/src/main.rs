//! A small web service on SQLite. Run several instances on one database file and one Redis server: a write to one of them
//! invalidates what all of them have cached.
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
mod options;
mod routes;

use std::error::Error;
use std::io;

use larder::{Cache, Redis};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let option = options::parse()?;

    // `connect_lazy` doesn't wait for Redis. Without it, the service works as if there were no cache.
    let redis = Redis::builder(option("--redis", "redis://localhost:6379")).prefix("larder-web").connect_lazy()?;
    let cache = Cache::builder().backend(redis).build()?;
    cache.install()?;

    let database = articles::open(&option("--database", "articles.db")).await?;
    let listener = TcpListener::bind(option("--listen", "127.0.0.1:8000")).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, routes::all(database)).with_graceful_shutdown(shutdown()?).await?;

    // The last request is answered. Now give the leases back, so that other instances don't wait for this one.
    cache.close().await;
    Ok(())
}

/// Waits for Ctrl-C, or for the signal by which an orchestrator stops a container.
fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
