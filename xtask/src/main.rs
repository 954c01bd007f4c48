//! Set-up and chores of the workspace: `cargo xtask help`.
//!
//! This package builds before libtorch is available, so it must never depend on `tch`, and it stays
//! small because it is the first thing a new user's machine compiles.

mod ahead;
mod book;
mod cli;
mod dist;
mod error;
mod fuzz;
mod libtorch;
mod page;
mod python;
mod supply;
mod tools;
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
    let workspace = workspace::Workspace::find();
    match command {
        Command::Help => {
            print!("{}", cli::HELP);
            Ok(())
        }
        Command::Setup => libtorch::ensure(&workspace).map(drop),
        Command::Demo => {
            let libtorch = libtorch::ensure_for(&workspace, &cli::DEMO_BUILD)?;
            workspace.cargo(&libtorch, cli::demo_arguments(rest))
        }
        Command::Test => {
            let libtorch = libtorch::ensure_for(&workspace, &cli::TEST_BUILD)?;
            let arguments = cli::test_arguments(rest);
            match python::interpreter(&workspace) {
                Ok(python) => {
                    workspace.cargo_with(&libtorch, arguments, [("COSTATE_PYTHON", python)])
                }
                Err(error) => {
                    eprintln!("warning: tests have no Python with Gymnasium: {error}");
                    workspace.cargo(&libtorch, arguments)
                }
            }
        }
        Command::Python => python::test(&workspace),
        Command::Page => page::test(&workspace, rest),
        Command::Book => book::make(&workspace),
        Command::Dist => dist::make(&workspace),
        Command::Supply => supply::check(&workspace),
        Command::Fuzz => fuzz::run(&workspace, rest),
    }
}
