//! The engine itself against a `BTreeMap`: random batches, scans, snapshots held across commits, crashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::random::Random;
use super::{BIG, Make, Outcome, POINTS, QUEUE, SERIES, Subject, ensure, same, specs};
use crate::batch::Batch;
use crate::codec::KeyBuf;
use crate::engine::{KeyRange, Order, View};
use crate::table::TableId;

/// All tables: (table, key) → value.
type Model = BTreeMap<(usize, Vec<u8>), Vec<u8>>;

/// Keys and values of one table.
type Rows = Vec<(Vec<u8>, Vec<u8>)>;

const TABLES: [TableId; 4] = [POINTS.id(), SERIES.id(), QUEUE.id(), BIG.id()];
const SEEDS: u64 = 24;
const STEPS: usize = 120;

pub(super) fn behaves_like_a_map(make: Make<'_>) -> Outcome {
    for seed in 0..SEEDS {
        Run::new(make, seed)?
            .play()
            .map_err(|what| format!("seed {seed}: {what}"))?;
    }
    Ok(())
}

struct Run {
    subject: Box<dyn Subject>,
    random: Random,
    now: Model,
    /// What a crash may go back to: the state at the last sync, and after each commit since.
    recoverable: Vec<Model>,
    held: Vec<(Arc<dyn View>, Model)>,
}

impl Run {
    fn new(make: Make<'_>, seed: u64) -> Result<Self, String> {
        Ok(Self {
            subject: make(&specs())?,
            random: Random::new(seed),
            now: Model::new(),
            recoverable: vec![Model::new()],
            held: Vec::new(),
        })
    }

    fn play(mut self) -> Outcome {
        for _ in 0..STEPS {
            match self.random.below(100) {
                0..50 => self.commit()?,
                50..55 => self.sync()?,
                55..65 => self.hold()?,
                65..70 => drop(self.held.pop()),
                70..97 => self.compare_something()?,
                _ => self.crash()?,
            }
        }
        self.crash()
    }

    fn commit(&mut self) -> Outcome {
        let mut batches = Vec::new();
        for _ in 0..=self.random.below(3) {
            batches.push(self.batch()?);
        }
        let sync = self.random.one_in(3);
        self.subject
            .engine()
            .commit(&batches.iter().collect::<Vec<_>>(), sync)?;
        if sync {
            self.recoverable.clear();
        }
        self.recoverable.push(self.now.clone());
        Ok(())
    }

    /// A random batch, done to the model as well.
    fn batch(&mut self) -> Result<Batch, String> {
        let mut batch = Batch::default();
        for _ in 0..self.random.below(6) {
            let table = self.table();
            let key = self.random.key();
            match self.random.below(10) {
                0..7 => {
                    let value = self.random.value();
                    batch
                        .put::<Vec<u8>, _>(id(table), &raw(&key), &value)
                        .map_err(|why| why.to_string())?;
                    self.now.insert((table, key), value);
                }
                7..9 => {
                    batch.delete(id(table), &raw(&key));
                    self.now.remove(&(table, key));
                }
                _ => {
                    let range = self.range();
                    batch.delete_range(id(table), &range.start, range.end.as_deref());
                    self.now
                        .retain(|(of, key), _| *of != table || !range.contains(key));
                }
            }
        }
        Ok(batch)
    }

    fn sync(&mut self) -> Outcome {
        self.subject.engine().sync()?;
        self.recoverable = vec![self.now.clone()];
        Ok(())
    }

    fn hold(&mut self) -> Outcome {
        let view = self.subject.engine().snapshot()?;
        self.held.push((view, self.now.clone()));
        Ok(())
    }

    /// A random question to the present or to a snapshot held since some time.
    fn compare_something(&mut self) -> Outcome {
        let table = self.table();
        let range = self.range();
        let keys: Vec<Vec<u8>> = (0..5).map(|_| self.random.key()).collect();
        let chosen = self.random.below(self.held.len() as u64 + 1) as usize;
        let present = self.subject.engine().snapshot()?;
        let (view, model) = self
            .held
            .get(chosen)
            .map_or((&present, &self.now), |(view, model)| (view, model));
        compare(&**view, model, table, &range, &keys)
    }

