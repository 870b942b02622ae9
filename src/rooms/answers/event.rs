//! Single events, and the events that authorise one.

use ruma::{EventId, RoomId, ServerName};
use store::{Snapshot, tables};

use super::Gate;
use crate::error::{Error, Result};
use crate::stored::Stored;

/// An event, in whatever room of ours it is.
///
/// # Errors
/// [`Error::NoSuchEvent`] if we do not have it or did not accept it; [`Error::Forbidden`] if its room is none of the server's
/// business; [`Error::NotVisible`] if the event is not.
pub fn event(s: &Snapshot, origin: &ServerName, event_id: &EventId) -> Result<String> {
    let no = s.event_no(event_id)?.ok_or(Error::NoSuchEvent)?;
    let row = s.get(tables::EVENTS, &no)?.ok_or(Error::NoSuchEvent)?;
    let event = Stored::new(no, row);
    if event.refusal().is_some() {
        return Err(Error::NoSuchEvent);
    }
    let (room, room_id) = (event.room(), s.room_id(event.room())?);
    let gate = Gate::enter_room(s, origin, room, room_id)?;
    gate.show(event)
}

/// The events behind one in the auth graph, in no particular order.
pub fn event_auth(
    s: &Snapshot,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Vec<String>> {
    let gate = Gate::enter(s, origin, room_id)?;
    let event = gate.find(event_id)?;
    let chain = gate.auth_chain(&[event.no()])?;
    Ok(chain
        .into_iter()
        .map(|event| event.into_row().json)
        .collect())
}
