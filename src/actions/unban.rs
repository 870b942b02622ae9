//! Lifting a ban.

use rooms::Membership;
use ruma::{RoomId, UserId};
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::{member, policy};

/// The same event would put a member out of the room.
const BANNED: &[Membership] = &[Membership::Ban];

/// Lifts a ban: the person may be invited or come again.
pub async fn unban(
    house: &House,
    who: &Identity,
    room: &RoomId,
    target: &UserId,
    reason: Option<String>,
) -> Result<()> {
    policy::may_act(who)?;
    let (people, reason) = ((&*who.user_id, target), member::with_reason(reason));
    member::change_from(house, room, people, (BANNED, Membership::Leave), reason).await?;
    Ok(())
}
