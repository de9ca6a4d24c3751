//! Methods.

extern crate alloc;

use alloc::sync::Arc;

use pantry::cached;
use serde::{Deserialize, Serialize};

/// A shop.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shop {
    /// What it is known by.
    id: u64,
}

impl Shop {
    /// Made.
    #[cached(crate = pantry, helpers = [refresh, prime, peek, tag, explain])]
    #[inline]
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self { id }
    }

    /// By reference.
    ///
    /// # Errors
    ///
    /// Never.
    #[cached(crate = pantry, key = (self.id, article), tags = [("shop", self.id)], helpers = [refresh, prime, peek, tag, explain])]
    #[inline]
    pub async fn price(&self, article: &str) -> Result<u64, String> {
        tokio::task::yield_now().await;
        let length = u64::try_from(article.len()).map_err(|error| error.to_string())?;
        Ok(self.id.saturating_add(length))
    }

    /// In an `Arc`.
    #[cached(crate = pantry, key = self.id)]
    #[inline]
    #[must_use]
    pub async fn shared(self: Arc<Self>) -> u64 {
        self.id
    }

    /// For itself.
    #[cached(crate = pantry, skip(self))]
    fn own(&self) -> u64 {
        if self.id > 0 { 8 } else { 9 }
    }

    /// Uses it.
    #[inline]
    #[must_use]
    pub fn owned(&self) -> u64 {
        self.own()
    }
}

/// What shops do.
pub trait Trade {
    /// Sells.
    fn sell(&self, article: &str) -> u64;
}

impl Trade for Shop {
    #[cached(crate = pantry, key = (self.id, article), helpers = none)]
    #[inline]
    fn sell(&self, article: &str) -> u64 {
        self.id.saturating_add(u64::try_from(article.len()).unwrap_or(0))
    }
}
