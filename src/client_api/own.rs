//! What belongs to one user is for that user alone.

use ruma::UserId;

/// Refuses whoever names somebody else in a path that is about themselves.
pub(crate) fn own(who: &users::Identity, named: &UserId) -> Result<(), web::Error> {
    if who.user_id == named {
        Ok(())
    } else {
        Err(users::Error::Forbidden(users::Refusal::NotYours).into())
    }
}
