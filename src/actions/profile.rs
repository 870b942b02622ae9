//! What people tell about themselves, wherever they are.

use std::collections::BTreeMap;

use peers::{Ask, Patience};
use ruma::UserId;
use serde_json::value::RawValue;
use users::What;

use crate::House;
use crate::error::Result;

/// The largest profile, in bytes (CS "Profiles").
const LARGEST: usize = 64 << 10;

/// Fields with their values.
pub type Profile = BTreeMap<String, Box<RawValue>>;

/// A user's whole profile. Another server is asked for its users'.
pub async fn profile(house: &House, user: &UserId) -> Result<Profile> {
    if house.is_local(user) {
        Ok(house.users.profile(user).await?)
    } else {
        ask(house, user, None).await
    }
}

/// One field of a user's profile.
pub async fn profile_field(house: &House, user: &UserId, field: &str) -> Result<Box<RawValue>> {
    if house.is_local(user) {
        return Ok(house.users.profile_field(user, field).await?);
    }
    let mut profile = ask(house, user, Some(field)).await?;
    let value = profile.remove(field);
    // Servers say null where there is nothing.
    value
        .filter(|value| value.get() != "null")
        .ok_or_else(|| users::Error::NotFound(What::ProfileField).into())
}

async fn ask(house: &House, user: &UserId, field: Option<&str>) -> Result<Profile> {
    let mut query = vec![("user_id", user.as_str())];
    query.extend(field.map(|field| ("field", field)));
    let path = ["_matrix", "federation", "v1", "query", "profile"];
    let ask = Ask::get(peers::path_and_query(&path, &query))
        .patience(Patience::quick().bytes(2 * LARGEST));
    Ok(house.peers.ask_json(user.server_name(), ask).await?)
}
