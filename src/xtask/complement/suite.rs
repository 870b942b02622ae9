//! Runs packages of the suite through `go test`, follows their events, and keeps what each test said.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use super::image;
use super::record::{Outcome, Results, Test};
use crate::steps::root;

/// Where the suite's packages are.
const MODULE: &str = "github.com/matrix-org/complement";
/// How long one package may take.
const PACKAGE_TIME: &str = "30m";
/// How much of what one test says is kept. Servers' logs are part of it.
const KEPT: usize = 4 << 20;

/// What `go test -json` reports.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    test: Option<String>,
    #[serde(default)]
    output: String,
    #[serde(default)]
    elapsed: f64,
}

/// The suite's test packages, named from the suite's top. Fails if the suite cannot be had.
pub(crate) fn packages() -> Result<Vec<String>, String> {
    let listed = go()
        .args(["list", &format!("{MODULE}/tests/...")])
        .output()
        .map_err(|error| format!("could not start go: {error}"))?;
    if !listed.status.success() {
        let why = String::from_utf8_lossy(&listed.stderr);
        return Err(format!("Complement cannot be had: {}", why.trim()));
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    Ok(text.lines().map(|line| short(line).to_owned()).collect())
}

/// Runs these packages, one after the other.
pub(crate) fn run(
    packages: &[String],
    pattern: Option<&str>,
    workshop: &Path,
) -> Result<Results, String> {
    let mut results = Results::new();
    for package in packages {
        println!("xtask: Complement, package {package}");
        let mut follow = Follow::new(package, workshop);
        let mut child = start(package, pattern)?;
        let stream = child.stdout.take().ok_or("go test has no output")?;
        for line in BufReader::new(stream).lines() {
            let line = line.map_err(|error| error.to_string())?;
            // What cannot be read as an event is an announcement of the Go tool itself.
            match serde_json::from_str(&line) {
                Ok(event) => follow.take(event)?,
                Err(_) => println!("{line}"),
            }
        }
        child.wait().map_err(|error| error.to_string())?;
        results.extend(follow.end()?);
    }
    Ok(results)
}

fn start(package: &str, pattern: Option<&str>) -> Result<Child, String> {
    let mut command = go();
    command.args([
        "test",
        "-json",
        "-count=1",
        "-vet=off",
        "-timeout",
        PACKAGE_TIME,
    ]);
    if let Some(pattern) = pattern {
        command.args(["-run", pattern]);
    }
    command
        .arg(format!("{MODULE}/{package}"))
        .env("COMPLEMENT_BASE_IMAGE", image::NAME)
        .env("COMPLEMENT_ENABLE_DIRTY_RUNS", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not start go: {error}"))
}

fn go() -> Command {
    let mut go = Command::new("go");
    go.current_dir(root().join("complement"));
    go
}

fn short(package: &str) -> &str {
    package
        .strip_prefix(MODULE)
        .map_or(package, |inside| inside.trim_start_matches('/'))
}

/// One package while it runs.
struct Follow {
    package: String,
    directory: PathBuf,
    /// Every test that began, with its outcome once it ended.
    tests: BTreeMap<String, Option<Outcome>>,
    /// What top-level tests said so far; under the empty name, the package itself.
    said: BTreeMap<String, String>,
}

impl Follow {
    fn new(package: &str, workshop: &Path) -> Self {
        Self {
            package: package.to_owned(),
            directory: workshop.join("output").join(package.replace('/', "-")),
            tests: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    fn take(&mut self, event: Event) -> Result<(), String> {
        if short(&event.package) != self.package {
            print!("{}", event.output);
            return Ok(());
        }
        let name = event.test.unwrap_or_default();
        let top = name.split('/').next().unwrap_or_default().to_owned();
        let outcome = match event.action.as_str() {
            "run" => {
                self.tests.insert(name, None);
                return Ok(());
            }
            "output" => {
                let said = self.said.entry(top).or_default();
                if said.len() < KEPT {
                    said.push_str(&event.output);
                }
                return Ok(());
            }
            "pass" => Outcome::Pass,
            "fail" => Outcome::Fail,
            "skip" => Outcome::Skip,
            _ => return Ok(()),
        };
        if name.is_empty() {
            return self.keep("");
        }
        if name == top {
            println!("  {outcome} {name} ({:.1} s)", event.elapsed);
            self.keep(&top)?;
        }
        self.tests.insert(name, Some(outcome));
        Ok(())
    }

    fn keep(&mut self, top: &str) -> Result<(), String> {
        let Some(said) = self.said.remove(top) else {
            return Ok(());
        };
        let name = if top.is_empty() { "package" } else { top };
        let file = self.directory.join(format!("{name}.log"));
        let wrong = |error: std::io::Error| format!("{}: {error}", file.display());
        fs::create_dir_all(&self.directory).map_err(wrong)?;
        let mut file_handle = fs::File::create(&file).map_err(wrong)?;
        file_handle.write_all(said.as_bytes()).map_err(wrong)
    }

    /// A test that began and never ended, because the package ran out of time or broke, has failed.
    fn end(mut self) -> Result<Results, String> {
        let left: Vec<String> = self.said.keys().cloned().collect();
        for top in left {
            self.keep(&top)?;
        }
        let package = self.package;
        let named = |(name, outcome): (String, Option<Outcome>)| {
            let test = Test {
                package: package.clone(),
                name,
            };
            (test, outcome.unwrap_or(Outcome::Fail))
        };
        Ok(self.tests.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, test: Option<&str>) -> Event {
        Event {
            action: action.to_owned(),
            package: format!("{MODULE}/tests/csapi"),
            test: test.map(str::to_owned),
            output: "words\n".to_owned(),
            elapsed: 0.1,
        }
    }

    #[test]
    fn a_test_that_never_ends_has_failed() {
        let directory = std::env::temp_dir().join(format!("xtask-suite-{}", std::process::id()));
        let mut follow = Follow::new("tests/csapi", &directory);
        for (action, test) in [
            ("start", None),
            ("run", Some("TestA")),
            ("output", Some("TestA")),
            ("run", Some("TestA/one")),
            ("pass", Some("TestA/one")),
            ("run", Some("TestA/two")),
            ("fail", None),
        ] {
            follow.take(event(action, test)).unwrap();
        }
        let results = follow.end().unwrap();
        let outcomes: Vec<(&str, Outcome)> = results
            .iter()
            .map(|(test, outcome)| (test.name.as_str(), *outcome))
            .collect();
        assert_eq!(
            outcomes,
            [
                ("TestA", Outcome::Fail),
                ("TestA/one", Outcome::Pass),
                ("TestA/two", Outcome::Fail)
            ]
        );
        let kept = fs::read_to_string(directory.join("output/tests-csapi/TestA.log")).unwrap();
        assert_eq!(kept, "words\n");
        fs::remove_dir_all(directory).unwrap();
    }
}
