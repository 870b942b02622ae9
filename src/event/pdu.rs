//! A checked event: its canonical JSON, kept as it is stored and federated, and its header fields, typed.
//!
//! How an event from outside becomes one is in `unchecked.rs`, how one is written here in `draft.rs`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::auth::facts::Facts;
use crate::auth::{Kind, Membership};
use crate::canonical;
use crate::draft::Reference;
use crate::error::Error;
use crate::redact;
use crate::rules::{Json, Rules};

/// An event that was checked, or that we wrote and signed. Cloning it copies a pointer.
#[derive(Clone)]
pub struct Pdu(Arc<Inner>);

struct Inner {
    head: Head,
    kind: Option<Kind>,
    json: Box<str>,
    spans: Spans,
    links: OnceLock<Links>,
    facts: OnceLock<Facts>,
}

/// The header fields that are typed from the start.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) event_id: OwnedEventId,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) sender: OwnedUserId,
    pub(crate) event_type: Box<str>,
    pub(crate) state_key: Option<Box<str>>,
    pub(crate) timestamp: i64,
    pub(crate) depth: u64,
    /// Whether the JSON itself says which room it is for.
    pub(crate) names_room: bool,
}

/// Where in the JSON the values of some fields stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans {
    pub(crate) content: Range<usize>,
    pub(crate) prev_events: Range<usize>,
    pub(crate) auth_events: Range<usize>,
    pub(crate) redacts: Option<Range<usize>>,
}

/// The events an event names.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    pub(crate) prev_events: Box<[OwnedEventId]>,
    pub(crate) auth_events: Box<[OwnedEventId]>,
}

impl Pdu {
    /// Reads back what our own store holds: bytes that once were [`Pdu::json`].
    pub fn from_stored(
        event_id: OwnedEventId,
        room_id: OwnedRoomId,
        json: impl Into<Box<str>>,
    ) -> Result<Self, Error> {
        let json = json.into();
        let stored: Stored<'_> = serde_json::from_str(&json).map_err(|error| Error::Json {
            at: error.column(),
            problem: "not a stored event",
        })?;
        let (head, spans) = stored.split(event_id, room_id, &json)?;
        Ok(Self::assemble(head, json, spans, None))
    }

    pub(crate) fn assemble(head: Head, json: Box<str>, spans: Spans, links: Option<Links>) -> Self {
        let links = links.map_or_else(OnceLock::new, OnceLock::from);
        Self(Arc::new(Inner {
            kind: Kind::named(&head.event_type),
            head,
            json,
            spans,
            links,
            facts: OnceLock::new(),
        }))
    }

    /// The event's id.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.0.head.event_id
    }

    /// The room it belongs to.
    #[must_use]
    pub fn room_id(&self) -> &RoomId {
        &self.0.head.room_id
    }

    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> &UserId {
        &self.0.head.sender
    }

    /// Its type.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.0.head.event_type
    }

    /// What its type is to the authorisation rules; none if they treat it like any other.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.0.kind
    }

    /// Its state key, if it is a state event.
    #[must_use]
    pub fn state_key(&self) -> Option<&str> {
        self.0.head.state_key.as_deref()
    }

    /// Type and state key, if it is a state event.
    #[must_use]
    pub fn state_pair(&self) -> Option<(&str, &str)> {
        Some((self.event_type(), self.state_key()?))
    }

    /// Whether it is a state event.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.0.head.state_key.is_some()
    }

    /// When it was sent according to its server, in milliseconds; a time before 1970 reads as 0.
    #[must_use]
    pub fn origin_server_ts(&self) -> u64 {
        u64::try_from(self.0.head.timestamp).unwrap_or(0)
    }

    /// `origin_server_ts` exactly as it stands, which is what state resolution orders by.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.0.head.timestamp
    }

    /// Its distance from the create event, as its server saw it.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.0.head.depth
    }

    /// The events it follows.
    #[must_use]
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.links().prev_events
    }

    /// The events that authorise it.
    #[must_use]
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.links().auth_events
    }

    /// The event it redacts, if it is a redaction. Where that is said depends on the room version.
    #[must_use]
    pub fn redacts(&self, rules: &Rules) -> Option<OwnedEventId> {
        if self.kind() != Some(Kind::Redaction) {
            return None;
        }
        let text = if rules.redaction.redacts_in_content {
            let content: ContentRedacts<'_> = serde_json::from_str(self.content_str()).ok()?;
            content.redacts?.get()
        } else {
            self.slice(self.0.spans.redacts.as_ref()?)
        };
        serde_json::from_str(text).ok()
    }

    /// The content: exactly the bytes that stand in [`Pdu::json`].
    #[must_use]
    pub fn content(&self) -> &RawValue {
        // The bytes were parsed before, so there is always a value.
        serde_json::from_str(self.content_str()).unwrap_or(RawValue::NULL)
    }

    /// The content as text; costs nothing.
    #[must_use]
    pub fn content_str(&self) -> &str {
        self.slice(&self.0.spans.content)
    }

    /// The event as stored and federated: canonical JSON with hashes and signatures, without `unsigned`, and without `event_id`
    /// where ids are hashes.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// The membership, if it is an `m.room.member` event whose content has one.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        match self.facts() {
            Facts::Member(member) => member.membership,
            _ => None,
        }
    }

    /// What remains of the event when it is redacted. Its id stays the same.
    pub fn redact(&self, rules: &Rules) -> Result<Self, Error> {
        let json = redact::redact(self.json(), rules)?;
        let redacted = Self::from_stored(
            self.0.head.event_id.clone(),
            self.0.head.room_id.clone(),
            json,
        )?;
        Ok(redacted)
    }

    /// What signatures cover and the reference hash is made of: the redacted event without signatures.
    pub(crate) fn signed_part(&self, rules: &Rules) -> Result<String, Error> {
        let event = canonical::parse_object(self.json(), Json::Lax)?;
        let mut signed = String::with_capacity(self.json().len());
        redact::write_redacted(&event, rules, |field| field != "signatures", &mut signed)?;
        Ok(signed)
    }

    /// This event as another one's `prev_events` or `auth_events` name it.
    pub fn reference(&self, rules: &Rules) -> Result<Reference, Error> {
        Reference::to(self, rules)
    }

    /// Whether the JSON has a `room_id`, which the create event of some versions must not.
    pub(crate) fn names_room(&self) -> bool {
        self.0.head.names_room
    }

    /// What the authorisation rules need from the content; parsed once.
    pub(crate) fn facts(&self) -> &Facts {
        self.0
            .facts
            .get_or_init(|| Facts::of(self.kind(), self.state_key(), self.content_str()))
    }

    fn links(&self) -> &Links {
        self.0.links.get_or_init(|| Links {
            prev_events: read_links(self.slice(&self.0.spans.prev_events)),
            auth_events: read_links(self.slice(&self.0.spans.auth_events)),
        })
    }

    fn slice(&self, span: &Range<usize>) -> &str {
        self.0.json.get(span.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Pdu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Pdu")
            .field(&self.event_id())
            .field(&self.json())
            .finish()
    }
}

