//! Tags: say what an answer is about, then invalidate by that, wherever the answer went.
//!
//! ```text
//! cargo run --example tags
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::atomic::{AtomicU64, Ordering};

use larder::cached;

/// What a real program would have in a database: likes per post.
static LIKES: [AtomicU64; 3] = [const { AtomicU64::new(1) }; 3];

#[cached(tags = ["posts", ("post", post)])]
async fn likes(post: usize) -> u64 {
    println!("    likes of post {post} are counted");
    LIKES[post].load(Ordering::Relaxed)
}

/// Computed from other cached functions, so it goes when they go. Nothing has to be said about that.
#[cached(tags = ["report"])]
async fn report() -> u64 {
    println!("    the report is written");
    let mut total = 0;
    for post in 0..LIKES.len() {
        total += likes(post).await;
    }
    total
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), larder::Error> {
    println!("At first everything runs:");
    assert_eq!(report().await, 3);
    println!("The second time nothing does:");
    assert_eq!(report().await, 3);

    LIKES[1].fetch_add(10, Ordering::Relaxed);
    println!("Post 1 has changed, and only what depends on it runs:");
    larder::invalidate_tag(("post", 1)).await?;
    assert_eq!(report().await, 13);

    println!("A tag that says less means more, \"post\" is every post:");
    larder::invalidate_tag("post").await?;
    assert_eq!(report().await, 13);

    println!("Without a tag, by function and arguments:");
    invalidate_likes(2).await?;
    assert_eq!(report().await, 13);

    println!("What nothing was computed from goes alone:");
    larder::invalidate_tags(["report", "unheard of"]).await?;
    assert_eq!(report().await, 13);

    println!("\n{}", larder::stats());
    let runs = |function| larder::stats().function(function).map(|stats| stats.runs);
    assert_eq!((runs("likes"), runs("report")), (Some(3 + 1 + 3 + 1), Some(5)));
    Ok(())
}
