//! Tokens into options and function. Nothing is judged here but syntax.

mod elsewhere;
mod function;
mod names;
mod options;
mod slot;

pub(crate) use self::function::{Body, Function, function};
pub(crate) use self::options::{Options, options};
pub(crate) use self::slot::Slot;
