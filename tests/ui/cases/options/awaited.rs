use larder::cached;

struct Db;
impl Db {
    async fn tenant(&self) -> u64 { 1 }
}

#[cached(skip(db), tags = [("tenant", db.tenant().await)])]
async fn f(db: &Db, id: u64) -> u64 { let _ = db; id }

#[cached(skip(db), tags = [format!("tenant {}", db.tenant().await)])]
async fn i(db: &Db, id: u64) -> u64 { let _ = db; id }

#[cached(skip(db), ttl = "1m", stale_if_error = seconds(db.tenant().await))]
async fn j(db: &Db, id: u64) -> Result<u64, String> { let _ = db; Ok(id) }

#[cached(key = db.tenant().await)]
fn k(db: &Db, id: u64) -> u64 { let _ = db; id }

#[cached(skip(db), result_tags = |v| [("x", db.tenant().await)])]
async fn l(db: &Db, id: u64) -> u64 { let _ = db; id }

fn main() {}
