//! Lifetimes, and the durations they are written as.

use std::time::Duration;

use proc_macro2::Span;
use syn::{Expr, ExprClosure, Lit, LitStr};

use super::values::{bare, closure};
use crate::errors::Errors;
use crate::parse::Slot;

/// How long something lives.
#[derive(Debug)]
pub(crate) enum Lifetime {
    /// `"5m"`
    Fixed(Duration, Span),
    /// `SESSION_TTL`
    Computed(Expr),
    /// `|token| token.expires_in`
    OfResult(ExprClosure),
}

/// A `ttl`, which may depend on the result.
pub(super) fn of_result(slot: &Slot<Expr>, errors: &mut Errors) -> Option<Lifetime> {
    match bare(slot.value()?) {
        Expr::Closure(found) => closure("ttl", found, errors).map(Lifetime::OfResult),
        _ => fixed("ttl", slot, errors),
    }
}

/// Another lifetime, which may not.
pub(super) fn fixed(name: &str, slot: &Slot<Expr>, errors: &mut Errors) -> Option<Lifetime> {
    let value = slot.value()?;
    match bare(value) {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => errors.attempt(parse(name, text)).map(|duration| Lifetime::Fixed(duration, text.span())),
            Lit::Int(number) => {
                errors.at(number, format_args!("say the unit: `{name} = \"{}s\"`", number.base10_digits()));
                None
            }
            Lit::Float(number) => {
                errors.at(number, format_args!("say the unit: `{name} = \"{}s\"`", number.base10_digits()));
                None
            }
            other => {
                errors.at(other, format_args!("`{name}` takes a duration: `{name} = \"5m\"`"));
                None
            }
        },
        Expr::Closure(closure) => {
            let message =
                format!("`{name}` can't depend on the result, only `ttl` can: give a duration, such as \"5s\"");
            errors.at(closure, message);
            None
        }
        _ => Some(Lifetime::Computed(value.clone())),
    }
}

/// `"1h30m"`: numbers with units, from large to small.
fn parse(name: &str, literal: &LitStr) -> syn::Result<Duration> {
    let text = literal.value();
    match nanoseconds(&text) {
        // Zero says something: no call waits.
        Ok(0) if name != "max_wait" => {
            let instead = match name {
                "ttl" => "use `cache_if` to say what is not cached, or leave `ttl` out to cache without end",
                "none_ttl" => "use `cache_none = false` not to cache `None`",
                _ => "leave it out",
            };
            Err(syn::Error::new(literal.span(), format!("`{name}` is zero: {instead}")))
        }
        Ok(nanoseconds) => match u64::try_from(nanoseconds / NANOSECONDS) {
            Ok(seconds) => {
                // A remainder of a division by 10⁹ fits.
                let rest = u32::try_from(nanoseconds % NANOSECONDS).unwrap_or_default();
                Ok(Duration::new(seconds, rest))
            }
            Err(_) => Err(syn::Error::new(literal.span(), TOO_LONG)),
        },
        Err(message) => Err(syn::Error::new(literal.span(), message)),
    }
}

/// In a second.
const NANOSECONDS: u128 = 1_000_000_000;

const TOO_LONG: &str = "this duration is too long: leave the option out for no limit";

/// Units with their nanoseconds, from large to small.
const UNITS: &[(&str, u128)] = &[
    ("d", 86_400 * NANOSECONDS),
    ("h", 3_600 * NANOSECONDS),
    ("m", 60 * NANOSECONDS),
    ("s", NANOSECONDS),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const UNIT_NAMES: &str = "d, h, m, s, ms, us and ns";

fn nanoseconds(text: &str) -> Result<u128, String> {
    if text.trim().is_empty() {
        return Err("this duration is empty: write one such as \"90s\", \"5m\" or \"1h30m\"".to_owned());
    }
    let mut total: u128 = 0;
    let mut smallest = u128::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.' || c == '_');
        let (unit, after) = split(after, |c| !(c.is_ascii_digit() || c == '.' || c == '_'));
        rest = after;
        if number.is_empty() {
            return Err(match unit.chars().next() {
                Some('-') => "a duration can't be negative".to_owned(),
                Some(' ') => "write durations without spaces: \"1h30m\"".to_owned(),
                _ => format!("expected a number before `{unit}`, as in \"90s\" or \"1h30m\""),
            });
        }
        if unit.is_empty() {
            return Err(format!("the unit is missing after `{number}`; units are {UNIT_NAMES}"));
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_unit(unit));
        };
        if *size >= smallest {
            return Err("write each unit once, from large to small: \"1h30m\"".to_owned());
        }
        smallest = *size;
        total = scale(number, *size)?.checked_add(total).ok_or(TOO_LONG)?;
    }
    if total / NANOSECONDS > u128::from(u64::MAX) {
        return Err(TOO_LONG.to_owned());
    }
    Ok(total)
}

