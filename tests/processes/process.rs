//! What a process does.
//!
//! ```text
//! test → process                        process → test
//! call 1 item 7                         ? 1 item 7          run 1 has begun; it ends when the test says how
//! end 1 ok VALUE | err TEXT | panic     ! page 3            this body runs
//! invalidate 2 item 7                   = 1 VALUE           the answer to call 1
//! write 3 item 7                        ? 2 write item 7    a write with a hold has begun; it ends as a run does
//! ```

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use std::{env, process};

use larder::{Cache, Redis, cached};
use tokio::sync::oneshot;

use crate::support::{HOLD, OPTIONS, Options, SERVER};

#[test]
#[ignore = "the other tests start it"]
fn serve() {
    let Ok(url) = env::var(SERVER) else { return };
    // The harness has begun a line.
    println!();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(set_up(&url, &env::var(OPTIONS).unwrap_or_default()));
    println!("ready");
    for line in io::stdin().lines().map_while(Result::ok) {
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (verb, number, rest) = (next(), next(), next());
        match verb.as_str() {
            "end" => end(number.parse().unwrap(), &rest),
            "call" => drop(runtime.spawn(async move { println!("= {number} {}", call(&rest).await) })),
            "write" => drop(runtime.spawn(async move { println!("= {number} {}", write(&rest).await) })),
            "invalidate" => drop(runtime.spawn(async move { println!("= {number} {}", invalidate(&rest).await) })),
            _ => panic!("what is {line:?}?"),
        }
    }
    process::exit(0);
}

async fn set_up(url: &str, options: &str) {
    let options = Options::parse(options);
    let milliseconds = Duration::from_millis;
    let redis = Redis::builder(url)
        .prefix("app")
        .lease(milliseconds(options.lease))
        .timeout(milliseconds(options.timeout))
        .hold(HOLD)
        .max_staleness(milliseconds(options.max_staleness))
        .connect()
        .await
        .unwrap();
    let builder = Cache::builder().backend(redis);
    let builder = if options.memory { builder } else { builder.without_memory() };
    builder.build().unwrap().install().unwrap();
}

async fn call(call: &str) -> String {
    let (function, arguments) = call.split_once(' ').unwrap_or((call, "0"));
    let (id, value) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let id = id.parse().unwrap();
    match function {
        "item" => item(id).await,
        "fallible" => fallible(id).await.unwrap_or_else(|error| format!("error: {error}")),
        "opaque" => opaque(id).await.unwrap_or_else(|Opaque(error)| format!("error: {error}")),
        "impatient" => impatient(id).await,
        "page" => page(id).await,
        "site" => site().await,
        "footer" => footer().await,
        "draft" => draft(id).await,
        "quote" => quote(id).await,
        "weather" => weather(id).await,
        "report" => report(id).await.unwrap_or_else(|error| format!("error: {error}")),
        "kept" => kept(id).await,
        "left" => left(id).await,
        "right" => right(id).await,
        "refresh" => refresh_kept(id).await,
        "prime" => {
            prime_kept(id, value.to_owned()).await.map_or_else(|error| format!("error: {error}"), |()| "done".into())
        }
        "peek" => peek_kept(id).await.unwrap_or_else(|| "nothing".to_owned()),
        "size" => format!("{:?}", size(id).await),
        "moved" => format!("{:?}", moved(id).await),
        "changed" => format!("{:?}", changed(id).await),
        "renewed" => format!("{:?}", renewed(id).await),
        _ => panic!("no function {function}"),
    }
}

/// A write with a hold, which ends as the test says.
async fn write(tag: &str) -> String {
    let (name, id) = tag.split_once(' ').unwrap();
    let written = larder::writing([(name, id)], run(format!("write {tag}"))).await;
    written.unwrap_or_else(|error| format!("error: {error}"))
}

async fn invalidate(tag: &str) -> String {
    let result = match tag.split_once(' ') {
        Some((name, id)) => larder::invalidate_tag((name, id)).await,
        None => larder::invalidate_tag(tag).await,
    };
    result.map_or_else(|error| format!("error: {error}"), |_| "done".to_owned())
}

type Ending = Result<String, String>;

static RUNS: LazyLock<Mutex<HashMap<u64, oneshot::Sender<Ending>>>> = LazyLock::new(Mutex::default);

