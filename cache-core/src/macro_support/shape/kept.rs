//! Step 2 of the [probe](super::probe): may a `T` be stored?
//!
//! The levels that refuse hold for more types than those before them, and ask for a trait that no type has by itself, whose
//! message says what to do. Bounds on one blanket impl would lose that message: the compiler would complain about
//! `Clone` itself. The associated type of the missing trait stands for the shape, so that nothing more is said.
//!
//! Containers have these traits if what they hold has them, so that the message names what is at fault: `User`, where a
//! function returns `Option<Box<User>>`.

use std::collections::{LinkedList, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{LocalOnly, Serde, SerdeEq};
use super::probe::{Checked, Kept};

/// The value has a byte form, and can be compared with what comes back from it.
pub trait Comparable<T, F> {
    /// It may be kept in every layer.
    fn __larder_shared(&self) -> Checked<T, F, SerdeEq>;
}

impl<T, F> Comparable<T, F> for &&&&Kept<T, F>
where
    T: Clone + Send + Sync + Serialize + DeserializeOwned + PartialEq + 'static,
{
    fn __larder_shared(&self) -> Checked<T, F, SerdeEq> {
        Checked::NEW
    }
}

/// The value has a byte form.
pub trait Shareable<T, F> {
    /// It may be kept in every layer.
    fn __larder_shared(&self) -> Checked<T, F, Serde>;
}

impl<T, F> Shareable<T, F> for &&&Kept<T, F>
where
    T: Clone + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    fn __larder_shared(&self) -> Checked<T, F, Serde> {
        Checked::NEW
    }
}

/// The value can be kept in this process.
pub trait Keepable<T, F> {
    /// It may be kept in memory.
    fn __larder_local(&self) -> Checked<T, F, LocalOnly>;
}

impl<T, F> Keepable<T, F> for &&&Kept<T, F>
where
    T: Clone + Send + Sync + 'static,
{
    fn __larder_local(&self) -> Checked<T, F, LocalOnly> {
        Checked::NEW
    }
}

/// Only serde is missing.
pub trait NotSerde<T> {
    /// Refuses.
    fn __larder_shared(&self) -> T::Checked
    where
        T: KeptInBackends;
}

impl<T, F> NotSerde<T> for &&Kept<T, F>
where
    T: Clone + Send + Sync + 'static,
{
    fn __larder_shared(&self) -> T::Checked
    where
        T: KeptInBackends,
    {
        T::checked()
    }
}

/// Implemented by no type that isn't a container: see the message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be cached: it is not `Serialize` and `DeserializeOwned`",
    label = "returned by a cached function",
    note = "derive serde::Serialize and serde::Deserialize for it, or write `local`: then results stay in this process",
    note = "in a generic function, require `T: Serialize + DeserializeOwned`"
)]
pub trait KeptInBackends {
    /// Stands for what is missing.
    type Checked;
    /// Never called.
    fn checked() -> Self::Checked;
}

/// `Clone`, but not `Send` and `Sync`.
pub trait NotSend<T> {
    /// Refuses.
    fn __larder_shared(&self) -> T::Checked
    where
        T: KeptForThreads;
    /// Refuses.
    fn __larder_local(&self) -> T::Checked
    where
        T: KeptForThreads;
}

impl<T: Clone, F> NotSend<T> for &Kept<T, F> {
    fn __larder_shared(&self) -> T::Checked
    where
        T: KeptForThreads,
    {
        T::checked()
    }

    fn __larder_local(&self) -> T::Checked
    where
        T: KeptForThreads,
    {
        T::checked()
    }
}

/// Implemented by no type that isn't a container: see the message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be cached: it is not `Send` and `Sync`",
    label = "returned by a cached function",
    note = "callers on other threads get the same value: use Arc instead of Rc, and Mutex instead of RefCell",
    note = "in a generic function, require `T: Clone + Send + Sync + 'static`"
)]
pub trait KeptForThreads {
    /// Stands for what is missing.
    type Checked;
    /// Never called.
    fn checked() -> Self::Checked;
}

/// Not even `Clone`.
pub trait NotClone<T> {
    /// Refuses.
    fn __larder_shared(&self) -> T::Checked
    where
        T: KeptByClone;
    /// Refuses.
    fn __larder_local(&self) -> T::Checked
    where
        T: KeptByClone;
}

impl<T, F> NotClone<T> for Kept<T, F> {
    fn __larder_shared(&self) -> T::Checked
    where
        T: KeptByClone,
    {
        T::checked()
    }

    fn __larder_local(&self) -> T::Checked
    where
        T: KeptByClone,
    {
        T::checked()
    }
}

/// Implemented by no type that isn't a container: see the message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be cached: it is not `Clone`",
    label = "returned by a cached function",
    note = "every caller gets a clone of the cached value: derive Clone, or use Arc<{Self}>",
    note = "in a generic function, require `T: Clone + Send + Sync + 'static`"
)]
pub trait KeptByClone {
    /// Stands for what is missing.
    type Checked;
    /// Never called.
    fn checked() -> Self::Checked;
}

/// `Container<T>` lacks what `T` lacks.
macro_rules! as_content {
    ($refusal:ident: $($container:ident<$param:ident $(: ?$sized:ident)?>),+) => {$(
        impl<$param $(: ?$sized)?> $refusal for $container<$param>
        where
            $param: $refusal,
        {
            type Checked = $param::Checked;

            fn checked() -> Self::Checked {
                $param::checked()
            }
        }
    )+};
}

// The compiler lists them where there are five or more, and shows the source of fewer.
as_content!(KeptInBackends: Option<T>, Box<T: ?Sized>, Vec<T>, VecDeque<T>, LinkedList<T>);
as_content!(KeptForThreads: Option<T>, Box<T: ?Sized>, Vec<T>, VecDeque<T>, LinkedList<T>, Arc<T: ?Sized>);
// Not `Arc`, which is `Clone` whatever it holds.
as_content!(KeptByClone: Option<T>, Box<T: ?Sized>, Vec<T>, VecDeque<T>, LinkedList<T>);
