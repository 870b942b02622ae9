//! `POST /_matrix/client/v3/keys/signatures/upload`

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use ruma::api::client::keys::upload_signatures::v3::Request;
use serde::Serialize;
use serde_json::{Map, Value};
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

/// What could not be taken in, and why.
#[derive(Serialize)]
struct Answer {
    failures: BTreeMap<OwnedUserId, BTreeMap<String, Map<String, Value>>>,
}

/// Takes in the user's signatures of keys, their own and others'.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let signed = ask.signed_keys.into_iter().map(|(user, keys)| {
        let keys = keys
            .iter()
            .map(|(id, key)| (id.to_owned(), key.to_owned()))
            .collect();
        (user, keys)
    });
    let failures = app
        .house
        .users
        .upload_signatures(&who.user_id, signed.collect())
        .await?;
    let failures = failures.into_iter().map(|(user, keys)| {
        let keys = keys
            .into_iter()
            .map(|(id, error)| (id, web::Error::from(error).into_body()))
            .collect();
        (user, keys)
    });
    json::answer(&Answer {
        failures: failures.collect(),
    })
}
