use larder::cached;

#[cached(key = "String", convert = r#"{ name.to_lowercase() }"#)]
fn f(name: &str) -> usize { name.len() }

#[cached(key = "(usize, usize)")]
fn g(a: usize, b: usize) -> usize { a + b }

#[cached(key = ("user", 1))]
fn h(user: &str, id: u64) -> u64 { id + user.len() as u64 }

#[cached(key = "id")]
fn i(id: u64) -> u64 { id }

#[cached(key = 1)]
fn j() -> u64 { 1 }

fn main() {}
