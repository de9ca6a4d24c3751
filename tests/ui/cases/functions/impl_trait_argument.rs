use larder::cached;

#[cached]
fn f(name: impl Into<String>, other: &impl std::fmt::Display) -> String { format!("{}{other}", name.into()) }

fn main() {}
