//! Asking whether somebody is there.

use rooms::members;
use ruma::UserId;
use users::Identity;
use users::presence::Presence;

use crate::House;
use crate::error::{Error, Result};

/// Somebody's presence, for those who share a room with them.
pub async fn presence(house: &House, who: &Identity, target: &UserId) -> Result<Presence> {
    if who.user_id != target {
        let (user, other) = (who.user_no(), target.to_owned());
        let shared = house.rooms.store().read(move |s| {
            let Some(other) = s.user_no(&other)? else {
                return Ok(Vec::new());
            };
            members::shared(s, user, other)
        });
        if shared.await?.is_empty() {
            return Err(Error::NotAllowed(
                "presence is told to those who share a room".to_owned(),
            ));
        }
    }
    Ok(house.users.presence(target)?)
}
