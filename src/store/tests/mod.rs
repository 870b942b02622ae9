//! What the store promises, on the memory engine.

mod committer;
mod keys;
mod migration;
mod schema;
mod values;

use std::sync::Arc;

use crate::engine::{Engine, EngineError};
use crate::memory::Memory;
use crate::suite::{self, Subject};
use crate::{Spec, tables};

struct InMemory(Arc<Memory>);

impl Subject for InMemory {
    fn engine(&self) -> Arc<dyn Engine> {
        self.0.clone()
    }

    fn crash(&mut self) -> Result<(), EngineError> {
        self.0 = Arc::new(self.0.after_crash());
        Ok(())
    }
}

#[test]
fn the_memory_engine_passes_the_suite() {
    let make = |_: &[Spec]| Ok(Box::new(InMemory(Arc::new(Memory::new()))) as Box<dyn Subject>);
    if let Err(failure) = suite::run(&make) {
        panic!("{failure}");
    }
}

#[test]
fn no_two_tables_share_a_name_or_its_hash() {
    let mut names = std::collections::HashSet::new();
    let mut hashes = std::collections::HashSet::new();
    for spec in tables::all() {
        assert!(
            names.insert(spec.id.name()),
            "two tables are called {}",
            spec.id.name()
        );
        assert!(
            hashes.insert(spec.id.hash()),
            "the hash of {} is taken",
            spec.id.name()
        );
    }
}

#[test]
fn every_table_is_in_the_list_that_engines_open() {
    let source = include_str!("../tables.rs");
    let declared = source
        .lines()
        .filter(|line| line.starts_with("pub const ") && line.contains(": Table<"))
        .count();
    assert_eq!(
        declared,
        tables::all().count(),
        "a table is declared but not listed under its heading"
    );
}
