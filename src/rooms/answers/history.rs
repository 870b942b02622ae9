//! Stretches of a room's graph: what came before some events, and what lies between two sets of them.

use std::collections::{BinaryHeap, HashSet};

use ruma::{EventId, OwnedEventId, RoomId, ServerName};
use store::{EventNo, Snapshot};

use super::Gate;
use crate::error::Result;
use crate::stored::Stored;

/// How many events `/backfill` answers at most.
const BACKFILL: usize = 100;
/// How many events `/get_missing_events` answers at most.
const MISSING: usize = 20;
/// How many events one question may name.
const NAMED: usize = 100;

/// The events given and those before them, the nearest first, up to a number.
pub fn backfill(
    s: &Snapshot,
    origin: &ServerName,
    room_id: &RoomId,
    from: &[OwnedEventId],
    limit: usize,
) -> Result<Vec<String>> {
    let gate = Gate::enter(s, origin, room_id)?;
    let mut walk = Walk::new(&gate);
    for id in from.iter().take(NAMED) {
        walk.visit(id)?;
    }
    let mut found = Vec::new();
    while found.len() < limit.min(BACKFILL) {
        let Some(event) = walk.next()? else { break };
        found.push(gate.show(event)?);
    }
    Ok(found)
}

/// What a server lacks.
#[derive(Debug, Clone)]
pub struct Missing<'a> {
    /// The events it has heard of.
    pub latest: &'a [OwnedEventId],
    /// The events it has.
    pub earliest: &'a [OwnedEventId],
    /// How many it wants.
    pub limit: usize,
    /// Nothing of less depth.
    pub min_depth: u64,
}

/// The events before the latest ones that are not before the earliest ones, the oldest first. Neither of those are among them.
pub fn missing_events(
    s: &Snapshot,
    origin: &ServerName,
    room_id: &RoomId,
    missing: &Missing<'_>,
) -> Result<Vec<String>> {
    let gate = Gate::enter(s, origin, room_id)?;
    let mut walk = Walk::new(&gate);
    for id in missing.earliest.iter().take(NAMED) {
        walk.seen.extend(s.event_no(id)?);
    }
    for id in missing.latest.iter().take(NAMED) {
        // A latest event that we do not have leads nowhere.
        if let Some(event) = Stored::find_any(s, gate.room, id)? {
            walk.seen.insert(event.no());
            walk.behind(&event)?;
        }
    }
    let mut found = Vec::new();
    while found.len() < missing.limit.min(MISSING) {
        let Some(event) = walk.next()? else { break };
        if event.depth() >= missing.min_depth {
            found.push(gate.show(event)?);
        }
    }
    found.reverse();
    Ok(found)
}

/// A walk towards the beginning of a room, the deepest events first.
struct Walk<'g, 's> {
    gate: &'g Gate<'s>,
    seen: HashSet<EventNo>,
    /// By depth, and the one that we got last first among equals.
    next: BinaryHeap<(u64, EventNo)>,
    events: std::collections::HashMap<EventNo, Stored>,
}

impl<'g, 's> Walk<'g, 's> {
    fn new(gate: &'g Gate<'s>) -> Self {
        Self {
            gate,
            seen: HashSet::new(),
            next: BinaryHeap::new(),
            events: std::collections::HashMap::new(),
        }
    }

    /// Puts an event on the way, if it is one that we accepted.
    fn visit(&mut self, id: &EventId) -> Result<()> {
        let Some(event) = Stored::find(self.gate.s, self.gate.room, id)? else {
            return Ok(());
        };
        if !event.is_outlier() && self.seen.insert(event.no()) {
            self.next.push((event.depth(), event.no()));
            self.events.insert(event.no(), event);
        }
        Ok(())
    }

    fn behind(&mut self, event: &Stored) -> Result<()> {
        for id in event.pdu(&self.gate.room_id)?.prev_events() {
            self.visit(id)?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Stored>> {
        let Some((_, no)) = self.next.pop() else {
            return Ok(None);
        };
        let Some(event) = self.events.remove(&no) else {
            return Ok(None);
        };
        self.behind(&event)?;
        Ok(Some(event))
    }
}
