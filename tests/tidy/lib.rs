//! The house rules as tests: structure that `docs/architecture.md` promises and a compiler cannot hold by itself.
//!
//! Depends on nothing and reads the sources as text. Taste (length, naming) is left to people.
#![cfg(test)]

mod imports;
mod sources;
mod text;

use sources::{Source, root, rust_sources};

/// Fails with every finding on a line of its own.
fn none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn the_top_level_holds_what_it_should_and_nothing_else() {
    let expected = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "complement",
        "config.example.toml",
        "docs",
        "src",
        "tests",
    ];
    // What builds and runs leave behind is not part of the tree.
    let left_behind = ["target", "data"];
    let mut found: Vec<String> = std::fs::read_dir(root())
        .expect("the checkout can be listed")
        .map(|entry| {
            entry
                .expect("an entry can be read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with('.') && !left_behind.contains(&name.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn every_module_says_what_lives_in_it() {
    let silent = rust_sources().filter(|source| {
        !source
            .text
            .trim_start_matches(|c: char| c.is_whitespace())
            .starts_with("//!")
    });
    let silent = silent
        .filter(|source| !source.path.ends_with("tests.rs") && !source.path.contains("/tests/"));
    none(
        &silent.map(|source| source.path).collect::<Vec<_>>(),
        "these files lack a `//!` paragraph",
    );
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    let mut findings = Vec::new();
    for source in rust_sources() {
        for (number, line) in source.lines() {
            if line.contains("#[allow(") || line.contains("#![allow(") {
                findings.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
        findings.extend(
            source
                .attributes_without("expect(", "reason")
                .map(|at| format!("{}:{at}: expect without a reason", source.path)),
        );
    }
    none(&findings, "use `#[expect(lint, reason = \"…\")]`");
}

#[test]
fn tests_that_are_left_out_are_long_runs_that_the_docs_name() {
    let docs: String = ["docs/performance.md", "docs/oracle.md"]
        .map(|path| std::fs::read_to_string(root().join(path)).expect("the docs can be read"))
        .concat();
    let unnamed = rust_sources().filter(|source| {
        source.text.contains("#[ignore") && !docs.contains(&format!("`{}`", source.path))
    });
    none(
        &unnamed.map(|source| source.path).collect::<Vec<_>>(),
        "these files hold ignored tests that neither docs/performance.md nor docs/oracle.md says how to run",
    );
}

#[test]
fn a_room_version_is_named_only_in_its_rules() {
    let elsewhere = |source: &Source| source.path != "src/event/rules.rs" && !source.is_test();
    none(
        &text::lines_with(rust_sources().filter(elsewhere), |line| {
            line.match_indices("RoomVersionId::V").any(|(at, found)| {
                line[at + found.len()..].starts_with(|c: char| c.is_ascii_digit())
            })
        }),
        "a room version is named outside src/event/rules.rs; branch on a named fact of `Rules`",
    );
}

#[test]
fn an_error_code_stands_only_in_the_error_table() {
    let elsewhere = |source: &Source| {
        source.path.starts_with("src/") && source.path != "src/web/errors.rs" && !source.is_test()
    };
    none(
        &text::lines_with(rust_sources().filter(elsewhere), |line| {
            text::code_of(line).contains("\"M_")
        }),
        "an errcode is written outside src/web/errors.rs",
    );
}

#[test]
fn a_table_is_named_only_by_its_owner() {
    let tables = std::fs::read_to_string(root().join("src/store/tables.rs"))
        .expect("the tables can be read");
    none(
        &text::tables_named_by_strangers(&tables, &rust_sources().collect::<Vec<_>>()),
        "a table is named by another crate than its owner",
    );
}

#[test]
fn imports_point_downwards() {
    none(
        &imports::forbidden(),
        "a crate imports what it may not (docs/architecture.md, «Who may import whom»)",
    );
}

#[test]
fn client_api_types_stay_at_the_front_door() {
    let deep = |source: &Source| {
        [
            "base", "event", "store", "rocks", "peers", "rooms", "users", "media", "actions",
        ]
        .contains(&source.member())
            && !source.is_test()
    };
    none(
        &text::lines_with(rust_sources().filter(deep), |line| {
            text::code_of(line).contains("ruma::api")
        }),
        "the deep layers speak of events and people, not of requests",
    );
}
