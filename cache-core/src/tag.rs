//! Tags: what a user calls the data an entry was computed from.

pub(crate) mod names;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::util::text::Text;

/// A tag as a backend sees it: a 64-bit hash, the same in every process. Two tags that share an id are invalidated
/// together, which can only cost a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(pub u64);

impl TagId {
    /// The whole cache. Every entry that the engine stores carries it, so invalidating it makes all of them worthless.
    pub const EVERYTHING: Self = Self(0x2a2a_2a2a_6c61_7264);
}

/// Kinds of things that can be invalidated. Each has its own space of ids.
mod space {
    pub(super) const TAG: u64 = 0x7461_6700;
    pub(super) const SCOPED: u64 = 0x7363_6f70;
    pub(super) const SCOPE: u64 = 0x6c61_7264;
    pub(super) const FUNCTION: u64 = 0x6675_6e63;
    pub(super) const KEY: u64 = 0x6b65_7900;
}

/// Every entry carries it: the whole cache.
pub(crate) const EVERYTHING: TagId = TagId::EVERYTHING;

/// All entries of a scope.
pub(crate) fn scope_tag(scope: &str) -> TagId {
    TagId(xxh3_64_with_seed(scope.as_bytes(), space::SCOPE))
}

/// A tag as it is in one scope. In the default scope it is the tag itself.
pub(crate) fn in_scope(tag: TagId, scope: &str) -> TagId {
    if scope.is_empty() {
        return tag;
    }
    TagId(xxh3_64_with_seed(scope.as_bytes(), space::SCOPED ^ tag.0.rotate_left(17)))
}

/// A whole function, in all scopes.
pub(crate) fn function_tag(function: &str) -> TagId {
    TagId(xxh3_64_with_seed(function.as_bytes(), space::FUNCTION))
}

/// A whole function in one scope, the default one included.
pub(crate) fn function_in_scope_tag(function: &str, scope: &str) -> TagId {
    TagId(xxh3_64_with_seed(scope.as_bytes(), space::SCOPED ^ function_tag(function).0.rotate_left(17)))
}

/// One key.
pub(crate) fn key_tag(identity: &[u8]) -> TagId {
    TagId(xxh3_64_with_seed(identity, space::KEY))
}

/// A tag: a path of one or more parts. `"users"` is a path of one part; `("user", 7)` has two and implies `"user"`, so
/// invalidating `"user"` clears what is tagged `("user", 7)`.
///
/// Parts compare by their text: `("user", 7u32)`, `("user", 7u64)` and `("user", "7")` are the same tag, while `"a/b"`
/// and `("a", "b")` are not.
///
/// Wherever a tag is asked for, strings and tuples do; this type is for keeping one.
///
/// ```
/// use cache_core::Tag;
///
/// assert_eq!(Tag::new(("user", 7u32)), Tag::new(("user", "7")));
/// assert_ne!(Tag::new("a/b"), Tag::new(("a", "b")));
/// assert_eq!(Tag::new(("user", 7)).to_string(), "user/7");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag {
    path: TagPath,
}

impl Tag {
    /// The tag a string or tuple stands for.
    pub fn new(tag: impl IntoTag) -> Self {
        let mut path = TagPath::default();
        tag.write_path(&mut path);
        Self { path }
    }

    /// The tag of one entry, which isn't named by a path.
    pub(crate) fn of_entry(id: TagId) -> Self {
        Self { path: TagPath { entry: Some(id), ..TagPath::default() } }
    }

    /// How backends know it.
    pub fn id(&self) -> TagId {
        self.path.entry.unwrap_or_else(|| self.path.parts().map(str::as_bytes).fold(ROOT, id_with))
    }

    /// The same in one scope. An entry is in one scope anyway.
    pub(crate) fn id_in(&self, scope: &str) -> TagId {
        self.path.entry.unwrap_or_else(|| in_scope(self.id(), scope))
    }

    /// The id of a tag that is written here, which gives the id a name.
    pub(crate) fn id_of(tag: impl IntoTag) -> TagId {
        names::note(&tag);
        Self::new(tag).id()
    }

    /// The same in one scope.
    pub(crate) fn id_of_in(tag: impl IntoTag, scope: &str) -> TagId {
        names::note(&tag);
        Self::new(tag).id_in(scope)
    }

    /// The ids of all its prefixes, itself included, each with how many parts it has.
    fn prefixes(&self) -> impl Iterator<Item = (TagId, usize)> {
        let ids = self.path.parts().scan(ROOT, |id, part| {
            *id = id_with(*id, part.as_bytes());
            Some(*id)
        });
        ids.zip(1..)
    }

