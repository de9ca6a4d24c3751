//! What a cached function returns, and which part of it is stored: found by type and not by spelling, so aliases of
//! `Result` are seen through.
//!
//! The macro writes one expression per function, three steps of method probing (see `probe`), whose value is a
//! [`Shape`]: a token without data that tells the engine how to take a return value apart, encode it and put it
//! together again.

mod codec;
mod failure;
mod kept;
mod probe;
mod sharing;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

pub use self::codec::{Encoding, LocalOnly, Serde, SerdeEq, ValueCodec};
pub use self::failure::{ByClone, ByIo, ByText, Nobody, SharedFailure, Sharing, Source, Unshared};
pub use self::kept::{
    Comparable, Keepable, KeptByClone, KeptForThreads, KeptInBackends, NotClone, NotSend, NotSerde, Shareable,
};
pub use self::probe::{Checked, Fails, Kept, Never, Plain, Probe, ReturnsResult};
pub use self::sharing::{AnyFails, CloneFails, ErrorFails, IoFails, OpaqueFails, TextFails};

/// Every trait of the probe, without names that could hide a user's.
pub mod levels {
    pub use super::kept::{Comparable as _, Keepable as _, NotClone as _, NotSend as _, NotSerde as _, Shareable as _};
    pub use super::probe::Plain as _;
    pub use super::sharing::{
        AnyFails as _, CloneFails as _, ErrorFails as _, IoFails as _, OpaqueFails as _, TextFails as _,
    };
}

/// The types of a [`Shape`], without its bounds.
///
/// The future of a cached function holds values of these types, and to find out whether it is `Send` the compiler looks
/// them up with all lifetimes erased. Bounds that hold for one lifetime only, as `Box<dyn Error + 'static>: AsRef<dyn
/// Error>` does, then fail ("not general enough"), so none must stand in the way here.
pub trait Types {
    /// What the body returns.
    type Return;
    /// What an entry keeps of it.
    type Stored;
}

/// How the engine handles what a cached function returns.
pub trait Shape: Types<Stored: Clone + Send + Sync + 'static> + Copy + Send + Sync + 'static {
    /// The part that is stored; `None` if nothing may be (an `Err`, unless `cache_err` says otherwise).
    fn split(ret: &Self::Return) -> Option<&Self::Stored>;
    /// The same by value; what isn't stored comes back.
    ///
    /// # Errors
    /// The return value as it was.
    fn into_stored(ret: Self::Return) -> Result<Self::Stored, Self::Return>;
    /// A stored value as a caller gets it: the inverse of [`split`](Self::split).
    fn wrap(stored: Self::Stored) -> Self::Return;
    /// The byte form of what is stored; `None` for `local` functions.
    fn codec() -> Option<ValueCodec>;
    /// Whether an `Err` can be shared, as a rule. `true` also where there is none.
    const SHARES_ERRORS: bool;
    /// An `Err` in a form that everyone who waited for it can share; `None` if it is none or can't be shared, and
    /// then one of those who waited leads the next run, while the others run at the same time.
    fn failure(self, ret: &Self::Return) -> Option<Arc<dyn Any + Send + Sync>>;
    /// A waiter's own copy of what [`failure`](Self::failure) made.
    #[allow(clippy::wrong_self_convention)] // the token is a proof of the type, not what is converted
    fn from_failure(self, shared: &(dyn Any + Send + Sync)) -> Option<Self::Return>;
}

/// The function returns a `Result` whose `Err` isn't stored.
#[diagnostic::on_unimplemented(
    message = "`stale_if_error` is for functions that return a `Result`",
    label = "this function can't fail",
    note = "an old value takes the place of an `Err`: return a `Result`, or use `stale_while_revalidate`"
)]
pub trait CanFail {}

impl<T, E, C, L> CanFail for OkOnly<T, E, C, L> {}

/// The function returns `T` and all of it is stored. `C` is the [`Encoding`].
pub struct Whole<T, C>(Of<(T, C)>);

/// The function returns `Result<T, E>` and the `Ok` is stored. `C` is the [`Encoding`], `L` how an `Err` is
/// [shared](Sharing).
pub struct OkOnly<T, E, C, L>(Of<(T, E, C, L)>);

impl<T, C> Types for Whole<T, C> {
    type Return = T;
    type Stored = T;
}

impl<T, C> Shape for Whole<T, C>
where
    T: Clone + Send + Sync + 'static,
    C: Encoding<T>,
{
    const SHARES_ERRORS: bool = true;

    fn split(ret: &T) -> Option<&T> {
        Some(ret)
    }

    fn into_stored(ret: T) -> Result<T, T> {
        Ok(ret)
    }

    fn wrap(stored: T) -> T {
        stored
    }

    fn codec() -> Option<ValueCodec> {
        C::codec()
    }

    fn failure(self, _: &T) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    fn from_failure(self, _: &(dyn Any + Send + Sync)) -> Option<T> {
        None
    }
}

impl<T, E, C, L> Types for OkOnly<T, E, C, L> {
    type Return = Result<T, E>;
    type Stored = T;
}

impl<T, E, C, L> Shape for OkOnly<T, E, C, L>
where
    T: Clone + Send + Sync + 'static,
    E: 'static,
    C: Encoding<T>,
    L: Sharing<E>,
{
    const SHARES_ERRORS: bool = L::SHARES;

    fn split(ret: &Result<T, E>) -> Option<&T> {
        ret.as_ref().ok()
    }

    fn into_stored(ret: Result<T, E>) -> Result<T, Result<T, E>> {
        ret.map_err(Err)
    }

    fn wrap(stored: T) -> Result<T, E> {
        Ok(stored)
    }

    fn codec() -> Option<ValueCodec> {
        C::codec()
    }

    fn failure(self, ret: &Result<T, E>) -> Option<Arc<dyn Any + Send + Sync>> {
        L::share(ret.as_ref().err()?)
    }

    fn from_failure(self, shared: &(dyn Any + Send + Sync)) -> Option<Result<T, E>> {
        L::revive(shared).map(Err)
    }
}

/// `map(value)`, in an order of arguments that lets the compiler infer a closure's parameter.
pub fn map<T, U>(value: T, map: impl FnOnce(T) -> U) -> U {
    map(value)
}

/// Types without values of them: `Send` and `Sync`, whatever they are.
type Of<T> = PhantomData<fn() -> T>;

// Written by hand: derives would ask `T: Clone` and so on, but a token holds none of its types.
macro_rules! token {
    ($name:ident<$($param:ident),+>) => {
        impl<$($param),+> $name<$($param),+> {
            /// The token.
            pub const NEW: Self = Self(std::marker::PhantomData);
        }
        impl<$($param),+> Clone for $name<$($param),+> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<$($param),+> Copy for $name<$($param),+> {}
        impl<$($param),+> fmt::Debug for $name<$($param),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::any::type_name::<Self>())
            }
        }
    };
}
use token;

token!(Whole<T, C>);
token!(OkOnly<T, E, C, L>);
