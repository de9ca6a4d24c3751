//! `ttl = "5m", tags = [..], skip(db), local` into one slot for each option.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Path, Token, Type};

use super::names;
use super::slot::Slot;
use crate::errors::Errors;

/// What the attribute says, option by option.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) ttl: Slot<Expr>,
    pub(crate) memory_ttl: Slot<Expr>,
    pub(crate) none_ttl: Slot<Expr>,
    pub(crate) idle_ttl: Slot<Expr>,
    pub(crate) cache_none: Slot<Expr>,
    pub(crate) cache_if: Slot<Expr>,
    pub(crate) cache_err: Slot<Expr>,
    pub(crate) tags: Slot<Expr>,
    pub(crate) result_tags: Slot<Expr>,
    pub(crate) key: Slot<Expr>,
    pub(crate) skip: Slot<Vec<Ident>>,
    pub(crate) name: Slot<Expr>,
    pub(crate) version: Slot<Expr>,
    pub(crate) max_entries: Slot<Expr>,
    pub(crate) max_bytes: Slot<Expr>,
    pub(crate) weigh: Slot<Expr>,
    pub(crate) evict: Slot<Expr>,
    pub(crate) scope: Slot<Expr>,
    pub(crate) cache: Slot<Expr>,
    pub(crate) local: Slot<()>,
    pub(crate) lossy: Slot<Expr>,
    pub(crate) lease: Slot<Expr>,
    pub(crate) stale_while_revalidate: Slot<Expr>,
    pub(crate) stale_if_error: Slot<Expr>,
    pub(crate) refresh_ahead: Slot<Expr>,
    pub(crate) jitter: Slot<Expr>,
    pub(crate) timeout: Slot<Expr>,
    pub(crate) max_wait: Slot<Expr>,
    pub(crate) map: Slot<Expr>,
    pub(crate) stored: Slot<Type>,
    pub(crate) helpers: Slot<Expr>,
    pub(crate) krate: Slot<Path>,
}

/// Reads all options. After a mistake it goes on with the next one.
pub(crate) fn options(tokens: TokenStream, errors: &mut Errors) -> Options {
    let mut options = Options::default();
    let read = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(error) = options.one(input, errors) {
                errors.push(error);
                skip_to_next(input);
            }
        }
        Ok(())
    };
    let done = read.parse2(tokens);
    errors.attempt(done);
    options
}

impl Options {
    /// One option and the comma behind it.
    fn one(&mut self, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        let Ok(keyword) = input.call(Ident::parse_any) else {
            return Err(input.error("expected an option, such as `ttl = \"5m\"`"));
        };
        let bare = is_bare(input);
        // At the end of the options, where nothing stands to point at, the whole attribute would be.
        let pointed = |error: syn::Error| if bare { syn::Error::new(keyword.span(), error) } else { error };
        self.set(keyword.clone(), input, errors).map_err(pointed)?;
        if input.is_empty() {
            return Ok(());
        }
        if input.peek(Token![,]) {
            return input.parse::<Token![,]>().map(drop);
        }
        let error = input.error("expected `,` before the next option");
        if at_option(input) {
            errors.push(error);
            return Ok(());
        }
        Err(error)
    }

    /// Its value into its slot.
    fn set(&mut self, keyword: Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        let name = keyword.unraw().to_string();
        match name.as_str() {
            "ttl" => self.ttl.set(keyword, value("ttl", input)?, errors),
            "memory_ttl" => self.memory_ttl.set(keyword, value("memory_ttl", input)?, errors),
            "none_ttl" => self.none_ttl.set(keyword, value("none_ttl", input)?, errors),
            "idle_ttl" => self.idle_ttl.set(keyword, value("idle_ttl", input)?, errors),
            "cache_none" => self.cache_none.set(keyword, value("cache_none", input)?, errors),
            "cache_if" => self.cache_if.set(keyword, value("cache_if", input)?, errors),
            "cache_err" => self.cache_err.set(keyword, value("cache_err", input)?, errors),
            "tags" => self.tags.set(keyword, value("tags", input)?, errors),
            "result_tags" => self.result_tags.set(keyword, value("result_tags", input)?, errors),
            "key" => self.key.set(keyword, value("key", input)?, errors),
            "skip" => self.skip.set(keyword, list("skip", input)?, errors),
            "name" => self.name.set(keyword, value("name", input)?, errors),
            "version" => self.version.set(keyword, value("version", input)?, errors),
            "max_entries" => self.max_entries.set(keyword, value("max_entries", input)?, errors),
            "max_bytes" => self.max_bytes.set(keyword, value("max_bytes", input)?, errors),
            "weigh" => self.weigh.set(keyword, value("weigh", input)?, errors),
            "evict" => self.evict.set(keyword, value("evict", input)?, errors),
            "scope" => self.scope.set(keyword, value("scope", input)?, errors),
            "cache" => self.cache.set(keyword, value("cache", input)?, errors),
            "local" => self.local.set(keyword, word("local", input)?, errors),
            "lossy" => self.lossy.set(keyword, value("lossy", input)?, errors),
            "lease" => self.lease.set(keyword, value("lease", input)?, errors),
            "stale_while_revalidate" => {
                self.stale_while_revalidate.set(keyword, value("stale_while_revalidate", input)?, errors);
            }
            "stale_if_error" => self.stale_if_error.set(keyword, value("stale_if_error", input)?, errors),
            "refresh_ahead" => self.refresh_ahead.set(keyword, value("refresh_ahead", input)?, errors),
            "jitter" => self.jitter.set(keyword, value("jitter", input)?, errors),
            "timeout" => self.timeout.set(keyword, value("timeout", input)?, errors),
            "max_wait" => self.max_wait.set(keyword, value("max_wait", input)?, errors),
            "map" => self.map.set(keyword, value("map", input)?, errors),
            "stored" => self.stored.set(keyword, value("stored", input)?, errors),
            "helpers" => self.helpers.set(keyword, value("helpers", input)?, errors),
            "crate" => self.krate.set(keyword, path("crate", input)?, errors),
            unknown => return Err(syn::Error::new(keyword.span(), names::unknown(unknown))),
        }
        Ok(())
    }
}

