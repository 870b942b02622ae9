//! Which batches of a group may be written: assertions are checked in order, against what is on disk and what earlier
//! batches of the same group are about to write. Admitted batches get their positions.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::batch::{Batch, Claim, Write};
use crate::codec::KeyBuf;
use crate::engine::View;
use crate::error::{Error, Malformed};
use crate::log::{Change, Pos};
use crate::numbers::Used;
use crate::shared::Waiting;
use crate::table::TableId;
use crate::tables;

/// Batches that will be written together, each with its last position; and those that will not be written.
pub(crate) struct Admitted {
    pub(crate) batches: Vec<(Waiting, Pos)>,
    /// To be answered once the others are published: whoever decides anew has to see what was in the way.
    pub(crate) refused: Vec<(Waiting, Error)>,
    pub(crate) used: Used,
}

/// Takes the batches whose assertions hold.
pub(crate) fn admit(group: Vec<Waiting>, view: &dyn View, used: Used) -> Admitted {
    let several = group.len() > 1;
    let mut touched = Touched::default();
    let mut admitted = Admitted {
        batches: Vec::with_capacity(group.len()),
        refused: Vec::new(),
        used,
    };
    for mut waiting in group {
        let judged = judge(view, &waiting.batch, &admitted.batches, &touched);
        let skipped = waiting.batch.skipped;
        let first = Pos::new(admitted.used.head.saturating_add(skipped)).next();
        if let Err(error) = judged.and_then(|()| number(&mut waiting.batch, first)) {
            admitted.refused.push((waiting, error));
            continue;
        }
        if several {
            touched.add(&waiting.batch, admitted.batches.len());
        }
        if !waiting.batch.changes.is_empty() {
            admitted.used.head += skipped + waiting.batch.changes.len() as u64;
        }
        admitted.used.raise(&waiting.batch.used);
        let last = Pos::new(admitted.used.head);
        admitted.batches.push((waiting, last));
    }
    admitted
}

fn judge(
    view: &dyn View,
    batch: &Batch,
    earlier: &[(Waiting, Pos)],
    touched: &Touched,
) -> Result<(), Error> {
    for claim in batch.claims() {
        let writer = touched.last(&claim);
        let holds = match writer.and_then(|writer| last_write(earlier, writer, &claim)) {
            Some(value) => claim.holds(value),
            None => holds_in(view, &claim)?,
        };
        if !holds {
            let table = claim.table.name();
            return Err(Error::Conflict { table });
        }
    }
    Ok(())
}

/// What earlier batches of a group have written, by hash, and which of them did so last. A hit is looked at closely,
/// a miss is certain.
#[derive(Default)]
struct Touched {
    keys: HashMap<u64, usize>,
    /// By table: ranges are rare, so one that lies elsewhere in the table only costs a look.
    ranges: HashMap<u64, usize>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Touched {
    fn add(&mut self, batch: &Batch, index: usize) {
        for write in batch.writes() {
            match write {
                Write::Put { table, key, .. } | Write::Delete { table, key } => {
                    self.keys.insert(self.place(table, key), index);
                }
                Write::DeleteRange { table, .. } => {
                    self.ranges.insert(table.hash(), index);
                }
            }
        }
    }

    fn last(&self, claim: &Claim<'_>) -> Option<usize> {
        if self.keys.is_empty() && self.ranges.is_empty() {
            return None;
        }
        let by_key = self.keys.get(&self.place(claim.table, claim.key));
        by_key.max(self.ranges.get(&claim.table.hash())).copied()
    }

    fn place(&self, table: TableId, key: &[u8]) -> u64 {
        self.hasher.hash_one((table.hash(), key))
    }
}

/// What the batches of a group, up to the `last` of them, leave at a key; nothing if none writes it.
fn last_write<'g>(
    group: &'g [(Waiting, Pos)],
    last: usize,
    claim: &Claim<'_>,
) -> Option<Option<&'g [u8]>> {
    let newest_first = group.iter().take(last + 1).rev();
    let mut writes = newest_first.flat_map(|(waiting, _)| waiting.batch.writes().rev());
    let write = writes.find(|write| write.covers(claim.table, claim.key))?;
    Some(write.value())
}

fn holds_in(view: &dyn View, claim: &Claim<'_>) -> Result<bool, Error> {
    let mut holds = None;
    view.get(claim.table, claim.key, &mut |value| {
        holds = Some(claim.holds(Some(value)));
    })?;
    Ok(holds.unwrap_or_else(|| claim.holds(None)))
}

/// Gives a batch its positions and writes its changes under them.
fn number(batch: &mut Batch, first: Pos) -> Result<(), Error> {
    batch.fill(first);
    let changes = std::mem::take(&mut batch.changes);
    for (number, change) in (first.get()..).zip(&changes) {
        let key = KeyBuf::of(&Pos::new(number));
        let put = batch.put::<Change, _>(tables::LOG.id(), &key, change);
        put.map_err(|why| unstorable(tables::LOG.id(), why))?;
    }
    batch.changes = changes;
    Ok(())
}

pub(crate) fn unstorable(table: TableId, why: Malformed) -> Error {
    let table = table.name();
    Error::Unstorable { table, why }
}
