//! The annotated item, if it is a function. Its body stays as it is, token for token.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Signature, Token, Visibility};

use crate::errors::Errors;

/// A function.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// `None` for a declaration in a trait.
    pub(crate) body: Option<Body>,
}

/// What stands between a function's braces.
pub(crate) struct Body {
    /// `#![..]`
    pub(crate) attrs: Vec<Attribute>,
    /// The rest, braces included.
    pub(crate) block: Group,
}

/// Reads the item.
pub(crate) fn function(tokens: TokenStream, errors: &mut Errors) -> Option<Function> {
    errors.attempt(syn::parse2(tokens))
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        is_function(input)?;
        let sig = input.parse()?;
        let body = if input.parse::<Option<Token![;]>>()?.is_some() { None } else { Some(input.parse()?) };
        Ok(Self { attrs, vis, sig, body })
    }
}

impl Parse for Body {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut token: TokenTree = input.parse()?;
        let block = loop {
            match token {
                TokenTree::Group(block) if block.delimiter() == Delimiter::Brace => break block,
                // A `$body:block` of macro_rules comes in an invisible group.
                TokenTree::Group(invisible) if invisible.delimiter() == Delimiter::None => {
                    token = syn::parse2(invisible.stream())?;
                }
                other => {
                    return Err(syn::Error::new(other.span(), "expected a function body in braces"));
                }
            }
        };
        let split = |input: ParseStream<'_>| Ok((input.call(Attribute::parse_inner)?, input.parse::<TokenStream>()?));
        let (attrs, rest) = split.parse2(block.stream())?;
        let mut inner = Group::new(Delimiter::Brace, rest);
        inner.set_span(block.span());
        Ok(Self { attrs, block: inner })
    }
}

/// Whether `fn` follows, perhaps behind qualifiers; else an error that knows what it is instead.
fn is_function(input: ParseStream<'_>) -> syn::Result<()> {
    let ahead = input.fork();
    let first = ahead.fork();
    while ahead.peek(Token![const])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe])
        || ahead.peek(Token![extern])
    {
        ahead.parse::<TokenTree>()?;
        ahead.parse::<Option<syn::LitStr>>()?;
    }
    if ahead.peek(Token![fn]) {
        return Ok(());
    }
    // `async gen fn` is one of those that start like a function.
    let generator = ahead.fork().call(Ident::parse_any).is_ok_and(|keyword| keyword == "gen");
    let keyword = if generator { ahead } else { first }.parse::<TokenTree>().ok();
    let advice = match keyword {
        Some(TokenTree::Ident(ref keyword)) => advice(keyword),
        _ => "put it on a function",
    };
    let message = format!("#[cached] goes on functions and methods: {advice}");
    Err(match keyword {
        Some(token) => syn::Error::new_spanned(token, message),
        None => input.error(message),
    })
}

/// What to do about an item that starts with this word.
fn advice(keyword: &Ident) -> &'static str {
    match keyword.to_string().as_str() {
        "impl" => "put it on each method of this impl that should be cached",
        "trait" => "put it on the methods that have a default body, or on those of an impl",
        "mod" => "put it on each function of this module that should be cached",
        "struct" | "enum" | "union" => "put it on the function that makes the value",
        "const" | "static" => "a value that is computed once is a `std::sync::LazyLock`",
        "type" | "use" => "put it on the function itself",
        "gen" => "a generator gives many values: cache a function that returns them in a `Vec`",
        "macro_rules" | "macro" => "put it on the function that the macro makes",
        "extern" => "wrap the foreign function in a function of your own",
        _ => "put it on a function",
    }
}
