//! Two terminals, one cache: one computes, the other is woken; what one invalidates, the other forgets.
//!
//! ```text
//! cargo run --example shared --features redis -- --url redis://localhost:6379      # in two terminals
//! ```
//!
//! Type `call 7` in both within three seconds, then `invalidate 7` in one of them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::collections::BTreeMap;
use std::process::{self, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use larder::{Cache, Redis, cached};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Square {
    value: u64,
    /// The process that computed it, and how many it had computed before.
    by: u32,
    run: u64,
}

/// Takes three seconds, wherever it runs.
#[cached(ttl = "10m", tags = [("square", number)])]
async fn square(number: u64) -> Square {
    println!("  computing {number}² ...");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let run = larder::stats().function("square").map_or(0, |stats| stats.runs);
    Square { value: number.wrapping_mul(number), by: process::id(), run }
}

const HELP: &str = "  call N            the square of N (Enter: the last one again)
  invalidate N      forget the square of N, everywhere; `invalidate square` forgets them all
  stats             what this process did
  quit";

#[tokio::main]
async fn main() -> ExitCode {
    let url = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => "redis://localhost:6379".to_owned(),
        [option, url] if option == "--url" => url.clone(),
        _ => {
            eprintln!("usage: shared [--url redis://HOST:PORT]");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = set_up(&url).await {
        eprintln!("shared: {error}");
        // Not the URL itself: there may be a password in it.
        eprintln!("Is there a Redis server? Start one with `redis-server`, or say where it is with `--url`.");
        return ExitCode::FAILURE;
    }
    println!("process {} on {url}\n{HELP}", process::id());

    let known = Known::default();
    tokio::spawn(watch(known.clone()));
    let mut lines = lines();
    let mut last = "1".to_owned();
    while let Some(line) = lines.recv().await {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => drop(tokio::spawn(call(last.parse().unwrap_or(1), known.clone()))),
            ["call", number] if number.parse::<u64>().is_ok() => {
                last = (*number).to_owned();
                tokio::spawn(call(number.parse().unwrap_or(1), known.clone()));
            }
            ["invalidate", "square"] => said(larder::invalidate_tag("square").await),
            ["invalidate", number] => said(larder::invalidate_tag(("square", *number)).await),
            ["stats"] => println!("{}", larder::stats()),
            ["quit"] => break,
            _ => println!("{HELP}"),
        }
    }
    Cache::ambient().close().await;
    ExitCode::SUCCESS
}

async fn set_up(url: &str) -> Result<(), larder::Error> {
    let redis = Redis::builder(url).prefix("larder-example").connect().await?;
    Cache::builder().backend(redis).build()?.install()
}

fn said(result: Result<larder::Invalidated, larder::Error>) {
    match result {
        Ok(_) => println!("  no process serves it any more"),
        Err(error) => println!("  only this process knows: {error}"),
    }
}

async fn call(number: u64, known: Known) {
    let asked = Instant::now();
    let square = square(number).await;
    let took = asked.elapsed();
    let by = match square.by == process::id() {
        true => "this process".to_owned(),
        false => format!("process {}", square.by),
    };
    println!("  {number}² = {}, computed by {by} (its run {}); it took {took:.1?}", square.value, square.run);
    known.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, square);
}

/// What has been shown.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<BTreeMap<u64, Square>>>);

/// Asks for what has been shown again and again, which costs next to nothing as long as it is in memory, and shows it
/// once more when another process has made it new.
async fn watch(known: Known) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let shown = known.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (number, shown) in shown {
            let asked = Instant::now();
            let now = square(number).await;
            let is_news = known.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, now.clone());
            if now != shown && is_news.is_none_or(|last| last != now) {
                println!(
                    "  {number}² was invalidated: computed again by process {}; waited {:.1?}",
                    now.by,
                    asked.elapsed()
                );
            }
        }
    }
}

/// Those of our stdin.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    thread::spawn(move || io::stdin().lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    lines
}
