//! `POST /_matrix/client/v3/keys/upload`

use std::collections::BTreeMap;

use ruma::api::client::keys::upload_keys::v3::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use users::device_keys::KeyUpload;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::{App, json};

/// How many one-time keys there are, by algorithm.
#[derive(Serialize)]
struct Counts {
    one_time_key_counts: BTreeMap<String, u64>,
}

/// Takes in the keys of the device that asks.
pub(crate) async fn post(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let upload = KeyUpload {
        device_keys: ask.device_keys.map(ruma::serde::Raw::into_json),
        one_time_keys: by_text(ask.one_time_keys),
        fallback_keys: by_text(ask.fallback_keys),
    };
    let one_time_key_counts = app
        .house
        .users
        .upload_keys(&who.user_id, &who.device_id, upload)
        .await?;
    json::answer(&Counts {
        one_time_key_counts,
    })
}

pub(super) fn by_text<K: ToString, T>(
    keys: BTreeMap<K, ruma::serde::Raw<T>>,
) -> BTreeMap<String, Box<RawValue>> {
    keys.into_iter()
        .map(|(id, key)| (id.to_string(), key.into_json()))
        .collect()
}