/// A run that ends as the test says.
async fn run(what: String) -> Ending {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (sender, ending) = oneshot::channel();
    RUNS.lock().unwrap().insert(number, sender);
    println!("? {number} {what}");
    ending.await.expect("a panic as ordered")
}

fn end(run: u64, how: &str) {
    let sender = RUNS.lock().unwrap().remove(&run).unwrap();
    let _ = match how.split_once(' ') {
        Some(("ok", value)) => sender.send(Ok(value.to_owned())),
        Some(("err", text)) => sender.send(Err(text.to_owned())),
        _ => return drop(sender),
    };
}

#[cached(tags = [("item", id)])]
async fn item(id: u64) -> String {
    run(format!("item {id}")).await.unwrap()
}

#[cached(tags = [("item", id)])]
async fn fallible(id: u64) -> Result<String, String> {
    run(format!("fallible {id}")).await
}

/// An error that can't be shared.
struct Opaque(String);

#[cached(tags = [("item", id)])]
async fn opaque(id: u64) -> Result<String, Opaque> {
    run(format!("opaque {id}")).await.map_err(Opaque)
}

#[cached(max_wait = "300ms")]
async fn impatient(id: u64) -> String {
    run(format!("impatient {id}")).await.unwrap()
}

/// Made of two items.
#[cached]
async fn page(id: u64) -> String {
    println!("! page {id}");
    format!("[{} {}]", item(2 * id).await, item(2 * id + 1).await)
}

/// Made of three pages and what doesn't depend on them.
#[cached(tags = ["site"])]
async fn site() -> String {
    println!("! site");
    format!("{}{}{}{}", page(0).await, page(1).await, page(2).await, footer().await)
}

#[cached]
async fn footer() -> String {
    println!("! footer");
    "footer".to_owned()
}

/// Made of a page, and of something that must not be kept.
#[cached]
async fn draft(id: u64) -> String {
    println!("! draft {id}");
    format!("{}{}", page(id).await, comment(id).await)
}

#[cached]
async fn comment(id: u64) -> String {
    larder::dont_cache();
    format!("comment {id}")
}

/// What is "old" is so after a moment; anything else isn't while a test lasts.
fn of_its_age(value: &str) -> Duration {
    if value == "old" { Duration::from_millis(200) } else { Duration::from_secs(36_000) }
}

#[cached(ttl = |value| of_its_age(value), stale_while_revalidate = "1h", tags = [("quote", id)])]
async fn quote(id: u64) -> String {
    run(format!("quote {id}")).await.unwrap()
}

/// Replaced when a quote is, long before its time is over.
#[cached(ttl = |value| of_its_age(value) * 200, refresh_ahead = 0.005, tags = [("weather", id)])]
async fn weather(id: u64) -> String {
    run(format!("weather {id}")).await.unwrap()
}

#[cached(ttl = |value| of_its_age(value), stale_while_revalidate = "1s", tags = [("report", id)])]
async fn report(id: u64) -> Result<String, String> {
    run(format!("report {id}")).await
}

#[cached(tags = [("kept", id)], helpers = [refresh, prime, peek])]
async fn kept(id: u64) -> String {
    run(format!("kept {id}")).await.unwrap()
}

/// Made of the other one, if the run says so.
#[cached]
async fn left(id: u64) -> String {
    match run(format!("left {id}")).await.unwrap() {
        further if further == "further" => format!("left of {}", Box::pin(right(id)).await),
        value => value,
    }
}

#[cached]
async fn right(id: u64) -> String {
    match run(format!("right {id}")).await.unwrap() {
        further if further == "further" => format!("right of {}", Box::pin(left(id)).await),
        value => value,
    }
}

/// What four programs call `size`: the first, one where the function has moved, one where it returns something else, and
/// one that says so.
#[cached(name = "size")]
async fn size(id: u64) -> (u64, u32) {
    println!("! size {id}");
    (id, 1)
}

#[cached(name = "size")]
async fn moved(id: u64) -> (u64, u32) {
    println!("! moved {id}");
    (id, 2)
}

#[cached(name = "size")]
async fn changed(id: u64) -> (u64, String) {
    println!("! changed {id}");
    (id, "three".to_owned())
}

#[cached(name = "size", version = 2)]
async fn renewed(id: u64) -> (u64, u32) {
    println!("! renewed {id}");
    (id, 4)
}
