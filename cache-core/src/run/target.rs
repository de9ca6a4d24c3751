//! What a call asks for, and what can be done with that alone: its names in backends and its place in memory.

use std::sync::Arc;

use crate::backend::{EntryKey, TagId};
use crate::engine::descriptor::Instance;
use crate::engine::function::Function;
use crate::entry::CachedEntry;
use crate::entry::value_codec::ValueCodec;
use crate::freshness::function_tags::BaseTags;
use crate::key::backend_key::{entry_identity, key_tag, with_identity};
use crate::key::call_key::CallKey;
use crate::memory::Inserted;
use crate::scope::Scope;

/// Which answer is wanted: the function, and what its entry is filed under. The same for every call of this key.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) function: Arc<Function>,
    pub(crate) instance: &'static Instance,
    /// `None` if the arguments can't be a key, or the call isn't to be cached.
    pub(crate) key: Option<CallKey>,
    pub(crate) scope: Scope,
    /// `None` if the key or the value has no form for backends.
    pub(crate) codec: Option<ValueCodec>,
}

impl Target {
    /// The bytes that name this key's entry in backends.
    pub(super) fn entry_key(&self) -> Option<EntryKey> {
        let (key, options) = (self.key.as_ref()?, &self.function.descriptor.options);
        let (function, scope) = (&self.instance.identity, self.scope.name());
        let bytes = key.with_args(|args, _| entry_identity(function, options.key, options.version, scope, args));
        Some(EntryKey::new(bytes))
    }

    /// The tag that every entry of this key carries.
    pub(super) fn key_tag(&self) -> Option<TagId> {
        let key = self.key.as_ref()?;
        let version = self.function.descriptor.options.version;
        let (function, scope) = (&self.instance.identity, self.scope.name());
        let tag =
            |args: &[u8], typed| with_identity(function, version, scope, args, |identity| key_tag(identity, typed));
        Some(key.with_args(tag))
    }

    /// The tags of all the function's entries in this scope.
    pub(super) fn base_tags(&self) -> Arc<BaseTags> {
        self.function.base_tags(self.instance, &self.scope)
    }

    /// See [`Function::fingerprint`].
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        self.function.fingerprint(self.instance, self.codec?)
    }

    /// Whether the value has a form for backends.
    pub(super) fn is_encodable(&self) -> bool {
        self.fingerprint().is_some()
    }

    /// Puts an entry into memory.
    pub(super) fn fill_memory(&self, entry: &Arc<CachedEntry>) -> Inserted {
        let (Some(store), Some(key)) = (self.function.store(), &self.key) else {
            return Inserted { has_room: true, evicted_at: None };
        };
        store.insert(key.clone(), Arc::clone(entry))
    }

    /// Removes this entry from memory, unless something else is there by now.
    pub(super) fn take_out_of_memory(&self, entry: &Arc<CachedEntry>) {
        if let (Some(store), Some(key)) = (self.function.store(), &self.key)
            && store.get_owned(key).is_some_and(|there| Arc::ptr_eq(&there, entry))
        {
            store.withdraw(key);
        }
    }

    /// Removes whatever memory has for the key.
    pub(super) fn clear_memory(&self) {
        if let (Some(store), Some(key)) = (self.function.store(), &self.key) {
            store.withdraw(key);
        }
    }
}
