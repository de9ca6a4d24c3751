//! Options that await where nothing can be awaited: the compiler would point at code that the user hasn't written.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, ExprAsync, ExprAwait, ExprClosure, Macro, Signature};

use super::tokens::says;
use crate::errors::Errors;
use crate::parse::{Options, Slot};

/// One rule for all options that are expressions.
pub(super) fn nothing_is_awaited(options: &Options, signature: &Signature, errors: &mut Errors) {
    let is_async = signature.asyncness.is_some();
    let in_body = "take the value as an argument, or call `larder::add_tag` in the body";
    check("tags", &options.tags, false, in_body, errors);
    check("result_tags", &options.result_tags, is_async, in_body, errors);
    for (name, slot) in [("key", &options.key), ("scope", &options.scope), ("cache", &options.cache)] {
        check(name, slot, is_async, "take the value as an argument", errors);
    }
    for (name, slot) in [
        ("lease", &options.lease),
        ("stale_while_revalidate", &options.stale_while_revalidate),
        ("stale_if_error", &options.stale_if_error),
        ("timeout", &options.timeout),
        ("max_wait", &options.max_wait),
        ("idle_ttl", &options.idle_ttl),
    ] {
        check(name, slot, false, "take the value as an argument", errors);
    }
    let in_body = "take the value as an argument, or call `larder::set_ttl` in the body";
    for (name, slot) in [("ttl", &options.ttl), ("memory_ttl", &options.memory_ttl), ("none_ttl", &options.none_ttl)] {
        check(name, slot, is_async, in_body, errors);
    }
    for (name, slot) in [("cache_if", &options.cache_if), ("weigh", &options.weigh), ("map", &options.map)] {
        check(name, slot, is_async, "await in the body, whose result it is given", errors);
    }
}

fn check(name: &str, slot: &Slot<Expr>, can_await: bool, instead: &str, errors: &mut Errors) {
    let Some(value) = slot.value() else { return };
    let mut awaits = Awaits { can_await, first: None };
    awaits.visit_expr(value);
    if let Some(at) = awaits.first {
        errors.push(syn::Error::new(at, format_args!("`{name}` is evaluated where nothing can be awaited: {instead}")));
    }
}

/// Finds the first `.await` that doesn't stand in something `async`.
struct Awaits {
    /// What is around the expression is `async`.
    can_await: bool,
    first: Option<Span>,
}

impl Awaits {
    fn found(&mut self, at: Span) {
        if !self.can_await {
            self.first.get_or_insert(at);
        }
    }

    /// What a macro makes of its tokens isn't known, so all in one that says `async` anywhere is let through.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut behind_dot = false;
        for token in tokens {
            match &token {
                TokenTree::Ident(word) if behind_dot && word == "await" => self.found(word.span()),
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            behind_dot = matches!(&token, TokenTree::Punct(dot) if dot.as_char() == '.');
        }
    }
}

impl<'ast> Visit<'ast> for Awaits {
    fn visit_expr_await(&mut self, found: &'ast ExprAwait) {
        visit::visit_expr_await(self, found);
        self.found(found.await_token.span);
    }

    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        let around = std::mem::replace(&mut self.can_await, closure.asyncness.is_some());
        visit::visit_expr_closure(self, closure);
        self.can_await = around;
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        if !says(found.tokens.clone(), "async") {
            self.tokens(found.tokens.clone());
        }
    }
}
