//! `POST /_matrix/federation/v1/user/keys/query`

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use users::key_queries::Viewer;
use web::{FromServer, Json, JsonBytes, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    device_keys: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
}

type ByUser = BTreeMap<OwnedUserId, Box<RawValue>>;

#[derive(Default, Serialize)]
struct Answer {
    device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Box<RawValue>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    master_keys: ByUser,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    self_signing_keys: ByUser,
}

/// The keys of users of ours. Others are left out, whatever is known of them here.
pub(crate) async fn post(_: FromServer, Json(ask): Json<Ask>, app: App) -> Reply<JsonBytes> {
    let mut wanted = ask.device_keys;
    wanted.retain(|user, _| app.house.is_local(user));
    let found = app.house.users.query_keys(Viewer::Server, wanted).await?;
    let mut answer = Answer::default();
    for (user, keys) in found {
        if let Some(master) = keys.master {
            answer.master_keys.insert(user.clone(), master);
        }
        if let Some(self_signing) = keys.self_signing {
            answer.self_signing_keys.insert(user.clone(), self_signing);
        }
        answer.device_keys.insert(user, keys.device_keys);
    }
    JsonBytes::of(&answer)
}
