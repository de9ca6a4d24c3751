//! What makes one call differ from another.

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Expr, ExprLit, Lit};

use super::arguments::{Argument, Arguments};
use super::mentions::Mentions;
use super::text::names;
use super::tokens::words;
use super::values::bare;
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

/// What makes one call differ from another.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) parts: Vec<KeyPart>,
    /// What the parts are called, in the order in which they were written: `from, to`. Builds that say something else
    /// here have entries of their own.
    pub(crate) names: String,
}

/// The parts of `key`, else all arguments that aren't skipped.
///
/// Where entries leave the process, parts stand in the order of their names: so the same arguments have the same bytes in a
/// build that takes them in another order, and an invalidation by arguments reaches what that has stored.
pub(super) fn key(options: &Options, arguments: &Arguments, errors: &mut Errors) -> Key {
    let mut named: Vec<(String, KeyPart)> = parts(options, arguments, errors)
        .into_iter()
        .map(|part| {
            let name = match &part {
                KeyPart::Argument(index) => arguments.list.get(*index).map(Argument::name_in_key).unwrap_or_default(),
                KeyPart::Expr(expression) => words(expression.to_token_stream()),
            };
            (name, part)
        })
        .collect();
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    if !options.local.is_given() {
        named.sort_by(|(name, _), (other, _)| name.cmp(other));
    }
    Key { parts: named.into_iter().map(|(_, part)| part).collect(), names }
}

fn parts(options: &Options, arguments: &Arguments, errors: &mut Errors) -> Vec<KeyPart> {
    receiver_is_said(options, arguments, errors);
    let Some(key) = options.key.value() else {
        let kept = arguments.list.iter().enumerate().filter(|(_, argument)| !argument.skipped);
        return kept.map(|(index, _)| KeyPart::Argument(index)).collect();
    };
    let before = errors.count();
    skipped_or_key(options, key, errors);
    let mut parts = Vec::new();
    add(key, &mut parts, errors);
    labels_are_meant(&parts, arguments, errors);
    if errors.count() == before && !parts.is_empty() {
        differs_between_calls(key, &parts, arguments, errors);
    }
    parts.into_iter().map(KeyPart::Expr).collect()
}

/// The parts of a tuple one by one, also of a tuple in a tuple: as a value it would take from the body what is named in it.
fn add(key: &Expr, parts: &mut Vec<Expr>, errors: &mut Errors) {
    match bare(key) {
        Expr::Tuple(tuple) => tuple.elems.iter().for_each(|part| add(part, parts, errors)),
        closure @ Expr::Closure(_) => not_a_closure("key", "(tenant, user.id)", closure, errors),
        one => parts.push(one.clone()),
    }
}

/// A text with the name of an argument is a label where the argument itself is in the key too: `("user", user.id)`.
fn labels_are_meant(parts: &[Expr], arguments: &Arguments, errors: &mut Errors) {
    let mentions = Mentions::of(parts);
    for part in parts {
        not_text_for_a_value("key", part, |code| missing(code, &mentions, arguments), errors);
    }
}

/// Whether this code mentions arguments that aren't mentioned elsewhere.
fn missing(code: &Expr, elsewhere: &Mentions, arguments: &Arguments) -> bool {
    let mentions = Mentions::of([code]);
    arguments.names().iter().any(|name| mentions.contains(name) && !elsewhere.contains(name))
}

/// A constant is a scope like any other.
pub(super) fn scope(options: &Options, arguments: &Arguments, errors: &mut Errors) {
    if let Some(scope) = options.scope.value() {
        not_text_for_a_value("scope", scope, |code| missing(code, &Mentions::default(), arguments), errors);
        not_a_closure("scope", "tenant", scope, errors);
    }
}

