//! What something displays, without an allocation where it is short.

use std::fmt::{self, Display, Write as _};

/// What something displays, in place if it is short.
#[derive(Debug)]
pub(crate) enum Text {
    Short { bytes: [u8; Self::SHORT], len: usize },
    Long(String),
}

impl Text {
    const SHORT: usize = 40;

    /// If its `Display` fails, what it had written.
    pub(crate) fn of(shown: &dyn Display) -> Self {
        let mut text = Self::Short { bytes: [0; Self::SHORT], len: 0 };
        let _ = write!(text, "{shown}");
        text
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { bytes, len } => bytes.get(..*len).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Short { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        match self {
            Self::Short { bytes, len } => {
                if let Some(room) = bytes.get_mut(*len..*len + more.len()) {
                    room.copy_from_slice(more.as_bytes());
                    *len += more.len();
                } else {
                    *self = Self::Long([self.as_str(), more].concat());
                }
            }
            Self::Long(text) => text.push_str(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Parts<'a>(&'a [&'a str], fmt::Result);

    impl Display for Parts<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|part| f.write_str(part))?;
            self.1
        }
    }

    #[test]
    fn it_is_what_was_written() {
        let forty = "0123456789012345678901234567890123456789";
        for parts in [&[][..], &["a", "", "ü"], &[forty], &[forty, "x"], &["x", forty], &["x", forty, "y", forty]] {
            for result in [Ok(()), Err(fmt::Error)] {
                let (text, all) = (Text::of(&Parts(parts, result)), parts.concat());
                assert_eq!((text.as_str(), text.as_bytes()), (&*all, all.as_bytes()));
                assert_eq!(matches!(text, Text::Long(_)), all.len() > forty.len());
            }
        }
    }
}
