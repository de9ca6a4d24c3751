use larder::cached;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct User {
    org: u64,
    name: String,
}

#[cached(result_tags = |user| user.org)]
fn f(id: u64) -> User { User { org: id, name: String::new() } }

#[cached(result_tags = |user| user.name.clone())]
fn g(id: u64) -> Result<User, String> { Ok(User { org: id, name: String::new() }) }

#[cached(result_tags = |user| &user.name)]
async fn h(id: u64) -> User { User { org: id, name: String::new() } }

fn main() {}
