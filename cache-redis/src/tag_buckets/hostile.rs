//! Whatever anyone writes into the tag buckets: never taken for "not invalidated".

use bytes::Bytes;
use cache_core::backend::TagId;
use proptest::collection::vec;
use proptest::prelude::*;

use super::Question;
use crate::connection::{Answer, Reply};
use crate::error::Fault;
use crate::proptest_config::config;
use crate::sequence::END;

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (1..END).prop_map(|number| number.to_string()),
        1 => any::<i128>().prop_map(|number| number.to_string()),
        1 => "[+-]?0*[0-9]{1,20}[ .e]?[0-9]?",
        1 => ".{0,5}",
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        3 => Just(Reply::Nil),
        1 => any::<i64>().prop_map(Reply::Number),
        1 => vec(any::<u8>(), 0..20).prop_map(|bytes| Reply::Text(bytes.into())),
        5 => number().prop_map(|text| Reply::Text(Bytes::from(text))),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let fault = prop_oneof![
        Just(Fault::TimedOut(None)),
        Just(Fault::Unexpected("x")),
        Just(Fault::refused("WRONGTYPE x")),
        Just(Fault::refused("OOM x")),
    ];
    let flat = prop_oneof![9 => reply().prop_map(Ok), 1 => fault.clone().prop_map(Err)];
    let list = vec(flat.clone(), 0..6).prop_map(|answers| Ok(Reply::List(answers)));
    let lists = vec(list.clone(), 0..3).prop_map(|answers| Ok(Reply::List(answers)));
    prop_oneof![8 => list, 1 => lists, 1 => flat]
}

/// What a field says, by the words of the protocol: the digits that `string.format('%.0f', n)` gives.
fn says(reply: &Reply) -> Option<u64> {
    let number = match reply {
        Reply::Text(text) => {
            std::str::from_utf8(text).ok()?.parse::<u64>().ok().filter(|n| n.to_string().as_bytes() == text)?
        }
        Reply::Number(number) => u64::try_from(*number).ok()?,
        _ => return None,
    };
    (1..END).contains(&number).then_some(number)
}

proptest! {
    #![proptest_config(config())]

    /// All tags of one bucket, so that one answer tells of all.
    #[test]
    fn what_cannot_be_read_is_never_taken_for_not_invalidated(tags in vec(0..5u64, 0..5), answer in answer(), more in answer()) {
        let tags: Vec<TagId> = tags.into_iter().map(|tag| TagId(tag << 8)).collect();
        let mut asked: Vec<TagId> = Vec::new();
        tags.iter().for_each(|tag| if !asked.contains(tag) { asked.push(*tag) });
        let mut answers = [answer.clone(), more].into_iter();
        let invalidated = Question::about(tags).understand(answers.by_ref());
        prop_assert_eq!(answers.len(), if asked.is_empty() { 2 } else { 1 }, "the rest is somebody else's");
        for (place, tag) in asked.into_iter().enumerate() {
            let Ok(Some(last)) = invalidated.last(tag) else { continue };
            let Ok(Reply::List(fields)) = &answer else { panic!("{answer:?} says nothing of a tag") };
            let floor = fields.first().and_then(|floor| says(floor.as_ref().ok()?));
            let field = match fields.get(place + 1) {
                Some(Ok(Reply::Nil)) => Some(0),
                Some(Ok(field)) => says(field),
                _ => None,
            };
            prop_assert_eq!(Some(last), floor.zip(field).map(|(floor, field)| floor.max(field)));
        }
    }
}
