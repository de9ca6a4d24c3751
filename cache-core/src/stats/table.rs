//! The statistics as a table, and how a function is found in them.

use std::fmt;
use std::time::Duration;

use super::{FunctionStats, Stats, lacks_room};

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEADINGS: [&str; 11] = [
            "function",
            "memory",
            "backend",
            "misses",
            "runs",
            "coalesced",
            "stale",
            "old",
            "failures",
            "errors",
            "saved",
        ];
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.functions.iter().map(|stats| {
            [
                stats.function.clone(),
                stats.memory_hits.to_string(),
                stats.backend_hits.to_string(),
                stats.misses.to_string(),
                stats.runs.to_string(),
                stats.coalesced.to_string(),
                stats.stale.to_string(),
                stats.served_stale.to_string(),
                stats.failures.to_string(),
                stats.errors().to_string(),
                readable(stats.time_saved),
            ]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 11] = std::array::from_fn(width);
        for row in &rows {
            write!(f, "{:<width$}", row[0], width = widths[0])?;
            for (cell, width) in row.iter().zip(widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        for stats in self.functions.iter().filter(|stats| stats.lossy > 0) {
            let (function, lossy) = (&stats.function, stats.lossy);
            writeln!(f, "{function}: results that their encoded form would change, kept in memory only: {lossy}")?;
        }
        for stats in self.functions.iter().filter(|stats| lacks_room(stats.recomputed, stats.misses)) {
            let (function, recomputed) = (&stats.function, stats.recomputed);
            writeln!(
                f,
                "{function}: results evicted while a recursion still needed them: {recomputed}; set `max_entries`"
            )?;
        }
        write!(f, "{} entries in memory, {} tags, {} runs under way", self.memory_entries, self.tags, self.flights)
    }
}

/// Whether the function's name ends so, and not in the middle of a word.
pub(super) fn ends_with(stats: &FunctionStats, name: &str) -> bool {
    let before = stats.function.strip_suffix(name).filter(|_| !name.is_empty());
    before.is_some_and(|before| before.ends_with(|last: char| !(last.is_alphanumeric() || last == '_')))
}

/// Three significant digits at most, in the largest fitting unit.
fn readable(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (amount, unit) = match nanos {
        0..1_000 => (nanos as f64, "ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    let digits = usize::from(amount < 100.0 && unit != "ns");
    format!("{amount:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_the_end_of_its_name() {
        let named = |name: &str| FunctionStats { function: name.to_owned(), ..FunctionStats::default() };
        let names = ["repo.user", "team:owner", "my_crate::shop::price", "my_crate::super_user", "a.get", "b::get"];
        let stats = Stats { functions: names.map(named).into(), ..Stats::default() };
        for (name, found) in [
            ("repo.user", Some("repo.user")),
            ("user", Some("repo.user")),
            ("owner", Some("team:owner")),
            ("price", Some("my_crate::shop::price")),
            ("shop::price", Some("my_crate::shop::price")),
            ("super_user", Some("my_crate::super_user")),
            ("get", Some("b::get")),
            ("ser", None),
            (".user", None),
            ("", None),
        ] {
            assert_eq!(stats.function(name).map(|stats| stats.function.as_str()), found, "{name}");
        }
    }
}
