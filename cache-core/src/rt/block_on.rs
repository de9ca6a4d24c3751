//! Blocks the calling thread on a future: sync functions drive the same pipeline as async ones.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs the future to its end. What doesn't wait, as most don't, needs nothing to be woken with.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        // Asked once more first, so that nothing is missed that came meanwhile.
        Poll::Pending => pollster::block_on(future),
    }
}
