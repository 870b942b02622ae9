//! An event from outside, before anything in it may be believed (server-server API, *Checks performed on receipt of a PDU*).
//!
//! Parsing checks shape and sizes (check 1), [`UncheckedPdu::check`] signatures and content hash (checks 2 and 3). This is the only
//! way in; what comes out may be judged.

use std::ops::Range;

use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
};
use sha2::{Digest as _, Sha256};

use crate::canonical::{self, Object, Value};
use crate::draft::within;
use crate::error::Error;
use crate::id;
use crate::limits;
use crate::pdu::{Head, Links, Pdu, Spans};
use crate::redact;
use crate::rules::{EventIds, References, RoomIds, Rules};
use crate::sign::{self, Keys};

/// An event from outside that has the right shape and size. Nothing else is known about it.
#[derive(Debug, Clone)]
pub struct UncheckedPdu {
    rules: &'static Rules,
    head: Head,
    /// Canonical JSON without `unsigned`.
    json: String,
    spans: Spans,
    links: Links,
    /// What the signatures cover.
    signed: String,
    signatures: Vec<Signature>,
    signers: Vec<OwnedServerName>,
    hash_matches: bool,
}

/// One signature as it stands in an event.
#[derive(Debug, Clone)]
struct Signature {
    server: Box<str>,
    key_id: Box<str>,
    /// None if it is no string.
    signature: Option<Box<str>>,
}

/// An event whose signatures are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Its content hash is right too.
    Whole(Pdu),
    /// Its content hash is not: what we hold is what a redaction leaves of it.
    Redacted(Pdu),
}

impl Checked {
    /// The event, whole or not.
    #[must_use]
    pub fn pdu(&self) -> &Pdu {
        match self {
            Self::Whole(pdu) | Self::Redacted(pdu) => pdu,
        }
    }

    /// The event, whole or not.
    #[must_use]
    pub fn into_pdu(self) -> Pdu {
        match self {
            Self::Whole(pdu) | Self::Redacted(pdu) => pdu,
        }
    }
}

impl UncheckedPdu {
    /// Reads an event in the format of a room version.
    pub fn parse(json: &str, rules: &'static Rules) -> Result<Self, Error> {
        within("the event", json.len(), limits::RAW_EVENT_BYTES)?;
        let mut event = canonical::parse_object(json, rules.json)?;
        event.remove("unsigned");
        let (json, places) = write_with_places(&event);
        within("the event", json.len(), limits::EVENT_BYTES)?;
        let mut signed = String::with_capacity(json.len());
        redact::write_redacted(&event, rules, |field| field != "signatures", &mut signed)?;
        let reader = Reader {
            event: &event,
            rules,
        };
        let head = reader.head(&signed)?;
        let links = Links {
            prev_events: reader.references("prev_events", limits::PREV_EVENTS)?,
            auth_events: reader.references("auth_events", limits::AUTH_EVENTS)?,
        };
        let hash_matches = reader.claimed_hash()? == Some(content_hash(&json, &places));
        let spans = Spans {
            content: place(&places, "content"),
            prev_events: place(&places, "prev_events"),
            auth_events: place(&places, "auth_events"),
            redacts: places
                .iter()
                .find(|(key, ..)| *key == "redacts")
                .map(|(.., value)| value.clone()),
        };
        let signatures = reader.signatures()?;
        let signers = reader.signers(&head)?;
        Ok(Self {
            rules,
            head,
            json,
            spans,
            links,
            signed,
            signatures,
            signers,
            hash_matches,
        })
    }

