//! An event being written here: draft → filled → hashed → signed, each step a type, so that none can be skipped.
//!
//! The canonical JSON is written once, without `hashes` and `signatures`; these are spliced in at the places noted while writing.
//! Of what others propose (templates for joins) only ids enter a draft: we sign what we built.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, ServerName};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::canonical::{self, Object, Value};
use crate::error::Error;
use crate::id;
use crate::limits;
use crate::pdu::{Head, Links, Pdu, Spans};
use crate::redact;
use crate::rules::{EventIds, Json, References, RoomIds, Rules};
use crate::sign::KeyPair;

/// What somebody wants to say, before it has a place in the room.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The room; none only for a create event whose id will be the room's.
    pub room_id: Option<OwnedRoomId>,
    /// Who says it.
    pub sender: OwnedUserId,
    /// The event's type.
    pub event_type: String,
    /// The state key, if it is to be a state event.
    pub state_key: Option<String>,
    /// The content, an object.
    pub content: Box<RawValue>,
    /// The event to redact; written where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// When it is said, in milliseconds.
    pub origin_server_ts: u64,
}

/// An earlier event, as a new one names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    event_id: OwnedEventId,
    /// The reference hash, where it is named too; empty where another server proposes the event without it, as Synapse does.
    sha256: Option<Box<str>>,
}

/// A draft with its place in the room, written down.
#[derive(Debug, Clone)]
pub struct Filled {
    rules: &'static Rules,
    head: Head,
    /// The event without `hashes` and `signatures`.
    text: String,
    marks: Marks,
    links: Links,
    /// The content as a redaction leaves it.
    kept_content: String,
}

/// A filled draft with its content hash.
#[derive(Debug, Clone)]
pub struct Hashed {
    filled: Filled,
    /// The member `"hashes":{…},`.
    hashes: String,
}

/// Where in [`Filled::text`] things stand, or would stand.
#[derive(Debug, Clone, Default)]
struct Marks {
    content: Range<usize>,
    prev_events: Range<usize>,
    auth_events: Range<usize>,
    /// The value of a `redacts` field of the event, and the whole member with its comma.
    redacts: Option<(Range<usize>, Range<usize>)>,
    hashes: usize,
    signatures: usize,
}

impl Draft {
    /// Gives the draft its place: what it follows, what authorises it, how deep it is.
    pub fn fill<P, A>(
        self,
        rules: &'static Rules,
        prev_events: impl IntoIterator<Item = P>,
        auth_events: impl IntoIterator<Item = A>,
        depth: u64,
    ) -> Result<Filled, Error>
    where
        P: Into<Reference>,
        A: Into<Reference>,
    {
        self.check(rules)?;
        let prev_events: Vec<Reference> = prev_events.into_iter().map(Into::into).collect();
        let auth_events: Vec<Reference> = auth_events.into_iter().map(Into::into).collect();
        within("prev_events", prev_events.len(), limits::PREV_EVENTS)?;
        within("auth_events", auth_events.len(), limits::AUTH_EVENTS)?;
        let mut content = canonical::parse_object(self.content.get(), rules.json)?;
        if rules.redaction.redacts_in_content
            && let Some(redacts) = &self.redacts
        {
            content.insert("redacts".into(), Value::String(redacts.as_str().into()));
        }
        let mut kept_content = String::new();
        redact::write_content(
            &self.event_type,
            &content,
            &rules.redaction,
            &mut kept_content,
        );
        let depth = depth.min(deepest(rules));
        let (text, marks) = self.write(rules, &content, &prev_events, &auth_events, depth)?;
        let room_id = self.room_id.clone();
        let links = Links {
            prev_events: ids(prev_events),
            auth_events: ids(auth_events),
        };
        let timestamp = i64::try_from(self.origin_server_ts).unwrap_or(i64::MAX);
        let head = Head {
            // Both are known once the hash is, where they are not chosen.
            event_id: unknown_event(),
            names_room: room_id.is_some(),
            room_id: room_id.unwrap_or_else(unknown_room),
            sender: self.sender,
            event_type: self.event_type.into(),
            state_key: self.state_key.map(Into::into),
            timestamp,
            depth,
        };
        let mut filled = Filled {
            rules,
            head,
            text,
            marks,
            links,
            kept_content,
        };
        filled.choose_id()?;
        Ok(filled)
    }

