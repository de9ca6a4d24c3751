//! `__larder_tags.add("users"); __larder_tags.add((&("user"), &(id)));`

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::Expr;

use super::parts::patterns;
use super::spans::at;
use crate::model::{Mentions, Model, Tag, TagPart};

/// `let __larder_call = __larder_call.tags(|tags| { .. });`, if there are any. `computed_tags` if they may depend on
/// something.
pub(super) fn tags(model: &Model) -> TokenStream {
    if model.tags.is_empty() {
        return TokenStream::new();
    }
    let patterns = patterns(model, &mentions(model));
    let tags = model.tags.iter().map(tag);
    let computes = model.tags.iter().flat_map(parts).any(|part| matches!(part, TagPart::Expr(expr) if computes(expr)));
    let method = Ident::new(if computes { "computed_tags" } else { "tags" }, Span::mixed_site());
    quote_spanned! {Span::mixed_site()=>
        #[allow(clippy::used_underscore_binding)]
        let __larder_call = __larder_call.#method(|__larder_tags| {
            #patterns
            #(#tags)*
        });
    }
}

/// Whether the expression does more than to name something: it may call cached functions.
fn computes(expression: &Expr) -> bool {
    match expression {
        Expr::Path(_) | Expr::Lit(_) => false,
        Expr::Field(field) => computes(&field.base),
        Expr::Group(group) => computes(&group.expr),
        Expr::Paren(paren) => computes(&paren.expr),
        Expr::Reference(reference) => computes(&reference.expr),
        _ => true,
    }
}

/// The names that tags are made of.
pub(super) fn mentions(model: &Model) -> Mentions {
    let mut mentions = Mentions::default();
    for part in model.tags.iter().flat_map(parts) {
        match part {
            TagPart::Plain(_) => {}
            TagPart::Format(literal) => mentions.extend_format(literal),
            TagPart::Expr(expression) => mentions.extend([expression]),
        }
    }
    mentions
}

fn parts(tag: &Tag) -> &[TagPart] {
    match tag {
        Tag::One(part) => std::slice::from_ref(part),
        Tag::Path(parts) => parts,
    }
}

fn tag(tag: &Tag) -> TokenStream {
    match tag {
        Tag::One(TagPart::Expr(expression)) => {
            quote_spanned!(at(expression)=> __larder_tags.add(&(#expression));)
        }
        Tag::One(one) => {
            let text = text(one);
            quote_spanned!(Span::mixed_site()=> __larder_tags.add(#text);)
        }
        Tag::Path(parts) => {
            // Only an expression may be of a type that doesn't fit.
            let cause = parts.iter().find(|part| matches!(part, TagPart::Expr(_))).or(parts.first());
            let at = cause.map_or_else(Span::mixed_site, span);
            let parts = parts.iter().map(|part| {
                let text = text(part);
                quote_spanned!(span(part)=> &(#text))
            });
            quote_spanned!(at=> __larder_tags.add((#(#parts,)*));)
        }
    }
}

fn text(part: &TagPart) -> TokenStream {
    match part {
        TagPart::Plain(literal) => quote_spanned!(at(literal)=> #literal),
        TagPart::Format(literal) => quote_spanned!(at(literal)=> ::std::format!(#literal)),
        TagPart::Expr(expression) => quote_spanned!(at(expression)=> #expression),
    }
}

fn span(part: &TagPart) -> Span {
    match part {
        TagPart::Plain(literal) | TagPart::Format(literal) => at(literal),
        TagPart::Expr(expression) => at(expression),
    }
}
