//! Rules of options that renew results, or use old ones.

use proc_macro2::Ident;
use syn::{Expr, Lit};

use super::duration::{self, Lifetime};
use super::values::{bare, flag};
use crate::errors::Errors;
use crate::parse::{Options, Slot};

/// The refresh options, how long is waited for runs, and how long results live without a hit.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    /// Between 0 and 1.
    pub(crate) jitter: Option<f64>,
    /// Between 0 and 1.
    pub(crate) refresh_ahead: Option<f64>,
    pub(crate) stale_while_revalidate: Option<Lifetime>,
    /// With its name, to point at it if the function can't fail.
    pub(crate) stale_if_error: Option<(Ident, Lifetime)>,
    pub(crate) timeout: Option<Lifetime>,
    pub(crate) lease: Option<Lifetime>,
    pub(crate) max_wait: Option<Lifetime>,
    pub(crate) idle_ttl: Option<Lifetime>,
}

impl Refresh {
    /// Whether runs may go on without their callers, so that they must own what they use.
    pub(crate) fn in_background(&self) -> bool {
        self.refresh_ahead.is_some() || self.stale_while_revalidate.is_some() || self.timeout.is_some()
    }

    /// The durations by the names of their options.
    pub(crate) fn durations(&self) -> impl Iterator<Item = (&'static str, &Lifetime)> {
        let stale_if_error = self.stale_if_error.as_ref().map(|(_, time)| time);
        [
            ("stale_while_revalidate", self.stale_while_revalidate.as_ref()),
            ("stale_if_error", stale_if_error),
            ("timeout", self.timeout.as_ref()),
            ("lease", self.lease.as_ref()),
            ("max_wait", self.max_wait.as_ref()),
            ("idle_ttl", self.idle_ttl.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, time)| Some((name, time?)))
    }
}

pub(super) fn refresh(options: &Options, errors: &mut Errors) -> Refresh {
    they_need_a_ttl(options, errors);
    timeout_has_an_old_value(options, errors);
    errors_are_not_stored(options, errors);
    leases_are_of_backends(options, errors);
    let stale_if_error = duration::fixed("stale_if_error", &options.stale_if_error, errors);
    Refresh {
        jitter: share("jitter", "0.1", &options.jitter, errors),
        refresh_ahead: share("refresh_ahead", "0.8", &options.refresh_ahead, errors),
        stale_while_revalidate: duration::fixed("stale_while_revalidate", &options.stale_while_revalidate, errors),
        stale_if_error: options.stale_if_error.keyword().cloned().zip(stale_if_error),
        timeout: duration::fixed("timeout", &options.timeout, errors),
        lease: duration::fixed("lease", &options.lease, errors),
        max_wait: duration::fixed("max_wait", &options.max_wait, errors),
        idle_ttl: duration::fixed("idle_ttl", &options.idle_ttl, errors),
    }
}

fn they_need_a_ttl(options: &Options, errors: &mut Errors) {
    if options.ttl.is_given() {
        return;
    }
    for slot in [&options.stale_while_revalidate, &options.stale_if_error, &options.refresh_ahead, &options.jitter] {
        if let Some(keyword) = slot.keyword() {
            errors.at(
                keyword,
                format_args!("`{keyword}` needs `ttl`: without a lifetime nothing grows old. Write `ttl = \"5m\"`"),
            );
        }
    }
}

fn timeout_has_an_old_value(options: &Options, errors: &mut Errors) {
    if let (Some(timeout), false) = (options.timeout.keyword(), options.stale_if_error.is_given()) {
        errors.at(
            timeout,
            "`timeout` needs `stale_if_error`, which says how long after its `ttl` the old value may be given instead: \
             `stale_if_error = \"1h\"`",
        );
    }
}

fn errors_are_not_stored(options: &Options, errors: &mut Errors) {
    if let (Some(stale), Some(true)) =
        (options.stale_if_error.keyword(), flag(&options.cache_err, &mut Errors::ignored()))
    {
        errors.at(
            stale,
            "`stale_if_error` and `cache_err = true` exclude each other: an `Err` that is stored is an answer like any other",
        );
    }
}

fn leases_are_of_backends(options: &Options, errors: &mut Errors) {
    if let (Some(lease), true) = (options.lease.keyword(), options.local.is_given()) {
        errors.at(
            lease,
            "`lease` and `local` exclude each other: a lease keeps other processes from running the body, and they share \
             nothing of a `local` function",
        );
    }
}

/// A number between 0 and 1.
fn share(name: &str, example: &str, slot: &Slot<Expr>, errors: &mut Errors) -> Option<f64> {
    let value = slot.value()?;
    let number = match bare(value) {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Float(number) => number.base10_parse::<f64>().ok(),
            Lit::Int(number) => number.base10_parse::<f64>().ok(),
            _ => None,
        },
        Expr::Unary(_) => Some(-1.0),
        _ => None,
    };
    match number {
        Some(number) if number > 0.0 && number < 1.0 => Some(number),
        Some(_) => {
            let message =
                format!("`{name}` is a share of the `ttl`, more than 0 and less than 1: `{name} = {example}`");
            errors.at(value, message);
            None
        }
        None => {
            errors.at(value, format_args!("`{name}` is a number between 0 and 1: `{name} = {example}`"));
            None
        }
    }
}
