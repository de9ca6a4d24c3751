/// The methods of a `Backend` that are left to another one, which is in this field: `left_to!(inner: read wait);`. The types
/// are those that are in scope where it stands.
#[macro_export]
macro_rules! left_to {
    ($inner:tt: $($method:ident)*) => { $($crate::left_to! { @ $inner $method })* };
    (@ $inner:tt read) => {
        fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
            self.$inner.read(key)
        }
    };
    (@ $inner:tt lease) => {
        fn lease<'a>(
            &'a self,
            key: &'a EntryKey,
            request: LeaseRequest<'a>,
        ) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
            self.$inner.lease(key, request)
        }
    };
    (@ $inner:tt wait) => {
        fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
            self.$inner.wait(key, busy)
        }
    };
    (@ $inner:tt store) => {
        fn store<'a>(
            &'a self,
            key: &'a EntryKey,
            lease: Box<dyn Lease>,
            entry: Entry,
        ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
            self.$inner.store(key, lease, entry)
        }
    };
    (@ $inner:tt invalidate) => {
        fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
            self.$inner.invalidate(tags)
        }
    };
    (@ $inner:tt known_stamp) => {
        fn known_stamp(&self) -> Option<Stamp> {
            self.$inner.known_stamp()
        }
    };
    (@ $inner:tt attach) => {
        fn attach(&self, listener: ListenerHandle) {
            self.$inner.attach(listener);
        }
    };
    (@ $inner:tt max_staleness) => {
        fn max_staleness(&self) -> Option<Duration> {
            self.$inner.max_staleness()
        }
    };
    (@ $inner:tt close) => {
        fn close(&self) -> BoxFuture<'_, ()> {
            self.$inner.close()
        }
    };
}
