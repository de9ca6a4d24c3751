//! Values that fit into a word, so that a hit copies them from the slot and looks no further.

use std::any::{Any, TypeId};

/// A type whose values are as good as the bits of a word.
trait Word: Copy + 'static {
    fn to_word(self) -> u64;
    fn from_word(word: u64) -> Self;
}

macro_rules! numbers {
    ($($type:ident)*) => {$(
        #[allow(clippy::cast_lossless, clippy::cast_sign_loss, reason = "and back it is what it was")]
        impl Word for $type {
            #[inline]
            fn to_word(self) -> u64 {
                self as u64
            }
            #[inline]
            fn from_word(word: u64) -> Self {
                word as Self
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 usize i8 i16 i32 i64 isize }

impl Word for f32 {
    #[inline]
    fn to_word(self) -> u64 {
        u64::from(self.to_bits())
    }
    #[inline]
    fn from_word(word: u64) -> Self {
        Self::from_bits(word as u32)
    }
}

impl Word for f64 {
    #[inline]
    fn to_word(self) -> u64 {
        self.to_bits()
    }
    #[inline]
    fn from_word(word: u64) -> Self {
        Self::from_bits(word)
    }
}

impl Word for bool {
    #[inline]
    fn to_word(self) -> u64 {
        u64::from(self)
    }
    #[inline]
    fn from_word(word: u64) -> Self {
        word != 0
    }
}

impl Word for char {
    #[inline]
    fn to_word(self) -> u64 {
        u64::from(u32::from(self))
    }
    #[inline]
    fn from_word(word: u64) -> Self {
        Self::from_u32(word as u32).unwrap_or_default()
    }
}

impl Word for () {
    #[inline]
    fn to_word(self) -> u64 {
        0
    }
    #[inline]
    fn from_word(_: u64) -> Self {}
}

/// `$then` with `$type` naming each of the types in turn.
macro_rules! for_each_word {
    ($type:ident => $then:expr) => {
        for_each_word!($type => $then; u64 i64 usize isize u32 i32 f64 f32 bool char u16 i16 u8 i8 Unit)
    };
    ($type:ident => $then:expr; $($word:ident)*) => {$({
        type $type = $word;
        $then
    })*};
}

type Unit = ();

/// Whether slots keep values of this type as words. Decided when the program is compiled, if that is optimized.
#[inline]
pub(crate) fn is_word<T: 'static>() -> bool {
    is_word_type(TypeId::of::<T>())
}

#[cfg_attr(not(debug_assertions), inline(always))]
fn is_word_type(this: TypeId) -> bool {
    for_each_word!(Type => if this == TypeId::of::<Type>() { return true });
    false
}

/// The value of a word, for a type that [`is_word`].
#[inline]
pub(crate) fn from_word<T: Clone + 'static>(word: u64) -> Option<T> {
    let mut found = None;
    with_word(word, TypeId::of::<T>(), &mut |value| found = value.downcast_ref::<T>().cloned());
    found
}

// Once, where code isn't optimized; else for each type, and then little of it is left.
#[cfg_attr(not(debug_assertions), inline(always))]
#[allow(clippy::let_unit_value, reason = "one of the types is the unit")]
fn with_word(word: u64, this: TypeId, with: &mut dyn FnMut(&dyn Any)) {
    for_each_word!(Type => if this == TypeId::of::<Type>() {
        let value: Type = Word::from_word(word);
        with(&value);
    });
}

/// A value as a word, if its type [`is_word`].
pub(crate) fn to_word(value: &dyn Any) -> Option<u64> {
    let this = value.type_id();
    for_each_word!(Type => if this == TypeId::of::<Type>() {
        return value.downcast_ref::<Type>().map(|value| value.to_word());
    });
    None
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn comes_back<T: Any + Clone + Debug + PartialEq>(values: &[T]) {
        assert!(is_word::<T>());
        for value in values {
            let word = to_word(value).unwrap();
            assert_eq!(from_word::<T>(word).as_ref(), Some(value));
        }
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        comes_back(&[0, 1, u64::MAX]);
        comes_back(&[0, -1, i64::MIN, i64::MAX]);
        comes_back(&[0, usize::MAX]);
        comes_back(&[-1, isize::MIN, isize::MAX]);
        comes_back(&[0, u32::MAX]);
        comes_back(&[0, -1, i32::MIN, i32::MAX]);
        comes_back(&[0, u16::MAX]);
        comes_back(&[-1, i16::MIN, i16::MAX]);
        comes_back(&[0, u8::MAX]);
        comes_back(&[-1, i8::MIN, i8::MAX]);
        comes_back(&[0.0, 1.5, f64::NEG_INFINITY, f64::MIN_POSITIVE]);
        comes_back(&[0.0, 1.5, f32::NEG_INFINITY, f32::MIN_POSITIVE]);
        comes_back(&[true, false]);
        comes_back(&['\0', 'ß', char::MAX]);
        comes_back(&[()]);
        let nan = to_word(&-f64::NAN).and_then(from_word::<f64>);
        assert_eq!(nan.map(f64::to_bits), Some((-f64::NAN).to_bits()));
    }

    #[test]
    fn nothing_else_is_a_word() {
        struct Id(#[allow(dead_code, reason = "it has a type")] u64);
        assert!(!is_word::<Id>() && !is_word::<&str>() && !is_word::<Option<u32>>() && !is_word::<String>());
        assert_eq!(to_word(&Id(7)), None);
        assert_eq!(from_word::<String>(7), None);
    }
}
