//! The recursive functions: each once for larder and once for `cached`, from the same lines.

#![allow(clippy::needless_pass_by_value, reason = "cached functions own their arguments, as their users write them")]

use super::inputs::{CURRENCY, LETTERS, ROLLS};
use super::probe::enter;

/// Entries that the functions of `bounded` may keep.
const FEW: u64 = 1_000;

/// Defines the same functions in a module of each side. The bodies' first step is to count themselves, if that is asked for.
macro_rules! both {
    (ours: $ours:tt, theirs: $theirs:tt, $(fn $name:ident $args:tt -> $out:tt { $($body:tt)* })*) => {
        pub(in crate::recursion) mod ours {
            use super::*;
            $(
                #[::larder::cached $ours]
                pub(in crate::recursion) fn $name $args -> $out {
                    enter();
                    $($body)*
                }
            )*
        }
        pub(in crate::recursion) mod theirs {
            use super::*;
            $(
                #[::cached::macros::cached $theirs]
                pub(in crate::recursion) fn $name $args -> $out {
                    enter();
                    $($body)*
                }
            )*
        }
    };
}

both! { ours: (max_entries = unlimited), theirs: (),
    fn fib(n: u64) -> u64 {
        if n < 2 { n } else { fib(n - 1).wrapping_add(fib(n - 2)) }
    }

    fn grid(x: u64, y: u64) -> u64 {
        if x == 0 || y == 0 { 1 } else { grid(x - 1, y).wrapping_add(grid(x, y - 1)) }
    }

    fn lcs(i: usize, j: usize) -> u64 {
        if i == 0 || j == 0 {
            0
        } else if LETTERS.0.get(i - 1) == LETTERS.1.get(j - 1) {
            lcs(i - 1, j - 1) + 1
        } else {
            lcs(i - 1, j).max(lcs(i, j - 1))
        }
    }

    fn edit(a: String, b: String) -> u64 {
        if a.is_empty() || b.is_empty() {
            (a.len() + b.len()) as u64
        } else {
            let (x, rest_of_a) = a.split_at(1);
            let (y, rest_of_b) = b.split_at(1);
            let replaced = edit(rest_of_a.to_owned(), rest_of_b.to_owned()) + u64::from(x != y);
            let removed = edit(rest_of_a.to_owned(), b.clone()) + 1;
            let added = edit(a.clone(), rest_of_b.to_owned()) + 1;
            replaced.min(removed).min(added)
        }
    }

    fn coins(amount: u64) -> u64 {
        CURRENCY.iter().filter(|coin| **coin <= amount).map(|coin| coins(amount - coin) + 1).min().unwrap_or(0)
    }

    fn collatz(n: u64) -> u64 {
        match n {
            1 => 1,
            n if n.is_multiple_of(2) => collatz(n / 2) + 1,
            n => collatz(3 * n + 1) + 1,
        }
    }

    fn springs(row: String, groups: Vec<usize>) -> u64 {
        match row.as_bytes().first() {
            None => u64::from(groups.is_empty()),
            Some(b'.') => springs(row.trim_start_matches('.').to_owned(), groups),
            Some(b'?') => {
                let (_, rest) = row.split_at(1);
                springs(format!("#{rest}"), groups.clone()) + springs(rest.to_owned(), groups)
            }
            _ => match groups.split_first() {
                Some((len, rest)) if row.len() >= *len && !row.bytes().take(*len).any(|spring| spring == b'.') => {
                    match row.as_bytes().get(*len) {
                        None => u64::from(rest.is_empty()),
                        Some(b'#') => 0,
                        Some(_) => springs(row.split_at(len + 1).1.to_owned(), rest.to_vec()),
                    }
                }
                _ => 0,
            },
        }
    }

    fn stones(stone: u64, blinks: u64) -> u64 {
        if blinks == 0 {
            1
        } else if stone == 0 {
            stones(1, blinks - 1)
        } else {
            let digits = stone.ilog10() + 1;
            if digits.is_multiple_of(2) {
                let half = 10_u64.pow(digits / 2);
                stones(stone / half, blinks - 1) + stones(stone % half, blinks - 1)
            } else {
                stones(stone * 2024, blinks - 1)
            }
        }
    }

    fn dirac(goal: u64, mine: (u64, u64), theirs: (u64, u64)) -> (u64, u64) {
        if theirs.1 >= goal {
            (0, 1)
        } else {
            ROLLS.iter().fold((0, 0), |wins, (rolled, ways)| {
                let place = (mine.0 + rolled - 1) % 10 + 1;
                let (them, me) = dirac(goal, theirs, (place, mine.1 + place));
                (wins.0 + me * ways, wins.1 + them * ways)
            })
        }
    }

    fn predecessors(n: u64, count: u64) -> u64 {
        (1..=count.min(n)).fold(1, |sum, back| predecessors(n - back, count).wrapping_add(sum))
    }

    fn chain(n: u64) -> u64 {
        if n == 0 { 0 } else { chain(n - 1) + 1 }
    }

    fn chain_apart(thread: u64, n: u64) -> u64 {
        if n == 0 { thread } else { chain_apart(thread, n - 1) + 1 }
    }
}

/// Over a bound.
pub(super) mod bounded {
    use super::{FEW, enter};

    both! { ours: (max_entries = FEW), theirs: (max_size = 1_000),
        fn endless(n: u64) -> u64 {
            if n == 0 { 0 } else { endless(n - 1) + 1 }
        }
    }
}
