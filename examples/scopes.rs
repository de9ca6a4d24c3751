//! Scopes: one cache for many tenants, none of which sees another's answers.
//!
//! ```text
//! cargo run --example scopes
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

use larder::{Scope, cached, with_scope};

/// Knows nothing of tenants, but calls something that asks who it is.
#[cached(tags = ["prices"])]
async fn price(article: &str) -> String {
    let tenant = larder::scope().unwrap_or_default();
    println!("    {tenant:?} prices {article}");
    format!("{article} at the price of {tenant}")
}

/// Is told its tenant, and says so. What it calls is in the same scope.
#[cached(scope = tenant, skip(tenant))]
async fn offer(tenant: &str, article: &str) -> String {
    format!("Today: {}!", price(article).await)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), larder::Error> {
    println!("Each tenant has answers of its own:");
    for tenant in ["north", "south"] {
        let price = with_scope(tenant, price("tea")).await;
        assert_eq!(price, format!("tea at the price of {tenant}"));
    }
    assert_eq!(price("tea").await, "tea at the price of ");

    println!("The offer finds the price that is there already:");
    assert_eq!(offer("north", "tea").await, "Today: tea at the price of north!");

    println!("North's prices have changed, and those of others stay:");
    Scope::new("north").invalidate_tag("prices").await?;
    for tenant in ["north", "south"] {
        offer(tenant, "tea").await;
    }

    println!("South leaves:");
    Scope::new("south").clear().await?;
    with_scope("south", price("tea")).await;

    println!("Everybody's prices have changed:");
    larder::invalidate_tag("prices").await?;
    for tenant in ["north", "south"] {
        offer(tenant, "tea").await;
    }

    println!("\n{}", larder::stats());
    assert_eq!(larder::stats().function("price").map(|stats| stats.runs), Some(3 + 1 + 1 + 2));
    Ok(())
}
