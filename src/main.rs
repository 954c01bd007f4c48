//! The `costate` command.

fn main() -> std::process::ExitCode {
    costate::cli::main()
}
