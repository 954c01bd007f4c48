//! Checks of the dependencies: `deny.toml` by cargo-deny, and unused dependencies by cargo-shear.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Context, Error};
use crate::tools::{CARGO_DENY, CARGO_SHEAR};
use crate::workspace::Workspace;

/// Folders with a lock file of their own: the workspace, the Python package, the documented example and the fuzz targets.
const PROJECTS: [&str; 4] = [".", "python", "docs/custom-environment", "fuzz"];

pub fn check(workspace: &Workspace) -> Result<(), Error> {
    let (deny, shear) = (CARGO_DENY.obtain()?, CARGO_SHEAR.obtain()?);
    let root = workspace.root();
    let deny = |project: &str, arguments: &[&str]| {
        let manifest = root.join(project).join("Cargo.toml");
        let mut command = Command::new(&deny);
        command
            .args(["--locked", "--config", "deny.toml", "--manifest-path"])
            .arg(manifest)
            .args(arguments)
            .current_dir(root);
        command
    };
    // The database is fetched by git from a host that may be unreachable from a closed network.
    let mut fetch = deny(".", &["fetch", "db"]);
    let database = run(fetch.stdout(Stdio::null()).stderr(Stdio::null()))?;
    if !database {
        eprintln!(
            "warning: no access to the advisory database; known vulnerabilities are not looked for"
        );
    }
    let checks = [
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    for project in PROJECTS {
        must(&mut deny(project, &checks), project)?;
        if database {
            must(&mut deny(project, &["check", "advisories"]), project)?;
        }
        must(Command::new(&shear).arg(root.join(project)), project)?;
    }
    Ok(())
}

/// Whether the command succeeded; its output goes to the terminal.
fn run(command: &mut Command) -> Result<bool, Error> {
    let program = Path::new(command.get_program()).display().to_string();
    let status = command.status().doing(|| format!("start {program}"))?;
    Ok(status.success())
}

fn must(command: &mut Command, project: &str) -> Result<(), Error> {
    if run(command)? {
        return Ok(());
    }
    let program = Path::new(command.get_program()).file_name();
    let program = program.unwrap_or_default().display();
    Err(Error::Failed {
        what: format!("{program} objects to the dependencies of {project}; it says above to which"),
    })
}
