//! A question as clients of sliding sync put it, read and held to its bounds; and the position that an answer hands out (`pos`).

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use store::UserNo;

use super::wanted::Wanted;
use crate::error::{Error, Result};
use crate::token::Token;

/// Lists in a request.
const LISTS: usize = 100;
/// Ranges of a list.
const RANGES: usize = 100;
/// Rooms that are subscribed to.
const SUBSCRIPTIONS: usize = 1_000;
/// Pieces of state that are asked for at one place.
const STATE: usize = 500;
/// Bytes in the name of a connection; clients are told to use 16.
const CONNECTION_NAME: usize = 64;
/// Events of a room's timeline that are told at once.
const TIMELINE: usize = 100;
/// Spaces, room types or tags that a filter names.
const NAMED: usize = 100;

/// The body of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    conn_id: Option<String>,
    txn_id: Option<String>,
    lists: BTreeMap<String, ListBody>,
    room_subscriptions: BTreeMap<OwnedRoomId, Details>,
    extensions: Extensions,
}

#[derive(Debug, Deserialize)]
struct ListBody {
    ranges: Vec<(u64, u64)>,
    #[serde(flatten)]
    details: Details,
    #[serde(default)]
    filters: Option<Filters>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    required_state: Vec<(String, String)>,
    timeline_limit: u64,
}

/// Which rooms a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    pub(super) is_dm: Option<bool>,
    pub(super) is_encrypted: Option<bool>,
    pub(super) is_invite: Option<bool>,
    pub(super) spaces: Vec<OwnedRoomId>,
    pub(super) room_types: Vec<Option<String>>,
    pub(super) not_room_types: Vec<Option<String>>,
    pub(super) room_name_like: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) not_tags: Vec<String>,
}

impl Filters {
    /// Whether every room is in.
    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a room that nothing has happened in may come in or go out.
    pub(super) fn is_fickle(&self) -> bool {
        self.is_dm.is_some()
            || self.room_name_like.is_some()
            || !self.spaces.is_empty()
            || !self.tags.is_empty()
            || !self.not_tags.is_empty()
    }
}

/// A list of rooms, the latest first, of which some ranges are told.
#[derive(Debug, Hash)]
pub(super) struct List {
    /// First and last place of each range.
    pub(super) ranges: Vec<(usize, usize)>,
    pub(super) filters: Filters,
    pub(super) want: Want,
}

/// What is to be told of a room.
#[derive(Debug, Clone, Default, Hash, PartialEq, Eq)]
pub(super) struct Want {
    /// How many of the newest events.
    pub(super) limit: usize,
    pub(super) state: Wanted,
}

impl Want {
    /// Both.
    pub(super) fn add(&mut self, other: &Self) {
        self.limit = self.limit.max(other.limit);
        self.state.add(&other.state);
    }
}

/// What is asked for beside the rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct Extensions {
    pub(super) to_device: ToDevice,
    pub(super) e2ee: OnOff,
    pub(super) account_data: OfRooms,
    pub(super) receipts: OfRooms,
    pub(super) typing: OfRooms,
}

