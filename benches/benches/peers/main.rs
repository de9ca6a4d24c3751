//! Prints one table: what a call costs with larder and with its peers, measured in turns in one run.
//!
//! ```text
//! cargo bench -p larder-benches --bench peers                 everything
//! cargo bench -p larder-benches --bench peers -- PATTERN      the lines whose name contains PATTERN
//! cargo bench -p larder-benches --bench peers -- --goals [PATTERN]      what is to be reached, and what is
//! ```
//!
//! Each line is measured in a process of its own: the entries of one leave nothing behind that weighs on the next.
//!
//! A cell is the peer's median and, in brackets, larder's time over the peer's: below 1, larder is faster. Ratios are
//! taken turn by turn, then their median. Times are of this thread on a core (of the wall clock where several threads work).

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a benchmark prints, and stops where it can't be set up")]

mod dependency_lines;
mod goals;
mod invalidation;
mod memory;
mod table;
mod threads;
mod zipf_lines;

use std::cell::RefCell;
use std::process::Command;

use larder_benches::harness::measure;
use larder_benches::{Case, hits, misses};

use table::{Cells, Form, Table, Wanted, against};

const TURNS: usize = 41;

/// Before the name of the one line that a process is to print.
const LINE: &str = "--line";

/// Has that process print numbers only.
const CELLS: &str = "--cells";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let pattern = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has(LINE) {
        let form = if has(CELLS) { Form::Cells } else { Form::Columns };
        return print(&Table { wanted: Wanted::Line(pattern), form });
    }
    if has("--goals") {
        return goals::print(&pattern);
    }
    // Says what there is to be measured.
    let names = Table { wanted: Wanted::Names(RefCell::default()), form: Form::Columns };
    print(&names);
    let Wanted::Names(names) = names.wanted else { return };
    table::head();
    let exe = std::env::current_exe().expect("this program");
    for name in names.into_inner().iter().filter(|name| name.contains(&pattern)) {
        let done = Command::new(&exe).args([LINE, name]).status().expect("this program runs again");
        assert!(done.success(), "{name}: {done}");
    }
}

fn print(table: &Table) {
    for case in hits::cases().into_iter().chain(misses::cases()) {
        table.line(case.name, "ns", || times(&case));
    }
    threads::two_thread_lines(table);
    zipf_lines::zipf_lines(table);
    memory::memory_lines(table);
    memory::allocation_lines(table);
    invalidation::invalidation_lines(table);
    dependency_lines::dependency_lines(table);
}

fn times(case: &Case) -> Cells {
    against(&measure(case, TURNS))
}
