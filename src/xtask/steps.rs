//! The commands of `cargo xtask`, each a short list of steps.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::complement::{Failure, Wish};
use crate::{clients, complement, packages};

/// Builds the server as its users run it, and starts it.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    packages::for_building()?;
    let mut cargo = cargo(&["run", "--release", "--package", "myelin", "--"]);
    cargo.args(arguments);
    perform(
        "build and start the server (the first build takes 10 to 20 minutes)",
        cargo,
    )
}

/// Everything that can be said about the server by itself and by real clients.
pub(crate) fn test() -> Result<(), String> {
    packages::for_building()?;
    packages::for_testing()?;
    clients::converse(&workspace_tests()?, &[])
}

/// Only the conversations of real clients.
pub(crate) fn clients(files: &[String]) -> Result<(), String> {
    packages::for_building()?;
    packages::for_testing()?;
    clients::converse(&build_server()?, files)
}

/// The verdict of the test suite that all homeservers share.
pub(crate) fn complement(arguments: &[String]) -> Result<(), String> {
    let wish = Wish::parse(arguments)?;
    let server = match &wish.server {
        Some(server) => server.clone(),
        None => {
            packages::for_building()?;
            build_server()?
        }
    };
    complement::judge(&server, &wish).map_err(|failure| match failure {
        Failure::Unavailable(why) => format!("Complement cannot run here: {why}"),
        Failure::Failed(why) => why,
    })
}

/// What every change has to pass.
pub(crate) fn ci() -> Result<(), String> {
    packages::for_building()?;
    packages::for_testing()?;
    perform(
        "check the formatting",
        cargo(&["fmt", "--all", "--", "--check"]),
    )?;
    let mut lints = cargo(&[
        "clippy",
        "--locked",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]);
    lints.env("CARGO_TERM_PROGRESS_WHEN", "never");
    perform("lint, with warnings denied", lints)?;
    clients::converse(&workspace_tests()?, &[])
}

/// Runs them, and gives the server that was built for them: building it by itself would choose other features of its dependencies, and
/// compile them once more.
fn workspace_tests() -> Result<PathBuf, String> {
    perform(
        "run the workspace's tests",
        cargo(&["test", "--locked", "--release", "--workspace"]),
    )?;
    Ok(binary())
}

fn build_server() -> Result<PathBuf, String> {
    perform(
        "build the server",
        cargo(&["build", "--locked", "--release", "--package", "myelin"]),
    )?;
    Ok(binary())
}

fn binary() -> PathBuf {
    target().join("release/myelin")
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The checkout's top directory.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root());
    cargo
}

/// Says what is done, does it with its output shown, and says how long it took.
pub(crate) fn perform(what: &str, mut command: Command) -> Result<(), String> {
    println!("xtask: {what}");
    let began = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .map_err(|error| format!("could not start «{program}»: {error}"))?;
    let seconds = began.elapsed().as_secs();
    if status.success() {
        println!("xtask: done in {seconds} s: {what}");
        Ok(())
    } else {
        Err(format!("failed after {seconds} s ({status}): {what}"))
    }
}
