//! Invisible groups (`Delimiter::None`), which macro_rules puts around its `$fragments`, so that `$a * 2` is `(1 + 2) * 2`.
//!
//! The compiler forgets them in what an attribute gives back, even in a body that stays as it is: the same function would
//! compute `1 + 2 * 2`. So where it makes a difference, they become parentheses.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::{Expr, Lit, Type, UnOp};

/// The same code, which means what it meant.
pub(crate) fn keep_together(tokens: TokenStream) -> TokenStream {
    kept_together(&tokens).unwrap_or(tokens)
}

/// Whether there is such a group. Looking is cheaper than copying code that has none.
pub(crate) fn has_any(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::None || has_any(&group.stream()),
        _ => false,
    })
}

/// `None` if it can stay as it is.
fn kept_together(tokens: &TokenStream) -> Option<TokenStream> {
    let mut tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut changed = false;
    for index in 0..tokens.len() {
        let (before, rest) = tokens.split_at(index);
        let Some((TokenTree::Group(group), after)) = rest.split_first() else { continue };
        if let Some(group) = one(group, before, after) {
            changed = true;
            if let Some(token) = tokens.get_mut(index) {
                *token = TokenTree::Group(group);
            }
        }
    }
    changed.then(|| tokens.into_iter().collect())
}

fn one(group: &Group, before: &[TokenTree], after: &[TokenTree]) -> Option<Group> {
    let inside = kept_together(&group.stream());
    let apart = group.delimiter() == Delimiter::None && falls_apart(group.stream(), before, after);
    if inside.is_none() && !apart {
        // As it is, with the places of both its ends.
        return None;
    }
    let delimiter = if apart { Delimiter::Parenthesis } else { group.delimiter() };
    let mut kept = Group::new(delimiter, inside.unwrap_or_else(|| group.stream()));
    kept.set_span(group.span());
    Some(kept)
}

/// Whether this is an expression of which a neighbour would take a part.
fn falls_apart(inside: TokenStream, before: &[TokenTree], after: &[TokenTree]) -> bool {
    if is_free(before, after) {
        return false;
    }
    // A type or a pattern can look like an expression. Those that may stand in parentheses do no harm.
    match syn::parse2::<Type>(inside.clone()) {
        Ok(Type::TraitObject(_)) | Err(_) => {}
        Ok(_) => return is_reference(inside) && has_suffix(after),
    }
    match syn::parse2::<Expr>(inside) {
        Ok(Expr::Unary(negative)) if is_negative_number(&negative) => has_suffix(after),
        Ok(Expr::Binary(_) | Expr::Unary(_) | Expr::Cast(_) | Expr::Range(_) | Expr::Closure(_) | Expr::RawAddr(_)) => {
            true
        }
        _ => false,
    }
}

/// Whether nothing can be taken from it: `f(.., $e)`, `let x = $e;`
fn is_free(before: &[TokenTree], after: &[TokenTree]) -> bool {
    let before = match before {
        [] => true,
        [.., TokenTree::Punct(first), TokenTree::Punct(last)] if first.spacing() == proc_macro2::Spacing::Joint => {
            matches!((first.as_char(), last.as_char()), ('=', '>'))
        }
        [.., TokenTree::Punct(last)] => matches!(last.as_char(), ',' | ';' | '='),
        _ => false,
    };
    before
        && matches!(after.first(), None | Some(TokenTree::Punct(_)))
        && after.first().is_none_or(|next| is(next, ",;"))
}

fn is(token: &TokenTree, one_of: &str) -> bool {
    matches!(token, TokenTree::Punct(punct) if one_of.contains(punct.as_char()))
}

fn is_reference(inside: TokenStream) -> bool {
    matches!(syn::parse2::<Expr>(inside), Ok(Expr::Reference(_)))
}

/// A literal pattern may not stand in parentheses in a range.
fn is_negative_number(unary: &syn::ExprUnary) -> bool {
    matches!(unary.op, UnOp::Neg(_))
        && matches!(&*unary.expr, Expr::Lit(literal) if matches!(literal.lit, Lit::Int(_) | Lit::Float(_)))
}

/// `.method()` or `?`
fn has_suffix(after: &[TokenTree]) -> bool {
    match after {
        [first, second, ..] if is(first, ".") => !is(second, "."),
        [first, ..] => is(first, "?"),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn invisible(tokens: TokenStream) -> TokenTree {
        Group::new(Delimiter::None, tokens).into()
    }

    #[test]
    fn what_would_fall_apart_is_kept_together() {
        let sum = invisible(quote!(a + 2));
        let closure = invisible(quote!(|x| x));
        let negative = invisible(quote!(-1));
        let reference = invisible(quote!(&a));
        let cast = invisible(quote!(a as u8));
        for (code, expected) in [
            (quote!(#sum * x), quote!((a + 2) * x)),
            (quote!(x * #sum), quote!(x * (a + 2))),
            (quote!(x - #sum;), quote!(x - (a + 2);)),
            (quote!(x == #sum;), quote!(x == (a + 2);)),
            (quote!(f(#sum.g())), quote!(f((a + 2).g()))),
            (quote!([u8; #sum + 1]), quote!([u8; (a + 2) + 1])),
            (
                quote!(if #sum { b }),
                quote!(if (a + 2) {
                    b
                }),
            ),
            (quote!(#closure(1)), quote!((|x| x)(1))),
            (quote!(#cast < x), quote!((a as u8) < x)),
            (quote!(#negative.abs()), quote!((-1).abs())),
            (quote!(#reference.len()), quote!((&a).len())),
        ] {
            assert_eq!(keep_together(code).to_string(), expected.to_string());
        }
        let nested = invisible(quote!(#sum * 3));
        assert_eq!(keep_together(quote!(#nested / 4)).to_string(), quote!(((a + 2) * 3) / 4).to_string());
    }

    #[test]
    fn everything_else_stays() {
        for inside in [
            quote!(a + 2),
            quote!(a),
            quote!(5),
            quote!("text"),
            quote!(a.b(c)?),
            quote!(Vec<u8>),
            quote!(Vec<u8>::Item),
            quote!(&'a str),
            quote!(&u8),
            quote!(dyn A + B),
            quote!((u8, u8)),
            quote!(fn(u8) -> u8),
            quote!(Some(x)),
            quote!(-1),
            quote!({ a }),
            quote!(let x = 1),
            quote!(pub(crate)),
            quote!(
                fn f() {}
            ),
        ] {
            let one = invisible(inside);
            for code in [quote!(f(x, #one)), quote!(let x = #one;), quote!({ #one }), quote!([#one, #one])] {
                assert_eq!(keep_together(code.clone()).to_string(), code.to_string());
            }
        }
        for inside in [quote!(u8), quote!(&u8), quote!(Vec<u8>::Item), quote!(&'a str), quote!(dyn A)] {
            let one = invisible(inside);
            let code = quote!(fn f<T: X<#one>>(x: #one, y: [#one; 2]) -> #one { g::<#one>() });
            assert_eq!(keep_together(code.clone()).to_string(), code.to_string());
        }
        let (block, number) = (invisible(quote!({ a })), invisible(quote!(-1)));
        for code in
            [quote!(if x #block), quote!(match x { #number..=5 => 1 }), quote!(#block *x = 5;), quote!(#block -1)]
        {
            assert_eq!(keep_together(code.clone()).to_string(), code.to_string());
        }
    }
}
