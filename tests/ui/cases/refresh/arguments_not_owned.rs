use larder::cached;

struct Database;

#[cached(ttl = "5m", stale_while_revalidate = "1m", skip(db))]
fn f(id: u64, db: &Database) -> u64 { let _ = db; id }

#[cached(ttl = "5m", stale_while_revalidate = "1m", skip(db))]
fn g(id: u64, db: std::rc::Rc<u8>) -> u64 { let _ = db; id }

fn main() {}
