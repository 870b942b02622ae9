//! The working place of one resolution: what was looked up is remembered here, and events are judged here.
//!
//! Events are numbered as they come up ([`Slot`]), so that walking and sorting are a matter of small numbers, whatever the caller calls its events.

use super::mutation::{Mutation, on};
use super::{Conflicts, Known, Pair, Rank, Source};
use crate::Pdu;
use crate::auth::{self, Verdict};
use crate::rules::{RoomIds, Rules};
use std::collections::HashMap;
use std::rc::Rc;

/// How many bytes of events are kept at hand. A hostile room has gigabytes of them.
const SHELF_BYTES: usize = 32 * 1024 * 1024;

/// An event during one resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(usize);

pub(super) struct Desk<'s, S: Source> {
    pub(super) source: &'s S,
    pub(super) rules: &'s Rules,
    slots: HashMap<S::Id, Slot>,
    nodes: Vec<Node<S::Id>>,
    shelf_bytes: usize,
    create: Option<Option<Slot>>,
    /// What the states agree on, as far as it was asked for.
    agreed: ByKey<Option<Slot>>,
}

type ByKey<T> = HashMap<String, HashMap<String, T>>;

/// What is known of an event; `None` until it was looked up.
struct Node<Id> {
    id: Id,
    event: Option<Option<Known>>,
    place: Option<Found>,
    is_levels: Option<bool>,
}

