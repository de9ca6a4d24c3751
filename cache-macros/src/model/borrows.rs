//! Rules of arguments that borrow: a cached answer writes nothing through `&mut`, and a run in the background outlives its
//! caller's borrows.

use proc_macro2::Ident;

use super::arguments::Arguments;
use super::mentions::Mentions;
use super::types::{inner_borrow, mutable_borrow};
use crate::errors::Errors;
use crate::parse::{Options, Slot};

/// Applies the rules.
pub(super) fn check(options: &Options, arguments: &Arguments, errors: &mut Errors) {
    match background_option(options) {
        Some(option) => arguments_can_be_owned(option, arguments, errors),
        None => mutable_borrows_are_skipped(options, arguments, errors),
    }
}

/// The first option given that leaves runs to the background.
fn background_option(options: &Options) -> Option<&Ident> {
    [&options.stale_while_revalidate, &options.refresh_ahead, &options.timeout].into_iter().find_map(Slot::keyword)
}

fn arguments_can_be_owned(option: &Ident, arguments: &Arguments, errors: &mut Errors) {
    for argument in &arguments.list {
        if let Some(found) = mutable_borrow(&argument.ty) {
            let name = argument.simple_name().unwrap_or_else(|| "..".to_owned());
            errors.at(
                found,
                format_args!(
                    "with `{option}` the body may run after the call, when nothing can be written through this `&mut`: take \
                     a handle that is shared, such as `Arc<Mutex<_>>`, with `skip({name})`, or leave `{option}` out"
                ),
            );
        } else if let Some(found) = inner_borrow(&argument.ty) {
            errors.push(syn::Error::new_spanned(
                found,
                format_args!(
                    "with `{option}` the body may run after the call, so it can't use what this borrows: take `&T` with an \
                     owned `T`, which is cloned for it, or an owned value"
                ),
            ));
        }
    }
}

fn mutable_borrows_are_skipped(options: &Options, arguments: &Arguments, errors: &mut Errors) {
    for argument in arguments.list.iter().filter(|argument| !argument.skipped) {
        if let Some(found) = mutable_borrow(&argument.ty) {
            let name = argument.simple_name().unwrap_or_else(|| "..".to_owned());
            let advice = match options.key.value().map(|key| Mentions::of([key]).contains(&name)) {
                None => "write",
                Some(false) => "also write",
                Some(true) => "take what the key needs as an argument of its own, and write",
            };
            errors.at(
                found,
                format_args!(
                    "a cached answer would skip what is written through `&mut`: {advice} `skip({name})` if nobody misses it, as with \
                     a connection; otherwise return what is written"
                ),
            );
        }
    }
}
