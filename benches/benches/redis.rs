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

use larder_benches::redis::throughput;

const TURNS: usize = 41;

fn main() {
    let pattern = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let parts: [(&str, fn()); 1] = [("hits", hits)];
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
