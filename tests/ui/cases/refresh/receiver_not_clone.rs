use larder::cached;

struct Database;

struct Shop {
    id: u64,
    db: Database,
}

impl Shop {
    #[cached(ttl = "5m", stale_while_revalidate = "1m", key = (self.id, article))]
    async fn price(&self, article: &str) -> u64 { let _ = (&self.db, article); 1 }

    #[cached(ttl = "5m", refresh_ahead = 0.8, key = self.id)]
    fn name(&self) -> String { let _ = &self.db; String::new() }
}

#[cached(ttl = "5m", stale_if_error = "1h", timeout = "1s", skip(db))]
fn all(db: &[Database]) -> Result<u64, String> { let _ = db; Ok(1) }

fn main() {}
