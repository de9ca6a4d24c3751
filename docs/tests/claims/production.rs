//! `production.md`: a Redis user with the permissions that the guide lists.

use larder::{Cache, ErrorKind, Redis, RedisBuilder, cached};
use larder_testbed::Server;

use crate::support::{blocks, page};

#[cached]
async fn square(number: u64) -> u64 {
    number * number
}

/// The command of the guide.
fn set_user() -> Vec<String> {
    let guide = page("production.md");
    let block = blocks(&guide, "text").into_iter().find(|block| block.starts_with("ACL SETUSER")).unwrap();
    block.split_whitespace().map(str::to_owned).collect()
}

/// A row of the table of further permissions, which begins with this.
fn further(first: &str) -> Vec<String> {
    let guide = page("production.md").replace("\\|", "|");
    let row = guide.lines().find(|line| line.starts_with(&format!("| `{first}"))).unwrap();
    row.split('`').nth(1).unwrap().split_whitespace().map(str::to_owned).collect()
}

fn run(server: &Server, command: &[String]) {
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(server.command(&command).text(), "OK", "{command:?}");
}

fn as_user(server: &Server) -> RedisBuilder {
    Redis::builder(server.url()).username("shop").password("password").prefix("shop")
}

async fn works(redis: &Redis) -> bool {
    let cache = Cache::builder().without_memory().backend(redis.clone()).build().unwrap();
    let calls = async {
        assert_eq!((square(3).await, square(3).await), (9, 9));
        invalidate_square(3).await.is_ok() && larder::invalidate_tag("squares").await.is_ok()
    };
    let invalidates = cache.with(calls).await;
    let stats = cache.stats().function("square").cloned().unwrap();
    invalidates && (stats.backend_hits, stats.backend_errors) == (1, 0)
}

#[tokio::test]
async fn the_permissions_suffice() {
    let server = Server::start();
    run(&server, &set_user());
    let redis = as_user(&server).connect().await.unwrap();
    assert!(works(&redis).await);
    assert!(!redis.health().keyspace_notifications, "CONFIG is forbidden, and that is fine");

    let more = [vec!["ACL".to_owned(), "SETUSER".to_owned(), "shop".to_owned()], further("+config")].concat();
    run(&server, &more);
    let redis = as_user(&server).connect().await.unwrap();
    assert!(works(&redis).await);
    assert!(redis.health().keyspace_notifications);

    assert_eq!(server.command(&["CONFIG", "SET", "notify-keyspace-events", ""]).text(), "OK");
    let more = [vec!["ACL".to_owned(), "SETUSER".to_owned(), "shop".to_owned()], further("+multi")].concat();
    run(&server, &more);
    let redis = as_user(&server).connect().await.unwrap();
    assert!(works(&redis).await);
    assert!(redis.health().keyspace_notifications);
}

#[tokio::test]
async fn a_wrong_password_stops_connect_and_not_connect_lazy() {
    let server = Server::start();
    run(&server, &set_user());
    let error = as_user(&server).password("wrong").connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let redis = as_user(&server).password("wrong").connect_lazy().unwrap();
    let cache = Cache::builder().backend(redis).build().unwrap();
    assert_eq!(cache.with(square(4)).await, 16);
}
