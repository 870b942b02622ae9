//! `cargo xtask`: sets a machine up, then builds, runs and tests the server.
//!
//! Here lives everything between a bare machine and a running Myelin: finding what is missing, installing it through the system's
//! package manager, and starting cargo and the client conversations in the right order. Nothing here is part of the server.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program's only purpose is to talk to the person who started it"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a build helper reads its environment where it needs it"
)]

mod clients;
mod complement;
mod packages;
mod steps;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command> [-- arguments]

  run      install what the build needs, build the server and start it
           (arguments go to the server: cargo xtask run -- --config myelin.toml)
  test     install what the tests need, then run all of them:
           the workspace's tests and the conversations of real clients
  clients  only the conversations of real clients, against the release build
  complement
           the test suite that all homeservers share, against the release build in containers: all of it, or these packages and tests
           (cargo xtask complement -- [--server FILE] [csapi msc4140 …] [TestName …])
  ci       what every change has to pass: formatting, lints, and all of `test`
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.skip_while(|argument| argument == "--").collect();
    let outcome = match command.as_deref() {
        Some("run") => steps::run(&rest),
        Some("test") => steps::test(),
        Some("clients") => steps::clients(&rest),
        Some("complement") => steps::complement(&rest),
        Some("ci") => steps::ci(),
        Some("help" | "-h" | "--help") | None => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(format!("there is no command «{other}»\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
