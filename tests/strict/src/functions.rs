//! Free functions.

use core::time::Duration;

use pantry::cached;

/// How long prices hold.
const PRICES: Duration = Duration::from_secs(60);

/// A sync function with every option that fits.
///
/// # Errors
///
/// If there is no such article.
#[cached(
    crate = pantry,
    ttl = PRICES,
    memory_ttl = "5s",
    tags = ["prices", "shop:{shop}", ("article", article)],
    result_tags = |price| [("price", price)],
    cache_if = |price| *price > 0,
    key = (shop, article),
    name = "price",
    version = 2,
    idle_ttl = PRICES,
    max_entries = 100,
    evict = lru,
    scope = shop,
    helpers = [refresh, prime, peek, tag, explain]
)]
#[inline]
pub fn price(shop: &str, article: u64) -> Result<u64, String> {
    if shop.is_empty() { Err("no shop".to_owned()) } else { Ok(article) }
}

/// An async function of borrowed arguments.
#[cached(crate = pantry, none_ttl = "10s", helpers = [refresh, prime, peek, tag, explain])]
#[inline]
#[must_use]
pub async fn find(names: &[&str], or: Option<&str>) -> Option<String> {
    tokio::task::yield_now().await;
    names.first().copied().or(or).map(str::to_owned)
}

/// Weighed, and what it takes taken apart.
#[cached(crate = pantry, max_bytes = "1MiB", weigh = String::len, tags = [("of", of)], result_tags = |_| [("times", times)])]
#[inline]
#[must_use]
pub fn repeated((of, times): (char, usize), mut by: usize) -> String {
    by = by.saturating_add(times);
    core::iter::repeat_n(of, by).collect()
}

/// What it takes is changed, or not used.
#[cached(crate = pantry)]
#[inline]
#[must_use]
pub fn half_used(
    #[expect(unused_variables, reason = "a part is")] (of, not): (u8, u8),
    #[expect(unused_mut, reason = "it is not")] mut by: u8,
) -> u8 {
    of.saturating_add(by)
}

/// Generic.
#[cached(crate = pantry, local, ttl = |list| PRICES.saturating_mul(u32::try_from(list.len()).unwrap_or(1)))]
#[inline]
#[must_use]
pub fn copies<T: Clone + Send + Sync + 'static, const N: usize>(of: &[u8; N]) -> Vec<T> {
    let _: &[u8; N] = of;
    Vec::new()
}

/// Decorated.
#[cached(crate = pantry, map = |seconds| format!("{seconds} s"), stored = u64, helpers = [peek])]
#[inline]
#[must_use]
pub fn length(film: &str) -> String {
    u64::try_from(film.len()).unwrap_or(0)
}

/// Inner functions and raw identifiers.
#[inline]
#[must_use]
pub fn outer(r#type: u8) -> u8 {
    /// Named as a keyword.
    #[cached(crate = pantry, tags = ["of:{type}"])]
    fn r#match(r#type: u8) -> u8 {
        r#type
    }
    r#match(r#type)
}

/// Nothing to say.
#[cached(crate = pantry)]
#[inline]
pub fn nothing() {}

/// Only in this crate.
#[cached(crate = pantry)]
pub(crate) fn inside(count: u8) -> u8 {
    count
}

/// Uses it.
#[inline]
#[must_use]
pub fn through(count: u8) -> u8 {
    inside(count)
}

/// Functions made by a macro.
macro_rules! made {
    ($name:ident, $sum:expr, $negative:expr, $condition:expr) => {
        /// Made by a macro.
        #[cached(crate = pantry, key = (of ^ $sum))]
        #[inline]
        #[must_use]
        pub fn $name(of: u8) -> u8 {
            let sum: u8 = $sum;
            if $condition { sum } else { ($sum ^ of) | u8::from($negative ^ true) }
        }
    };
}

/// One of two.
const EARLY: bool = true;
/// The other.
const LATE: bool = false;

made!(made, 1 | 2, !LATE, EARLY || LATE);
