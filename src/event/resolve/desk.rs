//! The working place of one resolution: what was looked up is remembered here, and events are judged here.
//!
//! Events and keys are numbered as they come up (`keys.rs`), so that walking, sorting and looking up are a matter of small numbers, whatever the
//! caller calls its events.

use super::keys::{Key, Keys, Slot, Table};
use super::mutation::{Mutation, on};
use super::{Conflicts, Known, Pair, Rank, Source};
use crate::Pdu;
use crate::auth::{self, Kind};
use crate::effort;
use crate::rules::{RoomIds, Rules};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::rc::Rc;

/// How many bytes of events are kept at hand. A hostile room has gigabytes of them.
const SHELF_BYTES: usize = 32 * 1024 * 1024;

pub(super) struct Desk<'s, S: Source> {
    pub(super) source: &'s S,
    pub(super) rules: &'s Rules,
    slots: HashMap<S::Id, Slot>,
    nodes: Vec<Node<S::Id>>,
    shelf_bytes: usize,
    create: Option<Option<Slot>>,
    keys: Keys<'s>,
    /// What the states agree on, as far as it was asked for; nothing where they differ.
    agreed: Table<Key, Option<Slot>>,
}

/// What is known of an event; `None` until it was looked up.
struct Node<Id> {
    id: Id,
    event: Option<Option<Known>>,
    place: Option<Found>,
    /// Nothing inside if it is no state event, or if we do not have it.
    key: Option<Option<Key>>,
}

/// A place that was looked up: the rank, and the auth events, none twice.
#[derive(Clone)]
struct Found {
    rank: Option<Rank>,
    behind: Rc<[Slot]>,
}

/// Where the states differ, in numbers.
pub(super) struct Differences {
    /// Each key with the different events it has.
    pub(super) rows: Vec<(Key, SmallVec<[Slot; 2]>)>,
    /// The events of each state.
    pub(super) sides: Vec<Vec<Slot>>,
}

impl<'s, S: Source> Desk<'s, S> {
    pub(super) fn new(rules: &'s Rules, source: &'s S) -> Self {
        Self {
            source,
            rules,
            slots: HashMap::new(),
            nodes: Vec::new(),
            shelf_bytes: 0,
            create: None,
            keys: Keys::new(),
            agreed: Table::new(),
        }
    }

    pub(super) fn slot(&mut self, id: S::Id) -> Slot {
        *self.slots.entry(id).or_insert_with(|| {
            self.nodes.push(Node {
                id,
                event: None,
                place: None,
                key: None,
            });
            Slot(self.nodes.len() - 1)
        })
    }

    pub(super) fn slots(&mut self, ids: impl IntoIterator<Item = S::Id>) -> Vec<Slot> {
        ids.into_iter().map(|id| self.slot(id)).collect()
    }

    pub(super) fn event(&mut self, slot: Slot) -> Result<Option<Known>, S::Error> {
        effort::spend(1);
        let Some(node) = self.nodes.get(slot.0) else {
            return Ok(None);
        };
        if let Some(found) = &node.event {
            return Ok(found.clone());
        }
        let found = self.source.event(node.id)?;
        self.shelf_bytes += found.as_ref().map_or(0, |known| known.pdu.json().len());
        if self.shelf_bytes > SHELF_BYTES {
            effort::spend(self.nodes.len());
            self.nodes.iter_mut().for_each(|node| node.event = None);
            self.shelf_bytes = 0;
        }
        if let Some(node) = self.nodes.get_mut(slot.0) {
            node.event = Some(found.clone());
        }
        Ok(found)
    }

    /// None if we do not have the event.
    pub(super) fn rank(&mut self, slot: Slot) -> Result<Option<Rank>, S::Error> {
        Ok(self.place(slot)?.rank)
    }

    /// The auth events, none twice.
    pub(super) fn behind(&mut self, slot: Slot) -> Result<Rc<[Slot]>, S::Error> {
        Ok(self.place(slot)?.behind)
    }

    fn place(&mut self, slot: Slot) -> Result<Found, S::Error> {
        effort::spend(1);
        let Some(node) = self.nodes.get(slot.0) else {
            return Ok(Found {
                rank: None,
                behind: Rc::default(),
            });
        };
        if let Some(found) = &node.place {
            return Ok(found.clone());
        }
        let place = self.source.place(node.id)?;
        let mut behind = SmallVec::<[Slot; 10]>::new();
        for auth in place.iter().flat_map(|place| &place.auth) {
            let auth = self.slot(*auth);
            if !behind.contains(&auth) {
                behind.push(auth);
            }
        }
        let found = Found {
            rank: place.map(|place| place.rank),
            behind: behind.as_slice().into(),
        };
        if let Some(node) = self.nodes.get_mut(slot.0) {
            node.place = Some(found.clone());
        }
        Ok(found)
    }

    /// The room's create event.
    pub(super) fn create(&mut self) -> Result<Option<Slot>, S::Error> {
        if let Some(known) = self.create {
            return Ok(known);
        }
        let create = self.source.create()?.map(|id| self.slot(id));
        self.create = Some(create);
        Ok(create)
    }

    /// The power levels among the auth events.
    pub(super) fn levels_behind(&mut self, slot: Slot) -> Result<Option<Slot>, S::Error> {
        for auth in &*self.behind(slot)? {
            if self.key(*auth)? == Some(Key::POWER_LEVELS) {
                return Ok(Some(*auth));
            }
        }
        Ok(None)
    }

