//! What is told beside the rooms: messages to the device, keys and device lists, account data, receipts and who is typing (MSC3885,
//! MSC3884, MSC3959, MSC3960, MSC3961).

use std::collections::HashMap;

use store::{Pos, RoomNo};
use users::account_data::{self, Piece};
use users::to_device;

use super::answer::Builder;
use super::ask::Ask;
use super::conn::LIVE;
use super::lists::{Combined, Reason, Rooms};
use crate::bells::{Marks, RoomMarks};
use crate::client_form;
use crate::devices::{self, Neighbours};
use crate::ephemeral::{self, Told};
use crate::error::{Error, Result};
use crate::json::Writer;

/// Messages to a device that are told at once.
const TO_DEVICE: usize = 100;

/// What is told beside the rooms.
#[derive(Default)]
pub(super) struct Extensions {
    out: Writer,
    data: Writer,
    receipts: Writer,
    typing: Writer,
    /// Whether there is any reason to tell it before the client's time is up.
    pub(super) is_due: bool,
    /// Whether the account's own data has been told.
    pub(super) data_told: bool,
}

impl Extensions {
    /// An object.
    pub(super) fn into_text(self) -> String {
        format!("{{{}}}", self.out.into_text())
    }
}

/// Up to where the client has fetched messages to its device.
pub(super) fn fetched(ask: &Ask) -> Result<Option<Pos>> {
    let asked = &ask.extensions.to_device;
    let Some(since) = asked.since.as_ref().filter(|_| asked.enabled) else {
        return Ok(None);
    };
    let pos = since.parse().map(Pos::new).map_err(|_| Error::BadToken)?;
    if pos > Pos::MAX {
        Err(Error::BadToken)
    } else {
        Ok(Some(pos))
    }
}

