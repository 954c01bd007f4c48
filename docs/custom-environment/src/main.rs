//! A crane of one's own, usable by every command of Costate: `cargo run -- envs crane`.

mod crane;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = costate_envs::registry::register(crane::WORLD) {
        eprintln!("crane: {error}");
        return ExitCode::FAILURE;
    }
    costate::cli::main()
}
