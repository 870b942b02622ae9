//! Steps between schema versions. A database carries the version it was written with; an older binary refuses a newer
//! database, a newer binary brings an older database up, step by step.
//!
//! A step works in bounded batches and is told where its last batch ended, so that it goes on where a kill stopped
//! it. A change that old rows can simply be read with (a new optional field) needs no step.

use std::sync::Arc;

use crate::admit::unstorable;
use crate::batch::Batch;
use crate::codec::KeyBuf;
use crate::engine::{Engine, View};
use crate::error::Error;
use crate::read::corrupt;
use crate::row::Row;
use crate::tables;

/// The schema version that this binary writes: one more than the number of steps.
pub const SCHEMA: u64 = 1 + STEPS.len() as u64;

/// The steps there are; the n-th leads from version n to version n + 1.
const STEPS: &[Step] = &[];

/// Where the version stands in `META`.
const VERSION: &str = "schema";
/// Where the running step notes how far it is.
const PROGRESS: &str = "migration";

/// One step from a version to the next.
pub struct Step {
    /// What it does, for the log.
    pub about: &'static str,
    /// Does a bounded amount of it.
    pub run: fn(view: &dyn View, from: &[u8], batch: &mut Batch) -> Result<Progress, Error>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// To be run again, from here.
    Continue(Vec<u8>),
    /// Finished.
    Done,
}

/// Brings a database to the present version, or says why it cannot be opened.
pub(crate) fn migrate(engine: &Arc<dyn Engine>) -> Result<(), Error> {
    migrate_with(engine, STEPS)
}

pub(crate) fn migrate_with(engine: &Arc<dyn Engine>, steps: &[Step]) -> Result<(), Error> {
    let known = 1 + steps.len() as u64;
    let Some(mut version) = read_meta::<u64>(&*engine.snapshot()?, VERSION)? else {
        let mut batch = Batch::default();
        put_version(&mut batch, known)?;
        return Ok(engine.commit(&[&batch], true)?);
    };
    if version > known {
        return Err(Error::Newer {
            found: version,
            known,
        });
    }
    while version < known {
        let step = usize::try_from(version - 1)
            .ok()
            .and_then(|index| steps.get(index));
        run_step(
            engine,
            version,
            step.ok_or(Error::Bug("a database without a schema version of its own"))?,
        )?;
        version += 1;
    }
    Ok(())
}

fn run_step(engine: &Arc<dyn Engine>, version: u64, step: &Step) -> Result<(), Error> {
    tracing::info!(
        from = version,
        to = version + 1,
        about = step.about,
        "bringing the database up to date"
    );
    loop {
        let view = engine.snapshot()?;
        let from = read_meta::<Vec<u8>>(&*view, PROGRESS)?.unwrap_or_default();
        let mut batch = Batch::default();
        let progress = (step.run)(&*view, &from, &mut batch)?;
        match &progress {
            Progress::Continue(next) => put_meta(&mut batch, PROGRESS, next)?,
            Progress::Done => {
                batch.delete(tables::META.id(), &meta_key(PROGRESS));
                put_version(&mut batch, version + 1)?;
            }
        }
        engine.commit(&[&batch], true)?;
        if progress == Progress::Done {
            return Ok(());
        }
    }
}

/// A row of `META`, before there is a store.
pub(crate) fn read_meta<V: Row>(view: &dyn View, name: &str) -> Result<Option<V>, Error> {
    let mut value = None;
    let key = meta_key(name);
    view.get(tables::META.id(), key.as_bytes(), &mut |bytes| {
        value = Some(V::decode(bytes));
    })?;
    value
        .transpose()
        .map_err(|why| corrupt(tables::META.id(), key.as_bytes(), why))
}

fn put_version(batch: &mut Batch, version: u64) -> Result<(), Error> {
    let put = batch.put::<u64, _>(tables::META.id(), &meta_key(VERSION), &version);
    put.map_err(|why| unstorable(tables::META.id(), why))
}

fn put_meta(batch: &mut Batch, name: &str, value: &[u8]) -> Result<(), Error> {
    let put = batch.put::<Vec<u8>, _>(tables::META.id(), &meta_key(name), value);
    put.map_err(|why| unstorable(tables::META.id(), why))
}

fn meta_key(name: &str) -> KeyBuf {
    KeyBuf::of::<String, str>(name)
}
