//! Which membership events go with an answer when a client loads members lazily, and what a room is called after.
//!
//! Client-server API, "Lazy-loading room members", and the room summary of `/sync`.

use std::collections::HashSet;

use rooms::Stored;
use rooms::members;
use rooms::state::At;
use rooms::summary;
use store::{EventNo, Pos, RoomNo, UserNo};

use crate::delta::{Moments, StateAt};
use crate::error::Result;
use crate::json::Writer;
use crate::lazy::Known;
use crate::view::View;
use crate::window::Window;

/// The memberships of these users at the moment up to which state is told, but for those that the client has been told or is
/// being told since they came to the room.
pub(crate) fn needed(
    view: &View<'_>,
    room: RoomNo,
    moments: &Moments,
    (at, window): (StateAt, &Window),
    users: impl IntoIterator<Item = UserNo>,
    known: Option<(&Known<'_>, Pos)>,
) -> Result<Vec<EventNo>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for user in users {
        if !seen.insert(user) {
            continue;
        }
        let last = membership(view, room, moments, moments.end, user)?;
        // Whatever the client finds in the timeline it applies to what was there before; what it does not find there, it
        // is told beside it.
        let in_timeline = at == StateAt::Start && last.is_some_and(|event| window.has(event));
        let event = if in_timeline {
            membership(view, room, moments, moments.start, user)?
        } else {
            last
        };
        let Some(event) = event else { continue };
        if known.is_none_or(|(known, stay)| !known.has(room, user, event, stay)) {
            found.push(event);
        }
    }
    Ok(found)
}

/// The membership event that a state of the room has for a user.
fn membership(
    view: &View<'_>,
    room: RoomNo,
    moments: &Moments,
    at: At,
    user: UserNo,
) -> Result<Option<EventNo>> {
    if moments.end_is_now && at == moments.end {
        return Ok(members::standing(view.s, room, user)?.map(|standing| standing.event));
    }
    let user_id = view.s.user_id(user)?;
    Ok(at.find(view.s, "m.room.member", user_id.as_str())?)
}

/// Notes which memberships are being told.
pub(crate) fn note(
    view: &View<'_>,
    room: RoomNo,
    told: &[&Stored],
    known: &Known<'_>,
) -> Result<()> {
    for event in told {
        if event.event_type() != "m.room.member" {
            continue;
        }
        let Some(key) = event.state_key() else {
            continue;
        };
        let Ok(user) = <&ruma::UserId>::try_from(&*key) else {
            continue;
        };
        if let Some(user) = view.s.user_no(user)? {
            known.add(room, user, event.no(), view.s.head());
        }
    }
    Ok(())
}

/// Who sent the events of a timeline.
pub(crate) fn senders(window: &Window) -> impl Iterator<Item = UserNo> + '_ {
    window.events.iter().map(|event| event.sender_no())
}

/// What a room is called after when it has no name.
pub(crate) struct Summary {
    joined: u64,
    invited: u64,
    heroes: Option<Vec<members::Member>>,
}

impl Summary {
    /// Of a room, for one of its members.
    pub(crate) fn of(view: &View<'_>, room: RoomNo, user: UserNo) -> Result<Self> {
        let row = summary::of(view.s, room)?;
        let named = [&row.name, &row.canonical_alias]
            .into_iter()
            .flatten()
            .any(|name| !name.is_empty());
        let heroes = if named {
            None
        } else {
            Some(members::heroes(view.s, room, user)?)
        };
        Ok(Self {
            joined: row.joined,
            invited: row.invited,
            heroes,
        })
    }

    /// How many have joined, and how many are invited.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.joined, self.invited)
    }

    /// After whom the room is called, if it has no name.
    pub(crate) fn heroes(&self) -> impl Iterator<Item = UserNo> + '_ {
        self.heroes.iter().flatten().map(|hero| hero.user)
    }

    /// Writes it.
    pub(crate) fn write(&self, view: &View<'_>, out: &mut Writer) -> Result<()> {
        out.open();
        if let Some(heroes) = &self.heroes {
            out.key("m.heroes");
            out.open_list();
            for hero in heroes {
                out.item();
                out.string(view.s.user_id(hero.user)?.as_str());
            }
            out.close_list();
        }
        out.key("m.invited_member_count");
        out.number(self.invited);
        out.key("m.joined_member_count");
        out.number(self.joined);
        out.close();
        Ok(())
    }
}

/// Whether what a summary says may have changed with these events.
pub(crate) fn changes_summary(event: &Stored) -> bool {
    event.is_state()
        && matches!(
            &*event.event_type(),
            "m.room.member" | "m.room.name" | "m.room.canonical_alias"
        )
}

/// Whether a user was in a room at some moment.
pub(crate) fn was_joined(view: &View<'_>, at: At, user_id: &ruma::UserId) -> Result<bool> {
    let Some(event) = at.find(view.s, "m.room.member", user_id.as_str())? else {
        return Ok(false);
    };
    Ok(view.event(event)?.membership() == Some(rooms::Membership::Join))
}
