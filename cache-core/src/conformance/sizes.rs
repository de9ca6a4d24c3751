//! Payloads and tag lists of unusual sizes.

use super::Verdict;
use super::harness::{Outcome, Probe, entry, key, tag};

const LARGE: usize = 2 << 20;
const TAGS: u64 = 1000;

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    let all_bytes: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..LARGE).map(|place| (place % 251) as u8).collect();
    let payloads: [&[u8]; 7] = [b"", b"\0", b"\r\n", b"$-1\r\n", &[0xff; 3], &all_bytes, &large];
    for (number, payload) in payloads.into_iter().enumerate() {
        let key = key(&format!("payload {number}"));
        let stamp = first.put(&key, payload, &[tag(1)]).await?;
        for side in probe.both() {
            side.expect_live(&key, &entry(payload, &[tag(1)], stamp), "it was just stored").await?;
        }
    }

    let tags: Vec<_> = (0..TAGS).map(|number| tag(100 + number)).collect();
    let many = key("many tags");
    for number in [0, TAGS / 2, TAGS - 1] {
        let stamp = first.put(&many, b"many tags", &tags).await?;
        second.expect_live(&many, &entry(b"many tags", &tags, stamp), "it was just stored").await?;
        second.invalidate(&[tag(100 + number)]).await?;
        for side in probe.both() {
            side.expect_dead(&many, &format!("tag {number} of {TAGS} was invalidated")).await?;
        }
    }
    let one = key("one tag");
    second.put(&one, b"one tag", &tags[7..8]).await?;
    first.invalidate(&tags).await?;
    second.expect_dead(&one, &format!("its tag was invalidated together with {TAGS} others")).await?;

    // Nothing to invalidate is no error.
    first.invalidate(&[]).await?;
    // Any id is a tag.
    let odd = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63].map(crate::backend::TagId);
    let stamp = first.put(&one, b"odd", &odd).await?;
    second.expect_live(&one, &entry(b"odd", &odd, stamp), "it was just stored").await?;
    second.invalidate(&odd[2..3]).await?;
    first.expect_dead(&one, "its tag u64::MAX was invalidated").await?;
    Ok(Verdict::Passed)
}
