//! The state before an event, as a server asks for it that lacks what came before.

use ruma::{EventId, OwnedEventId, RoomId, ServerName};
use store::{EventNo, Snapshot};

use super::Gate;
use crate::error::Result;
use crate::state::At;
use crate::stored::Stored;

/// A state with the events that authorise it, as they are stored.
#[derive(Debug, Clone)]
pub struct StatePdus {
    /// The state.
    pub pdus: Vec<String>,
    /// The events behind it.
    pub auth_chain: Vec<String>,
}

/// The same, as IDs.
#[derive(Debug, Clone)]
pub struct StateIds {
    /// The state.
    pub pdu_ids: Vec<OwnedEventId>,
    /// The events behind it.
    pub auth_chain_ids: Vec<OwnedEventId>,
}

/// The state before an event.
pub fn state(
    s: &Snapshot,
    origin: &ServerName,
    room_id: &RoomId,
    at: &EventId,
) -> Result<StatePdus> {
    let gate = Gate::enter(s, origin, room_id)?;
    let state = before(&gate, at)?;
    let json = |event: Stored| event.into_row().json;
    Ok(StatePdus {
        auth_chain: gate.auth_chain(&state)?.into_iter().map(json).collect(),
        pdus: Stored::get_many(s, &state)?.into_iter().map(json).collect(),
    })
}

/// The IDs of the state before an event.
pub fn state_ids(
    s: &Snapshot,
    origin: &ServerName,
    room_id: &RoomId,
    at: &EventId,
) -> Result<StateIds> {
    let gate = Gate::enter(s, origin, room_id)?;
    let state = before(&gate, at)?;
    let chain = gate.auth_chain(&state)?;
    let ids = state.iter().map(|no| Ok(s.event_id(*no)?));
    Ok(StateIds {
        pdu_ids: ids.collect::<Result<_>>()?,
        auth_chain_ids: chain
            .iter()
            .map(Stored::owned_event_id)
            .collect::<Result<_>>()?,
    })
}

fn before(gate: &Gate<'_>, at: &EventId) -> Result<Vec<EventNo>> {
    let event = gate.find_placed(at)?;
    let state = At::before(&event).all(gate.s)?;
    Ok(state.into_iter().map(|(_, event)| event).collect())
}
