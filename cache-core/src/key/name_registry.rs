//! Which function a name belongs to, in all caches of the process: caches may share a backend, where two functions that go
//! by one `name` would share their entries. So do two instantiations of one, for types of one path, as blocks can have.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use crate::key::call_key::FunctionId;
use crate::util::sync::lock;

/// The function, with type parameters, what the parts of its key are called, and its version.
type Name = (&'static str, &'static str, u64);

/// By name, the function that came first. As many as the program has, so they are never freed.
static OWNERS: LazyLock<Mutex<HashMap<Name, FunctionId>>> = LazyLock::new(Mutex::default);

/// Whether this name in the backends is this function's own. It is from now on, if it was nobody's.
pub(crate) fn owns_its_name(name: &'static str, key: &'static str, version: u64, function: FunctionId) -> bool {
    *lock(&OWNERS).entry((name, key, version)).or_insert(function) == function
}
