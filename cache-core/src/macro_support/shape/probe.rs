//! How the macro finds the [`Shape`](super::Shape) of a return type `R` that it only knows as tokens:
//!
//! ```text
//! use larder::__private::shape::levels::*;
//! let shape = (&&&&&&&(&&&&&(&Probe::<R>::NEW).__larder_shape()).__larder_shared()).__larder_failures();
//! //                                           ^^^^^^^ or `whole`, with `cache_err = true`
//! //                                                     ^^^^^^^^ or `local`
//! ```
//!
//! 1. [`Probe`]: is it a `Result`? Inherent methods win over [`Plain`], so `Result` is recognised through any alias.
//! 2. [`Kept`]: may what is stored be stored, and can it be compared? See [`super::kept`].
//! 3. [`Checked`]: how is a failure shared? See [`super::sharing`].
//!
//! In steps 2 and 3 the first level whose bounds hold answers: one that is tried earlier is implemented for one more
//! `&`. In generic functions the bounds in sight decide.

use std::fmt;

use super::{Of, token};

/// Step 1: a function returns `R`.
pub struct Probe<R>(Of<R>);

/// Step 2: an entry keeps `T`; `F` is [`Fails`] or [`Never`].
pub struct Kept<T, F>(Of<(T, F)>);

/// Step 3: the same, and `T` may be kept, encoded by `C`.
pub struct Checked<T, F, C>(Of<(T, F, C)>);

/// The function can fail with an `E`, which is not stored.
pub struct Fails<E>(Of<E>);

/// Everything the function returns is stored.
#[derive(Clone, Copy, Debug)]
pub struct Never;

token!(Probe<R>);
token!(Kept<T, F>);
token!(Checked<T, F, C>);
token!(Fails<E>);

impl<T, E> Probe<Result<T, E>> {
    /// The `Ok` is stored.
    pub fn __larder_shape(&self) -> Kept<T, Fails<E>> {
        Kept::NEW
    }

    /// The whole `Result` is stored.
    pub fn __larder_whole(&self) -> Kept<Result<T, E>, Never> {
        Kept::NEW
    }
}

/// Anything but a `Result`.
pub trait Plain<R> {
    /// All of it is stored.
    fn __larder_shape(&self) -> Kept<R, Never>;
    /// `cache_err = true` asks for a `Result`.
    fn __larder_whole(&self) -> R::Kept
    where
        R: ReturnsResult;
}

impl<R> Plain<R> for Probe<R> {
    fn __larder_shape(&self) -> Kept<R, Never> {
        Kept::NEW
    }

    fn __larder_whole(&self) -> R::Kept
    where
        R: ReturnsResult,
    {
        R::kept()
    }
}

/// Implemented by nothing: see the message.
#[diagnostic::on_unimplemented(
    message = "`cache_err` is for functions that return a `Result`, and this one returns `{Self}`",
    label = "not a `Result`",
    note = "leave `cache_err` out: all values of `{Self}` are cached"
)]
pub trait ReturnsResult: Sized {
    /// Stands for what is missing, so that the compiler says no more than the message.
    type Kept;
    /// Never called.
    fn kept() -> Self::Kept;
}
