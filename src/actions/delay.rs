//! Sending something later (MSC4140).

use rooms::delayed::Later;
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
use crate::policy;

/// Puts an event off, and gives the ID by which it can be sent, restarted or cancelled.
pub async fn delay(house: &House, who: &Identity, later: Later) -> Result<String> {
    policy::may_act(who)?;
    // A membership means more than its event says: an invite may not be wanted, a name may have changed.
    if later.event_type == "m.room.member" {
        return Err(Error::InvalidParameter(
            "memberships cannot be put off".to_owned(),
        ));
    }
    Ok(house.rooms.send_later(later).await?)
}
