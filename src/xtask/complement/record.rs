//! Outcomes, the file that keeps them, and what changed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How many tests of a kind are named.
const LISTED: usize = 100;

/// How a test ended.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Pass,
    Fail,
    Skip,
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        })
    }
}

/// A test, or a part of one after a slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) package: String,
    pub(crate) name: String,
}

impl Test {
    /// The test that this is a part of.
    pub(crate) fn top(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }

    fn is_top(&self) -> bool {
        !self.name.contains('/')
    }
}

impl fmt::Display for Test {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.package, self.name)
    }
}

pub(crate) type Results = BTreeMap<Test, Outcome>;

/// One line of the file.
#[derive(Deserialize, Serialize)]
struct Line {
    package: String,
    test: String,
    outcome: Outcome,
}

/// Reads the file; none is an empty one.
pub(crate) fn read(file: &Path) -> Result<Results, String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    text.lines()
        .zip(1..)
        .map(|(line, number)| {
            let line: Line = serde_json::from_str(line)
                .map_err(|error| format!("{}, line {number}: {error}", file.display()))?;
            let test = Test {
                package: line.package,
                name: line.test,
            };
            Ok((test, line.outcome))
        })
        .collect()
}

pub(crate) fn write(file: &Path, results: &Results) -> Result<(), String> {
    let mut text = String::new();
    for (test, outcome) in results {
        let line = Line {
            package: test.package.clone(),
            test: test.name.clone(),
            outcome: *outcome,
        };
        text.push_str(&serde_json::to_string(&line).map_err(|error| error.to_string())?);
        text.push('\n');
    }
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// What a run changes about what was known.
pub(crate) struct Difference {
    /// Passed before, and do not pass now.
    pub(crate) lost: Vec<Test>,
    /// Pass now, and did not before.
    gained: Vec<Test>,
}

impl Difference {
    /// A test that was not met again counts as lost if the one that it is part of was run; after a run of everything, always.
    pub(crate) fn between(before: &Results, now: &Results, all: bool) -> Self {
        let passed = |results: &Results, test: &Test| results.get(test) == Some(&Outcome::Pass);
        let lost = before.keys().filter(|test| {
            passed(before, test) && !passed(now, test) && (all || was_run(now, test))
        });
        let gained = now
            .keys()
            .filter(|test| passed(now, test) && !passed(before, test));
        Self {
            lost: lost.cloned().collect(),
            gained: gained.cloned().collect(),
        }
    }

    pub(crate) fn print(&self, flaky: &[Test]) {
        let lists: [(&str, &[Test]); 3] = [
            ("passes now", &self.gained),
            ("FLAKY (failed, then passed)", flaky),
            ("PASSED BEFORE, not now", &self.lost),
        ];
        for (what, tests) in lists {
            for test in tests.iter().take(LISTED) {
                println!("{what}: {test}");
            }
            if let Some(more) = tests.len().checked_sub(LISTED + 1) {
                println!("{what}: {} more", more + 1);
            }
        }
    }
}

fn was_run(now: &Results, test: &Test) -> bool {
    let top = Test {
        package: test.package.clone(),
        name: test.top().to_owned(),
    };
    now.contains_key(&top)
}

/// What the file shall hold. A lost test keeps its line unless `bless` is set, so that a fault is not forgotten by running twice.
pub(crate) fn merge(
    before: &Results,
    now: &Results,
    flaky: &[Test],
    all: bool,
    bless: bool,
) -> Results {
    let mut kept = before.clone();
    kept.retain(|test, outcome| {
        let met = now.contains_key(test);
        let expected = all || was_run(now, test);
        met || !expected || (*outcome == Outcome::Pass && !bless)
    });
    for (test, outcome) in now {
        let passed = before.get(test) == Some(&Outcome::Pass);
        if !passed || *outcome == Outcome::Pass || (bless && !flaky.contains(test)) {
            kept.insert(test.clone(), *outcome);
        }
    }
    kept
}

/// Prints passed, failed and skipped tests and their parts per package; then, after a run of everything, what it all comes to.
pub(crate) fn print_table(now: &Results, flaky: &[Test], packages: &[String]) {
    let mut names: Vec<&str> = now.keys().map(|test| test.package.as_str()).collect();
    names.extend(packages.iter().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    println!(
        "\n| package | tests passed | failed | skipped | with their parts: passed | failed | skipped |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for name in &names {
        print_row(name, now, flaky, |test| test.package == *name);
    }
    if names.len() > 1 {
        print_row("all", now, flaky, |_| true);
    }
    println!();
}

fn print_row(name: &str, now: &Results, flaky: &[Test], belongs: impl Fn(&Test) -> bool) {
    let count = |wanted: Outcome, top: bool| {
        let counts = |(test, outcome): &(&Test, &Outcome)| {
            let outcome = if flaky.contains(test) {
                Outcome::Pass
            } else {
                **outcome
            };
            belongs(test) && outcome == wanted && (!top || test.is_top())
        };
        now.iter().filter(counts).count()
    };
    print!("| {name} |");
    for top in [true, false] {
        for outcome in [Outcome::Pass, Outcome::Fail, Outcome::Skip] {
            print!(" {} |", count(outcome, top));
        }
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str) -> Test {
        Test {
            package: "tests".to_owned(),
            name: name.to_owned(),
        }
    }

    fn results(of: &[(&str, Outcome)]) -> Results {
        of.iter()
            .map(|(name, outcome)| (test(name), *outcome))
            .collect()
    }

    use Outcome::{Fail, Pass, Skip};

    #[test]
    fn a_lost_test_is_named_and_not_forgotten() {
        let before = results(&[
            ("TestA", Pass),
            ("TestA/part", Pass),
            ("TestB", Fail),
            ("TestC", Pass),
        ]);
        let now = results(&[("TestA", Fail), ("TestB", Pass), ("TestC", Skip)]);
        let difference = Difference::between(&before, &now, true);
        assert_eq!(
            difference.lost,
            [test("TestA"), test("TestA/part"), test("TestC")]
        );
        assert_eq!(difference.gained, [test("TestB")]);
        let kept = merge(&before, &now, &[], true, false);
        assert_eq!(
            kept,
            results(&[
                ("TestA", Pass),
                ("TestA/part", Pass),
                ("TestB", Pass),
                ("TestC", Pass)
            ])
        );
        let kept = merge(&before, &now, &[], true, true);
        assert_eq!(
            kept,
            results(&[("TestA", Fail), ("TestB", Pass), ("TestC", Skip)])
        );
    }

    #[test]
    fn what_was_not_asked_for_is_left_alone() {
        let before = results(&[("TestA", Pass), ("TestB", Pass), ("TestB/gone", Fail)]);
        let now = results(&[("TestB", Pass)]);
        assert!(Difference::between(&before, &now, false).lost.is_empty());
        let kept = merge(&before, &now, &[], false, false);
        assert_eq!(kept, results(&[("TestA", Pass), ("TestB", Pass)]));
    }

    #[test]
    fn a_flaky_test_stays_as_it_was() {
        let before = results(&[("TestA", Pass)]);
        let now = results(&[("TestA", Fail)]);
        assert_eq!(merge(&before, &now, &[test("TestA")], true, true), before);
    }

    #[test]
    fn the_file_comes_back_as_it_was_written() {
        let file = std::env::temp_dir().join(format!("xtask-record-{}.jsonl", std::process::id()));
        assert!(read(&file).unwrap().is_empty());
        let written = results(&[("TestA", Pass), ("TestA/a \"b\"", Fail), ("TestB", Skip)]);
        write(&file, &written).unwrap();
        assert_eq!(read(&file).unwrap(), written);
        fs::write(&file, "{\"package\":\"tests\"}\n").unwrap();
        assert!(read(&file).unwrap_err().contains("line 1"));
        fs::remove_file(file).unwrap();
    }
}
