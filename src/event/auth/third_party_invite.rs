//! "If type is `m.room.third_party_invite`": inviting by it is inviting. How such an invite is redeemed stands in `member.rs`.

use super::levels::Field;
use super::{AuthState, Level, Reason, Room, enough};

pub(super) fn check<S: AuthState + ?Sized>(
    room: &Room<'_, S>,
    sender: Level,
) -> Result<(), Reason> {
    // "Allow if and only if sender's current power level is greater than or equal to the invite level."
    enough("inviting", room.levels().try_level(Field::Invite)?, sender)
}
