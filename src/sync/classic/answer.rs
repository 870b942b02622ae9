//! One answer, built from one snapshot: which rooms are in it, and everything beside the rooms. The rooms are in `room.rs`.

use std::collections::HashMap;

use rooms::members::{self, Standing};
use rooms::{Membership, summary};
use ruma::presence::PresenceState;
use store::{Pos, RoomNo, Snapshot, UserNo};
use users::account_data::{self, Piece};
use users::{presence, to_device};

use super::{Ask, Body};
use crate::Sync;
use crate::bells::{Marks, RoomMarks};
use crate::client_form::{self, Viewer};
use crate::devices::{self, Moves, Neighbours};
use crate::error::Result;
use crate::filter::Lazy;
use crate::json::Writer;
use crate::lazy::{End, Known};
use crate::scope::Scope;
use crate::token::{Token, TypingSeen};
use crate::unread::Rules;
use crate::view::View;

/// Messages to a device that are told at once.
const TO_DEVICE: usize = 100;
/// Whose presence is told to somebody who comes: members of rooms up to this size. Of others one hears when it changes.
const SMALL_ROOM: u64 = 200;

/// An answer, and whether there is any reason to give it before the client's time is up.
pub(crate) struct Answer {
    pub(crate) body: Body,
    pub(crate) is_due: bool,
    /// Whether it tells the device of something that the device itself has just sent.
    pub(crate) echoes: bool,
    /// What it told of members belongs to this chain of answers, and it ends here.
    pub(crate) chain: Option<(u64, End)>,
}

/// The rooms of an answer, by how the user stands to them.
#[derive(Default)]
pub(super) struct Sections {
    pub(super) join: Writer,
    pub(super) invite: Writer,
    pub(super) knock: Writer,
    pub(super) leave: Writer,
}

/// An answer under construction.
pub(super) struct Builder<'a> {
    pub(super) sync: &'a Sync,
    pub(super) ask: &'a Ask,
    pub(super) view: View<'a>,
    pub(super) viewer: Viewer,
    pub(super) since: Option<Token>,
    /// What may have changed; none if everything may.
    pub(super) marks: Option<Marks>,
    pub(super) rules: Option<Rules>,
    /// Which members the device has been told, if it loads them lazily.
    pub(super) known: Option<Known<'a>>,
    /// Account data of rooms, changed or all.
    pub(super) room_data: HashMap<RoomNo, Vec<Piece>>,
    pub(super) typing: Typing,
    pub(super) moves: Moves,
    pub(super) sections: Sections,
    neighbours: Neighbours,
}

/// What there is to tell of who is typing.
pub(super) struct Typing {
    /// The version that is told up to.
    version: u64,
    /// The rooms to tell of; none if of all that the user is in.
    rooms: Option<Vec<RoomNo>>,
    /// Whether anything is told at all.
    pub(super) told: bool,
    /// Whether somebody is told to be typing.
    pub(super) somebody: bool,
}

impl Typing {
    fn of(sync: &Sync, since: Option<Token>) -> Self {
        let typing = sync.inner().rooms.typing();
        // The version comes first: what changes meanwhile is told twice, and not never.
        let version = typing.version();
        let rooms = match since {
            None => Some(typing.active()),
            Some(Token { typing: seen, .. }) if seen.epoch == sync.inner().epoch => {
                let unchanged = seen.version == version;
                Some(if unchanged {
                    Vec::new()
                } else {
                    typing.changed_rooms(seen.version)
                })
            }
            Some(Token {
                typing: TypingSeen { somebody: true, .. },
                ..
            }) => None,
            Some(_) => Some(typing.active()),
        };
        Self {
            version,
            rooms,
            told: false,
            somebody: false,
        }
    }

    /// Whether a room has to be told of.
    pub(super) fn is_due(&self, room: RoomNo) -> bool {
        self.rooms
            .as_ref()
            .is_none_or(|rooms| rooms.contains(&room))
    }
}

/// Builds the answer to a question.
pub(crate) fn build(sync: &Sync, ask: &Ask, snapshot: &Snapshot, scope: Scope) -> Result<Answer> {
    let head = snapshot.head();
    let since = ask.since(head);
    let narrowed = scope.narrow(sync, ask.user, since.map(|since| since.pos), head)?;
    let marks = narrowed.marks().cloned();
    let chain = since.map(|since| (since.pos, 0));
    let lazily = ask.filter.lazy != Lazy::No;
    let known = lazily.then(|| sync.inner().told.known(ask.user, &ask.device, chain));
    let viewer = Viewer {
        user: ask.user,
        user_id: ask.user_id.clone(),
        device: Some(ask.device.clone()),
        ignored: sync.inner().users.ignored_by(ask.user)?,
    };
    let mut builder = Builder {
        sync,
        ask,
        view: sync.view(snapshot),
        viewer,
        since,
        marks,
        rules: None,
        known,
        room_data: HashMap::new(),
        typing: Typing::of(sync, since),
        moves: Moves::default(),
        sections: Sections::default(),
        neighbours: Neighbours::default(),
    };
    builder.build()
}

