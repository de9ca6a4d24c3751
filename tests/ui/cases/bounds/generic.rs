use larder::cached;

#[cached]
fn f<T: Default + 'static>() -> T { T::default() }

#[cached]
fn g<T: Default + Clone + Send + Sync + 'static>() -> T { T::default() }

fn main() {}