impl Builder<'_> {
    /// Writes all that is asked for.
    pub(super) fn extend(&mut self, rooms: &mut Rooms, ext: &mut Extensions) -> Result<()> {
        let mut changed = self.changed_data()?;
        let own = changed.remove(&None).unwrap_or_default();
        let mut reasons: Vec<(RoomNo, Reason)> = rooms
            .reasons
            .iter()
            .map(|(room, why)| (*room, *why))
            .collect();
        reasons.sort_unstable_by_key(|(room, _)| *room);
        for (room, why) in reasons {
            if self.told(room).is_none_or(|told| !told.joined) {
                continue;
            }
            let combined = rooms.combined(self.ask, why);
            let marks = self.room_marks(room);
            self.room_data(ext, room, (&combined, marks), &changed)?;
            self.room_receipts(ext, room, (&combined, marks))?;
            self.room_typing(ext, room, &combined)?;
        }
        self.to_device(ext)?;
        self.keys(ext)?;
        self.own_data(ext, own)?;
        let asked = &self.ask.extensions;
        for (name, enabled, list) in [
            (
                "receipts",
                asked.receipts.enabled,
                std::mem::take(&mut ext.receipts),
            ),
            (
                "typing",
                asked.typing.enabled,
                std::mem::take(&mut ext.typing),
            ),
        ] {
            if enabled {
                ext.is_due |= list.len() > 0;
                ext.out.key(name);
                ext.out.open();
                write_rooms(&mut ext.out, list);
                ext.out.close();
            }
        }
        self.note_typing();
        Ok(())
    }

    /// Whether something of the user's own may have changed.
    fn may(&self, mark: impl FnOnce(&Marks) -> Pos) -> bool {
        self.marks
            .as_ref()
            .is_none_or(|marks| mark(marks) > self.since_pos())
    }

    // ── account data ──

    /// What of the user's account data has changed, by room.
    fn changed_data(&self) -> Result<HashMap<Option<RoomNo>, Vec<Piece>>> {
        let mut found: HashMap<Option<RoomNo>, Vec<Piece>> = HashMap::new();
        let is_asked = self.ask.extensions.account_data.enabled && self.since.is_some();
        if is_asked && self.may(|marks| marks.own.data) {
            let (user, since) = (self.viewer.user, self.since_pos());
            for piece in account_data::changed(self.view.s, user, since, self.head())? {
                found.entry(piece.room).or_default().push(piece);
            }
        }
        Ok(found)
    }

    fn own_data(&self, ext: &mut Extensions, changed: Vec<Piece>) -> Result<()> {
        ext.data_told = self.ask.extensions.account_data.enabled;
        if !ext.data_told {
            return Ok(());
        }
        let pieces = if self.ground.has_data() {
            changed
        } else {
            account_data::all(self.view.s, self.viewer.user, None)?
        };
        let rooms = std::mem::take(&mut ext.data);
        ext.is_due |= !pieces.is_empty() || rooms.len() > 0;
        ext.out.key("account_data");
        ext.out.open();
        ext.out.key("global");
        client_form::write_pieces(&mut ext.out, pieces.iter());
        write_rooms(&mut ext.out, rooms);
        ext.out.close();
        Ok(())
    }

    fn room_data(
        &mut self,
        ext: &mut Extensions,
        room: RoomNo,
        (combined, marks): (&Combined, Option<RoomMarks>),
        changed: &HashMap<Option<RoomNo>, Vec<Piece>>,
    ) -> Result<()> {
        let Some(mut told) = self.told(room).cloned() else {
            return Ok(());
        };
        let is_still = marks.is_some_and(|marks| marks.data == Pos::ZERO);
        if !combined.data {
            if told.data == Some(LIVE) && !is_still {
                told.data = Some(self.since_pos());
                self.tell(room, Some(told));
            }
            return Ok(());
        }
        let (s, user) = (self.view.s, self.viewer.user);
        let some;
        let pieces = match told.data {
            Some(LIVE) if is_still => return Ok(()),
            Some(LIVE) => match changed.get(&Some(room)) {
                Some(pieces) => pieces,
                None => return Ok(()),
            },
            Some(since) => {
                some = account_data::since(s, user, Some(room), since, self.head())?;
                &some
            }
            None => {
                some = account_data::all(s, user, Some(room))?;
                &some
            }
        };
        if !pieces.is_empty() {
            ext.data.any_key(s.room_id(room)?.as_str());
            client_form::write_pieces(&mut ext.data, pieces.iter());
        }
        told.data = Some(LIVE);
        self.tell(room, Some(told));
        Ok(())
    }

    // ── receipts and typing ──

    fn room_receipts(
        &mut self,
        ext: &mut Extensions,
        room: RoomNo,
        (combined, marks): (&Combined, Option<RoomMarks>),
    ) -> Result<()> {
        let Some(mut told) = self.told(room).cloned() else {
            return Ok(());
        };
        let is_still = marks.is_some_and(|marks| marks.receipt == Pos::ZERO);
        if !combined.receipts {
            if told.receipts == Some(LIVE) && !is_still {
                told.receipts = Some(self.since_pos());
                self.tell(room, Some(told));
            }
            return Ok(());
        }
        let shown = self.shown.get(&room);
        if told.receipts == Some(LIVE) && is_still && shown.is_none() {
            return Ok(());
        }
        let upto = match told.receipts {
            Some(LIVE) => Some(self.since_pos()),
            upto => upto,
        };
        let mut event = Writer::default();
        let known = Told { upto, shown };
        if ephemeral::receipt_event(self.view, &mut event, &self.viewer, room, known)? {
            ext.receipts.any_key(self.view.s.room_id(room)?.as_str());
            ext.receipts.raw(&event.into_text());
        }
        told.receipts = Some(LIVE);
        self.tell(room, Some(told));
        Ok(())
    }

    fn room_typing(&self, ext: &mut Extensions, room: RoomNo, combined: &Combined) -> Result<()> {
        let is_new = self.ground.get(room).is_none_or(|told| !told.joined);
        if !combined.typing || !(is_new || self.typing.has(room)) {
            return Ok(());
        }
        let users = self.sync.inner().rooms.typing().users(room);
        // Of a room that is told for the first time, a client believes that nobody is typing.
        if users.is_empty() && is_new {
            return Ok(());
        }
        let mut event = Writer::default();
        ephemeral::typing(self.view, &mut event, &self.viewer, &users)?;
        ext.typing.any_key(self.view.s.room_id(room)?.as_str());
        ext.typing.raw(&event.into_text());
        Ok(())
    }

    /// Whether the client now believes that somebody is typing.
    fn note_typing(&mut self) {
        if self.ask.extensions.typing.enabled {
            let active = self.sync.inner().rooms.typing().active();
            let is_told = |room: &RoomNo| self.told(*room).is_some_and(|told| told.joined);
            self.typing.somebody = active.iter().any(is_told);
        }
    }

    // ── the device ──

    fn to_device(&self, ext: &mut Extensions) -> Result<()> {
        let asked = &self.ask.extensions.to_device;
        if !asked.enabled {
            return Ok(());
        }
        let from = fetched(self.ask)?.unwrap_or_default();
        let limit = asked.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(TO_DEVICE).clamp(1, TO_DEVICE);
        let (user, device, head) = (self.viewer.user, &self.ask.device, self.head());
        let lags = from < self.since_pos() || self.since.is_none();
        let waiting = if lags || self.may(|marks| marks.own.to_device) {
            to_device::pending(self.view.s, user, device, from, head, limit)?
        } else {
            Vec::new()
        };
        let upto = match waiting.last() {
            Some((last, _)) if waiting.len() >= limit => *last,
            _ => head.max(from),
        };
        ext.is_due |= !waiting.is_empty();
        ext.out.key("to_device");
        ext.out.open();
        ext.out.key("events");
        ext.out.open_list();
        for (_, event) in &waiting {
            ext.out.item();
            ext.out.raw(event);
        }
        ext.out.close_list();
        ext.out.key("next_batch");
        ext.out.string(&upto.to_string());
        ext.out.close();
        Ok(())
    }

    fn keys(&self, ext: &mut Extensions) -> Result<()> {
        if !self.ask.extensions.e2ee.enabled {
            return Ok(());
        }
        ext.out.key("e2ee");
        ext.out.open();
        if let Some(since) = self.since {
            let look = self.may(|marks| marks.own.device_lists);
            let (user, since) = (self.viewer.user, since.pos);
            let moves = match &self.marks {
                Some(marks) => {
                    let moved = marks.rooms.iter().filter(|(_, marks)| marks.event > since);
                    devices::moves_in(self.view, user, since, moved.map(|(room, _)| *room))?
                }
                None => devices::moves(self.view, user, since)?,
            };
            let mut neighbours = Neighbours::default();
            let lists = devices::changes(self.view, user, since, &moves, &mut neighbours, look)?;
            if !lists.is_empty() {
                lists.write(self.view, &mut ext.out)?;
                ext.is_due = true;
            }
            ext.is_due |= self
                .marks
                .as_ref()
                .is_some_and(|marks| marks.own.keys > since);
        }
        let users = &self.sync.inner().users;
        let counts = users.key_counts(self.viewer.user, self.ask.device.as_str().into())?;
        ext.out.key("device_one_time_keys_count");
        ext.out.value(&counts.one_time);
        ext.out.key("device_unused_fallback_key_types");
        ext.out.value(&counts.unused_fallback);
        ext.out.close();
        Ok(())
    }
}

/// Writes `rooms`.
fn write_rooms(out: &mut Writer, rooms: Writer) {
    out.key("rooms");
    out.open();
    out.raw(&rooms.into_text());
    out.close();
}
