//! What `result_tags` gives: a list of tags. Found by method probing, as in [`shape`](super::shape::KeptInBackends): the
//! compiler would else complain that a single tag is no iterator.

use crate::run::store_decision::Verdict;
use crate::tag::IntoTag;

/// What the closure gave.
#[derive(Debug)]
pub struct ResultTags<L>(pub L);

/// It is a list.
pub trait IsTagList {
    /// What it lists.
    type Tag;
    /// Adds them to the verdict.
    fn __larder_add_to(self, verdict: &mut Verdict)
    where
        Self::Tag: IntoTag;
}

impl<L: IntoIterator> IsTagList for ResultTags<L> {
    type Tag = L::Item;

    fn __larder_add_to(self, verdict: &mut Verdict)
    where
        L::Item: IntoTag,
    {
        verdict.tags(self.0);
    }
}

/// It isn't.
pub trait IsNoTagList<L> {
    /// Refuses.
    fn __larder_add_to(self, verdict: &mut Verdict)
    where
        L: ListOfTags;
}

impl<L> IsNoTagList<L> for &ResultTags<L> {
    fn __larder_add_to(self, _: &mut Verdict)
    where
        L: ListOfTags,
    {
    }
}

/// Implemented by nothing: see the message.
#[diagnostic::on_unimplemented(
    message = "`result_tags` gives a list of tags, and `{Self}` is none",
    label = "not a list",
    note = "also a single tag stands in a list: `result_tags = |user| [(\"org\", user.org)]`"
)]
pub trait ListOfTags {}
