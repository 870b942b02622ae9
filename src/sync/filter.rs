//! What a client wants to be told: its filter, made ready for asking many times.
//!
//! Client-server API, "Filtering". `event_fields` is an allowance to leave fields out, which costs more than it saves
//! here, and is not used.

use std::collections::HashSet;

use rooms::Stored;
use ruma::api::client::filter::{
    EventFormat, Filter as Plain, FilterDefinition, LazyLoadOptions, RoomEventFilter, UrlFilter,
};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::Error;

/// How many events of a timeline a client gets that does not say.
const DEFAULT_LIMIT: usize = 10;
/// How many it gets at most.
const MAX_LIMIT: usize = 100;

/// A whole filter.
#[derive(Debug, Default)]
pub struct Filter {
    /// Events as servers exchange them, instead of as clients get them.
    pub federation_format: bool,
    /// Which rooms there are at all.
    pub rooms: Choice<OwnedRoomId>,
    /// Whether rooms that the user has left are told on an initial sync.
    pub include_leave: bool,
    /// The timeline.
    pub timeline: Events,
    /// The state beside it.
    pub state: Events,
    /// Typing and receipts.
    pub ephemeral: Events,
    /// Account data of a room.
    pub room_data: Events,
    /// Account data of the account.
    pub account_data: Events,
    /// Presence.
    pub presence: Events,
    /// Whether members are told only when they are needed.
    pub lazy: Lazy,
    /// Whether unread counts are told by thread.
    pub by_thread: bool,
}

/// Whether members are told only when they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lazy {
    /// All members are part of the state.
    #[default]
    No,
    /// Only who is seen, and only once.
    Once,
    /// Only who is seen, each time.
    Always,
}

/// A choice among things.
#[derive(Debug)]
pub struct Choice<T> {
    only: Option<HashSet<T>>,
    not: HashSet<T>,
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self {
            only: None,
            not: HashSet::new(),
        }
    }
}

impl<T: std::hash::Hash + Eq> Choice<T> {
    fn new(only: Option<Vec<T>>, not: Vec<T>) -> Self {
        Self {
            only: only.map(HashSet::from_iter),
            not: HashSet::from_iter(not),
        }
    }

    /// Whether the choice includes this one.
    pub fn has<Q: std::hash::Hash + Eq + ?Sized>(&self, it: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        self.only.as_ref().is_none_or(|only| only.contains(it)) && !self.not.contains(it)
    }

    /// The only ones that are included, if they are named.
    pub fn only(&self) -> Option<&HashSet<T>> {
        self.only.as_ref()
    }

    fn is_everything(&self) -> bool {
        self.only.is_none() && self.not.is_empty()
    }
}

/// A choice among events.
#[derive(Debug)]
pub struct Events {
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    senders: Choice<OwnedUserId>,
    rooms: Choice<OwnedRoomId>,
    url: Option<bool>,
    relations: Relations,
    /// How many.
    pub limit: usize,
    everything: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            types: None,
            not_types: Vec::new(),
            senders: Choice::default(),
            rooms: Choice::default(),
            url: None,
            relations: Relations::default(),
            limit: DEFAULT_LIMIT,
            everything: true,
        }
    }
}

