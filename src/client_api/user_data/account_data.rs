//! `/_matrix/client/v3/user/{userId}/account_data/{type}`

use ruma::api::client::config::{get_global_account_data, set_global_account_data};
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::own::own;
use crate::{App, json};

/// A piece of the user's account data.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_global_account_data::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    own(&who, &ask.user_id)?;
    json::answer(
        &app.house
            .users
            .account_data(&who.user_id, None, &ask.event_type.to_string())
            .await?,
    )
}

/// Sets a piece of it.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_global_account_data::v3::Request>,
    app: App,
) -> Reply<set_global_account_data::v3::Response> {
    own(&who, &ask.user_id)?;
    app.house
        .users
        .set_account_data(
            &who.user_id,
            None,
            &ask.event_type.to_string(),
            ask.data.json(),
        )
        .await?;
    Ok(set_global_account_data::v3::Response::new())
}
