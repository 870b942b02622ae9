//! What somebody outside a room gets to see of it along with an invitation or a knock: a few state events, whole, as servers pass
//! them to each other, and stripped, as clients get them (client-server API, *Stripped state*).

use event::Pdu;
use ruma::RoomId;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use store::{RoomNo, Snapshot};

use crate::error::{Error, Result};
use crate::intake::members::{STRIPPED, write_stripped};
use crate::state::now;

/// Events of a preview.
const EVENTS: usize = 64;
/// Bytes of a preview: what waits in the store for every invited user until they decide.
const BYTES: usize = 256 << 10;

/// The state events of a room that outsiders see, and the membership of whoever invites them.
pub(super) fn of(
    s: &Snapshot,
    room: RoomNo,
    room_id: &RoomId,
    inviter: Option<&str>,
) -> Result<Vec<Pdu>> {
    let mut events = Vec::with_capacity(STRIPPED.len() + 1);
    let keys = STRIPPED.iter().map(|event_type| (*event_type, ""));
    for (event_type, state_key) in keys.chain(inviter.map(|user| ("m.room.member", user))) {
        if let Some(event) = now::get(s, room, event_type, state_key)? {
            events.push(event.pdu(room_id)?);
        }
    }
    Ok(events)
}

/// A JSON list of stripped state, from what another server tells of a room.
#[derive(Debug, Default)]
pub(super) struct Stripped {
    out: String,
    count: usize,
}

#[derive(Deserialize)]
struct Event<'e> {
    #[serde(rename = "type")]
    event_type: String,
    state_key: String,
    sender: String,
    #[serde(borrow)]
    content: &'e RawValue,
}

impl Stripped {
    /// Adds a state event, whole or stripped.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if it is neither, or one too many.
    pub(super) fn add(&mut self, event: &RawValue) -> Result<()> {
        let event: Event<'_> = serde_json::from_str(event.get())
            .map_err(|error| Error::BadParameter(format!("no state event of a room: {error}")))?;
        if !event.content.get().starts_with('{') {
            return Err(Error::BadParameter(
                "a content that is no object".to_owned(),
            ));
        }
        self.count += 1;
        if self.count > EVENTS || self.out.len() + event.content.get().len() > BYTES {
            return Err(Error::BadParameter("too much state of a room".to_owned()));
        }
        self.separate();
        let text = |text: String| Value::from(text).to_string();
        self.out.push_str("{\"content\":");
        self.out.push_str(event.content.get());
        self.out.push_str(",\"sender\":");
        self.out.push_str(&text(event.sender));
        self.out.push_str(",\"state_key\":");
        self.out.push_str(&text(event.state_key));
        self.out.push_str(",\"type\":");
        self.out.push_str(&text(event.event_type));
        self.out.push('}');
        Ok(())
    }

    /// Adds a checked event, such as the membership that all this is about.
    pub(super) fn add_pdu(&mut self, pdu: &Pdu) {
        self.separate();
        write_stripped(pdu, &mut self.out);
    }

    pub(super) fn into_json(self) -> String {
        if self.out.is_empty() {
            return "[]".to_owned();
        }
        self.out + "]"
    }

    fn separate(&mut self) {
        self.out.push(if self.out.is_empty() { '[' } else { ',' });
    }
}
