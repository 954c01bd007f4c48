//! Set-up and chores of the workspace: `cargo xtask help`.
//!
//! This package builds before libtorch is there, so it must never depend on `tch`, and it stays
//! small because it is the first thing a new user's machine compiles.

mod cli;
mod error;
mod libtorch;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use cli::Command;
use error::Error;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &[OsString]) -> Result<(), Error> {
    let (command, rest) = cli::parse(arguments)?;
    if command == Command::Help {
        print!("{}", cli::HELP);
        return Ok(());
    }
    let workspace = workspace::Workspace::find();
    let libtorch = libtorch::ensure(&workspace)?;
    match command {
        Command::Help | Command::Setup => Ok(()),
        Command::Demo => workspace.cargo(&libtorch, cli::demo_arguments(rest)),
        Command::Test => workspace.cargo(&libtorch, cli::test_arguments(rest)),
    }
}
