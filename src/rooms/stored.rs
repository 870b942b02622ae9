//! An event as it is kept: its canonical bytes, what readers ask of it without parsing, and the form that clients get,
//! which is spliced from those bytes. What goes into `unsigned` is told by the caller.

use std::borrow::Cow;

use event::Pdu;
use ruma::{EventId, OwnedEventId, RoomId};
use serde::de::DeserializeOwned;
use store::rows::rooms::EventRow;
use store::{EventNo, NodeNo, Pos, RoomNo, Snapshot, StateKeyNo, UserNo, tables};

use crate::error::{Error, Result};
use crate::membership::Membership;

/// A stored event.
#[derive(Debug, Clone)]
pub struct Stored {
    no: EventNo,
    row: EventRow,
}

impl Stored {
    pub(crate) fn new(no: EventNo, row: EventRow) -> Self {
        Self { no, row }
    }

    /// Reads one event; it must be there, since something of ours named it.
    pub fn get(s: &Snapshot, no: EventNo) -> Result<Self> {
        let row = s
            .get(tables::EVENTS, &no)?
            .ok_or(Error::Bug("an event that is named but not stored"))?;
        Ok(Self { no, row })
    }

    /// Reads many events at once, in the order of their numbers' list.
    pub fn get_many(s: &Snapshot, numbers: &[EventNo]) -> Result<Vec<Self>> {
        let rows = s.get_many(tables::EVENTS, numbers)?;
        let named = numbers.iter().zip(rows);
        named
            .map(|(no, row)| {
                let row = row.ok_or(Error::Bug("an event that is named but not stored"))?;
                Ok(Self { no: *no, row })
            })
            .collect()
    }

    /// The event with this ID, if it was accepted into this room; events of other rooms do not exist here.
    pub fn find(s: &Snapshot, room: RoomNo, event_id: &EventId) -> Result<Option<Self>> {
        let found = Self::find_any(s, room, event_id)?;
        Ok(found.filter(|event| event.row.refused.is_none()))
    }

    /// Its number.
    #[must_use]
    pub fn no(&self) -> EventNo {
        self.no
    }

