//! The few combinators the suite needs, so that it depends on no runtime.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::backend::BoxFuture;

/// All of them at once; ready when all are.
pub(super) async fn together<T>(work: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut work: Vec<_> = work.into_iter().map(|future| (Some(future), None)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (future, done) in &mut work {
            let Some(running) = future else { continue };
            match running.as_mut().poll(context) {
                Poll::Ready(result) => {
                    *done = Some(result);
                    *future = None;
                }
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    work.into_iter().filter_map(|(_, done)| done).collect()
}

/// Polls at most so many times, then drops the work: `None`, unless it was done by then.
pub(super) async fn cut_after<T>(polls: usize, mut work: BoxFuture<'_, T>) -> Option<T> {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match Pin::as_mut(&mut work).poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Lets others run.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
