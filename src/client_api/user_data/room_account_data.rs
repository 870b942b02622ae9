//! `/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

use ruma::api::client::config::{get_room_account_data, set_room_account_data};
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::own::own;
use crate::{App, json};

/// A piece of the user's data about a room.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_room_account_data::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    own(&who, &ask.user_id)?;
    json::answer(
        &app.house
            .users
            .account_data(
                &who.user_id,
                Some(&ask.room_id),
                &ask.event_type.to_string(),
            )
            .await?,
    )
}

/// Sets a piece of it.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_room_account_data::v3::Request>,
    app: App,
) -> Reply<set_room_account_data::v3::Response> {
    own(&who, &ask.user_id)?;
    app.house
        .users
        .set_account_data(
            &who.user_id,
            Some(&ask.room_id),
            &ask.event_type.to_string(),
            ask.data.json(),
        )
        .await?;
    Ok(set_room_account_data::v3::Response::new())
}
