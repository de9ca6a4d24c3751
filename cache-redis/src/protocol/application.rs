//! The modelled application: its cached functions, the data they read, and the tags of their entries.
//!
//! `leaf(k)` reads datum `k` and adds two tags at the end of its body, like a function with `result_tags`. `page()` calls
//! every leaf, and `top()` calls `page()`.

use std::collections::BTreeMap;

use cache_core::backend::TagId;

use crate::keys::{BUCKETS, KeyHash, bucket_index};

/// The number of data, and of leaves.
pub(super) const LEAVES: usize = 2;

/// A call: a function with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Leaf(usize),
    Page,
    Top,
}

impl Key {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..LEAVES).map(Self::Leaf).chain([Self::Page, Self::Top])
    }

    pub(super) fn children(self) -> Vec<Self> {
        match self {
            Self::Leaf(_) => Vec::new(),
            Self::Page => (0..LEAVES).map(Self::Leaf).collect(),
            Self::Top => vec![Self::Page],
        }
    }

    /// Identifies the key in wake messages.
    pub(super) fn hash(self) -> KeyHash {
        match self {
            Self::Leaf(k) => k as KeyHash,
            Self::Page => 100,
            Self::Top => 101,
        }
    }

    /// The tags that are known before the body runs.
    pub(super) fn declared_tags(self) -> Vec<TagId> {
        let function = match self {
            Self::Leaf(_) => Tag::Leaves,
            Self::Page => Tag::Pages,
            Self::Top => Tag::Tops,
        };
        [Tag::Everything, function, Tag::Key(self)].map(Tag::id).to_vec()
    }
}

/// The result of a call: the version of each datum that it was computed from.
pub(super) type Value = BTreeMap<usize, u64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Everything,
    /// Every entry of the function `leaf`, and likewise of `page` and `top`.
    Leaves,
    Pages,
    Tops,
    Key(Key),
    /// Added by `leaf(k)` at the end of its body.
    Datum(usize),
    AllData,
}

impl Tag {
    /// The ids fall into two buckets. The declared tags of leaves are in the second one, and what they add in the first one.
    pub(super) const fn id(self) -> TagId {
        let (bucket, index) = match self {
            Self::Datum(k) => (0, k as u64),
            Self::AllData => (0, 10),
            Self::Pages => (0, 11),
            Self::Tops => (0, 12),
            Self::Key(Key::Page) => (0, 13),
            Self::Key(Key::Top) => (0, 14),
            Self::Everything => (1, 15),
            Self::Leaves => (1, 16),
            Self::Key(Key::Leaf(k)) => (1, 20 + k as u64),
        };
        TagId(bucket + (index + 1) * BUCKETS as u64)
    }

    /// The data that an invalidation of this tag covers.
    pub(super) fn data(self) -> std::ops::Range<usize> {
        match self {
            Self::Datum(k) | Self::Key(Key::Leaf(k)) => k..k + 1,
            Self::Leaves | Self::AllData | Self::Everything => 0..LEAVES,
            Self::Pages | Self::Tops | Self::Key(_) => 0..0,
        }
    }

    pub(super) fn of_id(id: TagId) -> Option<Self> {
        let keys = Key::all().map(Self::Key);
        let others = [Self::Everything, Self::Leaves, Self::Pages, Self::Tops, Self::AllData];
        keys.chain(others).chain((0..LEAVES).map(Self::Datum)).find(|tag| tag.id() == id)
    }
}

/// The buckets that hold these tags.
pub(super) fn buckets_of(tags: &[TagId]) -> Vec<usize> {
    let mut buckets: Vec<_> = tags.iter().map(|tag| bucket_index(*tag)).collect();
    buckets.sort_unstable();
    buckets.dedup();
    buckets
}
