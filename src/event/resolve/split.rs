//! Where several states differ, and resolution over whole states in memory.

use super::{Known, Pair, Place, Rank, Source, resolve};
use crate::id::create_of_room;
use crate::rules::{RoomIds, Rules};
use ruma::{EventId, OwnedEventId};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::Hash;

/// The keys for which several states do not all have the same event, with the event each of them has.
#[derive(Debug, Clone)]
pub struct Conflicts<Id> {
    states: usize,
    rows: HashMap<String, HashMap<String, Vec<Option<Id>>>>,
}

impl<Id: Copy + Eq + Hash> Conflicts<Id> {
    /// No conflicts yet, between this many states.
    #[must_use]
    pub fn between(states: usize) -> Self {
        Self {
            states,
            rows: HashMap::new(),
        }
    }

    /// Notes what each of the states has for a key, in the order of the states. If they all have the same, it is no conflict and nothing is noted.
    pub fn note(&mut self, event_type: &str, state_key: &str, mut events: Vec<Option<Id>>) {
        events.resize(self.states, None);
        if events.iter().any(|event| Some(event) != events.first()) {
            self.rows
                .entry(event_type.to_owned())
                .or_default()
                .insert(state_key.to_owned(), events);
        }
    }

    /// Whether the states agree on everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the states differ here.
    #[must_use]
    pub fn contains(&self, event_type: &str, state_key: &str) -> bool {
        self.rows
            .get(event_type)
            .is_some_and(|keys| keys.contains_key(state_key))
    }

    /// How many states there are.
    pub(super) fn states(&self) -> usize {
        self.states
    }

    /// Each key with the event that each of the states has, in the order of the states.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str, &[Option<Id>])> {
        self.rows.iter().flat_map(|(event_type, keys)| {
            keys.iter().map(move |(state_key, events)| {
                (event_type.as_str(), state_key.as_str(), events.as_slice())
            })
        })
    }

    /// The conflicting events.
    fn events(&self) -> impl Iterator<Item = Id> {
        let rows = self.rows.values().flat_map(HashMap::values);
        rows.flat_map(|events| events.iter().copied().flatten())
    }
}

/// A whole state: type and state key to event.
pub type StateMap = HashMap<Pair, OwnedEventId>;

/// Resolves whole states. `find` finds any event of the room; what it does not find takes no part.
pub fn resolve_sets(
    rules: &Rules,
    states: &[StateMap],
    find: impl Fn(&EventId) -> Option<Known>,
) -> StateMap {
    let Some(first) = states.first() else {
        return StateMap::new();
    };
    let mut whole = Whole {
        rules,
        first,
        find,
        conflicts: Conflicts::between(states.len()),
        numbered: RefCell::default(),
    };
    whole.compare(states);
    let Ok(resolved) = resolve(rules, &whole.conflicts, &whole);
    let agreed = first.iter().filter(|(pair, _)| whole.is_agreed(pair));
    let mut state: StateMap = agreed
        .map(|(pair, id)| (pair.clone(), id.clone()))
        .collect();
    state.extend(
        resolved
            .into_iter()
            .filter_map(|(pair, at)| Some((pair, whole.id(at)?))),
    );
    state
}

/// States in memory. Events are numbered and ranked when somebody asks for them, so what the states agree on costs a comparison and no more.
struct Whole<'s, F> {
    rules: &'s Rules,
    /// One of the states: where it differs from the others is in the conflicts, and all the rest is agreed.
    first: &'s StateMap,
    find: F,
    conflicts: Conflicts<usize>,
    numbered: RefCell<Numbered>,
}

#[derive(Default)]
struct Numbered {
    numbers: HashMap<OwnedEventId, usize>,
    events: Vec<Met>,
}

/// An event that came up. Its rank is the length of the longest way from it to the start of the room.
struct Met {
    id: OwnedEventId,
    known: Option<Known>,
    rank: Option<Rank>,
}

