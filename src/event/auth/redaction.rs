//! "If type is `m.room.redaction`", while the rules still asked about it. Later versions judge it when it is applied.

use super::levels::Field;
use super::{AuthState, Level, Reason, Room};
use crate::id;
use crate::pdu::Pdu;

pub(super) fn check<S: AuthState + ?Sized>(
    event: &Pdu,
    room: &Room<'_, S>,
    sender: Level,
) -> Result<(), Reason> {
    // "If the sender's power level is greater than or equal to the redact level, allow."
    if sender.reaches(room.levels().try_level(Field::Redact)?) {
        return Ok(());
    }
    // "If the domain of the event_id of the event being redacted is the same as the domain of the event_id of the
    // m.room.redaction, allow."
    let redacted = event.redacts(room.rules);
    let server = redacted.as_deref().and_then(id::server_of);
    if server.is_some() && server == id::server_of(event.event_id()) {
        Ok(())
    } else {
        Err(Reason::Redaction)
    }
}
