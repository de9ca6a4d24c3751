//! `tags = ["users", "team:{team}", ("user", id)]`

use syn::{Expr, Lit, LitStr};

use super::arguments::Arguments;
use super::text::{Text, text};
use super::values::bare;
use crate::errors::Errors;
use crate::parse::Options;

/// One tag.
#[derive(Debug)]
pub(crate) enum Tag {
    One(TagPart),
    /// `("user", id)`
    Path(Vec<TagPart>),
}

/// A tag or a part of one.
#[derive(Debug)]
pub(crate) enum TagPart {
    /// `"users"`, with escapes resolved.
    Plain(LitStr),
    /// `"team:{team}"`
    Format(LitStr),
    Expr(Expr),
}

pub(super) fn tags(options: &Options, arguments: &Arguments, errors: &mut Errors) -> Vec<Tag> {
    let Some(value) = options.tags.value() else {
        return Vec::new();
    };
    let Expr::Array(list) = bare(value) else {
        errors.at(
            value,
            "`tags` takes a list: `tags = [\"users\", (\"user\", id)]`; tags of the result are `result_tags`",
        );
        return Vec::new();
    };
    list.elems.iter().filter_map(|tag| one(tag, arguments, errors)).collect()
}

fn one(tag: &Expr, arguments: &Arguments, errors: &mut Errors) -> Option<Tag> {
    let Expr::Tuple(path) = bare(tag) else {
        return part(tag, arguments, errors).map(Tag::One);
    };
    if path.elems.is_empty() {
        errors.at(path, "an empty tag: name it, or leave it out");
        return None;
    }
    let parts: Vec<_> = path.elems.iter().filter_map(|element| part(element, arguments, errors)).collect();
    Some(Tag::Path(parts))
}

fn part(part: &Expr, arguments: &Arguments, errors: &mut Errors) -> Option<TagPart> {
    let Expr::Lit(literal) = bare(part) else {
        return Some(TagPart::Expr(part.clone()));
    };
    let Lit::Str(literal) = &literal.lit else {
        return Some(TagPart::Expr(part.clone()));
    };
    if literal.value().is_empty() {
        errors.at(literal, "an empty tag: name it, or leave it out");
        return None;
    }
    match text(&literal.value()) {
        Ok(Text::Plain(plain)) => Some(TagPart::Plain(LitStr::new(&plain, literal.span()))),
        Ok(Text::Format(names)) => {
            names_are_arguments(literal, &names, arguments, errors);
            Some(TagPart::Format(literal.clone()))
        }
        Err(message) => {
            errors.at(literal, message);
            None
        }
    }
}

fn names_are_arguments(literal: &LitStr, names: &[String], arguments: &Arguments, errors: &mut Errors) {
    let known = arguments.names();
    for name in names {
        if !known.contains(name) {
            let known = arguments.list_names();
            errors.at(literal, format_args!("`{{{name}}}` names no argument: {known}; write `{{{{` for a brace"));
        }
    }
}
