//! `POST /_matrix/client/v3/keys/device_signing/upload`

use ruma::api::client::keys::upload_signing_keys::v3::{Request, Response};
use ruma::serde::Raw;
use users::cross_signing::SigningKeys;
use web::{Asked, Authed, Matrix, Reply};

use crate::App;
use crate::interactive::{self, Unproven};

/// Takes in the user's cross-signing keys. The first ones, and those that are there already, need no further proof of who asks.
pub(crate) async fn post(
    who: Authed,
    asked: Asked,
    Matrix(Unproven(ask)): Matrix<Unproven<Request>>,
    app: App,
) -> Reply<Response> {
    let keys = SigningKeys {
        master: ask.master_key.map(Raw::into_json),
        self_signing: ask.self_signing_key.map(Raw::into_json),
        user_signing: ask.user_signing_key.map(Raw::into_json),
    };
    if !app
        .house
        .users
        .may_upload_signing_keys(&who.user_id, &keys)
        .await?
    {
        interactive::confirm(&app, &who, &asked).await?;
    }
    app.house
        .users
        .upload_signing_keys(&who.user_id, keys)
        .await?;
    Ok(Response::new())
}
