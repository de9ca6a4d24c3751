//! Prints one table: what the Redis layer costs, on real servers of its own, beside its peers.
//!
//! ```text
//! cargo bench -p larder-benches --bench redis                 everything
//! cargo bench -p larder-benches --bench redis -- PATTERN      the parts whose name contains PATTERN
//! ```
//!
//! Needs `redis-server`, or what `LARDER_REDIS_SERVER` names. Times are of the wall clock, so the machine should have
//! nothing else to do; ratios are taken turn by turn, then their median.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use larder_benches::redis::{churn, crowd, invalidation, process, quantile, throughput, wake};

const TURNS: usize = 21;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [role, url] = &arguments[..]
        && role == process::ROLE
    {
        process::serve(url);
    }
    let pattern = arguments.into_iter().find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let parts: [(&str, fn()); 5] =
        [("hits", hits), ("wake", woken), ("cold key", cold_key), ("invalidate", invalidate), ("churn", churned)];
    for (_, part) in parts.iter().filter(|(name, _)| name.contains(&pattern)) {
        part();
    }
}

/// Prints a line: a name, and numbers under the last headings.
fn line(name: &str, cells: &[String]) {
    print!("{name:<44}");
    for cell in cells {
        print!(" {cell:>14}");
    }
    println!();
}

/// Prints headings.
fn head(name: &str, cells: &[&str]) {
    line(name, &cells.iter().map(ToString::to_string).collect::<Vec<_>>());
}

fn hits() {
    let measured = throughput::measure(TURNS);
    head("hits: 64 tasks, 200 bytes, one connection", &["hits/s", "larder over it", "commands a hit"]);
    for peer in &measured {
        let rates = [format!("{:.0}", peer.median()), format!("{:.2}", measured[0].over(peer))];
        line(&format!("  {}", peer.peer.name()), &[&rates[..], &[format!("{:.1}", peer.commands)]].concat());
    }
}

fn micros(nanos: f64) -> String {
    format!("{:.0}", nanos / 1e3)
}

fn woken() {
    const ROUNDS: u64 = 1_000;
    let measured = wake::measure(ROUNDS);
    head("wake: body's end to the answer elsewhere", &["p50 us", "p99 us", "PINGs (p50)"]);
    let ping = quantile(&measured.ping, 0.5);
    for (name, nanos) in [
        ("  PING after a pause", &measured.ping),
        ("  PING after PING", &measured.pings),
        ("  to the answer in the run's own process", &measured.leader),
        ("  to the waiter's answer", &measured.waiter),
        ("  of these, after the store's reply", &measured.after),
    ] {
        let (p50, p99) = (quantile(nanos, 0.5), quantile(nanos, 0.99));
        line(name, &[micros(p50), micros(p99), format!("{:.2}", p50 / ping)]);
    }
    line("  rounds, and those left out", &[ROUNDS.to_string(), measured.late.to_string()]);
}

fn cold_key() {
    let measured = crowd::measure(21);
    let over: Vec<_> = measured.iter().map(|crowd| crowd.over / 1e6).collect();
    let commands: Vec<_> = measured.iter().map(|crowd| crowd.commands as f64).collect();
    let most = measured.iter().map(|crowd| crowd.runs).max().unwrap_or(0);
    head("cold key: 4 processes, 1,000 callers each", &["runs (most)", "median", "longest"]);
    let millis = |share| format!("{:.1}", quantile(&over, share));
    line("  ms over the body's 200, all answered", &[most.to_string(), millis(0.5), millis(1.0)]);
    let count = |share| format!("{:.0}", quantile(&commands, share));
    line("  commands the server executed", &[String::new(), count(0.5), count(1.0)]);
}

fn invalidate() {
    head("invalidate a tag, of so many entries", &["first us", "median us", "commands", "stored in s"]);
    for entries in [1, 1_000, 1_000_000] {
        let one = invalidation::measure(entries, 301);
        let cells = [micros(one.first), micros(one.median), format!("{:.1}", one.commands)];
        line(&format!("  {}", one.entries), &[&cells[..], &[format!("{:.1}", one.filling)]].concat());
    }
}

fn churned() {
    head("churn: 200,000 entries, 20,000 tags a round", &["keys", "used MB"]);
    for held in churn::measure() {
        line(&format!("  {}", held.when), &[held.keys.to_string(), format!("{:.2}", held.bytes / 1e6)]);
    }
}
