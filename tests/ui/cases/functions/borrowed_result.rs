use larder::cached;

use std::borrow::Cow;

#[cached]
fn f(name: &str) -> &str { name }

#[cached]
fn g<'a>(name: &'a str) -> Option<&'a str> { Some(name) }

#[cached]
fn h(name: &str) -> Cow<'_, str> { name.into() }

#[cached]
fn i<'a>(name: &'a str) -> Result<Cow<'a, str>, String> { Ok(name.into()) }

#[cached]
fn fine(name: &str) -> Cow<'static, str> { name.to_owned().into() }

fn main() {}
