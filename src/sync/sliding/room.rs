//! A room in an answer that the user is in. Other ones are in `outside.rs`.

use std::collections::HashSet;
use std::sync::Arc;

use rooms::members::{self as standings, Standing};
use rooms::state::At;
use rooms::summary::{self, Summary as Shown};
use rooms::{Stored, receipts};
use ruma::UserId;
use store::{Pos, RoomNo, UserNo};

use super::answer::Builder;
use super::wanted::Wanted;
use crate::bells::RoomMarks;
use crate::client_form::{Form, Reader, Stay};
use crate::delta::{self, Known, Members, Moments, StateAt};
use crate::error::Result;
use crate::json::Writer;
use crate::members::{self, Summary};
use crate::sight::Sight;
use crate::token::Place;
use crate::unread::{self, RoomUnread, Rules};
use crate::window::{self, Keep, Window};

/// A room that may be told.
pub(super) struct Visit<'a> {
    pub(super) room: RoomNo,
    pub(super) standing: &'a Standing,
    /// What it is sorted by.
    pub(super) stamp: Pos,
    /// Up to where the client knows it; none if it does not.
    pub(super) from: Option<Pos>,
    /// What has changed since then; nothing is known if none.
    pub(super) marks: Option<RoomMarks>,
    /// Whether the last answer told of it, too, as far as there was anything to tell.
    pub(super) was_live: bool,
    pub(super) limit: usize,
    /// Whether the client wants more events than it has.
    pub(super) grows: bool,
    pub(super) want: &'a Wanted,
    /// State that it wants and has not been told.
    pub(super) added: Wanted,
}

/// What a telling means for what the client has.
pub(super) struct Seen {
    /// Whether there may be events between what it had and what it was told.
    pub(super) has_gap: bool,
    /// Whether it was told of any state, or of events that may have set some.
    pub(super) has_state: bool,
}

/// A timeline, and the state up to its end.
pub(super) struct Piece {
    pub(super) window: Window,
    pub(super) state: Vec<Arc<Stored>>,
}

