//! Code as a sequence of tokens: whether it contains a word, and the code as text.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ext::IdentExt;

/// Whether these tokens say this word.
pub(crate) fn says(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => says(group.stream(), word),
        _ => false,
    })
}

/// Code as text, the same whatever compiler and however it is set: `user . id`. (What `to_string` puts between tokens has
/// changed before.)
pub(super) fn words(code: TokenStream) -> String {
    fn add(code: TokenStream, words: &mut Vec<String>) {
        for token in code {
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    words.push(open.to_owned());
                    add(group.stream(), words);
                    words.push(close.to_owned());
                }
                TokenTree::Ident(ident) => words.push(ident.unraw().to_string()),
                TokenTree::Punct(punct) => words.push(punct.as_char().to_string()),
                TokenTree::Literal(literal) => words.push(literal.to_string()),
            }
        }
    }
    let mut words = Vec::new();
    add(code, &mut words);
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use proc_macro2::{Group, TokenTree};
    use quote::quote;

    use super::*;

    #[test]
    fn code_is_the_same_text_however_it_is_set() {
        let code: TokenStream = "user.  id /* its own */ .f( r#type,&[1u8] )".parse().unwrap();
        assert_eq!(words(code), "user . id . f ( type , & [ 1u8 ] )");
        let substituted = TokenTree::from(Group::new(Delimiter::None, quote!(a + b)));
        assert_eq!(words(quote!(#substituted * 2)), "a + b * 2");
    }
}
