//! Inviting somebody.

use rooms::Membership;
use ruma::{RoomId, UserId};
use serde::Deserialize;
use users::{Identity, What};

use crate::House;
use crate::error::{Error, Result};
use crate::{member, policy};

/// Where users say who may invite them (added in 1.18).
const PERMISSION: &str = "m.invite_permission_config";

/// Invites somebody into a room.
pub async fn invite(
    house: &House,
    who: &Identity,
    room: &RoomId,
    target: &UserId,
    reason: Option<String>,
) -> Result<()> {
    policy::may_act(who)?;
    accepts_invites(house, target).await?;
    let mut content = member::with_reason(reason);
    member::add_profile(house, target, &mut content)?;
    member::change(
        house,
        room,
        (&who.user_id, target),
        Membership::Invite,
        content,
    )
    .await?;
    Ok(())
}

/// Refuses invites to those of our users who do not want any.
pub(crate) async fn accepts_invites(house: &House, target: &UserId) -> Result<()> {
    #[derive(Deserialize)]
    struct Permission {
        default_action: Option<String>,
    }
    if !house.is_local(target) {
        return Ok(());
    }
    let content = match house.users.account_data(target, None, PERMISSION).await {
        Ok(content) => content,
        // Nothing was said, or there is nobody to say it.
        Err(users::Error::NotFound(What::AccountData | What::User)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let permission: Option<Permission> = serde_json::from_str(content.get()).ok();
    match permission
        .and_then(|permission| permission.default_action)
        .as_deref()
    {
        Some("block") => Err(Error::InviteBlocked(target.to_string())),
        _ => Ok(()),
    }
}