/// A key that is the same for all calls gives every caller the first one's result, so it has to be said on purpose: `()`.
/// The usual cause is a type in quotes, which the `cached` crate wants beside `convert`.
fn differs_between_calls(key: &Expr, parts: &[Expr], arguments: &Arguments, errors: &mut Errors) {
    let instead = instead(arguments);
    if parts.iter().all(is_literal) {
        let what =
            "`key` is a value, not a type, and this one is the same for every call, so all calls would share one";
        errors.at(key, format_args!("{what} entry: {instead}"));
        return;
    }
    let mentions = Mentions::of(parts);
    let receiver = arguments.receiver.iter().any(|receiver| !receiver.skipped && !receiver.refused);
    let has_arguments = receiver || arguments.list.iter().any(|argument| !argument.skipped);
    if has_arguments && !arguments.names().iter().any(|name| mentions.contains(name)) {
        let what = "`key` mentions none of the arguments, so calls with different arguments would share one entry";
        errors.at(key, format_args!("{what}: {instead}, or `skip(..)` the arguments that make no difference"));
    }
}

/// What to write instead of such a key.
fn instead(arguments: &Arguments) -> String {
    let one_entry = "if all calls are to share one entry, write `key = ()`";
    match (example(arguments), &arguments.receiver) {
        (None, _) if arguments.list.iter().any(|argument| !argument.skipped) => {
            format!("to key by all arguments, leave `key` out; {one_entry}")
        }
        (None, _) => "leave `key` out, as without arguments there is only one anyway".to_owned(),
        (Some(example), Some(receiver)) if !receiver.skipped => {
            format!("name what tells calls apart: `key = {example}`; {one_entry}")
        }
        (Some(example), _) => {
            format!("to key by all arguments, leave `key` out; by some, name them: `key = {example}`; {one_entry}")
        }
    }
}

/// Whether it is written out, without a name in it.
fn is_literal(expression: &Expr) -> bool {
    match bare(expression) {
        Expr::Lit(_) => true,
        Expr::Unary(unary) => is_literal(&unary.expr),
        Expr::Reference(reference) => is_literal(&reference.expr),
        Expr::Cast(cast) => is_literal(&cast.expr),
        Expr::Array(array) => array.elems.iter().all(is_literal),
        Expr::Tuple(tuple) => tuple.elems.iter().all(is_literal),
        Expr::Repeat(repeat) => is_literal(&repeat.expr),
        _ => false,
    }
}

/// `(self.id, name)`, or `None` if there is nothing to key by.
fn example(arguments: &Arguments) -> Option<String> {
    let receiver = arguments.receiver.iter().filter(|receiver| !receiver.skipped).map(|_| "self.id".to_owned());
    let kept = arguments.list.iter().filter(|argument| !argument.skipped).flat_map(|argument| &argument.names);
    let names: Vec<String> = receiver.chain(kept.map(ToString::to_string)).collect();
    (!names.is_empty()).then(|| format!("({})", names.join(", ")))
}

fn not_a_closure(option: &str, example: &str, value: &Expr, errors: &mut Errors) {
    if let Expr::Closure(closure) = bare(value) {
        errors.at(closure, format_args!("`{option}` takes an expression over the arguments: `{option} = {example}`"));
    }
}

/// `"{id}"` would be the same for all calls. Tags take such strings, so people may expect it here. `"id"` would be as well:
/// `stands_for` says whether this text is meant to be the code that it looks like.
fn not_text_for_a_value(option: &str, value: &Expr, stands_for: impl Fn(&Expr) -> bool, errors: &mut Errors) {
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = bare(value) else { return };
    let instead = if let Some(name) = names(&text.value()).next() {
        let instead = if option == "key" { format!("`key = ({name})`") } else { format!("`{option} = {name}`") };
        format!("{instead}, or `format!({})`", text.token())
    } else if text.parse::<Expr>().is_ok_and(|code| stands_for(&code)) {
        format!("`{}` without quotes", text.value())
    } else {
        return;
    };
    errors.at(text, format_args!("`{option}` takes values, and this text is the same for all calls: write {instead}"));
}

fn receiver_is_said(options: &Options, arguments: &Arguments, errors: &mut Errors) {
    if let Some(receiver) = &arguments.receiver
        && !receiver.skipped
        && !receiver.refused
        && !options.key.is_given()
    {
        let example = example(arguments).unwrap_or_default();
        errors.at(
            &receiver.syntax.self_token,
            format_args!(
                "what of `self` makes one answer differ from another? Say it with `key = {example}`, or write \
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
