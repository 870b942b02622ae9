//! Whose devices, device keys or cross-signing keys have changed, and when (CS "Tracking the device list for a user").
//!
//! Per user only the latest change counts, so that there is one row per user, however often they log in.

use store::tables::{DEVICE_LIST_LAST, DEVICE_LIST_LOG};
use store::{Change, Order, Pos, Snapshot, Tx, UserNo};

use crate::Error;

/// Notes that something about a user's devices changed. Once per batch is enough, and all that is allowed.
pub(crate) fn note(tx: &mut Tx, user: UserNo) -> Result<(), Error> {
    if let Some(before) = tx.get_for_update(DEVICE_LIST_LAST, &user)? {
        tx.delete(DEVICE_LIST_LOG, &before);
    }
    let pos = tx.log(Change::DeviceList { user });
    tx.put(DEVICE_LIST_LAST, &user, &pos)?;
    Ok(tx.put(DEVICE_LIST_LOG, &pos, &user)?)
}

/// When a user's devices or keys last changed.
pub fn last_changed(s: &Snapshot, user: UserNo) -> Result<Option<Pos>, Error> {
    Ok(s.get(DEVICE_LIST_LAST, &user)?)
}

/// Everybody whose devices or keys last changed after a position, in that order. Of all users: whoever asks has to keep
/// those that they share a room with.
pub fn changed_after(s: &Snapshot, after: Pos) -> impl Iterator<Item = Result<UserNo, Error>> + '_ {
    let rows = s.scan(DEVICE_LIST_LOG, after.next().., Order::Forward);
    rows.map(|row| row.map(|(_, user)| user).map_err(Error::from))
}

/// Which of these users changed after a position. For few users, or a position long ago.
pub fn changed_of(s: &Snapshot, users: &[UserNo], after: Pos) -> Result<Vec<UserNo>, Error> {
    let last = s.get_many(DEVICE_LIST_LAST, users)?;
    let changed = users
        .iter()
        .zip(last)
        .filter(|(_, last)| last.is_some_and(|last| last > after));
    Ok(changed.map(|(user, _)| *user).collect())
}

/// The number of the last change, as other servers are told.
pub fn stream_id(s: &Snapshot, user: UserNo) -> Result<u64, Error> {
    Ok(last_changed(s, user)?.map_or(0, Pos::get))
}
