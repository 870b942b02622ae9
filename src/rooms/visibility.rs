//! Who may see which event: the only place that says so (client-server API, *Room history visibility*).
//!
//! A question needs a viewer, a room and an event to be asked. What was true at an event is read from the state before it, which
//! long runs of events share, so a page of messages costs little more than one message.

use std::cell::RefCell;

use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;
use store::{EventNo, RoomNo, Snapshot, StateKeyNo, UserNo};

use crate::dag::DUMMY;
use crate::error::{Error, Result};
use crate::members::{self, Standing};
use crate::membership::Membership;
use crate::state::At;
use crate::state::now;
use crate::state::trie::Root;
use crate::stored::Stored;

/// The values of `history_visibility`, the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum History {
    /// Members see what was said while they were in the room.
    Joined,
    /// As `Joined`, but from their invitation on.
    Invited,
    /// Members see everything said before they left.
    Shared,
    /// Everybody sees everything.
    WorldReadable,
}

impl History {
    /// The value that a word means; anything unreadable means `shared`.
    #[must_use]
    pub fn named(word: Option<&str>) -> Self {
        match word {
            Some("joined") => Self::Joined,
            Some("invited") => Self::Invited,
            Some("world_readable") => Self::WorldReadable,
            _ => Self::Shared,
        }
    }

    /// What an `m.room.history_visibility` event says; without one it is `shared`.
    #[must_use]
    pub fn of(event: Option<&Stored>) -> Self {
        #[derive(Deserialize)]
        struct Content {
            history_visibility: Option<String>,
        }
        let content = event.and_then(Stored::content::<Content>);
        Self::named(
            content
                .and_then(|content| content.history_visibility)
                .as_deref(),
        )
    }
}

/// Somebody looking at a room, or nobody in particular.
pub struct Viewer<'s> {
    s: &'s Snapshot,
    room: RoomNo,
    user: Option<UserNo>,
    standing: Option<Standing>,
    visibility_key: Option<StateKeyNo>,
    member_key: Option<StateKeyNo>,
    /// What was true in the state looked at last.
    memo: RefCell<Option<(Root, Then)>>,
    /// The values of the few visibility events of this room.
    values: RefCell<Vec<(EventNo, History)>>,
}

/// What was true before an event.
#[derive(Debug, Clone, Copy)]
struct Then {
    history: History,
    membership: Option<Membership>,
}

impl<'s> Viewer<'s> {
    /// A user looking at a room; without a user, somebody who is nothing to the room.
    pub fn new(s: &'s Snapshot, room: RoomNo, user: Option<UserNo>) -> Result<Self> {
        let standing = match user {
            Some(user) => members::standing(s, room, user)?,
            None => None,
        };
        let member_key = match user {
            Some(user) => s.state_key_no("m.room.member", s.user_id(user)?.as_str())?,
            None => None,
        };
        Ok(Self {
            s,
            room,
            user,
            standing,
            visibility_key: s.state_key_no("m.room.history_visibility", "")?,
            member_key,
            memo: RefCell::new(None),
            values: RefCell::default(),
        })
    }

    /// How the viewer stands to the room.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// Whether the viewer is in the room.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.standing.as_ref().is_some_and(Standing::is_joined)
    }

    /// Whether the viewer may look at the room at all: as a member, as somebody who once was one, or because everyone may.
    pub fn may_enter(&self) -> Result<bool> {
        Ok(self.was_here() || self.is_peekable()?)
    }

    /// As [`Viewer::may_enter`], as a demand.
    pub fn enter(&self) -> Result<()> {
        if self.may_enter()? {
            Ok(())
        } else {
            Err(Error::NotVisible(
                "not in the room, and the room is not open to everyone's eyes",
            ))
        }
    }

    /// The state that the viewer may read: the present one, or the one they left behind.
    pub fn state(&self) -> Result<At> {
        if self.is_joined() || self.is_peekable()? {
            return At::now(self.s, self.room);
        }
        match &self.standing {
            Some(Standing {
                left_at: Some(left),
                forgotten: false,
                ..
            }) => At::position(self.s, self.room, *left),
            _ => Err(Error::NotVisible("not in the room")),
        }
    }

    /// Whether the room is open to everyone's eyes now.
    pub fn is_peekable(&self) -> Result<bool> {
        let event = now::get(self.s, self.room, "m.room.history_visibility", "")?;
        Ok(History::of(event.as_ref()) == History::WorldReadable)
    }

    /// Whether the viewer may see this event.
    pub fn sees(&self, event: &Stored) -> Result<bool> {
        if event.room() != self.room || event.pos().is_none() || event.event_type() == DUMMY {
            return Ok(false);
        }
        let then = self.before(event)?;
        let history = self.history_around(event, then.history);
        if history == History::WorldReadable {
            return Ok(true);
        }
        let Some(standing) = &self.standing else {
            return Ok(false);
        };
        if standing.forgotten && !standing.is_joined() {
            return Ok(false);
        }
        if self.is_about_viewer(event) {
            return Ok(true);
        }
        Ok(match then.membership {
            Some(Membership::Join) => true,
            Some(Membership::Invite) if history == History::Invited => true,
            _ => history == History::Shared && joined_after(standing, event),
        })
    }

    /// The events among these that the viewer may see.
    pub fn filter(&self, mut events: Vec<Stored>) -> Result<Vec<Stored>> {
        let mut seen = Vec::with_capacity(events.len());
        for event in &events {
            seen.push(self.sees(event)?);
        }
        let mut seen = seen.into_iter();
        events.retain(|_| seen.next().unwrap_or(false));
        Ok(events)
    }

    /// What the viewer's membership was just before an event; for a state of theirs, just after.
    pub fn membership_at(&self, event: &Stored) -> Result<Option<Membership>> {
        if self.is_about_viewer(event) {
            return Ok(event.membership());
        }
        Ok(self.before(event)?.membership)
    }

    /// Forgotten rooms are as if one had never been there.
    fn was_here(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| {
            standing.is_joined() || (standing.left_at.is_some() && !standing.forgotten)
        })
    }

    /// One always hears what becomes of oneself.
    fn is_about_viewer(&self, event: &Stored) -> bool {
        self.member_key.is_some() && event.state_key_no() == self.member_key
    }

    /// An event that changes the visibility is seen by those who see it by the old or by the new one.
    fn history_around(&self, event: &Stored, before: History) -> History {
        if event.state_key_no().is_some() && event.state_key_no() == self.visibility_key {
            before.max(History::of(Some(event)))
        } else {
            before
        }
    }

    fn before(&self, event: &Stored) -> Result<Then> {
        let root = event.before();
        if let Some((known, then)) = *self.memo.borrow()
            && known == root
        {
            return Ok(then);
        }
        let at = At::before(event);
        let visibility = match self.visibility_key {
            Some(key) => at.find_key(self.s, key)?,
            None => None,
        };
        let then = Then {
            history: visibility.map_or(Ok(History::Shared), |event| self.value(event))?,
            membership: self.membership_in(&at)?,
        };
        *self.memo.borrow_mut() = Some((root, then));
        Ok(then)
    }

    fn membership_in(&self, at: &At) -> Result<Option<Membership>> {
        // Who has never had a standing was never mentioned in any state.
        let (Some(standing), Some(key)) = (&self.standing, self.member_key) else {
            return Ok(None);
        };
        match at.find_key(self.s, key)? {
            Some(event) if event == standing.event => Ok(Some(standing.membership)),
            Some(event) => Ok(Stored::get(self.s, event)?.membership()),
            None => Ok(None),
        }
    }

    fn value(&self, event: EventNo) -> Result<History> {
        let known = self
            .values
            .borrow()
            .iter()
            .find(|(no, _)| *no == event)
            .map(|(_, value)| *value);
        if let Some(value) = known {
            return Ok(value);
        }
        let value = History::of(Some(&Stored::get(self.s, event)?));
        self.values.borrow_mut().push((event, value));
        Ok(value)
    }

    /// Who looks.
    #[must_use]
    pub fn user(&self) -> Option<UserNo> {
        self.user
    }
}