    /// All steps at once.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of three steps, each named there"
    )]
    pub fn seal<P, A>(
        self,
        rules: &'static Rules,
        prev_events: impl IntoIterator<Item = P>,
        auth_events: impl IntoIterator<Item = A>,
        depth: u64,
        key: &KeyPair,
        server: &ServerName,
    ) -> Result<Pdu, Error>
    where
        P: Into<Reference>,
        A: Into<Reference>,
    {
        self.fill(rules, prev_events, auth_events, depth)?
            .hash()
            .sign(key, server)
    }

    fn check(&self, rules: &Rules) -> Result<(), Error> {
        within("type", self.event_type.len(), limits::FIELD_BYTES)?;
        within(
            "state_key",
            self.state_key.as_deref().map_or(0, str::len),
            limits::FIELD_BYTES,
        )?;
        within("sender", self.sender.as_str().len(), limits::FIELD_BYTES)?;
        if !i64::try_from(self.origin_server_ts).is_ok_and(canonical::in_range) {
            return Err(Error::field("origin_server_ts", "is out of range"));
        }
        let makes_room = rules.room_ids == RoomIds::OfCreate && self.event_type == "m.room.create";
        match &self.room_id {
            Some(_) if makes_room => Err(Error::field("room_id", "follows from the create event")),
            None if !makes_room => Err(Error::field("room_id", "is missing")),
            _ => Ok(()),
        }
    }

    /// Writes the members in canonical order, noting where `hashes` and `signatures` belong.
    fn write(
        &self,
        rules: &Rules,
        content: &Object<'_>,
        prev_events: &[Reference],
        auth_events: &[Reference],
        depth: u64,
    ) -> Result<(String, Marks), Error> {
        let mut out = String::with_capacity(self.content.get().len() + 768);
        let mut marks = Marks::default();
        out.push_str("{\"auth_events\":");
        marks.auth_events = write_references(auth_events, rules, &mut out)?;
        out.push_str(",\"content\":");
        let start = out.len();
        content.write(&mut out);
        marks.content = start..out.len();
        out.push_str(",\"depth\":");
        canonical::write_integer(i64::try_from(depth).unwrap_or(i64::MAX), &mut out);
        out.push(',');
        marks.hashes = out.len();
        out.push_str("\"origin_server_ts\":");
        canonical::write_integer(
            i64::try_from(self.origin_server_ts).unwrap_or(i64::MAX),
            &mut out,
        );
        out.push_str(",\"prev_events\":");
        marks.prev_events = write_references(prev_events, rules, &mut out)?;
        out.push(',');
        if let (Some(redacts), false) = (&self.redacts, rules.redaction.redacts_in_content) {
            let member = out.len();
            let value = write_member("redacts", redacts.as_str(), &mut out);
            out.push(',');
            marks.redacts = Some((value, member..out.len()));
        }
        if let Some(room_id) = &self.room_id {
            write_member("room_id", room_id.as_str(), &mut out);
            out.push(',');
        }
        write_member("sender", self.sender.as_str(), &mut out);
        out.push(',');
        marks.signatures = out.len();
        if let Some(state_key) = &self.state_key {
            write_member("state_key", state_key, &mut out);
            out.push(',');
        }
        write_member("type", &self.event_type, &mut out);
        out.push('}');
        Ok((out, marks))
    }
}

impl Filled {
    /// Adds the content hash (server-server API, *Calculating the content hash*): over all but hashes and signatures, which is
    /// exactly the text written so far.
    #[must_use]
    pub fn hash(self) -> Hashed {
        let mut hashes = String::with_capacity(72);
        hashes.push_str("\"hashes\":{\"sha256\":\"");
        STANDARD_NO_PAD.encode_string(Sha256::digest(self.text.as_bytes()), &mut hashes);
        hashes.push_str("\"},");
        Hashed {
            filled: self,
            hashes,
        }
    }

