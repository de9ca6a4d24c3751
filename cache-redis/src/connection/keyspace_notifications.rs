//! The server's setting `notify-keyspace-events`. All clients of a server share it: larder adds the flags that it needs, removes
//! none, and keeps what another client sets at the same moment.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::client::Connection;
use super::command::{Answer, Command, Reply};

/// Keyspace channels; deletions, expiry and eviction.
const NEEDED: [char; 4] = ['K', 'g', 'x', 'e'];

/// What `A` stands for. Servers that know fewer kinds of events don't miss the others.
const ALL: &str = "g$lshzxetd";

/// So often others may come between our look and our change.
const ATTEMPTS: usize = 10;

const NAME: Bytes = Bytes::from_static(b"notify-keyspace-events");

/// What the setting says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags(BTreeSet<char>);

impl Flags {
    fn parse(text: &str) -> Self {
        let expand = |flag| if flag == 'A' { ALL.chars().collect() } else { vec![flag] };
        Self(text.chars().flat_map(expand).collect())
    }

    /// Of the reply to [`question`].
    pub(super) fn of(reply: Reply) -> Option<Self> {
        let [_, flags] = <[_; 2]>::try_from(reply.list()?).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(&flags.text()?)))
    }

    /// Whether the server sends what we need.
    pub(super) fn suffice(&self) -> bool {
        NEEDED.into_iter().all(|flag| self.0.contains(&flag))
    }

    /// With what we need.
    fn completed(&self) -> Self {
        Self(self.0.iter().copied().chain(NEEDED).collect())
    }

    fn text(&self) -> Bytes {
        self.0.iter().collect::<String>().into()
    }
}

/// What asks for the setting.
pub(super) fn question() -> Command {
    Command::new("CONFIG", vec![Bytes::from_static(b"GET"), NAME])
}

fn change(to: &Flags) -> Command {
    Command::new("CONFIG", vec![Bytes::from_static(b"SET"), NAME, to.text()])
}

/// What the server has, once it has been told what we need; `None` if we may not ask. A server that may not be told has
/// what it had. Nobody else may use the connection meanwhile.
pub(super) async fn switch_on(connection: &Connection, patience: Duration) -> Option<Flags> {
    let ask = [question()];
    let answer = timeout(patience, connection.call(&ask)).await.ok()?.pop()?;
    let mut known = Flags::of(answer.ok()?)?;
    if known.suffice() {
        return Some(known);
    }
    let mut wanted = known.completed();
    for _ in 0..ATTEMPTS {
        let Some(Swapped { before, after }) = swap(connection, &wanted, patience).await else { return Some(known) };
        let should_be = before.completed();
        if before == known || should_be == wanted {
            return Some(after);
        }
        // Someone else has changed it since we looked, and we have overwritten that.
        (known, wanted) = (after, should_be);
    }
    Some(known)
}

struct Swapped {
    before: Flags,
    after: Flags,
}

/// Changes the setting, and says what was replaced. In one transaction if we may; else the moment between the two is
/// as short as the server makes it that gets both in one packet.
async fn swap(connection: &Connection, to: &Flags, patience: Duration) -> Option<Swapped> {
    let bare = |name| Command::new(name, Vec::new());
    let commands = [bare("MULTI"), question(), change(to), question(), bare("EXEC")];
    let answers = timeout(patience, connection.call(&commands)).await.ok()?;
    let [begun, before, changed, after, executed] = <[Answer; 5]>::try_from(answers).ok()?;
    let [before, changed, after] = match (begun, executed) {
        (Ok(_), Ok(executed)) => <[Answer; 3]>::try_from(executed.answers()?).ok()?,
        (Ok(_), Err(_)) => {
            // Whoever may not end a transaction must not stay in one.
            let _ = timeout(patience, connection.call(&[bare("DISCARD")])).await;
            return None;
        }
        (Err(_), _) => [before, changed, after],
    };
    changed.ok()?;
    Some(Swapped { before: Flags::of(before.ok()?)?, after: Flags::of(after.ok()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        for (text, suffice) in
            [("", false), ("K", false), ("Kgxe", true), ("exgK", true), ("AK", true), ("A", false), ("Kgx", false)]
        {
            let flags = Flags::parse(text);
            assert_eq!(flags.suffice(), suffice, "{text}");
            assert!(flags.completed().suffice());
            assert!(flags.completed().0.is_superset(&flags.0));
        }
        assert_eq!(Flags::parse("KA"), Flags::parse("Kg$lshzxetd"));
    }
}