impl Builder<'_> {
    /// Tells a room that the user is in. Says nothing if there is nothing to tell.
    pub(super) fn joined(&mut self, visit: &Visit<'_>) -> Result<Option<Seen>> {
        let room = visit.room;
        let window = self.window(visit)?;
        let piece = self.piece(visit, window)?;
        let Piece { window, state } = &piece;
        let is_wide = visit.from.is_none() || window.limited || window.hidden || visit.grows;
        let unread = self.unread(visit)?;
        let is_due = visit.from.is_none()
            || visit.grows
            || window.limited
            || !window.events.is_empty()
            || !state.is_empty()
            || !visit.was_live
            || self.has_read(visit)?
            || (window.hidden && visit.from.is_none_or(|from| unread.changed > from));
        if !is_due {
            return Ok(None);
        }
        let mut out = Writer::with_capacity(1024);
        self.write_head(&mut out, visit, is_wide, &piece)?;
        self.write_piece(&mut out, visit.standing, &piece, !window.hidden)?;
        if visit.grows {
            for name in ["expanded_timeline", "unstable_expanded_timeline"] {
                out.key(name);
                out.boolean(true);
            }
        }
        let since = self.since_pos();
        let is_live = |event: &&Arc<Stored>| event.pos().is_some_and(|pos| pos > since);
        let live = if self.since.is_some() {
            window.events.iter().filter(is_live).count()
        } else {
            0
        };
        out.key("num_live");
        out.number(live as u64);
        let all = unread.all();
        write_counts(&mut out, all.notify, all.highlight);
        self.add(room, out)?;
        if visit.from.is_none() || visit.grows {
            let events = window.events.iter();
            let ids: HashSet<String> = events.map(|event| event.event_id().to_owned()).collect();
            self.shown.insert(room, ids);
        }
        Ok(Some(Seen {
            has_gap: window.limited,
            has_state: !window.is_void(),
        }))
    }

    /// Adds a room, whose object has been written without its braces.
    pub(super) fn add(&mut self, room: RoomNo, object: Writer) -> Result<()> {
        self.rooms.any_key(self.view.s.room_id(room)?.as_str());
        self.rooms.open();
        self.rooms.raw(&object.into_text());
        self.rooms.close();
        Ok(())
    }

    /// The newest events that the client does not have and that the user may see.
    fn window(&self, visit: &Visit<'_>) -> Result<Window> {
        let is_silent = visit.marks.is_some_and(|marks| marks.event == Pos::ZERO);
        if is_silent && visit.from.is_some() && !visit.grows {
            return Ok(Window::empty(self.head()));
        }
        let after = visit.from.filter(|_| !visit.grows).unwrap_or(Pos::ZERO);
        let sight = Sight::here(self.view.s, visit.room, self.viewer.user, visit.standing);
        self.newest(visit.room, (after, self.head()), visit.limit, &sight)
    }

    /// The newest events of a stretch that the user may see.
    pub(super) fn newest(
        &self,
        room: RoomNo,
        stretch: (Pos, Pos),
        limit: usize,
        sight: &Sight<'_>,
    ) -> Result<Window> {
        let mut keep = |event: &Stored| -> Result<Keep> {
            Ok(if !sight.sees(event)? {
                Keep::Unseen
            } else if self.viewer.ignores(event) {
                Keep::No
            } else {
                Keep::Yes
            })
        };
        window::newest(self.view, room, stretch, limit, &mut keep)
    }

    /// The timeline with the state that goes with it.
    fn piece(&self, visit: &Visit<'_>, window: Window) -> Result<Piece> {
        let (room, want, me) = (visit.room, visit.want, &*self.viewer.user_id);
        let mut numbers = visit.added.now(self.view, room, me)?;
        let is_silent = visit.from.is_some() && window.is_void();
        if want.is_empty() || (is_silent && !visit.grows) {
            let state = delta::read(self.view, numbers)?;
            return Ok(Piece { window, state });
        }
        let end = At::now(self.view.s, room)?;
        let known = match visit.from {
            None => Known::Nothing,
            Some(from) if window.limited || window.hidden || visit.grows => {
                Known::Then(At::position(self.view.s, room, from)?)
            }
            Some(_) => Known::Then(window.events.first().map_or(end, |first| At::before(first))),
        };
        let moments = Moments::new(known, &window, end, true);
        match moments.known {
            Known::Nothing => numbers.extend(want.now(self.view, room, me)?),
            Known::Then(_) => {
                let changed = self.changed(room, &moments, &window, want)?;
                numbers.extend(changed.iter().map(|event| event.no()));
            }
        }
        if want.is_lazy() && !want.has_all_members() {
            // Who is told the room anew may have forgotten whom they knew.
            let stay = visit.standing.joined_at.unwrap_or_default();
            let known = visit.from.map(|_| (&self.known, stay));
            let seen = self.seen(&window)?;
            let at = (StateAt::End, &window);
            numbers.extend(members::needed(self.view, room, &moments, at, seen, known)?);
        }
        let state = delta::read(self.view, numbers)?;
        if want.is_lazy() {
            let told: Vec<&Stored> = state.iter().map(|event| &**event).collect();
            members::note(self.view, room, &told, &self.known)?;
        }
        Ok(Piece { window, state })
    }

    /// The state that has changed, as far as it is wanted. Of members who are told as they are seen, all who changed: who they
    /// were may have been told.
    pub(super) fn changed(
        &self,
        room: RoomNo,
        moments: &Moments,
        window: &Window,
        want: &Wanted,
    ) -> Result<Vec<Arc<Stored>>> {
        let at = StateAt::End;
        let numbers = delta::delta(self.view, room, moments, window, at, Members::Changed)?;
        let mut changed = delta::read(self.view, numbers)?;
        let (is_lazy, me) = (want.is_lazy(), &*self.viewer.user_id);
        changed.retain(|event| {
            let kind = event.event_type();
            let key = event.state_key().unwrap_or_default();
            (is_lazy && kind == "m.room.member") || want.has(&kind, &key, me)
        });
        Ok(changed)
    }

    /// Who is seen in a timeline: those who sent something, and those whose membership changed.
    fn seen(&self, window: &Window) -> Result<Vec<UserNo>> {
        let mut seen: Vec<UserNo> = members::senders(window).collect();
        for event in window.events.iter().filter(|event| event.is_state()) {
            if event.event_type() == "m.room.member"
                && let Some(key) = event.state_key()
                && let Ok(user) = <&UserId>::try_from(&*key)
            {
                seen.extend(self.view.s.user_no(user)?);
            }
        }
        Ok(seen)
    }

    /// What a room is called and how many are in it, where that may have changed.
    fn write_head(
        &self,
        out: &mut Writer,
        visit: &Visit<'_>,
        is_wide: bool,
        piece: &Piece,
    ) -> Result<()> {
        let room = visit.room;
        out.key("bump_stamp");
        out.number(visit.stamp.get());
        if visit.from.is_none() {
            out.key("initial");
            out.boolean(true);
        }
        if self.index.is_dm(room) {
            out.key("is_dm");
            out.boolean(true);
        }
        let mut told = piece.window.events.iter().chain(&piece.state);
        let is_about = |event: &Arc<Stored>| {
            members::changes_summary(event)
                || (event.is_state() && event.event_type() == "m.room.avatar")
        };
        if !is_wide && !told.any(is_about) {
            return Ok(());
        }
        let shown = summary::of(self.view.s, room)?;
        let summary = Summary::of(self.view, room, self.viewer.user)?;
        out.key("avatar");
        match &shown.avatar_url {
            Some(url) => out.string(url),
            None => out.raw("null"),
        }
        let (joined, invited) = summary.counts();
        let heroes: Vec<UserNo> = summary.heroes().collect();
        let name = self.write_heroes(out, room, &heroes, joined + invited)?;
        let Shown {
            name: own,
            canonical_alias,
            ..
        } = shown;
        out.key("name");
        out.string(&own.or(canonical_alias).unwrap_or(name));
        out.key("invited_count");
        out.number(invited);
        out.key("joined_count");
        out.number(joined);
        Ok(())
    }

    /// Writes those after whom a room is called, and says how (client-server API, "Calculating the display name for a room").
    fn write_heroes(
        &self,
        out: &mut Writer,
        room: RoomNo,
        heroes: &[UserNo],
        all: u64,
    ) -> Result<String> {
        if heroes.is_empty() {
            return Ok("Empty room".to_owned());
        }
        let mut names = Vec::with_capacity(heroes.len());
        out.key("heroes");
        out.open_list();
        for hero in heroes {
            let user_id = self.view.s.user_id(*hero)?;
            let standing = standings::standing(self.view.s, room, *hero)?;
            out.item();
            out.open();
            let (mut name, mut avatar) = (None, None);
            if let Some(standing) = standing {
                (name, avatar) = (standing.display_name, standing.avatar_url);
            }
            if let Some(avatar) = &avatar {
                out.key("avatar_url");
                out.string(avatar);
            }
            if let Some(name) = &name {
                out.key("displayname");
                out.string(name);
            }
            out.key("user_id");
            out.string(user_id.as_str());
            out.close();
            names.push(name.unwrap_or_else(|| user_id.to_string()));
        }
        out.close_list();
        Ok(called_after(&names, all))
    }

    /// Writes timeline and state.
    pub(super) fn write_piece(
        &self,
        out: &mut Writer,
        standing: &Standing,
        piece: &Piece,
        is_newest: bool,
    ) -> Result<()> {
        let Piece { window, state } = piece;
        let stay = Stay::of(self.view.s, &self.viewer, Some(standing))?;
        let reader = Reader {
            view: self.view,
            viewer: &self.viewer,
            stay: &stay,
            form: Form::default(),
        };
        out.key("required_state");
        out.open_list();
        for event in state {
            out.item();
            reader.write(out, event, None)?;
        }
        out.close_list();
        out.key("timeline");
        out.open_list();
        reader.write_all(out, &window.events, is_newest)?;
        out.close_list();
        out.key("limited");
        out.boolean(window.limited);
        out.key("prev_batch");
        out.string(&Place(window.from).to_string());
        Ok(())
    }

    /// Whether the user has read something since.
    fn has_read(&self, visit: &Visit<'_>) -> Result<bool> {
        let Some(from) = visit.from else {
            return Ok(true);
        };
        if visit.marks.is_some_and(|marks| marks.receipt == Pos::ZERO) {
            return Ok(false);
        }
        let own = receipts::of_user(self.view.s, visit.room, self.viewer.user)?;
        Ok(own.iter().any(|receipt| receipt.pos > from))
    }

    fn unread(&mut self, visit: &Visit<'_>) -> Result<RoomUnread> {
        let rules = match self.rules.take() {
            Some(rules) => rules,
            None => Rules::of(self.sync, &self.viewer)?,
        };
        // A room that is visited without being marked may have been read while it was out of sight.
        let known = self.marks.as_ref().and_then(|marks| {
            let mut rooms = marks.rooms.iter();
            let (_, found) = rooms.find(|(room, _)| *room == visit.room)?;
            Some((found.receipt, marks.reach))
        });
        let place = unread::Place {
            room: visit.room,
            standing: visit.standing,
            receipts: known,
        };
        let unread = self.sync.count(self.view, &self.viewer, &rules, place)?;
        self.rules = Some(rules);
        Ok(unread)
    }
}

