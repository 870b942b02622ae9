//! `POST /_matrix/client/v3/search`

use std::collections::{BTreeMap, BTreeSet};

use rooms::search::{self, Page, Wanted};
use rooms::state::now;
use rooms::{Membership, Pos, RoomNo, Snapshot, Stored, members};
use ruma::api::client::search::search_events::v3::{
    Criteria, EventContext, GroupingKey, Request, SearchKeys,
};
use ruma::{OwnedRoomId, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use sync::Sync;
use sync::client_form::Viewer;
use sync::filter::Events;
use web::{Authed, JsonBytes, Matrix, Reply};

use super::context::{Context, around};
use crate::reading::{Reading, Result};
use crate::{App, json};

/// How many results an answer has that asks for no number, and at most.
const SOME: usize = 10;
const MOST: usize = 100;
/// How many events around a result are told at most, in each direction.
const MOST_AROUND: usize = 20;

#[derive(Serialize)]
struct Answer {
    search_categories: Categories,
}

#[derive(Serialize)]
struct Categories {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_events: Option<Results>,
}

#[derive(Serialize)]
struct Results {
    count: usize,
    highlights: Vec<String>,
    results: Vec<Found>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    state: BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, BTreeMap<String, Group>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

#[derive(Serialize)]
struct Found {
    rank: f64,
    result: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Surroundings>,
}

/// What was said around a result.
#[derive(Serialize)]
struct Surroundings {
    #[serde(flatten)]
    around: Context,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_info: Option<BTreeMap<String, Profile>>,
}

#[derive(Serialize)]
struct Profile {
    displayname: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Serialize, Default)]
struct Group {
    results: Vec<String>,
    order: usize,
}

/// Searches what was said in the rooms the user is or was in.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let Some(criteria) = ask.search_categories.room_events else {
        return json::answer(&Answer {
            search_categories: Categories { room_events: None },
        });
    };
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let results = app.read(move |s| {
        let from = ask.next_batch.as_deref().filter(|batch| !batch.is_empty());
        let from = from.map(Mark::read).transpose()?.unwrap_or_default();
        Search {
            s,
            sync: &sync,
            reader: &reader,
        }
        .answer(criteria, from)
    });
    json::answer(&Answer {
        search_categories: Categories {
            room_events: Some(results.await?),
        },
    })
}

/// Where a search goes on, and how many results came before: a place and a number.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    place: Option<Pos>,
    before: usize,
}

impl Mark {
    fn read(text: &str) -> Result<Self> {
        let (place, before) = text.split_once('.').unwrap_or((text, "0"));
        let before = before
            .parse()
            .map_err(|_| web::Error::invalid_param("this is no next_batch of a search"))?;
        Ok(Self {
            place: Some(Reading::place(place)?),
            before,
        })
    }
}

/// A search at one moment.
struct Search<'s> {
    s: &'s Snapshot,
    sync: &'s Sync,
    reader: &'s Viewer,
}

impl<'s> Search<'s> {
    fn answer(&self, criteria: Criteria, from: Mark) -> Result<Results> {
        let page = self.find(&criteria, from.place)?;
        let before = from.before.saturating_add(page.events.len());
        let with_context = &criteria.event_context;
        let mut results = Vec::with_capacity(page.events.len());
        for event in &page.events {
            results.push(self.found(event, with_context)?);
        }
        let keys: Vec<GroupingKey> = criteria
            .groupings
            .group_by
            .into_iter()
            .filter_map(|grouping| grouping.key)
            .collect();
        Ok(Results {
            count: before.saturating_add(page.more),
            groups: self.groups(&page.events, &keys)?,
            state: if criteria.include_state == Some(true) {
                self.state(&page.events)?
            } else {
                BTreeMap::new()
            },
            highlights: page.words,
            results,
            next_batch: page
                .next
                .map(|next| format!("{}.{before}", sync::token::Place(next))),
        })
    }

    fn find(&self, criteria: &Criteria, from: Option<Pos>) -> Result<Page> {
        let has = |key: &SearchKeys| criteria.keys.as_ref().is_none_or(|keys| keys.contains(key));
        let filter_limit = criteria
            .filter
            .limit
            .map(|limit| usize::try_from(u64::from(limit)).unwrap_or(MOST));
        let wanted = Wanted {
            term: criteria.search_term.clone(),
            bodies: has(&SearchKeys::ContentBody),
            names: has(&SearchKeys::ContentName),
            topics: has(&SearchKeys::ContentTopic),
            from,
            limit: filter_limit.unwrap_or(SOME).min(MOST),
        };
        let filter = Events::from(criteria.filter.clone());
        let rooms = self.rooms(&filter)?;
        let is_wanted = |event: &Stored| filter.has_event(event) && !self.reader.ignores(event);
        Ok(search::search(
            self.s,
            self.reader.user,
            &rooms,
            &wanted,
            is_wanted,
        )?)
    }

