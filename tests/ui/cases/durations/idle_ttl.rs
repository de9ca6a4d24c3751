use larder::cached;

#[cached(idle_ttl = 30)]
fn f(id: u64) -> u64 { id }

#[cached(idle_ttl = "30 minutes")]
fn g(id: u64) -> u64 { id }

#[cached(idle_ttl = |value| value.age)]
fn h(id: u64) -> u64 { id }

#[cached(idle_ttl = "30m", idle_ttl = "1h")]
fn i(id: u64) -> u64 { id }

#[cached(idle_ttl = "0s")]
fn j(id: u64) -> u64 { id }

#[cached(idle_ttl = 1 + 1)]
fn k(id: u64) -> u64 { id }

#[cached(idle_ttl)]
fn l(id: u64) -> u64 { id }

#[cached(idle_ttl = time().await)]
async fn m(id: u64) -> u64 { id }

// A name that another library has for it.
#[cached(time_to_idle = "30m")]
fn n(id: u64) -> u64 { id }

#[cached(ttl = "2h", idle_ttl = "30m", local)]
fn o(id: u64) -> u64 { id }

fn main() {}
