//! What a worker is told when it is started.

use std::path::PathBuf;

/// As the arguments of its process.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) url: String,
    /// The files it shares with the others.
    pub(crate) truth: PathBuf,
    pub(crate) board: PathBuf,
    /// The one it writes down its runs in.
    pub(crate) runs: PathBuf,
    pub(crate) column: usize,
    pub(crate) columns: usize,
    pub(crate) seed: u64,
    pub(crate) mistake: Mistake,
}

/// Something wrong that is done on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// All is done as it should.
    None,
    /// Now and then an invalidation is acknowledged that wasn't made.
    Forget,
    /// Now and then a call takes too long.
    Slow,
    /// Now and then a body runs twice at once.
    Twice,
}

const MISTAKES: [(&str, Mistake); 4] =
    [("none", Mistake::None), ("forget", Mistake::Forget), ("slow", Mistake::Slow), ("twice", Mistake::Twice)];

impl Mistake {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        MISTAKES.iter().find(|(name, _)| *name == text).map(|(_, mistake)| *mistake)
    }

    fn name(self) -> &'static str {
        MISTAKES.iter().find(|(_, mistake)| *mistake == self).map_or("none", |(name, _)| name)
    }
}

impl Orders {
    pub(crate) fn text(&self) -> Vec<String> {
        let Self { url, truth, board, runs, column, columns, seed, mistake } = self;
        let paths = [truth, board, runs].map(|path| path.to_string_lossy().into_owned());
        let numbers = [*column as u64, *columns as u64, *seed].map(|number| number.to_string());
        let first = ["--worker".to_owned(), url.clone()];
        first.into_iter().chain(paths).chain(numbers).chain([mistake.name().to_owned()]).collect()
    }

    /// `None` if these aren't a worker's arguments.
    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [worker, url, truth, board, runs, column, columns, seed, mistake] = arguments else { return None };
        (worker == "--worker").then_some(())?;
        Some(Self {
            url: url.clone(),
            truth: PathBuf::from(truth),
            board: PathBuf::from(board),
            runs: PathBuf::from(runs),
            column: column.parse().ok()?,
            columns: columns.parse().ok()?,
            seed: seed.parse().ok()?,
            mistake: Mistake::parse(mistake)?,
        })
    }
}
