//! The Rust sources of the checkout, as text.

use std::path::{Path, PathBuf};

/// The checkout's top directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the checkout exists")
}

/// One source file.
pub(crate) struct Source {
    /// Path from the top directory, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// The name of the crate under `src/`, or `main` for the binary's own files.
    pub(crate) fn member(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split_once('/').map_or("main", |(member, _)| member)
    }

    /// Whether the file holds only tests, benchmarks or examples.
    pub(crate) fn is_test(&self) -> bool {
        ["/tests/", "/benches/", "/examples/"]
            .iter()
            .any(|part| self.path.contains(part))
            || self.path.starts_with("tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
    }

    /// Lines with their numbers, up to a test module at the end of the file.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut in_tests = false;
        let mut after_cfg_test = false;
        (1..).zip(self.text.lines()).take_while(move |(_, line)| {
            in_tests |= after_cfg_test && line.starts_with("mod ") && line.ends_with('{');
            after_cfg_test = line.trim() == "#[cfg(test)]";
            !in_tests
        })
    }

    /// Line numbers of attributes that contain `name` and not `wanted` before they close.
    pub(crate) fn attributes_without<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a str,
    ) -> impl Iterator<Item = usize> + 'a {
        ["#[", "#!["]
            .into_iter()
            .flat_map(move |open| self.text.match_indices(open).map(move |(at, _)| (at, open)))
            .filter_map(move |(at, open)| {
                let inside = self.text.get(at + open.len()..)?;
                let attribute = inside.get(..inside.find(")]")?)?;
                (attribute.starts_with(name) && !attribute.contains(wanted))
                    .then(|| self.text[..at].lines().count() + 1)
            })
    }
}

/// Every Rust source below `src/` and `tests/`, in order of path. These rules themselves are left out: they name what they forbid.
pub(crate) fn rust_sources() -> impl Iterator<Item = Source> {
    let root = root();
    let mut paths = Vec::new();
    for top in ["src", "tests"] {
        collect(&root.join(top), &mut paths);
    }
    paths.sort();
    paths.into_iter().filter_map(move |path| {
        let name = path
            .strip_prefix(&root)
            .ok()?
            .to_string_lossy()
            .replace('\\', "/");
        (!name.starts_with("tests/tidy/")).then(|| Source {
            path: name,
            text: std::fs::read_to_string(&path).expect("a source can be read"),
        })
    })
}

fn collect(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory)
        .expect("a directory can be listed")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                collect(&path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}