    /// Its ID.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.row.id
    }

    /// Its ID, typed.
    pub fn owned_event_id(&self) -> Result<OwnedEventId> {
        OwnedEventId::try_from(self.row.id.as_str())
            .map_err(|_| Error::Bug("a stored event ID that is none"))
    }

    /// Its room.
    #[must_use]
    pub fn room(&self) -> RoomNo {
        self.row.room
    }

    /// The number of its sender.
    #[must_use]
    pub fn sender_no(&self) -> UserNo {
        self.row.sender
    }

    /// Its sender.
    #[must_use]
    pub fn sender(&self) -> Cow<'_, str> {
        text(self.slice(self.row.spans.sender))
    }

    /// Its type.
    #[must_use]
    pub fn event_type(&self) -> Cow<'_, str> {
        text(self.slice(self.row.spans.event_type))
    }

    /// Its state key, if it is a state event.
    #[must_use]
    pub fn state_key(&self) -> Option<Cow<'_, str>> {
        self.is_state()
            .then(|| text(self.slice(self.row.spans.state_key)))
    }

    /// Whether it is a state event.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.row.state_key.is_some()
    }

    /// The number of its type and state key, if it is a state event.
    #[must_use]
    pub fn state_key_no(&self) -> Option<StateKeyNo> {
        self.row.state_key
    }

    /// Its place in the timeline, if it has one.
    #[must_use]
    pub fn pos(&self) -> Option<Pos> {
        self.row.pos
    }

    /// Its `origin_server_ts`.
    #[must_use]
    pub fn origin_server_ts(&self) -> u64 {
        self.row.ts
    }

    /// Its depth.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.row.depth
    }

    /// The state event it took the place of.
    #[must_use]
    pub fn replaces(&self) -> Option<EventNo> {
        self.row.replaces
    }

    /// The redaction that took its content away.
    #[must_use]
    pub fn redacted_by(&self) -> Option<EventNo> {
        self.row.redacted_by
    }

    /// Whether its server asked us to bring it into the room, so that the others in it hear of it from us.
    pub fn is_relayed(&self, s: &Snapshot) -> Result<bool> {
        Ok(s.contains(tables::RELAYED, &self.no)?)
    }

    /// The transaction ID with which this device of the sender sent it.
    #[must_use]
    pub fn transaction_id(&self, user: UserNo, device: &str) -> Option<&str> {
        let sent =
            self.row.sender == user && self.row.device.as_deref().is_some_and(|own| own == device);
        self.row.txn.as_deref().filter(|_| sent)
    }

    /// What it relates to, if we know that event, and how.
    #[must_use]
    pub fn relates_to(&self) -> Option<(EventNo, &str)> {
        let relates = self.row.relates.as_ref()?;
        Some((relates.parent?, relates.rel_type.as_str()))
    }

    /// The relation type that it names, whether or not the other event is known.
    #[must_use]
    pub fn rel_type(&self) -> Option<&str> {
        self.row
            .relates
            .as_ref()
            .map(|relates| relates.rel_type.as_str())
    }

    /// The content as JSON text; costs nothing.
    #[must_use]
    pub fn content_str(&self) -> &str {
        let content = self.slice(self.row.spans.content);
        if content.is_empty() { "{}" } else { content }
    }

    /// The content, parsed as far as `T` asks; nothing if it does not have that shape.
    #[must_use]
    pub fn content<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.content_str()).ok()
    }

    /// The membership that it sets, if it is a membership.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        if self.event_type() != "m.room.member" {
            return None;
        }
        let content: MemberContent = self.content()?;
        Membership::named(&content.membership?)
    }

    /// Canonical JSON, as federated.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.row.json
    }

    /// The event with its header parsed, for judging by it.
    pub fn pdu(&self, room_id: &RoomId) -> Result<Pdu> {
        let pdu = Pdu::from_stored(
            self.owned_event_id()?,
            room_id.to_owned(),
            self.row.json.as_str(),
        )?;
        Ok(pdu)
    }

    /// Appends the event as clients get it. Without a room ID inside `/sync`, where the place tells it; `unsigned` is the
    /// text of an object, or empty for none.
    pub fn write_client(&self, room_id: Option<&RoomId>, unsigned: &str, out: &mut String) {
        out.reserve(self.row.json.len() / 2 + self.row.id.len() + unsigned.len() + 160);
        out.push_str("{\"content\":");
        self.write_content(out);
        member(out, "event_id", &self.row.id);
        out.push_str(",\"origin_server_ts\":");
        out.push_str(&self.row.ts.to_string());
        if let Some(redacts) = self.redacts_token() {
            out.push_str(",\"redacts\":");
            out.push_str(&redacts);
        }
        if let Some(room_id) = room_id {
            member(out, "room_id", room_id.as_str());
        }
        out.push_str(",\"sender\":");
        out.push_str(self.slice(self.row.spans.sender));
        if self.is_state() {
            out.push_str(",\"state_key\":");
            out.push_str(self.slice(self.row.spans.state_key));
        }
        out.push_str(",\"type\":");
        out.push_str(self.slice(self.row.spans.event_type));
        if !unsigned.is_empty() {
            out.push_str(",\"unsigned\":");
            out.push_str(unsigned);
        }
        out.push('}');
    }

    /// Appends the four fields that stripped state has.
    pub fn write_stripped(&self, out: &mut String) {
        out.push_str("{\"content\":");
        out.push_str(self.content_str());
        out.push_str(",\"sender\":");
        out.push_str(self.slice(self.row.spans.sender));
        out.push_str(",\"state_key\":");
        out.push_str(self.slice(self.row.spans.state_key));
        out.push_str(",\"type\":");
        out.push_str(self.slice(self.row.spans.event_type));
        out.push('}');
    }

    /// The event ID that a redaction names, wherever its room version has it.
    #[must_use]
    pub fn redacts(&self) -> Option<OwnedEventId> {
        serde_json::from_str(&self.redacts_token()?).ok()
    }

    /// Older clients look for `redacts` in the event and newer ones in the content, so both have it in all versions.
    fn write_content(&self, out: &mut String) {
        let content = self.content_str();
        let top = self.slice(self.row.spans.redacts);
        match content.strip_prefix('{') {
            Some(rest) if !top.is_empty() && self.content::<Redacts>().is_none() => {
                out.push_str("{\"redacts\":");
                out.push_str(top);
                out.push_str(if rest == "}" { "" } else { "," });
                out.push_str(rest);
            }
            _ => out.push_str(content),
        }
    }

    fn redacts_token(&self) -> Option<Cow<'_, str>> {
        let top = self.slice(self.row.spans.redacts);
        if !top.is_empty() {
            return Some(Cow::Borrowed(top));
        }
        if self.slice(self.row.spans.event_type) != "\"m.room.redaction\"" {
            return None;
        }
        let Redacts { redacts } = self.content()?;
        serde_json::to_string(&redacts).ok().map(Cow::Owned)
    }

    /// The event with this ID, if it is one of this room's and known, accepted or not.
    pub(crate) fn find_any(s: &Snapshot, room: RoomNo, event_id: &EventId) -> Result<Option<Self>> {
        let Some(no) = s.event_no(event_id)? else {
            return Ok(None);
        };
        let row = s.get(tables::EVENTS, &no)?;
        Ok(row
            .filter(|row| row.room == room)
            .map(|row| Self { no, row }))
    }

    /// Why it was not accepted, if it was not, and whether it only failed softly.
    #[must_use]
    pub fn refusal(&self) -> Option<(bool, &str)> {
        let refused = self.row.refused.as_ref()?;
        Some((refused.soft, refused.reason.as_str()))
    }

    pub(crate) fn is_rejected(&self) -> bool {
        self.refusal().is_some_and(|(soft, _)| !soft)
    }

    /// Whether it is known without its past, and so has no place in the timeline.
    #[must_use]
    pub fn is_outlier(&self) -> bool {
        self.row.outlier
    }

    /// Whether it was stored before the events that authorise it.
    pub(crate) fn is_early(&self) -> bool {
        self.row.early
    }

    pub(crate) fn before(&self) -> Option<NodeNo> {
        self.row.before
    }

    pub(crate) fn row(&self) -> &EventRow {
        &self.row
    }

    pub(crate) fn into_row(self) -> EventRow {
        self.row
    }

    fn slice(&self, (at, len): (u32, u32)) -> &str {
        let (at, len) = (at as usize, len as usize);
        self.row.json.get(at..at + len).unwrap_or_default()
    }
}

#[derive(serde::Deserialize)]
struct MemberContent {
    membership: Option<String>,
}

#[derive(serde::Deserialize)]
struct Redacts {
    redacts: String,
}

/// The text of a JSON string; nearly always it stands there as it is.
fn text(token: &str) -> Cow<'_, str> {
    let bare = token
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match bare {
        Some(bare) if !bare.contains('\\') => Cow::Borrowed(bare),
        Some(_) => serde_json::from_str(token).map_or(Cow::Borrowed(token), Cow::Owned),
        None => Cow::Borrowed(""),
    }
}

/// IDs have no characters that JSON would escape, but for those of rooms older than the rules about them.
fn member(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    if value
        .bytes()
        .any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.push_str(&serde_json::Value::from(value).to_string());
    } else {
        out.push('"');
        out.push_str(value);
        out.push('"');
    }
}
