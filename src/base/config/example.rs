//! `config.example.toml`, written from the doc comments of this folder. A test keeps both equal; `MYELIN_BLESS=1` makes it write the file.

use std::fmt::Write as _;

use serde_json::Value;

use super::keys;

const SECTIONS: &[(&str, &str)] = &[
    ("", include_str!("mod.rs")),
    ("listen", include_str!("listen.rs")),
    ("tls", include_str!("tls.rs")),
    ("well_known", include_str!("well_known.rs")),
    ("federation", include_str!("federation.rs")),
    ("storage", include_str!("storage.rs")),
    ("registration", include_str!("registration.rs")),
    ("passwords", include_str!("passwords.rs")),
    ("limits", include_str!("limits.rs")),
    ("media", include_str!("media.rs")),
    ("rooms", include_str!("rooms.rs")),
    ("presence", include_str!("presence.rs")),
    ("log", include_str!("log.rs")),
];

const HEAD: &str = "\
# Everything that can be set, with its default. Take what you need into myelin.toml, or set it as a variable: storage.path is MYELIN_STORAGE__PATH.
# Sizes are written as \"50 MiB\", times as \"30d\" or \"1h 30m\", rates as \"5/m burst 20\".
";

/// A field of a section: its name and its doc comment.
struct Field {
    name: String,
    docs: Vec<String>,
}

fn example() -> String {
    let tree = keys::tree();
    let mut text = HEAD.to_owned();
    for (section, source) in SECTIONS {
        let (docs, fields) = read(source);
        text.push('\n');
        if !section.is_empty() {
            comment(&mut text, &docs);
            let _ = writeln!(text, "[{section}]");
        }
        for field in fields {
            let path: Vec<&str> = [*section, &field.name]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            match keys::find(&tree, &path) {
                None => panic!("{path:?} is documented, but is no key"),
                Some(Value::Object(_)) => {}
                Some(default) => entry(&mut text, &field, default),
            }
        }
    }
    text
}

/// The struct's doc comment and its fields. The first struct of the file is the section.
fn read(source: &str) -> (Vec<String>, Vec<Field>) {
    let mut docs = Vec::new();
    let mut lines = source.lines().map(str::trim);
    for line in lines.by_ref() {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim().to_owned());
        } else if line.starts_with("pub struct") {
            break;
        } else if !line.starts_with('#') {
            docs.clear();
        }
    }
    let (mut fields, mut field_docs) = (Vec::new(), Vec::new());
    for line in lines.take_while(|line| *line != "}") {
        if let Some(doc) = line.strip_prefix("///") {
            field_docs.push(doc.trim().to_owned());
        } else if let Some((name, _)) = line
            .strip_prefix("pub ")
            .and_then(|line| line.split_once(':'))
        {
            fields.push(Field {
                name: name.to_owned(),
                docs: std::mem::take(&mut field_docs),
            });
        }
    }
    (docs, fields)
}

fn entry(text: &mut String, field: &Field, default: &Value) {
    let shown = |line: &&String| {
        line.strip_prefix("Example: `")
            .and_then(|rest| rest.strip_suffix('`'))
            .map(str::to_owned)
    };
    let example = field.docs.iter().find_map(|line| shown(&line));
    let docs: Vec<String> = field
        .docs
        .iter()
        .take_while(|line| !line.is_empty())
        .cloned()
        .collect();
    comment(text, &docs);
    let value = match (example, default) {
        (Some(example), _) => example,
        (None, Value::Null) => panic!("{} has no default and needs an `Example:` line", field.name),
        // The JSON of texts, numbers, truths and lists of them is TOML as well.
        (None, default) => default.to_string(),
    };
    let _ = writeln!(text, "#{} = {value}\n", field.name);
}

fn comment(text: &mut String, docs: &[String]) {
    for line in docs {
        let _ = writeln!(text, "# {line}");
    }
}

#[test]
fn the_example_file_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.example.toml");
    let wanted = example();
    if std::env::var_os("MYELIN_BLESS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "config.example.toml is out of date: run the tests once with MYELIN_BLESS=1"
    );
}

#[test]
fn the_example_with_every_line_in_use_is_understood() {
    let mut text: String = example()
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .fold(String::new(), |text, line| text + line + "\n");
    // A token and an open server exclude each other only when registration is enabled, which it is not by default.
    text.push('\n');
    let path = std::env::temp_dir().join(format!("myelin-example-{}.toml", std::process::id()));
    std::fs::write(&path, &text).unwrap();
    let loaded = super::Config::load(Some(&path), &[]);
    let _ = std::fs::remove_file(&path);
    assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
}

#[test]
fn every_section_is_in_the_example() {
    for (section, default) in keys::tree() {
        if default.is_object() {
            assert!(
                SECTIONS.iter().any(|(name, _)| *name == section),
                "{section} is missing"
            );
        }
    }
}
