//! Whether somebody may act at all, before rooms judge what they do: specification, "Account suspension" and "Guest access".

use users::Identity;

use crate::error::{Error, Result};

/// Suspended accounts may read, leave, and take back what they said, and no more.
pub(crate) fn may_act(who: &Identity) -> Result<()> {
    if who.account.suspended {
        Err(Error::Suspended)
    } else {
        Ok(())
    }
}
