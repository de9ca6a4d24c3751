//! The conformance suite: whether a backend keeps the [`Backend`] contract.
//!
//! It runs on any runtime and against any backend, in real time or with a clock that the test moves. It neither panics
//! nor prints: it returns which [`Point`]s failed and how.
//!
//! ```
//! use std::time::Duration;
//! use cache_core::Clock;
//! use cache_core::conformance::{Conformance, Subject};
//! use cache_core::reference::SharedMemory;
//!
//! # fn sleep(time: Duration) -> cache_core::backend::BoxFuture<'static, ()> {
//! #     Box::pin(async move { tokio::time::sleep(time).await })
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let suite = Conformance::new(
//!     || async {
//!         let clock = Clock::manual();
//!         let first = SharedMemory::with_clock(&clock);
//!         let (second, lost) = (first.another_process(), first.clone());
//!         Ok(Subject::new(first, second)
//!             .advance(move |time| { clock.advance(time); async {} })
//!             .lose_tag_records(move || { lost.lose_buckets(); async {} }))
//!     },
//!     sleep, // e.g. |time| Box::pin(tokio::time::sleep(time))
//! );
//! let report = suite.all().await?;
//! println!("passed: {report}");
//! # Ok::<(), cache_core::conformance::ConformanceFailure>(()) }).unwrap();
//! ```

mod cancel;
mod errors;
mod futures;
mod handing_over;
mod harness;
mod holds;
mod idle;
mod leases;
mod lifetimes;
mod listeners;
mod liveness;
mod losses;
mod order;
mod report;
mod separation;
mod sizes;
mod subject;
mod wake;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use self::harness::Probe;
pub use self::report::{Broken, ConformanceFailure, Point, Report, Verdict};
pub use self::subject::Subject;
use crate::backend::{Backend, BoxFuture};
use crate::error::Error;

/// How the suite reaches the backend under test, and how long it waits for it.
pub struct Conformance {
    make: Box<dyn Fn() -> BoxFuture<'static, Result<Subject, Error>> + Send + Sync>,
    sleep: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    lease: Duration,
    patience: Duration,
    limit: Duration,
}

impl Conformance {
    /// A suite that tests what `make` makes: a new, empty store each time (for example under a fresh prefix). `sleep` is
    /// the runtime's, in real time.
    pub fn new<M, F>(make: M, sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self
    where
        M: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Subject, Error>> + Send + 'static,
    {
        Self {
            make: Box::new(move || Box::pin(make())),
            sleep: Box::new(sleep),
            lease: Duration::from_millis(400),
            patience: Duration::from_secs(2),
            limit: Duration::from_secs(5),
        }
    }

    /// The shortest lease the backend can renew in time; the suite waits several times as long. Default 400 ms.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// How late what should come promptly (a wake, a release) may come. Default 2 s; must be below 10 s.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The longest time a single operation may take; not less than the backend's own timeout. Default 5 s.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Checks one point.
    ///
    /// # Errors
    ///
    /// The backend breaks it.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; what it stored stays in the store that `make` made.
    pub async fn check(&self, point: Point) -> Result<Verdict, Broken> {
        let subject = Probe::subject(self, point).await?;
        let probe = &Probe::new(self, point, &subject);
        let verdict = match point {
            Point::Order => order::check(probe).await,
            Point::Liveness => liveness::check(probe).await,
            Point::FailClosed => losses::fail_closed(probe).await,
            Point::Leases => leases::check(probe).await,
            Point::Renewal => leases::renewal(probe).await,
            Point::Fencing => losses::fencing(probe).await,
            Point::TakeOver => handing_over::take_over(probe).await,
            Point::Unstored => handing_over::unstored(probe).await,
            Point::Changed => leases::changed(probe).await,
            Point::Wake => wake::check(probe).await,
            Point::Lifetimes => lifetimes::check(probe).await,
            Point::Idle => idle::check(probe).await,
            Point::Cancel => cancel::check(probe).await,
            Point::Errors => errors::check(probe).await,
            Point::Separation => separation::check(probe).await,
            Point::Sizes => sizes::check(probe).await,
            Point::Listeners => listeners::check(probe).await,
            Point::Holds => holds::check(probe).await,
            // Watched during all the others.
            Point::Time => Ok(Verdict::Passed),
        };
        for backend in subject.all() {
            // A refusal to close fails no point but `Errors`, which looks at it.
            drop(probe.within(self.limit, "`close`", backend.close()).await);
        }
        verdict
    }

    /// Checks every point, also after one has failed.
    ///
    /// # Errors
    ///
    /// The backend breaks at least one point; the error names all of them.
    ///
    /// # Cancel safety
    ///
    /// As [`check`](Self::check).
    pub async fn all(&self) -> Result<Report, ConformanceFailure> {
        let mut report = Report::default();
        let mut broken = Vec::new();
        for point in Point::ALL {
            match self.check(point).await {
                Ok(verdict) => report.add(point, verdict),
                Err(failure) => broken.push(failure),
            }
        }
        if broken.is_empty() { Ok(report) } else { Err(ConformanceFailure::new(broken)) }
    }
}

impl fmt::Debug for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance")
            .field("lease", &self.lease)
            .field("patience", &self.patience)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
