//! Step 3 of the [probe](super::probe): how is an `Err` given to those who waited for it? The levels, first to last.

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::io;

use super::failure::{ByClone, ByIo, ByText, Nobody, Nowhere, OfError, SharedFailure, Unshared};
use super::probe::{Checked, Fails, Never};
use super::{OkOnly, Whole};

impl<T, C> Checked<T, Never, C> {
    /// Nothing fails.
    pub fn __larder_failures(&self) -> Whole<T, C> {
        Whole::NEW
    }
}

/// Not `Clone`, and common enough to be known by name.
pub trait IoFails<T, C> {
    /// Waiters get the same kind, code and message.
    fn __larder_failures(&self) -> OkOnly<T, io::Error, C, ByIo>;
}

impl<T, C> IoFails<T, C> for &&&&&&Checked<T, Fails<io::Error>, C> {
    fn __larder_failures(&self) -> OkOnly<T, io::Error, C, ByIo> {
        OkOnly::NEW
    }
}

macro_rules! level {
    ($(#[$doc:meta])* $level:ident for $receiver:ty, E: ($($bounds:tt)*) => $sharing:ty) => {
        $(#[$doc])*
        pub trait $level<T, E, C> {
            /// How waiters get the error.
            fn __larder_failures(&self) -> OkOnly<T, E, C, $sharing>;
        }

        impl<T, E: $($bounds)*, C> $level<T, E, C> for $receiver {
            fn __larder_failures(&self) -> OkOnly<T, E, C, $sharing> {
                OkOnly::NEW
            }
        }
    };
}

level! {
    /// The usual error enum.
    CloneFails for &&&&&Checked<T, Fails<E>, C>, E: (Clone + Send + Sync + 'static) => ByClone
}
level! {
    /// Made of whatever is an error: `anyhow::Error`, `eyre::Report`, `Box<dyn Error>`. It was not asked whether it can do
    /// with a text in the place of the original, to which it is downcast.
    AnyFails for &&&&Checked<T, Fails<E>, C>, E: (From<Nobody>) => Unshared
}
level! {
    /// An error that says how it is made of a shared one.
    ErrorFails for &&&Checked<T, Fails<E>, C>, E: (StdError + From<SharedFailure> + 'static) => ByText<OfError>
}
level! {
    /// What isn't an error, and says so too.
    TextFails for &&Checked<T, Fails<E>, C>, E: (Display + Debug + From<SharedFailure> + 'static) => ByText<Nowhere>
}
level! {
    /// Nothing is known about the error.
    OpaqueFails for Checked<T, Fails<E>, C>, E: () => Unshared
}