impl PartialEq for Pdu {
    fn eq(&self, other: &Self) -> bool {
        self.event_id() == other.event_id() && self.json() == other.json()
    }
}

impl Eq for Pdu {}

#[derive(Deserialize)]
struct ContentRedacts<'a> {
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
}

/// The fields of a stored event that are looked at when it is read back.
#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    sender: Cow<'a, str>,
    state_key: Option<Box<str>>,
    origin_server_ts: i64,
    depth: u64,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow)]
    prev_events: &'a RawValue,
    #[serde(borrow)]
    auth_events: &'a RawValue,
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
    #[serde(borrow)]
    room_id: Option<&'a RawValue>,
}

impl Stored<'_> {
    fn split(
        self,
        event_id: OwnedEventId,
        room_id: OwnedRoomId,
        json: &str,
    ) -> Result<(Head, Spans), Error> {
        let sender =
            UserId::parse(&*self.sender).map_err(|_| Error::field("sender", "is not a user id"))?;
        let spans = Spans {
            content: span(json, self.content),
            prev_events: span(json, self.prev_events),
            auth_events: span(json, self.auth_events),
            redacts: self.redacts.map(|raw| span(json, raw)),
        };
        let head = Head {
            event_id,
            room_id,
            sender,
            event_type: self.event_type.into(),
            state_key: self.state_key,
            timestamp: self.origin_server_ts,
            depth: self.depth,
            names_room: self.room_id.is_some(),
        };
        Ok((head, spans))
    }
}

/// Where in `json` a value that was borrowed from it stands.
fn span(json: &str, raw: &RawValue) -> Range<usize> {
    let start = (raw.get().as_ptr() as usize).saturating_sub(json.as_ptr() as usize);
    start..start + raw.get().len()
}

/// The ids in a list of references, in either form.
fn read_links(list: &str) -> Box<[OwnedEventId]> {
    let Ok(canonical::Value::Array(items)) = canonical::parse(list, Json::Lax) else {
        return Box::default();
    };
    items
        .iter()
        .filter_map(|item| match item {
            canonical::Value::Array(pair) => pair.first()?.as_str(),
            plain => plain.as_str(),
        })
        .filter_map(|id| EventId::parse(id).ok())
        .collect()
}

#[cfg(test)]
mod tests;