/// Writes how much is unread.
pub(super) fn write_counts(out: &mut Writer, notifications: u64, highlights: u64) {
    out.key("highlight_count");
    out.number(highlights);
    out.key("notification_count");
    out.number(notifications);
}

/// The name of a room that has none, after some of `all` its people, who count oneself.
fn called_after(names: &[String], all: u64) -> String {
    let others = all.saturating_sub(1);
    let left = others.saturating_sub(names.len() as u64);
    let said = match names {
        [one] if left == 0 => one.clone(),
        [first @ .., last] if left == 0 => format!("{} and {last}", first.join(", ")),
        names => format!("{} and {left} others", names.join(", ")),
    };
    if others == 0 {
        format!("Empty room (was {said})")
    } else {
        said
    }
}

#[cfg(test)]
mod tests {
    use super::called_after;

    #[test]
    fn rooms_are_called_after_people() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(called_after(&names(&["Ann"]), 2), "Ann");
        assert_eq!(called_after(&names(&["Ann", "Bob"]), 3), "Ann and Bob");
        assert_eq!(
            called_after(&names(&["Ann", "Bob", "Cy"]), 4),
            "Ann, Bob and Cy"
        );
        assert_eq!(
            called_after(&names(&["Ann", "Bob"]), 10),
            "Ann, Bob and 7 others"
        );
        assert_eq!(called_after(&names(&["Ann"]), 1), "Empty room (was Ann)");
    }
}