    /// The event's id, as its bytes say.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.head.event_id
    }

    /// The room it claims to be for.
    #[must_use]
    pub fn room_id(&self) -> &RoomId {
        &self.head.room_id
    }

    /// Who is said to have sent it.
    #[must_use]
    pub fn sender(&self) -> &UserId {
        &self.head.sender
    }

    /// Its type.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.head.event_type
    }

    /// Its state key, if it is a state event.
    #[must_use]
    pub fn state_key(&self) -> Option<&str> {
        self.head.state_key.as_deref()
    }

    /// When it was sent according to its server, in milliseconds; a time before 1970 reads as 0.
    #[must_use]
    pub fn origin_server_ts(&self) -> u64 {
        u64::try_from(self.head.timestamp).unwrap_or(0)
    }

    /// Its distance from the create event, as its server says.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.head.depth
    }

    /// The events it follows.
    #[must_use]
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.links.prev_events
    }

    /// The events that are to authorise it.
    #[must_use]
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.links.auth_events
    }

    /// Its content.
    #[must_use]
    pub fn content_str(&self) -> &str {
        self.json
            .get(self.spans.content.clone())
            .unwrap_or_default()
    }

    /// The event as canonical JSON, without `unsigned`.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The servers that must have signed.
    #[must_use]
    pub fn signers(&self) -> &[OwnedServerName] {
        &self.signers
    }

    /// The keys by which those servers have signed, to be fetched before [`UncheckedPdu::check`].
    pub fn wanted_keys(&self) -> impl Iterator<Item = (&ServerName, &str)> {
        self.signers.iter().flat_map(|server| {
            self.signatures_of(server)
                .map(move |signature| (&**server, &*signature.key_id))
        })
    }

    /// The names of the keys by which a server has signed, be it asked to or not.
    pub fn signatures_by(&self, server: &ServerName) -> impl Iterator<Item = &str> {
        self.signatures_of(server)
            .map(|signature| &*signature.key_id)
    }

    /// Checks signatures and content hash. An error means that the event is to be dropped.
    pub fn check(self, keys: &impl Keys) -> Result<Checked, Error> {
        for server in &self.signers {
            self.check_signer(server, keys)?;
        }
        if self.hash_matches {
            let pdu = Pdu::assemble(self.head, self.json.into(), self.spans, Some(self.links));
            return Ok(Checked::Whole(pdu));
        }
        let json = redact::redact(&self.json, self.rules)?;
        Pdu::from_stored(self.head.event_id, self.head.room_id, json).map(Checked::Redacted)
    }

    /// Takes over the signature of a server from its copy of an event of ours: what an invited user's server, or a resident server,
    /// gives back. Nothing else in the copy is looked at.
    pub fn lend_signature(
        &self,
        ours: &Pdu,
        server: &ServerName,
        keys: &impl Keys,
    ) -> Result<Pdu, Error> {
        if self.event_id() != ours.event_id() {
            return Err(Error::OtherEvent(self.head.event_id.clone()));
        }
        self.check_signer(server, keys)?;
        let mut signed = ours.clone();
        for signature in self.signatures_of(server) {
            let Some(text) = &signature.signature else {
                continue;
            };
            signed = sign::add_signature(&signed, server, &signature.key_id, text)?;
        }
        Ok(signed)
    }

    /// Appendices, *Checking for a signature*: one known and valid key at least, and none of those known may be wrong.
    fn check_signer(&self, server: &ServerName, keys: &impl Keys) -> Result<(), Error> {
        let timestamp = u64::try_from(self.head.timestamp).unwrap_or(0);
        let (mut signed, mut good) = (false, false);
        for Signature {
            key_id, signature, ..
        } in self.signatures_of(server)
        {
            signed = true;
            let Some(key) = keys
                .key(server, key_id)
                .filter(|key| key.is_good_at(timestamp, self.rules))
            else {
                continue;
            };
            let verifies = signature
                .as_deref()
                .is_some_and(|signature| key.public().verifies(self.signed.as_bytes(), signature));
            if !verifies {
                return Err(Error::BadSignature {
                    server: server.to_owned(),
                    key_id: key_id.to_string(),
                });
            }
            good = true;
        }
        match (signed, good) {
            (_, true) => Ok(()),
            (true, false) => Err(Error::NoKey {
                server: server.to_owned(),
            }),
            (false, false) => Err(Error::Unsigned {
                server: server.to_owned(),
            }),
        }
    }

    /// The signatures of a server with algorithms we know.
    fn signatures_of(&self, server: &ServerName) -> impl Iterator<Item = &Signature> {
        self.signatures.iter().filter(move |signature| {
            &*signature.server == server.as_str() && signature.key_id.starts_with("ed25519:")
        })
    }
}

