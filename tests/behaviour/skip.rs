//! `skip`: arguments that are not part of the key.

use larder::{blocking, cached};

use crate::support::{Runs, cache};

/// Can be neither compared nor hashed nor serialized.
struct Database {
    rows: u64,
}

#[test]
fn arguments() {
    static RUNS: Runs = Runs::new();
    #[cached(skip(db, log))]
    fn f(db: &Database, id: u64, log: &mut Vec<u64>) -> u64 {
        RUNS.add();
        log.push(id);
        db.rows + id
    }
    let mut log = Vec::new();
    assert_eq!(f(&Database { rows: 10 }, 1, &mut log), 11);
    assert_eq!(f(&Database { rows: 20 }, 1, &mut log), 11, "another database makes no difference");
    assert_eq!(f(&Database { rows: 20 }, 2, &mut log), 22);
    assert_eq!((RUNS.get(), log), (2, vec![1, 2]));
    // The helper does without them.
    invalidate_f(1).unwrap();
    assert_eq!(f(&Database { rows: 30 }, 1, &mut Vec::new()), 31);
    assert_eq!(RUNS.get(), 3);
}

#[test]
fn all_of_them() {
    static RUNS: Runs = Runs::new();
    #[cached(skip(db))]
    fn f(db: Database) -> u64 {
        RUNS.add();
        db.rows
    }
    assert_eq!((f(Database { rows: 1 }), f(Database { rows: 2 })), (1, 1));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn what_is_skipped_may_be_tagged_and_scoped_by() {
    static RUNS: Runs = Runs::new();
    #[cached(skip(tenant, db), scope = tenant, tags = [("rows", db.rows)])]
    fn f(tenant: &str, db: &Database) -> u64 {
        RUNS.add();
        db.rows
    }
    cache().with_sync(|| {
        let rows = Database { rows: 1 };
        (f("a", &rows), f("a", &rows), f("b", &rows));
        assert_eq!(RUNS.get(), 2);
        blocking::invalidate_tag(("rows", 1)).unwrap();
        (f("a", &rows), f("b", &rows));
        assert_eq!(RUNS.get(), 4);
        // The scope follows from it, so the helper needs it, though it is skipped.
        invalidate_f("a").unwrap();
        (f("a", &rows), f("b", &rows));
        assert_eq!(RUNS.get(), 5);
    });
}

struct Service {
    greeting: String,
}

static SERVICE: Runs = Runs::new();

impl Service {
    #[cached(skip(self))]
    async fn greet(&self, name: &str) -> String {
        SERVICE.add();
        tokio::task::yield_now().await;
        format!("{} {name}", self.greeting)
    }
}

#[tokio::test]
async fn the_receiver() {
    let (hello, goodbye) = (Service { greeting: "hello".into() }, Service { greeting: "goodbye".into() });
    assert_eq!(hello.greet("ann").await, "hello ann");
    assert_eq!(goodbye.greet("ann").await, "hello ann", "all instances give the same answer");
    assert_eq!(goodbye.greet("bob").await, "goodbye bob");
    assert_eq!(SERVICE.get(), 2);
    // No receiver, since the key doesn't have one.
    Service::invalidate_greet("ann").await.unwrap();
    assert_eq!(goodbye.greet("ann").await, "goodbye ann");
    assert_eq!(SERVICE.get(), 3);
}
