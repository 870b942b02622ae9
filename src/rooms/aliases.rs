//! Room aliases of this server: names that point to rooms (client-server API, *Room aliases*).

use event::auth::levels::Level;
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, UserId};
use store::rows::rooms::AliasRow;
use store::{Order, RoomNo, Snapshot, Tx, UserNo, tables};

use crate::Rooms;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::state::now;
use crate::summary;
use crate::{Stored, members};

/// The room that an alias of ours points to.
pub fn resolve(s: &Snapshot, alias: &RoomAliasId) -> Result<Option<(RoomNo, OwnedRoomId)>> {
    match s.get(tables::ALIASES, alias.as_str())? {
        Some(row) => Ok(Some((row.room, s.room_id(row.room)?))),
        None => Ok(None),
    }
}

/// The aliases of ours that point to a room.
pub fn of_room(s: &Snapshot, room: RoomNo) -> Result<Vec<String>> {
    let rows = s.prefix(tables::ROOM_ALIASES, &(room,), Order::Forward);
    rows.map(|row| Ok(row?.0.1)).collect()
}

/// Who made an alias.
pub fn maker(s: &Snapshot, alias: &RoomAliasId) -> Result<Option<UserNo>> {
    Ok(s.get(tables::ALIASES, alias.as_str())?.map(|row| row.by))
}

impl Rooms {
    /// Points an alias of ours to a room.
    pub async fn create_alias(
        &self,
        alias: &RoomAliasId,
        room_id: &RoomId,
        by: &UserId,
    ) -> Result<()> {
        self.check_own(alias)?;
        let (alias, room_id, by) = (alias.to_owned(), room_id.to_owned(), by.to_owned());
        let point = move |tx: &mut Tx| {
            let room = members::room(tx, &room_id)?;
            point(tx, &alias, room, &by)
        };
        self.store().write(point).await?;
        Ok(())
    }

    /// Removes an alias: by whoever made it, by those who may set the canonical alias of its room, or by an administrator.
    /// The room that it pointed to is returned.
    pub async fn delete_alias(
        &self,
        alias: &RoomAliasId,
        by: &UserId,
        is_admin: bool,
    ) -> Result<OwnedRoomId> {
        let (alias, by) = (alias.to_owned(), by.to_owned());
        let remove = move |tx: &mut Tx| {
            let row = tx
                .get_for_update(tables::ALIASES, alias.as_str())?
                .ok_or(Error::NoSuchAlias)?;
            let made_it = tx.user_no(&by)? == Some(row.by);
            if !is_admin && !made_it && !may_name(tx, row.room, &by)? {
                return Err(Error::Forbidden(
                    "only who made an alias, or has power over the room's aliases, may remove it"
                        .to_owned(),
                ));
            }
            tx.delete(tables::ALIASES, alias.as_str());
            tx.delete(tables::ROOM_ALIASES, &(row.room, alias.as_str()));
            Ok(tx.room_id(row.room)?)
        };
        let (room_id, _) = self.store().write(remove).await?;
        Ok(room_id)
    }

    fn check_own(&self, alias: &RoomAliasId) -> Result<()> {
        if alias.server_name() == self.server_name() {
            Ok(())
        } else {
            Err(Error::ForeignAlias(alias.to_owned()))
        }
    }
}

impl Composer {
    /// Points an alias to the room on the desk.
    pub(crate) fn claim_alias(&mut self, alias: &OwnedRoomAliasId, by: &UserId) -> Result<()> {
        self.rooms.check_own(alias)?;
        let room = self.desk.head.room;
        point(&mut self.tx, alias, room, by)
    }

    /// Points all aliases of one room to another.
    pub(crate) fn move_aliases(&mut self, from: RoomNo, to: RoomNo) -> Result<()> {
        for alias in of_room(&self.tx, from)? {
            if let Some(row) = self.tx.get_for_update(tables::ALIASES, alias.as_str())? {
                let row = AliasRow { room: to, ..row };
                self.tx.put(tables::ALIASES, alias.as_str(), &row)?;
                self.tx
                    .put(tables::ROOM_ALIASES, &(to, alias.as_str()), &())?;
            }
            self.tx
                .delete(tables::ROOM_ALIASES, &(from, alias.as_str()));
        }
        Ok(())
    }
}

fn point(tx: &mut Tx, alias: &RoomAliasId, room: RoomNo, by: &UserId) -> Result<()> {
    if tx
        .get_for_update(tables::ALIASES, alias.as_str())?
        .is_some()
    {
        return Err(Error::AliasInUse(alias.to_owned()));
    }
    let by = tx.intern_user(by)?;
    tx.put(tables::ALIASES, alias.as_str(), &AliasRow { room, by })?;
    tx.put(tables::ROOM_ALIASES, &(room, alias.as_str()), &())?;
    Ok(())
}

/// Whether a user is in a room and has the power to set its canonical alias.
pub(crate) fn may_name(s: &Snapshot, room: RoomNo, user: &UserId) -> Result<bool> {
    let joined = members::standing_of(s, room, user)?.is_some_and(|standing| standing.is_joined());
    Ok(joined && has_power_for(s, room, user, "m.room.canonical_alias")?)
}

/// Whether a user has the power to set a type of state in a room.
pub fn has_power_for(s: &Snapshot, room: RoomNo, user: &UserId, event_type: &str) -> Result<bool> {
    with_levels(s, room, |levels| {
        levels.user(user) >= Level::Int(levels.event(event_type, true))
    })
}

/// Looks at the power levels of a room.
pub fn with_levels<T>(
    s: &Snapshot,
    room: RoomNo,
    look: impl FnOnce(&event::auth::levels::PowerLevels<'_>) -> T,
) -> Result<T> {
    let room_id = s.room_id(room)?;
    let basics = summary::basics(s, room)?;
    let create = Stored::get(s, basics.create)?.pdu(&room_id)?;
    let power_levels = now::get(s, room, "m.room.power_levels", "")?;
    let power_levels = power_levels.map(|event| event.pdu(&room_id)).transpose()?;
    let levels = event::auth::levels::PowerLevels::of(power_levels.as_ref(), &create, basics.rules);
    Ok(look(&levels))
}
