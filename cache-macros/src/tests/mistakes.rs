//! Each option's and function's mistakes, as messages. How they look in the compiler is in `tests/ui`.

use proc_macro2::TokenStream;
use quote::quote;

fn mistakes(options: TokenStream, item: &TokenStream) -> Vec<String> {
    let tokens = crate::cached_impl(options, item.clone());
    let found = super::mistakes(&tokens);
    assert!(tokens.to_string().ends_with(&item.to_string()), "the item is kept");
    found
}

/// The mistakes of these options start so, in this order, and are all there are.
#[track_caller]
fn expect(options: TokenStream, item: &TokenStream, messages: &[&str]) {
    let found = mistakes(options, item);
    assert_eq!(found.len(), messages.len(), "{found:#?}");
    for (found, message) in found.iter().zip(messages) {
        assert!(found.contains(message), "{found:?} doesn't say {message:?}");
    }
}

fn option_function() -> TokenStream {
    quote!(
        fn f(id: u64, name: &str) -> Option<u64> {
            Some(id)
        }
    )
}

#[test]
fn all_at_once() {
    expect(
        quote!(ttl = 60, tll = "5m", tags = ["{nobody}", ""], skip(missing), cache_if = true),
        &quote!(
            fn f(id: &mut u64) -> &u64 {
                id
            }
        ),
        &[
            "unknown option `tll`: did you mean `ttl`?",
            "can't borrow",
            "no argument `missing`",
            "would skip what is written",
            "`{nobody}` names no argument",
            "empty tag",
            "say the unit: `ttl = \"60s\"`",
            "`cache_if` takes a closure",
        ],
    );
}

#[test]
fn a_mistake_does_not_hide_the_next_option() {
    expect(quote!(ttl = , memory_ttl = 5), &option_function(), &["`ttl` needs a value", "say the unit"]);
    expect(quote!(ttl = ;;; 1 2 3, memory_ttl = 5), &option_function(), &["expected", "say the unit"]);
    expect(quote!(wrong(a, b = c, d), ttl = 5), &option_function(), &["unknown option `wrong`", "say the unit"]);
    expect(quote!("x", ttl = 5), &option_function(), &["expected an option", "say the unit"]);
    expect(quote!(ttl = "5m" local, memory_ttl = 5), &option_function(), &["expected `,`", "say the unit"]);
}

