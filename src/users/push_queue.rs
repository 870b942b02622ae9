//! What is to be told to the push gateways of users, by pusher and in order (CS "Push Notifications"). Whom an event notifies is found out in `sync`;
//! telling is for `outbox`; neither knows the other.

use store::rows::users::Push;
use store::tables::PUSH_QUEUE;
use store::{Change, Order, Pos, Snapshot, Tx, UserNo};

use crate::Error;

/// Most that waits for one pusher. Whoever cannot be told for so long has lost the oldest.
const MOST: usize = 200;
/// How many of the oldest are dropped at once when there are too many.
const DROPPED: usize = 20;

/// A pusher, by its owner, its push key and its application.
pub type Place = (UserNo, String, String);

/// Queues something for all pushers of a user that are to be used. Says whether there are any.
pub fn queue(tx: &mut Tx, user: UserNo, pos: Pos, push: &Push) -> Result<bool, Error> {
    let mut any = false;
    for pusher in crate::pushers::list(tx, user)? {
        if !pusher.enabled {
            continue;
        }
        let place = (user, pusher.pushkey.as_str(), pusher.app_id.as_str());
        let waiting = tx.prefix(PUSH_QUEUE, &place, Order::Forward).keys();
        let waiting: Vec<_> = waiting.take(MOST).collect::<Result<_, _>>()?;
        if waiting.len() >= MOST {
            for oldest in waiting.iter().take(DROPPED) {
                tx.delete(PUSH_QUEUE, oldest);
            }
        }
        tx.put(PUSH_QUEUE, &(place.0, place.1, place.2, pos), push)?;
        any = true;
    }
    if any {
        tx.log(Change::Push { user });
    }
    Ok(any)
}

/// The pushers for which something waits; of one user, or of all.
pub fn places(s: &Snapshot, user: Option<UserNo>) -> Result<Vec<Place>, Error> {
    let mut found: Vec<Place> = Vec::new();
    let mut note = |(user, pushkey, app_id, _): (UserNo, String, String, Pos)| {
        let place = (user, pushkey, app_id);
        if found.last() != Some(&place) {
            found.push(place);
        }
    };
    match user {
        Some(user) => {
            for key in s.prefix(PUSH_QUEUE, &(user,), Order::Forward).keys() {
                note(key?);
            }
        }
        None => {
            for key in s.scan(PUSH_QUEUE, .., Order::Forward).keys() {
                note(key?);
            }
        }
    }
    Ok(found)
}

/// What waits longest for a pusher, at most so much.
pub fn waiting(s: &Snapshot, place: &Place, most: usize) -> Result<Vec<(Pos, Push)>, Error> {
    let (user, pushkey, app_id) = place;
    let key = (*user, pushkey.as_str(), app_id.as_str());
    let rows = s.prefix(PUSH_QUEUE, &key, Order::Forward).take(most);
    rows.map(|row| {
        row.map(|((_, _, _, pos), push)| (pos, push))
            .map_err(Error::from)
    })
    .collect()
}

/// Forgets what a pusher was told.
pub fn told(tx: &mut Tx, place: &Place, pos: Pos) {
    let (user, pushkey, app_id) = place;
    tx.delete(PUSH_QUEUE, &(*user, pushkey.as_str(), app_id.as_str(), pos));
}

/// Forgets everything that waits for a pusher.
pub fn forget(tx: &mut Tx, place: &Place) {
    let (user, pushkey, app_id) = place;
    tx.delete_prefix(PUSH_QUEUE, &(*user, pushkey.as_str(), app_id.as_str()));
}
