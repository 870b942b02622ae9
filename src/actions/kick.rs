//! Putting somebody out of a room.

use rooms::Membership;
use ruma::{RoomId, UserId};
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
use crate::{member, policy};

/// Puts somebody out of a room, or takes an invite or a knock back.
///
/// # Errors
/// If they are neither in the room nor about to be: the same event would lift a ban.
pub async fn kick(
    house: &House,
    who: &Identity,
    room: &RoomId,
    target: &UserId,
    reason: Option<String>,
) -> Result<()> {
    policy::may_act(who)?;
    let standing = member::standing(house, room, target).await?;
    let here = standing.is_some_and(|standing| {
        matches!(
            standing.membership,
            Membership::Join | Membership::Invite | Membership::Knock
        )
    });
    if !here {
        return Err(Error::NotAllowed(format!("{target} is not in this room")));
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
