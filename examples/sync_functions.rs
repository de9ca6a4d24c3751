//! Functions that aren't async: the same attribute, no runtime. However many threads ask at once, the body runs once.
//!
//! ```text
//! cargo run --example sync_functions
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder::{blocking, cached};

static RUNS: AtomicU32 = AtomicU32::new(0);

#[cached(ttl = "1h", tags = [("page", address)])]
fn page(address: &str) -> Result<String, String> {
    RUNS.fetch_add(1, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(50));
    if address.is_empty() { Err("no address".to_owned()) } else { Ok(format!("<h1>{address}</h1>")) }
}

/// Uses up the results of another one, in threads that count as part of it because it takes its context along.
#[cached]
fn sizes(addresses: &[&str]) -> Result<usize, String> {
    thread::scope(|scope| {
        let pages = addresses.iter().map(|address| scope.spawn(larder::carry_sync(|| page(address))));
        let pages: Vec<_> = pages.collect();
        pages.into_iter().map(|page| page.join().map_err(|_| "a thread panicked")?.map(|page| page.len())).sum()
    })
}

fn main() -> Result<(), larder::Error> {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(page("home").as_deref(), Ok("<h1>home</h1>")));
        }
    });
    println!("8 threads: {} run, {:?}", RUNS.load(Ordering::Relaxed), start.elapsed());
    assert_eq!(RUNS.swap(0, Ordering::Relaxed), 1);

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(page("").as_deref(), Err(&"no address".to_owned())));
        }
    });
    println!("8 threads, and an error: {} run; those who waited were told of it", RUNS.load(Ordering::Relaxed));
    assert!(RUNS.swap(0, Ordering::Relaxed) < 8);
    assert!(page("").is_err());
    println!("the next call tries again: {} run", RUNS.load(Ordering::Relaxed));
    assert_eq!(RUNS.swap(0, Ordering::Relaxed), 1);

    assert_eq!(sizes(&["home", "news"]), Ok(26));
    assert_eq!(sizes(&["home", "news"]), Ok(26));
    println!("two pages, one of them known: {} run", RUNS.load(Ordering::Relaxed));
    assert_eq!(RUNS.swap(0, Ordering::Relaxed), 1);

    blocking::invalidate_tag(("page", "news"))?;
    assert_eq!(sizes(&["home", "news"]), Ok(26));
    println!("one of them changed: {} run", RUNS.load(Ordering::Relaxed));
    assert_eq!(RUNS.swap(0, Ordering::Relaxed), 1);

    println!("\n{}", larder::stats());
    Ok(())
}
