//! What functions become.

use proc_macro2::TokenStream;
use quote::quote;

use super::expanded;

#[track_caller]
fn contains(options: TokenStream, item: TokenStream, parts: &[&str]) -> String {
    let code = expanded(options, item);
    let squeezed = squeezed(&code);
    for part in parts {
        let part = self::squeezed(part);
        assert!(squeezed.contains(&part), "no {part} in\n{code}");
    }
    code
}

/// The file holds this code; `LARDER_UPDATE=1` makes it so.
#[track_caller]
fn matches_file(name: &str, code: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests").join(name);
    if std::env::var_os("LARDER_UPDATE").is_some() {
        std::fs::write(&path, code).unwrap();
    }
    assert_eq!(code, std::fs::read_to_string(&path).unwrap());
}

/// Without what formatting adds.
fn squeezed(code: &str) -> String {
    code.split_whitespace().collect::<String>().replace(",)", ")").replace(",{", "{")
}

fn plain() -> TokenStream {
    quote!(
        fn f(id: u64) -> u64 {
            id
        }
    )
}

#[test]
fn a_sync_function() {
    let code = expanded(quote!(helpers = none), plain());
    matches_file("sync.expanded", &code);
}

#[test]
fn an_async_function_with_everything_usual() {
    let options = quote!(
        ttl = "5m",
        tags = ["users", "team:{team}", ("user", id)],
        result_tags = |u| [("org", u.org)],
        cache_if = |u| u.ok
    );
    let item = quote! {
        /// A user.
        #[must_use]
        pub async fn get_user(id: u64, team: &str) -> Result<User, E> { load(id, team).await }
    };
    matches_file("async.expanded", &expanded(options, item));
}

#[test]
fn a_method() {
    let item = quote! {
        pub(crate) fn price(self: &Arc<Self>, article: &str) -> Option<u64> { self.prices.get(article).copied() }
    };
    matches_file("method.expanded", &expanded(quote!(key = (self.id, article), none_ttl = "10s"), item));
}

