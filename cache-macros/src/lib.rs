//! The attribute of [larder](https://docs.rs/larder), which re-exports it: depend on `larder`.
//!
//! The pipeline is `parse` (tokens into options and a function), `model` (the rules) and `expand` (code that calls the
//! library). Only the first two can fail, and they report every mistake at once.

mod errors;
mod expand;
mod model;
mod parse;
#[cfg(test)]
mod tests;
mod unseen;

use proc_macro2::TokenStream;

use self::errors::Errors;

/// Caches a function: calls are answered from the cache, and the body runs only when it must.
///
/// It goes on free functions, methods and associated functions, sync and async. Every option is optional; written
/// as `#[cached(ttl = "5m", tags = ["users", ("user", id)], local)]`.
///
/// # When and how long
///
/// | option | example | meaning |
/// |---|---|---|
/// | `ttl` | `"90s"`, `SESSION_TTL`, `\|token\| token.expires_in` | lifetime: a string, an expression of type `Duration`, or a closure over the result. Without it, until evicted or invalidated |
/// | `memory_ttl` | `"5s"` | a shorter lifetime in the memory layer |
/// | `none_ttl` | `"10s"` | another lifetime for `None` |
/// | `cache_none` | `false` | don't cache `None`, which else is a value like any other |
/// | `cache_if` | `\|value\| value.is_complete()` | cache only what this is true for: a closure or the path of a function |
/// | `cache_err` | `true` | of a `Result`, cache the `Err` too. By default an `Err` is never cached, however the `Result` is spelled |
///
/// Durations are numbers with units, from large to small: `"1h30m"`, `"1.5s"`, `"500ms"`. Units are `d`, `h`, `m`, `s`,
/// `ms`, `us` and `ns`.
///
/// # How it is renewed
///
/// | option | example | meaning |
/// |---|---|---|
/// | `stale_while_revalidate` | `"10m"` | for this long after its `ttl`, the old value is served while one run in the background renews it |
/// | `stale_if_error` | `"1h"` | for this long after its `ttl`, the old value is served if a run ends with an `Err` (not if it panics) |
/// | `timeout` | `"200ms"` | with `stale_if_error`: how long a caller waits for a run before it gets the old value; the run goes on in the background |
/// | `refresh_ahead` | `0.8` | after this share of the `ttl`, a call starts a run in the background |
/// | `jitter` | `0.1` | the `ttl` is drawn evenly from `ttl * (1 - jitter)` to `ttl`, so that lifetimes don't end together |
/// | `lease` | `"10s"` | how long the right to run lasts in a shared layer, should its process die |
///
/// All but `lease` and `timeout` need `ttl`. An invalidated value is never served as an old one, nor does a failure make an
/// old value's life longer. `memory_ttl` ends an old value's life in memory too.
///
/// With `stale_while_revalidate`, `refresh_ahead` or `timeout` the body may outlive the call. So it owns its arguments:
/// of a `&T` it gets a clone (`ToOwned`), whenever memory alone doesn't answer, everything is `Send + 'static`, and so is
/// the body's future. A receiver that the body uses is cloned as well: take `self: &Arc<Self>`. Inside a macro's format string
/// write `{}` and `self.name` apart, since `{self:?}` isn't seen. Async functions run on the caller's tokio runtime and
/// end with it; without one, and if they aren't async, they run on threads of larder's, of which there are at most
/// eight; when all are at work, a renewal waits for a later call.
///
/// # What it is known by
///
/// | option | example | meaning |
/// |---|---|---|
/// | `key` | `(tenant, user.id)` | what makes one call differ from another, instead of all arguments |
/// | `skip(..)` | `skip(db, log)` | arguments that are not part of the key |
/// | `scope` | `tenant` | the scope, from an expression over the arguments that is `Display` |
/// | `name` | `"users.get"` | a stable name in keys and statistics, instead of module path and function |
/// | `version` | `2` | change it to abandon all older entries |
/// | `tags` | `["users", "team:{team}", ("user", id)]` | tags: strings, which may name arguments in braces as in `format!`, anything else that is `Display`, or tuples of both. Tuples are paths: `("user", 7)` is also cleared by `"user"` |
/// | `result_tags` | `\|user\| [("org", user.org_id)]` | tags from the result |
///
/// Arguments are borrowed for the key, so `&str` and `String` are equally good. What a closure over the result mentions
/// of the arguments must be `Copy`: by then the body owns them.
///
/// # Where it is kept
///
/// | option | example | meaning |
/// |---|---|---|
/// | `local` | | memory of this process only: results need no serde, and arguments may be `Hash + Eq + Clone` instead |
/// | `max_entries` | `10_000` | how many results of this function the memory layer keeps |
/// | `max_bytes`, `weigh` | `"64MiB"`, `\|value\| value.len()` | the same by weight. Units are `B`, `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` and `TiB` |
/// | `cache` | `MY_CACHE` | a particular `Cache`, or what dereferences to one, instead of the ambient one |
///
/// # What comes of it
///
/// | option | example | meaning |
/// |---|---|---|
/// | `map` | `decorate` | post-processing of every returned value, cached or not; never stored |
/// | `stored` | `Raw` | with `map`: what the body returns and the cache keeps; `map` turns it into the declared type |
/// | `helpers` | `[refresh, prime, peek]`, `none` | further functions beside this one, or none at all |
/// | `crate` | `my_facade::larder` | the path of the `larder` crate, if it is renamed or re-exported |
///
/// Closures over the result get a reference to what is stored: the `Ok` of a `Result` (with `cache_err` the whole
/// `Result`), else the value. `map` gets, and gives, the whole value.
///
/// # Generated functions
///
/// Beside `get_user` stand two functions, as visible and as async as it is, which return `Result<(), larder::Error>`:
///
/// - `invalidate_get_user(id)` forgets the answer for these arguments, in the current scope. It takes the arguments
///   that aren't skipped, and `self` if the key mentions it. (A skipped argument that `scope` or `cache` is made of is
///   taken too.)
/// - `invalidate_all_get_user()` forgets all answers, in the current scope, or in every scope if `scope` is given.
///
/// With `helpers = [refresh, prime, peek]` there are also:
///
/// - `refresh_get_user(id)` runs the function now, replaces what is stored, and returns what the function returns. It
///   takes all arguments. What the function calls is answered as ever.
/// - `prime_get_user(id, value)` stores a value that the caller has already, as if the function had just returned it; an
///   invalidation from that call on wins. It returns `Result<(), larder::Error>`.
/// - `peek_get_user(id)` is the `Option` of what a call would be answered with at once. It never runs the function.
///
/// The macro can't see whether a function without `self` stands in an impl: for these three it takes it for one that
/// does if it mentions `Self`.
///
/// Methods of a trait impl can't have functions beside them: write `helpers = none` there, or the compiler says that
/// `invalidate_..` is not a member of the trait.
///
/// # Methods
///
/// For `&self`, and any other receiver but `&mut self`, say what identifies it: `key = (self.id, x)`, or `skip(self)` if
/// all instances give the same answer.
///
/// # Bounds
///
/// Results are `Clone + Send + Sync + 'static`; where they aren't cheap to clone, return an `Arc`. Unless `local`
/// is written they are also `Serialize + DeserializeOwned`, and what makes up the key is `Serialize`. These
/// bounds don't depend on Cargo features.
///
/// # Errors
///
/// Unknown, repeated, conflicting or malformed options are compile errors where they stand, all at once. So are functions
/// that can't be cached: `const`, `unsafe` and `extern` ones, `impl Trait` in arguments or result, results that borrow,
/// and `&mut` arguments, unless skipped: a cached answer would skip what is written through them.
#[proc_macro_attribute]
pub fn cached(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    cached_impl(options.into(), item.into()).into()
}

/// The whole pipeline. On mistakes the item stays as it is, so that editors keep working.
fn cached_impl(options: TokenStream, item: TokenStream) -> TokenStream {
    let model = Errors::collect(|errors| {
        let options = parse::options(options, errors);
        let function = parse::function(item.clone(), errors)?;
        model::model(&options, function, errors)
    });
    match model {
        Ok(model) => unseen::keep_together(expand::expand(&model)),
        Err(error) => {
            let mut tokens = error.to_compile_error();
            tokens.extend(item);
            tokens
        }
    }
}