/// Whether nothing stands behind an option's name, or nothing but `=`.
fn is_bare(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let ends = |input: ParseStream<'_>| input.is_empty() || input.peek(Token![,]);
    ends(&ahead) || (ahead.parse::<Token![=]>().is_ok() && ends(&ahead))
}

/// `= value`
fn value<T: Value>(name: &str, input: ParseStream<'_>) -> syn::Result<T> {
    if !input.peek(Token![=]) || input.peek(Token![==]) {
        return Err(without_value(name, input));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(without_value(name, input));
    }
    T::read(input)
}

fn without_value(name: &str, input: ParseStream<'_>) -> syn::Error {
    syn::Error::new(input.span(), format_args!("`{name}` needs a value: `{}`", names::example(name)))
}

/// What can stand behind `=`.
trait Value: Sized {
    fn read(input: ParseStream<'_>) -> syn::Result<Self>;
}

impl Value for Expr {
    fn read(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse()
    }
}

impl Value for Type {
    fn read(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse()
    }
}

impl Value for Path {
    fn read(input: ParseStream<'_>) -> syn::Result<Self> {
        Self::parse_mod_style(input)
    }
}

/// `= path`, for a crate.
fn path(name: &str, input: ParseStream<'_>) -> syn::Result<Path> {
    let ahead = input.fork();
    let quoted = ahead.parse::<Token![=]>().is_ok() && ahead.parse::<syn::LitStr>().is_ok();
    if quoted {
        let error = input.error(format_args!("`{name}` takes a path without quotes: `{}`", names::example(name)));
        return Err(error);
    }
    value(name, input)
}

/// `(a, b)`
fn list(name: &str, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    if !input.peek(syn::token::Paren) {
        let message = format!("`{name}` takes arguments in parentheses: `{}`", names::example(name));
        return Err(syn::Error::new(input.span(), message));
    }
    let group: Group = input.parse()?;
    let named =
        |input: ParseStream<'_>| Ident::parse_any(input).map_err(|_| input.error("expected the name of an argument"));
    let all = |input: ParseStream<'_>| {
        let mut all = Vec::new();
        while !input.is_empty() {
            all.push(named(input)?);
            if input.is_empty() {
                break;
            }
            if input.parse::<Token![,]>().is_err() {
                let message = format!(
                    "`{name}` takes whole arguments: `{}`; which parts count, `key = ..` says",
                    names::example(name)
                );
                return Err(input.error(message));
            }
        }
        Ok(all)
    };
    all.parse2(group.stream())
}

/// Nothing: the option's name says it all.
fn word(name: &str, input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) || at_option(input) {
        return Ok(());
    }
    Err(input.error(format_args!("`{name}` takes no value: write just `{name}`, or leave it out")))
}

/// Goes on behind the next comma that an option follows.
fn skip_to_next(input: ParseStream<'_>) {
    while !input.is_empty() {
        if input.parse::<Option<Token![,]>>().is_ok_and(|comma| comma.is_some()) {
            if input.is_empty() || at_option(input) {
                return;
            }
        } else if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// Whether what follows looks like an option.
fn at_option(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.call(Ident::parse_any).is_ok()
        && (ahead.is_empty()
            || ahead.peek(Token![,])
            || ahead.peek(syn::token::Paren)
            || (ahead.peek(Token![=]) && !ahead.peek(Token![==]) && !ahead.peek(Token![=>])))
}
