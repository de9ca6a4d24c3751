mod background;
mod expansion;
mod functions;
mod helpers;
mod keys;
mod mistakes;
mod odd_tokens;

use proc_macro2::TokenStream;

/// What the attribute makes of this function, formatted; fails if it reports mistakes.
fn expanded(options: TokenStream, item: TokenStream) -> String {
    let tokens = crate::pipeline::cached(options, item);
    let found = mistakes(&tokens);
    assert!(found.is_empty(), "{found:?}");
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

/// The messages of all `compile_error!`s.
fn mistakes(tokens: &TokenStream) -> Vec<String> {
    let file: syn::File = syn::parse2(tokens.clone()).unwrap_or_else(|_| syn::File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items: Vec::new(),
    });
    file.items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Macro(found) if found.mac.path.segments.last()?.ident == "compile_error" => {
                Some(found.mac.parse_body::<syn::LitStr>().unwrap().value())
            }
            _ => None,
        })
        .collect()
}

/// The messages that this attribute on this item gives.
fn mistakes_of(options: TokenStream, item: TokenStream) -> Vec<String> {
    mistakes(&crate::pipeline::cached(options, item))
}