impl Events {
    /// The same, and only events that relate to others in this way.
    pub fn related(self, relations: Relations) -> Self {
        Self {
            everything: self.everything && relations.is_everything(),
            relations,
            ..self
        }
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether events of a room can be chosen at all.
    pub fn has_room(&self, room: &RoomId) -> bool {
        self.rooms.has(room)
    }

    /// Whether anything can be chosen at all.
    pub fn is_nothing(&self) -> bool {
        self.types.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether an event is chosen; its room has been asked about before.
    pub fn has_event(&self, event: &Stored) -> bool {
        self.everything
            || (self.has_type(&event.event_type())
                && self.has_sender(&event.sender())
                && self
                    .url
                    .is_none_or(|wanted| has_url(event.content_str()) == wanted)
                && self.relations.has(event.content_str()))
    }

    /// Whether events of this type can be chosen.
    pub fn has_type(&self, event_type: &str) -> bool {
        self.types
            .as_ref()
            .is_none_or(|types| types.iter().any(|pattern| fits(pattern, event_type)))
            && !self
                .not_types
                .iter()
                .any(|pattern| fits(pattern, event_type))
    }

    /// Whether what this user sends can be chosen.
    pub fn has_sender(&self, sender: &str) -> bool {
        // Filters name user ids; a sender that is not one was stored by an old room version and is compared as text.
        if self.senders.is_everything() {
            return true;
        }
        <&ruma::UserId>::try_from(sender).map_or_else(
            |_| self.senders.only().is_none(),
            |sender| self.senders.has(sender),
        )
    }
}

fn has_url(content: &str) -> bool {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        url: Option<IgnoredAny>,
    }
    serde_json::from_str::<Content>(content).is_ok_and(|content| content.url.is_some())
}

/// A choice among ways to relate to another event (MSC3874), for reading history.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Relations {
    #[serde(default, rename = "org.matrix.msc3874.rel_types")]
    only: Option<Vec<String>>,
    #[serde(default, rename = "org.matrix.msc3874.not_rel_types")]
    not: Vec<String>,
}

impl Relations {
    /// Reads what a filter says of them.
    pub fn of(filter: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(filter)
    }

    fn is_everything(&self) -> bool {
        self.only.is_none() && self.not.is_empty()
    }

    fn has(&self, content: &str) -> bool {
        #[derive(Default, Deserialize)]
        struct Content {
            #[serde(default, rename = "m.relates_to")]
            relates_to: Relation,
        }
        #[derive(Default, Deserialize)]
        struct Relation {
            rel_type: Option<String>,
        }
        if self.is_everything() {
            return true;
        }
        let content: Content = serde_json::from_str(content).unwrap_or_default();
        let kind = content.relates_to.rel_type;
        let among = |list: &Vec<String>| kind.as_ref().is_some_and(|kind| list.contains(kind));
        self.only.as_ref().is_none_or(among) && !among(&self.not)
    }
}

/// `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

impl Filter {
    /// Reads a filter as clients write it.
    pub fn parse(json: &str) -> Result<Self, Error> {
        serde_json::from_str::<FilterDefinition>(json)
            .map(Self::of)
            .map_err(Error::BadFilter)
    }

    /// Makes a filter ready.
    pub fn of(filter: FilterDefinition) -> Self {
        let room = filter.room;
        let by_thread = room.timeline.unread_thread_notifications;
        Self {
            federation_format: filter.event_format == EventFormat::Federation,
            rooms: Choice::new(room.rooms, room.not_rooms),
            include_leave: room.include_leave,
            lazy: match room.state.lazy_load_options {
                LazyLoadOptions::Disabled => Lazy::No,
                LazyLoadOptions::Enabled {
                    include_redundant_members: false,
                } => Lazy::Once,
                LazyLoadOptions::Enabled {
                    include_redundant_members: true,
                } => Lazy::Always,
            },
            by_thread,
            timeline: room.timeline.into(),
            state: room.state.into(),
            ephemeral: room.ephemeral.into(),
            room_data: room.account_data.into(),
            account_data: filter.account_data.into(),
            presence: filter.presence.into(),
        }
    }
}

fn limit(limit: Option<ruma::UInt>) -> usize {
    let asked = limit.map_or(DEFAULT_LIMIT, |limit| {
        usize::try_from(u64::from(limit)).unwrap_or(MAX_LIMIT)
    });
    asked.min(MAX_LIMIT)
}

impl From<Plain> for Events {
    fn from(it: Plain) -> Self {
        Self {
            everything: it.is_empty(),
            limit: limit(it.limit),
            types: it.types,
            not_types: it.not_types,
            senders: Choice::new(it.senders, it.not_senders),
            rooms: Choice::default(),
            url: None,
            relations: Relations::default(),
        }
    }
}

