//! Searching source lines.

use crate::sources::Source;

/// `path:line: text` of every line for which `wrong` holds.
pub(crate) fn lines_with(
    sources: impl Iterator<Item = Source>,
    wrong: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        findings.extend(
            source
                .lines()
                .filter(|(_, line)| wrong(line))
                .map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())),
        );
    }
    findings
}

/// The line without a comment at its end or as its whole.
pub(crate) fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Uses of `tables::NAME` in crates other than the one named in the group's heading (`// ── owner …`).
pub(crate) fn tables_named_by_strangers(tables: &str, sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut owner = "";
    for line in tables.lines() {
        if let Some(heading) = line.trim().strip_prefix("// ──") {
            owner = heading
                .trim()
                .split([' ', ':', ','])
                .next()
                .unwrap_or_default();
        }
        let Some(name) = line
            .trim()
            .strip_prefix("pub const ")
            .and_then(|rest| rest.split(':').next())
        else {
            continue;
        };
        if name == "ALL" || owner.is_empty() {
            continue;
        }
        let owner_member = if owner == "house" { "store" } else { owner };
        for source in sources.iter().filter(|source| {
            ![owner_member, "store"].contains(&source.member()) && !source.is_test()
        }) {
            let uses = source
                .lines()
                .filter(|(_, line)| names(code_of(line), name));
            findings.extend(
                uses.map(|(number, _)| {
                    format!("{}:{number}: {name} belongs to {owner}", source.path)
                }),
            );
        }
    }
    findings
}

/// Whether the line names the table: as `tables::NAME`, or as a word of its own in a file that imports tables.
fn names(line: &str, table: &str) -> bool {
    let path = format!("tables::{table}");
    line.match_indices(&path).any(|(at, found)| {
        !line[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}
