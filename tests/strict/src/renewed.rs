//! Functions that are renewed in the background.

use pantry::cached;

/// Every refresh option.
///
/// # Errors
///
/// If the base is empty.
#[cached(
    crate = pantry,
    ttl = "5m",
    stale_while_revalidate = "1m",
    stale_if_error = "1h",
    timeout = "200ms",
    refresh_ahead = 0.8,
    jitter = 0.1,
    lease = "10s",
    tags = [("base", base)],
    helpers = [refresh, prime, peek, tag, explain]
)]
#[inline]
pub async fn rate(base: &str, to: &[String], mut attempts: u8) -> Result<usize, String> {
    tokio::task::yield_now().await;
    attempts = attempts.saturating_add(1);
    if base.is_empty() { Err(attempts.to_string()) } else { Ok(to.len()) }
}

/// The same without async.
#[cached(crate = pantry, ttl = "5m", stale_while_revalidate = "1m")]
#[inline]
#[must_use]
pub fn count(names: &[String], (low, high): (usize, usize)) -> usize {
    names.len().clamp(low, high)
}
