//! Each option's and function's mistakes, as messages. How they look in the compiler is in `tests/ui`.

use proc_macro2::TokenStream;
use quote::quote;

fn mistakes(options: TokenStream, item: &TokenStream) -> Vec<String> {
    let tokens = crate::pipeline::cached(options, item.clone());
    let found = super::mistakes(&tokens);
    assert!(tokens.to_string().ends_with(&item.to_string()), "the item is kept");
    found
}

/// The mistakes of these options start so, in this order, and are all there are.
#[track_caller]
pub(super) fn expect(options: TokenStream, item: &TokenStream, messages: &[&str]) {
    let found = mistakes(options, item);
    assert_eq!(found.len(), messages.len(), "{found:#?}");
    for (found, message) in found.iter().zip(messages) {
        assert!(found.contains(message), "{found:?} doesn't say {message:?}");
    }
}

pub(super) fn option_function() -> TokenStream {
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

/// Each says what to write instead.
#[test]
fn what_other_libraries_have() {
    for (options, message) in [
        (quote!(ttl_secs = 5), "no option `ttl_secs`: write `ttl = \"5m\"`"),
        (quote!(TimeToLive: Duration::from_secs(2)), "no option `TimeToLive`: write `ttl = \"5m\"`"),
        (quote!(limit = 100), "no option `limit`: write `max_entries = 10_000`"),
        (quote!(Capacity: 1234), "no option `Capacity`: write `max_entries = 10_000`"),
        (quote!(companions), "no option `companions`: write `helpers = [refresh, prime, peek]`"),
        (quote!(result_fallback = true), "no option `result_fallback`: write `stale_if_error = \"1h\"`"),
        (quote!(sync_writes = "by_key"), "no option `sync_writes`: leave it out; calls with the same key"),
        (quote!(sync_writes_buckets = 64), "no option `sync_writes_buckets`: leave it out; calls with the same key"),
        (quote!(stale = "10m"), "no option `stale`: write `stale_while_revalidate = \"10m\"` to answer"),
        (quote!(stale = "10m"), "or `stale_if_error = \"1h\"` if that fails"),
        (quote!(type = "LruCache"), "no option `type`: leave it out; what keeps results belongs to a `Cache`"),
        (quote!(ty = "LruCache"), "no option `ty`: leave it out; what keeps results belongs to a `Cache`"),
        (quote!(convert = r#"{ id }"#), "no option `convert`: write the expression itself as the key, without quotes"),
        (quote!(option = true), "no option `option`: write `cache_none = false` for a `None` that isn't cached"),
        (quote!(result = true), "no option `result`: leave it out; an `Err` isn't cached unless you write `cache_err"),
        (quote!(once), "no option `once`: write `key = ()` for one entry"),
        (quote!(policy = "lru"), "no option `policy`: leave it out; entries that are used often stay"),
        (quote!(refresh = true), "no option `refresh`: write `helpers = [refresh]` for a function `refresh_f`"),
        (quote!(refresh = true), "`idle_ttl = \"30m\"` is a lifetime that hits prolong"),
        (quote!(time_to_idle = "5m"), "no option `time_to_idle`: write `idle_ttl = \"30m\"`"),
        (quote!(eviction_policy = "lru"), "`evict = lru` drops what was used least recently"),
        (quote!(lru), "no option `lru`: write `evict = lru` beside a bound"),
        (quote!(force_refresh = { true }), "no option `force_refresh`: call `refresh_f(..)`"),
        (quote!(prime), "no option `prime`: write `helpers = [prime]`"),
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
        (quote!(max_bytes = unlimited, weigh = w), "only `max_entries` can be `unlimited`"),
        (quote!(max_entries = unlimited, evict = lru), "exclude each other: without a bound nothing is evicted"),
        (quote!(max_entries = 10, evict = fifo), "`evict` is `lru`: what was used least recently goes first"),
        (quote!(evict = lru), "`evict` needs a bound of this function's own"),
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

#[test]
fn mutable_borrows() {
    let item = quote!(
        fn f(conn: &mut Conn, id: u64) -> u64 {
            id
        }
    );
    expect(quote!(), &item, &["`&mut`: write `skip(conn)` if nobody misses it"]);
    expect(quote!(key = id), &item, &["`&mut`: also write `skip(conn)` if nobody misses it"]);
    expect(
        quote!(key = conn.id(id)),
        &item,
        &["as an argument of its own, and write `skip(conn)` if nobody misses it"],
    );
    expect(quote!(ttl = "1m", refresh_ahead = 0.5, skip(conn)), &item, &["such as `Arc<Mutex<_>>`, with `skip(conn)`"]);
    for fine in [quote!(skip(conn)), quote!(skip(conn), key = id, tags = [("conn", conn.id())])] {
        let found = super::mistakes_of(fine, item.clone());
        assert!(found.is_empty(), "{found:?}");
    }
}
