//! Lifting a ban.

use rooms::Membership;
use ruma::{RoomId, UserId};
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
use crate::{member, policy};

/// Lifts a ban: the person may be invited or come again.
///
/// # Errors
/// If they are not banned: the same event would put a member out of the room.
pub async fn unban(
    house: &House,
    who: &Identity,
    room: &RoomId,
    target: &UserId,
    reason: Option<String>,
) -> Result<()> {
    policy::may_act(who)?;
    let standing = member::standing(house, room, target).await?;
    if standing.is_none_or(|standing| standing.membership != Membership::Ban) {
        return Err(Error::NotAllowed(format!(
            "{target} is not banned from this room"
        )));
    }
    member::change(
        house,
        room,
        (&who.user_id, target),
        Membership::Leave,
        member::with_reason(reason),
    )
    .await?;
    Ok(())
}
