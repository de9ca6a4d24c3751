use larder::cached;

#[cached]
struct S;

#[cached]
enum E { A }

#[cached]
mod m {}

#[cached]
const C: u64 = 1;

#[cached]
static X: u64 = 1;

#[cached]
type T = u64;

#[cached]
macro_rules! m { () => {} }

#[cached]
impl S {}

#[cached]
trait R {}

fn main() {}