impl<F: Fn(&EventId) -> Option<Known>> Whole<'_, F> {
    fn compare(&mut self, states: &[StateMap]) {
        for (pair, id) in self.first {
            if !states.iter().all(|state| state.get(pair) == Some(id)) {
                self.note(pair, states);
            }
        }
        for pair in states.iter().skip(1).flat_map(StateMap::keys) {
            if !self.first.contains_key(pair) {
                self.note(pair, states);
            }
        }
    }

    fn note(&mut self, pair: &Pair, states: &[StateMap]) {
        let events = states
            .iter()
            .map(|state| state.get(pair).map(|id| self.number(id)));
        let events = events.collect();
        self.conflicts.note(&pair.0, &pair.1, events);
    }

    fn is_agreed(&self, (event_type, state_key): &Pair) -> bool {
        !self.conflicts.contains(event_type, state_key)
    }

    fn number(&self, id: &EventId) -> usize {
        let mut numbered = self.numbered.borrow_mut();
        if let Some(number) = numbered.numbers.get(id) {
            return *number;
        }
        let number = numbered.events.len();
        numbered.events.push(Met {
            id: id.to_owned(),
            known: (self.find)(id),
            rank: None,
        });
        numbered.numbers.insert(id.to_owned(), number);
        number
    }

    fn id(&self, at: usize) -> Option<OwnedEventId> {
        Some(self.numbered.borrow().events.get(at)?.id.clone())
    }

    fn known(&self, at: usize) -> Option<Known> {
        self.numbered.borrow().events.get(at)?.known.clone()
    }

    fn auth(&self, at: usize) -> Vec<usize> {
        let known = self.known(at);
        let auth = known.iter().flat_map(|known| known.pdu.auth_events());
        auth.map(|id| self.number(id)).collect()
    }

    fn ranked(&self, at: usize) -> Option<Rank> {
        self.numbered.borrow().events.get(at)?.rank
    }

    fn set_rank(&self, at: usize, rank: Rank) {
        if let Some(event) = self.numbered.borrow_mut().events.get_mut(at) {
            event.rank = Some(rank);
        }
    }

    /// Ranks an event after those behind it. One that stands behind itself finds its own rank still at nothing.
    fn rank(&self, at: usize) -> Rank {
        let mut to_rank = vec![(at, false)];
        while let Some((at, auth_is_ranked)) = to_rank.pop() {
            if auth_is_ranked {
                let behind = self
                    .auth(at)
                    .into_iter()
                    .filter_map(|auth| self.ranked(auth));
                self.set_rank(at, behind.max().unwrap_or(0) + 1);
            } else if self.ranked(at).is_none() {
                self.set_rank(at, 0);
                to_rank.push((at, true));
                to_rank.extend(self.auth(at).into_iter().map(|auth| (auth, false)));
            }
        }
        self.ranked(at).unwrap_or(0)
    }

    /// The create event that the states have, or else the one behind what they have.
    fn find_create(&self) -> Option<usize> {
        let pair = ("m.room.create".to_owned(), String::new());
        if let Some(id) = self.first.get(&pair).filter(|_| self.is_agreed(&pair)) {
            return Some(self.number(id));
        }
        let mut to_visit: Vec<usize> = self.conflicts.events().collect();
        to_visit.sort_unstable_by_key(|at| self.id(*at));
        let mut seen = HashSet::new();
        while let Some(at) = to_visit.pop() {
            if self
                .known(at)
                .is_some_and(|known| known.pdu.state_pair() == Some(("m.room.create", "")))
            {
                return Some(at);
            }
            if seen.insert(at) {
                to_visit.extend(self.auth(at));
            }
        }
        None
    }
}

impl<F: Fn(&EventId) -> Option<Known>> Source for Whole<'_, F> {
    type Id = usize;
    type Error = Infallible;

    fn event(&self, at: usize) -> Result<Option<Known>, Infallible> {
        Ok(self.known(at))
    }

    fn place(&self, at: usize) -> Result<Option<Place<usize>>, Infallible> {
        Ok(self.known(at).map(|_| Place {
            rank: self.rank(at),
            auth: self.auth(at).into(),
        }))
    }

    fn create(&self) -> Result<Option<usize>, Infallible> {
        if self.rules.room_ids == RoomIds::Chosen {
            return Ok(self.find_create());
        }
        let events = self.conflicts.events();
        let mut rooms = events.filter_map(|at| create_of_room(self.known(at)?.pdu.room_id()));
        Ok(rooms.next().map(|id| self.number(&id)))
    }

    fn agreed(&self, event_type: &str, state_key: &str) -> Result<Option<usize>, Infallible> {
        let pair = (event_type.to_owned(), state_key.to_owned());
        Ok(self.first.get(&pair).map(|id| self.number(id)))
    }

    fn agreed_after(&self, rank: Rank) -> Result<Vec<usize>, Infallible> {
        let agreed = self.first.iter().filter(|(pair, _)| self.is_agreed(pair));
        let agreed = agreed.map(|(_, id)| self.number(id));
        Ok(agreed.filter(|at| self.rank(*at) > rank).collect())
    }
}
