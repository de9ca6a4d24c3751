//! A wall clock that a test sets, for a server of its own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("clock.c");

/// The library that is preloaded into the server, and the file it reads the offset from.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// Compiles the library, with the C compiler that Rust links with.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        let (source, library, offset) =
            (directory.join("clock.c"), directory.join("clock.so"), directory.join("clock.offset"));
        fs::write(&source, SOURCE).unwrap();
        fs::write(&offset, 0_i64.to_ne_bytes()).unwrap();
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).args([&library, &source]).status();
        assert!(compiled.is_ok_and(|status| status.success()), "`cc` can't compile; install gcc and libc6-dev");
        Self { library, offset }
    }

    /// Has the program use this clock.
    pub(crate) fn give_to(&self, program: &mut Command) {
        program.env("LD_PRELOAD", &self.library).env("LARDER_CLOCK", &self.offset);
    }

    /// Sets it to the machine's time and so many seconds.
    pub(crate) fn set(&self, seconds: i64) {
        // Not truncated: the server has the file mapped.
        let mut file = OpenOptions::new().write(true).open(&self.offset).unwrap();
        file.write_all(&(seconds * 1_000_000).to_ne_bytes()).unwrap();
    }
}
