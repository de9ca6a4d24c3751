//! What is said on the command line.

use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

/// Looks after the Redis that larder's processes share.
#[derive(Debug, Parser)]
#[command(name = "larder", version, about, after_help = "Exit status: 0 all is well, 1 it isn't, 2 wrong usage.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the cache is.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// As in `Redis::builder(url)`: redis://, rediss://, redis-cluster://, redis-sentinel://, redis+unix://
    #[arg(long, global = true, env = "LARDER_URL", hide_env_values = true, default_value = "redis://127.0.0.1:6379")]
    pub(crate) url: String,
    /// As in `Redis::builder(..).prefix(..)`
    #[arg(long, global = true, env = "LARDER_PREFIX", default_value = "larder")]
    pub(crate) prefix: String,
    /// How long one operation may take, in seconds
    #[arg(long, global = true, default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| format!("`{text}` is no time to wait"))
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make every process stop serving what carries a tag, or what a function or a scope has
    Invalidate(Invalidate),
    /// Check the server: version, memory, permissions, notifications, replicas, clock, persistence
    Doctor,
    /// Print invalidations as they happen
    Watch(Watch),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the man page
    Man,
}

/// What is to be invalidated.
#[derive(Args, Debug)]
#[group(skip)]
#[command(group(ArgGroup::new("what").required(true).multiple(true)))]
pub(crate) struct Invalidate {
    /// Tags; parts of a path are separated by slashes: `users`, `user/7`. A part with a slash is quoted: `'file/"a/b"'`
    #[arg(group = "what", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Everything that a function has, by its name as `stats()` shows it, in `--scope` or the default one
    #[arg(long, group = "what", value_name = "NAME")]
    pub(crate) function: Vec<String>,
    /// Only in this scope; alone: everything in it
    #[arg(long, group = "what", value_name = "NAME")]
    pub(crate) scope: Option<String>,
    /// Everything under the prefix
    #[arg(long, group = "what", conflicts_with_all = ["tags", "function", "scope"])]
    pub(crate) all: bool,
    /// Don't ask first
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// What is watched.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// Tags to be shown by their names. Messages carry ids only
    #[arg(long = "name", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Functions to be shown by their names
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Vec<String>,
    /// End after so many
    #[arg(long, value_name = "NUMBER")]
    pub(crate) count: Option<u64>,
}