impl From<RoomEventFilter> for Events {
    fn from(it: RoomEventFilter) -> Self {
        let url = it
            .url_filter
            .map(|filter| filter == UrlFilter::EventsWithUrl);
        let (senders, rooms) = (
            Choice::new(it.senders, it.not_senders),
            Choice::new(it.rooms, it.not_rooms),
        );
        Self {
            everything: it.types.is_none()
                && it.not_types.is_empty()
                && senders.is_everything()
                && url.is_none(),
            limit: limit(it.limit),
            types: it.types,
            not_types: it.not_types,
            senders,
            rooms,
            url,
            relations: Relations::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, event_type: &str, sender: &str, chosen: bool) {
        let filter = Filter::parse(&format!(r#"{{"room":{{"timeline":{filter}}}}}"#)).unwrap();
        assert_eq!(
            filter.timeline.has_type(event_type) && filter.timeline.has_sender(sender),
            chosen
        );
    }

    #[test]
    fn events_are_chosen_by_type_and_sender() {
        check("{}", "m.room.message", "@a:x", true);
        check(r#"{"types":[]}"#, "m.room.message", "@a:x", false);
        check(r#"{"types":["m.room.*"]}"#, "m.room.message", "@a:x", true);
        check(r#"{"types":["m.room.*"]}"#, "m.sticker", "@a:x", false);
        check(
            r#"{"types":["*"],"not_types":["m.*.message"]}"#,
            "m.room.message",
            "@a:x",
            false,
        );
        check(
            r#"{"types":["m.room.message"]}"#,
            "m.room.message.x",
            "@a:x",
            false,
        );
        check(r#"{"types":["a*a"]}"#, "a", "@a:x", false);
        check(r#"{"senders":["@a:x"]}"#, "t", "@a:x", true);
        check(r#"{"senders":["@a:x"]}"#, "t", "@b:x", false);
        check(
            r#"{"senders":["@a:x"],"not_senders":["@a:x"]}"#,
            "t",
            "@a:x",
            false,
        );
    }

    #[test]
    fn only_a_url_in_the_content_itself_counts() {
        assert!(has_url(r#"{"url":"mxc://x/y"}"#));
        assert!(!has_url(r#"{"info":{"url":1}}"#));
        assert!(!has_url("[]"));
    }

    #[test]
    fn only_relations_that_are_chosen_count() {
        let reply = r#"{"m.relates_to":{"rel_type":"m.thread","event_id":"$e"}}"#;
        for (filter, of_reply, of_others) in [
            ("{}", true, true),
            (
                r#"{"org.matrix.msc3874.rel_types":["m.thread"]}"#,
                true,
                false,
            ),
            (
                r#"{"org.matrix.msc3874.rel_types":["m.reference"]}"#,
                false,
                false,
            ),
            (
                r#"{"org.matrix.msc3874.not_rel_types":["m.thread"]}"#,
                false,
                true,
            ),
        ] {
            let relations = Relations::of(filter).unwrap();
            assert_eq!(relations.has(reply), of_reply, "{filter}");
            for content in ["{}", r#"{"m.relates_to":1}"#] {
                assert_eq!(relations.has(content), of_others, "{filter}");
            }
        }
    }

    #[test]
    fn limits_have_a_default_and_an_upper_end() {
        let limit = |json: &str| Filter::parse(json).unwrap().timeline.limit;
        assert_eq!(limit("{}"), DEFAULT_LIMIT);
        assert_eq!(limit(r#"{"room":{"timeline":{"limit":1}}}"#), 1);
        assert_eq!(
            limit(r#"{"room":{"timeline":{"limit":100000}}}"#),
            MAX_LIMIT
        );
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for json in [
            "",
            "[]",
            "{",
            r#"{"room":1}"#,
            r#"{"room":{"timeline":{"limit":-1}}}"#,
        ] {
            assert!(
                matches!(Filter::parse(json), Err(Error::BadFilter(_))),
                "{json}"
            );
        }
    }
}
