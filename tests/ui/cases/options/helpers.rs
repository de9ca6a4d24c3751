use larder::cached;

#[cached(helpers = all)]
fn f(id: u64) -> u64 { id }

#[cached(helpers = [])]
fn g(id: u64) -> u64 { id }

#[cached(helpers = [forget])]
fn h(id: u64) -> u64 { id }

#[cached(helpers = [none])]
fn i(id: u64) -> u64 { id }

#[cached(helpers = [invalidate, peek])]
fn j(id: u64) -> u64 { id }

fn main() {}
