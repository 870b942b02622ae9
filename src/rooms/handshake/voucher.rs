//! Restricted rooms (client-server API, *Restricted rooms*): whether somebody may come in for being in another room, and which of
//! our users vouches for it. Used for our own users and for those of other servers alike.

use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value};
use store::Snapshot;

use crate::Membership;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::members::{self, Standing};
use crate::summary;

/// How many members are asked whether they could vouch for somebody.
const VOUCHERS: usize = 1_000;

/// The name of the member who vouches, in the content of a join.
pub(crate) const AUTHORISED_VIA: &str = "join_authorised_via_users_server";

/// What is known here of somebody's right to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// They are in one of the rooms.
    Proven,
    /// They are in none of them.
    Refuted,
    /// They are in none of those that we are in, and there are others.
    Unknown,
}

impl Composer {
    /// Lets somebody into a restricted room who is in one of the rooms that its join rule names: writes into `content` who
    /// vouches. Whoever needs nobody to vouch for them is left alone.
    pub(crate) fn authorise_join(
        &self,
        user: &UserId,
        content: &mut Map<String, Value>,
    ) -> Result<()> {
        if !self.needs_voucher(user)? {
            return Ok(());
        }
        self.may_enter(user)?;
        let voucher = self.voucher()?.ok_or(Error::UnableToGrant)?;
        content.insert(AUTHORISED_VIA.to_owned(), Value::from(voucher.as_str()));
        Ok(())
    }

    /// Whether a join needs somebody to vouch for it, as the room is now.
    pub(crate) fn needs_voucher(&self, user: &UserId) -> Result<bool> {
        let rule = self.desk.head.summary.join_rule.as_deref();
        if !self.rules().auth.restricted_joins
            || !matches!(rule, Some("restricted" | "knock_restricted"))
        {
            return Ok(false);
        }
        let now = self.standing(user)?.map(|standing| standing.membership);
        Ok(!matches!(now, Some(Membership::Join | Membership::Invite)))
    }

    /// Refuses those who are in none of the rooms that let people into this one.
    pub(crate) fn may_enter(&self, user: &UserId) -> Result<()> {
        match right(&self.tx, user, &self.desk.head.summary.allowed_rooms)? {
            Right::Proven => Ok(()),
            Right::Unknown => Err(Error::UnableToAuthorise),
            Right::Refuted => Err(Error::Forbidden(
                "only members of certain other rooms may join this one".to_owned(),
            )),
        }
    }

    /// One of our users in the room who may invite.
    fn voucher(&self) -> Result<Option<OwnedUserId>> {
        let levels = self.levels();
        let needed = event::auth::levels::Level::Int(levels.invite());
        for member in members::joined_here(&self.tx, self.desk.head.room).take(VOUCHERS) {
            let user = self.tx.user_id(member?.user)?;
            if levels.user(&user) >= needed {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }
}

fn right(s: &Snapshot, user: &UserId, rooms: &[String]) -> Result<Right> {
    let mut right = Right::Refuted;
    for room_id in rooms {
        let Ok(room_id) = <&RoomId>::try_from(room_id.as_str()) else {
            continue;
        };
        // Of rooms that we are not in we know at best what was true once.
        let Some(room) = s.room_no(room_id)? else {
            right = Right::Unknown;
            continue;
        };
        if summary::of(s, room)?.joined_here == 0 {
            right = Right::Unknown;
        } else if members::standing_of(s, room, user)?
            .is_some_and(|standing: Standing| standing.is_joined())
        {
            return Ok(Right::Proven);
        }
    }
    Ok(right)
}
