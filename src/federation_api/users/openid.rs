//! `GET /_matrix/federation/v1/openid/userinfo`

use serde::Deserialize;
use serde_json::json;
use web::{Error, JsonBytes, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    access_token: Option<String>,
}

/// Whose OpenID token this is. Whoever has it may ask.
pub(crate) async fn get(Query(ask): Query<Ask>, app: App) -> Reply<JsonBytes> {
    let token = ask.access_token.ok_or_else(Error::missing_token)?;
    let user = app.house.users.openid_user(&token).await?;
    JsonBytes::of(&json!({ "sub": user }))
}
