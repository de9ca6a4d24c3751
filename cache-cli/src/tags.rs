//! Tags as they are written on a command line.

use std::str::CharIndices;

use cache_core::Tag;
use cache_core::operator::{Named, tag_of};

use crate::output::Failure;

/// The tag that is written so: as `Tag` displays it.
///
/// # Errors
/// If a part begins with a quotation mark and isn't quoted as a whole.
pub(crate) fn parse(text: &str) -> Result<Tag, Failure> {
    let wrong =
        || Failure::new(format!("`{text}` is no tag: a part is plain text, or quoted as a whole: file/\"a/b\""));
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (part, after) = unquote(quoted).ok_or_else(wrong)?;
            parts.push(part);
            match after.strip_prefix('/') {
                Some(after) => rest = after,
                None if after.is_empty() => return Ok(tag_of(&parts)),
                None => return Err(wrong()),
            }
        } else {
            let (part, after) = rest.split_once('/').map_or((rest, None), |(part, after)| (part, Some(after)));
            if part.is_empty() {
                return Err(wrong());
            }
            parts.push(part.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Ok(tag_of(&parts)),
            }
        }
    }
}

/// What is quoted, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut part, mut letters) = (String::new(), text.char_indices());
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((part, text.get(place + 1..)?)),
            '\\' => part.push(escaped(&mut letters)?),
            letter => part.push(letter),
        }
    }
    None
}

/// The letter that stands behind a backslash, as Rust writes it.
fn escaped(letters: &mut CharIndices<'_>) -> Option<char> {
    match letters.next()?.1 {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '0' => Some('\0'),
        'u' => {
            let digits = letters.as_str().strip_prefix('{')?.split_once('}')?.0;
            let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            letters.nth(digits.len() + 1)?;
            Some(letter)
        }
        letter => Some(letter),
    }
}

/// The tags and functions that a command line names.
pub(crate) fn named(tags: &[String], functions: &[String], scope: Option<&str>) -> Result<Vec<Named>, Failure> {
    let tags = tags.iter().map(|text| Ok(Named::tag(&parse(text)?, scope)));
    let functions = functions.iter().map(|name| Ok(Named::function(name, scope)));
    tags.chain(functions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_they_are_shown() {
        for tag in [
            Tag::new("users"),
            Tag::new(("user", 7)),
            Tag::new(("file", "a/b")),
            Tag::new(("file", "", "x")),
            Tag::new("a \"word\""),
            Tag::new(("x", "a\\/b")),
            Tag::new(("x", "a/b\n\u{1}\u{202e}\"", "y")),
        ] {
            assert_eq!(parse(&tag.to_string()).unwrap(), tag, "{tag}");
        }
        for wrong in ["", "/", "user/", "\"user", "\"user\"7", "a//b"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
