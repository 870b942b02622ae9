//! The directory of public rooms (client-server API, *Listing rooms*).

use ruma::{RoomId, UserId};
use serde::Serialize;
use store::{Order, RoomNo, Snapshot, tables};

use crate::Rooms;
use crate::aliases;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::members;
use crate::shown::ShownRoom;
use crate::summary::Summary;

/// Which rooms are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only those with this in their name, topic or alias.
    pub term: Option<String>,
    /// Only those of these types; `None` among them stands for rooms without a type.
    pub room_types: Option<Vec<Option<String>>>,
    /// How many to pass over.
    pub skip: usize,
    /// How many at most.
    pub limit: usize,
}

/// Listed rooms, those with the most members first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rooms.
    pub rooms: Vec<(RoomNo, Summary)>,
    /// How many there are beyond those passed over and these.
    pub more: usize,
    /// How many fit in all.
    pub total: usize,
}

/// How many rooms a list has that was asked for no number, and at most.
const SOME: usize = 100;
const MOST: usize = 500;

impl Wanted {
    /// Which page is wanted: the token of the one before, if there was one, and how many rooms.
    ///
    /// # Errors
    /// If the token is none of ours.
    pub fn turn_to(&mut self, since: Option<&str>, limit: Option<u64>) -> Result<()> {
        let bad = || Error::BadParameter("since is not a token of this server".to_owned());
        self.skip = since
            .filter(|since| !since.is_empty())
            .map_or(Ok(0), |since| since.parse().map_err(|_| bad()))?;
        let wanted = limit.map_or(SOME, |limit| usize::try_from(limit).unwrap_or(MOST));
        self.limit = wanted.min(MOST);
        Ok(())
    }
}

/// A page of the list as it is shown, to clients and to other servers.
#[derive(Debug, Serialize)]
pub struct Shown {
    chunk: Vec<ShownRoom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: usize,
}

/// The listed rooms as they are shown.
pub fn shown(s: &Snapshot, wanted: &Wanted) -> Result<Shown> {
    let page = list(s, wanted)?;
    let shown = page.rooms.len();
    let chunk = page
        .rooms
        .into_iter()
        .map(|(room, summary)| Ok(ShownRoom::of(s.room_id(room)?, summary)));
    Ok(Shown {
        chunk: chunk.collect::<Result<_>>()?,
        next_batch: (page.more > 0 && shown > 0).then(|| (wanted.skip + shown).to_string()),
        prev_batch: (wanted.skip > 0).then(|| wanted.skip.saturating_sub(wanted.limit).to_string()),
        total_room_count_estimate: page.total,
    })
}

/// The listed rooms.
pub fn list(s: &Snapshot, wanted: &Wanted) -> Result<Page> {
    let listed: Vec<RoomNo> = s
        .scan(tables::DIRECTORY, .., Order::Forward)
        .map(|row| Ok(row?.0))
        .collect::<Result<_>>()?;
    let summaries = s.get_many(tables::SUMMARIES, &listed)?;
    let term = wanted.term.as_ref().map(|term| term.to_lowercase());
    let mut fitting: Vec<(RoomNo, Summary)> = listed
        .into_iter()
        .zip(summaries)
        .filter_map(|(room, summary)| Some((room, summary?)))
        .filter(|(_, summary)| fits(summary, term.as_deref(), wanted.room_types.as_deref()))
        .collect();
    fitting.sort_by_key(|(room, summary)| (std::cmp::Reverse(summary.joined), *room));
    let total = fitting.len();
    let rooms: Vec<_> = fitting
        .into_iter()
        .skip(wanted.skip)
        .take(wanted.limit)
        .collect();
    Ok(Page {
        more: total.saturating_sub(wanted.skip.saturating_add(rooms.len())),
        rooms,
        total,
    })
}

fn fits(summary: &Summary, term: Option<&str>, room_types: Option<&[Option<String>]>) -> bool {
    let has = |text: &Option<String>, term: &str| {
        text.as_ref()
            .is_some_and(|text| text.to_lowercase().contains(term))
    };
    let found = term.is_none_or(|term| {
        has(&summary.name, term) || has(&summary.topic, term) || has(&summary.canonical_alias, term)
    });
    found && room_types.is_none_or(|types| types.contains(&summary.room_type))
}

/// Whether a room is listed.
pub fn is_listed(s: &Snapshot, room: RoomNo) -> Result<bool> {
    Ok(s.contains(tables::DIRECTORY, &room)?)
}

impl Rooms {
    /// Lists a room in the directory, or takes it out: by those who may set its canonical alias, or by an administrator.
    pub async fn publish(
        &self,
        room_id: &RoomId,
        by: &UserId,
        listed: bool,
        is_admin: bool,
    ) -> Result<()> {
        let (room_id, by) = (room_id.to_owned(), by.to_owned());
        let publish = move |tx: &mut store::Tx| {
            let room = members::room(tx, &room_id)?;
            if !is_admin && !aliases::may_name(tx, room, &by)? {
                return Err(Error::Forbidden(
                    "not enough power to list this room".to_owned(),
                ));
            }
            if listed {
                tx.put(tables::DIRECTORY, &room, &())?;
            } else {
                tx.delete(tables::DIRECTORY, &room);
            }
            Ok(())
        };
        self.store().write(publish).await?;
        Ok(())
    }
}

impl Composer {
    /// Lists the room on the desk in the place of another one, if that was listed.
    pub(crate) fn take_listing(&mut self, from: RoomNo, to: RoomNo) -> Result<()> {
        if is_listed(&self.tx, from)? {
            self.tx.delete(tables::DIRECTORY, &from);
            self.tx.put(tables::DIRECTORY, &to, &())?;
        }
        Ok(())
    }
}
