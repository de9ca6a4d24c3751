//! What is remembered of a type, from one made-up value to the next.

mod tracer;

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;

use serde::de;
use xxhash_rust::xxh3::Xxh3;

use self::tracer::Tracer;

/// Values asked for, in all passes together. Real types take some hundreds.
const MAX_STEPS: usize = 200_000;

/// What has been seen of a type. Everything asked for goes into the hash, in order, the passes that fail included: it
/// is all determined by the type.
#[derive(Default)]
pub(super) struct Trace {
    hash: Xxh3,
    steps: usize,
    /// By the visitor that asked: types with fields of their own making (`serde(with)`) may have several for one value.
    enums: HashMap<TypeId, Enum>,
    /// Which of the values on the list to give, where it isn't the first.
    hints: HashMap<u64, usize>,
    /// The rest is about the current pass. Options and collections met in it, numbered: they have contents the first
    /// time only, which ends recursion.
    seen: HashMap<TypeId, u64>,
    /// The place of the last made-up value, and how many there are to choose from.
    last_leaf: Option<(u64, usize)>,
    /// The innermost variant in which the pass failed.
    failed_in: Option<(TypeId, usize)>,
    /// Counts enums left with unexplored variants: a variant that contains one must be visited again.
    incomplete: usize,
    progress: bool,
}

#[derive(Default)]
struct Enum {
    explored: Vec<bool>,
    open: Vec<usize>,
    /// The variant that was completed first: one that ends a recursion.
    ends: Option<usize>,
}

impl Enum {
    fn choose(&self) -> Option<usize> {
        let new = (0..self.explored.len()).find(|index| !self.explored[*index] && !self.open.contains(index));
        new.or(self.ends)
    }
}

impl Trace {
    /// A deserializer for the next pass.
    pub(super) fn start(&mut self) -> Tracer<'_> {
        self.seen.clear();
        self.last_leaf = None;
        self.failed_in = None;
        self.progress = false;
        Tracer::new(self)
    }

    /// After a pass that succeeded: whether another would see more.
    pub(super) fn unexplored(&self) -> bool {
        self.progress && self.enums.values().any(|found| found.explored.contains(&false))
    }

    /// After a pass that failed: whether there is something else to try.
    pub(super) fn try_otherwise(&mut self) -> bool {
        if self.steps >= MAX_STEPS {
            return false;
        }
        if let Some((path, choices)) = self.last_leaf {
            let hint = self.hints.entry(path).or_default();
            *hint += 1;
            if *hint < choices {
                return true;
            }
            *hint = 0;
        }
        let Some((key, index)) = self.failed_in else {
            return false;
        };
        let variant = self.enums.get_mut(&key).and_then(|found| found.explored.get_mut(index));
        variant.is_some_and(|explored| !std::mem::replace(explored, true))
    }

    /// Takes note of how the visit to a variant ended.
    fn left(&mut self, key: TypeId, index: usize, accepted: bool, incomplete: usize) {
        let Some(found) = self.enums.get_mut(&key) else {
            return;
        };
        found.open.pop();
        if !accepted {
            self.failed_in.get_or_insert((key, index));
            return;
        }
        found.ends.get_or_insert(index);
        if let Some(explored) = found.explored.get_mut(index)
            && self.incomplete == incomplete
            && !std::mem::replace(explored, true)
        {
            self.progress = true;
        }
        if found.open.is_empty() && found.explored.contains(&false) {
            self.incomplete += 1;
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    fn note(&mut self, kind: Kind, number: u64) -> Result<(), Refused> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Refused);
        }
        self.hash.update(&[kind as u8]);
        self.hash.update(&number.to_le_bytes());
        Ok(())
    }

    fn note_names(&mut self, names: &[&str]) {
        self.hash.update(&(names.len() as u64).to_le_bytes());
        for name in names {
            self.hash.update(&(name.len() as u64).to_le_bytes());
            self.hash.update(name.as_bytes());
        }
    }

    /// Whether this is the first option or collection that this visitor asks for in this pass.
    fn first<V>(&mut self, kind: Kind) -> Result<bool, Refused> {
        let next = self.seen.len() as u64;
        let number = *self.seen.entry(typeid::of::<V>()).or_insert(next);
        self.note(kind, number)?;
        Ok(number == next)
    }
}

/// What is written down. The numbers go into the hash: never change them.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Bool = 1,
    I8 = 2,
    I16 = 3,
    I32 = 4,
    I64 = 5,
    I128 = 6,
    U8 = 7,
    U16 = 8,
    U32 = 9,
    U64 = 10,
    U128 = 11,
    F32 = 12,
    F64 = 13,
    Char = 14,
    Str = 15,
    Bytes = 16,
    Option = 17,
    Unit = 18,
    UnitStruct = 19,
    Newtype = 20,
    Seq = 21,
    Map = 22,
    Tuple = 23,
    TupleStruct = 24,
    Struct = 25,
    Enum = 26,
    Variant = 27,
    UnitVariant = 28,
    NewtypeVariant = 29,
    TupleVariant = 30,
    StructVariant = 31,
}

/// The type asked for what can't be made up, or for too much.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value can be made up")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}
