//! What stands beside a function: which helpers, and what tells the user where they don't fit.

use proc_macro2::TokenStream;
use quote::quote;

use super::expanded;

const OF_TRAITS: &str = "write_helpers_none_on_f_in_the_impl_of_a_trait";

fn method() -> TokenStream {
    quote!(
        fn f(&self, id: u64) -> u64 {
            id
        }
    )
}

/// The names of everything that isn't the function itself.
fn beside(options: TokenStream, item: TokenStream) -> Vec<String> {
    let file = syn::parse_file(&expanded(options, item)).unwrap();
    let names = file.items.into_iter().skip(1).map(|item| match item {
        syn::Item::Fn(function) => function.sig.ident.to_string(),
        syn::Item::Const(constant) => constant.ident.to_string(),
        other => panic!("{other:?}"),
    });
    names.collect()
}

/// The compiler says no more of them than their names, and what it says first is the advice.
#[test]
fn a_method_that_may_be_of_a_trait_has_advice_first() {
    let both = ["invalidate_f", "invalidate_all_f"];
    assert_eq!(beside(quote!(skip(self)), method()), [OF_TRAITS, both[0], both[1]]);
    assert_eq!(beside(quote!(skip(self), helpers = none), method()), <[&str; 0]>::default());
    let peek = beside(quote!(skip(self), helpers = [peek]), method());
    // It is the name of the function that holds the static, of which the compiler speaks as well.
    assert_eq!(peek, [OF_TRAITS, both[0], both[1], "peek_f"]);
    assert_eq!(beside(quote!(skip(self), helpers = [tag]), method()), [OF_TRAITS, both[0], both[1], "tag_f"]);
    let public = method();
    assert_eq!(beside(quote!(skip(self)), quote!(pub #public)), both);
}

#[test]
fn a_function_whose_helpers_may_be_in_an_impl_has_advice_too() {
    let function = quote!(
        fn f(id: u64) -> u64 {
            id
        }
    );
    assert_eq!(beside(quote!(), function.clone()), ["invalidate_f", "invalidate_all_f"]);
    for (helpers, advice) in [
        (quote!([peek]), "list_Self_peek_in_the_helpers_of_f_in_an_impl"),
        (quote!([explain]), "list_Self_explain_in_the_helpers_of_f_in_an_impl"),
        (quote!([prime, refresh]), "list_Self_refresh_Self_prime_in_the_helpers_of_f_in_an_impl"),
    ] {
        let code = expanded(quote!(helpers = #helpers), function.clone());
        // It is declared, is what the static says of its place, and the function and each helper use it.
        let count = if helpers.to_string().contains(',') { 5 } else { 4 };
        assert_eq!(code.matches(advice).count(), count, "{code}");
        assert!(!code.contains("__larder_site_f"), "{code}");
    }
    let code = expanded(quote!(helpers = [Self::peek]), quote!(pub #function));
    assert!(!code.contains("list_") && code.contains("Self::__larder_site_f()"), "{code}");
    let code = expanded(quote!(helpers = [Self::peek]), function);
    assert!(!code.contains("list_") && code.contains(&format!("Self::{OF_TRAITS}()")), "{code}");
}

#[test]
fn whether_a_function_is_in_an_impl() {
    for (item, in_impl) in [
        (
            quote!(
                fn f(id: u64) -> u64 {
                    Self::g(id)
                }
            ),
            true,
        ),
        (
            quote!(
                fn f(id: u64) -> Option<Self> {
                    g(id)
                }
            ),
            true,
        ),
        (
            quote!(
                fn f(id: u64) -> u64 {
                    { g(vec![Self::ID]) }
                }
            ),
            true,
        ),
        (
            quote!(
                fn f(id: u64) -> u64 {
                    struct W;
                    impl W {
                        fn g() -> Self {
                            W
                        }
                    }
                    id
                }
            ),
            false,
        ),
        (
            quote!(
                fn f(id: u64) -> u64 {
                    struct W;
                    impl Tr for [W; 1] {
                        fn g() -> Self {
                            W
                        }
                    }
                    id
                }
            ),
            false,
        ),
        (
            quote!(
                fn f(id: u64) -> u64 {
                    struct W;
                    impl Tr<Self> for W
                    where
                        Self: Sized,
                    {
                        fn g() {}
                    }
                    id
                }
            ),
            false,
        ),
        (
            quote!(
                fn f(id: u64) -> u64 {
                    struct W(u8);
                    Self::g(id)
                }
            ),
            true,
        ),
        (
            quote!(
                fn f(id: u64) -> u64 {
                    enum E {
                        A,
                    }
                    Self::g(id)
                }
            ),
            true,
        ),
        (
            quote!(
                fn f(id: u64) -> u64 {
                    trait Tr {
                        fn g() -> Self;
                    }
                    id
                }
            ),
            false,
        ),
    ] {
        let code = expanded(quote!(), item);
        assert_eq!(code.contains(OF_TRAITS), in_impl, "{code}");
    }
}

/// So that who calls them gets no error more, and the impl of a trait none of ours.
#[test]
fn a_function_with_mistakes_keeps_its_helpers() {
    let stubs = |options: TokenStream, item: TokenStream| crate::pipeline::cached(options, item).to_string();
    let method = method();
    let code = stubs(quote!(skip(self), ttl = 5, helpers = [Self::peek]), quote!(pub #method));
    for part in
        ["pub fn invalidate_f (id : u64)", "pub fn invalidate_all_f ()", "pub fn peek_f (id : u64)", "unimplemented"]
    {
        assert!(code.contains(part), "{part} in {code}");
    }
    assert!(!code.contains("__larder_site_f"), "{code}");
    assert!(!stubs(quote!(skip(self), ttl = 5), method).contains("invalidate_f"));
}

#[test]
fn a_refresh_of_a_deprecated_function_is_silent() {
    let item = quote!(
        #[deprecated]
        fn f(id: u64) -> u64 {
            id
        }
    );
    let code = crate::pipeline::cached(quote!(helpers = [refresh]), item);
    let text = code.to_string();
    assert!(text.contains("# [allow (deprecated)]"), "{text}");
    let without = crate::pipeline::cached(
        quote!(helpers = [refresh]),
        quote!(
            fn f(id: u64) -> u64 {
                id
            }
        ),
    );
    assert!(!without.to_string().contains("deprecated"), "{without}");
}

#[test]
fn what_an_invalidation_needs() {
    let async_method = quote!(
        pub async fn f(&self, id: u64) -> u64 {
            id
        }
    );
    // An expression in the key: the call is made first and awaited then, with nothing of it alive.
    let code = expanded(quote!(key = (self.id, id)), async_method.clone());
    assert!(code.contains("__larder_done.await"), "{code}");
    // All entries are in that cache only if it doesn't depend on a call.
    for (options, in_cache) in
        [(quote!(cache = CACHE, skip(self)), true), (quote!(cache = self.cache, skip(self)), false)]
    {
        let code = expanded(options, async_method.clone());
        let all = code.split("invalidate_all_f").nth(1).unwrap();
        assert_eq!(all.contains("invalidate_function_in("), in_cache, "{code}");
    }
    let code = expanded(quote!(skip(self), version = 3), async_method.clone());
    assert_eq!(code.matches("version: 3u64").count(), 3, "{code}");
    let code = expanded(quote!(skip(self)), async_method);
    assert_eq!(code.matches("version: 0u64").count(), 2, "in the helpers only: {code}");
}
