//! What a run that may outlive its caller owns.

use proc_macro2::TokenStream;
use quote::quote;

use super::expanded;

fn method(body: &TokenStream) -> TokenStream {
    quote!(fn f(&self, name: &str, id: u64) -> u64 { #body })
}

fn renewed(options: &TokenStream, body: &TokenStream) -> String {
    let code = expanded(quote!(ttl = "5m", refresh_ahead = 0.5, skip(self), helpers = none, #options), method(body));
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_body_owns_the_receiver_if_it_uses_it() {
    let code = renewed(&quote!(), &quote!(self.g(name, id)));
    for part in [
        "let __larder_own_self = {",
        "let __larder_self = ::larder::__private::owned_argument::borrowed::< Self, _, >(&__larder_own_self);",
        "__larder_self.g(name, id)",
        "let __larder_own0 = {",
    ] {
        assert!(code.contains(part), "no {part} in {code}");
    }
    let code = renewed(&quote!(), &quote!(id));
    assert!(!code.contains("own_self"), "{code}");
}

#[test]
fn closures_over_the_result_own_what_they_mention() {
    let code = renewed(&quote!(cache_if = |value| self.keeps(value)), &quote!(id));
    for part in ["let __larder_seen_self = {", "(&__larder_seen_self);", "__larder_self.keeps(value)"] {
        assert!(code.contains(part), "no {part} in {code}");
    }
    assert!(!code.contains("__larder_seen0") && !code.contains("|value| self"), "{code}");
    let code = renewed(&quote!(cache_if = |value| name.len() > *value), &quote!(id));
    for part in ["let __larder_seen0 = {", "(&__larder_seen0);"] {
        assert!(code.contains(part), "no {part} in {code}");
    }
    assert!(!code.contains("seen_self"), "{code}");
}

#[test]
fn static_borrows_are_moved_into_the_run() {
    let code = renewed(&quote!(), &quote!(id));
    assert!(code.contains("OwnedArgument::<str>") || code.contains("OwnedArgument::< str"), "{code}");
    let item = quote!(
        fn f(name: &'static str) -> u64 {
            name.len()
        }
    );
    let code = expanded(quote!(ttl = "5m", refresh_ahead = 0.5, helpers = none), item);
    assert!(
        !code.contains("OwnedArgument") && code.contains("let __larder_own0 = ::larder::__private::owned(name);"),
        "{code}"
    );
}

/// Where a `local` key doesn't look through borrows, it takes the argument as serde does.
#[test]
fn static_borrows_inside_a_type_are_none() {
    let part = |ty: TokenStream| {
        let code = expanded(quote!(local, helpers = none), quote!(fn f(x: #ty) -> u64 { 1 }));
        code.contains("key::local::Part")
    };
    for (ty, typed) in [
        (quote!(Query<'static>), true),
        (quote!(Query<'_>), false),
        (quote!((&'static str, u8)), true),
        (quote!((&str, u8)), false),
        (quote!(Option<&str>), true),
        (quote!(&str), true),
        (quote!(Wrapper<&str>), false),
    ] {
        assert_eq!(part(ty.clone()), typed, "{ty}");
    }
}
