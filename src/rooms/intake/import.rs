//! A room, or its present, as another server handed it to us: a complete state with the events that authorise it, and one event
//! on top of that, which is our way in. The events come first, as outliers and in batches; then everything that anybody sees
//! of the room appears in one piece.

use event::Pdu;
use ruma::{OwnedRoomId, RoomVersionId};
use store::rows::rooms::RoomRow;
use store::{EventNo, Pos, RoomNo, tables};

use super::append::Place;
use super::judge::Told;
use super::outliers::Shelf;
use crate::Rooms;
use crate::compose::{Composer, Desk};
use crate::create::rules_of;
use crate::error::{Error, Result};
use crate::head::{Head, Known};
use crate::lane::Settled;
use crate::members;

/// What another server handed to us. All events have been checked ([`event::UncheckedPdu::check`]), and are of this room.
#[derive(Debug, Clone)]
pub struct Import {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
    /// The events that authorise the state and the event, with those that authorise them in turn.
    pub auth_chain: Vec<Pdu>,
    /// The whole state before the event.
    pub state: Vec<Pdu>,
    /// The event that comes with it: a join of one of our users, say.
    pub event: Pdu,
}

/// A room that is here now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The room.
    pub room: RoomNo,
    /// The event that came with the state.
    pub event: EventNo,
    /// Where it is visible.
    pub pos: Pos,
}

impl Rooms {
    /// Takes over a room, or its present if we know it and have none of our users in it.
    ///
    /// # Errors
    /// [`Error::BadState`] if the state has no create event or was rejected in essential parts, [`Error::Missing`] if events that
    /// authorise others are not among what was handed over, [`Error::Forbidden`] if the state does not allow the event.
    pub async fn import(&self, import: Import) -> Result<Imported> {
        let rules = rules_of(&import.version)?;
        let create = create_of(&import)?;
        let shelf = Shelf {
            room_id: import.room_id.clone(),
            rules,
            create: create.clone(),
        };
        let outliers = import.auth_chain.iter().chain(&import.state);
        let shelved = self.shelve(&shelf, outliers.cloned().collect()).await?;
        if !shelved.missing.is_empty() {
            return Err(Error::Missing(shelved.missing.into_iter().collect()));
        }
        let room_id = import.room_id.clone();
        let decide = move |rooms: &Self| {
            let mut composer = Composer::resume_or_begin(rooms, &shelf)?;
            let event = composer.install(&import.state, &import.event)?;
            let room = composer.desk.head.room;
            Ok((composer, (room, event)))
        };
        let Settled { outcome, pos } = self.beginning(&room_id, decide).await?;
        let (room, event) = outcome;
        let pos = pos.ok_or(Error::Bug("a room that came without a position"))?;
        Ok(Imported { room, event, pos })
    }
}

fn create_of(import: &Import) -> Result<&Pdu> {
    let mut all = import.state.iter().chain(&import.auth_chain);
    if all.any(|pdu| pdu.room_id() != import.room_id) || import.event.room_id() != import.room_id {
        return Err(Error::BadState(
            "the state has events of other rooms".to_owned(),
        ));
    }
    let mut state = import.state.iter();
    state
        .find(|pdu| pdu.state_pair() == Some(("m.room.create", "")))
        .ok_or_else(|| Error::BadState("the state has no create event".to_owned()))
}

impl Composer {
    /// A decision about a room that is known, or that begins with this.
    fn resume_or_begin(rooms: &Rooms, shelf: &Shelf) -> Result<Self> {
        let s = rooms.store().snapshot();
        match members::room(&s, &shelf.room_id) {
            Ok(_) => {
                let head = Head::load(&s, &shelf.room_id, 0)?;
                if head.create.pdu.event_id() != shelf.create.event_id() {
                    return Err(Error::BadState(
                        "the state has another create event than the room".to_owned(),
                    ));
                }
                Ok(Self::new(rooms, head))
            }
            Err(Error::NoSuchRoom) => Self::begin_imported(rooms, shelf),
            Err(error) => Err(error),
        }
    }

    fn begin_imported(rooms: &Rooms, shelf: &Shelf) -> Result<Self> {
        let mut tx = rooms.store().tx();
        let room = tx.intern_room(&shelf.room_id)?;
        let create = tx
            .event_no(shelf.create.event_id())?
            .ok_or(Error::Bug("a create event that is not stored"))?;
        let row = RoomRow {
            version: shelf.rules.version.to_owned(),
            create,
            creator: tx.intern_user(shelf.create.sender())?,
        };
        tx.expect(tables::ROOMS, &room, None)?;
        tx.put(tables::ROOMS, &room, &row)?;
        // Who was invited from outside stands here without a room; the state tells of them as well.
        tx.delete_prefix(tables::MEMBERS, &(room,));
        let create = Known {
            no: create,
            pdu: shelf.create.clone(),
        };
        Ok(Self {
            rooms: rooms.clone(),
            tx,
            desk: Desk::newborn(Head::newborn(room, shelf.rules, create)),
        })
    }

    /// Makes a state that was handed over the present one, with an event on top of it.
    fn install(&mut self, state: &[Pdu], event: &Pdu) -> Result<EventNo> {
        let told = Told(self.numbers(state)?);
        let before = self.root_told(self.desk.head.row.root, &told)?;
        if let Some(reason) = self.judged_by(event, before)? {
            return Err(Error::Forbidden(reason));
        }
        let auth = self.known(event.auth_events())?;
        if let Some(reason) = self.rejects(event, &auth, before)? {
            return Err(Error::Forbidden(reason));
        }
        if self.desk.head.summary.joined_here == 0 {
            // What was the end of the room when we left it has long been followed by others.
            self.desk.head.row.tips.clear();
            self.desk.head.tips.clear();
        }
        let (earlier, unknown) = self.find_earlier(event.prev_events())?;
        let place = Place {
            follows: earlier.iter().map(crate::Stored::no).collect(),
            before,
            gap: !unknown.is_empty(),
            ..Place::default()
        };
        if let Some(user) = super::append::member_of(event) {
            let user = self.tx.intern_user(user)?;
            let room = self.desk.head.room;
            self.tx.delete(tables::STRIPPED, &(user, room));
        }
        Ok(self.append_at(event.clone(), &place, None)?.no)
    }

    fn numbers(&self, pdus: &[Pdu]) -> Result<Vec<EventNo>> {
        let mut numbers = Vec::with_capacity(pdus.len());
        for pdu in pdus {
            let no = self.tx.event_no(pdu.event_id())?;
            numbers.push(no.ok_or(Error::Bug("a piece of state that is not stored"))?);
        }
        Ok(numbers)
    }
}
