//! An event prepared for push rules: properties found by their dotted path, texts lower-cased once, the body's words found once.
//!
//! Despite the name nothing is flattened into full paths: paths are walked. Thousands of properties under one long name would otherwise
//! cost the product of both, which is how a 64 KiB event becomes hundreds of megabytes.

use crate::Pdu;
use crate::glob::{self, Haystack};
use ruma::push::ScalarJsonValue;
use ruma::{EventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The parts of an event that rules can ask about, as a client would see them.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// `event_id`
    pub event_id: &'a EventId,
    /// `room_id`
    pub room_id: &'a RoomId,
    /// `type`
    pub event_type: &'a str,
    /// `sender`
    pub sender: &'a UserId,
    /// `state_key`, absent for messages
    pub state_key: Option<&'a str>,
    /// `origin_server_ts`
    pub origin_server_ts: u64,
    /// `content`
    pub content: &'a RawValue,
}

/// An event ready to be judged for many users.
pub struct FlatEvent {
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    root: BTreeMap<Box<str>, Value>,
    body: OnceLock<Option<Haystack>>,
}

impl FlatEvent {
    /// Prepares an event that we hold.
    pub fn of(pdu: &Pdu) -> Self {
        Self::new(Parts {
            event_id: pdu.event_id(),
            room_id: pdu.room_id(),
            event_type: pdu.event_type(),
            sender: pdu.sender(),
            state_key: pdu.state_key(),
            origin_server_ts: pdu.origin_server_ts(),
            content: pdu.content(),
        })
    }

    /// Prepares an event.
    pub fn new(parts: Parts<'_>) -> Self {
        let content = serde_json::from_str(parts.content.get()).unwrap_or(serde_json::Value::Null);
        let text = |text: &str| Value::Text(Text::new(text.to_owned()));
        let mut root = BTreeMap::from([
            ("event_id".into(), text(parts.event_id.as_str())),
            ("room_id".into(), text(parts.room_id.as_str())),
            ("type".into(), text(parts.event_type)),
            ("sender".into(), text(parts.sender.as_str())),
            (
                "origin_server_ts".into(),
                i64::try_from(parts.origin_server_ts).map_or(Value::Other, Value::Integer),
            ),
            ("content".into(), Value::from_json(content)),
        ]);
        if let Some(state_key) = parts.state_key {
            root.insert("state_key".into(), text(state_key));
        }
        Self {
            room_id: parts.room_id.to_owned(),
            sender: parts.sender.to_owned(),
            root,
            body: OnceLock::new(),
        }
    }

    /// The room it is in.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// The root of the thread it belongs to, which is what decides [`Context::follows_thread`](super::Context).
    pub fn thread_root(&self) -> Option<&str> {
        let relation = |key| self.content()?.get("m.relates_to")?.child(key)?.as_text();
        (relation("rel_type")?.raw == "m.thread")
            .then(|| relation("event_id"))
            .flatten()
            .map(|text| text.raw.as_str())
    }

    pub(super) fn is_in_thread(&self) -> bool {
        self.thread_root()
            .is_some_and(|root| <&EventId>::try_from(root).is_ok())
    }

    /// Whether the event itself says whom it mentions (`m.mentions`).
    pub(super) fn names_its_mentions(&self) -> bool {
        self.content()
            .is_some_and(|content| content.contains_key("m.mentions"))
    }

    /// The property at a dotted path (appendices, "Dot-separated property paths").
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let mut object = Some(&self.root);
        let mut found = None;
        for name in Names(Some(path)) {
            found = object?.get(&*name);
            object = found.and_then(Value::as_object);
        }
        found
    }

    pub(super) fn text(&self, path: &str) -> Option<&Text> {
        self.get(path)?.as_text()
    }

    pub(super) fn body_matches(&self, pattern: &str) -> bool {
        self.body()
            .is_some_and(|body| glob::matches_words(pattern, body))
    }

    pub(super) fn body_contains(&self, words: &str) -> bool {
        self.body()
            .is_some_and(|body| glob::contains_words(words, body))
    }

    fn content(&self) -> Option<&BTreeMap<Box<str>, Value>> {
        self.root.get("content")?.as_object()
    }

    fn body(&self) -> Option<&Haystack> {
        self.body
            .get_or_init(|| {
                Some(Haystack::new(
                    self.content()?.get("body")?.as_text()?.folded(),
                ))
            })
            .as_ref()
    }
}

