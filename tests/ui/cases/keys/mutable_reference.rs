use larder::cached;

#[cached]
fn f(id: u64, out: &mut Vec<u64>) { out.push(id); }

#[cached]
fn g(id: u64, out: Option<&mut Vec<u64>>) { out.unwrap().push(id); }

#[cached(key = id)]
async fn h(connection: &mut Vec<u64>, id: u64) -> u64 { connection.push(id); id }

#[cached(key = id, skip(connection))]
async fn fine(connection: &mut Vec<u64>, id: u64) -> u64 { connection.push(id); id }

fn main() {}
