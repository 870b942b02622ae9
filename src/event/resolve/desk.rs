//! The working place of one resolution: what was looked up is remembered here, and events are judged here.

use super::mutation::{Mutation, on};
use super::{Conflicts, Known, Pair, Place, Rank, Source};
use crate::Pdu;
use crate::auth::{self, Verdict};
use crate::rules::{RoomIds, Rules};
use std::collections::HashMap;
use std::rc::Rc;

/// How many bytes of events are kept at hand. A hostile room has gigabytes of them.
const SHELF_BYTES: usize = 32 * 1024 * 1024;

/// A place that was looked up.
type Found<Id> = Option<Rc<Place<Id>>>;

pub(super) struct Desk<'s, S: Source> {
    pub(super) source: &'s S,
    pub(super) rules: &'s Rules,
    places: HashMap<S::Id, Found<S::Id>>,
    shelf: HashMap<S::Id, Option<Known>>,
    shelf_bytes: usize,
    is_levels: HashMap<S::Id, bool>,
}

impl<'s, S: Source> Desk<'s, S> {
    pub(super) fn new(rules: &'s Rules, source: &'s S) -> Self {
        Self {
            source,
            rules,
            places: HashMap::new(),
            shelf: HashMap::new(),
            shelf_bytes: 0,
            is_levels: HashMap::new(),
        }
    }

    pub(super) fn event(&mut self, id: S::Id) -> Result<Option<Known>, S::Error> {
        if let Some(found) = self.shelf.get(&id) {
            return Ok(found.clone());
        }
        let found = self.source.event(id)?;
        self.shelf_bytes += found.as_ref().map_or(0, |known| known.pdu.json().len());
        if self.shelf_bytes > SHELF_BYTES {
            self.shelf.clear();
            self.shelf_bytes = 0;
        }
        self.shelf.insert(id, found.clone());
        Ok(found)
    }

    pub(super) fn rank(&mut self, id: S::Id) -> Result<Option<Rank>, S::Error> {
        Ok(self.place(id)?.map(|place| place.rank))
    }

    /// The auth events, none twice.
    pub(super) fn behind(&mut self, id: S::Id) -> Result<Vec<S::Id>, S::Error> {
        let place = self.place(id)?;
        let mut auth = Vec::new();
        for id in place.iter().flat_map(|place| &place.auth) {
            if !auth.contains(id) {
                auth.push(*id);
            }
        }
        Ok(auth)
    }

    fn place(&mut self, id: S::Id) -> Result<Found<S::Id>, S::Error> {
        if let Some(found) = self.places.get(&id) {
            return Ok(found.clone());
        }
        let found = self.source.place(id)?.map(Rc::new);
        self.places.insert(id, found.clone());
        Ok(found)
    }

    /// The power levels among the auth events.
    pub(super) fn levels_behind(&mut self, id: S::Id) -> Result<Option<S::Id>, S::Error> {
        for auth in self.behind(id)? {
            if self.is_levels(auth)? {
                return Ok(Some(auth));
            }
        }
        Ok(None)
    }

    fn is_levels(&mut self, id: S::Id) -> Result<bool, S::Error> {
        if let Some(known) = self.is_levels.get(&id) {
            return Ok(*known);
        }
        let is_levels = self
            .event(id)?
            .is_some_and(|known| known.pdu.state_pair() == Some(("m.room.power_levels", "")));
        self.is_levels.insert(id, is_levels);
        Ok(is_levels)
    }

    /// Whether an event is allowed in a state. With `helped`, what the state lacks is taken from the event's own auth events.
    pub(super) fn is_allowed(
        &mut self,
        id: S::Id,
        pdu: &Pdu,
        state: &Standing<'_, S::Id>,
        helped: bool,
    ) -> Result<bool, S::Error> {
        let wanted = auth::auth_types_of(self.rules, pdu);
        let mut own = Vec::new();
        if helped && !on(Mutation::OnlyResolvedAuthEvents) {
            for auth in self.behind(id)? {
                own.extend(self.event(auth)?.filter(usable).map(|known| known.pdu));
            }
        }
        let mut given: Vec<Pdu> = Vec::with_capacity(wanted.len() + 1);
        for (event_type, state_key) in &wanted {
            let standing = match state.get(self.source, event_type, state_key)? {
                Some(id) => self.event(id)?.filter(usable),
                None => None,
            };
            let own = || {
                own.iter()
                    .rev()
                    .find(|pdu| pdu.state_pair() == Some((event_type, state_key)))
                    .cloned()
            };
            given.extend(
                standing
                    .filter(|_| !(helped && on(Mutation::OnlyOwnAuthEvents)))
                    .map(|known| known.pdu)
                    .or_else(own),
            );
        }
        if self.rules.room_ids == RoomIds::OfCreate
            && let Some(create) = self.source.create()?
        {
            given.extend(self.event(create)?.map(|known| known.pdu));
        }
        Ok(auth::judge(pdu, &given, self.rules) == Verdict::Allowed || on(Mutation::NothingDenied))
    }
}

/// Whether others may be judged by it.
fn usable(known: &Known) -> bool {
    !known.rejected || on(Mutation::RejectedAuthEventsUsed)
}

/// A state being built: what has been put in so far, over what the states agree on.
pub(super) struct Standing<'c, Id> {
    by_type: HashMap<String, HashMap<String, Id>>,
    conflicts: &'c Conflicts<Id>,
    over_agreed: bool,
}

impl<'c, Id: Copy + Eq + std::hash::Hash> Standing<'c, Id> {
    pub(super) fn over_agreed(conflicts: &'c Conflicts<Id>) -> Self {
        Self {
            by_type: HashMap::new(),
            conflicts,
            over_agreed: true,
        }
    }

    pub(super) fn empty(conflicts: &'c Conflicts<Id>) -> Self {
        Self {
            by_type: HashMap::new(),
            conflicts,
            over_agreed: false,
        }
    }

    pub(super) fn get<S: Source<Id = Id>>(
        &self,
        source: &S,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Id>, S::Error> {
        let put = self
            .by_type
            .get(event_type)
            .and_then(|keys| keys.get(state_key));
        if put.is_some() || !self.over_agreed {
            return Ok(put.copied());
        }
        self.agreed(source, event_type, state_key)
    }

    fn agreed<S: Source<Id = Id>>(
        &self,
        source: &S,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Id>, S::Error> {
        if self.conflicts.contains(event_type, state_key) {
            Ok(None)
        } else {
            source.agreed(event_type, state_key)
        }
    }

    pub(super) fn put(&mut self, event_type: &str, state_key: &str, id: Id) {
        self.by_type
            .entry(event_type.to_owned())
            .or_default()
            .insert(state_key.to_owned(), id);
    }

    pub(super) fn take(&mut self, event_type: &str, state_key: &str) {
        if let Some(keys) = self.by_type.get_mut(event_type) {
            keys.remove(state_key);
        }
    }

    /// What was put in, except where the states agreed from the start.
    pub(super) fn into_resolved<S: Source<Id = Id>>(
        mut self,
        source: &S,
    ) -> Result<std::collections::BTreeMap<Pair, Id>, S::Error> {
        let mut resolved = std::collections::BTreeMap::new();
        for (event_type, keys) in std::mem::take(&mut self.by_type) {
            for (state_key, id) in keys {
                if on(Mutation::AgreedMayChange)
                    || self.agreed(source, &event_type, &state_key)?.is_none()
                {
                    resolved.insert((event_type.clone(), state_key), id);
                }
            }
        }
        Ok(resolved)
    }
}
