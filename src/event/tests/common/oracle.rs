//! `ruma-state-res` as an oracle. The auth chains and the conflicted subgraph it asks for are made here in the plainest way.

use super::dag::Dag;
use event::Pdu;
use event::resolve::{Known, StateMap};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::room_version_rules::{RoomVersionRules, StateResolutionVersion};
use ruma::{EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId};
use ruma_state_res::utils::event_id_set::EventIdSet;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// An event in `ruma`'s eyes.
pub struct Seen {
    id: OwnedEventId,
    pdu: Pdu,
    event_type: TimelineEventType,
    has_room_id: bool,
    rejected: bool,
}

impl Seen {
    pub fn new(known: &Known) -> Self {
        Self {
            id: known.pdu.event_id().to_owned(),
            pdu: known.pdu.clone(),
            event_type: known.pdu.event_type().into(),
            has_room_id: known.pdu.json().contains("\"room_id\""),
            rejected: known.rejected,
        }
    }
}

impl ruma_state_res::Event for Seen {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.id
    }
    fn room_id(&self) -> Option<&RoomId> {
        self.has_room_id.then(|| self.pdu.room_id())
    }
    fn sender(&self) -> &UserId {
        self.pdu.sender()
    }
    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(self.pdu.origin_server_ts().try_into().unwrap())
    }
    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }
    fn content(&self) -> &RawValue {
        self.pdu.content()
    }
    fn state_key(&self) -> Option<&str> {
        self.pdu.state_key()
    }
    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.prev_events().iter())
    }
    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.auth_events().iter())
    }
    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }
    fn rejected(&self) -> bool {
        self.rejected
    }
}

/// A room in `ruma`'s eyes, prepared as a server built on it would have it at hand.
pub struct Oracle {
    rules: RoomVersionRules,
    events: HashMap<OwnedEventId, Rc<Seen>>,
    states: Vec<ruma_state_res::StateMap<OwnedEventId>>,
    chains: Vec<EventIdSet<OwnedEventId>>,
}

/// The `Event` trait is there for references, not for `Rc`.
#[derive(Clone)]
struct Shared(Rc<Seen>);

impl Oracle {
    pub fn of(dag: &Dag) -> Self {
        let events: HashMap<_, _> = dag
            .events
            .iter()
            .map(|known| (known.pdu.event_id().to_owned(), Rc::new(Seen::new(known))))
            .collect();
        let state = |state: &StateMap| {
            state
                .iter()
                .map(|((event_type, key), id)| {
                    (
                        (StateEventType::from(event_type.as_str()), key.clone()),
                        id.clone(),
                    )
                })
                .collect()
        };
        let chains = dag
            .states
            .iter()
            .map(|state| chain(&events, state.values()))
            .collect();
        Self {
            rules: dag.rules.room_version().rules().unwrap(),
            states: dag.states.iter().map(state).collect(),
            chains,
            events,
        }
    }

    pub fn resolve(&self) -> Result<StateMap, ruma_state_res::Error> {
        let StateResolutionVersion::V2(variant) = &self.rules.state_res else {
            panic!("ruma has no version 1")
        };
        let resolved = ruma_state_res::resolve(
            &self.rules.authorization,
            variant,
            &self.states,
            self.chains.clone(),
            |id| self.events.get(id).map(|event| Shared(event.clone())),
            |conflicts| Some(self.subgraph(conflicts.values().flatten())),
        )?;
        Ok(resolved
            .into_iter()
            .map(|((event_type, key), id)| ((event_type.to_string(), key), id))
            .collect())
    }

    /// Everything that some conflicting event reaches and that reaches some conflicting event.
    fn subgraph<'a>(
        &self,
        conflicting: impl Iterator<Item = &'a OwnedEventId>,
    ) -> EventIdSet<OwnedEventId> {
        let conflicting: Vec<_> = conflicting.collect();
        let reached: HashSet<OwnedEventId> = chain(&self.events, conflicting.iter().copied())
            .into_iter()
            .collect();
        let between = reached.into_iter().filter(|id| {
            chain(&self.events, [id])
                .into_iter()
                .any(|behind| conflicting.contains(&&behind))
        });
        between
            .chain(conflicting.iter().map(|id| (*id).clone()))
            .collect()
    }
}

/// Everything behind these events; themselves only if a link leads there.
fn chain<'a>(
    events: &HashMap<OwnedEventId, Rc<Seen>>,
    ids: impl IntoIterator<Item = &'a OwnedEventId>,
) -> EventIdSet<OwnedEventId> {
    let mut to_visit: Vec<&EventId> = ids.into_iter().map(AsRef::as_ref).collect();
    let mut chain: HashSet<OwnedEventId> = HashSet::new();
    while let Some(id) = to_visit.pop() {
        for auth in events
            .get(id)
            .into_iter()
            .flat_map(|event| event.pdu.auth_events())
        {
            if let Some((known, _)) = events.get_key_value(auth)
                && chain.insert(auth.clone())
            {
                to_visit.push(known);
            }
        }
    }
    chain.into_iter().collect()
}

impl ruma_state_res::Event for Shared {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        self.0.event_id()
    }
    fn room_id(&self) -> Option<&RoomId> {
        self.0.room_id()
    }
    fn sender(&self) -> &UserId {
        self.0.sender()
    }
    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.0.origin_server_ts()
    }
    fn event_type(&self) -> &TimelineEventType {
        self.0.event_type()
    }
    fn content(&self) -> &RawValue {
        self.0.content()
    }
    fn state_key(&self) -> Option<&str> {
        self.0.state_key()
    }
    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        self.0.prev_events()
    }
    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        self.0.auth_events()
    }
    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }
    fn rejected(&self) -> bool {
        self.0.rejected()
    }
}
