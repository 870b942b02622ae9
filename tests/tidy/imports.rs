//! Who may import whom: read from the manifests, held against the one list.

use crate::sources::root;

/// Each member of `src/` with the members it may depend on. Arrows point downwards and never to a sibling.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("event", &[]),
    ("store", &["base", "event"]),
    ("rocks", &["base", "store"]),
    ("peers", &["base", "event", "store"]),
    ("rooms", &["base", "event", "store", "peers"]),
    ("users", &["base", "event", "store", "peers"]),
    ("media", &["base", "event", "store", "peers"]),
    (
        "actions",
        &["base", "event", "peers", "rooms", "users", "media"],
    ),
    ("sync", &["base", "event", "store", "rooms", "users"]),
    (
        "outbox",
        &["base", "event", "store", "peers", "rooms", "users"],
    ),
    // The error table has one match per domain enum, so `web` knows the enums of everything below it.
    (
        "web",
        &[
            "base", "event", "store", "peers", "rooms", "users", "media", "actions", "sync",
        ],
    ),
    (
        "client_api",
        &[
            "web", "actions", "sync", "rooms", "users", "media", "base", "event",
        ],
    ),
    (
        "federation_api",
        &[
            "web", "actions", "peers", "rooms", "users", "media", "base", "event",
        ],
    ),
    (
        "admin",
        &[
            "web", "actions", "rooms", "users", "media", "peers", "base", "event",
        ],
    ),
    ("xtask", &[]),
];

/// Outside crates that only some members may name.
const FENCED: &[(&str, &[&str])] = &[
    ("rocksdb", &["rocks"]),
    ("reqwest", &["peers", "media", "outbox"]),
    ("axum", &["web", "client_api", "federation_api", "admin"]),
    ("hyper", &["web", "admin", "peers"]),
    ("minicbor", &["store", "users", "rooms", "sync", "media"]),
];

/// Every dependency that breaks one of the lists.
pub(crate) fn forbidden() -> Vec<String> {
    let mut findings = Vec::new();
    for entry in std::fs::read_dir(root().join("src"))
        .expect("src can be listed")
        .flatten()
    {
        let Ok(manifest) = std::fs::read_to_string(entry.path().join("Cargo.toml")) else {
            continue;
        };
        let member = entry.file_name().to_string_lossy().into_owned();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == member) else {
            findings.push(format!("{member} has no line in the list"));
            continue;
        };
        for dependency in dependencies(&manifest) {
            let ours = MAY_IMPORT.iter().any(|(name, _)| *name == dependency);
            if ours && !allowed.contains(&dependency) {
                findings.push(format!("{member} imports {dependency}"));
            }
            if FENCED.iter().any(|(fenced, members)| {
                *fenced == dependency && !members.contains(&member.as_str())
            }) {
                findings.push(format!("{member} names the outside crate {dependency}"));
            }
        }
    }
    findings
}

/// The names under `[dependencies]`; development dependencies are free.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest
        .split("\n[dependencies]")
        .nth(1)
        .unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
}
