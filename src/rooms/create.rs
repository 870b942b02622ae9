//! A new room: all its first events are one batch, so that it appears in one piece or not at all. Which events these are has
//! been decided by whoever asks; here they are judged and written like any others.

use base::random;
use event::rules::RoomIds;
use event::{Draft, Pdu, Rules};
use ruma::{OwnedRoomId, RoomId, RoomVersionId, UserId};
use serde_json::{Map, Value};
use store::rows::rooms::RoomRow;
use store::tables;

use crate::ask::{Created, Invitee, NewRoom};
use crate::compose::{Composer, Desk, raw};
use crate::error::{Error, Result};
use crate::head::{Head, Known};
use crate::{Membership, Rooms};

/// How often a room is begun anew when something else it touches was changed meanwhile.
const ATTEMPTS: usize = 8;
/// How many rooms may be made alike in one millisecond.
const LATER: u64 = 1_000;
/// Characters of a chosen room ID: more than anybody could guess.
const ROOM_ID: usize = 18;

impl Rooms {
    /// Makes a room: all its first events become visible at once.
    pub async fn create(&self, new: NewRoom) -> Result<Created> {
        let new = std::sync::Arc::new(new);
        for _ in 0..ATTEMPTS {
            let (rooms, new) = (self.clone(), new.clone());
            let decided = self.store().read(move |_| {
                let mut composer = Composer::begin(&rooms, &new)?;
                composer.furnish(&new)?;
                let room_id = composer.desk.head.room_id.clone();
                let room = composer.desk.head.room;
                let (tx, _) = composer
                    .finish()?
                    .ok_or(Error::Bug("a room without events"))?;
                Ok::<_, Error>((room_id, room, rooms.store().submit(tx)))
            });
            let (room_id, room, commit) = decided.await?;
            match commit.await {
                Ok(pos) => return Ok(Created { room_id, room, pos }),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Busy)
    }

    /// A room ID for the versions that choose one.
    pub(crate) fn choose_room_id(&self) -> Result<OwnedRoomId> {
        let opaque = random::token(self.random(), ROOM_ID);
        OwnedRoomId::try_from(format!("!{opaque}:{}", self.server_name()))
            .map_err(|_| Error::Bug("a chosen room ID that is none"))
    }
}

impl Composer {
    /// A decision that begins with a new room's create event.
    pub(crate) fn begin(rooms: &Rooms, new: &NewRoom) -> Result<Self> {
        let mut tx = rooms.store().tx();
        let (desk, create) = found(rooms, &mut tx, new, None)?;
        let mut composer = Self {
            rooms: rooms.clone(),
            tx,
            desk,
        };
        composer.append(create.pdu, None)?;
        Ok(composer)
    }

    /// Puts a new room on the desk of a decision that concerns another one too; that one's desk is returned.
    pub(crate) fn begin_beside(&mut self, new: &NewRoom, room_id: Option<&RoomId>) -> Result<Desk> {
        let rooms = self.rooms.clone();
        let (desk, create) = found(&rooms, &mut self.tx, new, room_id)?;
        let aside = self.turn_to(desk);
        self.append(create.pdu, None)?;
        Ok(aside)
    }

    /// Everything that follows the create event: the creator's join, the state, the alias, the invitations.
    pub(crate) fn furnish(&mut self, new: &NewRoom) -> Result<()> {
        self.enter(new, &new.creator, Membership::Join, &new.creator_content)?;
        if let Some(alias) = &new.alias {
            self.claim_alias(alias, &new.creator)?;
        }
        for piece in &new.state {
            let draft = self.draft(
                &new.creator,
                &piece.event_type,
                Some(&piece.state_key),
                &piece.content,
                new.timestamp,
            )?;
            self.send(draft, None)?;
        }
        for Invitee { user, content } in &new.invite {
            if !self.rooms.is_ours(user) {
                return Err(Error::Unreachable(user.to_string()));
            }
            self.enter(new, user, Membership::Invite, content)?;
        }
        if new.listed {
            self.tx.put(tables::DIRECTORY, &self.desk.head.room, &())?;
        }
        Ok(())
    }