/// The longest start of these characters, and the rest.
fn split(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !of(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn unknown_unit(unit: &str) -> String {
    let (spaced, unit) = (unit, unit.trim());
    let meant = match unit.to_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" | "s" => "s",
        "min" | "mins" | "minute" | "minutes" | "m" => "m",
        "hr" | "hrs" | "hour" | "hours" | "h" => "h",
        "day" | "days" | "d" => "d",
        "w" | "week" | "weeks" => return "there is no unit `w`: a week is \"7d\"".to_owned(),
        "msec" | "millis" | "milliseconds" | "ms" => "ms",
        "µs" | "μs" | "usec" | "micros" | "microseconds" | "us" => "us",
        "nanos" | "nanoseconds" | "ns" => "ns",
        _ => return format!("unknown unit `{unit}`; units are {UNIT_NAMES}"),
    };
    if unit == meant && spaced != unit {
        return "write durations without spaces: \"1h30m\"".to_owned();
    }
    format!("unknown unit `{unit}`: did you mean `{meant}`? Units are {UNIT_NAMES}")
}

/// `"1.5"` of a unit, exactly.
fn scale(number: &str, unit: u128) -> Result<u128, String> {
    let malformed = || format!("`{number}` is not a number");
    let digits = number.replace('_', "");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(malformed());
    }
    // Only digits are left, so what doesn't fit is too long.
    let whole: u128 = whole.parse().map_err(|_| TOO_LONG)?;
    let whole = whole.checked_mul(unit).ok_or(TOO_LONG)?;
    let fraction = fraction.trim_end_matches('0');
    let too_fine = || format!("`{number}` is finer than a nanosecond");
    let power =
        u32::try_from(fraction.len()).ok().and_then(|places| 10u128.checked_pow(places)).ok_or_else(too_fine)?;
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| too_fine())? };
    let part = part.checked_mul(unit).ok_or_else(too_fine)?;
    if part % power != 0 {
        return Err(too_fine());
    }
    whole.checked_add(part / power).ok_or_else(|| TOO_LONG.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, expected) in [
            ("500ms", 500_000_000),
            ("90s", 90 * NANOSECONDS),
            ("5m", 300 * NANOSECONDS),
            ("1h", 3_600 * NANOSECONDS),
            ("2d", 172_800 * NANOSECONDS),
            ("1h30m", 5_400 * NANOSECONDS),
            ("100us", 100_000),
            ("7ns", 7),
            ("1.5s", 1_500_000_000),
            ("0.5d", 43_200 * NANOSECONDS),
            ("0.001ms", 1_000),
            ("1_000s", 1_000 * NANOSECONDS),
            ("1.50s", 1_500_000_000),
            ("0s", 0),
            ("18446744073709551615s", u128::from(u64::MAX) * NANOSECONDS),
        ] {
            assert_eq!(nanoseconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("", "is empty"),
            ("  ", "is empty"),
            ("5", "unit is missing after `5`"),
            ("1h30", "unit is missing after `30`"),
            ("m", "expected a number before `m`"),
            ("-5m", "negative"),
            ("5 m", "without spaces"),
            ("1h 30m", "without spaces"),
            ("5min", "did you mean `m`"),
            ("5M", "did you mean `m`"),
            ("2w", "7d"),
            ("5y", "unknown unit `y`"),
            ("1m1h", "from large to small"),
            ("1s1s", "from large to small"),
            ("1.5.1s", "not a number"),
            (".5s", "not a number"),
            ("1.s", "not a number"),
            ("0.5ns", "finer than a nanosecond"),
            ("0.00000000000000000000000000000000000000000001s", "finer than a nanosecond"),
            ("99999999999999999999999999999999999999999s", "too long"),
            ("18446744073709551616s", "too long"),
            ("340282366920938463463374607431768211455d", "too long"),
        ] {
            let error = nanoseconds(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
