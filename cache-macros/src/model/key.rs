//! What makes one call differ from another.

use syn::ext::IdentExt;
use syn::{Expr, Lit};

use super::arguments::{Argument, Arguments};
use super::mentions::Mentions;
use super::options::bare;
use super::text::names;
use crate::errors::Errors;
use crate::parse::Options;

/// One part of the key.
#[derive(Debug)]
pub(crate) enum KeyPart {
    /// The argument with this index.
    Argument(usize),
    /// A part of `key = (a, b.c)`.
    Expr(Expr),
}

/// The parts of `key`, else all arguments that aren't skipped.
pub(super) fn key(options: &Options, arguments: &Arguments, errors: &mut Errors) -> Vec<KeyPart> {
    receiver_is_said(options, arguments, errors);
    let Some(key) = options.key.value() else {
        let kept = arguments.list.iter().enumerate().filter(|(_, argument)| !argument.skipped);
        return kept.map(|(index, _)| KeyPart::Argument(index)).collect();
    };
    skipped_or_key(options, key, errors);
    let mut parts = Vec::new();
    add(key, &mut parts, errors);
    parts
}

/// The parts of a tuple one by one, also of a tuple in a tuple: as a value it would take from the body what is named in it.
fn add(key: &Expr, parts: &mut Vec<KeyPart>, errors: &mut Errors) {
    match bare(key) {
        Expr::Tuple(tuple) => tuple.elems.iter().for_each(|part| add(part, parts, errors)),
        closure @ Expr::Closure(_) => not_a_closure("key", "(tenant, user.id)", closure, errors),
        one => {
            not_a_format_string("key", one, errors);
            parts.push(KeyPart::Expr(one.clone()));
        }
    }
}

pub(super) fn not_a_closure(option: &str, example: &str, value: &Expr, errors: &mut Errors) {
    if let Expr::Closure(closure) = bare(value) {
        errors.at(closure, format_args!("`{option}` takes an expression over the arguments: `{option} = {example}`"));
    }
}

/// `"{id}"` would be the same for all calls. Tags take such strings, so people may expect it here.
pub(super) fn not_a_format_string(option: &str, value: &Expr, errors: &mut Errors) {
    if let Expr::Lit(literal) = bare(value)
        && let Lit::Str(text) = &literal.lit
        && let Some(name) = names(&text.value()).next()
    {
        let instead = if option == "key" { format!("`key = ({name})`") } else { format!("`{option} = {name}`") };
        errors.at(
            text,
            format_args!(
                "`{option}` takes values, and this text is the same for all calls: write {instead}, or `format!({})`",
                text.token()
            ),
        );
    }
}

fn receiver_is_said(options: &Options, arguments: &Arguments, errors: &mut Errors) {
    if let Some(receiver) = &arguments.receiver
        && !receiver.skipped
        && !receiver.refused
        && !options.key.is_given()
    {
        let arguments = arguments.list.iter().filter(|argument| !argument.skipped);
        let names: Vec<String> = arguments.filter_map(Argument::simple_name).collect();
        let example = ["self.id".to_owned()].into_iter().chain(names).collect::<Vec<_>>().join(", ");
        errors.at(
            &receiver.syntax.self_token,
            format_args!(
                "what of `self` makes one answer differ from another? Say it with `key = ({example})`, or write \
                 `skip(self)` if all instances give the same answer"
            ),
        );
    }
}

fn skipped_or_key(options: &Options, key: &Expr, errors: &mut Errors) {
    let mentions = Mentions::of([key]);
    for name in options.skip.value().into_iter().flatten() {
        if mentions.contains(&name.unraw().to_string()) {
            errors.at(name, format_args!("`{name}` is in `skip` and in `key`: keep it in one"));
        }
    }
}