/// A member of an event in its text: its key, where the member stands, where its value stands.
type Place<'a> = (&'a str, Range<usize>, Range<usize>);

fn write_with_places<'a>(event: &'a Object<'_>) -> (String, Vec<Place<'a>>) {
    let mut out = String::with_capacity(1024);
    let mut places = Vec::with_capacity(event.len());
    let mut separator = '{';
    for (key, value) in event.iter() {
        out.push(separator);
        separator = ',';
        let member = out.len();
        canonical::write_string(key, &mut out);
        out.push(':');
        let start = out.len();
        value.write(&mut out);
        places.push((key, member..out.len(), start..out.len()));
    }
    out.push_str(if separator == '{' { "{}" } else { "}" });
    (out, places)
}

fn place(places: &[Place<'_>], key: &str) -> Range<usize> {
    places
        .iter()
        .find(|(other, ..)| *other == key)
        .map(|(.., value)| value.clone())
        .unwrap_or_default()
}

/// Server-server API, *Calculating the content hash*: all but `unsigned`, `signatures` and `hashes`.
fn content_hash(json: &str, places: &[Place<'_>]) -> id::Hash {
    let mut hasher = Sha256::new();
    let mut separator = "{";
    for (_, member, _) in places
        .iter()
        .filter(|(key, ..)| !matches!(*key, "hashes" | "signatures"))
    {
        hasher.update(separator);
        separator = ",";
        hasher.update(json.get(member.clone()).unwrap_or_default());
    }
    hasher.update(if separator == "{" { "{}" } else { "}" });
    hasher.finalize().into()
}

/// Reads typed fields out of an event, checking the format of its room version.
struct Reader<'a> {
    event: &'a Object<'a>,
    rules: &'static Rules,
}

impl Reader<'_> {
    fn head(&self, signed: &str) -> Result<Head, Error> {
        let sender = OwnedUserId::try_from(self.string("sender")?)
            .map_err(|_| Error::field("sender", "is not a user id"))?;
        let event_type: Box<str> = self.string("type")?.into();
        let state_key = self.optional_string("state_key")?.map(Into::into);
        let timestamp = self.integer("origin_server_ts")?;
        let depth = u64::try_from(self.integer("depth")?)
            .map_err(|_| Error::field("depth", "is negative"))?;
        if !matches!(self.event.get("content"), Some(Value::Object(_))) {
            return Err(Error::field("content", "is not an object"));
        }
        let event_id = self.event_id(signed)?;
        let room_id = self.room_id(&event_type, &event_id)?;
        let names_room = self.event.get("room_id").is_some();
        Ok(Head {
            event_id,
            room_id,
            sender,
            event_type,
            state_key,
            timestamp,
            depth,
            names_room,
        })
    }

    fn event_id(&self, signed: &str) -> Result<OwnedEventId, Error> {
        if self.rules.event_ids == EventIds::Chosen {
            let event_id = id::parse_event_id(self.string("event_id")?);
            return event_id
                .filter(|event_id| id::server_of(event_id).is_some())
                .ok_or(Error::field("event_id", "is not an event id"));
        }
        if self.event.get("event_id").is_some() {
            return Err(Error::field(
                "event_id",
                "has no place in this room version",
            ));
        }
        id::of_hash(&id::reference_hash(signed), self.rules)
    }

    /// A create event whose id is the room's needs no room id; that it must not have one is left to the authorisation rules.
    fn room_id(&self, event_type: &str, event_id: &EventId) -> Result<OwnedRoomId, Error> {
        match self.optional_string("room_id")? {
            Some(room_id) => {
                RoomId::parse(room_id).map_err(|_| Error::field("room_id", "is not a room id"))
            }
            None if event_type == "m.room.create" && self.rules.room_ids == RoomIds::OfCreate => {
                id::room_of_create(event_id)
            }
            None => Err(Error::field("room_id", "is missing")),
        }
    }

    fn references(&self, field: &'static str, limit: usize) -> Result<Box<[OwnedEventId]>, Error> {
        let malformed = Error::field(field, "is not a list of events");
        let items = self
            .event
            .get(field)
            .and_then(Value::as_array)
            .ok_or(malformed.clone())?;
        within(field, items.len(), limit)?;
        items
            .iter()
            .map(|item| self.reference(item).ok_or(malformed.clone()))
            .collect()
    }

    fn reference(&self, item: &Value<'_>) -> Option<OwnedEventId> {
        let event_id = match (self.rules.references, item) {
            (References::WithHashes, Value::Array(pair)) => match &**pair {
                [Value::String(event_id), Value::Object(_)] => event_id,
                _ => return None,
            },
            (References::Plain, Value::String(event_id)) => event_id,
            _ => return None,
        };
        id::parse_event_id(event_id)
    }

    /// The content hash that the event claims; none if it is not Base64 of that length.
    fn claimed_hash(&self) -> Result<Option<id::Hash>, Error> {
        let hash = self
            .event
            .get("hashes")
            .and_then(|hashes| hashes.as_object()?.get("sha256")?.as_str())
            .ok_or(Error::field("hashes", "holds no sha256"))?;
        Ok(sign::decode(hash).and_then(|hash| hash.try_into().ok()))
    }

    fn signatures(&self) -> Result<Vec<Signature>, Error> {
        let servers = self
            .event
            .get("signatures")
            .and_then(Value::as_object)
            .ok_or(Error::field("signatures", "is not an object"))?;
        let mut signatures = Vec::new();
        for (server, keys) in servers.iter() {
            for (key_id, signature) in keys.as_object().into_iter().flat_map(Object::iter) {
                signatures.push(Signature {
                    server: server.into(),
                    key_id: key_id.into(),
                    signature: signature.as_str().map(Into::into),
                });
            }
        }
        Ok(signatures)
    }

    /// Who must have signed: the sender's server, unless a third party invited and signed that; the server in a chosen event id; and the server of
    /// the member who lets someone into a restricted room (rule on `join_authorised_via_users_server`).
    fn signers(&self, head: &Head) -> Result<Vec<OwnedServerName>, Error> {
        let member = self
            .event
            .get("content")
            .and_then(Value::as_object)
            .filter(|_| &*head.event_type == "m.room.member");
        let mut signers = Vec::with_capacity(2);
        let by_third_party = member.is_some_and(|content| {
            let invite = content.get("third_party_invite").and_then(Value::as_object);
            content.get("membership").and_then(Value::as_str) == Some("invite")
                && invite
                    .is_some_and(|invite| matches!(invite.get("signed"), Some(Value::Object(_))))
        });
        if !by_third_party {
            signers.push(head.sender.server_name().to_owned());
        }
        if self.rules.event_ids == EventIds::Chosen
            && let Some(server) = id::server_of(&head.event_id)
            && !signers.iter().any(|signer| signer == server)
        {
            signers.push(server.to_owned());
        }
        let authorising =
            member.and_then(|content| content.get("join_authorised_via_users_server"));
        if let Some(user) = authorising.filter(|_| self.rules.auth.restricted_joins) {
            let user = user
                .as_str()
                .and_then(|user| <&UserId>::try_from(user).ok());
            let user = user.ok_or(Error::field(
                "join_authorised_via_users_server",
                "is not a user id",
            ))?;
            if !signers.iter().any(|signer| signer == user.server_name()) {
                signers.push(user.server_name().to_owned());
            }
        }
        Ok(signers)
    }

    fn string(&self, field: &'static str) -> Result<&str, Error> {
        self.optional_string(field)?
            .ok_or(Error::field(field, "is missing"))
    }

    fn optional_string(&self, field: &'static str) -> Result<Option<&str>, Error> {
        let Some(value) = self.event.get(field) else {
            return Ok(None);
        };
        let string = value
            .as_str()
            .ok_or(Error::field(field, "is not a string"))?;
        within(field, string.len(), limits::FIELD_BYTES)?;
        Ok(Some(string))
    }

    fn integer(&self, field: &'static str) -> Result<i64, Error> {
        self.event
            .get(field)
            .and_then(Value::as_integer)
            .ok_or(Error::field(field, "is not an integer"))
    }
}

#[cfg(test)]
mod tests;
