//! Names of tags. Entries and messages carry ids, which are hashes; this says what some of them are called.
//!
//! Nothing is remembered until somebody asks for names: a program that never does pays nothing. From then on every tag that
//! this process writes is remembered, up to a bound.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::{IntoTag, Tag, TagId};
use crate::util::id_hasher::IdHasher;
use crate::util::sync::lock;

/// Twice as many names are remembered at most.
const GENERATION: usize = 8_192;

static WANTED: AtomicBool = AtomicBool::new(false);
static NAMES: Mutex<Names> = Mutex::new(Names { young: None, old: None });

type Map = HashMap<TagId, Arc<Tag>, BuildHasherDefault<IdHasher>>;

/// Two generations, so that names in use outlive those that are seen once.
struct Names {
    young: Option<Map>,
    old: Option<Map>,
}

impl Names {
    fn get(&mut self, id: TagId) -> Option<Arc<Tag>> {
        if let Some(known) = self.young.as_ref().and_then(|young| young.get(&id)) {
            return Some(Arc::clone(known));
        }
        let known = self.old.as_mut().and_then(|old| old.remove(&id))?;
        self.insert(id, Arc::clone(&known));
        Some(known)
    }

    fn insert(&mut self, id: TagId, tag: Arc<Tag>) {
        if self.young.as_ref().is_some_and(|young| young.len() >= GENERATION) {
            self.old = self.young.take();
        }
        self.young.get_or_insert_default().insert(id, tag);
    }
}

/// Somebody asks for names.
pub(crate) fn want() {
    if !WANTED.load(Ordering::Relaxed) {
        WANTED.store(true, Ordering::Relaxed);
    }
}

/// Remembers what a tag and its prefixes are called, if anybody asks for names.
#[inline]
pub(crate) fn note(tag: &dyn IntoTag) {
    if WANTED.load(Ordering::Relaxed) {
        remember(tag);
    }
}

#[cold]
fn remember(tag: &dyn IntoTag) {
    let whole = Tag::new(tag);
    let mut names = lock(&NAMES);
    for (id, parts) in whole.prefixes() {
        if names.get(id).is_none() {
            names.insert(id, Arc::new(whole.of_first(parts)));
        }
    }
}

/// What the tag of this id is called, if this process has written it lately.
pub(crate) fn name_of(id: TagId) -> Option<Arc<Tag>> {
    lock(&NAMES).get(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_their_prefixes_have_names() {
        want();
        note(&("names", 7));
        let known = |tag: Tag| name_of(tag.id()).map(|name| name.to_string());
        assert_eq!(known(Tag::new(("names", 7))).as_deref(), Some("names/7"));
        assert_eq!(known(Tag::new("names")).as_deref(), Some("names"));
        assert_eq!(known(Tag::new("names never written")), None);
    }

    #[test]
    fn names_are_bounded_and_those_in_use_stay() {
        let mut names = Names { young: None, old: None };
        let used = TagId(1);
        names.insert(used, Arc::new(Tag::new("used")));
        for number in 2..10 * GENERATION as u64 {
            names.insert(TagId(number), Arc::new(Tag::new("seen once")));
            if number % 1_000 == 0 {
                assert!(names.get(used).is_some());
            }
        }
        let len = |map: &Option<Map>| map.as_ref().map_or(0, HashMap::len);
        assert!(len(&names.young) + len(&names.old) <= 2 * GENERATION);
    }
}
