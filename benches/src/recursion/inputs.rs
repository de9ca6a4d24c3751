//! What the recursive functions are asked for; the same in each run.

use std::sync::LazyLock;

use crate::Random;

/// The longest text that is compared with another.
const LONGEST: usize = 1_000;

/// Two texts of four letters.
pub(super) static LETTERS: LazyLock<(Vec<u8>, Vec<u8>)> =
    LazyLock::new(|| (text(0xac97, LONGEST).into_bytes(), text(0x7ca9, LONGEST).into_bytes()));

/// The coins there are. The smallest is tried first, so that the recursion goes as deep as it can.
pub(super) static CURRENCY: [u64; 6] = [1, 5, 10, 25, 50, 100];

/// What three dice with three sides show together, and in how many ways.
pub(super) static ROLLS: [(u64, u64); 7] = [(3, 1), (4, 3), (5, 6), (6, 7), (7, 6), (8, 3), (9, 1)];

/// The numbers on the stones at the beginning.
pub(super) static STONES: [u64; 8] = [3, 386_358, 86_195, 85, 1_267, 3_752_457, 0, 741];

/// A text of this many letters out of four.
pub(super) fn text(seed: u64, letters: usize) -> String {
    let mut random = Random::new(seed);
    (0..letters).map(|_| char::from(b"acgt"[(random.next_number() >> 60) as usize % 4])).collect()
}

/// Rows of springs, some of them unknown, and the lengths of the groups of damaged ones; five copies of each in a row.
pub(super) fn rows(count: usize) -> Vec<(String, Vec<usize>)> {
    let mut random = Random::new(0x5921);
    let mut below = move |bound: u64| (random.next_number() >> 32) % bound;
    let mut row = || {
        let (mut row, mut groups) = (String::new(), Vec::new());
        while row.len() < 14 {
            let len = 1 + below(4) as usize;
            groups.push(len);
            row.push_str(&"#".repeat(len));
            row.push_str(&".".repeat(1 + below(2) as usize));
        }
        let known = row.chars().map(|spring| if below(2) == 0 { '?' } else { spring }).collect::<String>();
        (vec![known; 5].join("?"), groups.repeat(5))
    };
    (0..count).map(|_| row()).collect()
}
