use larder::cached;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Query<'a>(&'a str);

#[cached(local)]
fn f(query: Query<'_>) -> usize { query.0.len() }

fn main() {}