    fn crash(&mut self) -> Outcome {
        self.held.clear();
        self.subject.crash()?;
        let view = self.subject.engine().snapshot()?;
        let mut found = Model::new();
        for table in 0..TABLES.len() {
            let rows = walk(&*view, table, &KeyRange::default(), Order::Forward)?;
            found.extend(rows.into_iter().map(|(key, value)| ((table, key), value)));
        }
        ensure(self.recoverable.contains(&found), || {
            format!(
                "after a crash, {} rows that were never there together",
                found.len()
            )
        })?;
        self.now = found.clone();
        self.recoverable = vec![found];
        Ok(())
    }

    fn table(&mut self) -> usize {
        self.random.below(TABLES.len() as u64) as usize
    }

    fn range(&mut self) -> KeyRange {
        let (a, b) = (self.random.key(), self.random.key());
        let end = if self.random.one_in(4) {
            None
        } else {
            Some(a.clone().max(b.clone()))
        };
        KeyRange {
            start: a.min(b),
            end,
        }
    }
}

fn compare(
    view: &dyn View,
    model: &Model,
    table: usize,
    range: &KeyRange,
    keys: &[Vec<u8>],
) -> Outcome {
    let wanted: Rows = model
        .iter()
        .filter(|((of, key), _)| *of == table && range.contains(key))
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .collect();
    same(
        "scan forward",
        &walk(view, table, range, Order::Forward)?,
        &wanted,
    )?;
    let mut backward = walk(view, table, range, Order::Backward)?;
    backward.reverse();
    same("scan backward", &backward, &wanted)?;

    let wanted: Vec<Option<Vec<u8>>> = keys
        .iter()
        .map(|key| model.get(&(table, key.clone())).cloned())
        .collect();
    let mut many = vec![None; keys.len()];
    let borrowed: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    view.get_many(id(table), &borrowed, &mut |place, value| {
        if let Some(slot) = many.get_mut(place) {
            *slot = Some(value.to_vec());
        }
    })?;
    same("get_many", &many, &wanted)?;
    for (key, wanted) in keys.iter().zip(&wanted) {
        let mut found = None;
        let says = view.get(id(table), key, &mut |value| found = Some(value.to_vec()))?;
        same("get", &found, wanted)?;
        same("what get says", &says, &wanted.is_some())?;
    }
    Ok(())
}

pub(super) fn edges(make: Make<'_>) -> Outcome {
    let subject = make(&specs())?;
    let engine = subject.engine();
    let keys: [&[u8]; 6] = [&[0], &[0, 0], &[1], &[0xFF], &[0xFF, 0xFF], &[0xFF; 40]];
    let mut batch = Batch::default();
    for key in keys {
        batch
            .put::<Vec<u8>, _>(id(0), &raw(key), key)
            .map_err(|why| why.to_string())?;
    }
    engine.commit(&[&batch], true)?;
    let view = engine.snapshot()?;
    same(
        "all rows",
        &walk(&*view, 0, &KeyRange::default(), Order::Backward)?.len(),
        &keys.len(),
    )?;
    same(
        "no row of another table",
        &walk(&*view, 1, &KeyRange::default(), Order::Forward)?.len(),
        &0,
    )?;
    let nothing = KeyRange {
        start: vec![2],
        end: Some(vec![1]),
    };
    same(
        "a range that is upside down",
        &walk(&*view, 0, &nothing, Order::Forward)?.len(),
        &0,
    )?;

    let mut rest = Batch::default();
    rest.delete_range(id(0), &[0xFF], None);
    engine.commit(&[&rest], true)?;
    let left = walk(
        &*engine.snapshot()?,
        0,
        &KeyRange::default(),
        Order::Forward,
    )?;
    same("rows before an open range delete", &left.len(), &3)?;
    engine.commit(&[], true)?;
    engine.commit(&[&Batch::default()], false)?;
    Ok(())
}

fn walk(view: &dyn View, table: usize, range: &KeyRange, order: Order) -> Result<Rows, String> {
    let mut rows = Vec::new();
    let mut cursor = view.scan(id(table), range, order)?;
    while cursor.advance()? {
        rows.push((cursor.key().to_vec(), cursor.value().to_vec()));
    }
    Ok(rows)
}

fn id(table: usize) -> TableId {
    TABLES.get(table).copied().unwrap_or(POINTS.id())
}

fn raw(bytes: &[u8]) -> KeyBuf {
    let mut key = KeyBuf::default();
    key.push(bytes);
    key
}
