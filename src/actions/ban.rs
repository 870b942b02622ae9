//! Banning somebody from a room.

use rooms::Membership;
use ruma::{RoomId, UserId};
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::{member, policy};

/// Bans somebody from a room, whether or not they are in it.
pub async fn ban(
    house: &House,
    who: &Identity,
    room: &RoomId,
    target: &UserId,
    reason: Option<String>,
) -> Result<()> {
    policy::may_act(who)?;
    member::change(
        house,
        room,
        (&who.user_id, target),
        Membership::Ban,
        member::with_reason(reason),
    )
    .await?;
    Ok(())
}
