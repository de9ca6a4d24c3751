//! Rules of `helpers`, which says what functions are generated beside the cached one.

use proc_macro2::Ident;
use syn::Expr;

use super::values::bare;
use crate::errors::Errors;
use crate::parse::Options;

/// What is generated beside the function.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Helpers {
    /// `invalidate_f` and `invalidate_all_f`.
    pub(crate) invalidation: bool,
    pub(crate) refresh: bool,
    pub(crate) prime: bool,
    pub(crate) peek: bool,
    pub(crate) tag: bool,
    pub(crate) explain: bool,
    /// Some were written as `Self::peek`: the function stands in an impl.
    pub(crate) associated: bool,
}

impl Helpers {
    /// Whether a helper needs the function's own static.
    pub(crate) fn share_site(self) -> bool {
        self.refresh || self.prime || self.peek || self.explain
    }
}

/// `peek` or `Self::peek`
fn helper_name(helper: &Expr) -> (bool, Option<&Ident>) {
    let Expr::Path(path) = helper else { return (false, None) };
    let mut segments = path.path.segments.iter();
    match (segments.next(), segments.next(), segments.next()) {
        (Some(name), None, _) => (false, Some(&name.ident)),
        (Some(this), Some(name), None) if this.ident == "Self" => (true, Some(&name.ident)),
        _ => (false, None),
    }
}

/// What to say of a name that is no helper.
fn no_helper(name: Option<&str>) -> &'static str {
    match name {
        Some("none") => "`none` stands without brackets: `helpers = none`",
        Some(name) if name.starts_with("invalidate") => {
            "`invalidate_f` and `invalidate_all_f` are always there, unless you write `helpers = none`: leave this out"
        }
        _ => "unknown helper: there are `refresh`, `prime`, `peek`, `tag` and `explain`",
    }
}

/// `helpers = none` or `helpers = [refresh, peek]`
pub(super) fn helpers(options: &Options, errors: &mut Errors) -> Helpers {
    let mut helpers = Helpers { invalidation: true, ..Helpers::default() };
    let Some(value) = options.helpers.value() else {
        return helpers;
    };
    match bare(value) {
        Expr::Path(path) if path.path.is_ident("none") => helpers.invalidation = false,
        Expr::Array(list) => {
            for helper in &list.elems {
                let (associated, ident) = helper_name(helper);
                helpers.associated |= associated;
                let named = |name: &str| ident.is_some_and(|ident| ident == name);
                let wanted = if named("refresh") {
                    &mut helpers.refresh
                } else if named("prime") {
                    &mut helpers.prime
                } else if named("peek") {
                    &mut helpers.peek
                } else if named("tag") {
                    &mut helpers.tag
                } else if named("explain") {
                    &mut helpers.explain
                } else {
                    errors.at(helper, no_helper(ident.map(ToString::to_string).as_deref()));
                    continue;
                };
                if std::mem::replace(wanted, true) {
                    errors.at(helper, "this helper is listed twice: remove one");
                }
            }
            if list.elems.is_empty() {
                errors.at(list, "an empty list of helpers: write `helpers = none`, or leave it out");
            }
        }
        other => errors.at(
            other,
            "`helpers` takes a list, `helpers = [refresh, prime, peek, tag, explain]`, or `none` for no functions beside this one",
        ),
    }
    helpers
}
