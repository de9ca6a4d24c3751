//! Analyses a source tree with cached functions that call each other: file → directory → whole tree.
//!
//! ```text
//! cargo run --example quickstart [DIR]
//! ```
//!
//! DIR (default: this repository) is copied to a temporary place first; nothing of yours is changed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

use larder::cached;
use serde::{Deserialize, Serialize};

/// What is found out about a file, a directory or the whole tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Report {
    files: usize,
    lines: usize,
    blank: usize,
    longest_line: usize,
    words: BTreeMap<String, usize>,
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.lines += other.lines;
        self.blank += other.blank;
        self.longest_line = self.longest_line.max(other.longest_line);
        for (word, count) in &other.words {
            *self.words.entry(word.clone()).or_default() += count;
        }
    }
}

/// Each body notes that it ran, to show what a cached call spares.
static RAN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn ran(what: &str, path: &Path) {
    ran_so_far().push(format!("{what} {}", path.display()));
}

/// The tag names the file, so that whoever changes the file can say so. The error isn't stored: the next call tries
/// again.
#[cached(tags = [("file", path.display())])]
fn analyse_file(path: &Path) -> io::Result<Report> {
    ran("file", path);
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let mut report = Report { files: 1, ..Report::default() };
    for line in text.lines() {
        report.lines += 1;
        report.blank += usize::from(line.trim().is_empty());
        report.longest_line = report.longest_line.max(line.chars().count());
        for word in line.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
            if word.len() > 3 {
                *report.words.entry(word.to_lowercase()).or_default() += 1;
            }
        }
    }
    Ok(report)
}

/// Calls cached functions, and so depends on whatever they depend on. Nothing has to be said about that.
#[cached(tags = [("directory", path.display())])]
fn analyse_directory(path: &Path) -> io::Result<Report> {
    ran("directory", path);
    let mut report = Report::default();
    for entry in sorted_entries(path)? {
        report.add(&if entry.is_dir() { analyse_directory(&entry)? } else { analyse_file(&entry)? });
    }
    Ok(report)
}

#[cached]
fn analyse_tree(root: &Path) -> io::Result<Report> {
    ran("tree", root);
    analyse_directory(root)
}

fn sorted_entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    Ok(entries)
}

fn main() {
    let root = env::args_os().nth(1).map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let copy = env::temp_dir().join(format!("larder-quickstart-{}", process::id()));
    let result = copy_tree(&root, &copy).and_then(|()| show(&root, &copy));
    let _ = fs::remove_dir_all(&copy);
    if let Err(error) = result {
        eprintln!("quickstart: {}: {error}", root.display());
        process::exit(1);
    }
}

fn show(root: &Path, copy: &Path) -> io::Result<()> {
    println!("{} (working on a copy)\n", root.display());

    let (report, cold) = timed(|| analyse_tree(copy))?;
    println!(
        "{} files, {} lines ({} blank), longest line {} characters",
        report.files, report.lines, report.blank, report.longest_line
    );
    let mut words: Vec<_> = report.words.iter().collect();
    words.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), (*word).clone()));
    let top: Vec<_> = words.iter().take(5).map(|(word, count)| format!("{word} {count}")).collect();
    println!("most frequent words: {}\n", top.join(", "));

    let bodies = drain().len();
    let (again, warm) = timed(|| analyse_tree(copy))?;
    assert_eq!(again, report);
    println!("cold: {cold:.1?}, {bodies} bodies ran");
    println!(
        "warm: {warm:.1?}, {} bodies ran: {:.0} times as fast\n",
        drain().len(),
        cold.as_secs_f64() / warm.as_secs_f64()
    );

    let Some(file) = deepest_file(copy)? else {
        println!("there is no file to change");
        return Ok(());
    };
    let mut text = fs::read(&file)?;
    text.extend_from_slice(b"\nlarder larder larder\n");
    fs::write(&file, text)?;
    larder::blocking::invalidate_tag(("file", file.display())).map_err(io::Error::other)?;
    println!("changed {} and invalidated its tag", short(&file, copy));

    let (changed, time) = timed(|| analyse_tree(copy))?;
    let again = drain();
    println!("then: {time:.1?}, {} of {bodies} bodies ran again, the file and what was computed from it:", again.len());
    for body in &again {
        println!("  {}", body.replace(&copy.display().to_string(), "."));
    }
    assert_ne!(changed, report, "the change is seen");
    let directories = file.ancestors().skip(1).take_while(|path| path.starts_with(copy)).count();
    assert_eq!(again.len(), directories + 2, "the file, its directories and the tree, and nothing else");

    println!("\n{}", larder::stats());
    Ok(())
}

fn timed(call: impl FnOnce() -> io::Result<Report>) -> io::Result<(Report, Duration)> {
    let start = Instant::now();
    let report = call()?;
    Ok((report, start.elapsed()))
}

fn ran_so_far() -> MutexGuard<'static, Vec<String>> {
    RAN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drain() -> Vec<String> {
    std::mem::take(&mut *ran_so_far())
}

fn short(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn deepest_file(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut deepest: Option<PathBuf> = None;
    for entry in sorted_entries(path)? {
        let candidate = if entry.is_dir() { deepest_file(&entry)? } else { Some(entry) };
        let depth = |path: &PathBuf| path.components().count();
        if let Some(candidate) = candidate
            && deepest.as_ref().is_none_or(|found| depth(&candidate) > depth(found))
        {
            deepest = Some(candidate);
        }
    }
    Ok(deepest)
}

/// Copies text files; leaves out what is hidden, built or large.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    const LARGEST: u64 = 1 << 20;
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if name.to_string_lossy().starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if kind.is_dir() {
            copy_tree(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() && entry.metadata()?.len() <= LARGEST {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}
