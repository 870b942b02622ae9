//! What every engine must prove. `store` runs it on the memory engine, `rocks` on RocksDB.
//!
//! The checks speak to the engine itself (`model.rs`: random batches, snapshots and crashes against a `BTreeMap`), and
//! to a [`Store`] on top of it (`house.rs`: assertions, slots, numbers, followers, a crash at every commit of a
//! recorded run). They return what went wrong instead of panicking, with the seed that shows it again.

mod house;
mod model;
mod random;

use std::fmt;
use std::sync::Arc;

use crate::engine::{Engine, EngineError};
use crate::error::Error;
use crate::table::{Hint, Spec, Table};

/// A way to get an engine, and to crash it.
pub trait Subject {
    /// The engine, as it is now.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Ends the engine without any goodbye and opens what is left. What was synced must be there; of what was not,
    /// whole batches may be missing from the end.
    fn crash(&mut self) -> Result<(), EngineError>;
}

/// Makes an empty engine with (at least) these tables.
pub type Make<'m> = &'m dyn Fn(&[Spec]) -> Result<Box<dyn Subject>, EngineError>;

/// What an engine has failed to prove.
#[derive(Debug)]
pub struct Failure {
    /// The name of the check.
    pub check: &'static str,
    /// What went wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.what)
    }
}

type Outcome = Result<(), String>;
type Check = fn(Make<'_>) -> Outcome;

const CHECKS: &[(&str, Check)] = &[
    (
        "an engine behaves like a sorted map",
        model::behaves_like_a_map,
    ),
    ("the edges of keys and ranges", model::edges),
    ("a snapshot holds across commits", house::snapshot_holds),
    (
        "assertions are checked against earlier batches",
        house::assertions,
    ),
    (
        "increments from many threads are all counted",
        house::increments,
    ),
    ("slots become positions", house::slots),
    ("numbers are given once", house::numbers),
    (
        "numbers and positions go on after a crash",
        house::counters_survive,
    ),
    ("followers go on where they were", house::followers),
    (
        "a crash at every commit tells the same story",
        house::crash_at_every_commit,
    ),
];

/// Runs every check and returns how many there were.
pub fn run(make: Make<'_>) -> Result<usize, Failure> {
    for (check, body) in CHECKS {
        body(make).map_err(|what| Failure { check, what })?;
    }
    Ok(CHECKS.len())
}

const POINTS: Table<String, Vec<u8>> = Table::new("suite_points", Hint::Point);
const SERIES: Table<(u64, crate::Pos), String> = Table::new("suite_series", Hint::Append);
const QUEUE: Table<(u64, u64), u64> = Table::new("suite_queue", Hint::Queue);
const BIG: Table<u64, Vec<u8>> = Table::new("suite_big", Hint::Big);

/// The tables of the checks, with those of the house.
fn specs() -> Vec<Spec> {
    let own = [POINTS.spec(), SERIES.spec(), QUEUE.spec(), BIG.spec()];
    own.into_iter().chain(crate::tables::all()).collect()
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, wanted: &T) -> Outcome {
    ensure(found == wanted, || {
        format!("{what}: found {found:?}, wanted {wanted:?}")
    })
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl From<EngineError> for String {
    fn from(error: EngineError) -> Self {
        error.to_string()
    }
}
