//! Which function, with which type parameters, a call is of.

use std::any::TypeId;

/// Where a call comes from: the annotated function with all type parameters that are in force in it.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    /// As the compiler writes it, with the types; not always enough to tell them apart.
    path: &'static str,
    id: TypeId,
}

impl Here {
    /// Of a closure that stands in the function: its type carries the function's type parameters along.
    #[inline]
    pub fn of<T: ?Sized>(_: &T) -> Self {
        Self { path: std::any::type_name::<T>(), id: typeid::of::<T>() }
    }

    /// As the compiler writes it.
    pub(crate) fn path(self) -> &'static str {
        self.path
    }

    /// Of no other function, and of none with other type parameters.
    #[inline]
    pub(crate) fn type_id(self) -> TypeId {
        self.id
    }

    /// Whether it is the same function with the same type parameters.
    #[inline]
    pub(crate) fn is(self, other: Self) -> bool {
        self.id == other.id
    }

    /// The same in another place.
    #[inline]
    pub(crate) fn again(self) -> Self {
        Self { path: self.path, id: self.id }
    }
}
