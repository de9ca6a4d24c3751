//! The first half of a call: what it is called with, and the look into memory.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Expr;

use super::parts::{mapped, patterns};
use super::spans::{at, krate, none};
use crate::model::{Argument, KeyPart, Mentions, Model};

/// `let __larder_call = match lookup(..) { Hit => return, Miss => call };`
pub(super) fn lookup(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let hit = mapped(model, quote_spanned!(Span::mixed_site()=> __larder_value));
    let look = found(model, "lookup");
    // In a block, so that nothing of a hit is held when the body is awaited: it might not be `Send`.
    quote_spanned! {Span::mixed_site()=>
        let __larder_call = {
            #look
            match __larder_found {
                #krate::__private::Lookup::Hit(__larder_value) => return #hit,
                #krate::__private::Lookup::Miss(__larder_call) => __larder_call,
            }
        };
    }
}

/// `let __larder_found = lookup(..);`
pub(super) fn found(model: &Model, function: &str) -> TokenStream {
    let krate = &model.krate;
    let shape = shape(model);
    let function = Ident::new(function, Span::mixed_site());
    let Named { before, scope, cache, key } = named(model, model.cache.as_ref());
    let (site, here) = if model.helpers.share_site() {
        let shared = |name| Ident::new(name, Span::mixed_site()).into_token_stream();
        (shared("__larder_site"), shared("__larder_here"))
    } else {
        let here = quote_spanned!(Span::mixed_site()=> #krate::__private::Here::of(&|| ()));
        (quote_spanned!(Span::mixed_site()=> &__LARDER_SITE), here)
    };
    quote_spanned! {Span::mixed_site()=>
        let __larder_found = {
            #before
            #key
            #krate::__private::#function(
                #site,
                #here,
                #shape,
                #scope,
                #cache,
                __larder_key,
            )
        };
    }
}

/// What names an entry, as arguments of a call into the library.
pub(super) struct Named {
    /// Statements in front of the call.
    pub(super) before: TokenStream,
    pub(super) scope: TokenStream,
    pub(super) cache: TokenStream,
    /// `let mut __larder_key = ..;`
    pub(super) key: TokenStream,
}

pub(super) fn named(model: &Model, cache: Option<&Expr>) -> Named {
    let patterns = patterns(model, &mentions(model, cache));
    let parts = key_lets(model);
    Named { before: quote!(#patterns #parts), scope: scope(model), cache: cache_ref(model, cache), key: key(model) }
}

/// The names that the key, the scope and the cache are made of.
pub(super) fn mentions(model: &Model, cache: Option<&Expr>) -> Mentions {
    let key = model.key.parts.iter().filter_map(|part| match part {
        KeyPart::Expr(expression) => Some(expression),
        KeyPart::Argument(_) => None,
    });
    Mentions::of(key.chain(&model.scope).chain(cache))
}

/// What is stored, found by type: see `larder::__private::shape`.
fn shape(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let returns = &model.returns;
    let at = at(returns);
    let stored =
        if model.cache_err { quote_spanned!(at=> __larder_whole) } else { quote_spanned!(at=> __larder_shape) };
    let layers = if model.local { quote_spanned!(at=> __larder_local) } else { quote_spanned!(at=> __larder_shared) };
    quote_spanned! {at=> {
        #[allow(unused_imports)]
        use #krate::__private::shape::levels::*;
        (&&&&&&&(&&&&&(&#krate::__private::shape::Probe::<#returns>::NEW).#stored()).#layers()).__larder_failures()
    }}
}

/// `Some(shown(&(tenant)))`
fn scope(model: &Model) -> TokenStream {
    let Some(scope) = &model.scope else { return none() };
    let at = at(scope);
    let krate = krate(model, at);
    quote_spanned!(at=> ::core::option::Option::Some(#krate::__private::shown(&(#scope))))
}

/// `cache_ref(&(MY_CACHE))`
pub(super) fn cache_ref(model: &Model, cache: Option<&Expr>) -> TokenStream {
    let Some(cache) = cache else { return none() };
    let at = at(cache);
    let krate = krate(model, at);
    quote_spanned!(at=> #krate::__private::cache_ref(&(#cache)))
}

/// Parts of `key = ..` that a `local` key borrows, which must outlive it. Others are written to it at once.
fn key_lets(model: &Model) -> TokenStream {
    let mut lets = TokenStream::new();
    if !model.local {
        return lets;
    }
    for (index, part) in model.key.parts.iter().enumerate() {
        if let KeyPart::Expr(expression) = part {
            let part = format_ident!("__larder_key{index}", span = Span::mixed_site());
            lets.extend(quote_spanned! {at(expression)=>
                #[allow(clippy::used_underscore_binding)]
                let #part = &(#expression);
            });
        }
    }
    lets
}

/// `let mut __larder_key = KeyBuf::new(); { (&&&&Part(&(id))).__larder_add(&mut __larder_key); .. }`
fn key(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let empty = quote_spanned!(Span::mixed_site()=> #krate::__private::key::KeyBuf::new());
    if model.key.parts.is_empty() {
        return quote_spanned!(Span::mixed_site()=> let __larder_key = #empty;);
    }
    let of_all = (quote!(key), quote!(ByIdentity as _, BySerialize as _, Missing as _));
    let of_local = (quote!(key::local), quote!(ByIdentity as _, ByHash as _, BySerialize as _, Missing as _));
    let hashed = |part: &&KeyPart| model.local && !borrows_inside(model, part);
    let hashed_parts = key_parts(model, of_local, hashed);
    let parts = key_parts(model, of_all, |part| !hashed(part));
    quote_spanned! {Span::mixed_site()=>
        let mut __larder_key = #empty;
        #hashed_parts
        #parts
    }
}

/// Whether it is an argument that is no typed part for sure, though method lookup would take it for one.
fn borrows_inside(model: &Model, part: &KeyPart) -> bool {
    match part {
        KeyPart::Argument(argument) => model.arguments.list.get(*argument).is_some_and(Argument::borrows_inside),
        KeyPart::Expr(_) => false,
    }
}

/// Those of the parts that are wanted, through these doors.
fn key_parts(
    model: &Model,
    (module, doors): (TokenStream, TokenStream),
    wanted: impl Fn(&&KeyPart) -> bool,
) -> TokenStream {
    let krate = &model.krate;
    let parts = model.key.parts.iter().enumerate().filter(|(_, part)| wanted(part));
    let parts = parts.map(|(index, part)| match part {
        KeyPart::Argument(argument) => {
            let argument = model.arguments.list.get(*argument);
            argument.map_or_else(TokenStream::new, |argument| {
                let (ident, at) = (&argument.ident, at(&argument.ty));
                quote_spanned!(at=> (&&&&#krate::__private::#module::Part(&(#ident))).__larder_add(&mut __larder_key);)
            })
        }
        KeyPart::Expr(expression) if model.local => {
            let part = format_ident!("__larder_key{index}", span = Span::mixed_site());
            quote_spanned!(at(expression)=> (&&&&#krate::__private::#module::Part(#part)).__larder_add(&mut __larder_key);)
        }
        KeyPart::Expr(expression) => {
            quote_spanned!(at(expression)=> (&&&&#krate::__private::#module::Part(&(#expression))).__larder_add(&mut __larder_key);)
        }
    });
    let parts: TokenStream = parts.collect();
    if parts.is_empty() {
        return parts;
    }
    quote_spanned! {Span::mixed_site()=>
        #[allow(clippy::used_underscore_binding)]
        {
            #[allow(unused_imports)]
            use #krate::__private::#module::{#doors};
            #parts
        }
    }
}