    fn enter(
        &mut self,
        new: &NewRoom,
        user: &UserId,
        membership: Membership,
        content: &Map<String, Value>,
    ) -> Result<()> {
        let mut content = content.clone();
        content.insert("membership".to_owned(), Value::from(membership.as_str()));
        let draft = self.draft(
            &new.creator,
            "m.room.member",
            Some(user.as_str()),
            &content,
            new.timestamp,
        )?;
        self.send(draft, None)?;
        Ok(())
    }
}

/// Seals the create event and gives the room its number.
fn found(
    rooms: &Rooms,
    tx: &mut store::Tx,
    new: &NewRoom,
    room_id: Option<&RoomId>,
) -> Result<(Desk, Known)> {
    let rules = rules_of(&new.version)?;
    let (pdu, room) = unused(rooms, tx, new, room_id)?;
    let creator = tx.intern_user(&new.creator)?;
    let no = tx.intern_event(pdu.event_id())?;
    tx.expect(tables::ROOMS, &room, None)?;
    let row = RoomRow {
        version: rules.version.to_owned(),
        create: no,
        creator,
    };
    tx.put(tables::ROOMS, &room, &row)?;
    let create = Known { no, pdu };
    Ok((
        Desk::newborn(Head::newborn(room, rules, create.clone())),
        create,
    ))
}

/// A create event whose room does not exist yet. Where the ID is the event's hash, two rooms made alike in the same millisecond
/// would be the same one, so the later one is a millisecond younger.
fn unused(
    rooms: &Rooms,
    tx: &mut store::Tx,
    new: &NewRoom,
    room_id: Option<&RoomId>,
) -> Result<(Pdu, store::RoomNo)> {
    let rules = rules_of(&new.version)?;
    let now = new.timestamp.unwrap_or_else(|| rooms.now());
    for later in 0..LATER {
        let ts = now.saturating_add(later);
        let pdu = create_event(rooms, rules, new, room_id, ts)?;
        let taken = tx.room_no(pdu.room_id())?;
        if taken.is_none() {
            let room = tx.intern_room(pdu.room_id())?;
            return Ok((pdu, room));
        }
    }
    Err(Error::Busy)
}

fn create_event(
    rooms: &Rooms,
    rules: &'static Rules,
    new: &NewRoom,
    room_id: Option<&RoomId>,
    timestamp: u64,
) -> Result<Pdu> {
    let room_id = match (rules.room_ids, room_id) {
        (RoomIds::OfCreate, _) => None,
        (RoomIds::Chosen, Some(chosen)) => Some(chosen.to_owned()),
        (RoomIds::Chosen, None) => Some(rooms.choose_room_id()?),
    };
    let mut content = new.create.clone();
    content.insert("room_version".to_owned(), Value::from(rules.version));
    if rules.auth.creator_is_sender {
        content.remove("creator");
    } else {
        content.insert("creator".to_owned(), Value::from(new.creator.as_str()));
    }
    let draft = Draft {
        room_id,
        sender: new.creator.clone(),
        event_type: "m.room.create".to_owned(),
        state_key: Some(String::new()),
        content: raw(&content)?,
        redacts: None,
        origin_server_ts: timestamp,
    };
    let own = rooms.own();
    let nothing: [event::draft::Reference; 0] = [];
    let pdu = draft.seal(
        rules,
        nothing.clone(),
        nothing,
        1,
        &own.key,
        &own.server_name,
    )?;
    let none: [Pdu; 0] = [];
    match event::judge(&pdu, none.as_slice(), rules) {
        event::Verdict::Allowed => Ok(pdu),
        event::Verdict::Denied(reason) => Err(Error::BadState(reason.to_string())),
    }
}

/// The rules of a version that we speak.
pub(crate) fn rules_of(version: &RoomVersionId) -> Result<&'static Rules> {
    Rules::of(version).ok_or_else(|| Error::UnsupportedVersion(version.clone()))
}
