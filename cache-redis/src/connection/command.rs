//! What is sent to a server, and what it answers.

use bytes::Bytes;

use crate::error::Fault;
use crate::scripts::Script;

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) args: Vec<Bytes>,
    /// Sent by its hash; again in full if the server doesn't know it.
    pub(crate) script: Option<&'static Script>,
    /// Whose slot decides where it goes.
    pub(crate) key: Bytes,
}

impl Command {
    /// A command on the key that is its first argument.
    pub(crate) fn new(name: &'static str, args: Vec<Bytes>) -> Self {
        let key = args.first().cloned().unwrap_or_default();
        Self { name, args, script: None, key }
    }

    /// A script on keys of one slot.
    pub(crate) fn script(script: &'static Script, keys: Vec<Bytes>, args: impl IntoIterator<Item = Bytes>) -> Self {
        let key = keys.first().cloned().unwrap_or_default();
        let sha = Bytes::copy_from_slice(script.sha(sha1).as_bytes());
        let mut all = vec![sha, keys.len().to_string().into()];
        all.extend(keys);
        all.extend(args);
        Self { name: "EVALSHA", args: all, script: Some(script), key }
    }

    /// The same for a server that doesn't know the script.
    pub(crate) fn in_full(&self) -> Option<Self> {
        let script = self.script?;
        let mut args = self.args.clone();
        *args.first_mut()? = Bytes::from_static(script.source.as_bytes());
        Some(Self { name: "EVAL", args, script: None, key: self.key.clone() })
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Number(i64),
    Text(Bytes),
    List(Vec<Answer>),
}

/// A reply, or why there is none.
pub(crate) type Answer = Result<Reply, Fault>;

impl Reply {
    pub(crate) fn text(self) -> Option<Bytes> {
        match self {
            Self::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn list(self) -> Option<Vec<Self>> {
        self.answers()?.into_iter().collect::<Result<_, _>>().ok()
    }

    pub(crate) fn answers(self) -> Option<Vec<Answer>> {
        match self {
            Self::List(answers) => Some(answers),
            _ => None,
        }
    }
}

fn sha1(text: &str) -> String {
    fred::util::sha1_hash(text)
}
