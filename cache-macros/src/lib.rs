//! The attribute of [larder](https://docs.rs/larder), which re-exports it: depend on `larder`.
//!
//! The pipeline is `parse` (tokens into options and a function), `model` (the rules) and `expand` (code that calls the
//! library). Only the first two can fail, and they report every mistake at once.

mod errors;
mod expand;
mod model;
mod parse;
#[cfg(test)]
mod tests;
mod unseen;

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
    let unseen = unseen::has_unseen(&options) || unseen::has_unseen(&item);
    let model = Errors::collect(|errors| {
        let options = parse::options(options, errors);
        let function = parse::function(item.clone(), errors)?;
        model::model(&options, function, errors)
    });
    match model {
        Ok(model) if unseen => unseen::keep_together(expand::expand(&model)),
        Ok(model) => expand::expand(&model),
        Err((error, model)) => {
            let mut tokens = error.to_compile_error();
            tokens.extend(model.as_ref().map(expand::stubs));
            tokens.extend(item);
            tokens
        }
    }
}