    /// Gives numbers to what the states differ in.
    pub(super) fn take_in(&mut self, conflicts: &'s Conflicts<S::Id>) -> Differences {
        let mut sides = vec![Vec::new(); conflicts.states()];
        let mut rows = Vec::new();
        for (event_type, state_key, events) in conflicts.rows() {
            let key = self.keys.borrow(event_type, state_key);
            self.agreed.put(key, None);
            let mut different = SmallVec::<[Slot; 2]>::new();
            for (side, event) in sides.iter_mut().zip(events) {
                let Some(event) = event.map(|id| self.slot(id)) else {
                    continue;
                };
                side.push(event);
                if !different.contains(&event) {
                    different.push(event);
                }
            }
            rows.push((key, different));
        }
        Differences { rows, sides }
    }

    /// The type and state key that a number stands for.
    pub(super) fn name(&self, key: Key) -> (&str, &str) {
        self.keys.name(key).unwrap_or_default()
    }

    /// The key of a state event.
    pub(super) fn key(&mut self, slot: Slot) -> Result<Option<Key>, S::Error> {
        effort::spend(1);
        if let Some(known) = self.nodes.get(slot.0).and_then(|node| node.key) {
            return Ok(known);
        }
        let key = self.event(slot)?.and_then(|known| {
            let (event_type, state_key) = known.pdu.state_pair()?;
            let kind = known.pdu.kind();
            Some(self.keys.number(kind, event_type, state_key))
        });
        if let Some(node) = self.nodes.get_mut(slot.0) {
            node.key = Some(key);
        }
        Ok(key)
    }

    /// What a state being built has for a key.
    pub(super) fn standing(
        &mut self,
        state: &Standing,
        key: Key,
    ) -> Result<Option<Slot>, S::Error> {
        let put = state.put.get(key).copied();
        if put.is_some() || !state.over_agreed {
            return Ok(put);
        }
        self.agreed(key)
    }

    fn agreed(&mut self, key: Key) -> Result<Option<Slot>, S::Error> {
        if let Some(known) = self.agreed.get(key) {
            return Ok(*known);
        }
        let (event_type, state_key) = self.keys.name(key).unwrap_or_default();
        let agreed = self.source.agreed(event_type, state_key)?;
        let agreed = agreed.map(|id| self.slot(id));
        self.agreed.put(key, agreed);
        Ok(agreed)
    }

    /// Whether an event is allowed in a state. With `helped`, what the state lacks is taken from the event's own auth events.
    pub(super) fn is_allowed(
        &mut self,
        slot: Slot,
        pdu: &Pdu,
        state: &Standing,
        helped: bool,
    ) -> Result<bool, S::Error> {
        let mut given = SmallVec::<[Pdu; 7]>::new();
        for (kind, state_key) in auth::auth_kinds_of(self.rules, pdu) {
            let key = self.wanted(slot, pdu, kind, state_key)?;
            let standing = match self.standing(state, key)? {
                Some(standing) if !(helped && on(Mutation::OnlyOwnAuthEvents)) => {
                    self.event(standing)?.filter(usable)
                }
                _ => None,
            };
            let found = match standing {
                None if helped && !on(Mutation::OnlyResolvedAuthEvents) => self.own(slot, key)?,
                standing => standing,
            };
            given.extend(found.map(|known| known.pdu));
        }
        if self.rules.room_ids == RoomIds::OfCreate
            && let Some(create) = self.create()?
        {
            given.extend(self.event(create)?.map(|known| known.pdu));
        }
        let verdict = auth::judge(pdu, given.as_slice(), self.rules);
        Ok(verdict.is_allowed() || on(Mutation::NothingDenied))
    }

    /// The key that an event is judged by. Most memberships are judged by the one before, whose key is known without a search.
    fn wanted(
        &mut self,
        slot: Slot,
        pdu: &Pdu,
        kind: Kind,
        state_key: &str,
    ) -> Result<Key, S::Error> {
        let is_own = pdu.kind() == Some(kind) && pdu.state_key() == Some(state_key);
        let own = if is_own { self.key(slot)? } else { None };
        Ok(own.unwrap_or_else(|| self.keys.number(Some(kind), kind.name(), state_key)))
    }

    /// The last of the event's own auth events for a key.
    fn own(&mut self, slot: Slot, key: Key) -> Result<Option<Known>, S::Error> {
        for auth in self.behind(slot)?.iter().rev() {
            if self.key(*auth)? == Some(key)
                && let Some(known) = self.event(*auth)?.filter(usable)
            {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// What was put into a state, except where the states agreed from the start.
    pub(super) fn resolved(&mut self, state: &Standing) -> Result<HashMap<Pair, S::Id>, S::Error> {
        let mut resolved = HashMap::new();
        for (key, slot) in state.put.iter() {
            if (on(Mutation::AgreedMayChange) || self.agreed(key)?.is_none())
                && let (Some(pair), Some(node)) = (self.keys.name(key), self.nodes.get(slot.0))
            {
                resolved.insert((pair.0.to_owned(), pair.1.to_owned()), node.id);
            }
        }
        Ok(resolved)
    }
}

/// Whether others may be judged by it.
fn usable(known: &Known) -> bool {
    !known.rejected || on(Mutation::RejectedAuthEventsUsed)
}

/// A state being built: what has been put in so far, over what the states agree on.
pub(super) struct Standing {
    put: Table<Key, Slot>,
    over_agreed: bool,
}

impl Standing {
    pub(super) const fn over_agreed() -> Self {
        Self {
            put: Table::new(),
            over_agreed: true,
        }
    }

    pub(super) const fn empty() -> Self {
        Self {
            put: Table::new(),
            over_agreed: false,
        }
    }

    pub(super) fn put(&mut self, key: Key, slot: Slot) {
        self.put.put(key, slot);
    }

    pub(super) fn take(&mut self, key: Key) {
        self.put.take(key);
    }
}
