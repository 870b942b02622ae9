//! Which rooms an answer is about: those in the ranges of the lists, and those that are subscribed to; and what is wanted of each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use rooms::Membership;
use rooms::state::now;
use rooms::summary;
use ruma::OwnedRoomId;
use serde::Deserialize;
use store::{RoomNo, UserNo};
use users::account_data;

use super::ask::{Ask, Filters, List, Want};
use super::recency::{Entry, Index};
use crate::error::Result;
use crate::view::View;

/// Why a room is told: bit by bit which lists have it, and whether it is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Reason {
    lists: u128,
    subscription: Option<usize>,
}

/// The rooms that an answer is about.
pub(super) struct Rooms {
    /// How many rooms each list has.
    pub(super) counts: BTreeMap<String, usize>,
    /// The rooms; if the lists are whole, only those that were asked for.
    pub(super) reasons: HashMap<RoomNo, Reason>,
    /// Whether every room of every list is in its ranges.
    pub(super) is_whole: bool,
    combined: HashMap<Reason, Rc<Combined>>,
}

/// What is wanted of rooms that are told for the same reasons.
pub(super) struct Combined {
    pub(super) want: Want,
    /// The extensions that tell of them.
    pub(super) data: bool,
    pub(super) receipts: bool,
    pub(super) typing: bool,
}

/// A filter with what it needs to know looked up.
struct Ready<'a> {
    filters: &'a Filters,
    everything: bool,
    children: Option<HashSet<RoomNo>>,
    like: Option<String>,
}

impl Rooms {
    /// Goes through the lists and the subscriptions. If `only` is given, only these rooms are of interest as long as the lists are
    /// whole.
    pub(super) fn of(
        view: &View<'_>,
        ask: &Ask,
        index: &Index,
        only: Option<&HashSet<RoomNo>>,
    ) -> Result<Self> {
        let mut rooms = Self {
            counts: BTreeMap::new(),
            reasons: HashMap::new(),
            is_whole: true,
            combined: HashMap::new(),
        };
        for (at, (name, list)) in ask.lists.iter().enumerate() {
            let ready = Ready::new(view, index, list)?;
            let count = rooms.add_list(view, ask.user, index, (at, list, &ready), only)?;
            rooms.counts.insert(name.clone(), count);
        }
        for (at, (room_id, _)) in ask.subscriptions.iter().enumerate() {
            let Some(room) = view.s.room_no(room_id)? else {
                continue;
            };
            if index.get(room).is_some() && only.is_none_or(|only| only.contains(&room)) {
                rooms.reasons.entry(room).or_default().subscription = Some(at);
            }
        }
        Ok(rooms)
    }

    fn add_list(
        &mut self,
        view: &View<'_>,
        user: UserNo,
        index: &Index,
        (at, list, ready): (usize, &List, &Ready<'_>),
        only: Option<&HashSet<RoomNo>>,
    ) -> Result<usize> {
        let end = list.ranges.iter().map(|(_, to)| to.saturating_add(1)).max();
        let (end, bit) = (end.unwrap_or(0), 1_u128 << at);
        let is_in = |place: usize| {
            list.ranges
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&place))
        };
        // What all rooms are in needs no looking at each of them.
        if ready.everything
            && let Some(only) = only
            && list.ranges.iter().any(|(from, _)| *from == 0)
            && end >= index.len()
        {
            for room in only.iter().filter(|room| index.get(**room).is_some()) {
                self.reasons.entry(*room).or_default().lists |= bit;
            }
            return Ok(index.len());
        }
        let mut place = 0;
        for (room, entry) in index.rooms() {
            if ready.everything && place >= end {
                break;
            }
            if !ready.everything && !ready.has(view, user, index, (room, entry))? {
                continue;
            }
            if is_in(place) {
                self.reasons.entry(room).or_default().lists |= bit;
            } else {
                self.is_whole = false;
            }
            place += 1;
        }
        let count = if ready.everything { index.len() } else { place };
        self.is_whole &= count <= end;
        Ok(count)
    }

    /// What is wanted of a room.
    pub(super) fn combined(&mut self, ask: &Ask, reason: Reason) -> Rc<Combined> {
        let made = self.combined.entry(reason);
        made.or_insert_with(|| Rc::new(Combined::of(ask, reason)))
            .clone()
    }
}

