//! Which functions can be cached.

use quote::quote;

use super::mistakes_of;

#[test]
fn functions_that_cannot_be_cached() {
    for (item, message) in [
        (
            quote!(
                const fn f() -> u8 {
                    1
                }
            ),
            "`const fn`",
        ),
        (
            quote!(
                unsafe fn f() -> u8 {
                    1
                }
            ),
            "`unsafe fn`",
        ),
        (
            quote!(
                extern "C" fn f() -> u8 {
                    1
                }
            ),
            "`extern` function",
        ),
        (
            quote!(
                unsafe extern "C" fn f(n: u8, ...) -> u8 {
                    1
                }
            ),
            "`unsafe fn`",
        ),
        (
            quote!(
                fn f() -> ! {
                    loop {}
                }
            ),
            "never returns",
        ),
        (
            quote!(
                fn f() -> impl Iterator<Item = u8> {
                    0..1
                }
            ),
            "`impl Trait` result",
        ),
        (
            quote!(
                fn f() -> impl Future<Output = u8> {
                    g()
                }
            ),
            "only what it resolves to: make this an `async fn`",
        ),
        (
            quote!(
                fn f(x: &impl Into<u8>) -> u8 {
                    1
                }
            ),
            "`impl Trait` argument",
        ),
        (
            quote!(
                fn f(x: &str) -> &str {
                    x
                }
            ),
            "can't borrow",
        ),
        (
            quote!(
                fn f<'a>(x: &'a str) -> Cow<'a, str> {
                    x
                }
            ),
            "can't borrow",
        ),
        (
            quote!(
                fn f(x: &str) -> Cow<'_, str> {
                    x
                }
            ),
            "can't borrow",
        ),
        (
            quote!(
                fn f(x: Option<&mut u8>) -> u8 {
                    1
                }
            ),
            "written through `&mut`",
        ),
        (
            quote!(
                fn f(#[cfg(a)] x: u8) -> u8 {
                    1
                }
            ),
            "can't be conditional",
        ),
        (
            quote!(
                #[larder::cached]
                fn f(x: u8) -> u8 {
                    1
                }
            ),
            "cached already",
        ),
        (
            quote!(
                fn f(&self) -> u8 {
                    1
                }
            ),
            "`key = (self.id)`",
        ),
        (
            quote!(
                fn f(mut self: Box<Self>, x: u8) -> u8 {
                    1
                }
            ),
            "`key = (self.id, x)`",
        ),
        (
            quote!(
                fn f(&mut self) -> u8 {
                    1
                }
            ),
            "can't take `&mut self`",
        ),
        (
            quote!(
                fn f(self: &mut Self) -> u8 {
                    1
                }
            ),
            "can't take `&mut self`",
        ),
        (
            quote!(
                fn f(x: u8) -> u8;
            ),
            "without a body",
        ),
        (
            quote!(
                fn f(x: u8, of: impl Fn(u8) -> u8) -> u8 {
                    of(x)
                }
            ),
            "what a function does can't be compared",
        ),
        (
            quote!(
                struct S;
            ),
            "the function that makes the value",
        ),
        (quote!(impl S {}), "each method of this impl"),
        (
            quote!(
                extern "C" {
                    fn f();
                }
            ),
            "wrap the foreign function",
        ),
        (quote!(vec! {}), "put it on a function"),
        (quote!(), "put it on a function"),
    ] {
        let found = mistakes_of(quote!(), item.clone());
        assert!(found.first().is_some_and(|found| found.contains(message)), "{item}: {found:?}");
    }
}

#[test]
fn functions_that_can() {
    for item in [
        quote!(
            fn f() -> &'static str {
                ""
            }
        ),
        quote!(
            fn f() -> Option<Cow<'static, [u8]>> {
                None
            }
        ),
        quote!(
            fn f() -> fn(&str) -> &str {
                g
            }
        ),
        quote!(
            fn f() -> Arc<dyn for<'a> Fn(&'a str) -> &'a str + Send + Sync> {
                g
            }
        ),
        quote!(
            fn f() -> Arc<dyn Fn(&str) -> &str> {
                g
            }
        ),
        quote!(
            fn f(x: fn(&mut u8)) {}
        ),
        quote!(
            pub(crate) async fn f<T, const N: usize>(x: [T; N]) -> T
            where
                T: Copy,
            {
                x[0]
            }
        ),
    ] {
        let found = mistakes_of(quote!(local), item.clone());
        assert!(found.is_empty(), "{item}: {found:?}");
    }
    let skipped = mistakes_of(
        quote!(skip(self, out)),
        quote!(
            fn f(&self, out: &mut Vec<u8>) {}
        ),
    );
    assert!(skipped.is_empty(), "{skipped:?}");
}

#[test]
fn generators() {
    for item in [
        quote!(
            gen fn f() -> u8 {
                yield 1;
            }
        ),
        quote!(
            pub(crate) async gen fn f() -> u8 {
                yield 1;
            }
        ),
    ] {
        // Not through the whole pipeline: what is given back can't be read as a file yet.
        let error = crate::errors::Errors::collect(|errors| crate::parse::function(item, errors)).err().unwrap().0;
        assert!(error.to_string().contains("a generator gives many values"), "{error}");
    }
}

/// Its lifetimes are no borrows that anybody has written.
#[test]
fn async_trait_leaves_one_mistake() {
    let found = mistakes_of(
        quote!(ttl = "5m", skip(self)),
        quote!(
            fn get<'life0, 'life1, 'async_trait>(
                &'life0 self,
                name: &'life1 str,
            ) -> ::core::pin::Pin<
                Box<dyn ::core::future::Future<Output = &'static str> + ::core::marker::Send + 'async_trait>,
            >
            where
                'life0: 'async_trait,
                'life1: 'async_trait,
                Self: 'async_trait,
            {
                Box::pin(async move { "" })
            }
        ),
    );
    assert!(
        matches!(&found[..], [one] if one.contains("move the body to an `async fn` outside the trait")),
        "{found:?}"
    );
}
