//! The attribute of [larder](https://docs.rs/larder), which re-exports it: depend on `larder`.
//!
//! [`cached`] runs three steps, and a step imports nothing of a later one:
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
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use self::errors::Errors;

/// The attribute as such. All of its options are described, with examples, where users find it: at `larder::cached`.
#[proc_macro_attribute]
pub fn cached(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    cached_impl(options.into(), item.into()).into()
}

/// The whole pipeline. On mistakes the item stays as it is, so that editors keep working, and its helpers
/// are there.
fn cached_impl(options: TokenStream, item: TokenStream) -> TokenStream {
    let invisible = invisible_groups::has_any(&options) || invisible_groups::has_any(&item);
    let model = Errors::collect(|errors| {
        let options = parse::options(options, errors);
        let function = parse::function(item.clone(), errors)?;
        model::model(&options, function, errors)
    });
    match model {
        Ok(model) if invisible => invisible_groups::keep_together(expand::expand(&model)),
        Ok(model) => expand::expand(&model),
        Err((error, model)) => {
            let mut tokens = error.to_compile_error();
            tokens.extend(model.as_ref().map(expand::stubs));
            tokens.extend(item);
            tokens
        }
    }
}
