//! Arguments of a run that may outlive its caller: it owns them, and its body and its closures borrow them from it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Receiver, ReceiverKind, Type};

use super::parts::copied_parts;
use super::rename_self::this;
use super::spans::{allow_of_lets, at, krate};
use crate::model::{Argument, Mentions, Model, Ownership, ownership, says};

/// `let __larder_own0 = OwnedArgument::<str>::NEW.__larder_own(name);` before the body.
pub(super) fn owned_arguments(model: &Model) -> TokenStream {
    let mut lets = TokenStream::new();
    for (index, argument) in model.arguments.list.iter().enumerate() {
        let ident = &argument.ident;
        lets.extend(own(model, &local(index), &quote!(#ident), &argument.ty));
    }
    if let Some(receiver) = used_receiver(model) {
        let this = &receiver.self_token;
        lets.extend(match &receiver.kind {
            ReceiverKind::Typed(_, ty) => own(model, &own_self(), &quote!(#this), ty),
            ReceiverKind::Reference(..) => {
                own_as(model, &own_self(), &quote!(#this), Some(&self_type(receiver)), at(this))
            }
            _ => own_as(model, &own_self(), &quote!(#this), None, at(this)),
        });
    }
    lets
}

/// `let name = borrowed::<str, _>(&__larder_own0);` inside it.
pub(super) fn borrowed_arguments(model: &Model) -> TokenStream {
    let mut lets = TokenStream::new();
    for (index, argument) in model.arguments.list.iter().enumerate() {
        lets.extend(borrow(model, &argument.ident, &local(index), &ownership(&argument.ty)));
    }
    if let Some(receiver) = used_receiver(model) {
        let (mutability, this) = (&receiver.mutability, this());
        let name = quote!(#mutability #this);
        let whole;
        let kind = match &receiver.kind {
            ReceiverKind::Typed(_, ty) => ownership(ty),
            ReceiverKind::Reference(..) => {
                whole = self_type(receiver);
                Ownership::Cloned(&whole)
            }
            _ => Ownership::Moved,
        };
        lets.extend(borrow(model, &name, &own_self(), &kind));
    }
    lets
}

/// What closures over the result mention of borrowed arguments, owned for a run that outlives the borrow:
/// `let __larder_seen0 = OwnedArgument::<str>::NEW.__larder_own(name);`
pub(super) fn owned_for_closures(model: &Model, mentions: &Mentions) -> TokenStream {
    let mut lets = TokenStream::new();
    for (index, argument) in model.arguments.list.iter().enumerate() {
        if let Some(borrowed) = borrowed_for(argument, mentions) {
            let ident = &argument.ident;
            lets.extend(own_as(model, &seen(index), &quote!(#ident), Some(borrowed), at(&argument.ty)));
        }
    }
    if let Some((receiver, ty)) = receiver_for(model, mentions) {
        let this = &receiver.self_token;
        lets.extend(own_as(model, &seen_self(), &quote!(#this), ty.as_ref(), at(this)));
    }
    lets
}

/// The same inside of them: `let name = borrowed::<str, _>(&__larder_seen0);`
pub(super) fn borrowed_for_closures(model: &Model, mentions: &Mentions) -> TokenStream {
    let mut lets = TokenStream::new();
    for (index, argument) in model.arguments.list.iter().enumerate() {
        if let Some(borrowed) = borrowed_for(argument, mentions) {
            lets.extend(borrow(model, &argument.ident, &seen(index), &Ownership::Cloned(borrowed)));
        }
    }
    if let Some((_, ty)) = receiver_for(model, mentions) {
        let (name, local) = (this(), seen_self());
        lets.extend(match &ty {
            Some(ty) => borrow(model, &name, &local, &Ownership::Cloned(ty)),
            None => quote_spanned!(Span::mixed_site()=> let #name = &#local;),
        });
    }
    lets.extend(copied_parts(model, mentions, |argument| borrowed_for(argument, mentions).is_some()));
    lets
}

/// What the argument borrows, if they mention it.
fn borrowed_for<'a>(argument: &'a Argument, mentions: &Mentions) -> Option<&'a Type> {
    match ownership(&argument.ty) {
        Ownership::Cloned(ty) if argument.names.iter().any(|name| mentions.contains_ident(name)) => Some(ty),
        _ => None,
    }
}

/// The receiver, if they mention it, and what it borrows.
fn receiver_for<'a>(model: &'a Model, mentions: &Mentions) -> Option<(&'a Receiver, Option<Type>)> {
    let receiver = &model.arguments.receiver.as_ref().filter(|_| mentions.contains("self"))?.syntax;
    let ty = match &receiver.kind {
        ReceiverKind::Typed(_, ty) => match ownership(ty) {
            Ownership::Cloned(ty) => Some(ty.clone()),
            Ownership::Moved => None,
        },
        ReceiverKind::Reference(..) => Some(self_type(receiver)),
        _ => None,
    };
    Some((receiver, ty))
}

fn seen(index: usize) -> Ident {
    format_ident!("__larder_seen{index}", span = Span::mixed_site())
}

fn seen_self() -> Ident {
    Ident::new("__larder_seen_self", Span::mixed_site())
}

fn own(model: &Model, local: &Ident, value: &TokenStream, ty: &Type) -> TokenStream {
    match ownership(ty) {
        Ownership::Cloned(inner) => own_as(model, local, value, Some(inner), at(ty)),
        Ownership::Moved => own_as(model, local, value, None, at(ty)),
    }
}

fn own_as(model: &Model, local: &Ident, value: &TokenStream, borrowed: Option<&Type>, at: Span) -> TokenStream {
    let krate = krate(model, at);
    match borrowed {
        Some(ty) => quote_spanned! {at=>
            let #local = {
                #[allow(unused_imports)]
                use #krate::__private::owned_argument::{CanBeOwned as _, CannotBeOwned as _};
                #krate::__private::owned_argument::OwnedArgument::<#ty>::NEW.__larder_own(#value)
            };
        },
        None => quote_spanned!(at=> let #local = #krate::__private::owned(#value);),
    }
}

fn borrow(model: &Model, name: &impl ToTokens, local: &Ident, kind: &Ownership<'_>) -> TokenStream {
    let krate = &model.krate;
    let allow = allow_of_lets(true);
    match kind {
        Ownership::Cloned(ty) => {
            quote_spanned! {Span::mixed_site()=>
                #allow let #name = #krate::__private::owned_argument::borrowed::<#ty, _>(&#local);
            }
        }
        Ownership::Moved => quote_spanned!(Span::mixed_site()=> #allow let #name = #local;),
    }
}

fn local(index: usize) -> Ident {
    format_ident!("__larder_own{index}", span = Span::mixed_site())
}

fn own_self() -> Ident {
    Ident::new("__larder_own_self", Span::mixed_site())
}

fn self_type(receiver: &Receiver) -> Type {
    let ident = Ident::new("Self", receiver.self_token.span.resolved_at(Span::mixed_site()));
    syn::parse_quote!(#ident)
}

/// The receiver, if the body uses it.
fn used_receiver(model: &Model) -> Option<&Receiver> {
    let receiver = model.arguments.receiver.as_ref()?;
    says(model.body.block.stream(), "self").then_some(&receiver.syntax)
}
