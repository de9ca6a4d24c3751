//! `larder`: what an operator does with a Redis that larder uses. All of it goes through Redis, whether processes run or not.

mod arguments;
mod doctor;
mod invalidate;
mod output;
mod server;
mod tags;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::arguments::{Arguments, Command};
use crate::output::{Failure, say};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(format!("no runtime: {error}")).report(arguments.json),
    };
    let json = arguments.json;
    match runtime.block_on(run(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.report(json),
    }
}

/// Whether all is well.
async fn run(arguments: Arguments) -> Result<bool, Failure> {
    let Arguments { place, json, command } = arguments;
    match command {
        Command::Invalidate(what) => invalidate::run(&place, &what, json).await,
        Command::Doctor => doctor::run(&place, json).await,
        Command::Watch(what) => watch::run(&place, &what, json).await,
        Command::Completions { shell } => {
            let mut written = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "larder", &mut written);
            say(String::from_utf8_lossy(&written).trim_end())
        }
        Command::Man => {
            let mut written = Vec::new();
            clap_mangen::Man::new(Arguments::command())
                .render(&mut written)
                .map_err(|error| Failure::new(error.to_string()))?;
            say(String::from_utf8_lossy(&written).trim_end())
        }
    }
}