/// Whether somebody was in the room at any time after an event.
fn joined_after(standing: &Standing, event: &Stored) -> bool {
    standing.is_joined()
        || standing
            .left_at
            .is_some_and(|left| event.pos().is_some_and(|pos| pos < left))
}

/// How many users of one server are looked at for one who may see an event.
const SERVER_USERS: usize = 10_000;

/// A server looking at a room that it is in (server-server API, *Retrieving events*; client-server API, *Room history
/// visibility*): it sees what any of its users may see.
pub struct ServerViewer<'s> {
    s: &'s Snapshot,
    room: RoomNo,
    server: OwnedServerName,
    /// The memberships of its users, looked up when first needed.
    members: RefCell<Option<Vec<StateKeyNo>>>,
    memo: RefCell<Option<(Root, bool)>>,
}

impl<'s> ServerViewer<'s> {
    /// A server that is in the room.
    #[must_use]
    pub fn new(s: &'s Snapshot, room: RoomNo, server: &ServerName) -> Self {
        Self {
            s,
            room,
            server: server.to_owned(),
            members: RefCell::default(),
            memo: RefCell::default(),
        }
    }

    /// Whether the server may see this event whole. Of an event that is known without its past nothing can be said, but that it
    /// is part of the state, or authorises it, which every server in the room may know.
    pub fn sees(&self, event: &Stored) -> Result<bool> {
        if event.room() != self.room {
            return Ok(false);
        }
        let sender = event.sender();
        let own = sender
            .split_once(':')
            .is_some_and(|(_, server)| server == self.server);
        if own || event.is_outlier() {
            return Ok(true);
        }
        let root = event.before();
        if let Some((known, sees)) = *self.memo.borrow()
            && known == root
        {
            return Ok(sees);
        }
        let sees = self.sees_at(&At::before(event))?;
        *self.memo.borrow_mut() = Some((root, sees));
        Ok(sees)
    }

    fn sees_at(&self, at: &At) -> Result<bool> {
        let event = at.get(self.s, "m.room.history_visibility", "")?;
        let history = History::of(event.as_ref());
        if matches!(history, History::Shared | History::WorldReadable) {
            return Ok(true);
        }
        if self.members.borrow().is_none() {
            let members = self.find_members()?;
            *self.members.borrow_mut() = Some(members);
        }
        for key in self.members.borrow().iter().flatten() {
            let Some(event) = at.find_key(self.s, *key)? else {
                continue;
            };
            match Stored::get(self.s, event)?.membership() {
                Some(Membership::Join) => return Ok(true),
                Some(Membership::Invite) if history == History::Invited => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    fn find_members(&self) -> Result<Vec<StateKeyNo>> {
        let mut keys = Vec::new();
        for membership in Membership::ALL {
            for member in members::list(self.s, self.room, membership) {
                let member = member?;
                if !member.remote || keys.len() >= SERVER_USERS {
                    continue;
                }
                let user = self.s.user_id(member.user)?;
                if user.server_name() == self.server {
                    keys.extend(self.s.state_key_no("m.room.member", user.as_str())?);
                }
            }
        }
        Ok(keys)
    }
}

/// Whether a server that is in the room may see an event whole.
pub fn server_may_see(
    s: &Snapshot,
    room: RoomNo,
    server: &ServerName,
    event: &Stored,
) -> Result<bool> {
    ServerViewer::new(s, room, server).sees(event)
}
