//! How an argument finds its way into a key: by its type, through autoref probing.
//!
//! The macro writes `(&&&&Part(&(argument))).__larder_add(key)` with the traits below in scope. Method lookup then tries, in this
//! order, and takes the first that applies to the argument's type `T`:
//!
//! | receiver | trait | applies to |
//! |---|---|---|
//! | `&&&Part<T>` | [`ByIdentity`] | `T: Identity` |
//! | `&&&&Part<T>` | [`ByHash`](local::ByHash), `local` only | two steps around a typed part, e.g. `&[&T]` |
//! | `&&Part<T>` | [`ByHash`](local::ByHash), `local` only | one step around a typed part, e.g. `&T` |
//! | `&Part<T>` | [`ByHash`](local::ByHash), `local` only | `T: Hash + Eq + Clone + Send + Sync + 'static` |
//! | `&self` of `Part<T>` | [`BySerialize`] | `T: Serialize` |
//! | `self` of `Part<T>` | [`Missing`] | everything: it explains what is missing |
//!
//! (The second line is no mistake: a receiver that needs one more `&` is tried right after one that fits as it is.)
//! Borrows come before what they point to because method lookup doesn't look at lifetimes: it would take a `&'a T` for a
//! `'static` typed part, and the borrow checker would refuse it afterwards.

use std::any::{Any, type_name};
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::Serialize;

use super::identity::{Identity, KeyWriter};
use super::{KeyBuf, serializer};
use crate::error::{Error, ErrorKind};
use crate::util::caught::caught;

/// One argument on its way into a key.
pub struct Part<'a, T: ?Sized>(pub &'a T);

impl<T: ?Sized> Clone for Part<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Part<'_, T> {}

impl<T: ?Sized> fmt::Debug for Part<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part<{}>", type_name::<T>())
    }
}

/// An argument that says itself what identifies it.
pub trait ByIdentity {
    /// Appends the argument to the key.
    fn __larder_add(&self, key: &mut KeyBuf<'_>);
}

impl<T: Identity + ?Sized> ByIdentity for &&&Part<'_, T> {
    #[inline]
    fn __larder_add(&self, key: &mut KeyBuf<'_>) {
        self.0.identify(&mut KeyWriter::new(&mut key.bytes));
    }
}

/// An argument that serde can write.
pub trait BySerialize {
    /// Appends the argument to the key. If its `Serialize` fails or panics, the key has an error afterwards.
    fn __larder_add(&self, key: &mut KeyBuf<'_>);
}

impl<T: Serialize + ?Sized> BySerialize for Part<'_, T> {
    fn __larder_add(&self, key: &mut KeyBuf<'_>) {
        let failed = match caught(|| serializer::encode(self.0, &mut key.bytes)) {
            Some(Ok(())) => return,
            Some(Err(cause)) => Some(cause),
            None => None,
        };
        let message = format!(
            "an argument of type `{}` can't be encoded as part of a cache key{}: say what identifies the call with \
             `key = ..`, or leave the argument out with `skip(..)`",
            type_name::<T>(),
            if failed.is_none() { ", because its `Serialize` panics" } else { "" },
        );
        let error = Error::new(ErrorKind::Key, message);
        key.fail(match failed {
            Some(cause) => error.with_source(cause),
            None => error,
        });
    }
}

/// An argument that can't be part of a key: a compile error that says what to do.
pub trait Missing<T: ?Sized> {
    /// Never compiles.
    fn __larder_add(self, key: &mut KeyBuf<'_>)
    where
        Key: Accepts<T>;
}

impl<T: ?Sized> Missing<T> for Part<'_, T> {
    fn __larder_add(self, _key: &mut KeyBuf<'_>)
    where
        Key: Accepts<T>,
    {
    }
}

/// What the compiler asks for when an argument fits nowhere. Nothing implements it.
///
/// It asks this of [`Key`] rather than of `T`, or the compiler would propose to bound a generic `T` by it.
#[diagnostic::on_unimplemented(
    message = "`{T}` can't be part of a cache key",
    label = "not usable as a cache key",
    note = "derive `serde::Serialize` for it (or, with `local`: `Hash`, `Eq` and `Clone`, and it must be `Send + Sync + \
            'static`)",
    note = "or leave it out with `skip(..)`, or say what identifies the call with `key = ..`",
    note = "in a generic function, require `T: serde::Serialize`"
)]
pub trait Accepts<T: ?Sized> {}

/// See [`Accepts`].
#[derive(Debug)]
pub enum Key {}