    /// Where ids are chosen, ours is made of the event's own text: unlike any other unless all else is alike.
    fn choose_id(&mut self) -> Result<(), Error> {
        if self.rules.event_ids != EventIds::Chosen {
            return Ok(());
        }
        let mut opaque = URL_SAFE_NO_PAD.encode(Sha256::digest(self.text.as_bytes()));
        opaque.truncate(24);
        let event_id = format!("${opaque}:{}", self.head.sender.server_name());
        let mut member = String::with_capacity(event_id.len() + 16);
        write_member("event_id", &event_id, &mut member);
        member.push(',');
        self.text.insert_str(self.marks.hashes, &member);
        self.marks.shift(self.marks.hashes, member.len());
        self.head.event_id = OwnedEventId::try_from(event_id)
            .map_err(|_| Error::Bug("a chosen event id is valid"))?;
        Ok(())
    }
}

impl Hashed {
    /// Signs the event: now it can be judged, stored and sent.
    pub fn sign(self, key: &KeyPair, server: &ServerName) -> Result<Pdu, Error> {
        let signed = self.signed_text();
        let mut signatures = String::with_capacity(server.as_str().len() + 140);
        signatures.push_str("\"signatures\":{");
        canonical::write_string(server.as_str(), &mut signatures);
        signatures.push_str(":{");
        write_member(key.id(), &key.sign(signed.as_bytes()), &mut signatures);
        signatures.push_str("}},");
        let Self {
            filled:
                Filled {
                    rules,
                    mut head,
                    text,
                    mut marks,
                    links,
                    ..
                },
            hashes,
        } = self;
        if rules.event_ids != EventIds::Chosen {
            head.event_id = id::of_hash(&id::reference_hash(&signed), rules)?;
        }
        if !head.names_room {
            head.room_id = id::room_of_create(&head.event_id)?;
        }
        let json = splice(
            &text,
            &[(marks.hashes, &hashes), (marks.signatures, &signatures)],
        );
        within("the event", json.len(), limits::EVENT_BYTES)?;
        marks.shift(marks.hashes, hashes.len());
        let spans = Spans {
            content: marks.content,
            prev_events: marks.prev_events,
            auth_events: marks.auth_events,
            redacts: marks.redacts.map(|(value, _)| value),
        };
        Ok(Pdu::assemble(head, json.into(), spans, Some(links)))
    }

    /// What is signed, and hashed to be the id: the redacted event without signatures.
    fn signed_text(&self) -> String {
        let Filled {
            text,
            marks,
            kept_content,
            ..
        } = &self.filled;
        let mut out = String::with_capacity(
            text.len() - marks.content.len() + kept_content.len() + self.hashes.len(),
        );
        out.push_str(text.get(..marks.content.start).unwrap_or_default());
        out.push_str(kept_content);
        out.push_str(
            text.get(marks.content.end..marks.hashes)
                .unwrap_or_default(),
        );
        out.push_str(&self.hashes);
        // `redacts` as a field of the event does not survive a redaction.
        let dropped = marks
            .redacts
            .as_ref()
            .map_or(marks.hashes..marks.hashes, |(_, member)| member.clone());
        out.push_str(text.get(marks.hashes..dropped.start).unwrap_or_default());
        out.push_str(text.get(dropped.end..).unwrap_or_default());
        out
    }
}

impl Marks {
    /// Something of this length was inserted at this place.
    fn shift(&mut self, at: usize, length: usize) {
        let move_range = |range: &mut Range<usize>| {
            if range.start >= at {
                *range = range.start + length..range.end + length;
            }
        };
        move_range(&mut self.content);
        move_range(&mut self.prev_events);
        move_range(&mut self.auth_events);
        if let Some((value, member)) = &mut self.redacts {
            move_range(value);
            move_range(member);
        }
        self.hashes += length;
        self.signatures += length;
    }
}

