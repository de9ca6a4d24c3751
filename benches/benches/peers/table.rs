//! The lines of the table, and what a process prints of them.

use std::cell::RefCell;

use larder_benches::Peer;
use larder_benches::harness::Measured;

/// A column's number; the first is larder's.
pub(crate) type Cells = Vec<(Peer, f64, Option<f64>)>;

pub(crate) struct Table {
    pub(crate) wanted: Wanted,
    pub(crate) form: Form,
}

pub(crate) enum Wanted {
    /// The names of all lines, and nothing measured.
    Names(RefCell<Vec<String>>),
    /// This line.
    Line(String),
}

/// How lines are printed.
pub(crate) enum Form {
    /// For people.
    Columns,
    /// For `goals.rs`: name, peer, number and ratio, a line for each peer.
    Cells,
}

const NAME: usize = 42;

pub(crate) fn head() {
    print!("{:<NAME$} {:>4}", "", "");
    for peer in Peer::ALL {
        print!(" {:>18}", peer.name());
    }
    println!();
}

impl Table {
    pub(crate) fn wants(&self, name: &str) -> bool {
        match &self.wanted {
            Wanted::Names(names) => {
                names.borrow_mut().push(name.to_owned());
                false
            }
            Wanted::Line(line) => line == name,
        }
    }

    /// Prints a line, if it is wanted.
    pub(crate) fn line(&self, name: &str, unit: &str, cells: impl FnOnce() -> Cells) {
        if self.wants(name) {
            self.print(name, unit, &cells());
        }
    }

    pub(crate) fn print(&self, name: &str, unit: &str, cells: &Cells) {
        if matches!(self.form, Form::Cells) {
            for (peer, number, ratio) in cells {
                println!("{name}\t{peer}\t{number}\t{}", ratio.unwrap_or(f64::NAN));
            }
            return;
        }
        print!("{name:<NAME$} {unit:>4}");
        for peer in Peer::ALL {
            match cells.iter().find(|(found, number, _)| *found == peer && number.is_finite()) {
                Some((_, number, Some(ratio))) => {
                    print!(" {:>18}", format!("{} ({ratio:.2})", short(*number)));
                }
                Some((_, number, None)) => print!(" {:>18}", short(*number)),
                None => print!(" {:>18}", "-"),
            }
        }
        println!();
    }
}

pub(crate) fn short(number: f64) -> String {
    match number {
        100.0.. => format!("{number:.0}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Each peer's number, and larder's over it.
pub(crate) fn against(measured: &[Measured]) -> Cells {
    let ours = measured.iter().find(|found| found.peer == Peer::Larder);
    measured
        .iter()
        .map(|found| {
            let ratio = ours.filter(|ours| ours.peer != found.peer).map(|ours| ours.over(found));
            (found.peer, found.median(), ratio)
        })
        .collect()
}