/// For entries that other builds may read: names in their order, however they are written.
#[test]
fn what_the_key_is_made_of() {
    let item = quote! {
        fn f(db: &Db, r#type: u8, mut to: u8, (x, ref mut y): (u8, u8), from: u8, _: u8) -> u8 { 1 }
    };
    for (options, names) in [
        (quote!(skip(db, r#type)), "to, ( x , y ), from, _"),
        (quote!(key = (to, from)), "to, from"),
        (quote!(key = ((to), (r#type, ()))), "to, type"),
        (quote!(key = (db.id(to), x)), "db . id ( to ), x"),
        (quote!(key = format!("{to}")), "format ! ( \"{to}\" )"),
    ] {
        contains(options, item.clone(), &[&format!("key: {names:?}")]);
    }
    for without in [quote!(key = ()), quote!(local), quote!(skip(db, to, from), key = (), helpers = none)] {
        let code = expanded(without, item.clone());
        assert!(!code.contains(" key:"), "{code}");
    }
    let parts = "Part(&(from))).__larder_add(&mut __larder_key); (&&&&::larder::__private::key::Part(&(to)))";
    contains(quote!(skip(db, r#type)), item.clone(), &[parts]);
    contains(quote!(key = (to, from)), item, &[parts]);
}

#[test]
fn a_function_that_is_renewed() {
    let options = quote!(ttl = "5m", stale_while_revalidate = "10m", jitter = 0.1, skip(client), helpers = none);
    let item = quote! {
        async fn rate(client: &Client, base: &str, mut to: Vec<String>) -> Result<Rate, E> { client.ask(base, &mut to).await }
    };
    matches_file("renewed.expanded", &expanded(options, item));
}

#[test]
fn a_generic_function_with_a_helper() {
    let options = quote!(local, map = |list| list.len(), stored = Vec<T>, helpers = [peek]);
    let item = quote! {
        fn count<T: Table, const N: usize>((from, to): (u64, u64)) -> usize where T: Send { T::rows::<N>(from, to) }
    };
    matches_file("generic.expanded", &expanded(options, item));
}

#[test]
fn ttl() {
    let part = "ttl: ::core::option::Option::Some(::core::time::Duration::new(1u64, 500000000u32))";
    let code = contains(quote!(ttl = "1.5s"), plain(), &[part, "__larder_call.run_sync("]);
    assert!(!code.contains("__larder_verdict"), "nothing depends on the result");
    let parts = ["let __larder_ttl: ::core::time::Duration = TTL;", "__larder_call.ttl(__larder_ttl)"];
    contains(quote!(ttl = TTL), plain(), &parts);
    contains(
        quote!(ttl = |v| v.ttl()),
        plain(),
        &["__larder_verdict.ttl(::larder::__private::apply(|v| v.ttl(), __larder_value))"],
    );
}

#[test]
fn memory_ttl_and_none_ttl() {
    let parts = [
        "memory_ttl: ::core::option::Option::Some(::core::time::Duration::new(5u64, 0u32))",
        "__larder_verdict.none_ttl(__larder_value, __larder_none_ttl)",
    ];
    contains(quote!(memory_ttl = "5s", none_ttl = "100us"), plain(), &parts);
}

#[test]
fn cache_none_and_cache_err() {
    contains(quote!(cache_none = false), plain(), &["__larder_verdict.skip_none(__larder_value)"]);
    let code = contains(quote!(cache_none = true, cache_err = true), plain(), &["NEW).__larder_whole())"]);
    assert!(!code.contains("skip_none"));
}

#[test]
fn tags() {
    let parts = [
        r#"__larder_tags.add("a{b}");"#,
        r#"__larder_tags.add(::std::format!("{id}"));"#,
        r#"__larder_tags.add(&(id));"#,
        r#"__larder_tags.add((&("x"), &(::std::format!("y{id}")), &(id + 1)));"#,
    ];
    contains(quote!(tags = ["a{{b}}", "{id}", id, ("x", "y{id}", id + 1)]), plain(), &parts);
}

#[test]
fn key_and_skip() {
    let item = quote!(
        fn f(user: &User, tenant: u8, log: &Log) -> u8 {
            1
        }
    );
    let parts = [
        "Part(&(tenant)))",
        "Part(&(user.id)))",
        "fn invalidate_f(user: &User, tenant: u8) -> ::core::result::Result<::larder::Invalidated, ::larder::Error>",
    ];
    contains(quote!(key = (tenant, user.id), skip(log)), item.clone(), &parts);
    let borrowed = ["let __larder_key0 = &(tenant);", "let __larder_key1 = &(user.id);", "Part(__larder_key0))"];
    contains(quote!(key = (tenant, user.id), skip(log), local), item, &borrowed);
}

#[test]
fn arguments_that_the_key_leaves_out_are_ignored() {
    let item = quote!(
        fn f(a: u8, b: u8) -> u8 {
            a + b
        }
    );
    contains(quote!(key = a), item, &["fn invalidate_f(a: u8, b: u8)", "let _ = &b;"]);
}

#[test]
fn a_skipped_argument_that_the_scope_needs_is_kept() {
    let item = quote!(
        fn f(ctx: &Ctx, a: u8) -> u8 {
            a
        }
    );
    contains(quote!(scope = ctx.tenant, skip(ctx)), item, &["fn invalidate_f(ctx: &Ctx, a: u8)", "scoped: true"]);
}

#[test]
fn name_version_and_bounds() {
    let options = quote!(name = "n", version = 3, max_bytes = "1KiB", weigh = |v| 8, local);
    let parts = [
        "name: ::core::option::Option::Some(\"n\")",
        "version: 3u64",
        "max_bytes: ::core::option::Option::Some(1024u64)",
        "local: true",
        "__private::key::local::Part(&(id))",
    ];
    contains(options, plain(), &parts);
    contains(quote!(max_entries = MAX), plain(), &["Some((MAX) as ::core::primitive::u64)"]);
    contains(quote!(max_entries = unlimited), plain(), &["Some(18446744073709551615u64)"]);
}

#[test]
fn cache() {
    let parts = [
        "::larder::__private::cache_ref(&(CACHE))",
        "::larder::__private::path_of(&|| ()), false, ::larder::__private::cache_ref(&(CACHE))",
    ];
    contains(quote!(cache = CACHE), plain(), &parts);
    // Without arguments there is no such cache.
    let item = quote!(
        fn f(ctx: &Ctx) -> u8 {
            1
        }
    );
    let parts = ["invalidate_key_in_sync(", "invalidate_function_sync("];
    let code = contains(quote!(cache = ctx.cache, key = ctx.id), item, &parts);
    assert!(!code.contains("invalidate_function_in_sync("), "{code}");
}

#[test]
fn map_and_stored() {
    let options = quote!(map = decorate, stored = Raw);
    let parts =
        ["return ::larder::__private::shape::map(__larder_value, decorate)", "Probe::<Raw>::NEW", "move || -> Raw"];
    contains(options, plain(), &parts);
}

#[test]
fn krate() {
    // As text, which `tests/layers` doesn't take for a path of this crate.
    let options = "crate = crate::deps::lard".parse().unwrap();
    let code = contains(options, plain(), &["crate::deps::lard::__private::lookup"]);
    assert!(!code.contains("::larder"));
}

#[test]
fn patterns() {
    let item = quote!(
        fn f((a, mut b): (u8, u8), mut c: u8, _: u8) -> u8 {
            b += a;
            c += b;
            c
        }
    );
    let parts = [
        "fn f(__larder_arg0: (u8, u8), c: u8, __larder_arg2: u8)",
        "let (a, mut b) = __larder_arg0;",
        "let mut c = c;",
        "Part(&(__larder_arg2))",
    ];
    let code = contains(quote!(), item.clone(), &parts);
    assert!(!code.contains("let (a, b)"), "only when needed");
    contains(quote!(tags = ["{b}"]), item.clone(), &["let (a, b) = &__larder_arg0;"]);
    contains(quote!(ttl = secs(b)), item, &["let (a, b) = &__larder_arg0; secs(b) };"]);
}

#[test]
fn receivers() {
    let item = quote!(
        fn f(&self, x: u8) -> u8 {
            self.y + x
        }
    );
    contains(quote!(key = (self.id, x)), item.clone(), &["fn invalidate_f(&self, x: u8)", "fn invalidate_all_f()"]);
    contains(quote!(skip(self)), item, &["fn invalidate_f(x: u8)"]);
    let item = quote!(
        fn f(mut self: Box<Self>) -> u8 {
            self.y += 1;
            self.y
        }
    );
    contains(quote!(key = self.id), item, &["fn f(mut self: Box<Self>)", "fn invalidate_f(self: Box<Self>)"]);
}

#[test]
fn attributes_of_helpers() {
    let item = quote! {
        #[cfg(unix)] #[cfg_attr(docsrs, doc(cfg(unix)))] #[cfg_attr(x, instrument)] #[expect(clippy::x)] #[allow(clippy::y)] #[doc(hidden)]
        #[inline] #[instrument(skip(y))]
        /// Text
        fn r#type(x: u8) -> u8 { #![allow(unused)] x }
    };
    let code = contains(quote!(), item, &["fn invalidate_type(x: u8)", "function: \"type\""]);
    for (attribute, count) in [
        ("#[cfg(unix)]", 3),
        ("#[cfg_attr(docsrs, doc(cfg(unix)))]", 3),
        ("#[cfg_attr(x, instrument)]", 1),
        ("#[expect(clippy::x)]", 1),
        ("#[allow(clippy::x)]", 2),
        ("#[allow(clippy::y)]", 3),
        ("#[doc(hidden)]", 3),
        ("#[inline]", 1),
        ("#![allow(unused)]", 1),
    ] {
        assert_eq!(code.matches(attribute).count(), count, "{attribute} in\n{code}");
    }
}

#[test]
fn generics() {
    let item = quote!(
        pub(crate) async fn f<'a, T: Clone, const N: usize>(x: &'a [T; N]) -> T
        where
            T: Send,
        {
            x[0].clone()
        }
    );
    let parts = [
        "pub(crate) fn invalidate_f<'a, T: Clone, const N: usize>(x: &'a [T; N]) -> ::larder::__private::Invalidation where T: Send",
        "pub(crate) fn invalidate_all_f() -> ::larder::__private::Invalidation",
    ];
    contains(quote!(local), item, &parts);
}

#[test]
fn expressions_are_evaluated_when_an_invalidation_is_awaited() {
    let item = quote!(
        async fn f(x: u8) -> u8 {
            x
        }
    );
    let one = "async fn invalidate_f(x: u8) -> ::core::result::Result<::larder::Invalidated, ::larder::Error>";
    let all = "async fn invalidate_all_f() -> ::core::result::Result<";
    contains(
        quote!(key = x + offset()),
        item.clone(),
        &[one, "fn invalidate_all_f() -> ::larder::__private::Invalidation"],
    );
    contains(quote!(cache = here()), item.clone(), &[one, all]);
    contains(quote!(scope = tenant()), item, &[one, all]);
}

#[test]
fn parts_of_patterns_in_closures_over_the_result() {
    let item = quote!(
        fn f((a, mut b): (u8, String), S { x, ref y, .. }: S, (c, d): (u8, u8)) -> u8 {
            1
        }
    );
    let parts = ["let (a, _) = __larder_arg0;", "let S { x, y: _, .. } = __larder_arg1;"];
    let code = contains(quote!(result_tags = |v| [a, x]), item.clone(), &parts);
    assert!(!code.contains("let (c, _)") && !code.contains("let (_, d)"), "{code}");
    // On a hit and after a run.
    let code = contains(quote!(map = |v| v + d), item.clone(), &["let (_, d) = __larder_arg2;"]);
    assert_eq!(code.matches("let (_, d)").count(), 2, "{code}");
    // What the closure itself calls so is not a part.
    let code = expanded(quote!(result_tags = |a| [a]), item);
    assert!(!code.contains("let (a, _)"), "{code}");
}

#[test]
fn tags_that_may_depend_on_something() {
    for (tag, method) in [
        (quote!("a"), "tags"),
        (quote!("{id}"), "tags"),
        (quote!(id), "tags"),
        (quote!(("a", id.0, &(id)["b"])), "computed_tags"),
        (quote!(("a", (&id).0)), "tags"),
        (quote!(("a", org_of(id))), "computed_tags"),
        (quote!(id.org()), "computed_tags"),
    ] {
        contains(quote!(tags = [#tag], helpers = none), plain(), &[&format!("__larder_call.{method}(|")]);
    }
}