impl Reference {
    /// The event as rooms with these rules name it.
    pub fn to(pdu: &Pdu, rules: &Rules) -> Result<Self, Error> {
        let sha256 = match rules.references {
            References::Plain => None,
            References::WithHashes => {
                let signed = pdu.signed_part(rules)?;
                Some(STANDARD_NO_PAD.encode(id::reference_hash(&signed)).into())
            }
        };
        Ok(Self {
            event_id: pdu.event_id().to_owned(),
            sha256,
        })
    }

    /// The references in a list that another server proposes, in either form.
    pub fn list(json: &RawValue) -> Result<Vec<Self>, Error> {
        let malformed = Error::field("events", "is not a list of references");
        let Value::Array(items) = canonical::parse(json.get(), Json::Lax)? else {
            return Err(malformed);
        };
        items
            .iter()
            .map(|item| Self::read(item).ok_or(malformed.clone()))
            .collect()
    }

    /// The event.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    fn read(item: &Value<'_>) -> Option<Self> {
        let (id, sha256) = match item {
            Value::Array(pair) => {
                let hashes = pair.get(1)?.as_object()?;
                let sha256 = hashes.get("sha256").map_or(Some(""), Value::as_str)?;
                (pair.first()?.as_str()?, Some(sha256))
            }
            plain => (plain.as_str()?, None),
        };
        Some(Self {
            event_id: id::parse_event_id(id)?,
            sha256: sha256.map(Into::into),
        })
    }
}

impl From<OwnedEventId> for Reference {
    fn from(event_id: OwnedEventId) -> Self {
        Self {
            event_id,
            sha256: None,
        }
    }
}

impl From<&EventId> for Reference {
    fn from(event_id: &EventId) -> Self {
        event_id.to_owned().into()
    }
}

impl From<&OwnedEventId> for Reference {
    fn from(event_id: &OwnedEventId) -> Self {
        event_id.clone().into()
    }
}

fn write_references(
    references: &[Reference],
    rules: &Rules,
    out: &mut String,
) -> Result<Range<usize>, Error> {
    let start = out.len();
    let mut separator = '[';
    for reference in references {
        out.push(separator);
        separator = ',';
        match rules.references {
            References::Plain => canonical::write_string(reference.event_id.as_str(), out),
            References::WithHashes => {
                let hash = reference
                    .sha256
                    .as_ref()
                    .ok_or_else(|| Error::NoReferenceHash(reference.event_id.clone()))?;
                out.push('[');
                canonical::write_string(reference.event_id.as_str(), out);
                out.push_str(",{");
                if !hash.is_empty() {
                    write_member("sha256", hash, out);
                }
                out.push_str("}]");
            }
        }
    }
    out.push_str(if separator == '[' { "[]" } else { "]" });
    Ok(start..out.len())
}

/// Writes `"key":"value"`, and says where the value with its quotes stands.
fn write_member(key: &str, value: &str, out: &mut String) -> Range<usize> {
    canonical::write_string(key, out);
    out.push(':');
    let start = out.len();
    canonical::write_string(value, out);
    start..out.len()
}

/// The text with pieces put in at ascending places.
fn splice(text: &str, pieces: &[(usize, &str)]) -> String {
    let added: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
    let mut out = String::with_capacity(text.len() + added);
    let mut from = 0;
    for (at, piece) in pieces {
        out.push_str(text.get(from..*at).unwrap_or_default());
        out.push_str(piece);
        from = *at;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

fn ids(references: Vec<Reference>) -> Box<[OwnedEventId]> {
    references
        .into_iter()
        .map(|reference| reference.event_id)
        .collect()
}

/// The depth that nothing exceeds.
fn deepest(rules: &Rules) -> u64 {
    let deepest = match rules.json {
        Json::Strict => limits::INTEGER_MAX,
        Json::Lax => i64::MAX,
    };
    deepest.unsigned_abs()
}

pub(crate) fn within(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
    if size > limit {
        Err(Error::TooLarge { what, limit })
    } else {
        Ok(())
    }
}

fn unknown_event() -> OwnedEventId {
    ruma::event_id!("$").to_owned()
}

fn unknown_room() -> OwnedRoomId {
    ruma::room_id!("!").to_owned()
}

#[cfg(test)]
mod tests;