/// A part of a key that is compared and hashed as the value it is, and means nothing outside this process.
///
/// Implemented for everything that is `Hash + Eq + Clone + Send + Sync + 'static`.
pub trait TypedPart: Send + Sync + 'static {
    /// The value, to compare another one with.
    fn as_any(&self) -> &dyn Any;
    /// Whether the other one is of the same type and equal.
    fn same(&self, other: &dyn Any) -> bool;
    /// Feeds the value to the hasher.
    fn hash_part(&self, state: &mut dyn Hasher);
    /// A copy to keep.
    fn to_stored(&self) -> Box<dyn TypedPart>;
}

impl<T: Hash + Eq + Clone + Send + Sync + 'static> TypedPart for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    #[inline]
    fn same(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>().is_some_and(|other| self == other)
    }

    fn hash_part(&self, mut state: &mut dyn Hasher) {
        self.hash(&mut state);
    }

    fn to_stored(&self) -> Box<dyn TypedPart> {
        Box::new(self.clone())
    }
}

/// The doors of `local` functions: those of all functions, and typed parts.
pub mod local {
    use std::borrow::Cow;
    use std::fmt;
    use std::marker::PhantomData;

    pub use super::{ByIdentity, BySerialize, Missing, Part};
    use super::{KeyBuf, TypedPart};

    /// An argument that can be compared and hashed, or a borrow of such.
    pub trait ByHash<'a> {
        /// Appends the argument to the key.
        fn __larder_add(&self, key: &mut KeyBuf<'a>);
    }

    impl<'a, 'b, T: ?Sized> ByHash<'a> for &&&&Part<'b, T>
    where
        &'b T: Seen<'a, In<In<Leaf>>>,
    {
        fn __larder_add(&self, key: &mut KeyBuf<'a>) {
            self.0.see(key);
        }
    }

    impl<'a, 'b, T: ?Sized> ByHash<'a> for &&Part<'b, T>
    where
        &'b T: Seen<'a, In<Leaf>>,
    {
        fn __larder_add(&self, key: &mut KeyBuf<'a>) {
            self.0.see(key);
        }
    }

    impl<'a, 'b, T> ByHash<'a> for &Part<'b, T>
    where
        &'b T: Seen<'a, Leaf>,
    {
        fn __larder_add(&self, key: &mut KeyBuf<'a>) {
            self.0.see(key);
        }
    }

    /// A reference to a typed part, or to something that borrows typed parts for `'a`; `M` says in how many steps.
    pub trait Seen<'a, M> {
        /// Appends it to the key: the form to the bytes, what it borrows to the typed parts.
        fn see(self, key: &mut KeyBuf<'a>);
    }

    /// No step: it is a typed part.
    #[derive(Debug)]
    pub struct Leaf;

    /// One step more than `M`.
    pub struct In<M>(PhantomData<M>);

    impl<M> fmt::Debug for In<M> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("In")
        }
    }

    impl<'a, T: TypedPart> Seen<'a, Leaf> for &'a T {
        #[inline]
        fn see(self, key: &mut KeyBuf<'a>) {
            key.push_typed(self);
        }
    }

    /// A table of implementations: `{generics} Type: |value, key| what to write;`
    macro_rules! seen {
        ($({$($generics:tt)*} $type:ty: |$value:ident, $key:ident| $write:expr;)*) => {$(
            impl<'a, 'b, M, T: Clone, $($generics)*> Seen<'a, In<M>> for $type
            where
                &'b T: Seen<'a, M>,
            {
                #[inline]
                fn see(self, $key: &mut KeyBuf<'a>) {
                    let $value = self;
                    $write
                }
            }
        )*};
    }

    seen! {
        {} &&'b T: |v, key| (*v).see(key);
        {} &&'b [T]: |v, key| all(v.len(), *v, key);
        {} &Option<&'b T>: |v, key| {
            key.push(&[u8::from(v.is_some())]);
            v.iter().for_each(|item| (*item).see(key));
        };
        {} &Option<&'b [T]>: |v, key| {
            key.push(&[u8::from(v.is_some())]);
            v.iter().for_each(|items| all(items.len(), *items, key));
        };
        {} &Vec<&'b T>: |v, key| all(v.len(), v.iter().copied(), key);
        {const N: usize} &[&'b T; N]: |v, key| v.iter().for_each(|item| (*item).see(key));
        {} &'b Cow<'_, T>: |v, key| (&**v).see(key);
        {} &'b Cow<'_, [T]>: |v, key| all(v.len(), &**v, key);
    }

    fn all<'a, M, T: Seen<'a, M>>(count: usize, items: impl IntoIterator<Item = T>, key: &mut KeyBuf<'a>) {
        key.bytes.push_count(count);
        items.into_iter().for_each(|item| item.see(key));
    }
}
