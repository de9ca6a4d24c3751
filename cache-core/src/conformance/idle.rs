//! Lives that end unless entries are touched.

use std::time::Duration;

use super::Verdict;
use super::harness::{Outcome, Probe, key};
use super::lifetimes::put;
use crate::backend::{Backend, Lifetimes};

const IDLE: Duration = Duration::from_millis(1_500);

/// A touch takes its time: nobody waits for it.
const SOON: Duration = Duration::from_millis(200);

pub(super) async fn check(probe: &Probe<'_>) -> Outcome {
    let [first, second] = probe.both();
    if !first.backend.prolongs() {
        return Ok(Verdict::Skipped { needs: "`touch`" });
    }
    let idle = Lifetimes { idle: Some(IDLE), ..Lifetimes::default() };
    let mortal = Lifetimes { keep: Some(2 * IDLE), ..idle };
    let (unused, used, short, plain) = (key("unused"), key("used"), key("short"), key("plain"));
    put(&first, &unused, idle).await?;
    let of_used = put(&first, &used, idle).await?;
    let of_short = put(&first, &short, mortal).await?;
    let of_plain = put(&first, &plain, Lifetimes::default()).await?;
    let touch = async |backend: &dyn Backend| {
        for touched in [&used, &short, &plain] {
            backend.touch(touched, IDLE);
        }
        // Nothing is there, and nothing is to be there.
        backend.touch(&key("nothing"), IDLE);
        // In real time, as the work is done beside.
        probe.sleep(SOON).await;
    };
    probe.pass(IDLE / 2).await;
    touch(first.backend).await;
    probe.pass(IDLE / 2).await;
    for side in probe.both() {
        side.expect_dead(&unused, &format!("nobody has touched it for {IDLE:?}")).await?;
        side.expect_live(&used, &of_used, "it was touched").await?;
        side.expect_live(&short, &of_short, "it was touched").await?;
        side.expect_dead(&key("nothing"), "a touch makes no entry").await?;
    }
    // A shorter one doesn't take away what a longer one has given.
    second.backend.touch(&used, Duration::from_millis(1));
    touch(second.backend).await;
    probe.pass(IDLE / 4).await;
    first.expect_live(&used, &of_used, "it was touched by the other process").await?;
    touch(second.backend).await;
    probe.pass(IDLE * 3 / 4).await;
    for side in probe.both() {
        side.expect_dead(&short, &format!("it was to be kept for {:?}, however often it is touched", 2 * IDLE)).await?;
    }
    probe.pass(IDLE / 2).await;
    for side in probe.both() {
        side.expect_dead(&used, &format!("nobody has touched it for {IDLE:?}")).await?;
        side.expect_live(&plain, &of_plain, "it has no lifetimes, and a touch gives it none").await?;
    }
    Ok(Verdict::Passed)
}
