//! Where several states differ, and resolution over whole states in memory.

use super::{Known, Pair, Place, Rank, Source, chain, resolve};
use crate::rules::{RoomIds, Rules};
use ruma::{EventId, OwnedEventId};
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

    /// Each key with the different events it has.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str, Vec<Id>)> {
        self.rows.iter().flat_map(|(event_type, keys)| {
            keys.iter().map(move |(state_key, events)| {
                let mut different = Vec::new();
                for event in events.iter().flatten() {
                    if !different.contains(event) {
                        different.push(*event);
                    }
                }
                (event_type.as_str(), state_key.as_str(), different)
            })
        })
    }

    /// The conflicting events of each state.
    pub(super) fn sides(&self) -> Vec<Vec<Id>> {
        let mut sides = vec![Vec::new(); self.states];
        for events in self.rows.values().flat_map(HashMap::values) {
            for (side, event) in sides.iter_mut().zip(events) {
                side.extend(*event);
            }
        }
        sides
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
    let mut whole = Whole::default();
    if rules.room_ids == RoomIds::OfCreate
        && let Some(create) = states
            .iter()
            .flat_map(HashMap::values)
            .find_map(|id| crate::id::create_of_room(find(id)?.pdu.room_id()))
    {
        whole.number(&create);
    }
    let mut keys: HashMap<&Pair, Vec<Option<usize>>> = HashMap::new();
    for (at, state) in states.iter().enumerate() {
        for (pair, event_id) in state {
            let events = keys.entry(pair).or_insert_with(|| vec![None; states.len()]);
            if let Some(event) = events.get_mut(at) {
                *event = Some(whole.number(event_id));
            }
        }
    }
    let mut conflicts = Conflicts::between(states.len());
    for ((event_type, state_key), events) in keys {
        match events.first() {
            Some(Some(event)) if events.iter().all(|other| *other == Some(*event)) => {
                whole
                    .agreed
                    .entry(event_type.clone())
                    .or_default()
                    .insert(state_key.clone(), *event);
            }
            _ => conflicts.note(event_type, state_key, events),
        }
    }
    whole.load(find);
    whole.find_create(rules);
    let Ok(resolved) = resolve(rules, &conflicts, &whole);
    whole.into_state(resolved)
}

/// Everything in memory, numbered.
#[derive(Default)]
struct Whole {
    numbers: HashMap<OwnedEventId, usize>,
    ids: Vec<OwnedEventId>,
    events: Vec<Option<(Known, Vec<usize>, Rank)>>,
    create: Option<usize>,
    agreed: HashMap<String, HashMap<String, usize>>,
}

impl Whole {
    fn number(&mut self, event_id: &EventId) -> usize {
        if let Some(number) = self.numbers.get(event_id) {
            return *number;
        }
        self.numbers.insert(event_id.to_owned(), self.ids.len());
        self.ids.push(event_id.to_owned());
        self.ids.len() - 1
    }

    /// The create event: the one of that id where the room is named after it, else the one the states agree on, else any.
    fn find_create(&mut self, rules: &Rules) {
        let is_create = |known: &Known| known.pdu.state_pair() == Some(("m.room.create", ""));
        let of_room = self
            .events
            .iter()
            .flatten()
            .find_map(|(known, ..)| crate::id::create_of_room(known.pdu.room_id()));
        let agreed = self
            .agreed
            .get("m.room.create")
            .and_then(|keys| keys.get(""))
            .copied();
        self.create = match rules.room_ids {
            RoomIds::OfCreate => of_room.and_then(|id| self.numbers.get(&id).copied()),
            RoomIds::Chosen => agreed.or_else(|| {
                let creates = (0..self.events.len())
                    .filter(|at| self.known(*at).is_some_and(|(known, ..)| is_create(known)));
                creates.min_by_key(|at| self.ids.get(*at))
            }),
        };
    }

    /// Loads the events of the states and all that stand behind them, and ranks them.
    fn load(&mut self, find: impl Fn(&EventId) -> Option<Known>) {
        while let Some(event_id) = self.ids.get(self.events.len()).cloned() {
            let known = find(&event_id);
            let auth = known
                .iter()
                .flat_map(|known| known.pdu.auth_events())
                .map(|auth| self.number(auth))
                .collect();
            self.events.push(known.map(|known| (known, auth, 0)));
        }
        let links: Vec<_> = self
            .events
            .iter()
            .enumerate()
            .filter_map(|(at, event)| Some((at, event.as_ref()?.1.as_slice())))
            .collect();
        for (rank, at) in (1..).zip(chain::oldest_first(&links)) {
            if let Some(Some(event)) = self.events.get_mut(at) {
                event.2 = rank;
            }
        }
    }

    fn into_state(self, resolved: HashMap<Pair, usize>) -> StateMap {
        let agreed = self.agreed.into_iter().flat_map(|(event_type, keys)| {
            keys.into_iter()
                .map(move |(state_key, event)| ((event_type.clone(), state_key), event))
        });
        agreed
            .chain(resolved)
            .filter_map(|(pair, event)| Some((pair, self.ids.get(event)?.clone())))
            .collect()
    }

    fn known(&self, id: usize) -> Option<&(Known, Vec<usize>, Rank)> {
        self.events.get(id)?.as_ref()
    }
}

impl Source for Whole {
    type Id = usize;
    type Error = Infallible;

    fn event(&self, id: usize) -> Result<Option<Known>, Infallible> {
        Ok(self.known(id).map(|(known, ..)| known.clone()))
    }

    fn place(&self, id: usize) -> Result<Option<Place<usize>>, Infallible> {
        Ok(self.known(id).map(|(_, auth, rank)| Place {
            rank: *rank,
            auth: auth.clone(),
        }))
    }

    fn create(&self) -> Result<Option<usize>, Infallible> {
        Ok(self.create)
    }

    fn agreed(&self, event_type: &str, state_key: &str) -> Result<Option<usize>, Infallible> {
        Ok(self
            .agreed
            .get(event_type)
            .and_then(|keys| keys.get(state_key))
            .copied())
    }

    fn agreed_after(&self, rank: Rank) -> Result<Vec<usize>, Infallible> {
        let agreed = self.agreed.values().flat_map(HashMap::values).copied();
        Ok(agreed
            .filter(|id| self.known(*id).is_some_and(|(.., it)| *it > rank))
            .collect::<HashSet<_>>()
            .into_iter()
            .collect())
    }
}
