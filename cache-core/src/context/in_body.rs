//! Functions that the body of a cached function calls to affect its own run: tags, `ttl`, `dont_cache`.

use std::time::Duration;

use super::current;
use super::run_frame::Frame;
use crate::scope::Scope;
use crate::tag::{IntoTag, TagSet};

fn with_frame(change: impl FnOnce(&Frame)) {
    if let Some(frame) = current().as_deref().and_then(|context| context.frame.as_deref()) {
        change(frame);
    }
}

/// Adds a tag to the entry of the cached function that is running, and to every entry computed from it. Outside a
/// cached function it does nothing.
pub fn add_tag(tag: impl IntoTag) {
    let mut tags = TagSet::default();
    tags.add(tag);
    with_frame(|frame| frame.add_tags(tags));
}

/// Sets the lifetime of the entry of the cached function that is running, instead of its `ttl` option; the last call
/// counts, and zero means not to store it. Outside a cached function it does nothing.
pub fn set_ttl(ttl: Duration) {
    with_frame(|frame| frame.change(|collected| collected.ttl = Some(ttl)));
}

/// Keeps the result of the cached function that is running out of the cache, and with it the results of all cached
/// functions that are calling it. Outside a cached function it does nothing.
pub fn dont_cache() {
    with_frame(|frame| frame.change(|collected| collected.uncached = true));
}

/// The scope of the code that is running: that of [`with_scope`](crate::with_scope), or of the cached function whose body it is.
/// `None` outside of both. It is not what `Cache::builder().default_scope(..)` says, which is asked when a function is called.
///
/// ```
/// # async fn run() {
/// assert_eq!(cache_core::scope(), None);
/// cache_core::with_scope("tenant-7", async {
///     assert_eq!(cache_core::scope().unwrap(), "tenant-7");
/// })
/// .await;
/// # }
/// ```
pub fn scope() -> Option<Scope> {
    let context = current()?;
    context.scope.clone().or_else(|| context.frame.as_ref()?.scope.clone())
}
