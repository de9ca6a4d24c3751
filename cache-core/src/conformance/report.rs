//! What the suite says: points, verdicts, failures.

use std::fmt;

/// A point of the [contract](crate::backend::Backend#contract), or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// 1: invalidations have an order, and stamps fit into it.
    Order,
    /// 2: what was invalidated is never read, whatever else is.
    Liveness,
    /// 3: lost records bring nothing back. Needs [`Subject::lose_tag_records`](super::Subject::lose_tag_records).
    FailClosed,
    /// 4: one lease per key, given back when dropped and when stored with.
    Leases,
    /// 4: a lease that is held outlives its duration.
    Renewal,
    /// 4: what a lost lease stores is refused, and it releases nobody else's. Needs
    /// [`Subject::lose_leases`](super::Subject::lose_leases).
    Fencing,
    /// 4: a lease that is to replace what is there is granted, and the holder loses its own.
    TakeOver,
    /// 11: those who wait are told that a run has left nothing. Skipped if the backend doesn't tell.
    Unstored,
    /// 5: `lease` notices an entry stored since the read.
    Changed,
    /// 6: `wait` returns when the lease ends, and doesn't spin.
    Wake,
    /// Lifetimes of entries: short ones end, long ones don't.
    Lifetimes,
    /// 12: entries that nobody touches end; a touch prolongs their lives, and not beyond `keep`. Skipped if the backend doesn't
    /// prolong entries.
    Idle,
    /// 8: futures may be dropped anywhere.
    Cancel,
    /// 9: errors instead of wrong answers.
    Errors,
    /// 10: any bytes are a key, and no key touches another.
    Separation,
    /// Empty, large and odd payloads; no tags and a thousand.
    Sizes,
    /// Listeners hear of others' invalidations within `max_staleness`.
    Listeners,
    /// What is held is invalidated, however its hold is ended. Skipped if the backend has no holds.
    Holds,
    /// 7: no operation takes longer than the limit. Found while the other points are checked.
    Time,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 19] = [
        Self::Order,
        Self::Liveness,
        Self::FailClosed,
        Self::Leases,
        Self::Renewal,
        Self::Fencing,
        Self::TakeOver,
        Self::Unstored,
        Self::Changed,
        Self::Wake,
        Self::Lifetimes,
        Self::Idle,
        Self::Cancel,
        Self::Errors,
        Self::Separation,
        Self::Sizes,
        Self::Listeners,
        Self::Holds,
        Self::Time,
    ];
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Order => "order",
            Self::Liveness => "liveness",
            Self::FailClosed => "fail closed",
            Self::Leases => "leases",
            Self::Renewal => "renewal",
            Self::Fencing => "fencing",
            Self::TakeOver => "taking over",
            Self::Unstored => "unstored",
            Self::Changed => "changed",
            Self::Wake => "wake",
            Self::Lifetimes => "lifetimes",
            Self::Idle => "idle",
            Self::Cancel => "cancel safety",
            Self::Errors => "honest errors",
            Self::Separation => "separation",
            Self::Sizes => "sizes",
            Self::Listeners => "listeners",
            Self::Holds => "holds",
            Self::Time => "time",
        })
    }
}

/// How a point came out that wasn't broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As the contract says.
    Passed,
    /// Not checked, because the [`Subject`](super::Subject) has no such hook, or the backend no such method.
    Skipped {
        /// The hook, or the method.
        needs: &'static str,
    },
}

/// A point that the backend breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    point: Point,
    what: String,
}

impl Broken {
    pub(super) fn new(point: Point, what: impl Into<String>) -> Self {
        Self { point, what: what.into() }
    }

    /// Which point.
    pub fn point(&self) -> Point {
        self.point
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.point, self.what)
    }
}

impl std::error::Error for Broken {}

/// The points that a backend breaks. `Display` lists them, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConformanceFailure {
    broken: Vec<Broken>,
}

impl ConformanceFailure {
    pub(super) fn new(broken: Vec<Broken>) -> Self {
        Self { broken }
    }

    /// Each of them.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }
}

impl fmt::Display for ConformanceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the backend breaks its contract in {} points:", self.broken.len())?;
        self.broken.iter().try_for_each(|broken| write!(f, "\n  {broken}"))
    }
}

impl std::error::Error for ConformanceFailure {}

/// What was checked, if nothing was broken. `Display` also says what wasn't, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    passed: Vec<Point>,
    skipped: Vec<(Point, &'static str)>,
}

impl Report {
    pub(super) fn add(&mut self, point: Point, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed.push(point),
            Verdict::Skipped { needs } => self.skipped.push((point, needs)),
        }
    }

    /// Checked and found in order.
    pub fn passed(&self) -> &[Point] {
        &self.passed
    }

    /// Not checked, with the hook that is missing.
    pub fn skipped(&self) -> &[(Point, &'static str)] {
        &self.skipped
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, point) in self.passed.iter().enumerate() {
            write!(f, "{}{point}", if index == 0 { "" } else { ", " })?;
        }
        self.skipped.iter().try_for_each(|(point, needs)| write!(f, "; not checked: {point} (needs `{needs}`)"))
    }
}