    /// The rooms to search: those the user is or was in, and the rooms that these took the place of.
    fn rooms(&self, filter: &Events) -> Result<Vec<RoomNo>> {
        let mut rooms = BTreeSet::new();
        for entry in members::rooms(self.s, self.reader.user) {
            let (room, standing) = entry?;
            let was_here = standing.membership == Membership::Join || standing.left_at.is_some();
            if was_here && !standing.forgotten && filter.has_room(&self.s.room_id(room)?) {
                rooms.insert(room);
            }
        }
        Ok(rooms.into_iter().collect())
    }

    fn found(&self, event: &Stored, with: &EventContext) -> Result<Found> {
        let room_id = self.s.room_id(event.room())?;
        let reading = Reading::open(self.s, self.sync, self.reader, &room_id)?;
        let result = reading
            .write(&[event.no()])?
            .pop()
            .ok_or(rooms::Error::NoSuchEvent)?;
        let number = |limit: ruma::UInt| {
            usize::try_from(u64::from(limit))
                .unwrap_or(MOST_AROUND)
                .min(MOST_AROUND)
        };
        let around = around(
            &reading,
            event,
            &Events::default(),
            (number(with.before_limit), number(with.after_limit)),
        )?;
        let profile_info = if with.include_profile {
            let speakers = std::iter::once(event).chain(around.events());
            Some(profiles(self.s, event.room(), speakers)?)
        } else {
            None
        };
        Ok(Found {
            rank: 1.0,
            result,
            context: Some(Surroundings {
                around: around.written(&reading)?,
                profile_info,
            }),
        })
    }

    fn groups(
        &self,
        events: &[Stored],
        keys: &[GroupingKey],
    ) -> Result<BTreeMap<String, BTreeMap<String, Group>>> {
        let mut groups: BTreeMap<String, BTreeMap<String, Group>> = BTreeMap::new();
        for key in keys {
            let by_name = groups.entry(key.to_string()).or_default();
            for event in events {
                let name = match key {
                    GroupingKey::RoomId => self.s.room_id(event.room())?.to_string(),
                    GroupingKey::Sender => event.sender().into_owned(),
                    _ => continue,
                };
                let order = by_name.len();
                let group = by_name.entry(name).or_insert_with(|| Group {
                    results: Vec::new(),
                    order,
                });
                group.results.push(event.event_id().to_owned());
            }
        }
        Ok(groups)
    }

    fn state(&self, events: &[Stored]) -> Result<BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>> {
        let rooms: BTreeSet<RoomNo> = events.iter().map(Stored::room).collect();
        let mut state = BTreeMap::new();
        for room in rooms {
            let room_id = self.s.room_id(room)?;
            let reading = Reading::open(self.s, self.sync, self.reader, &room_id)?;
            let events: Vec<_> = reading
                .state()?
                .all(self.s)?
                .into_iter()
                .map(|(_, event)| event)
                .collect();
            state.insert(room_id, reading.write(&events)?);
        }
        Ok(state)
    }
}

fn profiles<'e>(
    s: &Snapshot,
    room: RoomNo,
    events: impl Iterator<Item = &'e Stored>,
) -> Result<BTreeMap<String, Profile>> {
    let mut profiles = BTreeMap::new();
    for event in events {
        let sender = event.sender();
        let Ok(user) = <&UserId>::try_from(&*sender) else {
            continue;
        };
        if profiles.contains_key(&*sender) {
            continue;
        }
        let known = now::find(s, room, "m.room.member", user.as_str())?.is_some();
        let standing = if known {
            members::standing_of(s, room, user)?
        } else {
            None
        };
        let profile = standing.map(|standing| Profile {
            displayname: standing.display_name,
            avatar_url: standing.avatar_url,
        });
        profiles.insert(
            sender.into_owned(),
            profile.unwrap_or(Profile {
                displayname: None,
                avatar_url: None,
            }),
        );
    }
    Ok(profiles)
}
