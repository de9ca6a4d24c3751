//! Contract point 10.

use super::harness::{Outcome, Probe, entry, tag};
use super::{Broken, Verdict};
use crate::backend::{Entry, EntryKey, Stamp};

/// Keys that are easily taken for each other, or for something else.
fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = [
        "", "a", "A", "a ", " a", "a\0", "\0", "\0\0", "a:b", "a/b", "a:", ":a", "a::b", "*", "a*", "?", "[a]", "{a}",
        "{a}b", "{}", "a\r\n", "\n", "a\\x00", "%00", "ä", "a\u{308}", "\u{fffd}", "lease", "clock", "0", "-1",
        "1e999",
    ]
    .iter()
    .map(|key| key.as_bytes().to_vec())
    .collect();
    keys.extend([vec![0xff], vec![0xff, 0xfe], vec![0xc3], vec![0xed, 0xa0, 0x80], (0..=255).collect()]);
    // Longer than any limit, different only at one end.
    let long = vec![b'k'; 20_000];
    keys.extend([[&b"1"[..], &long].concat(), [&b"2"[..], &long].concat(), [&long[..], b"1"].concat()]);
    keys.extend([[&long[..], b"2"].concat(), long]);
    keys
}

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let keys: Vec<_> = keys().into_iter().map(EntryKey::new).collect();
    let mut stamps = Vec::new();
    for (number, key) in (0u64..).zip(&keys) {
        for side in probe.both() {
            side.expect_dead(key, "it was never stored").await?;
        }
        stamps.push(first.put(key, &payload(number), &[tag(number)]).await?);
    }
    let expected = |number: u64, stamps: &[Stamp]| entry(&payload(number), &[tag(number)], stamps[number as usize]);
    for (number, key) in (0u64..).zip(&keys) {
        second.expect_live(key, &expected(number, &stamps), "other keys were stored after it").await?;
    }

    // One lease, one invalidation, and all the others stay as they are.
    for (chosen, held_key) in (0u64..).zip(&keys).step_by(5) {
        let held = first.granted(held_key, &[]).await?;
        second.invalidate(&[tag(chosen)]).await?;
        for (number, key) in (0u64..).zip(&keys) {
            if number == chosen {
                second.expect_dead(key, "its tag was invalidated").await?;
                continue;
            }
            second.expect_live(key, &expected(number, &stamps), "another's tag was invalidated").await?;
            if number % 7 == 0 {
                drop(second.granted(key, &[]).await?);
            }
        }
        let stamp = held.stamp();
        first.stored(held_key, held, entry(&payload(chosen), &[], stamp)).await?;
        second.expect_live(held_key, &entry(&payload(chosen), &[], stamp), "it was just stored").await?;
        drop(first.granted(held_key, &[]).await?);
        let lease = first.soon_granted(held_key, "its lease was dropped").await?;
        stamps[chosen as usize] = lease.stamp();
        first.stored(held_key, lease, expected(chosen, &stamps)).await?;
    }
    another_prefix(probe, &keys, &expected, &stamps).await?;
    Ok(Verdict::Passed)
}

async fn another_prefix(
    probe: &Probe<'_>,
    keys: &[EntryKey],
    expected: &(impl Fn(u64, &[Stamp]) -> Entry + Sync),
    stamps: &[Stamp],
) -> Result<(), Broken> {
    let Some(stranger) = probe.stranger() else { return Ok(()) };
    let first = probe.first();
    for (number, key) in (0u64..).zip(keys) {
        stranger.expect_dead(key, "it was stored under another prefix").await?;
        let lease = stranger.granted(key, &[tag(number)]).await?;
        drop(first.granted(key, &[]).await?);
        let stamp = lease.stamp();
        stranger.stored(key, lease, entry(b"stranger", &[], stamp)).await?;
        stranger.invalidate(&[tag(number)]).await?;
        first.expect_live(key, &expected(number, stamps), "its tag was invalidated under another prefix").await?;
    }
    Ok(())
}

fn payload(number: u64) -> Vec<u8> {
    format!("payload {number}").into_bytes()
}
