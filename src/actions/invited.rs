//! Being invited from another server.

use rooms::handshake::Invitation;

use crate::House;
use crate::error::{Error, Result};
use crate::invite::accepts_invites;

/// Takes an invitation of one of our users, who finds it among their rooms, and gives back the event with our signature.
///
/// # Errors
/// If it is no such invitation, or the user does not exist or wants none.
pub async fn invited(house: &House, invitation: Invitation<'_>) -> Result<String> {
    let checked = house.rooms.check_invitation(invitation).await?;
    let invitee = checked.invitee();
    let account = house.users.account(invitee).await?;
    if account.is_none_or(|account| account.deactivated.is_some()) {
        return Err(Error::NotFound("user"));
    }
    accepts_invites(house, invitee).await?;
    Ok(house.rooms.accept_invitation(checked).await?)
}
