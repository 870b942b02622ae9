//! The verdict of Complement, the test suite that all homeservers share, over the server in a container of its own.
//!
//! The suite is a Go module that `complement/go.mod` pins; its tests are run as they are published, with no tag that leaves any of them out. Each
//! outcome is kept in `complement/results.jsonl`: a test that passed there and does not pass now is a fault, one that passes now is written down.

mod engine;
mod image;
mod record;
mod suite;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::packages;
use crate::steps::root;
use record::{Difference, Outcome, Results, Test};

/// Why there is no good verdict.
pub(crate) enum Failure {
    /// The suite cannot be run on this machine.
    Unavailable(String),
    /// It ran, or should have.
    Failed(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// What the command line asks for.
#[derive(Default)]
pub(crate) struct Wish {
    /// A server that is built already.
    pub(crate) server: Option<PathBuf>,
    /// Packages of the suite, by the last part of their names; none means all.
    packages: Vec<String>,
    /// Patterns for names of tests, as Go's `-run` takes them.
    tests: Vec<String>,
}

impl Wish {
    /// Reads `[--server FILE] [PACKAGE | PATTERN]…`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut wish = Self::default();
        let mut arguments = arguments.iter().filter(|argument| *argument != "--");
        while let Some(argument) = arguments.next() {
            if argument == "--server" {
                let file = arguments.next().ok_or("--server needs a file")?;
                wish.server =
                    Some(fs::canonicalize(file).map_err(|error| format!("{file}: {error}"))?);
            } else if argument.starts_with("Test") || argument.starts_with('^') {
                wish.tests.push(argument.clone());
            } else {
                wish.packages.push(argument.clone());
            }
        }
        Ok(wish)
    }

    /// Whether everything is to be run.
    fn is_all(&self) -> bool {
        self.packages.is_empty() && self.tests.is_empty()
    }

    fn pattern(&self) -> Option<String> {
        (!self.tests.is_empty()).then(|| self.tests.join("|"))
    }
}

/// Runs what is wished, prints what came of it, and keeps it.
pub(crate) fn judge(server: &Path, wish: &Wish) -> Result<(), Failure> {
    packages::for_complement().map_err(Failure::Unavailable)?;
    let workshop = workshop()?;
    let known = suite::packages().map_err(Failure::Unavailable)?;
    let chosen = choose(&known, &wish.packages)?;
    let _engine = engine::running(&workshop).map_err(Failure::Unavailable)?;
    image::make(server, &workshop)?;

    let file = root().join("complement/results.jsonl");
    let before = record::read(&file)?;
    let pattern = wish.pattern();
    let now = suite::run(&chosen, pattern.as_deref(), &workshop)?;
    if now.is_empty() {
        return Err(Failure::Failed("no test of that name".to_owned()));
    }
    let mut difference = Difference::between(&before, &now, wish.is_all());
    let flaky = try_again(&difference.lost, &workshop)?;
    difference.lost.retain(|test| !flaky.contains(test));

    let shown = if wish.is_all() { &chosen[..] } else { &[] };
    record::print_table(&now, &flaky, shown);
    println!(
        "xtask: what each test said is in {}",
        workshop.join("output").display()
    );
    difference.print(&flaky);
    let bless = std::env::var_os("MYELIN_BLESS").is_some();
    let kept = record::merge(&before, &now, &flaky, wish.is_all(), bless);
    record::write(&file, &kept)?;
    if difference.lost.is_empty() || bless {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{} tests of Complement passed before and do not pass now (MYELIN_BLESS=1 writes that down)",
        difference.lost.len()
    )))
}

/// Runs tests that no longer pass once more, by the top-level tests that they belong to, and returns those that pass after all.
fn try_again(lost: &[Test], workshop: &Path) -> Result<Vec<Test>, String> {
    let mut by_package: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for test in lost {
        let names = by_package.entry(&test.package).or_default();
        if !names.contains(&test.top()) {
            names.push(test.top());
        }
    }
    let mut again = Results::new();
    for (package, names) in by_package {
        println!("xtask: once more: {package} {}", names.join(" "));
        let pattern = format!("^({})$", names.join("|"));
        again.extend(suite::run(&[package.to_owned()], Some(&pattern), workshop)?);
    }
    let passes = |test: &&Test| again.get(*test) == Some(&Outcome::Pass);
    Ok(lost.iter().filter(passes).cloned().collect())
}

fn choose(known: &[String], wanted: &[String]) -> Result<Vec<String>, String> {
    if wanted.is_empty() {
        return Ok(known.to_vec());
    }
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    wanted
        .iter()
        .map(|wanted| {
            let found = known.iter().find(|known| last(known) == last(wanted));
            found.cloned().ok_or_else(|| {
                let names: Vec<String> = known.iter().map(|known| last(known)).collect();
                format!(
                    "Complement has no package «{wanted}», only {}",
                    names.join(", ")
                )
            })
        })
        .collect()
}

/// Where the image is put together and what tests said is kept.
fn workshop() -> Result<PathBuf, String> {
    let place = crate::steps::target().join("complement");
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(place)
}