impl Builder<'_> {
    fn build(&mut self) -> Result<Answer> {
        let mut out = Writer::with_capacity(512);
        out.open();
        let mut is_due = self.since.is_none() || self.ask.full_state;
        is_due |= self.account_data(&mut out)?;
        self.rooms()?;
        is_due |= self.write_rooms(&mut out);
        is_due |= self.device_lists(&mut out)?;
        is_due |= self.presence(&mut out)?;
        let to_device = self.to_device(&mut out)?;
        is_due |= to_device.is_some();
        is_due |= self.key_counts(&mut out)?;
        out.key("next_batch");
        out.string(&self.next_batch(to_device)?.to_string());
        out.close();
        let chain = self
            .known
            .as_ref()
            .map(|known| (known.chain(), (self.head(), 0)));
        Ok(Answer {
            body: out.into_bytes(),
            is_due,
            echoes: self.since.is_some() && self.view.echoed.get(),
            chain,
        })
    }

    pub(super) fn head(&self) -> Pos {
        self.view.s.head()
    }

    fn since_pos(&self) -> Pos {
        self.since.map_or(Pos::ZERO, |since| since.pos)
    }

    /// Whether something of the user's own may have changed.
    fn may(&self, mark: impl FnOnce(&Marks) -> Pos) -> bool {
        self.marks
            .as_ref()
            .is_none_or(|marks| mark(marks) > self.since_pos())
    }

    // ── rooms ──

    fn rooms(&mut self) -> Result<()> {
        for (room, standing) in self.candidates()? {
            let room_id = self.view.s.room_id(room)?;
            if !self.ask.filter.rooms.has(&*room_id) {
                continue;
            }
            let since = self.since_pos();
            let is_new = self.since.is_none() || standing.since > since;
            match standing.membership {
                Membership::Join => self.joined(room, &room_id, &standing)?,
                Membership::Invite if is_new || self.ask.full_state => {
                    self.invited(room, &room_id, &standing)?;
                }
                Membership::Knock if is_new || self.ask.full_state => {
                    self.knocked(room, &room_id)?;
                }
                Membership::Leave | Membership::Ban
                    if is_new && self.tells_of_leaving(&standing) =>
                {
                    self.left(room, &room_id, &standing)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The rooms that may be part of the answer, in a steady order.
    fn candidates(&self) -> Result<Vec<(RoomNo, Standing)>> {
        let everything = self.since.is_none() || self.ask.full_state || self.typing.rooms.is_none();
        let Some(marks) = self.marks.as_ref().filter(|_| !everything) else {
            return Ok(members::rooms(self.view.s, self.viewer.user).collect::<Result<_, _>>()?);
        };
        let typing = self.typing.rooms.iter().flatten();
        let data = self.room_data.keys();
        let mut rooms: Vec<RoomNo> = marks
            .rooms
            .iter()
            .map(|(room, _)| room)
            .chain(typing)
            .chain(data)
            .copied()
            .collect();
        rooms.sort_unstable();
        rooms.dedup();
        let mut found = Vec::with_capacity(rooms.len());
        for room in rooms {
            if let Some(standing) = members::standing(self.view.s, room, self.viewer.user)? {
                found.push((room, standing));
            }
        }
        Ok(found)
    }

    /// Whoever comes anew is told only of rooms that they were thrown out of, unless they ask for those that they left.
    fn tells_of_leaving(&self, standing: &Standing) -> bool {
        if self.since.is_some() {
            return true;
        }
        let was_here = standing.left_at.is_some() && !standing.forgotten;
        was_here && (self.ask.filter.include_leave || standing.by != self.viewer.user)
    }

    /// What may have changed in a room since the client asked last; nothing is known if none.
    pub(super) fn room_marks(&self, room: RoomNo) -> Option<RoomMarks> {
        let found = self.known_marks(room)?.0;
        Some(found.only_after(self.since_pos()))
    }

    /// Where things changed last in a room, and since when that is known.
    pub(super) fn known_marks(&self, room: RoomNo) -> Option<(RoomMarks, Pos)> {
        let marks = self.marks.as_ref()?;
        let found = marks.rooms.iter().find(|(other, _)| *other == room);
        Some((
            found.map(|(_, marks)| *marks).unwrap_or_default(),
            marks.reach,
        ))
    }

    fn invited(&mut self, room: RoomNo, room_id: &ruma::RoomId, standing: &Standing) -> Result<()> {
        if self
            .viewer
            .ignores_user(self.view.s.user_id(standing.by)?.as_str())
        {
            return Ok(());
        }
        let state = members::stripped(self.view.s, room, self.viewer.user)?;
        write_stripped(
            &mut self.sections.invite,
            room_id,
            "invite_state",
            state.as_deref(),
        );
        Ok(())
    }

    fn knocked(&mut self, room: RoomNo, room_id: &ruma::RoomId) -> Result<()> {
        let state = members::stripped(self.view.s, room, self.viewer.user)?;
        write_stripped(
            &mut self.sections.knock,
            room_id,
            "knock_state",
            state.as_deref(),
        );
        Ok(())
    }

    fn write_rooms(&mut self, out: &mut Writer) -> bool {
        let Sections {
            join,
            invite,
            knock,
            leave,
        } = std::mem::take(&mut self.sections);
        let sections = [
            ("join", join),
            ("invite", invite),
            ("knock", knock),
            ("leave", leave),
        ];
        if sections.iter().all(|(_, section)| section.len() == 0) {
            return false;
        }
        out.key("rooms");
        out.open();
        for (name, section) in sections {
            if section.len() > 0 {
                out.key(name);
                out.open();
                out.raw(&section.into_text());
                out.close();
            }
        }
        out.close();
        true
    }

    // ── beside the rooms ──

    /// Account data of the account; that of rooms is laid ready for them.
    fn account_data(&mut self, out: &mut Writer) -> Result<bool> {
        let user = self.viewer.user;
        let own: Vec<Piece> = match self.since {
            None => account_data::all(self.view.s, user, None)?,
            Some(since) if self.may(|marks| marks.own.data) => {
                let changed = account_data::changed(self.view.s, user, since.pos, self.head())?;
                let mut own = Vec::new();
                for piece in changed {
                    match piece.room {
                        Some(room) => self.room_data.entry(room).or_default().push(piece),
                        None => own.push(piece),
                    }
                }
                own
            }
            Some(_) => Vec::new(),
        };
        let filter = &self.ask.filter.account_data;
        let wanted = own.iter().filter(|piece| {
            filter.has_type(&piece.kind) && filter.has_sender(self.viewer.user_id.as_str())
        });
        Ok(write_account_data(out, wanted, false))
    }

    fn device_lists(&mut self, out: &mut Writer) -> Result<bool> {
        let Some(since) = self.since else {
            return Ok(false);
        };
        let look = self.may(|marks| marks.own.device_lists);
        let user = self.viewer.user;
        let lists = devices::changes(
            &self.view,
            user,
            since.pos,
            &self.moves,
            &mut self.neighbours,
            look,
        )?;
        if lists.is_empty() {
            return Ok(false);
        }
        lists.write(&self.view, out)?;
        Ok(true)
    }

    fn presence(&mut self, out: &mut Writer) -> Result<bool> {
        if self.ask.filter.presence.is_nothing() || !self.sync.inner().users.has_presence() {
            return Ok(false);
        }
        let mut found = Vec::new();
        for user in self.whose_presence()? {
            let Some(presence) = presence::get(self.view.s, user, self.view.now)? else {
                continue;
            };
            // Somebody who has just come is told who is there, not who is not.
            let is_old = self.since.is_none() && presence.state == PresenceState::Offline;
            let user_id = self.view.s.user_id(user)?;
            let wanted = self.ask.filter.presence.has_sender(user_id.as_str())
                && self.ask.filter.presence.has_type("m.presence")
                && !self.viewer.ignores_user(user_id.as_str());
            if wanted && !is_old {
                found.push((user_id, presence));
            }
        }
        if found.is_empty() {
            return Ok(false);
        }
        out.key("presence");
        out.open();
        out.key("events");
        out.open_list();
        for (user_id, presence) in found {
            out.item();
            write_presence(out, &user_id, &presence);
        }
        out.close_list();
        out.close();
        Ok(true)
    }

    /// Those whose presence changed, and those who have just become neighbours.
    fn whose_presence(&mut self) -> Result<Vec<UserNo>> {
        let user = self.viewer.user;
        let mut found: Vec<UserNo> = self.moves.came.iter().copied().collect();
        match self.since {
            None => {
                let rooms: Vec<RoomNo> = self
                    .neighbours
                    .rooms(&self.view, user)?
                    .iter()
                    .copied()
                    .collect();
                self.members_of(&rooms, &mut found)?;
                found.push(user);
            }
            Some(since) => {
                let entered = std::mem::take(&mut self.moves.entered);
                self.members_of(&entered, &mut found)?;
                if self.may(|marks| marks.own.presence) {
                    for other in presence::changed_after(self.view.s, since.pos) {
                        let other = other?;
                        if other == user || self.neighbours.share(&self.view, user, other)? {
                            found.push(other);
                        }
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn members_of(&self, rooms: &[RoomNo], found: &mut Vec<UserNo>) -> Result<()> {
        for room in rooms {
            if summary::of(self.view.s, *room)?.joined > SMALL_ROOM {
                continue;
            }
            for member in members::list(self.view.s, *room, Membership::Join) {
                found.push(member?.user);
            }
        }
        Ok(())
    }

    fn to_device(&self, out: &mut Writer) -> Result<Option<Pos>> {
        let from = self.since.map_or(Pos::ZERO, |since| since.to_device());
        let lags = self
            .since
            .is_some_and(|since| since.to_device() < since.pos);
        if !lags && !self.may(|marks| marks.own.to_device) {
            return Ok(None);
        }
        let (user, device, head) = (self.viewer.user, &self.ask.device, self.head());
        let waiting = to_device::pending(self.view.s, user, device, from, head, TO_DEVICE)?;
        let Some((last, _)) = waiting.last() else {
            return Ok(None);
        };
        out.key("to_device");
        out.open();
        out.key("events");
        out.open_list();
        for (_, event) in &waiting {
            out.item();
            out.raw(event);
        }
        out.close_list();
        out.close();
        let is_all = waiting.len() < TO_DEVICE;
        Ok(Some(if is_all { head } else { *last }))
    }

    /// How many keys the device has left; due by itself if that has changed.
    fn key_counts(&self, out: &mut Writer) -> Result<bool> {
        let counts = self
            .sync
            .inner()
            .users
            .key_counts(self.viewer.user, self.ask.device.as_str().into())?;
        out.key("device_one_time_keys_count");
        out.value(&counts.one_time);
        for name in [
            "device_unused_fallback_key_types",
            "org.matrix.msc2732.device_unused_fallback_key_types",
        ] {
            out.key(name);
            out.value(&counts.unused_fallback);
        }
        let changed = |marks: &Marks| marks.own.keys > self.since_pos();
        Ok(self.since.is_some() && self.marks.as_ref().is_some_and(changed))
    }

    fn next_batch(&mut self, to_device: Option<Pos>) -> Result<Token> {
        let somebody = self.is_somebody_typing()?;
        let typing = TypingSeen {
            epoch: self.sync.inner().epoch,
            version: self.typing.version,
            somebody,
        };
        Ok(Token {
            pos: self.head(),
            typing,
            to_device,
        })
    }

    /// Whether the client now believes that somebody is typing.
    fn is_somebody_typing(&mut self) -> Result<bool> {
        let believed = self.since.is_some_and(|since| since.typing.somebody);
        if self.typing.somebody || !believed || !self.typing.told {
            return Ok(self.typing.somebody || believed);
        }
        let user = self.viewer.user;
        let active = self.sync.inner().rooms.typing().active();
        let rooms = self.neighbours.rooms(&self.view, user)?;
        Ok(active.iter().any(|room| rooms.contains(room)))
    }
}

fn write_stripped(
    out: &mut Writer,
    room_id: &ruma::RoomId,
    name: &'static str,
    state: Option<&str>,
) {
    out.any_key(room_id.as_str());
    out.open();
    out.key(name);
    out.open();
    out.key("events");
    out.raw(state.unwrap_or("[]"));
    out.close();
    out.close();
}

/// Writes `account_data`, if there is any.
pub(super) fn write_account_data<'p>(
    out: &mut Writer,
    pieces: impl Iterator<Item = &'p Piece>,
    even_if_empty: bool,
) -> bool {
    let mut pieces = pieces.peekable();
    let is_due = pieces.peek().is_some();
    if !is_due && !even_if_empty {
        return false;
    }
    out.key("account_data");
    out.open();
    out.key("events");
    client_form::write_pieces(out, pieces);
    out.close();
    is_due
}

fn write_presence(out: &mut Writer, user_id: &ruma::UserId, presence: &presence::Presence) {
    out.open();
    out.key("content");
    out.open();
    out.key("currently_active");
    out.boolean(presence.currently_active);
    if let Some(ago) = presence.last_active_ago {
        out.key("last_active_ago");
        out.number(ago);
    }
    out.key("presence");
    out.string(presence.state.as_str());
    if let Some(status) = &presence.status {
        out.key("status_msg");
        out.string(status);
    }
    out.close();
    out.key("sender");
    out.string(user_id.as_str());
    out.key("type");
    out.string("m.presence");
    out.close();
}
