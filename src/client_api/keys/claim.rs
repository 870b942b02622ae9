//! `POST /_matrix/client/v3/keys/claim`

use std::collections::BTreeMap;

use ruma::api::client::keys::claim_keys::v3::Request;
use serde::Serialize;
use users::one_time_keys::{ClaimedKeys, Wanted};
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::{App, json};

/// The keys that were claimed. Devices without keys are left out.
#[derive(Serialize)]
struct Answer {
    failures: BTreeMap<String, serde_json::Value>,
    one_time_keys: ClaimedKeys,
}

/// Takes one key of each device asked for; nobody else gets it.
pub(crate) async fn post(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let devices = ask.one_time_keys.into_iter().flat_map(|(user, devices)| {
        devices.into_iter().map(move |(device, algorithm)| Wanted {
            user: user.clone(),
            device,
            algorithm: algorithm.to_string(),
        })
    });
    let claimed = actions::claim_keys(&app.house, &who, devices.collect()).await?;
    json::answer(&Answer {
        failures: claimed.failures,
        one_time_keys: claimed.keys,
    })
}
