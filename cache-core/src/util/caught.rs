//! Panics of code that isn't ours, where they may not cost a call its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the code comes to; `None` if it panics.
///
/// What it was changing by then must be given up, or be in order: nobody else sees to that. Where panics abort the process
/// (`panic = "abort"`), nothing is caught.
pub(crate) fn caught<R>(code: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(code)).map_err(forget).ok()
}

/// A panic may carry anything, and that may panic when it is dropped.
#[cold]
fn forget(panic: Box<dyn std::any::Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(another);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb(u8);

    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(match self.0 {
                0 => Box::new(0) as Box<dyn std::any::Any + Send>,
                left => Box::new(Bomb(left - 1)),
            });
        }
    }

    #[test]
    fn whatever_a_panic_carries() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(
            caught(|| if true {
                panic!("words")
            }),
            None
        );
        assert_eq!(caught(|| drop(Bomb(3))), None);
    }
}