/// A place that was looked up: the rank, and the auth events, none twice.
#[derive(Clone)]
struct Found {
    rank: Option<Rank>,
    behind: Rc<[Slot]>,
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
            agreed: HashMap::new(),
        }
    }

    pub(super) fn slot(&mut self, id: S::Id) -> Slot {
        *self.slots.entry(id).or_insert_with(|| {
            self.nodes.push(Node {
                id,
                event: None,
                place: None,
                is_levels: None,
            });
            Slot(self.nodes.len() - 1)
        })
    }

    pub(super) fn slots(&mut self, ids: impl IntoIterator<Item = S::Id>) -> Vec<Slot> {
        ids.into_iter().map(|id| self.slot(id)).collect()
    }

    pub(super) fn event(&mut self, slot: Slot) -> Result<Option<Known>, S::Error> {
        let Some(node) = self.nodes.get(slot.0) else {
            return Ok(None);
        };
        if let Some(found) = &node.event {
            return Ok(found.clone());
        }
        let found = self.source.event(node.id)?;
        self.shelf_bytes += found.as_ref().map_or(0, |known| known.pdu.json().len());
        if self.shelf_bytes > SHELF_BYTES {
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
        let mut behind = Vec::with_capacity(place.as_ref().map_or(0, |place| place.auth.len()));
        for auth in place.iter().flat_map(|place| &place.auth) {
            let auth = self.slot(*auth);
            if !behind.contains(&auth) {
                behind.push(auth);
            }
        }
        let found = Found {
            rank: place.map(|place| place.rank),
            behind: behind.into(),
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
            if self.is_levels(*auth)? {
                return Ok(Some(*auth));
            }
        }
        Ok(None)
    }

    fn is_levels(&mut self, slot: Slot) -> Result<bool, S::Error> {
        if let Some(known) = self.nodes.get(slot.0).and_then(|node| node.is_levels) {
            return Ok(known);
        }
        let is_levels = self
            .event(slot)?
            .is_some_and(|known| known.pdu.state_pair() == Some(("m.room.power_levels", "")));
        if let Some(node) = self.nodes.get_mut(slot.0) {
            node.is_levels = Some(is_levels);
        }
        Ok(is_levels)
    }

    /// What a state being built has for a key.
    pub(super) fn standing(
        &mut self,
        state: &Standing<'_, S::Id>,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Slot>, S::Error> {
        let put = state
            .put
            .get(event_type)
            .and_then(|keys| keys.get(state_key));
        if put.is_some() || !state.over_agreed {
            return Ok(put.copied());
        }
        self.agreed(state.conflicts, event_type, state_key)
    }

    fn agreed(
        &mut self,
        conflicts: &Conflicts<S::Id>,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Slot>, S::Error> {
        if let Some(known) = self
            .agreed
            .get(event_type)
            .and_then(|keys| keys.get(state_key))
        {
            return Ok(*known);
        }
        let agreed = if conflicts.contains(event_type, state_key) {
            None
        } else {
            self.source.agreed(event_type, state_key)?
        };
        let agreed = agreed.map(|id| self.slot(id));
        self.agreed
            .entry(event_type.to_owned())
            .or_default()
            .insert(state_key.to_owned(), agreed);
        Ok(agreed)
    }

    /// Whether an event is allowed in a state. With `helped`, what the state lacks is taken from the event's own auth events.
    pub(super) fn is_allowed(
        &mut self,
        slot: Slot,
        pdu: &Pdu,
        state: &Standing<'_, S::Id>,
        helped: bool,
    ) -> Result<bool, S::Error> {
        let wanted = auth::auth_types_of(self.rules, pdu);
        let mut given: Vec<Pdu> = Vec::with_capacity(wanted.len() + 1);
        for (event_type, state_key) in &wanted {
            let standing = match self.standing(state, event_type, state_key)? {
                Some(standing) if !(helped && on(Mutation::OnlyOwnAuthEvents)) => {
                    self.event(standing)?.filter(usable)
                }
                _ => None,
            };
            let found = match standing {
                None if helped && !on(Mutation::OnlyResolvedAuthEvents) => {
                    self.own(slot, (event_type, state_key))?
                }
                standing => standing,
            };
            given.extend(found.map(|known| known.pdu));
        }
        if self.rules.room_ids == RoomIds::OfCreate
            && let Some(create) = self.create()?
        {
            given.extend(self.event(create)?.map(|known| known.pdu));
        }
        Ok(auth::judge(pdu, &given, self.rules) == Verdict::Allowed || on(Mutation::NothingDenied))
    }

    /// The last of the event's own auth events for a key.
    fn own(&mut self, slot: Slot, pair: (&str, &str)) -> Result<Option<Known>, S::Error> {
        for auth in self.behind(slot)?.iter().rev() {
            if let Some(known) = self
                .event(*auth)?
                .filter(|known| usable(known) && known.pdu.state_pair() == Some(pair))
            {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// What was put into a state, except where the states agreed from the start.
    pub(super) fn resolved(
        &mut self,
        state: Standing<'_, S::Id>,
    ) -> Result<HashMap<Pair, S::Id>, S::Error> {
        let mut resolved = HashMap::new();
        for (event_type, keys) in state.put {
            for (state_key, slot) in keys {
                if (on(Mutation::AgreedMayChange)
                    || self
                        .agreed(state.conflicts, &event_type, &state_key)?
                        .is_none())
                    && let Some(node) = self.nodes.get(slot.0)
                {
                    resolved.insert((event_type.clone(), state_key), node.id);
                }
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
pub(super) struct Standing<'c, Id> {
    put: ByKey<Slot>,
    conflicts: &'c Conflicts<Id>,
    over_agreed: bool,
}

impl<'c, Id> Standing<'c, Id> {
    pub(super) fn over_agreed(conflicts: &'c Conflicts<Id>) -> Self {
        Self {
            put: HashMap::new(),
            conflicts,
            over_agreed: true,
        }
    }

    pub(super) fn empty(conflicts: &'c Conflicts<Id>) -> Self {
        Self {
            put: HashMap::new(),
            conflicts,
            over_agreed: false,
        }
    }

    pub(super) fn put(&mut self, event_type: &str, state_key: &str, slot: Slot) {
        if let Some(old) = self
            .put
            .get_mut(event_type)
            .and_then(|keys| keys.get_mut(state_key))
        {
            *old = slot;
            return;
        }
        self.put
            .entry(event_type.to_owned())
            .or_default()
            .insert(state_key.to_owned(), slot);
    }

    pub(super) fn take(&mut self, event_type: &str, state_key: &str) {
        if let Some(keys) = self.put.get_mut(event_type) {
            keys.remove(state_key);
        }
    }
}
