//! Asking for people's keys.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::Value;
use users::Identity;
use users::key_queries::{UserKeys, Viewer};

use crate::error::Result;
use crate::{House, remote_devices};

/// What was found.
#[derive(Debug, Default)]
pub struct Queried {
    /// The keys, by user.
    pub keys: BTreeMap<OwnedUserId, UserKeys>,
    /// The servers that could not be asked.
    pub failures: BTreeMap<String, Value>,
}

/// The keys of users: of the given devices, or of all of a user's if none are given. Those of other servers' users are fetched if what is known of
/// them may be old.
pub async fn query_keys(
    house: &House,
    who: &Identity,
    wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
) -> Result<Queried> {
    let remote = remote_devices::fetch(house, &wanted).await?;
    let mut known = wanted;
    known.retain(|user, _| !remote.told.contains_key(user));
    let mut keys = house
        .users
        .query_keys(Viewer::User(who.user_id.clone()), known)
        .await?;
    keys.extend(remote.told);
    Ok(Queried {
        keys,
        failures: remote.failures,
    })
}
