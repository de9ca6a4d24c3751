//! What is printed, and how the program ends.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;

/// Why the program can't do what it was asked. An empty message means that the reader of the output has gone away, so nothing
/// is printed.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// On the standard error, so that the output stays what was asked for.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        #[derive(Serialize)]
        struct Error<'e> {
            error: &'e str,
        }
        if self.0.is_empty() {
            return ExitCode::FAILURE;
        }
        let text = if json { to_json(&Error { error: &self.0 }) } else { format!("larder: {}", self.0) };
        // If writing fails, the exit status still reports the failure.
        _ = writeln!(io::stderr(), "{text}");
        ExitCode::FAILURE
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<cache_core::Error> for Failure {
    fn from(error: cache_core::Error) -> Self {
        Self(error.to_string())
    }
}

/// Prints a line. `Ok(true)`, as all is well.
pub(crate) fn say(line: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure(String::new())),
        Err(error) => Err(Failure(format!("can't write: {error}"))),
    }
}

/// As JSON on one line.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    // What is printed here has no maps with odd keys and no failing `Serialize`.
    serde_json::to_string(value).unwrap_or_default()
}