#[test]
fn duplicates_of_every_option() {
    for option in [
        quote!(ttl = "1s"),
        quote!(memory_ttl = "1s"),
        quote!(none_ttl = "1s"),
        quote!(cache_none = true),
        quote!(cache_if = |v| true),
        quote!(cache_err = false),
        quote!(tags = ["a"]),
        quote!(result_tags = |v| ["a"]),
        quote!(key = id),
        quote!(skip(name)),
        quote!(name = "a"),
        quote!(version = 1),
        quote!(max_entries = 1),
        quote!(scope = name),
        quote!(cache = C),
        quote!(local),
        quote!(lossy = true),
        quote!(map = m),
        quote!(helpers = none),
        quote!(crate = larder),
    ] {
        expect(quote!(#option, #option), &option_function(), &["is given twice"]);
    }
    expect(quote!(map = m, stored = R, stored = R), &option_function(), &["is given twice"]);
    expect(quote!(max_bytes = 1, weigh = w, max_bytes = 1, weigh = w), &option_function(), &["twice", "twice"]);
}

#[test]
fn conflicts() {
    for (options, message) in [
        (quote!(max_entries = 1, max_bytes = 1, weigh = w), "exclude each other"),
        (quote!(max_bytes = 1), "`max_bytes` needs `weigh`"),
        (quote!(weigh = w), "`weigh` needs `max_bytes`"),
        (quote!(none_ttl = "1s", cache_none = false), "exclude each other"),
        (quote!(stored = R), "`stored` needs `map`"),
        (quote!(lossy = true, local), "`lossy` is about encoded results"),
        (quote!(lossy = 1), "`lossy` is `true` or `false`"),
        (quote!(key = (id, name), skip(id)), "is in `skip` and in `key`"),
        (quote!(key = format!("{id}"), skip(id)), "is in `skip` and in `key`"),
    ] {
        expect(options, &option_function(), &[message]);
    }
    // A field of that name is no argument.
    let fine = super::mistakes_of(quote!(key = name.id, skip(id)), option_function());
    assert!(fine.is_empty(), "{fine:?}");
}

#[test]
fn what_other_libraries_have() {
    for (options, message) in [
        (quote!(sync_writes = true), "no option `sync_writes`: leave it out"),
        (quote!(force_refresh = { true }), "call `refresh_f(..)`"),
        (quote!(prime), "write `helpers = [prime]`"),
        (quote!(ttl_secs = 5), "did you mean `ttl`?"),
        (quote!(result_fallback = true), "did you mean `stale_if_error`?"),
    ] {
        expect(options, &option_function(), &[message]);
    }
}

#[test]
fn values_that_mean_something_else() {
    for (options, message) in [
        (quote!(key = "{id}"), "the same for all calls: write `key = (id)`, or `format!(\"{id}\")`"),
        (quote!(key = (id, "{name}")), "the same for all calls"),
        (quote!(key = (id, "name")), "the same for all calls: write `name` without quotes"),
        (quote!(key = "name.id"), "write `name.id` without quotes"),
        (quote!(scope = "{name}"), "write `scope = name`"),
        (quote!(scope = "name"), "write `name` without quotes"),
        (quote!(result_tags = |v| ["{v}"]), "write `format!(\"{v}\")`"),
        (quote!(result_tags = |v| [("user", "{v}")]), "write `format!(\"{v}\")`"),
        (quote!(scope = |name| name), "`scope` takes an expression over the arguments: `scope = tenant`"),
        (quote!(result_tags = |v| "users"), "a list of tags, also if there is one: `[\"users\"]`"),
        (quote!(result_tags = |v| ("user", v)), "`[(\"user\" , v)]`"),
        (quote!(max_entries = Self::MAX), "one for the whole program"),
        (quote!(max_bytes = id, weigh = w), "one for the whole program"),
        (quote!(skip(name.first)), "`skip` takes whole arguments"),
        (quote!(max_entries = 99999999999999999999), "fits into 64 bits"),
    ] {
        expect(options, &option_function(), &[message]);
    }
    for fine in [
        quote!(key = ("name", name, id, 1)),
        quote!(scope = "x{{y}}"),
        quote!(scope = "all"),
        quote!(result_tags = |v| ["a{{b}}", "{}"]),
        quote!(max_entries = MAX),
        quote!(max_entries = Shop::MAX),
    ] {
        let found = super::mistakes_of(fine, option_function());
        assert!(found.is_empty(), "{found:?}");
    }
}

/// What is left of `key = "String", convert = ..`, and whatever else would give all callers one result.
#[test]
fn keys_that_are_the_same_for_all_calls() {
    let literal = "is the same for every call, so all calls would share one entry: to key by all arguments, leave `key` \
                   out; by some, name them: `key = (id, name)`; if all calls are to share one entry, write `key = ()`";
    for value in [
        quote!("String"),
        quote!("(usize, usize)"),
        quote!(("String")),
        quote!(("a", "b")),
        quote!(("a", (1, -2))),
        quote!(1),
        quote!(1.5),
        quote!(true),
        quote!('c'),
        quote!(b"x"),
        quote!(c"x"),
        quote!(r#"String"#),
        quote!(&"x"),
        quote!([1, 2]),
        quote!([0; 4]),
        quote!(1 as u8),
        quote!(!0),
    ] {
        expect(quote!(key = #value), &option_function(), &[literal]);
    }
    expect(quote!(key = "String", convert = "{ id }"), &option_function(), &["`key` takes the expression", literal]);
    let none = "mentions none of the arguments";
    for value in [
        quote!(String),
        quote!(TENANT),
        quote!(Self::ID),
        quote!((TENANT, 1)),
        quote!(((), 1, current())),
        quote!(concat!("a", "b")),
        quote!(format!("{TENANT}")),
        quote!(user.id),
        quote!(a::id),
        quote!({
            let id = 1;
            id
        }),
        quote!((|id: u8| id)(1)),
        quote!(match 1 {
            id => id,
        }),
    ] {
        expect(quote!(key = #value), &option_function(), &[none]);
    }
    for fine in [
        quote!(()),
        quote!((())),
        quote!(((), ())),
        quote!(id),
        quote!((TENANT, id)),
        quote!(("users", id)),
        quote!(format!("{id}")),
        quote!(format!("{:>id$}", 1)),
        quote!(format!("{}", id)),
        quote!(hash!(id)),
        quote!([id; 2]),
        quote!({
            let id = id + 1;
            id
        }),
        quote!((|id| id)(name)),
        quote!(Key { id, .. }),
        quote!(Key::of(&id)),
        quote!(if true { id } else { 0 }),
    ] {
        let found = super::mistakes_of(quote!(key = #fine), option_function());
        assert!(found.is_empty(), "{fine}: {found:?}");
    }
}

#[test]
fn keys_of_functions_that_have_other_arguments_or_none() {
    let method = quote!(
        fn f(&self) -> u8 {
            1
        }
    );
    expect(
        quote!(key = "a"),
        &method,
        &["name what tells calls apart: `key = (self.id)`; if all calls are to share one entry, write `key = ()`"],
    );
    expect(quote!(key = ID), &method, &["mentions none of the arguments"]);
    let without = quote!(
        fn f() -> u8 {
            1
        }
    );
    expect(quote!(key = "a"), &without, &["leave `key` out, as without arguments there is only one anyway"]);
    let skipped = quote!(
        fn f(&self, db: &Db) -> u8 {
            1
        }
    );
    let pattern = quote!(
        fn f(User { id, .. }: User) -> u8 {
            1
        }
    );
    for (options, item) in [
        (quote!(key = self), &method),
        (quote!(key = ()), &method),
        (quote!(key = ID, skip(self)), &method),
        (quote!(key = ID), &without),
        (quote!(key = ID, skip(self, db)), &skipped),
        (quote!(key = id), &pattern),
    ] {
        let text = options.to_string();
        let found = super::mistakes_of(options, item.clone());
        assert!(found.is_empty(), "{text}: {found:?}");
    }
    expect(quote!(key = ID, skip(self)), &skipped, &["mentions none of the arguments"]);
    expect(quote!(key = user), &pattern, &["mentions none of the arguments"]);
    expect(quote!(key = "user"), &pattern, &["leave `key` out; by some, name them: `key = (id)`; if all calls"]);
    let unnamed = quote!(
        fn f(_: User) -> u8 {
            1
        }
    );
    expect(quote!(key = "user"), &unnamed, &["to key by all arguments, leave `key` out; if all calls"]);
}

#[test]
fn static_borrows() {
    for (item, count) in [
        (
            quote!(
                fn f() -> &'static str {
                    ""
                }
            ),
            1,
        ),
        (
            quote!(
                fn f() -> Option<(u8, [&'static [u8]; 2])> {
                    None
                }
            ),
            1,
        ),
        (
            quote!(
                fn f() -> Result<&'static Path, u8> {
                    g()
                }
            ),
            1,
        ),
        (
            quote!(
                fn f() -> Result<u8, &'static str> {
                    Ok(1)
                }
            ),
            0,
        ),
        (
            quote!(
                fn f() -> Res<&'static str> {
                    Ok(1)
                }
            ),
            0,
        ),
        (
            quote!(
                fn f() -> Cow<'static, str> {
                    "".into()
                }
            ),
            0,
        ),
        (
            quote!(
                fn f() -> &'static Interned {
                    g()
                }
            ),
            0,
        ),
    ] {
        let found = super::mistakes_of(quote!(), item.clone());
        assert_eq!(found.len(), count, "{item}: {found:?}");
        assert!(found.iter().all(|found| found.contains("write `local`")), "{found:?}");
        let found = super::mistakes_of(quote!(local), item);
        assert!(found.is_empty(), "{found:?}");
    }
    let found = super::mistakes_of(
        quote!(cache_err = true),
        quote!(
            fn f() -> Result<u8, &'static str> {
                Ok(1)
            }
        ),
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

/// What stands in something `async` is awaited there, and an `async fn` awaits its own key.
#[test]
fn awaits() {
    let of_async = quote!(
        async fn f(id: u64, name: &str) -> Option<u64> {
            Some(id)
        }
    );
    for (options, item, count) in [
        (quote!(tags = [name.load().await]), &of_async, 1),
        (quote!(tags = [("a", format!("{}", name.load().await))]), &of_async, 1),
        (quote!(tags = [block_on(async { name.load().await })]), &of_async, 0),
        (quote!(tags = [block_on(async || name.load().await)]), &of_async, 0),
        (quote!(tags = [run!(async { name.load().await })]), &of_async, 0),
        (quote!(tags = [name.awaited(), await_of(name).r#await]), &of_async, 0),
        (quote!(key = (id, name.load().await), scope = name.load().await), &of_async, 0),
        (quote!(key = (id, name.load().await), scope = name.load().await), &option_function(), 2),
        (quote!(ttl = |id| id.ttl().await), &of_async, 1),
        (quote!(lease = name.load().await), &of_async, 1),
        (quote!(cache_if = |id| id.load().await), &of_async, 1),
    ] {
        let text = options.to_string();
        let found = super::mistakes_of(options, item.clone());
        assert_eq!(found.len(), count, "{text}: {found:?}");
        assert!(found.iter().all(|found| found.contains("nothing can be awaited")), "{found:?}");
    }
}
