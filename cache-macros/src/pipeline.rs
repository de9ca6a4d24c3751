//! The whole pipeline: tokens are parsed, checked and expanded.

use proc_macro2::TokenStream;

use crate::errors::Errors;
use crate::{expand, invisible_groups, model, parse};

/// What the attribute with these options makes of this item. On mistakes the item stays as it is, so that editors keep
/// working, and its helpers are there.
pub(crate) fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
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
