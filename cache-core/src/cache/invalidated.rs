//! [`Invalidated`]: the token of an invalidation.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::backend::Stamp;
use crate::error::{Error, ErrorKind};

/// What an invalidation leaves behind: a small token that says how far a reader has to be to know of it. Hand it to
/// [`at_least`](crate::at_least), in this process or in another one.
///
/// It holds a name and a number for each backend of the cache. As text it is short (`myapp:1764590000000042`) and fits into a
/// cookie, a header or a URL as it is; the text of a cache without backends is empty. It says nothing of what was invalidated,
/// and a made-up one does no harm: at worst, a reader asks the backend and not its memory.
///
/// ```
/// use cache_core::Invalidated;
///
/// # async fn run() -> Result<(), cache_core::Error> {
/// let token = cache_core::invalidate_tag(("user", 7)).await?;
/// let cookie = token.to_string();
/// // in the next request
/// let token: Invalidated = cookie.parse().unwrap_or_default();
/// # async fn get_user(id: u64) -> u64 { id }
/// let user = cache_core::at_least(&token, get_user(7)).await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Invalidated {
    /// By the names of the backends, each of which is there once.
    numbers: Vec<(Box<str>, u64)>,
}

/// Longer texts are no tokens, and more backends are in none.
const LONGEST: usize = 1_024;
const MOST: usize = 16;

impl Invalidated {
    /// A number of one backend. `name` says which, the same in all processes.
    pub(crate) fn by(name: &str, number: Stamp) -> Self {
        Self { numbers: vec![(escaped(name), number.0)] }
    }

    /// The token of both: whoever knows of it knows of each.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (name, number) in other.numbers {
            match self.numbers.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = number.max(*known),
                None => self.numbers.push((name, number)),
            }
        }
        self.numbers.sort_unstable();
        self
    }

    /// Whether there is nothing to know: that of a cache without backends, or of no invalidation at all.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The number of the backend of this name.
    pub(crate) fn number_of(&self, name: &str) -> Option<Stamp> {
        let name = escaped(name);
        self.numbers.iter().find(|(known, _)| *known == name).map(|(_, number)| Stamp(*number))
    }
}

/// Only characters that a cookie and a URL take, and neither `:` nor `~`.
fn escaped(name: &str) -> Box<str> {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string doesn't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out.into()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/@".contains(&byte)
}

impl fmt::Display for Invalidated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, number)) in self.numbers.iter().enumerate() {
            let between = if place == 0 { "" } else { "~" };
            write!(f, "{between}{name}:{number}")?;
        }
        Ok(())
    }
}

impl FromStr for Invalidated {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Codec`] if it isn't the text of a token.
    fn from_str(text: &str) -> Result<Self, Error> {
        let none = || Error::new(ErrorKind::Codec, "this isn't the text of an `Invalidated`; go on without it");
        if text.len() > LONGEST {
            return Err(none());
        }
        let parts = text.split('~').filter(|_| !text.is_empty());
        let part = |part: &str| {
            let (name, number) = part.split_once(':')?;
            let is_name = name.bytes().all(|byte| is_plain(byte) || byte == b'%');
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            Some(Self { numbers: vec![(name.into(), number.parse().ok().filter(|_| is_name && is_number)?)] })
        };
        let parts: Vec<Self> = parts.map(part).take(MOST + 1).collect::<Option<_>>().ok_or_else(none)?;
        if parts.len() > MOST {
            return Err(none());
        }
        Ok(parts.into_iter().fold(Self::default(), Self::and))
    }
}

impl From<Invalidated> for String {
    fn from(token: Invalidated) -> Self {
        token.to_string()
    }
}

impl TryFrom<String> for Invalidated {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_comes_back() {
        let one = Invalidated::by("my app:~\"", Stamp(7));
        let two = one.clone().and(Invalidated::by("other", Stamp(u64::MAX))).and(Invalidated::by("other", Stamp(1)));
        for token in [Invalidated::default(), one.clone(), two.clone()] {
            let text = token.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)), "{text}");
            assert_eq!(text.parse::<Invalidated>().unwrap(), token, "{text}");
        }
        assert_eq!(Invalidated::default().to_string(), "");
        assert_eq!(one.to_string(), "my%20app%3A%7E%22:7");
        assert_eq!((two.number_of("other"), two.number_of("my app:~\"")), (Some(Stamp(u64::MAX)), Some(Stamp(7))));
        assert_eq!(two.number_of("my app"), None);
    }

    #[test]
    fn what_is_no_token() {
        let long = format!("{}:1", "x".repeat(LONGEST));
        let many = vec!["x:1"; MOST + 1].join("~");
        for text in ["x", "x:", "x:-1", "x:+1", "x:1 ", " ", "~", "x:1~", "x:99999999999999999999", "ä:1", "a b:1"] {
            assert!(text.parse::<Invalidated>().is_err(), "{text}");
        }
        assert!(long.parse::<Invalidated>().is_err() && many.parse::<Invalidated>().is_err());
        let error = "secret".parse::<Invalidated>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