    /// Its first so many parts.
    fn of_first(&self, parts: usize) -> Self {
        let mut path = TagPath::default();
        self.path.parts().take(parts).for_each(|part| path.push_utf8(part.as_bytes()));
        Self { path }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = self.path.entry {
            return write!(f, "entry {:016x}", id.0);
        }
        for (number, part) in self.path.parts().enumerate() {
            if number > 0 {
                f.write_char('/')?;
            }
            if part.is_empty() || part.contains('/') {
                write!(f, "{part:?}")?;
            } else {
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

/// Where a tag says what its parts are, one by one.
#[doc(hidden)]
pub trait TagParts {
    /// The next part, by its text in UTF-8. As bytes: most tags are hashed and nothing else, and were known to be text before.
    fn push_utf8(&mut self, text: &[u8]);

    /// It has no parts, but is the tag of this entry.
    fn is_entry(&mut self, id: TagId);
}

impl dyn TagParts + '_ {
    /// The next part, by what it displays. A part whose `Display` fails counts with what it had written.
    pub fn push(&mut self, part: &dyn fmt::Display) {
        self.push_utf8(Text::of(part).as_bytes());
    }
}

/// The id of a path that goes on with this part. Chained: it depends on where each of the parts begins, not on the joined
/// text.
fn id_with(path: TagId, part: &[u8]) -> TagId {
    TagId(xxh3_64_with_seed(part, path.0))
}

/// Of the path without parts.
const ROOT: TagId = TagId(space::TAG);

/// The parts of a tag that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct TagPath {
    /// The parts' texts, joined.
    text: String,
    /// Where each part ends.
    ends: Vec<usize>,
    /// Instead of parts.
    entry: Option<TagId>,
}

impl TagPath {
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.ends.iter().scan(0, |start, end| {
            let part = self.text.get(*start..*end);
            *start = *end;
            part
        })
    }
}

impl TagParts for TagPath {
    fn push_utf8(&mut self, text: &[u8]) {
        self.text.push_str(&String::from_utf8_lossy(text));
        self.ends.push(self.text.len());
    }

    fn is_entry(&mut self, id: TagId) {
        self.entry = Some(id);
    }
}

/// What can be used as a tag: strings, tuples of up to six displayable parts, and [`Tag`] itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tag",
    note = "a tag is a string, or a tuple such as (\"user\", id) whose parts implement Display"
)]
pub trait IntoTag {
    #[doc(hidden)]
    fn write_path(&self, path: &mut dyn TagParts);
}

impl<T: IntoTag + ?Sized> IntoTag for &T {
    fn write_path(&self, path: &mut dyn TagParts) {
        (**self).write_path(path);
    }
}

impl IntoTag for Tag {
    fn write_path(&self, path: &mut dyn TagParts) {
        match self.path.entry {
            Some(id) => path.is_entry(id),
            None => self.path.parts().for_each(|part| path.push_utf8(part.as_bytes())),
        }
    }
}

macro_rules! string_tags {
    ($($type:ty),*) => {$(
        impl IntoTag for $type {
            fn write_path(&self, path: &mut dyn TagParts) {
                path.push_utf8(self.as_bytes());
            }
        }
    )*};
}
string_tags!(str, String, Box<str>, std::sync::Arc<str>, Cow<'_, str>);

macro_rules! tuple_tags {
    ($(($($part:ident $index:tt),*))*) => {$(
        impl<$($part: fmt::Display),*> IntoTag for ($($part,)*) {
            fn write_path(&self, path: &mut dyn TagParts) {
                $(path.push(&self.$index);)*
            }
        }
    )*};
}
tuple_tags! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// Tags gathered for an entry: each with all it implies, globally and in the entry's scope.
#[derive(Clone, Debug, Default)]
#[doc(hidden)]
pub struct TagSet {
    tags: Vec<NamedTag>,
}

/// A tag that an entry carries beside those of its function and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamedTag {
    pub(crate) id: TagId,
    /// The path's first part; `None` for the tag of an entry, which has no path.
    pub(crate) head: Option<TagId>,
}

/// Adds a tag and all that it implies.
struct Adding<'a> {
    tags: &'a mut Vec<NamedTag>,
    path: TagId,
    head: Option<TagId>,
}

impl TagParts for Adding<'_> {
    fn push_utf8(&mut self, text: &[u8]) {
        self.path = id_with(self.path, text);
        let head = *self.head.get_or_insert(self.path);
        self.tags.push(NamedTag { id: self.path, head: Some(head) });
    }

    fn is_entry(&mut self, id: TagId) {
        self.tags.push(NamedTag { id, head: None });
    }
}

impl TagSet {
    /// Adds a tag.
    pub fn add(&mut self, tag: impl IntoTag) {
        names::note(&tag);
        tag.write_path(&mut Adding { tags: &mut self.tags, path: ROOT, head: None });
    }

    /// Adds several.
    pub fn extend<T: IntoTag>(&mut self, tags: impl IntoIterator<Item = T>) {
        for tag in tags {
            self.add(tag);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.tags.extend(other.tags);
    }

    /// What an entry of this scope carries for them.
    pub(crate) fn carried_in(self, scope: &str) -> Vec<NamedTag> {
        let mut tags = self.tags;
        if !scope.is_empty() {
            for index in 0..tags.len() {
                if let Some(NamedTag { id, head }) = tags.get(index).copied() {
                    tags.push(NamedTag { id: in_scope(id, scope), head });
                }
            }
        }
        tags
    }
}
