//! "If type is `m.room.aliases`", while that type had a rule of its own: each server has its list under its name.

use super::Reason;
use crate::pdu::Pdu;

pub(super) fn check(event: &Pdu) -> Result<(), Reason> {
    // "If event has no state_key, reject. If sender's domain doesn't match state_key, reject. Otherwise, allow."
    if event.state_key() == Some(event.sender().server_name().as_str()) {
        Ok(())
    } else {
        Err(Reason::AliasesOfOthers)
    }
}
