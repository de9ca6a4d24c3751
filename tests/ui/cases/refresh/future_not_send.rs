use larder::cached;

#[cached(ttl = "5m", stale_while_revalidate = "1m")]
async fn f(id: u64) -> u64 {
    let here = std::rc::Rc::new(id);
    std::future::ready(()).await;
    *here
}

fn main() {}
