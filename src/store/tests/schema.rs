//! `docs/schema.md` says what is on disk, and is rendered from `tables.rs`: `MYELIN_BLESS=1` writes it.

use std::fmt::Write as _;

const SOURCE: &str = include_str!("../tables.rs");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.md");

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how one asks a test to write what it would compare"
)]
fn the_schema_page_is_what_the_tables_say() {
    let rendered = render(SOURCE);
    if std::env::var("MYELIN_BLESS").is_ok() {
        std::fs::write(PAGE, &rendered).unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        page == rendered,
        "docs/schema.md is out of date: MYELIN_BLESS=1 cargo test -p store schema"
    );
}

#[test]
fn every_table_is_on_the_page() {
    let rendered = render(SOURCE);
    for spec in crate::tables::all() {
        let name = spec.id.name();
        assert!(
            rendered.contains(&format!("| `{name}` |")),
            "{name} has no line: is its declaration unusual?"
        );
    }
}

/// The page: a heading per owner, a line per table.
fn render(source: &str) -> String {
    let mut page = "# What is on disk\n\n\
        Rendered from `src/store/tables.rs`, which is the place to change it. Keys are bytes in the order of their\n\
        values; a table belongs to the crate under whose heading it stands, and only that crate names it.\n"
        .to_owned();
    let (mut about, mut declaration) = (String::new(), String::new());
    for line in source.lines() {
        if let Some(heading) = line.strip_prefix("// ── ") {
            let heading = heading.trim_end_matches(" ──");
            let _ = write!(
                page,
                "\n## {heading}\n\n| table | key → row | use | about |\n|---|---|---|---|\n"
            );
        } else if let Some(text) = line.strip_prefix("///") {
            about.push_str(text);
        } else if line.starts_with("pub const") || !declaration.is_empty() {
            declaration.push_str(line.trim());
            declaration.push(' ');
            if line.ends_with(';') {
                page.push_str(&row(&declaration, about.trim()).unwrap_or_default());
                declaration.clear();
            }
        }
        if !line.starts_with("///") && declaration.is_empty() {
            about.clear();
        }
    }
    page
}

/// `pub const NAME: Table<Key, Row> = table("name", Hint::Point);`
fn row(declaration: &str, about: &str) -> Option<String> {
    let (left, right) = declaration
        .split_once(" = ")
        .or_else(|| declaration.split_once(" =\n"))?;
    let types = left.split_once(": Table<")?.1.trim().strip_suffix('>')?;
    let name = right.split('"').nth(1)?;
    let hint = right.split_once("Hint::")?.1.split([')', ',']).next()?;
    let (key, value) = split_types(types)?;
    let (key, value) = (plain(key), plain(value));
    Some(format!(
        "| `{name}` | `{key}` → `{value}` | {} | {about} |\n",
        hint.to_lowercase()
    ))
}

/// Splits at the comma that is in no bracket.
fn split_types(types: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (at, letter) in types.char_indices() {
        match letter {
            '(' | '<' | '[' => depth += 1,
            ')' | '>' | ']' => depth -= 1,
            ',' if depth == 0 => {
                return Some((
                    types[..at].trim(),
                    types[at + 1..].trim().trim_end_matches(','),
                ));
            }
            _ => {}
        }
    }
    None
}

/// A type without the paths of its modules.
fn plain(name: &str) -> String {
    let parts = name.split_inclusive(['(', '<', '[', ',', ' ']);
    parts
        .map(|part| part.rsplit("::").next().unwrap_or(part))
        .collect()
}
