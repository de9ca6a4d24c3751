//! The first program of the README: a test compares the two, from the first blank line on.
#![allow(clippy::print_stdout, reason = "an example prints")]

use larder::cached;

#[cached(ttl = "5m", tags = [("user", id)])]
async fn user_name(id: u64) -> String {
    println!("loading user {id}"); // a database query, in a real program
    format!("user {id}")
}

#[cached(ttl = "5m")]
async fn greeting(id: u64) -> String {
    format!("Hello, {}!", user_name(id).await)
}

#[tokio::main]
async fn main() -> Result<(), larder::Error> {
    println!("{}", greeting(7).await); // runs both functions
    println!("{}", greeting(7).await); // runs neither: the result comes from memory

    larder::invalidate_tag(("user", 7)).await?; // user 7 has changed
    println!("{}", greeting(7).await); // runs both again
    Ok(())
}