impl Extensions {
    /// Hashes what is asked of rooms.
    pub(super) fn hash_rooms(&self, hasher: &mut impl Hasher) {
        self.account_data.hash(hasher);
        self.receipts.hash(hasher);
        self.typing.hash(hasher);
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct ToDevice {
    pub(super) enabled: bool,
    pub(super) limit: Option<u64>,
    pub(super) since: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct OnOff {
    pub(super) enabled: bool,
}

/// An extension that tells of rooms: those of some lists and some of those subscribed to; all if they are not named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct OfRooms {
    pub(super) enabled: bool,
    pub(super) lists: Option<Vec<String>>,
    pub(super) rooms: Option<Vec<String>>,
}

impl OfRooms {
    /// Whether a list's rooms are meant.
    pub(super) fn has_list(&self, name: &str) -> bool {
        let named = self.lists.as_ref();
        named.is_none_or(|lists| lists.iter().any(|list| list == name || list == "*"))
    }

    /// Whether a room is meant that is subscribed to.
    pub(super) fn has_subscribed(&self, room: &str) -> bool {
        let named = self.rooms.as_ref();
        named.is_none_or(|rooms| rooms.iter().any(|other| other == room || other == "*"))
    }
}

/// A question, understood.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) user: UserNo,
    pub(super) user_id: OwnedUserId,
    pub(super) device: String,
    pub(super) conn: String,
    pub(super) txn: Option<String>,
    pub(super) lists: Vec<(String, List)>,
    pub(super) subscriptions: Vec<(OwnedRoomId, Want)>,
    pub(super) extensions: Extensions,
    pub(super) pos: Option<Place>,
}

impl Ask {
    /// Reads a question.
    pub(super) fn read(
        who: (UserNo, OwnedUserId, String),
        pos: Option<&str>,
        body: &[u8],
    ) -> Result<Self> {
        let body: Body = if body.is_empty() {
            Body::default()
        } else {
            serde_json::from_slice(body).map_err(Error::BadRequest)?
        };
        let conn = body.conn_id.unwrap_or_default();
        bound(
            conn.len(),
            CONNECTION_NAME,
            "bytes in the name of the connection",
        )?;
        bound(body.lists.len(), LISTS, "lists")?;
        bound(
            body.room_subscriptions.len(),
            SUBSCRIPTIONS,
            "room subscriptions",
        )?;
        let lists = body.lists.into_iter();
        let lists = lists.map(|(name, list)| Ok((name, list.understand()?)));
        let rooms = body.room_subscriptions.into_iter();
        let rooms = rooms.map(|(room, details)| Ok((room, details.understand()?)));
        let (user, user_id, device) = who;
        Ok(Self {
            user,
            user_id,
            device,
            conn,
            txn: body.txn_id,
            lists: lists.collect::<Result<_>>()?,
            subscriptions: rooms.collect::<Result<_>>()?,
            extensions: body.extensions,
            pos: pos
                .filter(|pos| !pos.is_empty())
                .map(str::parse)
                .transpose()?,
        })
    }
}

impl ListBody {
    fn understand(self) -> Result<List> {
        let filters = self.filters.unwrap_or_default();
        bound(self.ranges.len(), RANGES, "ranges")?;
        for named in [
            filters.spaces.len(),
            filters.room_types.len(),
            filters.not_room_types.len(),
            filters.tags.len(),
            filters.not_tags.len(),
        ] {
            bound(named, NAMED, "names in a filter")?;
        }
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let ranges = self.ranges.iter();
        Ok(List {
            ranges: ranges
                .map(|(from, to)| (place(*from), place(*to)))
                .collect(),
            filters,
            want: self.details.understand()?,
        })
    }
}

impl Details {
    fn understand(self) -> Result<Want> {
        bound(self.required_state.len(), STATE, "pieces of required state")?;
        let limit = usize::try_from(self.timeline_limit).unwrap_or(TIMELINE);
        Ok(Want {
            limit: limit.min(TIMELINE),
            state: Wanted::new(self.required_state),
        })
    }
}

fn bound(count: usize, most: usize, what: &'static str) -> Result<()> {
    if count > most {
        Err(Error::TooMany(what))
    } else {
        Ok(())
    }
}

/// Where an answer came to (`pos`): in which connection, in which of its generations, and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) nonce: u64,
    pub(super) generation: u64,
    pub(super) token: Token,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}.{}", self.nonce, self.generation, self.token)
    }
}

impl FromStr for Place {
    type Err = Error;

    /// What is not one of ours is from another server or another time; all that its owner can do is to begin anew.
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(Error::UnknownPos);
        let nonce = u64::from_str_radix(next()?, 16).map_err(|_| Error::UnknownPos)?;
        let generation = next()?.parse().map_err(|_| Error::UnknownPos)?;
        let token = next()?.parse().map_err(|_| Error::UnknownPos)?;
        Ok(Self {
            nonce,
            generation,
            token,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(body: &serde_json::Value) -> Result<Ask> {
        let who = (UserNo::new(1), "@a:b".try_into().unwrap(), "D".to_owned());
        Ask::read(who, None, body.to_string().as_bytes())
    }

    #[test]
    fn too_much_is_refused_and_what_is_unknown_is_passed_over() {
        let ask =
            read(&json!({ "new_thing": 1, "extensions": { "org.example": { "enabled": true } } }));
        assert!(ask.unwrap().lists.is_empty());
        let state = vec![("t", "k"); STATE + 1];
        let list = json!({ "ranges": [[0, 1]], "timeline_limit": 5, "required_state": state });
        assert!(matches!(
            read(&json!({ "lists": { "l": list } })),
            Err(Error::TooMany(_))
        ));
        for body in [
            json!({ "lists": 1 }),
            json!({ "lists": { "l": { "ranges": [[0]] } } }),
        ] {
            assert!(matches!(read(&body), Err(Error::BadRequest(_))), "{body}");
        }
        let list = json!({ "ranges": [[0, u64::MAX]], "timeline_limit": 5_000 });
        let ask = read(&json!({ "lists": { "l": list } })).unwrap();
        assert_eq!(ask.lists[0].1.want.limit, TIMELINE);
    }

    proptest! {
        #[test]
        fn positions_are_read_back_and_nothing_panics(nonce: u64, generation: u64, text in ".{0,30}") {
            let place = Place { nonce, generation, token: Token::at(store::Pos::new(7)) };
            prop_assert_eq!(place.to_string().parse::<Place>().unwrap(), place);
            let _ = text.parse::<Place>();
        }
    }
}
