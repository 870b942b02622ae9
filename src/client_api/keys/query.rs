//! `POST /_matrix/client/v3/keys/query`

use std::collections::BTreeMap;

use ruma::api::client::keys::get_keys::v3::Request;
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::Serialize;
use serde_json::value::RawValue;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::{App, json};

type ByUser = BTreeMap<OwnedUserId, Box<RawValue>>;

/// The keys of those who were asked about. Users that are unknown, or keys that nobody uploaded, are left out.
#[derive(Default, Serialize)]
struct Answer {
    device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Box<RawValue>>>,
    failures: BTreeMap<String, serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    master_keys: ByUser,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    self_signing_keys: ByUser,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    user_signing_keys: ByUser,
}

/// The identity keys and the cross-signing keys of users.
pub(crate) async fn post(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let found = actions::query_keys(&app.house, &who, ask.device_keys).await?;
    let mut answer = Answer {
        failures: found.failures,
        ..Answer::default()
    };
    for (user, keys) in found.keys {
        insert(&mut answer.master_keys, &user, keys.master);
        insert(&mut answer.self_signing_keys, &user, keys.self_signing);
        insert(&mut answer.user_signing_keys, &user, keys.user_signing);
        answer.device_keys.insert(user, keys.device_keys);
    }
    json::answer(&answer)
}

fn insert(keys: &mut ByUser, user: &OwnedUserId, key: Option<Box<RawValue>>) {
    if let Some(key) = key {
        keys.insert(user.clone(), key);
    }
}
