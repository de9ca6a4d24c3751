//! Which node of a cluster owns which slots.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::Node;
use crate::connection::Reply;
use crate::options::address::Host;

/// Who owns the slots from the first to the last.
pub(super) type Range = (u16, u16, Host);

#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Sorted, disjoint.
    pub(super) ranges: Vec<Range>,
    pub(super) nodes: BTreeMap<Host, Arc<Node>>,
}

impl Layout {
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.nodes.get(self.place(slot)?)
    }

    pub(super) fn place(&self, slot: u16) -> Option<&Host> {
        let index = self.ranges.partition_point(|(_, last, _)| *last < slot);
        let (first, _, place) = self.ranges.get(index)?;
        (*first <= slot).then_some(place)
    }
}

/// A node that doesn't know its name has that of the one that was asked.
pub(super) fn named(host: String, asked: &str) -> String {
    if host.is_empty() || host == "?" { asked.to_owned() } else { host }
}

/// `(first, last, (host, port, ..) of the primary, ..)*`.
pub(super) fn parse(reply: Reply, asked: &str) -> Option<Vec<Range>> {
    let mut ranges = Vec::new();
    for range in reply.list()? {
        let mut range = range.list()?.into_iter();
        let first = u16::try_from(range.next()?.number()?).ok()?;
        let last = u16::try_from(range.next()?.number()?).ok()?;
        let mut primary = range.next()?.list()?.into_iter();
        let host = primary.next()?.text().unwrap_or_default();
        let host = named(String::from_utf8(host.to_vec()).ok()?, asked);
        ranges.push((first, last, (host, u16::try_from(primary.next()?.number()?).ok()?)));
    }
    ranges.sort();
    (!ranges.is_empty()).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn layouts() {
        let text = |text: &'static str| Ok(Reply::Text(Bytes::from_static(text.as_bytes())));
        let range = |first, last, host| {
            let primary = Reply::List(vec![text(host), Ok(Reply::Number(7000)), text("id")]);
            Ok(Reply::List(vec![Ok(Reply::Number(first)), Ok(Reply::Number(last)), Ok(primary)]))
        };
        let reply = Reply::List(vec![range(100, 16383, "b"), range(0, 99, "")]);
        let ranges = parse(reply, "a").unwrap();
        assert_eq!(ranges, [(0, 99, ("a".to_owned(), 7000)), (100, 16383, ("b".to_owned(), 7000))]);
        assert_eq!(parse(Reply::Nil, "a"), None);
    }
}