/// A JSON value, as far as rules can look at it.
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Text(Text),
    List(Vec<Value>),
    Object(BTreeMap<Box<str>, Value>),
    /// A number that canonical JSON does not have.
    Other,
}

impl Value {
    /// Recursion ends with the depth that `serde_json` accepts, 128.
    fn from_json(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(it) => Self::Bool(it),
            serde_json::Value::Number(it) => it.as_i64().map_or(Self::Other, Self::Integer),
            serde_json::Value::String(it) => Self::Text(Text::new(it)),
            serde_json::Value::Array(items) => {
                Self::List(items.into_iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(items) => Self::Object(
                items
                    .into_iter()
                    .map(|(key, value)| (key.into_boxed_str(), Self::from_json(value)))
                    .collect(),
            ),
        }
    }

    /// Exactly this value, without casts.
    pub(super) fn is(&self, wanted: &ScalarJsonValue) -> bool {
        match (self, wanted) {
            (Self::Null, ScalarJsonValue::Null) => true,
            (Self::Bool(a), ScalarJsonValue::Bool(b)) => a == b,
            (Self::Integer(a), ScalarJsonValue::Integer(b)) => *a == i64::from(*b),
            (Self::Text(a), ScalarJsonValue::String(b)) => a.raw == *b,
            _ => false,
        }
    }

    /// A list with exactly this value in it.
    pub(super) fn contains(&self, wanted: &ScalarJsonValue) -> bool {
        matches!(self, Self::List(items) if items.iter().any(|item| item.is(wanted)))
    }

    fn as_object(&self) -> Option<&BTreeMap<Box<str>, Value>> {
        if let Self::Object(it) = self {
            Some(it)
        } else {
            None
        }
    }

    fn as_text(&self) -> Option<&Text> {
        if let Self::Text(it) = self {
            Some(it)
        } else {
            None
        }
    }

    fn child(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }
}

/// A string, with its lower-case form once somebody asked for it.
pub(super) struct Text {
    raw: String,
    folded: OnceLock<Option<Box<str>>>,
}

impl Text {
    fn new(raw: String) -> Self {
        Self {
            raw,
            folded: OnceLock::new(),
        }
    }

    /// As compared without regard to case.
    pub(super) fn folded(&self) -> &str {
        let own = self.folded.get_or_init(|| match glob::fold(&self.raw) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(folded) => Some(folded.into_boxed_str()),
        });
        own.as_deref().unwrap_or(&self.raw)
    }
}

/// The names along a dotted path. `\.` and `\\` stand for the bare character; any other backslash stands for itself.
struct Names<'a>(Option<&'a str>);

impl<'a> Iterator for Names<'a> {
    type Item = std::borrow::Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = self.0?;
        let mut name = String::new();
        let mut plain = 0;
        let mut bytes = path.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'.' => {
                    self.0 = path.get(at + 1..);
                    return Some(join(name, path.get(plain..at)));
                }
                b'\\' if matches!(path.as_bytes().get(at + 1), Some(b'.' | b'\\')) => {
                    name.push_str(path.get(plain..at).unwrap_or_default());
                    plain = at + 1;
                    bytes.next();
                }
                _ => {}
            }
        }
        self.0 = None;
        Some(join(name, path.get(plain..)))
    }
}

/// The piece of a path after its last escape, behind what came before it; borrowed when there was no escape.
fn join(mut before: String, rest: Option<&str>) -> std::borrow::Cow<'_, str> {
    let rest = rest.unwrap_or_default();
    if before.is_empty() {
        return rest.into();
    }
    before.push_str(rest);
    before.into()
}
