//! What larder's own program needs to name things that processes have cached. No part of the API for others.

use crate::tag::{self, IntoTag, Tag, TagId, TagParts};

/// Something that can be invalidated, and how it is shown.
#[derive(Clone, Debug)]
pub struct Named {
    /// As backends know it. Several where different entries carry different ones.
    pub ids: Vec<TagId>,
    /// As a person says it.
    pub name: String,
}

impl Named {
    /// A tag, in all scopes or in one.
    pub fn tag(tag: &Tag, scope: Option<&str>) -> Self {
        let id = scope.map_or(tag.id(), |scope| tag::in_scope(tag.id(), scope));
        Self { ids: vec![id], name: in_scope(format!("tag {tag}"), scope) }
    }

    /// All that a function has in one scope; without one, in the default scope, and in all scopes if it has the option `scope`.
    pub fn function(name: &str, scope: Option<&str>) -> Self {
        let ids = match scope {
            Some(scope) => vec![tag::function_in_scope_tag(name, scope)],
            None => vec![tag::function_tag(name), tag::function_in_scope_tag(name, "")],
        };
        Self { ids, name: in_scope(format!("function {name}"), scope) }
    }

    /// All that is in a scope.
    pub fn scope(name: &str) -> Self {
        Self { ids: vec![tag::scope_tag(name)], name: format!("scope `{name}`") }
    }

    /// All there is.
    pub fn everything() -> Self {
        Self { ids: vec![tag::EVERYTHING], name: "everything".to_owned() }
    }
}

fn in_scope(what: String, scope: Option<&str>) -> String {
    match scope {
        Some(scope) => format!("{what} in scope `{scope}`"),
        None => what,
    }
}

/// The tag of a path, however long it is.
pub fn tag_of(parts: &[String]) -> Tag {
    struct Path<'p>(&'p [String]);
    impl IntoTag for Path<'_> {
        fn write_path(&self, path: &mut dyn TagParts) {
            self.0.iter().for_each(|part| path.push_utf8(part.as_bytes()));
        }
    }
    Tag::new(Path(parts))
}