impl Combined {
    fn of(ask: &Ask, reason: Reason) -> Self {
        let lists = ask.lists.iter().enumerate();
        let lists = lists.filter(|(at, _)| reason.lists & (1 << at) != 0);
        let lists: Vec<&(String, List)> = lists.map(|(_, list)| list).collect();
        let subscription = reason.subscription.and_then(|at| ask.subscriptions.get(at));
        let mut want = Want::default();
        lists.iter().for_each(|(_, list)| want.add(&list.want));
        if let Some((_, wanted)) = subscription {
            want.add(wanted);
        }
        let subscribed: Option<&OwnedRoomId> = subscription.map(|(room, _)| room);
        let has = |extension: &super::ask::OfRooms| {
            extension.enabled
                && (lists.iter().any(|(name, _)| extension.has_list(name))
                    || subscribed.is_some_and(|room| extension.has_subscribed(room.as_str())))
        };
        let extensions = &ask.extensions;
        Self {
            want,
            data: has(&extensions.account_data),
            receipts: has(&extensions.receipts),
            typing: has(&extensions.typing),
        }
    }
}

impl<'a> Ready<'a> {
    fn new(view: &View<'_>, index: &Index, list: &'a List) -> Result<Self> {
        let filters = &list.filters;
        let children = if filters.spaces.is_empty() {
            None
        } else {
            Some(children(view, index, &filters.spaces)?)
        };
        Ok(Self {
            filters,
            everything: filters.is_everything(),
            children,
            like: filters
                .room_name_like
                .as_ref()
                .map(|name| name.to_lowercase()),
        })
    }

    fn has(
        &self,
        view: &View<'_>,
        user: UserNo,
        index: &Index,
        (room, entry): (RoomNo, &Entry),
    ) -> Result<bool> {
        let filters = self.filters;
        let is = |asked: Option<bool>, so: bool| asked.is_none_or(|asked| asked == so);
        let is_type = |types: &[Option<String>]| {
            let own = entry.room_type.as_deref();
            types.iter().any(|asked| asked.as_deref() == own)
        };
        let cheap = is(filters.is_invite, entry.membership == Membership::Invite)
            && is(filters.is_encrypted, entry.encrypted)
            && is(filters.is_dm, index.is_dm(room))
            && (filters.room_types.is_empty() || is_type(&filters.room_types))
            && !is_type(&filters.not_room_types)
            && self
                .children
                .as_ref()
                .is_none_or(|children| children.contains(&room));
        if !cheap {
            return Ok(false);
        }
        if let Some(like) = &self.like {
            let shown = summary::of(view.s, room)?;
            let name = shown.name.or(shown.canonical_alias).unwrap_or_default();
            if !name.to_lowercase().contains(like) {
                return Ok(false);
            }
        }
        if filters.tags.is_empty() && filters.not_tags.is_empty() {
            return Ok(true);
        }
        let tags = tags(view, user, room)?;
        let any = |asked: &[String]| asked.iter().any(|tag| tags.contains(tag));
        Ok((filters.tags.is_empty() || any(&filters.tags)) && !any(&filters.not_tags))
    }
}

/// The rooms that these spaces have as children, as far as the user is in them.
fn children(view: &View<'_>, index: &Index, spaces: &[OwnedRoomId]) -> Result<HashSet<RoomNo>> {
    #[derive(Deserialize)]
    struct Content {
        via: Option<Vec<String>>,
    }
    let mut found = HashSet::new();
    for space in spaces {
        let space = view.s.room_no(space)?;
        let joined = |room: &RoomNo| {
            index
                .get(*room)
                .is_some_and(|it| it.membership == Membership::Join)
        };
        let Some(space) = space.filter(joined) else {
            continue;
        };
        for child in now::of_type(view.s, space, "m.space.child")? {
            let is_child = child
                .content::<Content>()
                .is_some_and(|content| content.via.is_some());
            let key = child.state_key().unwrap_or_default();
            if is_child && let Ok(room) = <&ruma::RoomId>::try_from(&*key) {
                found.extend(view.s.room_no(room)?);
            }
        }
    }
    Ok(found)
}

fn tags(view: &View<'_>, user: UserNo, room: RoomNo) -> Result<HashSet<String>> {
    #[derive(Default, Deserialize)]
    struct Content {
        #[serde(default)]
        tags: BTreeMap<String, serde::de::IgnoredAny>,
    }
    let content = account_data::get(view.s, user, Some(room), account_data::TAGS)?;
    let content = content.and_then(|content| serde_json::from_str::<Content>(&content).ok());
    Ok(content.unwrap_or_default().tags.into_keys().collect())
}
