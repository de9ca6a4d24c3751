//! `result_tags`: tags that follow from the result.

use std::sync::atomic::{AtomicU64, Ordering};

use larder::{Tag, blocking, cached};
use serde::{Deserialize, Serialize};

use crate::support::{Runs, cache};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct User {
    org: u64,
    name: String,
    teams: Vec<String>,
}

fn user(id: u64) -> User {
    User { org: id % 2, name: format!("user{id}"), teams: vec![format!("t{id}"), "all".into()] }
}

#[test]
fn a_list_of_tuples() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["users"], result_tags = |user| [("org", user.org)])]
    fn f(id: u64) -> User {
        RUNS.add();
        user(id)
    }
    cache().with_sync(|| {
        let runs = || {
            (f(1), f(2), f(3));
            RUNS.get()
        };
        assert_eq!((runs(), runs()), (3, 3));
        blocking::invalidate_tag(("org", 1)).unwrap();
        assert_eq!(runs(), 5, "those of organisation 1");
        blocking::invalidate_tag("org").unwrap();
        assert_eq!(runs(), 8, "a prefix");
        blocking::invalidate_tag("users").unwrap();
        assert_eq!(runs(), 11, "beside `tags`");
        blocking::invalidate_tag(("org", 2)).unwrap();
        assert_eq!(runs(), 11);
    });
}

#[test]
fn whatever_can_be_gone_through() {
    static RUNS: Runs = Runs::new();
    #[cached(result_tags = |user| user.teams.clone())]
    fn owned(id: u64) -> User {
        RUNS.add();
        user(id)
    }
    #[cached(result_tags = |user| &user.teams)]
    fn borrowed(id: u64) -> User {
        RUNS.add();
        user(id)
    }
    #[cached(result_tags = |user| user.teams.iter().map(|team| ("team", team)))]
    fn iterator(id: u64) -> User {
        RUNS.add();
        user(id)
    }
    #[cached(result_tags = |user| [("name", &user.name), ("team", &user.teams[0])])]
    fn borrowed_parts(id: u64) -> User {
        RUNS.add();
        user(id)
    }
    #[cached(result_tags = |user| (user.org > 0).then(|| Tag::new(("org", user.org))))]
    fn optional(id: u64) -> User {
        RUNS.add();
        user(id)
    }
    cache().with_sync(|| {
        let runs = || {
            (owned(1), borrowed(1), iterator(1), borrowed_parts(1), optional(1), optional(2));
            RUNS.get()
        };
        assert_eq!((runs(), runs()), (6, 6));
        blocking::invalidate_tag("t1").unwrap();
        assert_eq!(runs(), 8);
        blocking::invalidate_tag(("team", "t1")).unwrap();
        assert_eq!(runs(), 10);
        blocking::invalidate_tag(("name", "user1")).unwrap();
        assert_eq!(runs(), 11);
        blocking::invalidate_tag("org").unwrap();
        assert_eq!(runs(), 12, "of two that could have the tag one had it");
    });
}

#[tokio::test]
async fn a_function_and_the_ok() {
    fn tags(user: &User) -> Vec<Tag> {
        vec![Tag::new(("org", user.org))]
    }
    static RUNS: Runs = Runs::new();
    #[cached(result_tags = tags)]
    async fn f(id: u64) -> Result<User, String> {
        RUNS.add();
        Ok(user(id))
    }
    cache()
        .with(async {
            let _ = (f(1).await, f(1).await);
            assert_eq!(RUNS.get(), 1);
            larder::invalidate_tag(("org", 1)).await.unwrap();
            let _ = (f(1).await, f(1).await);
            assert_eq!(RUNS.get(), 2);
        })
        .await;
}

#[test]
fn parents_carry_them() {
    #[cached(result_tags = |user| [("org", user.org)])]
    fn child(id: u64) -> User {
        user(id)
    }
    static RUNS: Runs = Runs::new();
    #[cached]
    fn parent(id: u64) -> String {
        RUNS.add();
        child(id).name
    }
    cache().with_sync(|| {
        (parent(1), parent(1));
        assert_eq!(RUNS.get(), 1);
        blocking::invalidate_tag(("org", 1)).unwrap();
        assert_eq!((parent(1), RUNS.get()), ("user1".into(), 2));
    });
}

/// What the closure calls is a part of the run: the entry goes with what its tags were made of.
#[test]
fn what_they_are_made_of_counts() {
    static ORG: AtomicU64 = AtomicU64::new(1);
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["which org"])]
    fn org_of(user: u64) -> u64 {
        ORG.load(Ordering::SeqCst) + user
    }
    #[cached(result_tags = |user| [("org", org_of(*user))])]
    fn f(user: u64) -> u64 {
        RUNS.add();
        user
    }
    cache().with_sync(|| {
        f(7);
        ORG.store(2, Ordering::SeqCst);
        blocking::invalidate_tag("which org").unwrap();
        f(7);
        assert_eq!(RUNS.get(), 2, "its tags were made of what was invalidated");
        blocking::invalidate_tag(("org", 9)).unwrap();
        f(7);
        assert_eq!(RUNS.get(), 3, "it has the new tag");
        blocking::invalidate_tag(("org", 8)).unwrap();
        f(7);
        assert_eq!(RUNS.get(), 3, "and not the old one");
    });
}
