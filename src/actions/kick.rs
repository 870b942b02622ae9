//! Putting somebody out of a room.

use rooms::Membership;
use ruma::{RoomId, UserId};
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::{member, policy};

/// From which memberships one is put out: the same event would lift a ban.
const PRESENT: &[Membership] = &[Membership::Join, Membership::Invite, Membership::Knock];

/// Puts somebody out of a room, or takes an invite or a knock back.
pub async fn kick(
    house: &House,
    who: &Identity,
    room: &RoomId,
    target: &UserId,
    reason: Option<String>,
) -> Result<()> {
    policy::may_act(who)?;
    let (people, reason) = ((&*who.user_id, target), member::with_reason(reason));
    member::change_from(house, room, people, (PRESENT, Membership::Leave), reason).await?;
    Ok(())
}
