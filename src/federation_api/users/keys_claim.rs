//! `POST /_matrix/federation/v1/user/keys/claim`

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::Deserialize;
use serde_json::json;
use users::one_time_keys::Wanted;
use web::{FromServer, Json, JsonBytes, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>,
}

/// Takes one key of each device asked for, of users of ours; nobody else gets it.
pub(crate) async fn post(_: FromServer, Json(ask): Json<Ask>, app: App) -> Reply<JsonBytes> {
    let wanted = ask.one_time_keys.into_iter().flat_map(|(user, devices)| {
        devices.into_iter().map(move |(device, algorithm)| Wanted {
            user: user.clone(),
            device,
            algorithm,
        })
    });
    let keys = app.house.users.claim_keys(wanted.collect()).await?;
    JsonBytes::of(&json!({ "one_time_keys": keys }))
}
