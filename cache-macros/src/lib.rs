//! The attribute of [larder](https://docs.rs/larder), which re-exports it: depend on `larder`.
//!
//! [`cached`] runs three steps (`pipeline`), and a step imports nothing of a later one, which `tests/layers` checks:
//!
//! - `parse` turns tokens into options and a function. It knows syntax only.
//! - `model` applies the rules, each a function of its own, and gives a `Model` in which nothing is wrong.
//! - `expand` writes code that calls the library. It can't fail. `expand/mod.rs` shows its output, with the file of each line.
//!
//! `parse` and `model` report every mistake at once, in `Errors`. Each mistake says what to write instead.
//!
//! A new option needs four places: a slot in `parse/options.rs` with an example in `parse/names.rs`, its rule in `model` with a
//! field in `model/mod.rs`, the code that passes it on in `expand`, and tests: `tests/expansion.rs`, `tests/mistakes.rs` and a
//! case in the facade's `tests/ui/options`. Its docs are a row and a section in the facade's `src/cached.md`.

mod errors;
mod expand;
mod invisible_groups;
mod model;
mod parse;
mod pipeline;
#[cfg(test)]
mod tests;

/// The attribute as such. All of its options are described, with examples, where users find it: at `larder::cached`.
#[proc_macro_attribute]
pub fn cached(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    pipeline::cached(options.into(), item.into()).into()
}
