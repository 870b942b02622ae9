//! Asking for people's keys.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::{Value, json};
use users::Identity;
use users::key_queries::{UserKeys, Viewer};

use crate::House;
use crate::error::Result;

/// What was found.
#[derive(Debug, Default)]
pub struct Queried {
    /// The keys, by user.
    pub keys: BTreeMap<OwnedUserId, UserKeys>,
    /// The servers that could not be asked.
    pub failures: BTreeMap<String, Value>,
}

/// The keys of users: of the given devices, or of all of a user's if none are given.
pub async fn query_keys(
    house: &House,
    who: &Identity,
    wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
) -> Result<Queried> {
    let failures = unreachable(house, wanted.keys());
    let keys = house
        .users
        .query_keys(Viewer::User(who.user_id.clone()), wanted)
        .await?;
    Ok(Queried { keys, failures })
}

/// The servers, other than ours, that these users belong to: none of them can be asked.
pub(crate) fn unreachable<'u>(
    house: &House,
    users: impl Iterator<Item = &'u OwnedUserId>,
) -> BTreeMap<String, Value> {
    users
        .filter(|user| !house.is_local(user))
        .map(|user| (user.server_name().to_string(), json!({})))
        .collect()
}
